//! Bytes → [`AuditEvent`]: what wraps a record is taken off, secrets are taken out, and one file per log source reads
//! what is left.
//!
//! A message is opened in three steps, each in its own file: `envelope` splits it into elements, `redact` removes
//! secrets from each, and the source that recognises the element decodes it. Every element ends as an event, a
//! reject or an ignored element, so that what goes in can be counted against what comes out.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod azure;
mod azure_activity;
mod cloudtrail;
mod entra_audit;
mod entra_signin;
mod envelope;
mod find;
mod fingerprint;
mod graph_activity;
mod json;
mod key_vault;
mod redact;
mod time;

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{
    AuditEvent, Decoded, DecodedRecord, Flags, Ignored, LogSource, Micros, Piece, RawRecord,
    Reject, RejectCode, Sha256Digest, sha256,
};

pub use envelope::Limits;
pub use redact::RedactionKey;

/// One log source: how it is recognised and how it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) source: LogSource,
    /// Whether an object with these members comes from this log. At most one source says yes.
    pub(crate) recognises: fn(&json::Members<'_>) -> bool,
    pub(crate) decode:
        for<'a> fn(&Element<'a>, &json::Members<'a>) -> Result<AuditEvent<'a>, Reject>,
}

/// Every log source that is recognised by its members, alphabetically. CloudTrail is not among them: it is eight
/// tenths of all records and is recognised by its text, before any member is looked at.
const SOURCES: [Source; 5] = [
    azure_activity::SOURCE,
    entra_audit::SOURCE,
    entra_signin::SOURCE,
    graph_activity::SOURCE,
    key_vault::SOURCE,
];

/// A rejected record keeps at most this much of itself: enough to see what it is, too little to hurt.
const REJECT_BYTES_MAX: usize = 64 * 1024;

/// What decoding needs to know besides the bytes.
#[derive(Clone, Debug)]
pub struct Params {
    pub limits: Limits,
    pub redaction_key: RedactionKey,
}

/// A message taken apart: it owns or borrows the text of each element, redacted, so that events can borrow from it.
#[derive(Debug)]
pub struct Opened<'a> {
    pub record: &'a RawRecord,
    parts: Vec<OpenedPart<'a>>,
}

#[derive(Debug)]
struct OpenedPart<'a> {
    layers: Arc<str>,
    text: Cow<'a, str>,
    raw_sha256: Sha256Digest,
    state: State,
}

#[derive(Debug)]
enum State {
    Element(Flags),
    Ignored(Ignored),
    Reject(Reject),
}

/// Takes `record` apart and removes secrets from every piece.
pub fn open<'a>(record: &'a RawRecord, params: &Params) -> Opened<'a> {
    let Some(payload) = &record.payload else {
        let tombstone = OpenedPart {
            layers: Arc::from(""),
            text: Cow::Borrowed(""),
            raw_sha256: sha256(b""),
            state: State::Ignored(Ignored::Tombstone),
        };
        return Opened {
            record,
            parts: vec![tombstone],
        };
    };
    let parts = envelope::open(payload, &params.limits)
        .into_iter()
        .map(|part| opened_part(part, params))
        .collect();
    Opened { record, parts }
}

fn opened_part<'a>(part: envelope::Part<'a>, params: &Params) -> OpenedPart<'a> {
    match part {
        envelope::Part::Element {
            text,
            layers,
            mut flags,
        } => {
            let raw_sha256 = sha256(text.as_bytes());
            let redacted = match redact::redact(&text, &params.redaction_key) {
                Cow::Borrowed(_) => None,
                Cow::Owned(redacted) => Some(redacted),
            };
            if redacted.is_some() {
                flags.raise(Flags::REDACTED);
            }
            OpenedPart {
                layers,
                text: redacted.map_or(text, Cow::Owned),
                raw_sha256,
                state: State::Element(flags),
            }
        }
        envelope::Part::Ignored { reason, layers } => OpenedPart {
            layers,
            text: Cow::Borrowed(""),
            raw_sha256: sha256(b""),
            state: State::Ignored(reason),
        },
        envelope::Part::Reject {
            reject,
            raw,
            layers,
        } => {
            let kept = &raw[..raw.len().min(REJECT_BYTES_MAX)];
            let text = String::from_utf8_lossy(kept);
            let text = redact::redact(&text, &params.redaction_key).into_owned();
            OpenedPart {
                layers,
                text: Cow::Owned(text),
                raw_sha256: sha256(&raw),
                state: State::Reject(reject),
            }
        }
    }
}

