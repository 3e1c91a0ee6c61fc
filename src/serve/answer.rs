//! What a connection says, and what it is answered.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow_pg::datatypes::df::deserialize_parameters;
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, into_pg_type};
use async_trait::async_trait;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::QueryHook;
use datafusion_postgres::hooks::set_show::SetShowHook;
use futures::Sink;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, Response};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::extendedquery::Execute;

use super::Role;
use super::connection::Connection;
use super::refusal::told;
use super::rules::{Kind, kind};

/// How many rows a client gets at once that asks for some at a time.
const ROWS_AT_ONCE: i32 = 10_000;

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
        // They would hold places and wait for each other: rows go out when all have begun.
        let queries = statements.iter().map(kind);
        if queries.filter(|kind| *kind == Ok(Kind::Query)).count() > 1 {
            let reason = "one query at a time: send the next when this one is answered".to_owned();
            return Err(self.0.refuse(client, query, ("0A000", reason)).await);
        }
        let mut answers = Vec::new();
        for statement in &statements {
            let kind = self.0.admit(client, statement).await?;
            answers.push(if kind == Kind::Query {
                let asked = (statement, None);
                let form = (&Format::UnifiedText, usize::MAX);
                self.0.answer(client, asked, form).await?
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
        let form = (
            &portal.result_column_format,
            self.0.shared.settings.limits.memory_max,
        );
        self.0.answer(client, asked, form).await
    }

    /// The library keeps room for as many rows as are asked for, and takes a negative number for a very large one.
    async fn on_execute<C>(&self, client: &mut C, mut message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: std::fmt::Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        message.max_rows = message.max_rows.clamp(0, ROWS_AT_ONCE);
        self._on_execute(client, message).await
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
            let reason = "cannot insert multiple commands into a prepared statement".to_owned();
            return Err(self.refuse(client, sql, ("42601", reason)).await);
        }
        let Some(statement) = statements.pop() else {
            return Ok(None);
        };
        let plan = match self.admit(client, &statement).await? {
            Kind::Query => Some(self.plan(client, &statement).await?.1),
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
