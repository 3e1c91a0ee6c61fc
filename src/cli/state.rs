//! What a person states through a command: into the lake's inbox, and from there into the lake, by the service if one runs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::replay::settings;
use super::{Exit, Global, Lake};
use crate::lake::{self, Found, Inbox, Watch};
use crate::model::{Micros, Stated, Statement, hex, sha256};
use crate::pipeline::{self, Settings};

/// How often it is looked whether the service has taken a statement.
const LOOK: Duration = Duration::from_millis(100);

/// How long beyond an epoch the service may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than this nobody waits at a terminal.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A lease that did not change for so many of its spans belongs to a writer that died: a standby would be there by now.
const SPANS: u32 = 2;

/// Who says something, since when it holds, and to which lake.
#[derive(Debug, Args)]
pub(super) struct Said {
    /// Since when it holds, a day or a time; now unless given
    #[arg(long, value_name = "TIME", value_parser = super::inventory::time)]
    as_of: Option<Micros>,
    /// Who says so; the user that runs this program unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    lake: Lake,
}

impl Said {
    /// States `what` and says `done` once the lake has it.
    pub(super) fn state(self, global: &Global, what: Stated, done: &str) -> Result<()> {
        let statement = statement(what, self.as_of, self.by);
        if state(global, &self.lake.data, &statement)? {
            global.say(done);
        }
        Ok(())
    }
}

/// Names of columns and what they mean, for a help.
pub(super) fn listed(columns: &[(&str, &str)]) -> String {
    let lines = columns.iter();
    lines
        .map(|(name, meaning)| format!("  {name:<15} {meaning}\n"))
        .collect()
}

/// A statement that is made now by `author`, or by whoever runs this program.
pub(super) fn statement(what: Stated, at: Option<Micros>, author: Option<String>) -> Statement {
    let now = Micros(chrono::Utc::now().timestamp_micros());
    let author = self::author(author);
    let body = serde_json::to_string(&what).unwrap_or_default();
    let text = format!("{} {author} {} {body}", now.0, std::process::id());
    Statement {
        uid: format!("st-{}", hex(&sha256(text.as_bytes())[..10])),
        at: at.unwrap_or(now),
        author,
        what,
    }
}

/// Who says something: whoever is named, else the user that runs this program.
pub(super) fn author(named: Option<String>) -> String {
    named
        .or_else(|| std::env::var("USER").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Puts `statement` into the lake in `data`. If a service writes there, it takes it with its next epoch, which is waited for;
/// else an epoch is made for it here. Whether it is in the lake now; if not, it was said that it waits.
pub(super) fn state(global: &Global, data: &Path, statement: &Statement) -> Result<bool> {
    let config = global.load()?;
    let Some(job) = lake::first_job(data) else {
        return Err(Exit(4, format!("{} holds no lake", data.display())).into());
    };
    // Whatever is wrong with the settings is said before anything is stated.
    let settings = settings(&config, data.to_owned(), config.identity.lateness)?;
    let settings = Settings { job, ..settings };
    let lease = config.lake.lease.duration() * SPANS;
    let until = Instant::now() + WAIT_MAX.min(config.lake.epoch_age.duration() + lease + PATIENCE);
    let mut watch = Watch::new(data, lease)?;
    Inbox::put(data, statement)?;
    while Instant::now() < until {
        match Inbox::find(data, statement)? {
            Found::Taken => return Ok(true),
            Found::Refused => {
                let text = "the service that writes this lake does not understand what was stated: is it an older build? \
                            It lies in inbox/refused";
                return Err(Exit(4, text.to_owned()).into());
            }
            Found::Waits => (),
        }
        if watch.free(Instant::now())? {
            pipeline::take_statements(&settings)?;
        }
        std::thread::sleep(LOOK);
    }
    global.say("it waits in the inbox: whoever writes this lake takes it with the next epoch");
    Ok(false)
}
