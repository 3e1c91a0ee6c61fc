//! What a client may say. Whatever is not listed here is refused.

use datafusion::sql::sqlparser::ast::{Set, Statement};

/// Settings of a client that may be made: they change how answers are written, or nothing here. Settings of the query engine
/// are not among them, its limits least of all.
const SETTINGS: [&str; 15] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
];

/// What is done about a statement that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is planned, checked again as a plan, and answered.
    Query,
    /// A setting or a transaction, which concern the connection alone.
    Connection,
    /// Nothing, and this is what the client is told.
    Nothing(&'static str),
}

/// What `statement` is, or why it is refused.
pub(super) fn kind(statement: &Statement) -> Result<Kind, String> {
    Ok(match statement {
        Statement::Query(_)
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. } => Kind::Query,
        Statement::Explain {
            analyze: false,
            statement: inner,
            ..
        } if matches!(inner.as_ref(), Statement::Query(_)) => Kind::Query,
        Statement::ShowVariable { .. } | Statement::ShowCatalogs { .. } => Kind::Connection,
        // Nothing is ever written, so there is nothing to go back to. A transaction that failed stays so: the library knows no
        // way out but its end.
        Statement::Savepoint { .. } => Kind::Nothing("SAVEPOINT"),
        Statement::ReleaseSavepoint { .. } => Kind::Nothing("RELEASE"),
        Statement::Rollback {
            savepoint: Some(_), ..
        } => Kind::Nothing("ROLLBACK"),
        Statement::StartTransaction { .. }
        | Statement::Commit { .. }
        | Statement::Rollback { .. } => Kind::Connection,
        Statement::Set(set) => setting(set)?,
        Statement::Discard { .. } => Kind::Nothing("DISCARD ALL"),
        Statement::Deallocate { .. } => Kind::Nothing("DEALLOCATE"),
        Statement::Close { .. } => Kind::Nothing("CLOSE CURSOR ALL"),
        Statement::UNLISTEN { .. } => Kind::Nothing("UNLISTEN"),
        Statement::Reset { .. } => Kind::Nothing("RESET"),
        Statement::Explain { analyze: true, .. } => {
            return Err("EXPLAIN ANALYZE is refused: EXPLAIN shows the plan".to_owned());
        }
        other => {
            return Err(format!(
                "{} is refused: this server only reads",
                word(other)
            ));
        }
    })
}

fn setting(set: &Set) -> Result<Kind, String> {
    match set {
        Set::SingleAssignment { variable, .. } => {
            let name = variable.to_string().to_ascii_lowercase();
            if SETTINGS.contains(&name.as_str()) {
                return Ok(Kind::Connection);
            }
            Err(format!("SET {name} is refused: {}", SETTINGS.join(", ")))
        }
        Set::SetTimeZone { .. } => Ok(Kind::Connection),
        Set::SetTransaction { .. } | Set::SetNames { .. } | Set::SetNamesDefault { .. } => {
            Ok(Kind::Nothing("SET"))
        }
        other => Err(format!("SET {other} is refused")),
    }
}

/// The first word of a statement.
fn word(statement: &Statement) -> String {
    let text = statement.to_string();
    let word = text.split_whitespace().next().unwrap_or_default();
    word.to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn kinds(sql: &str) -> Vec<Result<Kind, String>> {
        let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        statements.iter().map(kind).collect()
    }

    #[test]
    fn reading_is_allowed() {
        for sql in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "VALUES (1)",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
        ] {
            assert_eq!(kinds(sql), [Ok(Kind::Query)], "{sql}");
        }
        for sql in [
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SET statement_timeout = 5000",
            "SET TIME ZONE 'UTC'",
            "SHOW server_version",
        ] {
            assert_eq!(kinds(sql), [Ok(Kind::Connection)], "{sql}");
        }
        assert_eq!(kinds("DISCARD ALL"), [Ok(Kind::Nothing("DISCARD ALL"))]);
        assert_eq!(
            kinds("ROLLBACK TO SAVEPOINT s"),
            [Ok(Kind::Nothing("ROLLBACK"))]
        );
    }

    /// At least one of every sort of statement that PostgreSQL knows and the parser reads.
    #[test]
    fn everything_else_is_refused() {
        let mut read = 0;
        for sql in [
            "INSERT INTO activity VALUES (1)",
            "UPDATE activity SET region = 'x'",
            "DELETE FROM activity",
            "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
            "TRUNCATE activity",
            "CREATE TABLE t (x int)",
            "CREATE TABLE t AS SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "CREATE SCHEMA s",
            "CREATE DATABASE d",
            "CREATE INDEX i ON activity (region)",
            "CREATE FUNCTION f() RETURNS int AS 'SELECT 1' LANGUAGE sql",
            "CREATE EXTENSION x",
            "CREATE ROLE r",
            "CREATE SEQUENCE s",
            "CREATE TYPE t AS (x int)",
            "CREATE POLICY p ON activity",
            "CREATE TRIGGER t AFTER INSERT ON activity FOR EACH ROW EXECUTE FUNCTION f()",
            "ALTER TABLE activity ADD COLUMN x int",
            "ALTER ROLE r WITH SUPERUSER",
            "ALTER VIEW v AS SELECT 1",
            "DROP TABLE activity",
            "DROP FUNCTION f",
            "GRANT SELECT ON activity TO r",
            "REVOKE SELECT ON activity FROM r",
            "COPY activity TO '/tmp/x'",
            "COPY (SELECT 1) TO '/tmp/x'",
            "COPY activity FROM '/etc/passwd'",
            "COPY activity FROM PROGRAM 'id'",
            "COPY activity FROM STDIN",
            "DECLARE c CURSOR FOR SELECT 1",
            "FETCH ALL FROM c",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "CALL f()",
            "ANALYZE activity",
            "VACUUM",
            "LOCK TABLE activity",
            "LISTEN c",
            "NOTIFY c",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN DELETE FROM activity",
            "COMMENT ON TABLE activity IS 'x'",
            "SET datafusion.runtime.memory_limit = '100G'",
            "SET ROLE r",
            "SET SESSION AUTHORIZATION r",
        ] {
            let Ok(statements) = Parser::parse_sql(&PostgreSqlDialect {}, sql) else {
                // What nobody can read is refused by whoever reads it.
                continue;
            };
            read += 1;
            for statement in &statements {
                let refused = kind(statement);
                assert!(refused.is_err(), "{sql}: {refused:?}");
            }
        }
        assert!(read > 35, "{read}");
    }
}
