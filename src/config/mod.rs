//! Defaults < file < environment < flags → one checked [`Config`].
//!
//! Unknown keys are errors, because a setting that is misspelt and ignored is a setting that is silently not made.
//! `Config` never crosses the line upward: it is taken apart into the parameters of the pure part here.

mod detect;
mod load;
mod rules;
mod serve;
mod span;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::correlate::Places;
use crate::enrich::{self, EnrichError};
use crate::{attribute, decode, engine};

pub use detect::Detect;
pub use load::{load, schema_json};
#[cfg(feature = "sigma")]
pub use rules::rule_files;
pub use serve::{Role, Serve};
pub use span::Span;

/// Why a configuration is refused. Always the user's to mend: exit code 3.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{origin}: {reason}{suggestion}")]
    Invalid {
        origin: String,
        reason: String,
        suggestion: String,
    },
    #[error("detect.sigma.rules:\n  {0}")]
    Rules(String),
    #[error("enrich: {0}")]
    Enrich(#[from] EnrichError),
    #[error("{key}: {reason}")]
    Secret { key: String, reason: String },
}

/// Everything that can be set.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub kafka: Kafka,
    pub lake: Lake,
    pub upkeep: Upkeep,
    pub decode: Decode,
    pub identity: Identity,
    pub detect: Detect,
    pub enrich: Enrich,
    pub integrity: Integrity,
    pub rejects: Rejects,
    pub serve: Serve,
}

/// Where records come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to start from, `host:port`.
    pub brokers: Vec<String>,
    /// Topics to read. Every message says itself which log it comes from.
    pub topics: Vec<Topic>,
    /// Where a partition begins that the ledger does not know yet. From then on the ledger alone decides.
    pub start: Start,
    /// librdkafka properties, passed through; a value `env:NAME` or `file:/path` is read from there.
    pub properties: BTreeMap<String, String>,
}

/// Files about addresses. Everything works without them; with them, rows say more and `unusual-origin` sees more.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Enrich {
    /// MMDB databases (GeoLite2, DB-IP, IPinfo, your own) with autonomous systems or countries. Read at the start.
    pub mmdb: Vec<PathBuf>,
    /// Lists of providers' ranges as they publish them (AWS, Azure, Google Cloud, GitHub), or lines of a range and a name.
    pub ranges: Vec<PathBuf>,
}

/// One topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Name of the topic.
    pub name: String,
}

/// Where to begin on a partition that the ledger does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// With the oldest record that the broker still has: evidence should miss nothing that can be had.
    #[default]
    Earliest,
    /// With what comes after the start.
    Latest,
}

/// Where evidence goes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lake {
    /// The lake: a folder, or an address like `s3://bucket/lake`.
    pub url: String,
    /// Name under which this lake's ledger counts. A lake has one writer per job.
    pub job: String,
    /// How long a record may wait before its epoch is committed. Shorter means fresher rows and more small files.
    pub epoch_age: Span,
    /// How many payload bytes an epoch holds at most. It bounds memory: an epoch needs about three times as much.
    pub epoch_bytes: usize,
    /// A full snapshot of the state is written every so many epochs, deltas in between. Recovery reads one snapshot
    /// and the deltas after it.
    pub snapshot_epochs: i64,
    /// A writer that says nothing for so long is thought dead by a standby, which then takes over. The writer speaks
    /// three times as often.
    pub lease: Span,
}

impl Default for Lake {
    fn default() -> Self {
        Self {
            url: String::new(),
            job: "main".to_owned(),
            epoch_age: Span::seconds(10),
            epoch_bytes: 64 << 20,
            snapshot_epochs: 32,
            lease: Span::seconds(10),
        }
    }
}

/// How the lake is signed, so that `keytrail verify` finds whatever was altered in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Integrity {
    /// The Ed25519 key that signs every epoch, as `env:NAME` or `file:/path`: `PRIVATE+KEY+…` as signed notes write it,
    /// or 64 hexadecimal digits. Without it a key is made in the lake's own folder, and whoever can write the lake can
    /// sign as well.
    pub signing_key: Option<String>,
    /// The key before, as `env:NAME` or `file:/path`, when `signing_key` has changed: it endorses the new one. Needed for
    /// one start.
    pub previous_key: Option<String>,
    /// Name of the log in checkpoints and proofs, without spaces and `+`; `keytrail/` and the job's name unless set. It
    /// cannot be changed later.
    pub origin: Option<String>,
    /// `false` makes a lake without tree and signatures, to measure what they cost. `keytrail verify` calls it unsigned
    /// and ends with exit code 6; it cannot be signed later.
    pub sign: bool,
}

