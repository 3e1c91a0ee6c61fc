//! How far event time has come: the slowest lane decides, less the lateness that is allowed.
//!
//! The rule reads only what a manifest records (event times, lanes, idle lanes, the time of the cut), so that what
//! waits for the watermark happens at the same place on every replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Micros;

/// A lane that brought so many records in a row without one new event (rejects, copies) is not waited for: it may never
/// bring one, and everything else would wait with it.
const BARREN_MAX: u32 = 10_000;

/// What is known of one lane.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Lane {
    /// Latest event time; `None` for a lane that has brought no event yet.
    latest: Option<Micros>,
    /// Records since its last event.
    barren: u32,
}

/// The watermark and what it is computed from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Watermark {
    lanes: BTreeMap<Arc<str>, Lane>,
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

    /// Waits for these lanes from now on, and no longer for others: a topic that is not read any more brings nothing.
    pub(super) fn expect(&mut self, lanes: &[Arc<str>]) {
        self.lanes.retain(|lane, _| lanes.contains(lane));
        for lane in lanes {
            self.lanes.entry(lane.clone()).or_default();
        }
    }

    /// A record of `lane` brought an event of time `at`.
    pub(super) fn advance(&mut self, lane: &Arc<str>, at: Micros, lateness: i64) {
        let known = self.lanes.entry(lane.clone()).or_default();
        known.barren = 0;
        if known.latest >= Some(at) {
            return;
        }
        known.latest = Some(at);
        self.follow_slowest(&[], lateness);
    }

    /// A record of `lane` brought no event that is new.
    pub(super) fn barren(&mut self, lane: &Arc<str>) {
        let known = self.lanes.entry(lane.clone()).or_default();
        known.barren = known.barren.saturating_add(1);
    }

    /// Lanes in `idle` are read to their end and silent: the others decide, and when all are silent, the clock does.
    pub(super) fn idle(&mut self, idle: &[Arc<str>], now: Micros, lateness: i64) {
        if idle.is_empty() {
            return;
        }
        if self.lanes.keys().all(|lane| idle.contains(lane)) {
            self.move_to(now.plus(-lateness));
        } else {
            self.follow_slowest(idle, lateness);
        }
    }

    /// The input has ended: nothing earlier than the latest event can come any more.
    pub(super) fn seal(&mut self) {
        if let Some(latest) = self.lanes.values().filter_map(|lane| lane.latest).max() {
            self.move_to(latest.plus(1));
        }
    }

    /// Moves to the slowest lane that is neither in `idle` nor barren, if all of those have brought an event.
    fn follow_slowest(&mut self, idle: &[Arc<str>], lateness: i64) {
        let slowest = self
            .lanes
            .iter()
            .filter(|(lane, known)| known.barren < BARREN_MAX && !idle.contains(lane))
            .map(|(_, known)| known.latest)
            .min()
            .flatten();
        if let Some(slowest) = slowest {
            self.move_to(slowest.plus(-lateness));
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
        watermark.expect(&[lane("a"), lane("b")]);
        watermark.advance(&lane("a"), Micros(100), 10);
        assert_eq!(watermark.known(), None, "b has brought nothing yet");
        watermark.advance(&lane("b"), Micros(50), 10);
        assert_eq!(watermark.known(), Some(Micros(40)));
        watermark.advance(&lane("b"), Micros(30), 10);
        assert_eq!(watermark.known(), Some(Micros(40)), "never back");
    }

    #[test]
    fn a_lane_of_rejects_does_not_stop_the_others() {
        let mut watermark = Watermark::default();
        watermark.expect(&[lane("a"), lane("b")]);
        for _ in 0..BARREN_MAX {
            watermark.barren(&lane("b"));
        }
        watermark.advance(&lane("a"), Micros(100), 10);
        assert_eq!(watermark.known(), Some(Micros(90)));
        watermark.expect(&[lane("b")]);
        assert_eq!(
            watermark.known(),
            Some(Micros(90)),
            "a lane that is gone takes nothing back"
        );
    }

    #[test]
    fn an_idle_lane_is_not_waited_for() {
        let mut watermark = Watermark::default();
        watermark.expect(&[lane("a"), lane("b")]);
        watermark.advance(&lane("a"), Micros(100), 10);
        watermark.idle(&[lane("b")], Micros(1_000), 10);
        assert_eq!(watermark.known(), Some(Micros(90)));
        watermark.idle(&[lane("a"), lane("b")], Micros(1_000), 10);
        assert_eq!(watermark.known(), Some(Micros(990)));
    }
}
