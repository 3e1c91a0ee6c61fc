//! `keytrail report`: documents to hand on, and whether one is still what it was.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::query::pair;
use super::{Exit, Global, block_on};
use crate::model::Micros;
use crate::query::{QueryError, Session};
use crate::report::{self, Checked, Definition, Document, Form, REPORTS, Unread, render, sidecar};

#[derive(Debug, Args)]
#[command(after_help = names())]
pub(super) struct ReportCommand {
    /// Report to make, or `verify`; left out, the reports are listed
    name: Option<String>,
    /// The report to verify
    #[arg(required_if_eq("name", "verify"))]
    file: Option<PathBuf>,
    /// The lake: a folder, or an address like s3://bucket/lake
    #[arg(long, env = "KEYTRAIL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A value that the report takes, `-p days=60`; `keytrail report` lists them
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = pair)]
    params: Vec<(String, String)>,
    /// What the lake knew at this time, a day or a time; now unless given
    #[arg(long, value_name = "TIME", value_parser = super::inventory::time)]
    as_of: Option<Micros>,
    /// Tell what came, went and moved since this time
    #[arg(long, value_name = "TIME", value_parser = super::inventory::time)]
    since: Option<Micros>,
    /// Form of the file; what its name says unless given, else Markdown
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// Where to write it; stdout unless given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Who makes it; the user that runs this program unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// What there is, for the help.
fn names() -> String {
    let mut text = "Reports:\n".to_owned();
    for report in REPORTS {
        text += &format!("  {:<14} {}\n", report.name, report.purpose);
    }
    text + "\n`keytrail report verify FILE --data DIR` says whether a file is still what the lake says."
}

impl ReportCommand {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let Some(name) = self.name.as_deref() else {
            let mut out = std::io::stdout();
            for report in REPORTS {
                writeln!(out, "{}\n    {}", report.name, report.purpose)?;
                let takes: Vec<String> = report.takes()?.into_iter().collect();
                if !takes.is_empty() {
                    writeln!(out, "    takes {}", takes.join(", "))?;
                }
            }
            return Ok(());
        };
        let usage = |text: &str| Err(Exit(2, text.to_owned()).into());
        if let Some(file) = self.file.as_deref() {
            if name != "verify" {
                return usage("a report is written to the file that -o names");
            }
            if self.asks() {
                return usage("verify takes a file and --data: the report says everything else");
            }
            return verify(global, file, self.data.as_deref());
        }
        let definition = report::report(name).ok_or_else(|| unknown(name))?;
        let Some(data) = self.data.clone() else {
            return usage("--data says of which lake to make it");
        };
        let form = self.form()?;
        let document = block_on(self.make(&definition, &data))?;
        self.write(global, &document, form)
    }

    /// Whether anything was given that says how to make a report.
    fn asks(&self) -> bool {
        let times = self.as_of.is_some() || self.since.is_some();
        times || !self.params.is_empty() || self.output.is_some() || self.format.is_some()
    }

    fn form(&self) -> Result<Form> {
        let Some(path) = &self.output else {
            return Ok(self.format.unwrap_or(Form::Md));
        };
        match (self.format, Form::of(path)) {
            (None, Some(named)) => Ok(named),
            (Some(form), Some(named)) if form == named => Ok(form),
            (_, named) => {
                let text = if named.is_some() {
                    "--format is another form than the name of the file says"
                } else {
                    "the name of the file must end in .md, .html, .csv, .json, .xlsx or .oscal.json"
                };
                Err(Exit(2, format!("{text}: it could not be verified")).into())
            }
        }
    }

    async fn make(&self, definition: &Definition, data: &Path) -> Result<Document> {
        let latest = Session::open(data).await?;
        let earlier = match self.since {
            Some(since) => Some(opened(&latest, data, since).await?),
            None => None,
        };
        let session = match self.as_of {
            Some(as_of) => opened(&latest, data, as_of).await?,
            None => latest,
        };
        if earlier
            .as_ref()
            .is_some_and(|earlier| earlier.epoch() > session.epoch())
        {
            return Err(Exit(2, "--since must be before --as-of".to_owned()).into());
        }
        let given: BTreeMap<String, String> = self.params.iter().cloned().collect();
        let author = super::state::author(self.by.clone());
        let now = Micros(chrono::Utc::now().timestamp_micros()).to_string();
        let who = (author.as_str(), now.as_str());
        Ok(report::make(definition, &given, &session, earlier.as_ref(), who).await?)
    }

    fn write(&self, global: &Global, document: &Document, form: Form) -> Result<()> {
        let rendered = |form| render(document, form).map_err(|error| Exit(2, error));
        let bytes = rendered(form)?;
        let Some(path) = &self.output else {
            std::io::stdout().write_all(&bytes)?;
            return Ok(());
        };
        std::fs::write(path, bytes)?;
        if form.needs_sidecar() {
            std::fs::write(sidecar(path), rendered(Form::Json)?)?;
        }
        let tables = match document.parts.len() {
            1 => String::new(),
            parts if form == Form::Csv => format!(", the first of {parts} tables"),
            parts => format!(" and {} more tables", parts - 1),
        };
        global.say(format_args!(
            "{}: {} rows{tables}, as of epoch {}",
            path.display(),
            document.subject().rows.len(),
            document.provenance.epoch().unwrap_or(0)
        ));
        Ok(())
    }
}

