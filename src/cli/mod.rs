//! One file per command. stdout is data, stderr is talk; the exit code says how it ended.

// `println!` panics when whoever reads has left, as `head` does; `writeln!` tells.
#![warn(clippy::print_stdout)]

mod config;
mod decode;
mod demo;
mod evaluate;
mod findings;
mod inventory;
mod investigate;
mod mirror;
mod prove;
mod query;
mod rejects;
mod replay;
mod report;
mod review;
#[cfg(feature = "sigma")]
mod rules;
mod run;
#[cfg(feature = "postgres")]
mod serve;
mod simulate;
mod sql;
mod state;
mod upkeep;
mod verify;

use std::fmt;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::ingest::{IngestError, Stop};
use crate::lake::LakeError;
use crate::pipeline::PipelineError;
use crate::query::{Format, QueryError, Session};
#[cfg(feature = "postgres")]
use crate::serve::ServeError;
use crate::telemetry;

/// What each exit code means; the same list stands in the runbook.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  findings at or above --fail-on
  2  usage
  3  configuration
  4  source or sink unavailable
  6  integrity: evidence is damaged or in doubt";

/// Who did this, with which credential, and should it still be able to?
#[derive(Debug, Parser)]
#[command(
    name = "keytrail",
    version,
    before_help = "Examples:
  keytrail demo
      a sample estate through the real pipeline, nothing installed
  keytrail replay --from ./logs --data ./lake
      log files → evidence
  keytrail sql --data ./lake \"SELECT * FROM finding\"
      ask in SQL
  keytrail query dormant-identities --data ./lake -p days=60
      ask a prepared question
  keytrail run --config keytrail.toml
      Kafka → evidence, until stopped
  keytrail serve --config keytrail.toml
      the lake for psql, Grafana and whatever else speaks PostgreSQL's protocol",
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
struct Global {
    /// Configuration file. Settings in the environment (KEYTRAIL_LAKE__EPOCH_AGE=5s) go over it
    #[arg(long, global = true, env = "KEYTRAIL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say only what is wrong
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish a labelled sample estate to a broker in this process, run the real pipeline over it, tell what was found
    Demo(demo::Demo),
    /// The service: Kafka → evidence, until stopped
    Run(run::Run),
    /// The same pipeline over files and folders
    Replay(replay::Replay),
    /// Say what each message is: layers, source, event or reject. Writes nothing
    Decode(decode::Decode),
    /// Ask the evidence in SQL; without a statement, in a prompt
    Sql(sql::Sql),
    /// Ask one of the prepared questions; without a name, list them
    Query(query::Query),
    /// What people know of identities: owners, purposes, criticality
    Inventory(inventory::Inventory),
    /// A document to hand on: dormancy, access review, rotation and others; or check one
    Report(report::ReportCommand),
    /// Decisions about access: sheets that were filled in, single ones, and what is due
    Review(review::Review),
    /// List findings, show one with its reasons and events, or say what one turned out to be
    Findings(findings::Findings),
    /// What was read and is no event: by reason, one with its text, or decoded again
    Rejects(rejects::Rejects),
    /// Who is behind an event, session, credential or identity: hop by hop, with the evidence of each
    Investigate(investigate::Investigate),
    /// Hold what the evidence says to the labels of a simulated estate
    Evaluate(evaluate::Evaluate),
    /// Check the lake: signatures, chain, offsets, conservation, tree, tables, every row
    Verify(verify::Verify),
    /// Write a proof that one event's row is in the log
    Prove(prove::Prove),
    /// Check a proof offline, with nothing but the public key
    VerifyProof(prove::VerifyProof),
    /// Append the newest checkpoint to a file outside of the lake
    Anchor(prove::Anchor),
    /// Merge small files, seal days, write checkpoints, remove what nobody needs. `run` does it by itself
    Upkeep(upkeep::Upkeep),
    /// Write a labelled sample estate to files
    Simulate(simulate::Simulate),
    /// Sigma rules of your own: which of them run, and whether they match their examples
    #[cfg(feature = "sigma")]
    Rules(rules::RulesCommand),
    /// The lake for other tools: SQL over PostgreSQL's protocol, read-only
    #[cfg(feature = "postgres")]
    Serve(serve::Serve),
    /// Check, print or describe the configuration
    Config(config::ConfigCommand),
}

impl Command {
    /// Whether it runs until it is stopped, so that what happens is its output.
    const fn serves(&self) -> bool {
        match self {
            Self::Run(_) => true,
            #[cfg(feature = "postgres")]
            Self::Serve(_) => true,
            _ => false,
        }
    }
}

/// Which lake to read.
#[derive(Debug, Args)]
struct Lake {
    /// The lake: a folder, or an address like s3://bucket/lake, gs://bucket/lake, az://container/lake
    #[arg(long, env = "KEYTRAIL_DATA", value_name = "DIR")]
    data: PathBuf,
}

