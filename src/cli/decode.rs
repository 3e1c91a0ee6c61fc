//! `keytrail decode`: what each message is, without writing anything.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::Global;
use crate::decode;
use crate::ingest::{Files, Listing, Positions, Pull, RecordSource};
use crate::model::{Decoded, Piece, Principal};

#[derive(Debug, Args)]
pub(super) struct Decode {
    /// Files or folders, `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

impl Decode {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let config = global.load()?;
        let params = config.decoding()?;
        let bytes_max = config.decode.message_bytes_max;
        let listing = Listing::of(&self.paths)?;
        let mut files = Files::new(listing, Positions::new(), bytes_max);
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let (mut events, mut rejects, mut ignored) = (0u64, 0u64, 0u64);
        while let Pull::Record(record) = files.pull(Duration::ZERO)? {
            let opened = decode::open(&record, &params);
            for (index, piece) in opened.decode().pieces.iter().enumerate() {
                match piece.decoded {
                    Decoded::Event(_) => events += 1,
                    Decoded::Reject(_) => rejects += 1,
                    Decoded::Ignored(_) => ignored += 1,
                }
                let line = json!({
                    "file": record.position.topic.as_ref(),
                    "message": record.position.offset,
                    "index": index,
                    "layers": piece.layers,
                    "is": told(piece),
                });
                writeln!(out, "{line}")?;
            }
        }
        out.flush()?;
        global.say(format_args!(
            "{events} events, {rejects} rejects, {ignored} ignored"
        ));
        Ok(())
    }
}

/// What became of one element, as JSON.
pub(super) fn told(piece: &Piece<'_>) -> serde_json::Value {
    match &piece.decoded {
        Decoded::Event(event) => json!({
            "event": event.event_uid,
            "source": event.source.name(),
            "time": event.event_time.to_string(),
            "operation": event.operation,
            "outcome": event.outcome.name(),
            "principal": match &event.principal {
                Principal::Aws(aws) => format!(
                    "{:?} {}",
                    aws.principal_type,
                    aws.arn.as_deref().or(aws.principal_id.as_deref()).unwrap_or_default()
                ),
                Principal::Azure(azure) => format!(
                    "{:?} {}",
                    azure.subject,
                    azure.object_id.as_deref().or(azure.name.as_deref()).unwrap_or_default()
                ),
            },
            "flags": event.flags.names().collect::<Vec<_>>(),
        }),
        Decoded::Ignored(reason) => json!({ "ignored": reason.reason() }),
        Decoded::Reject(reject) => json!({
            "reject": reject.code.code(),
            "detail": reject.detail,
            "advice": reject.code.advice(),
            "fingerprint": reject.fingerprint,
        }),
    }
}