/// The lake as of `time`.
async fn opened(latest: &Session, data: &Path, time: Micros) -> Result<Session> {
    let Some(epoch) = latest.epoch_at(time).await? else {
        return Err(Exit(2, format!("the lake had no epoch at {time} yet")).into());
    };
    Ok(Session::open_as_of(data, epoch).await?)
}

/// Exit code 6 if the file is not what it was, or not what the lake says.
fn verify(global: &Global, file: &Path, data: Option<&Path>) -> Result<()> {
    let document = report::read(file).map_err(|error| match error {
        Unread::Io(reason) => Exit(4, reason),
        Unread::Changed(reason) => Exit(6, reason),
    })?;
    let shown = file.display();
    let epoch = document.provenance.epoch().unwrap_or(0);
    let rows: usize = document.parts.iter().map(|part| part.rows.len()).sum();
    let Some(data) = data else {
        global.say(format_args!(
            "{shown} agrees with itself: {rows} rows as of epoch {epoch}. Whether the lake says so, `--data DIR` tells",
        ));
        return Ok(());
    };
    match block_on(again(&document, data, epoch))? {
        Checked::Same => {
            global.say(format_args!(
                "{shown} is what the lake says: {rows} rows as of epoch {epoch}. By whom and when it was made nothing proves",
            ));
            Ok(())
        }
        Checked::Differs(reason) => Err(Exit(6, format!("{shown}: {reason}")).into()),
    }
}

async fn again(document: &Document, data: &Path, epoch: i64) -> Result<Checked> {
    let opened = async {
        let session = Session::open_as_of(data, epoch).await?;
        let earlier = match &document.changes {
            Some(changes) => Some(Session::open_as_of(data, changes.since_epoch).await?),
            None => None,
        };
        Ok((session, earlier))
    };
    match opened.await {
        Ok((session, earlier)) => Ok(report::compare(document, &session, earlier.as_ref()).await?),
        Err(error @ QueryError::NoEpoch { .. }) => Ok(Checked::Differs(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn unknown(name: &str) -> Exit {
    let nearest = REPORTS.iter().max_by(|one, other| {
        let near = |report: &Definition| strsim::jaro_winkler(name, report.name);
        near(one).total_cmp(&near(other))
    });
    let nearest = nearest.map_or("", |report| report.name);
    Exit(
        2,
        format!(
            "there is no report {name:?}; did you mean {nearest}? `keytrail report` lists them"
        ),
    )
}
