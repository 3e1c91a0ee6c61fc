//! `keytrail query`: the prepared questions.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;
use clap::Args;

use super::{Lake, Output, block_on, print_sql};
use crate::query::{QueryError, Question, bind, question, questions};

#[derive(Debug, Args)]
pub(super) struct Query {
    /// Question to ask; left out, the questions are listed
    name: Option<String>,
    /// A value that the question takes, `-p days=60`
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = pair)]
    params: Vec<(String, String)>,
    #[command(flatten)]
    lake: OptionalLake,
    #[command(flatten)]
    output: Output,
}

/// Listing the questions needs no lake.
#[derive(Debug, Args)]
struct OptionalLake {
    /// The lake: a folder, or an address like s3://bucket/lake
    #[arg(long, env = "KEYTRAIL_DATA", value_name = "DIR")]
    data: Option<std::path::PathBuf>,
}

impl Query {
    pub(super) fn run(self) -> Result<()> {
        let mut out = std::io::stdout();
        let Some(name) = &self.name else {
            for question in &questions()? {
                print_question(question, &mut out)?;
            }
            return Ok(());
        };
        let question = question(name)?;
        let Some(data) = self.lake.data else {
            print_question(&question, &mut out)?;
            return Err(
                QueryError::Question("--data says of which lake to ask it".to_owned()).into(),
            );
        };
        let lake = Lake { data };
        let given: BTreeMap<String, String> = self.params.into_iter().collect();
        let sql = bind(&question, &given)?;
        for caveat in &question.caveats {
            eprintln!("note: {caveat}");
        }
        block_on(print_sql(&lake.data, &sql, self.output.format()))
    }
}

fn print_question(question: &Question, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{}", question.name)?;
    writeln!(out, "    {}", question.asks)?;
    for param in &question.params {
        let default = match &param.default {
            Some(default) => format!("default {default}"),
            None => "must be given".to_owned(),
        };
        writeln!(
            out,
            "    -p {}=…  {} ({default})",
            param.name, param.meaning
        )?;
    }
    if !question.controls.is_empty() {
        writeln!(out, "    controls: {}", question.controls.join(", "))?;
    }
    Ok(())
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))
}
