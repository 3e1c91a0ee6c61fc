//! Records and elements that are not events: a closed list of reasons, each with a sentence for a person.

use std::fmt;

/// Why a record or an element of an envelope did not become an event.
///
/// The list is closed: queries and runbooks name these codes. A new reason is a new variant with its own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectCode {
    /// The payload has no bytes, or nothing but white space.
    Empty,
    /// A limit on message size, decompressed size, ratio, nesting or elements was reached.
    TooLarge,
    /// A compressed payload that does not decompress.
    BadCompression,
    /// Neither JSON nor anything that unwraps to JSON.
    NotJson,
    /// JSON that breaks off: most often a log shipper cut the message.
    Truncated,
    /// Bytes that are not UTF-8. Repairing them could change who is named, so they are not repaired.
    NotUtf8,
    /// An object that says who acted holds the same member twice; two readers could see two actors.
    DuplicateKey,
    /// Valid JSON that no log source recognises.
    UnknownKind,
    /// A member that the source must have is missing.
    MissingField,
    /// A member is there, but its value cannot be read.
    BadField,
    /// No time in the record and none on the message.
    NoTime,
    /// A function's or stream's envelope whose content is none of the known logs.
    ForeignPayload,
}

impl RejectCode {
    /// Every code, in the order of declaration.
    pub const ALL: [Self; 12] = [
        Self::Empty,
        Self::TooLarge,
        Self::BadCompression,
        Self::NotJson,
        Self::Truncated,
        Self::NotUtf8,
        Self::DuplicateKey,
        Self::UnknownKind,
        Self::MissingField,
        Self::BadField,
        Self::NoTime,
        Self::ForeignPayload,
    ];

    /// The code as rows and queries spell it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::BadCompression => "bad_compression",
            Self::NotJson => "not_json",
            Self::Truncated => "truncated",
            Self::NotUtf8 => "not_utf8",
            Self::DuplicateKey => "duplicate_key",
            Self::UnknownKind => "unknown_kind",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::NoTime => "no_time",
            Self::ForeignPayload => "foreign_payload",
        }
    }

    /// What a person who sees the code should do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Empty => "the producer wrote an empty message; nothing is lost",
            Self::TooLarge => "raise the limit in [decode] if the message is genuine",
            Self::BadCompression => "compare the producer's codec with the bytes kept in the row",
            Self::NotJson => "this topic carries something that is not an audit log; leave it out",
            Self::Truncated => {
                "the shipper cut the message; look at its size limit (CloudWatch Logs cuts at 256 KB)"
            }
            Self::NotUtf8 => "the producer wrote another character set; it must write UTF-8",
            Self::DuplicateKey => {
                "treat the producer as suspect: genuine logs never repeat a member"
            }
            Self::UnknownKind => {
                "a log Keytrail does not decode; the fingerprint groups records of the same shape"
            }
            Self::MissingField => "the producer drops a member that the log always has",
            Self::BadField => "the value kept in the row does not fit its member",
            Self::NoTime => {
                "the producer drops the event's time; without it nothing can be ordered"
            }
            Self::ForeignPayload => "the envelope is known, what it carries is not an audit log",
        }
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why an element is neither an event nor wrong: it was understood, and it holds nothing to attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ignored {
    /// A Kafka record without a value.
    Tombstone,
    /// CloudWatch Logs tests a subscription with these.
    ControlMessage,
    /// CloudTrail Insights: a statistic about calls, not a call.
    Insight,
    /// A CloudTrail digest file: hashes of log files.
    Digest,
    /// A notice that an object exists (S3, SNS, SQS): the object is wanted, not the notice of it.
    ObjectNotification,
    /// An envelope with nothing in it: `{"Records":[]}`.
    EmptyEnvelope,
}

impl Ignored {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 6] = [
        Self::Tombstone,
        Self::ControlMessage,
        Self::Insight,
        Self::Digest,
        Self::ObjectNotification,
        Self::EmptyEnvelope,
    ];

    /// The reason as counts and `keytrail decode` spell it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::ControlMessage => "control_message",
            Self::Insight => "insight",
            Self::Digest => "digest",
            Self::ObjectNotification => "object_notification",
            Self::EmptyEnvelope => "empty_envelope",
        }
    }
}

/// One record or element that is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub code: RejectCode,
    /// What exactly was wrong, for a person. Never holds a value from the record longer than a name.
    pub detail: String,
    /// Groups rejects of one shape: the top-level member names of an object, else the code.
    pub fingerprint: String,
}

impl Reject {
    /// A reject whose fingerprint is its code: shapes do not matter for it.
    pub fn new(code: RejectCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            fingerprint: code.code().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_advises() {
        let mut codes: Vec<_> = RejectCode::ALL.iter().map(|code| code.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), RejectCode::ALL.len());
        assert!(RejectCode::ALL.iter().all(|code| !code.advice().is_empty()));
    }
}
