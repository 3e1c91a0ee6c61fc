//! What one connection asks, and what it is answered.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::datatypes::DataType;
use arrow_pg::datatypes::df::deserialize_parameters;
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, into_pg_type};
use async_trait::async_trait;
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::HookClient;
use datafusion_postgres::hooks::set_show::SetShowHook;
use datafusion_postgres::hooks::transactions::TransactionStatementHook;
use futures::Sink;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, METADATA_APPLICATION_NAME, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::TransactionStatus;
use pgwire::types::format::FormatOptions;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use super::Role;
use super::postgres::Shared;
use super::refusal::{error, fatal, timed_out, told};
use super::rules::{Kind, kind};
use super::running::{Bounds, Running};
use super::session::{Fresh, current};
use crate::model::AskedQuery;
use crate::query::Session;

/// Where the library keeps what the client has set as `statement_timeout`, in milliseconds.
const STATEMENT_TIMEOUT: &str = "statement_timeout_ms";

/// One connection.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    /// Set when somebody has logged in. Until then nothing is answered, whatever state the library is in.
    login: OnceLock<(String, Role)>,
    session: Mutex<Option<Fresh>>,
    /// Takes what clients set. No query ever runs in it.
    settings: SessionContext,
    active: std::sync::Mutex<Instant>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, peer: SocketAddr) -> Self {
        Self {
            shared,
            peer,
            login: OnceLock::new(),
            session: Mutex::new(None),
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
    fn user(&self) -> PgWireResult<&(String, Role)> {
        *lock(&self.active) = Instant::now();
        let login = self.login.get();
        login.ok_or_else(|| fatal("28000", "nobody has logged in"))
    }

    /// The session in which the client's next statement is answered.
    async fn session(&self, role: Role, status: TransactionStatus) -> PgWireResult<Arc<Session>> {
        let settings = &self.shared.settings;
        let stays = status == TransactionStatus::Transaction;
        let mut held = self.session.lock().await;
        current(
            &mut held,
            &settings.lake,
            (role, settings.limits.memory_max),
            stays,
        )
        .await
        .map_err(|error| told(role, &error))
    }

    /// States what was asked; why it is not answered, if it is not.
    async fn audit<C: ClientInfo>(
        &self,
        client: &C,
        (sql, epoch): (&str, i64),
        refused: Option<&str>,
    ) -> PgWireResult<()> {
        let (user, role) = self.user()?;
        let application = client.metadata().get(METADATA_APPLICATION_NAME);
        let asked = AskedQuery {
            user: user.clone(),
            role: role.name().to_owned(),
            surface: "postgres".to_owned(),
            client: self.peer.ip().to_string(),
            application: application.cloned().filter(|name| !name.is_empty()),
            epoch,
            sql: sql.to_owned(),
            refused: refused.map(str::to_owned),
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
    async fn admit<C: ClientInfo>(&self, client: &C, statement: &Statement) -> PgWireResult<Kind> {
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
                self.audit(client, (&sql, 0), Some(&reason)).await?;
                Err(error("42501", reason))
            }
        }
    }

    /// Reads the statements of `sql`. What nobody can read is audited too.
    async fn read<C: ClientInfo>(&self, client: &C, sql: &str) -> PgWireResult<Vec<Statement>> {
        self.user()?;
        match self.shared.parser.parse(sql) {
            Ok(statements) => Ok(statements),
            Err(wrong) => {
                let reason = wrong.to_string();
                self.audit(client, (sql, 0), Some(&reason)).await?;
                Err(error("42601", reason))
            }
        }
    }

    /// Answers one query.
    async fn answer<C: ClientInfo>(
        &self,
        client: &C,
        (statement, values): (&Statement, Option<ParamValues>),
        format: &Format,
    ) -> PgWireResult<Response> {
        let limits = self.shared.settings.limits;
        let own = client.metadata().get(STATEMENT_TIMEOUT);
        let own = own.and_then(|text| text.parse().ok());
        let time = own.map_or(limits.query_time_max, |own| {
            limits.query_time_max.min(Duration::from_millis(own))
        });
        let deadline = Instant::now() + time;
        let (_, role) = self.user()?;
        let session = self.session(*role, client.transaction_status()).await?;
        let sql = statement.to_string();
        self.audit(client, (&sql, session.epoch()), None).await?;
        let work = async {
            let permit = Arc::clone(&self.shared.running).acquire_owned().await;
            let permit = permit.map_err(|_| error("57P03", "the server is stopping"))?;
            let mut plan = plan(&session, statement, *role).await?;
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
                rows_max: limits.rows_max,
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
    async fn settle<C>(
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

/// A plan of `statement` that only reads.
async fn plan(session: &Session, statement: &Statement, role: Role) -> PgWireResult<LogicalPlan> {
    let plan = session.plan(statement.clone()).await;
    plan.map_err(|error| told(role, &error))
}

/// A statement that a client has prepared.
#[derive(Clone)]
pub(super) struct Prepared {
    statement: Statement,
    /// What its parameters and columns are. When it is executed it is planned anew, as of the epoch that is last then.
    plan: Option<LogicalPlan>,
}

impl Prepared {
    /// The types of its parameters, in their order.
    fn parameters(&self) -> PgWireResult<Vec<Option<DataType>>> {
        let types = self.plan.as_ref().map(LogicalPlan::get_parameter_types);
        let types = types
            .transpose()
            .map_err(|error| told(Role::Auditor, &error.into()))?;
        let mut types: Vec<_> = types.unwrap_or_default().into_iter().collect();
        types.sort_by_key(|(name, _)| name.trim_start_matches('$').parse::<u32>().ok());
        Ok(types.into_iter().map(|(_, kind)| kind).collect())
    }
}

/// The handlers of one connection.
pub(super) struct Service(pub(super) Arc<Connection>);

#[async_trait]
impl SimpleQueryHandler for Service {
    async fn do_query<C>(&self, client: &mut C, query: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let statements = self.0.read(client, query).await?;
        if statements.is_empty() {
            return Ok(vec![Response::EmptyQuery]);
        }
        let mut answers = Vec::new();
        for statement in &statements {
            let kind = self.0.admit(client, statement).await?;
            answers.push(if kind == Kind::Query {
                let asked = (statement, None);
                self.0.answer(client, asked, &Format::UnifiedText).await?
            } else {
                self.0.settle(client, statement, kind).await?
            });
        }
        Ok(answers)
    }
}

#[async_trait]
impl ExtendedQueryHandler for Service {
    type Statement = Prepared;
    type QueryParser = Connection;

    fn query_parser(&self) -> Arc<Connection> {
        Arc::clone(&self.0)
    }

    async fn do_query<C>(
        &self,
        client: &mut C,
        portal: &Portal<Prepared>,
        _rows_max: usize,
    ) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let prepared = &portal.statement.statement;
        let kind = self.0.admit(client, &prepared.statement).await?;
        if kind != Kind::Query {
            return self.0.settle(client, &prepared.statement, kind).await;
        }
        let types = prepared.parameters()?;
        let types: Vec<Option<&DataType>> = types.iter().map(Option::as_ref).collect();
        let values = deserialize_parameters(portal, &types)?;
        let asked = (&prepared.statement, Some(values));
        self.0
            .answer(client, asked, &portal.result_column_format)
            .await
    }
}

#[async_trait]
impl QueryParser for Connection {
    type Statement = Prepared;

    async fn parse_sql<C>(
        &self,
        client: &C,
        sql: &str,
        _types: &[Option<Type>],
    ) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let mut statements = self.read(client, sql).await?;
        if statements.len() > 1 {
            let reason = "cannot insert multiple commands into a prepared statement";
            return Err(error("42601", reason));
        }
        let Some(statement) = statements.pop() else {
            return Ok(None);
        };
        let plan = match self.admit(client, &statement).await? {
            Kind::Query => {
                let (_, role) = self.user()?;
                let session = self.session(*role, client.transaction_status()).await?;
                Some(plan(&session, &statement, *role).await?)
            }
            Kind::Connection => {
                let hook = SetShowHook;
                let shown = hook.handle_extended_parse_query(&statement, &self.settings, client);
                shown.await.transpose()?
            }
            Kind::Nothing(_) => None,
        };
        Ok(Some(Prepared { statement, plan }))
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        let types = prepared.parameters()?.into_iter();
        types
            .map(|kind| kind.map_or(Ok(Type::UNKNOWN), |kind| into_pg_type(&kind)))
            .collect()
    }

    fn get_result_schema(
        &self,
        prepared: &Prepared,
        format: Option<&Format>,
    ) -> PgWireResult<Vec<FieldInfo>> {
        let Some(plan) = &prepared.plan else {
            return Ok(Vec::new());
        };
        let format = format.unwrap_or(&Format::UnifiedText);
        arrow_schema_to_pg_fields(plan.schema().as_arrow(), format, None)
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
