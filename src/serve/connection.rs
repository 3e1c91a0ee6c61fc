//! One connection: who has logged in, what it sees, and how its queries are answered.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow_pg::datatypes::arrow_schema_to_pg_fields;
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use pgwire::api::portal::Format;
use pgwire::api::results::{QueryResponse, Response, Tag};
use pgwire::api::{ClientInfo, METADATA_APPLICATION_NAME};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::response::TransactionStatus;
use pgwire::types::format::FormatOptions;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::postgres::Shared;
use super::refusal::{error, fatal, timed_out, told};
use super::rules::{Kind, kind};
use super::running::{Bounds, Running};
use super::session::Sessions;
use super::{Role, parse};
use crate::model::AskedQuery;
use crate::query::{Access, QueryError, Session};

/// Where the library keeps what the client has set as `statement_timeout`, in milliseconds.
const STATEMENT_TIMEOUT: &str = "statement_timeout_ms";

/// Who has not logged in by then is cut off.
const LOGIN_TIME: Duration = Duration::from_secs(30);

/// One connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    peer: SocketAddr,
    /// Set when somebody has logged in. Until then nothing is answered, whatever state the library is in.
    login: OnceLock<(String, Role)>,
    sessions: Mutex<Sessions>,
    /// Takes what clients set. No query ever runs in it.
    pub(super) settings: SessionContext,
    active: std::sync::Mutex<Instant>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, peer: SocketAddr) -> Self {
        Self {
            shared,
            peer,
            login: OnceLock::new(),
            sessions: Mutex::new(Sessions::default()),
            settings: SessionContext::new(),
            active: std::sync::Mutex::new(Instant::now()),
        }
    }

    pub(super) fn logged_in(&self, user: &str, role: Role) {
        self.login.get_or_init(|| (user.to_owned(), role));
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.login.get().map(|(_, role)| *role)
    }

    /// Ready when the connection has said nothing for `idle`, and no query of it can be running.
    pub(super) async fn idle(&self, idle: Duration) {
        let patience = idle.max(self.shared.settings.limits.query_time_max);
        loop {
            let until = *lock(&self.active) + patience;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Who is asking; notes that the connection is in use.
    pub(super) fn user(&self) -> PgWireResult<&(String, Role)> {
        *lock(&self.active) = Instant::now();
        let login = self.login.get();
        login.ok_or_else(|| fatal("28000", "nobody has logged in"))
    }

    /// Ready when nobody has logged in within [`LOGIN_TIME`].
    pub(super) async fn stranger(&self) {
        tokio::time::sleep(LOGIN_TIME).await;
        if self.role().is_some() {
            std::future::pending().await
        }
    }

    /// The session in which the client's next statement is answered.
    async fn session(&self, role: Role) -> Result<Arc<Session>, QueryError> {
        let settings = &self.shared.settings;
        let access = Access {
            memory_max: settings.limits.memory_max,
            hidden: role.hidden(),
        };
        let mut sessions = self.sessions.lock().await;
        sessions
            .current(&self.shared.queries, &settings.lake, access)
            .await
    }

    /// States what was asked, and the epoch as of which it is answered or why it is refused.
    async fn audit<C: ClientInfo>(
        &self,
        client: &C,
        sql: &str,
        outcome: Result<i64, &str>,
    ) -> PgWireResult<()> {
        let (user, role) = self.user()?;
        let application = client.metadata().get(METADATA_APPLICATION_NAME);
        let asked = AskedQuery {
            user: user.clone(),
            role: role.name().to_owned(),
            surface: "postgres".to_owned(),
            client: self.peer.ip().to_string(),
            application: application.cloned().filter(|name| !name.is_empty()),
            epoch: outcome.ok(),
            sql: sql.to_owned(),
            refused: outcome.err().map(str::to_owned),
        };
        let stated = self.shared.audit.tell(asked).await;
        stated.map_err(|reason| {
            error(
                "58030",
                format!("the query cannot be audited, so it is not answered: {reason}"),
            )
        })
    }

    /// What is to be done about `statement`. What is not allowed is audited and refused.
    pub(super) async fn admit<C: ClientInfo>(
        &self,
        client: &C,
        statement: &Statement,
    ) -> PgWireResult<Kind> {
        self.user()?;
        match kind(statement) {
            Ok(kind) => {
                let failed = client.transaction_status() == TransactionStatus::Error;
                if failed && kind != Kind::Connection {
                    let reason = "current transaction is aborted, commands ignored until end of transaction block";
                    return Err(error("25P02", reason));
                }
                Ok(kind)
            }
            Err(reason) => {
                let sql = statement.to_string();
                Err(self.refuse(client, &sql, ("42501", reason)).await)
            }
        }
    }

    /// Reads the statements of `sql`. What nobody can read is audited too.
    pub(super) async fn read<C: ClientInfo>(
        &self,
        client: &C,
        sql: &str,
    ) -> PgWireResult<Vec<Statement>> {
        self.user()?;
        match parse::statements(&self.shared.parser, sql) {
            Ok(statements) => Ok(statements),
            Err((code, reason)) => Err(self.refuse(client, sql, (code, reason)).await),
        }
    }

    /// Audits that `sql` is refused, and gives the error for it.
    pub(super) async fn refuse<C: ClientInfo>(
        &self,
        client: &C,
        sql: &str,
        (code, reason): (&str, String),
    ) -> PgWireError {
        let audited = self.audit(client, sql, Err(&reason)).await;
        audited.err().unwrap_or_else(|| error(code, reason))
    }

    /// The plan of `statement` with its session, within the time of a query. What cannot be planned is audited.
    pub(super) async fn plan<C: ClientInfo>(
        &self,
        client: &C,
        statement: &Statement,
    ) -> PgWireResult<(Arc<Session>, LogicalPlan)> {
        let (_, role) = self.user()?;
        let time = self.time(client);
        let planned = async {
            let session = self.session(*role).await?;
            let plan = session.plan(statement.clone()).await?;
            Ok((session, plan))
        };
        let planned: Result<_, QueryError> =
            timeout(time, planned).await.map_err(|_| timed_out(time))?;
        match planned {
            Ok(planned) => Ok(planned),
            Err(wrong) => {
                let (sql, reason) = (statement.to_string(), wrong.to_string());
                self.audit(client, &sql, Err(&reason)).await?;
                Err(told(*role, &wrong))
            }
        }
    }

    /// How long a query of `client` may take: no longer than any, and less if it says so.
    fn time<C: ClientInfo>(&self, client: &C) -> Duration {
        let most = self.shared.settings.limits.query_time_max;
        let own = client.metadata().get(STATEMENT_TIMEOUT);
        let own = own.and_then(|text| text.parse().ok());
        own.map_or(most, |own| most.min(Duration::from_millis(own)))
    }

    /// Answers one query. What was planned may be refused still, for want of time or memory: that is heard, and not audited.
    pub(super) async fn answer<C: ClientInfo>(
        &self,
        client: &C,
        (statement, values): (&Statement, Option<ParamValues>),
        (format, bytes_max): (&Format, usize),
    ) -> PgWireResult<Response> {
        let time = self.time(client);
        let deadline = Instant::now() + time;
        let (_, role) = self.user()?;
        let work = async {
            let (session, mut plan) = self.plan(client, statement).await?;
            let sql = statement.to_string();
            self.audit(client, &sql, Ok(session.epoch())).await?;
            let permit = Arc::clone(&self.shared.running).acquire_owned().await;
            let permit = permit.map_err(|_| error("57P03", "the server is stopping"))?;
            if let Some(values) = values {
                plan = plan
                    .replace_params_with_values(&values)
                    .map_err(|error| told(*role, &error.into()))?;
            }
            let options = FormatOptions::from_client_metadata(client.metadata());
            let schema = Arc::clone(plan.schema().inner());
            let fields = arrow_schema_to_pg_fields(&schema, format, Some(Arc::new(options)))?;
            let bounds = Bounds {
                deadline,
                time,
                rows_max: self.shared.settings.limits.rows_max,
                bytes_max,
                role: *role,
            };
            let mut running = Running::start(&self.shared.queries, (session, plan), bounds, permit);
            // What a client cancels, it cancels before the first rows are there, if they take long.
            let first = running.next().await?;
            Ok::<_, PgWireError>((Arc::new(fields), first, running))
        };
        let late = || timed_out(time);
        let (fields, first, running) = timeout_at(deadline, work).await.map_err(|_| late())??;
        let rows = running.rows(first, Arc::clone(&fields));
        Ok(Response::Query(QueryResponse::new(fields, rows)))
    }

    /// Settings, transactions, and what is answered without doing anything.
    pub(super) async fn settle<C>(
        &self,
        client: &mut C,
        statement: &Statement,
        kind: Kind,
    ) -> PgWireResult<Response>
    where
        C: HookClient,
    {
        if let Kind::Nothing(tag) = kind {
            return Ok(Response::Execution(Tag::new(tag)));
        }
        match statement {
            Statement::StartTransaction { .. } => self.sessions.lock().await.begin(),
            Statement::Commit { .. } | Statement::Rollback { .. } => {
                self.sessions.lock().await.end();
            }
            _ => {}
        }
        let hooks: [&dyn QueryHook; 2] = [&SetShowHook, &TransactionStatementHook];
        for hook in hooks {
            let answer = hook.handle_simple_query(statement, &self.settings, client);
            if let Some(answer) = answer.await {
                return answer;
            }
        }
        Err(error("42704", format!("{statement} is not known here")))
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
