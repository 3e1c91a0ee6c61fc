//! Why something is not answered, with the codes that PostgreSQL has for it (its documentation, appendix A).

use std::time::Duration;

use datafusion::error::DataFusionError;
use pgwire::error::{ErrorInfo, PgWireError};

use super::Role;
use crate::query::QueryError;

/// An error after which the connection goes on.
pub(super) fn error(code: &str, reason: impl Into<String>) -> PgWireError {
    told_as("ERROR", code, reason.into())
}

/// An error after which the connection is closed.
pub(super) fn fatal(code: &str, reason: &str) -> PgWireError {
    told_as("FATAL", code, reason.to_owned())
}

fn told_as(severity: &str, code: &str, reason: String) -> PgWireError {
    let info = ErrorInfo::new(severity.to_owned(), code.to_owned(), reason);
    PgWireError::UserError(Box::new(info))
}

pub(super) fn timed_out(time: Duration) -> PgWireError {
    let reason = format!("canceling statement due to statement timeout: {time:?}");
    error("57014", reason)
}

/// Why a query has no answer, with the code that PostgreSQL has for it.
pub(super) fn told(role: Role, wrong: &QueryError) -> PgWireError {
    let text = wrong.to_string();
    let code = match wrong {
        QueryError::NotReadOnly(_) => "42501",
        QueryError::TooLarge => "54001",
        QueryError::DataFusion(error) => return unanswered(role, error.find_root(), text),
        _ => "58000",
    };
    error(code, text)
}

fn unanswered(role: Role, wrong: &DataFusionError, text: String) -> PgWireError {
    let mut hidden = role.hidden().iter().filter(|table| text.contains(**table));
    if text.contains("not found")
        && let Some(table) = hidden.next()
    {
        let reason = format!("the role {} may not read {table}", role.name());
        return error("42501", reason);
    }
    let code = match wrong {
        DataFusionError::ResourcesExhausted(_) => {
            let reason = "the query needs more memory than one may have (serve.memory_bytes_max)";
            return error("53200", reason);
        }
        DataFusionError::SQL(..) => "42601",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::SchemaError(..) => "42703",
        DataFusionError::Plan(text) if text.contains("not found") => "42P01",
        DataFusionError::Plan(_) => "42000",
        _ => "XX000",
    };
    error(code, text)
}
