//! What means something only when many come at once: what was refused, which places secrets were read from.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::{Micros, Uid};

/// How many different values and how many events of the last minutes are remembered. A burst larger than this is counted as
/// one of this size.
const RECENT_MAX: usize = 64;

/// Sizes are remembered by powers of two: 1, 2–3, 4–7 … and everything from 128 on.
const SIZES: usize = 8;

/// Events of one sort in the last minutes, and how large their bursts have been in the hours before.
///
/// The size of a burst is the number of *different* values in it: a job that retries one call a thousand times is a small
/// burst, and somebody who tries thirty doors is a large one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// The last time of each value.
    recent: Vec<(Micros, Uid)>,
    /// When the last events were, whatever their value.
    times: VecDeque<Micros>,
    /// Hours by the size of their largest burst.
    hours: [u32; SIZES],
    /// The last hour with an event, and the size of its largest burst so far: not among `hours` yet.
    last: Option<(i64, u32)>,
}

/// The events of one sort within a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    pub events: usize,
    /// Different values among them.
    pub values: usize,
}

impl Burst {
    /// What an event with `value` at `at` makes of the `window` before it, in microseconds.
    pub fn with(&self, at: Micros, value: &Uid, window: i64) -> Crowd {
        let within = |time: &Micros| *time <= at && at.since(*time) < window;
        let others = self
            .recent
            .iter()
            .filter(|(time, other)| within(time) && other != value);
        Crowd {
            events: self.times.iter().filter(|time| within(time)).count() + 1,
            values: others.count() + 1,
        }
    }

    /// In how many hours before that of `at` a burst was about as large: of the same power of two, or larger.
    pub fn hours_with(&self, values: usize, at: Micros) -> u64 {
        let place = place(values);
        let known: u64 = self.hours[place..].iter().copied().map(u64::from).sum();
        let last = self
            .last
            .is_some_and(|(hour, size)| hour < at.hour() && self::place(size as usize) >= place);
        known + u64::from(last)
    }

    /// Remembers an event with `value` at `at`.
    pub(super) fn add(&mut self, at: Micros, value: &Uid, window: i64) {
        let size = u32::try_from(self.with(at, value, window).values).unwrap_or(u32::MAX);
        match &mut self.last {
            Some((hour, largest)) if *hour >= at.hour() => *largest = size.max(*largest),
            Some((_, largest)) => {
                let place = place(*largest as usize);
                self.hours[place] = self.hours[place].saturating_add(1);
                self.last = Some((at.hour(), size));
            }
            None => self.last = Some((at.hour(), size)),
        }
        self.recent
            .retain(|(time, other)| at.since(*time) < window && other != value);
        self.times.retain(|time| at.since(*time) < window);
        if self.recent.len() >= RECENT_MAX {
            self.recent.remove(0);
        }
        if self.times.len() >= RECENT_MAX {
            self.times.pop_front();
        }
        self.recent.push((at, value.clone()));
        self.times.push_back(at);
    }
}

/// The power of two that a size belongs to.
fn place(values: usize) -> usize {
    (values.max(1).ilog2() as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: i64 = 10 * Micros::MINUTE;

    fn fill(burst: &mut Burst, hour: i64, values: &[&str]) {
        for (place, value) in values.iter().enumerate() {
            let at = Micros(hour * Micros::HOUR + place as i64 * Micros::SECOND);
            burst.add(at, &Uid::from(*value), WINDOW);
        }
    }

    #[test]
    fn repetition_is_no_crowd() {
        let mut burst = Burst::default();
        fill(&mut burst, 1, &["a", "b", "a", "a"]);
        let soon = Micros(Micros::HOUR + Micros::MINUTE);
        let crowd = burst.with(soon, &Uid::from("b"), WINDOW);
        assert_eq!((crowd.events, crowd.values), (5, 2));
        let later = Micros(Micros::HOUR + WINDOW + Micros::MINUTE);
        let crowd = burst.with(later, &Uid::from("b"), WINDOW);
        assert_eq!((crowd.events, crowd.values), (1, 1));
    }

    #[test]
    fn repetition_pushes_nothing_out() {
        let mut burst = Burst::default();
        fill(&mut burst, 1, &["a", "b", "c"]);
        fill(&mut burst, 1, &["d"; 200]);
        let crowd = burst.with(
            Micros(Micros::HOUR + 200 * Micros::SECOND),
            &Uid::from("e"),
            WINDOW,
        );
        assert_eq!(crowd.values, 5);
    }

    #[test]
    fn an_hour_is_not_held_against_itself() {
        let mut burst = Burst::default();
        fill(&mut burst, 1, &["a", "b", "c", "d", "e"]);
        assert_eq!(burst.hours_with(5, Micros(Micros::HOUR)), 0);
        assert_eq!(burst.hours_with(5, Micros(2 * Micros::HOUR)), 1);
        assert_eq!(burst.hours_with(8, Micros(2 * Micros::HOUR)), 0);
        fill(&mut burst, 3, &["a"]);
        assert_eq!(burst.hours_with(4, Micros(3 * Micros::HOUR)), 1);
    }

    #[test]
    fn a_flood_is_remembered_in_part() {
        let mut burst = Burst::default();
        let values: Vec<String> = (0..1_000).map(|value| value.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        fill(&mut burst, 1, &values[..500]);
        assert_eq!(burst.recent.len(), RECENT_MAX);
        assert_eq!(burst.hours_with(RECENT_MAX, Micros(2 * Micros::HOUR)), 1);
    }
}
