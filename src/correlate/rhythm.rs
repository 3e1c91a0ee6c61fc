//! How busy an identity is at which hour of the day, on workdays and at weekends.

use serde::{Deserialize, Serialize};

use crate::model::Micros;

const HOURS: usize = 24;

/// 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday (ISO 8601).
const FIRST_WEEKDAY: i64 = 3;

/// The busiest hour so far by hour of the day (UTC), and the events of the hour that goes on.
///
/// Numbers of events are kept as a quarter of a power of two, one byte each: a profile stays small, and what is asked of
/// it is whether an hour is many times as busy as any before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rhythm {
    hour: Option<i64>,
    count: u32,
    workdays: [u8; HOURS],
    weekends: [u8; HOURS],
}

impl Rhythm {
    /// How many events the hour of `at` has with one more.
    pub fn with(&self, at: Micros) -> u32 {
        match self.hour {
            Some(hour) if hour == at.hour() => self.count.saturating_add(1),
            _ => 1,
        }
    }

    /// The most events that the hours of the day around `at` ever had, on days of its sort; 0 for none. Never less than
    /// there were, and at most a quarter more.
    pub fn usual(&self, at: Micros) -> u32 {
        let (slots, hour) = self.slots(at.hour());
        let around = [hour + HOURS - 1, hour, hour + 1];
        let most = around.iter().map(|hour| slots[hour % HOURS]).max();
        most.map_or(0, events_of)
    }

    /// The most events that any hour before the one that goes on ever had.
    pub fn busiest(&self) -> u32 {
        let slots = self.workdays.iter().chain(&self.weekends);
        slots.copied().max().map_or(0, events_of)
    }

    /// Counts an event. One of an hour that is over is counted nowhere: what is asked is whether this hour is busy.
    pub(super) fn add(&mut self, at: Micros) {
        match self.hour {
            Some(hour) if hour > at.hour() => (),
            Some(hour) if hour == at.hour() => self.count = self.count.saturating_add(1),
            before => {
                if let Some(hour) = before {
                    self.close(hour);
                }
                (self.hour, self.count) = (Some(at.hour()), 1);
            }
        }
    }

    fn close(&mut self, hour: i64) {
        let size = size_of(self.count);
        let of_day = hour.rem_euclid(HOURS as i64) as usize;
        let slots = if weekend(hour) {
            &mut self.weekends
        } else {
            &mut self.workdays
        };
        slots[of_day] = slots[of_day].max(size);
    }

    fn slots(&self, hour: i64) -> (&[u8; HOURS], usize) {
        let slots = if weekend(hour) {
            &self.weekends
        } else {
            &self.workdays
        };
        (slots, hour.rem_euclid(HOURS as i64) as usize)
    }
}

/// Whether the hour, counted since 1970, is on a Saturday or Sunday.
const fn weekend(hour: i64) -> bool {
    (hour.div_euclid(HOURS as i64) + FIRST_WEEKDAY).rem_euclid(7) >= 5
}

/// A number of events as quarters of powers of two, rounded up; 0 for none.
fn size_of(events: u32) -> u8 {
    (0..u8::MAX)
        .find(|size| events_of(*size) >= events)
        .unwrap_or(u8::MAX)
}

/// The most events that a size stands for: 0, then 2^(n/4) rounded up in steps of a quarter of the power of two.
fn events_of(size: u8) -> u32 {
    let Some(size) = size.checked_sub(1) else {
        return 0;
    };
    let power = 1_u64 << (size / 4).min(32);
    let events = (power * (4 + u64::from(size % 4))).div_ceil(4);
    u32::try_from(events).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_lose_little() {
        assert_eq!(size_of(0), 0);
        for events in (1..5_000).chain([1 << 20, u32::MAX]) {
            let kept = u64::from(events_of(size_of(events)));
            let events = u64::from(events);
            assert!(kept >= events, "{events} as {kept}");
            assert!(kept * 4 <= events * 5 + 4, "{events} as {kept}");
        }
    }

    #[test]
    fn hours_of_the_day_are_told_apart() {
        let mut rhythm = Rhythm::default();
        // Thursday 02:00, a hundred events; Saturday 02:00, one.
        for event in 0..100 {
            rhythm.add(Micros(2 * Micros::HOUR + event * Micros::SECOND));
        }
        let saturday = Micros(2 * Micros::DAY + 2 * Micros::HOUR);
        assert_eq!(rhythm.usual(saturday), 0, "the hour goes on");
        rhythm.add(saturday);
        let friday = Micros(Micros::DAY + 3 * Micros::HOUR);
        assert!((100..=120).contains(&rhythm.usual(friday)));
        assert_eq!(rhythm.usual(Micros(Micros::DAY + 12 * Micros::HOUR)), 0);
        assert_eq!(rhythm.usual(saturday), 0, "another sort of day");
        assert_eq!(rhythm.busiest(), rhythm.usual(friday));
        assert_eq!(rhythm.with(saturday), 2);
    }
}
