//! `keytrail rejects replay`: decodes again what was kept of rejects.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::super::decode::told;
use super::super::{Exit, Global, Lake, block_on};
use crate::decode;
use crate::model::{Decoded, Position, RawRecord, hex, sha256};
use crate::query::{Session, formatted};

/// How many rejects are held in memory at once; each has up to 64 KiB.
const PAGE: usize = 500;

/// The file that is written below `--out`; its ending says that every line is a message.
const FILE: &str = "rejects.ndjson";

#[derive(Debug, Args)]
pub(super) struct Again {
    /// Only rejects of this reason
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only rejects of this topic or file
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Write those that would be events now into a new file in this folder, for `keytrail replay --from DIR`. They are a new
    /// source there: the rows in `rejects` stay as they are
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    lake: Lake,
}

#[derive(Debug, Default)]
struct Counts {
    rejects: u64,
    events: u64,
    become_events: u64,
    ignored: u64,
    again: u64,
    altered: u64,
}

impl Again {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let params = global.load()?.decoding()?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut written = self.file()?;
        let mut counts = Counts::default();
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            let mut leaf = -1;
            loop {
                let (_, batches) = session.sql(&self.page(leaf)).await?;
                let rows = formatted(&batches)?;
                for row in &rows {
                    leaf = row[0].parse()?;
                    let (line, message) = judge(row, &params, &mut counts);
                    writeln!(out, "{line}")?;
                    if let (Some(file), Some(message)) = (&mut written, message) {
                        writeln!(file, "{message}")?;
                    }
                }
                if rows.len() < PAGE {
                    return Ok(());
                }
            }
        })?;
        out.flush()?;
        if let Some(file) = &mut written {
            file.flush()?;
        }
        global.say(summary(&counts));
        Ok(())
    }

    /// The file to write, which must be new: two runs must not mix.
    fn file(&self) -> Result<Option<BufWriter<File>>> {
        let Some(folder) = &self.out else {
            return Ok(None);
        };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(FILE);
        match File::create_new(&path) {
            Ok(file) => Ok(Some(BufWriter::new(file))),
            Err(error) => {
                let text = format!(
                    "cannot create {}: {error}; name another folder",
                    path.display()
                );
                Err(Exit(2, text).into())
            }
        }
    }

    fn page(&self, leaf: i64) -> String {
        let only = |column: &str, value: &Option<String>| match value {
            Some(value) => format!(" AND {column} = '{}'", value.replace('\'', "''")),
            None => String::new(),
        };
        format!(
            "SELECT _leaf, src_topic, src_partition, src_offset, src_index, code, raw_sha256, raw FROM rejects \
             WHERE stage = 'decode' AND _leaf > {leaf}{}{} ORDER BY _leaf LIMIT {PAGE}",
            only("code", &self.code),
            only("src_topic", &self.topic),
        )
    }
}

/// What one reject comes to now, and the message to replay if it is an event.
fn judge(
    row: &[String],
    params: &decode::Params,
    counts: &mut Counts,
) -> (serde_json::Value, Option<String>) {
    let [_, topic, partition, offset, index, code, raw_sha256, raw] = row else {
        unreachable!("the query selects eight columns");
    };
    let name: Arc<str> = Arc::from(topic.as_str());
    let record = RawRecord {
        position: Position {
            topic: name.clone(),
            partition: 0,
            offset: 0,
        },
        lane: name,
        appended_at: None,
        payload: Some(raw.clone().into_bytes()),
    };
    let opened = decode::open(&record, params);
    let decoded = opened.decode();
    let complete = hex(&sha256(raw.as_bytes())) == *raw_sha256;
    let events = decoded
        .pieces
        .iter()
        .filter(|piece| matches!(piece.decoded, Decoded::Event(_)))
        .count();
    let ignored = |piece: &crate::model::Piece<'_>| matches!(piece.decoded, Decoded::Ignored(_));
    counts.rejects += 1;
    counts.altered += u64::from(!complete);
    counts.events += events as u64;
    if events > 0 {
        counts.become_events += 1;
    } else if !decoded.pieces.is_empty() && decoded.pieces.iter().all(ignored) {
        counts.ignored += 1;
    } else {
        counts.again += 1;
    }
    let line = json!({
        "position": format!("{topic}/{partition}/{offset}/{index}"),
        "was": code,
        "kept": if complete { "complete" } else { "altered" },
        "now": decoded.pieces.iter().map(told).collect::<Vec<_>>(),
    });
    // A line break within JSON stands between values only: within a text it would be no JSON.
    let message = (events > 0).then(|| raw.replace(['\n', '\r'], " "));
    (line, message)
}

fn summary(counts: &Counts) -> String {
    let mut text = format!(
        "{} rejects: {} would be events now ({} events), {} ignored, {} rejected again",
        counts.rejects, counts.become_events, counts.events, counts.ignored, counts.again
    );
    if counts.altered > 0 {
        text.push_str(&format!(
            "\n{} were not kept as they came (secrets taken out, cut at 64 KiB, or not text): what is said of them is said of \
             what was kept; for the whole record read the topic again while it has it",
            counts.altered
        ));
    }
    text
}
