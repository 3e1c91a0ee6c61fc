//! `dormant`: a machine identity that was used is not used any more.
//!
//! Only successful use counts, by anybody in whose chain the identity stands. It is judged only if its use would have been
//! seen: the logs of its tenant reach back over the whole window, with gaps on at most a tenth of its days. Whoever can
//! do more harm is `dormant-privileged`'s; what was never used at all is `never-used`'s.

use super::sweep::{Subject, Sweep, Word};
use crate::model::{Confidence, Day, Severity, Uid, Why};

/// How long is long.
#[derive(Clone, Debug)]
pub struct Params {
    /// Days without use after which it is told …
    pub warn_days: i64,
    /// … and told again, as dormant …
    pub window_days: i64,
    /// … and as stale.
    pub stale_days: i64,
}

#[derive(Debug)]
pub(super) struct Dormant(pub(super) Params);

/// From this privilege tier on it is `dormant-privileged`'s.
pub(super) const PRIVILEGED: u8 = 2;

impl Sweep for Dormant {
    fn name(&self) -> &'static str {
        "dormant"
    }

    fn version(&self) -> i32 {
        1
    }

    fn attacks(&self) -> &'static [&'static str] {
        &["T1078.004"]
    }

    fn controls(&self) -> &'static [&'static str] {
        &["NHI1:2025", "CC6.2", "A.5.18", "7.2.5.1", "PR.AA-01"]
    }

    fn look(&self, subject: &Subject<'_>) -> Vec<Word> {
        let severities = [Severity::Info, Severity::Low, Severity::Medium];
        if subject.tier() >= PRIVILEGED {
            return Vec::new();
        }
        asleep(&self.0, subject, severities).into_iter().collect()
    }

    fn untrue(&self, word: &Word, day: Day, subject: &Subject<'_>) -> bool {
        used_between(word, day, subject)
    }

    fn over(&self, word: &Word, subject: &Subject<'_>) -> bool {
        subject.tier() >= PRIVILEGED || used_since(word, subject)
    }
}

/// What there is to say if `subject` sleeps, with a severity for each of the three levels.
pub(super) fn asleep(
    params: &Params,
    subject: &Subject<'_>,
    severities: [Severity; 3],
) -> Option<Word> {
    let (last, event) = subject.known.last_use.as_ref()?;
    let idle = subject.days_since(*last);
    let [warn, dormant, stale] = severities;
    let levels = [
        (3, params.stale_days, stale),
        (2, params.window_days, dormant),
        (1, params.warn_days, warn),
    ];
    let (level, days, severity) = levels
        .into_iter()
        .find(|(_, days, _)| idle >= *days && subject.covered(*days))?;
    let gaps = subject.days_without_logs(days);
    let privilege = subject.known.privilege();
    Some(Word {
        about: subject.uid.clone(),
        level,
        severity,
        confidence: if gaps == 0 {
            Confidence::Exact
        } else {
            Confidence::Strong
        },
        title: format!("not used for {idle} days"),
        summary: format!(
            "{} was last used with success at {last}, {idle} days ago{}; its tenant's logs tell of nothing on {gaps} of the \
             last {days} days.",
            subject.called(),
            privilege.map_or_else(String::new, |(tier, reason)| format!(
                ", and has privilege of tier {tier} ({reason})"
            )),
        ),
        why: vec![Why {
            dimension: Uid::from("days_idle"),
            observed: idle.to_string(),
            expected: format!("fewer than {days}"),
            window_days: days,
            n: u64::try_from(days - gaps).unwrap_or(0),
            bits: None,
        }],
        since: *last,
        event: Some(event.clone()),
    })
}

/// Whether `subject` was used after what `word` says.
pub(super) fn used_since(word: &Word, subject: &Subject<'_>) -> bool {
    let last = subject.known.last_use.as_ref();
    last.is_some_and(|(last, _)| *last > word.since)
}

/// Whether `subject` was used after what `word` says and before `day`, on which it was said.
pub(super) fn used_between(word: &Word, day: Day, subject: &Subject<'_>) -> bool {
    let last = subject.known.last_use.as_ref();
    last.is_some_and(|(last, _)| *last > word.since && *last < day.start())
}
