//! SQL over evidence: read-only, one epoch, with the views and questions of `queries/`.

mod output;
mod published;
mod questions;
mod session;

use std::path::PathBuf;

use thiserror::Error;

pub use output::{Format, csv_field, formatted, harmless, write};
pub use questions::{Param, Question, bind, question, questions};
pub use session::{Access, CATALOG, Session, views_sha256};

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    #[error(
        "there is no lake in {0}: `keytrail demo` makes one, `keytrail replay --from FILES --data DIR` fills one"
    )]
    NoLake(PathBuf),
    #[error(transparent)]
    DataFusion(#[from] datafusion::error::DataFusionError),
    #[error(transparent)]
    Lake(#[from] crate::lake::LakeError),
    #[error("table {table}: {source}")]
    Delta {
        table: &'static str,
        source: Box<deltalake::DeltaTableError>,
    },
    #[error("the lake has no epoch {epoch}; up to there its last one is {last}")]
    NoEpoch { epoch: i64, last: i64 },
    #[error(
        "a join ran out of memory, and its answer may lack rows: ask for fewer, by days or by identity"
    )]
    LostRows,
    #[error("the statement is too large: its plan has too many parts")]
    TooLarge,
    #[error("only one SELECT is allowed here: {0}")]
    NotReadOnly(String),
    #[error("{0}")]
    Question(String),
    #[error("cannot write the result: {0}")]
    Write(#[from] std::io::Error),
    #[error("cannot write the result: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("cannot write the result: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}
