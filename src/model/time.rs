//! Time as the evidence keeps it: microseconds since 1970 in UTC, and whole UTC days.
//!
//! There is no clock here: every time comes from a record or from the epoch that is being applied.

use std::fmt;

use chrono::DateTime;
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z. Negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Micros(pub i64);

/// Whole UTC days since 1970-01-01, as Arrow's `Date32` counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Micros {
    /// The earliest time there is: a watermark that nothing has moved yet.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time there is: a watermark after the last input of a finite run.
    pub const MAX: Self = Self(i64::MAX);
    pub const SECOND: i64 = 1_000_000;
    pub const MINUTE: i64 = 60 * Self::SECOND;
    pub const HOUR: i64 = 60 * Self::MINUTE;
    pub const DAY: i64 = 24 * Self::HOUR;

    /// From milliseconds, as Kafka and CloudWatch write them. Saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// To milliseconds, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This time moved by `micros`, which may be negative. Saturates.
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The time from `earlier` to this one, in microseconds. Saturates.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The UTC day this time falls on.
    pub const fn day(self) -> Day {
        // A day count fits 32 bits for every time that fits 64: 2^63 µs is about 107 million days.
        Day(self.0.div_euclid(Self::DAY) as i32)
    }

    /// Whole hours since 1970: the unit in which profiles count activity.
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(Self::HOUR)
    }

    /// Whole seconds since 1970: the precision of `sessionContext.attributes.creationDate`.
    pub const fn second(self) -> i64 {
        self.0.div_euclid(Self::SECOND)
    }
}

impl Day {
    /// Midnight at which this day begins. Saturates.
    pub const fn start(self) -> Micros {
        Micros((self.0 as i64).saturating_mul(Micros::DAY))
    }
}

impl fmt::Display for Micros {
    /// RFC 3339 in UTC with as many fraction digits as are needed, `2026-11-01T08:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => write!(
                f,
                "{}",
                time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
            ),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Display for Day {
    /// `2026-11-01`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.start().0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%d")),
            None => write!(f, "{}d", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_round_down_before_1970() {
        assert_eq!(Micros(-1).day(), Day(-1));
        assert_eq!(Micros(0).day(), Day(0));
        assert_eq!(Micros(Micros::DAY - 1).day(), Day(0));
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        let time = Micros(1_793_520_000_000_000);
        assert_eq!(time.to_string(), "2026-11-01T08:00:00Z");
        assert_eq!(time.day().to_string(), "2026-11-01");
        assert_eq!(time.plus(1_500).to_string(), "2026-11-01T08:00:00.001500Z");
    }
}
