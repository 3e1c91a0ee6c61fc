//! Every prepared question over a lake that is always the same: `tests/slt` has a file for each, in the form of sqllogictest.
//!
//! `question NAME param=value` asks one and makes a table of its answer; the queries after it look at that. A value like
//! `$IDENTITY` is taken from the lake by the statement of that name in [`GIVEN`].
//!
//! `KEYTRAIL_BLESS=1` writes what is answered into the files: read the difference before it is committed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use keytrail::query::{Format, QueryError, Session, bind, question, questions, write};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Runner, default_column_validator, default_normalizer,
    default_validator,
};

use super::sql::lake;
use super::wait;

/// What questions are asked about.
const GIVEN: [(&str, &str); 6] = [
    (
        "$IDENTITY",
        "SELECT nhi_uid FROM events WHERE provider = 'aws' AND nhi_uid IS NOT NULL GROUP BY 1 ORDER BY count(DISTINCT service) DESC, 1 LIMIT 1",
    ),
    (
        "$CHANGED",
        "SELECT target_identity_uid FROM lifecycle WHERE target_credential_uid IS NOT NULL ORDER BY 1 LIMIT 1",
    ),
    (
        "$EVENT",
        "SELECT event_uid FROM events WHERE cardinality(chain) > 1 ORDER BY 1 LIMIT 1",
    ),
    (
        "$FINDING",
        "SELECT finding_uid FROM findings ORDER BY 1 LIMIT 1",
    ),
    (
        "$FOUND",
        "SELECT identity_uid FROM findings ORDER BY 1 LIMIT 1",
    ),
    (
        "$SESSION",
        "SELECT issued_by_session_uid FROM sessions WHERE issued_by_session_uid IS NOT NULL ORDER BY 1 LIMIT 1",
    ),
];

/// A session of the lake, which remembers the last answer.
struct Asked(Session);

#[derive(Debug)]
struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl From<QueryError> for Wrong {
    fn from(error: QueryError) -> Self {
        Self(error.to_string())
    }
}

impl Asked {
    /// The rows of one answer, as texts.
    async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, Wrong> {
        let (schema, batches) = self.0.sql(sql).await?;
        let mut text = Vec::new();
        write(&mut text, Format::Csv, schema, &batches)?;
        let mut reader = csv::Reader::from_reader(text.as_slice());
        let rows = reader.records().map(|row| {
            let row = row.map_err(|error| Wrong(error.to_string()))?;
            let cell = |cell: &str| match cell {
                "" => "NULL".to_owned(),
                cell => cell.to_owned(),
            };
            Ok(row.iter().map(cell).collect())
        });
        rows.collect()
    }

    async fn question(&self, words: &str) -> Result<(), Wrong> {
        let mut words = words.split_whitespace();
        let name = words.next().unwrap_or_default();
        let question = question(name)?;
        let mut params = BTreeMap::new();
        for word in words {
            let (param, value) = word.split_once('=').unwrap();
            let value = match GIVEN.iter().find(|(name, _)| *name == value) {
                Some((_, sql)) => self.rows(sql).await?.remove(0).remove(0),
                None => value.to_owned(),
            };
            params.insert(param.to_owned(), value);
        }
        let (schema, batches) = self.0.sql(&bind(&question, &params)?).await?;
        Ok(self.0.register_rows("answer", schema, batches)?)
    }
}

#[async_trait]
impl AsyncDB for Asked {
    type Error = Wrong;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Wrong> {
        if let Some(words) = sql.strip_prefix("question ") {
            self.question(words).await?;
            return Ok(DBOutput::StatementComplete(0));
        }
        let rows = self.rows(sql).await?;
        let types = rows.first().map_or(0, Vec::len);
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Text; types],
            rows,
        })
    }

    async fn shutdown(&mut self) {}
}

fn files() -> Vec<PathBuf> {
    let files = fs::read_dir("tests/slt").unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_question_has_a_file() {
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut there: Vec<String> = files().iter().map(|file| stem(file)).collect();
    there.sort();
    let mut asked: Vec<String> = questions()
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    asked.sort();
    assert_eq!(there, asked);
}

#[test]
fn answers_are_those_of_the_files() {
    let lake = lake();
    wait(async move {
        let mut runner = Runner::new(|| {
            let lake = lake.clone();
            async move { Ok(Asked(Session::open(&lake).await?)) }
        });
        for file in files() {
            if std::env::var_os("KEYTRAIL_BLESS").is_some() {
                let written = runner.update_test_file(
                    &file,
                    "\t",
                    default_validator,
                    default_normalizer,
                    default_column_validator,
                );
                written.await.unwrap();
            }
            let ran = runner.run_file_async(&file).await;
            ran.unwrap_or_else(|error| panic!("{}", error.display(false)));
        }
    });
}
