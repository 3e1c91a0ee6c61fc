//! `keytrail sql`: one statement, a file of one, or a prompt.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::{Lake, Output, block_on, print_answer, print_sql};
use crate::query::{Format, Session};

#[derive(Debug, Args)]
pub(super) struct Sql {
    /// One SELECT. Left out, it is read from --file, from standard input, or at a prompt
    statement: Option<String>,
    /// File that holds the SELECT
    #[arg(long, short, value_name = "FILE", conflicts_with = "statement")]
    file: Option<PathBuf>,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

impl Sql {
    pub(super) fn run(self) -> Result<()> {
        let format = self.output.format();
        let statement = match (self.statement, self.file) {
            (Some(statement), _) => Some(statement),
            (None, Some(path)) => Some(
                std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
            ),
            (None, None) if !std::io::stdin().is_terminal() => {
                Some(std::io::read_to_string(std::io::stdin())?)
            }
            (None, None) => None,
        };
        match statement {
            Some(statement) => block_on(print_sql(&self.lake.data, &statement, format)),
            None => prompt(&self.lake.data, format),
        }
    }
}

/// Asks and answers until the person leaves. Each answer is as of the epoch that was last when it was asked.
pub(super) fn prompt(data: &Path, format: Format) -> Result<()> {
    let mut editor = rustyline::DefaultEditor::new()?;
    eprintln!("One SELECT a line; SHOW TABLES lists what there is; Ctrl-D leaves.");
    while let Ok(line) = editor.readline("keytrail> ") {
        if line.trim().is_empty() {
            continue;
        }
        editor.add_history_entry(&line)?;
        let answered = block_on(async {
            let session = Session::open(data).await?;
            print_answer(&session, &line, format).await
        });
        if let Err(error) = answered {
            eprintln!("{error:#}");
        }
    }
    Ok(())
}
