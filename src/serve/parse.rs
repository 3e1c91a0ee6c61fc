//! Reads what clients say.
//!
//! The library has a parser that rewrites what tools ask of PostgreSQL's catalog until DataFusion understands it. Some of it
//! changes the answer: a subquery among the columns becomes NULL where it may depend on the row. So it reads nothing that asks
//! the lake.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ObjectName, Query, Statement, Visit, Visitor, visit_relations,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

/// Bounds of what is read at once. Beyond the second, the tree of an expression may be deeper than a stack.
const BYTES_MAX: usize = 256 << 10;
const TOKENS_MAX: usize = 10_000;

/// Tables that a statement may name, each counted as often as it stands there when common table expressions are put in: forty of
/// them, each of which names the one before it twice, are a tree that nobody can walk.
const TABLES_MAX: usize = 1_000;

/// The statements of `sql`, or PostgreSQL's code for what is wrong with it, and the reason.
pub(super) fn statements(
    catalog: &PostgresCompatibilityParser,
    sql: &str,
) -> Result<Vec<Statement>, (&'static str, String)> {
    let dialect = PostgreSqlDialect {};
    if sql.len() > BYTES_MAX {
        let reason = format!("a statement has {BYTES_MAX} bytes at most");
        return Err(("54001", reason));
    }
    let invalid = |reason: String| ("42601", reason);
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| invalid(error.to_string()))?;
    let words = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)));
    if words.count() > TOKENS_MAX {
        let reason = format!("a statement has {TOKENS_MAX} words and signs at most");
        return Err(("54001", reason));
    }
    let read = Parser::new(&dialect)
        .with_tokens_with_locations(tokens)
        .parse_statements();
    let statements = match read {
        Ok(statements) if !statements.iter().all(asks_catalog) => statements,
        Ok(statements) => catalog.parse(sql).unwrap_or(statements),
        Err(error) => match catalog.parse(sql) {
            Ok(statements) if statements.iter().all(asks_catalog) => statements,
            _ => return Err(invalid(error.to_string())),
        },
    };
    if statements.iter().any(|one| tables(one) > TABLES_MAX) {
        let reason = format!("a statement names {TABLES_MAX} tables at most");
        return Err(("54001", reason));
    }
    Ok(statements)
}

