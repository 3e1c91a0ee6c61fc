//! Takes secrets out of a record before anything is stored, judged, logged or shown.
//!
//! Two nets, both over the text as it stands, because a record that is broken or cut must be cleaned as well: members
//! whose name says that they hold a secret ([`names`]), and texts that have the shape of one wherever they stand
//! ([`shapes`]). JSON inside JSON strings is searched too. Valid JSON stays valid JSON, and cleaning twice changes
//! nothing.
//!
//! What is lineage is kept: ids of access keys, principals and certificates, ARNs, token ids. Truth values and `null`
//! are kept under any name. Personal data is not a secret and is left alone. Single-quoted text is not JSON and its
//! member names are not seen; envelopes that may be repaired are repaired before they come here.

mod names;
mod scan;
mod shapes;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::model::hex;

/// What stands where a secret stood.
const MARK: &str = "redacted";

/// Bytes of the keyed hash that are shown: enough to tell secrets apart, too few to be worth attacking.
const HASH_BYTES: usize = 8;

/// Texts that already stand for a withheld value. They are kept as they are, because decoders know them as absent.
const WITHHELD: [&str; 4] = [
    "HIDDEN_DUE_TO_SECURITY_REASONS",
    "***OMITTED***",
    "<sensitiveDataRemoved>",
    "Value hidden due to security reasons.",
];

/// How a secret is replaced.
///
/// Without a key every secret becomes `redacted`. With a key it becomes `redacted:` and the start of its HMAC-SHA256,
/// so that the reuse of one secret can be seen by somebody who does not know it. The hash is taken of the bytes as they
/// stand in the text: the same secret written with other JSON escapes gets another hash.
#[derive(Clone)]
pub struct RedactionKey(Option<[u8; 32]>);

impl RedactionKey {
    /// Secrets become `redacted` and cannot be told apart.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Secrets become `redacted:` and a hash that depends on `key`.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(Some(key))
    }

    /// What stands where `secret` stood.
    fn replacement(&self, secret: &[u8]) -> String {
        let Some(key) = &self.0 else {
            return MARK.to_owned();
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(secret);
        let hash = mac.finalize().into_bytes();
        format!("{MARK}:{}", hex(&hash[..HASH_BYTES]))
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "RedactionKey(set)"
        } else {
            "RedactionKey(none)"
        })
    }
}

/// `text` without its secrets; borrowed when it has none.
pub(crate) fn redact<'a>(text: &'a str, key: &RedactionKey) -> Cow<'a, str> {
    let mut spans = Vec::new();
    shapes::find(text, &mut spans);
    scan::find(text, &mut spans);
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    // A member that is replaced whole swallows the shapes inside it, so the longer of two spans comes first.
    spans.sort_unstable_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    for span in spans {
        if span.end <= done {
            continue;
        }
        let start = span.start.max(done);
        clean.push_str(&text[done..start]);
        let quote = span.quote();
        clean.push_str(&quote);
        clean.push_str(&key.replacement(&text.as_bytes()[start..span.end]));
        clean.push_str(&quote);
        done = span.end;
    }
    clean.push_str(&text[done..]);
    Cow::Owned(clean)
}

/// A stretch of the text that is replaced. Both ends are next to ASCII, so they are never inside a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    kind: Kind,
}

/// What a span covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Some of a string's content.
    Inside,
    /// A value that is no string: the replacement brings its own quotes, each with as many backslashes before it as
    /// the strings around it need.
    Value { backslashes: usize },
}

impl Span {
    fn quote(self) -> String {
        match self.kind {
            Kind::Inside => String::new(),
            Kind::Value { backslashes } => format!("{}\"", "\\".repeat(backslashes)),
        }
    }
}

/// Whether `value` is nothing to hide: empty, withheld by the producer, or replaced by us before. ARNs name things.
fn harmless(value: &[u8]) -> bool {
    if value.is_empty() || value.starts_with(b"arn:") {
        return true;
    }
    let replaced = value.strip_prefix(MARK.as_bytes()).is_some_and(|rest| {
        rest.is_empty()
            || rest.strip_prefix(b":").is_some_and(|hash| {
                hash.len() == 2 * HASH_BYTES && hash.iter().all(u8::is_ascii_hexdigit)
            })
    });
    replaced
        || value.iter().all(|byte| *byte == b'*')
        || WITHHELD.iter().any(|text| text.as_bytes() == value)
}

/// How many backslashes stand at the end of `bytes`.
fn backslashes_before(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
}
