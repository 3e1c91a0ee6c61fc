//! `keytrail rules check|test`: which Sigma rules run, and whether they match what stands beside them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{Exit, Global};
use crate::config::rule_files;
use crate::decode;
use crate::model::{Decoded, Position, RawRecord};
use crate::rules::{Compiled, Example, RuleFile, RuleSet};

/// The exit code of a broken rule is that of a broken configuration.
const BROKEN: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct RulesCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say which rules run, which do not and why, and which are broken and where
    Check(Paths),
    /// Run the examples beside each rule: `NAME.examples.ndjson` beside `NAME.yml`
    Test(Paths),
}

#[derive(Debug, Args)]
struct Paths {
    /// Files or folders of rules
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl RulesCommand {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        match self.what {
            What::Check(Paths { paths }) => check(global, &rule_files(&paths)?),
            What::Test(Paths { paths }) => test(global, &rule_files(&paths)?),
        }
    }
}

fn check(global: &Global, files: &[RuleFile]) -> Result<()> {
    let compiled = RuleSet::compile(files);
    let mut out = std::io::stdout().lock();
    for rule in compiled.rules.told() {
        let sources: Vec<_> = rule.sources.iter().map(|source| source.name()).collect();
        let (file, title) = (rule.file, rule.title);
        writeln!(out, "runs      {file}: {title} ({})", sources.join(", "))?;
    }
    for left in &compiled.left {
        let (file, title, reason) = (&left.file, &left.title, &left.reason);
        writeln!(out, "left out  {file}: {title}: {reason}")?;
    }
    for fault in &compiled.faults {
        writeln!(out, "broken    {fault}")?;
    }
    global.say(format_args!(
        "{} run, {} left out, {} broken",
        compiled.rules.len(),
        compiled.left.len(),
        compiled.faults.len()
    ));
    sound(&compiled)
}

fn sound(compiled: &Compiled) -> Result<()> {
    match compiled.faults.len() {
        0 => Ok(()),
        count => Err(Exit(BROKEN, format!("{count} rules are broken")).into()),
    }
}

fn test(global: &Global, files: &[RuleFile]) -> Result<()> {
    let compiled = RuleSet::compile(files);
    for fault in &compiled.faults {
        global.say(fault);
    }
    sound(&compiled)?;
    let params = global.load()?.decoding()?;
    let mut out = std::io::stdout().lock();
    let (mut ran, mut failed) = (0, 0);
    for file in files {
        let beside = Path::new(&file.name).with_extension("examples.ndjson");
        if !beside.exists() {
            writeln!(out, "no examples  {}", file.name)?;
            continue;
        }
        let text = std::fs::read_to_string(&beside)
            .with_context(|| format!("cannot read {}", beside.display()))?;
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let place = format!("{}:{}", beside.display(), number + 1);
            let example: Example = serde_json::from_str(line)
                .map_err(|error| Exit(BROKEN, format!("{place}: no example: {error}")))?;
            ran += 1;
            match wrong(&compiled.rules, &file.name, &example, &params) {
                None => writeln!(out, "ok           {}: {}", file.name, example.name)?,
                Some(reason) => {
                    failed += 1;
                    writeln!(out, "FAILED       {place}: {}: {reason}", example.name)?;
                }
            }
        }
    }
    global.say(format_args!("{ran} examples, {failed} failed"));
    match failed {
        0 => Ok(()),
        _ => Err(Exit(1, format!("{failed} of {ran} examples failed")).into()),
    }
}

/// What is wrong with an example, if anything is.
fn wrong(
    rules: &RuleSet,
    file: &str,
    example: &Example,
    params: &decode::Params,
) -> Option<String> {
    let record = RawRecord {
        position: Position {
            topic: Arc::from("example"),
            partition: 0,
            offset: 0,
        },
        lane: Arc::from("example"),
        appended_at: None,
        payload: Some(example.event.to_string().into_bytes()),
    };
    let opened = decode::open(&record, params);
    let decoded = opened.decode();
    let [piece] = decoded.pieces.as_slice() else {
        return Some("it holds several records".to_owned());
    };
    match &piece.decoded {
        Decoded::Event(_) => (),
        Decoded::Reject(reject) => {
            return Some(format!("its event is no event: {}", reject.detail));
        }
        Decoded::Ignored(reason) => return Some(format!("its event is none: {}", reason.reason())),
    }
    if let Some(reason) = example.unknown() {
        return Some(reason);
    }
    match rules.example(file, piece, example) {
        None => Some("no rule of this file runs; `keytrail rules check` says why".to_owned()),
        Some(found) if found == example.matches => None,
        Some(true) => Some("it matches, and must not".to_owned()),
        Some(false) => Some("it does not match, and must".to_owned()),
    }
}