impl Default for Integrity {
    fn default() -> Self {
        Self {
            signing_key: None,
            previous_key: None,
            origin: None,
            sign: true,
        }
    }
}

/// Small files merged, days sealed, what nobody needs removed: by the writer, between epochs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upkeep {
    /// Whether `keytrail run` does it. Without it files add up until `keytrail upkeep --once` is called.
    pub enabled: bool,
    /// How long after its end an hour is closed and the files of its epochs are merged.
    pub merge_after: Span,
    /// How far the watermark must have passed the end of a day for the day to be sealed: one sorted run. What comes later
    /// stays beside it until there is enough to seal again.
    pub seal_after: Span,
    /// About how large a merged file becomes, in bytes.
    pub target_bytes: u64,
    /// A table gets a Delta checkpoint every so many commits. Readers load one and the commits after it.
    pub checkpoint_commits: u64,
    /// How old a file must be that nobody names, and how long one stays that others took the place of: readers of an older
    /// version of a table still need it.
    pub garbage_age: Span,
    /// How long after the end of their day the records of `raw_events` stay. For ever unless set. Removal is recorded in the
    /// ledger, with the leaves that are gone, and the digests stay in the tree.
    pub raw_events_age: Option<Span>,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self {
            enabled: true,
            merge_after: Span::minutes(20),
            seal_after: Span::minutes(26 * 60),
            target_bytes: 128 << 20,
            checkpoint_commits: 100,
            garbage_age: Span::minutes(7 * 24 * 60),
            raw_events_age: None,
        }
    }
}

/// Limits on what one message may hold. A message beyond them becomes a row in `rejects`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decode {
    /// Bytes of one message as it came.
    pub message_bytes_max: usize,
    /// Bytes after decompression.
    pub decompressed_bytes_max: usize,
    /// Decompressed bytes per compressed byte. Audit logs reach about 30; a bomb reaches thousands.
    pub ratio_max: usize,
    /// Nesting of JSON. Genuine records stay below 20.
    pub depth_max: usize,
    /// Elements in one message.
    pub elements_max: usize,
    /// Envelopes around one element.
    pub layers_max: usize,
    /// 64 hexadecimal digits, as `env:NAME` or `file:/path`. With it a secret is replaced by a keyed hash, so that two
    /// uses of one secret can be seen to be the same; without it, by the word `redacted`.
    pub redaction_key: Option<String>,
}

impl Default for Decode {
    fn default() -> Self {
        Self {
            message_bytes_max: 16 << 20,
            decompressed_bytes_max: 64 << 20,
            ratio_max: 200,
            depth_max: 64,
            elements_max: 100_000,
            layers_max: 6,
            redaction_key: None,
        }
    }
}

/// What happens when records are no events.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rejects {
    /// The service stops behind an epoch in which more than this share of one topic's elements were rejected, in percent:
    /// the topic is the wrong one, or its form has changed. 100 never stops it.
    pub stop_percent: u64,
    /// Fewer rejects than this in an epoch never stop it: a share of few says little.
    pub stop_count_min: u64,
    /// Topic of the same cluster to which every reject is copied, redacted, with headers as Kafka Connect writes them. A
    /// reject may be copied more than once, and the copy never delays a commit: the row in `rejects` is the evidence.
    pub mirror_topic: Option<String>,
}

impl Default for Rejects {
    fn default() -> Self {
        Self {
            stop_percent: 50,
            stop_count_min: 100,
            mirror_topic: None,
        }
    }
}

/// Attribution, profiles and their limits.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// How much later than its neighbours an event may come and still be judged in order. CloudTrail delivers within
    /// 5 to 15 minutes as a rule. Findings wait this long; activity rows do not.
    pub lateness: Span,
    /// The same for files. Without it two hours if the path of every file tells the hour of what it holds, else 26 hours:
    /// files that are sorted by day bring the events of a day in any order.
    pub replay_lateness: Option<Span>,
    /// An event dated further ahead than this is flagged and moves no watermark.
    pub future_max: Span,
    /// How long after its expiry an issued credential is remembered for late uses.
    pub session_memory: Span,
    /// Issued credentials remembered at once.
    pub sessions_max: usize,
    /// Events that wait for the event that issued their credential.
    pub pending_max: usize,
    /// Event ids remembered to recognise duplicates.
    pub duplicates_max: usize,
    /// Events that wait for the watermark.
    pub waiting_max: usize,
    /// Identities with a profile.
    pub profiles_max: usize,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            lateness: Span::minutes(20),
            replay_lateness: None,
            future_max: Span::minutes(10),
            session_memory: Span::minutes(7 * 24 * 60),
            sessions_max: 1_000_000,
            pending_max: 1_000_000,
            duplicates_max: 4_000_000,
            waiting_max: 4_000_000,
            profiles_max: 1_000_000,
        }
    }
}