/// Whether `statement` reads no table but those of PostgreSQL's catalog.
fn asks_catalog(statement: &Statement) -> bool {
    let mut own = BTreeSet::new();
    if let Statement::Query(query) = statement
        && let Some(with) = &query.with
    {
        own.extend(
            with.cte_tables
                .iter()
                .map(|table| table.alias.name.value.clone()),
        );
    }
    let others = visit_relations(statement, |name: &ObjectName| {
        let parts: Vec<String> = name.0.iter().map(|part| part.to_string()).collect();
        let known = match parts.as_slice() {
            [table] => own.contains(table) || table.to_ascii_lowercase().starts_with("pg_"),
            [.., schema, _] => ["pg_catalog", "information_schema"]
                .iter()
                .any(|known| schema.eq_ignore_ascii_case(known)),
            [] => false,
        };
        if known {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    others.is_continue()
}

/// How many tables `statement` names in all.
fn tables(statement: &Statement) -> usize {
    let mut weights = Weights::default();
    let walked = statement.visit(&mut weights);
    debug_assert!(walked.is_continue());
    weights.of(statement)
}

/// How many tables the common table expressions name that have been seen so far.
#[derive(Default)]
struct Weights(BTreeMap<String, usize>);

impl Weights {
    fn of<V: Visit>(&self, part: &V) -> usize {
        let mut sum = 0_usize;
        let walked = visit_relations(part, |name: &ObjectName| {
            let known = self.0.get(&folded(&name.to_string()));
            sum = sum.saturating_add(known.copied().unwrap_or(1));
            ControlFlow::<()>::Continue(())
        });
        debug_assert!(walked.is_continue());
        sum
    }
}

impl Visitor for Weights {
    type Break = ();

    /// Those of inner queries come first, and those of one query in their order.
    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let expressions = query.with.iter().flat_map(|with| &with.cte_tables);
        for table in expressions {
            let weight = self.of(table.query.as_ref()).max(1);
            let name = folded(&table.alias.name.to_string());
            let known = self.0.entry(name).or_default();
            *known = weight.max(*known);
        }
        ControlFlow::Continue(())
    }
}

fn folded(name: &str) -> String {
    name.trim_matches('"').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Result<String, (&'static str, String)> {
        let statements = statements(&PostgresCompatibilityParser::new(), sql)?;
        let texts: Vec<String> = statements.iter().map(ToString::to_string).collect();
        Ok(texts.join("; "))
    }

    /// The catalog's parser makes NULL of these.
    #[test]
    fn what_asks_the_lake_is_read_as_it_stands() {
        for sql in [
            "SELECT i.a, (SELECT count(*) FROM findings AS f WHERE f.a = i.a) FROM identities AS i",
            "SELECT (SELECT count(*) FROM findings WHERE findings.severity = 'high')",
            "SELECT (SELECT count(*) FROM events WHERE provider = $1)",
            "SELECT c.relname, (SELECT count(*) FROM events WHERE events.a = c.relname) FROM pg_catalog.pg_class AS c",
            "WITH pg_class AS (SELECT * FROM findings) SELECT (SELECT max(a) FROM pg_class AS p WHERE p.a = 1)",
        ] {
            assert_eq!(read(sql).as_deref(), Ok(sql));
        }
    }

    #[test]
    fn tools_are_understood() {
        for sql in [
            "SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relname OPERATOR(pg_catalog.~) '^(events)$' COLLATE pg_catalog.default",
            "SELECT pg_catalog.version()",
            "SELECT table_name FROM information_schema.tables",
        ] {
            assert!(read(sql).is_ok(), "{sql}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_a_tree() {
        let deep = format!("SELECT 1{}", " + 1".repeat(TOKENS_MAX / 2 + 1));
        assert_eq!(read(&deep).unwrap_err().0, "54001");
        let long = format!("SELECT '{}'", "x".repeat(BYTES_MAX));
        assert_eq!(read(&long).unwrap_err().0, "54001");
        assert_eq!(read("SELEC 1").unwrap_err().0, "42601");
        // Only the catalog's parser reads this one.
        let doubled: Vec<String> = (1..40)
            .map(|at| format!("t{at} AS (SELECT l.oid FROM t{} l, t{} r)", at - 1, at - 1))
            .collect();
        let tree = format!(
            "WITH t0 AS (SELECT oid FROM pg_catalog.pg_class WHERE relname OPERATOR(pg_catalog.~) '^(e)$' COLLATE pg_catalog.default), {} SELECT * FROM t39",
            doubled.join(", ")
        );
        assert_eq!(read(&tree).unwrap_err().0, "54001");
    }

    #[test]
    fn tables_are_counted_where_they_stand() {
        let count = |sql: &str| tables(&Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap()[0]);
        assert_eq!(count("SELECT 1"), 0);
        assert_eq!(
            count("SELECT * FROM a JOIN b ON a.x = (SELECT max(x) FROM c)"),
            3
        );
        let doubled: Vec<String> = (1..40)
            .map(|at| format!("t{at} AS (SELECT l.n FROM t{} l, t{} r)", at - 1, at - 1))
            .collect();
        let tree = format!("WITH t0 AS (SELECT 1), {}", doubled.join(", "));
        assert!(count(&format!("{tree} SELECT * FROM t39")) > 1 << 39);
        assert!(count(&format!("SELECT * FROM ({tree} SELECT * FROM t39) AS x")) > 1 << 39);
        assert!(count(&format!("{tree}, \"T40\" AS (SELECT 1) SELECT 1")) > TABLES_MAX);
    }
}
