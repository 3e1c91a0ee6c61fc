//! A length of time as people write it: `10s`, `20m`, `26h`, `7d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest span that settings accept: a century. It keeps every sum with an event time inside 64 bits.
const SECONDS_MAX: u64 = 100 * 366 * 24 * 3_600;

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// As the standard library counts it.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In microseconds.
    pub const fn micros(self) -> i64 {
        self.0.as_micros() as i64
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = humantime::parse_duration(text)
            .map_err(|error| format!("{text:?} is not a span like 10s, 20m or 7d: {error}"))?;
        if duration.as_secs() > SECONDS_MAX {
            return Err(format!("{text:?} is longer than a century"));
        }
        Ok(Self(duration))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Span")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: 10s, 20m, 26h, 7d."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        let span: Span = "26h".parse().unwrap();
        assert_eq!(span.micros(), 26 * 3_600 * 1_000_000);
        assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        assert!("soon".parse::<Span>().unwrap_err().contains("soon"));
        assert!("1000years".parse::<Span>().is_err());
    }
}