impl Identity {
    /// The lateness of files; `hourly`: the path of each tells its hour.
    pub fn lateness_of_files(&self, hourly: bool) -> Span {
        let told = Span::minutes(if hourly { 2 * 60 } else { 26 * 60 });
        self.replay_lateness.unwrap_or(told)
    }
}

impl Config {
    /// Parameters of the engine, for a source whose events come up to `lateness` out of order. Reads the rules that users
    /// bring.
    pub fn engine(&self, lateness: Span) -> Result<engine::Params, ConfigError> {
        let identity = &self.identity;
        Ok(engine::Params {
            attribute: attribute::Params {
                session_memory: identity.session_memory.micros(),
                sessions_max: identity.sessions_max,
                pending_max: identity.pending_max,
            },
            detect: self.detect.params(),
            rules: self.rules()?,
            places: self.places()?,
            lateness: lateness.micros(),
            future_max: identity.future_max.micros(),
            duplicates_max: identity.duplicates_max,
            waiting_max: identity.waiting_max,
            profiles_max: identity.profiles_max,
        })
    }

    /// Where addresses are; nothing if no file says so.
    pub fn places(&self) -> Result<Option<Arc<dyn Places>>, ConfigError> {
        let Enrich { mmdb, ranges } = &self.enrich;
        if mmdb.is_empty() && ranges.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(enrich::Files::read(mmdb, ranges)?)))
    }

    /// Parameters of decoding. Reads the redaction key from where it is kept.
    pub fn decoding(&self) -> Result<decode::Params, ConfigError> {
        let decode = &self.decode;
        let redaction_key = match &decode.redaction_key {
            None => decode::RedactionKey::none(),
            Some(reference) => {
                let text = load::secret("decode.redaction_key", reference)?;
                decode::RedactionKey::new(load::key_bytes("decode.redaction_key", &text)?)
            }
        };
        Ok(decode::Params {
            limits: decode::Limits {
                message_bytes_max: decode.message_bytes_max,
                decompressed_bytes_max: decode.decompressed_bytes_max,
                ratio_max: decode.ratio_max,
                depth_max: decode.depth_max,
                elements_max: decode.elements_max,
                layers_max: decode.layers_max,
            },
            redaction_key,
        })
    }

    /// The signing key and the one before it, read from where they are kept. Never printed.
    pub fn signing_keys(&self) -> Result<[Option<String>; 2], ConfigError> {
        let read = |key: &str, reference: &Option<String>| {
            let reference = reference.as_deref();
            reference.map(|text| load::secret(key, text)).transpose()
        };
        Ok([
            read("integrity.signing_key", &self.integrity.signing_key)?,
            read("integrity.previous_key", &self.integrity.previous_key)?,
        ])
    }

    /// librdkafka properties with their secrets read. Never printed.
    ///
    /// Refuses those on which the promise rests that nothing is lost, doubled or skipped unnoticed.
    pub fn kafka_properties(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        const FIXED: [&str; 8] = [
            "allow.auto.create.topics",
            "auto.offset.reset",
            "bootstrap.servers",
            "check.crcs",
            "enable.auto.commit",
            "enable.auto.offset.store",
            "enable.partition.eof",
            "isolation.level",
        ];
        if let Some(key) = FIXED
            .iter()
            .find(|key| self.kafka.properties.contains_key(**key))
        {
            return Err(ConfigError::Invalid {
                origin: format!("kafka.properties.{key}"),
                reason: "Keytrail sets this itself; its promises rest on it".to_owned(),
                suggestion: String::new(),
            });
        }
        self.kafka
            .properties
            .iter()
            .map(|(key, value)| {
                let name = format!("kafka.properties.{key}");
                Ok((key.clone(), load::maybe_secret(&name, value)?))
            })
            .collect()
    }
}
