//! Which IAM users are people at times (HM-16): a user with a trace of the console is not called a machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{ActorType, Attribution, IdentityKind, Kept, Micros, Uid};

/// How long a trace of the console counts, in days.
const TRACE_DAYS: i32 = 90;

/// How many users with traces are remembered. Beyond it a further one leaves none, and is counted.
const USERS_MAX: usize = 1_000_000;

/// Reason of an answer that leaves open whether a user was a person or a program.
pub(super) const MIXED_USE: &str = "mixed_use_user";

/// Traces of the console by user: the first of each day. Days long past no longer count and are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Traces(BTreeMap<i32, Micros>);

#[derive(Debug, Default)]
pub(super) struct Users {
    pub(super) traces: Kept<Uid, Traces>,
    pub(super) evicted: u64,
}

impl Users {
    /// Notes that `user` was at the console. Whether that was news for its day.
    pub(super) fn saw(&mut self, user: &Uid, at: Micros) -> bool {
        let day = at.day().0;
        let known = self.traces.get(user).and_then(|traces| traces.0.get(&day));
        if known.is_some_and(|known| *known <= at) {
            return false;
        }
        if self.traces.len() >= USERS_MAX && !self.traces.contains(user) {
            self.evicted += 1;
            return false;
        }
        let traces = self.traces.entry(user, Traces::default);
        traces.0.insert(day, at);
        while let (Some((&first, _)), Some((&last, _))) =
            (traces.0.first_key_value(), traces.0.last_key_value())
            && last - first > 4 * TRACE_DAYS
        {
            traces.0.pop_first();
        }
        true
    }

    /// Takes back that a user is a machine, if it was at the console in the ninety days before `at`.
    pub(super) fn doubt(&self, word: &mut Attribution, at: Micros) {
        let doubtful = matches!(word.actor_type, ActorType::Nhi | ActorType::Unknown);
        if word.identity_kind != IdentityKind::IamUser || !doubtful {
            return;
        }
        let Some(traces) = self.traces.get(&word.identity_uid) else {
            return;
        };
        let today = at.day().0;
        let seen = traces
            .0
            .range(today - TRACE_DAYS..=today)
            .any(|(_, first)| *first <= at);
        if seen {
            word.actor_type = ActorType::Unknown;
            word.because(MIXED_USE);
        }
    }
}
