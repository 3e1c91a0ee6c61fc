//! How far event time has come: the slowest lane decides, less the lateness that is allowed.
//!
//! The rule reads only what a manifest records (event times, lanes, idle lanes, the time of the cut), so that what
//! waits for the watermark happens at the same place on every replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Micros;

/// The watermark and what it is computed from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Watermark {
    /// Latest event time of each lane; `None` for a lane that has brought nothing yet.
    lanes: BTreeMap<Arc<str>, Option<Micros>>,
    passed: Micros,
}

impl Default for Watermark {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            passed: Micros::MIN,
        }
    }
}

impl Watermark {
    /// Events before this time have been judged; one that comes now is late.
    pub(super) const fn passed(&self) -> Micros {
        self.passed
    }

    /// The watermark, once there is one.
    pub(super) fn known(&self) -> Option<Micros> {
        (self.passed != Micros::MIN).then_some(self.passed)
    }

    /// Waits for `lane` from now on.
    pub(super) fn expect(&mut self, lane: &Arc<str>) {
        if !self.lanes.contains_key(lane) {
            self.lanes.insert(lane.clone(), None);
        }
    }

    /// A record of `lane` brought an event of time `at`.
    pub(super) fn advance(&mut self, lane: &Arc<str>, at: Micros, lateness: i64) {
        match self.lanes.get_mut(lane) {
            Some(latest) if *latest >= Some(at) => return,
            Some(latest) => *latest = Some(at),
            None => {
                self.lanes.insert(lane.clone(), Some(at));
            }
        }
        let slowest = self.lanes.values().min().copied().flatten();
        if let Some(slowest) = slowest {
            self.move_to(slowest.plus(-lateness));
        }
    }

    /// Lanes in `idle` are read to their end and silent: the others decide, and when all are silent, the clock does.
    pub(super) fn idle(&mut self, idle: &[Arc<str>], now: Micros, lateness: i64) {
        if idle.is_empty() {
            return;
        }
        let mut awake = self
            .lanes
            .iter()
            .filter(|(lane, _)| !idle.contains(lane))
            .map(|(_, latest)| *latest)
            .peekable();
        if awake.peek().is_none() {
            self.move_to(now.plus(-lateness));
        } else if let Some(slowest) = awake.min().flatten() {
            self.move_to(slowest.plus(-lateness));
        }
    }

    /// The input has ended: nothing earlier than the latest event can come any more.
    pub(super) fn seal(&mut self) {
        if let Some(latest) = self.lanes.values().max().copied().flatten() {
            self.move_to(latest.plus(1));
        }
    }

    fn move_to(&mut self, time: Micros) {
        self.passed = self.passed.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    #[test]
    fn the_slowest_lane_decides() {
        let mut watermark = Watermark::default();
        watermark.expect(&lane("a"));
        watermark.expect(&lane("b"));
        watermark.advance(&lane("a"), Micros(100), 10);
        assert_eq!(watermark.known(), None, "b has brought nothing yet");
        watermark.advance(&lane("b"), Micros(50), 10);
        assert_eq!(watermark.known(), Some(Micros(40)));
        watermark.advance(&lane("b"), Micros(30), 10);
        assert_eq!(watermark.known(), Some(Micros(40)), "never back");
    }

    #[test]
    fn an_idle_lane_is_not_waited_for() {
        let mut watermark = Watermark::default();
        watermark.expect(&lane("a"));
        watermark.expect(&lane("b"));
        watermark.advance(&lane("a"), Micros(100), 10);
        watermark.idle(&[lane("b")], Micros(1_000), 10);
        assert_eq!(watermark.known(), Some(Micros(90)));
        watermark.idle(&[lane("a"), lane("b")], Micros(1_000), 10);
        assert_eq!(watermark.known(), Some(Micros(990)));
    }
}
