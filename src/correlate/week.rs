//! At which hours of the week an identity was ever active.

use serde::{Deserialize, Serialize};

use super::novelty;
use crate::model::Micros;

const HOURS: i64 = 7 * 24;

/// 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday (ISO 8601).
const FIRST_HOUR: i64 = 3 * 24;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A bit for each hour of the week (UTC): whether it was active in any week, and whether in a second one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Week {
    seen: [u64; 3],
    again: [u64; 3],
    /// The last hour that was counted, since 1970.
    last: Option<i64>,
    /// Distinct hours that were counted.
    hours: u64,
}

impl Week {
    /// Counts an event. One of an hour that is over is counted nowhere: it would make a second week of the same one.
    pub(super) fn add(&mut self, at: Micros) {
        if self.last.is_some_and(|last| at.hour() <= last) {
            return;
        }
        self.last = Some(at.hour());
        self.hours += 1;
        let (word, bit) = place(at);
        self.again[word] |= self.seen[word] & bit;
        self.seen[word] |= bit;
    }

    /// How many bits a first event at this hour of the week is worth; nothing if it was active then before.
    pub fn surprise(&self, at: Micros) -> Option<u32> {
        let (word, bit) = place(at);
        if self.seen[word] & bit != 0 {
            return None;
        }
        let once = self.seen.iter().zip(self.again);
        let once: u32 = once.map(|(seen, again)| (seen & !again).count_ones()).sum();
        Some(novelty::bits(self.hours, u64::from(once)))
    }

    /// How many hours it was active in.
    pub const fn hours(&self) -> u64 {
        self.hours
    }

    /// How many hours of the week those are.
    pub fn active(&self) -> u32 {
        self.seen.iter().map(|word| word.count_ones()).sum()
    }

    /// `Tue 03:00`, for reading.
    pub fn name(at: Micros) -> String {
        let hour = hour_of_week(at);
        format!("{} {:02}:00", DAYS[hour / 24], hour % 24)
    }
}

fn hour_of_week(at: Micros) -> usize {
    (at.hour() + FIRST_HOUR).rem_euclid(HOURS) as usize
}

/// Word and bit of the hour of the week.
fn place(at: Micros) -> (usize, u64) {
    let hour = hour_of_week(at);
    (hour / 64, 1 << (hour % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: i64 = 7 * Micros::DAY;

    #[test]
    fn an_hour_of_the_week_is_new_once() {
        let mut week = Week::default();
        // Thursdays at 02:00, for ninety weeks.
        for turn in 0..90 {
            let at = Micros(turn * WEEK + 2 * Micros::HOUR);
            assert_eq!(week.surprise(at).is_none(), turn > 0);
            week.add(at);
            week.add(at);
        }
        let friday = Micros(Micros::DAY + 2 * Micros::HOUR);
        assert_eq!(week.surprise(friday), Some(7));
        week.add(Micros(90 * WEEK + friday.0));
        assert_eq!(week.surprise(friday), None);
        assert_eq!(week.active(), 2);
        // One hour of the week was seen in one week only.
        assert_eq!(week.surprise(Micros(0)), Some(5));
    }

    #[test]
    fn hours_have_the_names_of_their_days() {
        assert_eq!(Week::name(Micros(0)), "Thu 00:00");
        assert_eq!(
            Week::name(Micros(3 * Micros::DAY + 23 * Micros::HOUR)),
            "Sun 23:00"
        );
        assert_eq!(Week::name(Micros(-Micros::HOUR)), "Wed 23:00");
    }
}