impl Opened<'_> {
    /// Decodes every element, in order. The events borrow from `self`.
    pub fn decode(&self) -> DecodedRecord<'_> {
        let pieces = self
            .parts
            .iter()
            .map(|part| {
                let decoded = match &part.state {
                    State::Ignored(reason) => Decoded::Ignored(*reason),
                    State::Reject(reject) => Decoded::Reject(reject.clone()),
                    State::Element(flags) => decode_element(&Element {
                        text: &part.text,
                        appended_at: self.record.appended_at,
                        raw_sha256: part.raw_sha256,
                        flags: *flags,
                    }),
                };
                Piece {
                    layers: &part.layers,
                    text: &part.text,
                    raw_sha256: part.raw_sha256,
                    fingerprint: match decoded {
                        Decoded::Event(_) => fingerprint::fingerprint(&part.text),
                        _ => 0,
                    },
                    hits: Vec::new(),
                    decoded,
                }
            })
            .collect();
        DecodedRecord {
            record: self.record,
            pieces,
        }
    }
}

/// CloudTrail first, because it is recognised by its text; then the source that claims the members.
fn decode_element<'a>(element: &Element<'a>) -> Decoded<'a> {
    if cloudtrail::looks_like(element.text) {
        match cloudtrail::decode(element) {
            Ok(Some(event)) => return Decoded::Event(Box::new(event)),
            Ok(None) => (),
            Err(reject) => return Decoded::Reject(reject),
        }
    }
    let members = match json::Members::parse(element.text) {
        Ok(members) => members,
        Err(error) => {
            return Decoded::Reject(Reject::new(
                RejectCode::ForeignPayload,
                format!("the element is JSON but not an object: {error}"),
            ));
        }
    };
    match SOURCES.iter().find(|source| (source.recognises)(&members)) {
        Some(source) => match (source.decode)(element, &members) {
            Ok(event) => {
                debug_assert_eq!(event.source, source.source);
                Decoded::Event(Box::new(event))
            }
            Err(reject) => Decoded::Reject(reject),
        },
        None => Decoded::Reject(Reject {
            code: RejectCode::UnknownKind,
            detail: unknown_kind(&members),
            fingerprint: members.fingerprint(),
        }),
    }
}

/// Says what was looked for, so that a person can see which member the producer lost.
fn unknown_kind(members: &json::Members<'_>) -> String {
    for (present, missing) in [("eventName", "eventSource"), ("eventSource", "eventName")] {
        if members.has(present) && !members.has(missing) {
            return format!("has {present} like CloudTrail but no {missing}");
        }
    }
    match members.text("category") {
        Some(category) => format!("category {category:.60} is none of the logs that are decoded"),
        None => "no log source recognises these members".to_owned(),
    }
}

/// One element, ready to be decoded: redacted text and what is known about it from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    pub(crate) text: &'a str,
    /// The broker's time of the message, the last resort when a record has no time of its own.
    pub(crate) appended_at: Option<Micros>,
    pub(crate) raw_sha256: Sha256Digest,
    pub(crate) flags: Flags,
}

impl<'a> Element<'a> {
    /// The id of a record that has none: derived from its bytes, so that a second copy gets the same one.
    pub(crate) fn derived_uid(&self) -> Cow<'a, str> {
        Cow::Owned(format!("raw:{}", crate::model::hex(&self.raw_sha256[..16])))
    }
}