/// In which form to print.
#[derive(Debug, Args)]
struct Output {
    /// Form of the result: a table on a terminal, ndjson when piped
    #[arg(long, short, value_enum)]
    output: Option<Format>,
}

impl Output {
    fn format(&self) -> Format {
        self.output.unwrap_or_else(|| {
            if std::io::stdout().is_terminal() {
                Format::Table
            } else {
                Format::Ndjson
            }
        })
    }
}

/// An ending that is no error but not 0 either.
#[derive(Debug)]
struct Exit(u8, String);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Exit {}

/// Runs the command line and gives the process's exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    telemetry::start(cli.global.quiet || !cli.command.serves());
    let result = match cli.command {
        Command::Demo(command) => command.run(&cli.global),
        Command::Run(command) => command.run(&cli.global),
        Command::Replay(command) => command.run(&cli.global),
        Command::Decode(command) => command.run(&cli.global),
        Command::Sql(command) => command.run(),
        Command::Query(command) => command.run(),
        Command::Inventory(command) => command.run(&cli.global),
        Command::Report(command) => command.run(&cli.global),
        Command::Review(command) => command.run(&cli.global),
        Command::Findings(command) => command.run(&cli.global),
        Command::Rejects(command) => command.run(&cli.global),
        Command::Investigate(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Prove(command) => command.run(),
        Command::VerifyProof(command) => command.run(),
        Command::Anchor(command) => command.run(),
        Command::Upkeep(command) => command.run(&cli.global),
        Command::Simulate(command) => command.run(&cli.global),
        #[cfg(feature = "sigma")]
        Command::Rules(command) => command.run(&cli.global),
        #[cfg(feature = "postgres")]
        Command::Serve(command) => command.run(&cli.global),
        Command::Config(command) => command.run(&cli.global),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keytrail: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Whether the reader of our output has left, as `head` does: that is its right and no error of ours.
fn broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(exit) = cause.downcast_ref::<Exit>() {
            return exit.0;
        }
        if cause.is::<ConfigError>() {
            return 3;
        }
        if let Some(error) = cause.downcast_ref::<PipelineError>() {
            return if error.integrity() { 6 } else { 4 };
        }
        if let Some(error) = cause.downcast_ref::<LakeError>() {
            return if error.integrity() { 6 } else { 4 };
        }
        if let Some(error) = cause.downcast_ref::<QueryError>() {
            return match error {
                QueryError::Lake(error) if error.integrity() => 6,
                QueryError::NoLake(_) | QueryError::Delta { .. } | QueryError::Lake(_) => 4,
                _ => 2,
            };
        }
        if cause.is::<IngestError>() {
            return 4;
        }
        #[cfg(feature = "postgres")]
        if let Some(error) = cause.downcast_ref::<ServeError>() {
            return if error.configuration() { 3 } else { 4 };
        }
    }
    4
}

impl Global {
    /// The configuration: file, then environment.
    fn load(&self) -> Result<Config, ConfigError> {
        crate::config::load(self.config.as_deref(), std::env::vars())
    }

    /// Says something to the person at the terminal, unless they asked for quiet.
    fn say(&self, text: impl fmt::Display) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

/// Where the lake is: as the command says, else as the configuration does.
fn lake_of(data: Option<PathBuf>, config: &Config) -> Result<PathBuf, ConfigError> {
    let set = &config.lake.url;
    data.or_else(|| (!set.is_empty()).then(|| PathBuf::from(set)))
        .ok_or_else(|| missing("lake.url", "--data"))
}

/// That neither the configuration nor `flag` says what `key` is.
fn missing(key: &str, flag: &str) -> ConfigError {
    ConfigError::Invalid {
        origin: "configuration".to_owned(),
        reason: format!("{key} is not set"),
        suggestion: format!("; set it in the file or pass {flag}"),
    }
}

/// A runtime for commands that read the lake.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(future)
}

/// Asks `sql` of the lake in `data` and prints the answer.
async fn print_sql(data: &Path, sql: &str, format: Format) -> Result<()> {
    let session = Session::open(data).await?;
    print_answer(&session, sql, format).await
}

async fn print_answer(session: &Session, sql: &str, format: Format) -> Result<()> {
    let (schema, batches) = session.sql(sql).await?;
    let mut out = std::io::BufWriter::new(std::io::stdout());
    crate::query::write(&mut out, format, schema, &batches)?;
    out.flush()?;
    Ok(())
}

/// Requests `stop` on Ctrl-C and on SIGTERM; a second Ctrl-C ends the process at once.
fn stop_on_signals(stop: &Stop) -> Result<()> {
    let stop = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                wait_for_signal().await;
                telemetry::Event::Stopping.tell();
                stop.request();
                wait_for_signal().await;
                std::process::exit(130);
            });
        })?;
    Ok(())
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        _ = terminate.recv() => (),
    }
}
