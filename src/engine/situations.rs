//! One finding per situation, not per event: what a detector said first, and what else happened within a day.
//!
//! A revision is written when the count of events reaches a power of two and when the situation ends, so that the
//! rows do not depend on where epochs are cut and a noisy situation costs a handful of rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::correlate::Sighting;
use crate::detect::rules::{self, Rules};
use crate::detect::{Before, Detector, Verdict};
use crate::model::{
    Changes, Confidence, Finding, FindingEvent, FindingStatus, Micros, Role, Severity, Tracked,
    Uid, Why, hex, sha256,
};

/// A situation ends when nothing of it happened for this long: what an attacker does next, they mostly do within a day.
const QUIET_MAX: i64 = Micros::DAY;

/// A situation ends after this long even if it goes on: what has become a habit by then is judged as one.
const FOLLOWED_MAX: i64 = 7 * Micros::DAY;

/// How many events a finding names. Later ones are counted, and the query over its window finds them.
const EVENTS_MAX: usize = 64;

/// How many situations are open at once, over all identities. Beyond it the one quiet for longest is ended.
const OPEN_MAX: usize = 100_000;

/// How many of them are of one identity: each is held against every event of it. Beyond it the one that would end first
/// is ended.
const OPEN_OF_IDENTITY_MAX: usize = 64;

/// The same for the user's rules, which are counted apart: they may not push a detector's situation out.
const RULES_OF_IDENTITY_MAX: usize = 256;

/// Identity, detector, key: a detector can have several situations of one identity open.
pub(super) type Key = (Uid, Uid, Uid);

/// What must survive a restart.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WrittenSituations {
    pub(super) open: Changes<Key, Situation>,
    pub(super) triggers: Changes<Key, Arc<Sighting>>,
}

/// A finding that may still grow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Situation {
    finding_uid: Uid,
    revision: i32,
    detector_version: i32,
    severity: Severity,
    confidence: Confidence,
    related_uids: Vec<Uid>,
    tenant_uid: Option<Uid>,
    title: String,
    summary: String,
    why: Vec<Why>,
    first_event_time: Micros,
    last_event_time: Micros,
    event_count: i64,
    reported_count: i64,
    named: u32,
    /// Named events that no revision has shown yet.
    unshown: Vec<(Uid, Micros)>,
}

/// What a finding takes from its detector.
#[derive(Clone, Debug)]
struct Registered {
    name: &'static str,
    attacks: Vec<Uid>,
    controls: &'static [&'static str],
}

impl Registered {
    fn new(detector: &dyn Detector) -> Self {
        Self {
            name: detector.name(),
            attacks: detector.attacks().iter().copied().map(Uid::from).collect(),
            controls: detector.controls(),
        }
    }
}

/// A revision's status and the events it names for the first time.
type Revision = (FindingStatus, Vec<FindingEvent>);

/// Every open situation.
#[derive(Debug, Default)]
pub(super) struct Situations {
    open: Tracked<Key, Situation>,
    /// Derived: when each ends if nothing more happens.
    by_end: BTreeSet<(Micros, Key)>,
    /// The event that opened each, so that it can be judged anew when it turns out to be somebody else's.
    triggers: Tracked<Key, Arc<Sighting>>,
    /// Derived: the same by event.
    by_trigger: BTreeSet<(Uid, Key)>,
    /// What findings take from their detector, so that situations restored from state can be written too.
    registry: Vec<Registered>,
    /// What findings of the user's rules take from theirs.
    rules: Option<Arc<dyn Rules>>,
    pub(super) evicted: u64,
}

/// What following an event through the open situations gave.
pub(super) struct Followed {
    /// Detectors that already speak about this event, and of what.
    pub(super) by: Vec<(&'static str, Uid)>,
    pub(super) revisions: Vec<Finding>,
}

impl Situations {
    /// Situations of `detectors` and of what matches `rules`.
    pub(super) fn new(detectors: &[Box<dyn Detector>], rules: Option<Arc<dyn Rules>>) -> Self {
        let mut registry: Vec<Registered> = detectors
            .iter()
            .map(|detector| Registered::new(detector.as_ref()))
            .collect();
        registry.push(Registered {
            name: rules::NAME,
            attacks: Vec::new(),
            controls: rules::CONTROLS,
        });
        Self {
            open: Tracked::default(),
            by_end: BTreeSet::new(),
            triggers: Tracked::default(),
            by_trigger: BTreeSet::new(),
            registry,
            rules,
            evicted: 0,
        }
    }

    /// Counts `sighting` in every open situation of `identity` that it continues.
    pub(super) fn follow(
        &mut self,
        identity: &Uid,
        sighting: &Sighting,
        before: &Before<'_>,
        detectors: &mut dyn Iterator<Item = &dyn Detector>,
    ) -> Followed {
        let nothing = Uid::from("");
        let from = (identity.clone(), nothing.clone(), nothing);
        let open: Vec<&Key> = self
            .open
            .range(from..)
            .take_while(|((of, _, _), _)| of == identity)
            .map(|(key, _)| key)
            .collect();
        let mut continued: Vec<(&'static str, Key)> = Vec::new();
        if !open.is_empty() {
            for detector in detectors {
                let of_it = open.iter().filter(|key| *key.1 == *detector.name());
                let its = of_it.filter(|key| detector.continues(&key.2, sighting, before));
                continued.extend(its.map(|key| (detector.name(), (*key).clone())));
            }
        }
        let mut followed = Followed {
            by: Vec::new(),
            revisions: Vec::new(),
        };
        for (detector, key) in continued {
            let Some(situation) = self.open.get_mut(&key) else {
                continue;
            };
            let end = situation.ends_at();
            situation.count(&sighting.event_uid, sighting.event_time);
            self.by_end.remove(&(end, key.clone()));
            self.by_end.insert((situation.ends_at(), key.clone()));
            let due = situation.event_count.count_ones() == 1;
            let revision = due.then(|| situation.revise(FindingStatus::Updated));
            followed.by.push((detector, key.2.clone()));
            if let Some(events) = revision {
                followed.revisions.extend(self.finding(&key, events));
            }
        }
        followed
    }

    /// Opens a situation with what `detector` said about `sighting`.
    pub(super) fn open(
        &mut self,
        detector: &dyn Detector,
        identity: &Uid,
        sighting: &Sighting,
        verdict: Verdict,
    ) -> Vec<Finding> {
        let name = detector.name();
        let key: Key = (identity.clone(), Uid::from(name), verdict.key.clone());
        // One event may match several rules, and each is a finding of its own; a detector says one thing about an event.
        let finding_uid = match name {
            rules::NAME => finding_uid(&verdict.key, identity, &sighting.event_uid),
            _ => finding_uid(name, identity, &sighting.event_uid),
        };
        let mut situation = Situation {
            finding_uid,
            revision: 0,
            detector_version: detector.version(),
            severity: verdict.severity,
            confidence: verdict.confidence,
            related_uids: verdict.related_uids,
            tenant_uid: sighting.tenant_uid.clone(),
            title: verdict.title,
            summary: verdict.summary,
            why: verdict.why,
            first_event_time: sighting.event_time,
            last_event_time: sighting.event_time,
            event_count: 0,
            reported_count: 0,
            named: 0,
            unshown: Vec::new(),
        };
        // What happened longer before is told by the summary: a situation is not quiet for so long.
        let since = sighting.event_time.plus(-QUIET_MAX);
        for (event, at) in verdict.earlier.iter().filter(|(_, at)| *at >= since) {
            situation.count(event, *at);
        }
        situation.count(&sighting.event_uid, sighting.event_time);
        let events = situation.revise(FindingStatus::New);
        let mut findings: Vec<Finding> = self.close(&key).into_iter().collect();
        self.by_trigger
            .insert((sighting.event_uid.clone(), key.clone()));
        self.triggers
            .insert(key.clone(), Arc::new(sighting.clone()));
        self.by_end.insert((situation.ends_at(), key.clone()));
        self.open.insert(key.clone(), situation);
        findings.extend(self.finding(&key, events));
        let of_rules = name == rules::NAME;
        let max = if of_rules {
            RULES_OF_IDENTITY_MAX
        } else {
            OPEN_OF_IDENTITY_MAX
        };
        let (others, first) = self.first_to_end(identity, of_rules);
        if let Some(first) = first.filter(|_| others >= max) {
            self.evicted += 1;
            findings.extend(self.close(&first));
        }
        if self.open.len() > OPEN_MAX
            && let Some((_, key)) = self.by_end.first().cloned()
        {
            self.evicted += 1;
            findings.extend(self.close(&key));
        }
        findings
    }

    /// How many other situations of `identity` are open than one, of detectors or of rules, and which of them ends first.
    fn first_to_end(&self, identity: &Uid, of_rules: bool) -> (usize, Option<Key>) {
        let nothing = Uid::from("");
        let from = (identity.clone(), nothing.clone(), nothing);
        let own = self
            .open
            .range(from..)
            .take_while(|((of, _, _), _)| of == identity)
            .filter(|((_, name, _), _)| (**name == *rules::NAME) == of_rules);
        let mut others = 0_usize;
        let mut first: Option<(Micros, &Key)> = None;
        for (key, situation) in own {
            others += 1;
            let end = (situation.ends_at(), key);
            if first.is_none_or(|first| end < first) {
                first = Some(end);
            }
        }
        (others.saturating_sub(1), first.map(|(_, key)| key.clone()))
    }

    /// Ends the situations whose end lies before `now`, the time of the event that is judged next.
    pub(super) fn close_before(&mut self, now: Micros) -> Vec<Finding> {
        let mut findings = Vec::new();
        while let Some((end, key)) = self.by_end.first().cloned() {
            if end >= now {
                break;
            }
            findings.extend(self.close(&key));
        }
        findings
    }

    /// The situations that `event` opened, by whose conduct they are, with the event as it was judged.
    pub(super) fn opened_by(&self, event: &Uid) -> Vec<(Key, Arc<Sighting>)> {
        let nothing = || Uid::from("");
        let from = (event.clone(), (nothing(), nothing(), nothing()));
        self.by_trigger
            .range(from..)
            .take_while(|(of, _)| of == event)
            .filter_map(|(_, key)| Some((key.clone(), self.triggers.get(key)?.clone())))
            .collect()
    }

    /// Takes a situation back, with a last revision that says `because` of what.
    pub(super) fn retract(&mut self, key: &Key, because: &str) -> Option<Finding> {
        let situation = self.open.get_mut(key)?;
        situation.summary.push(' ');
        situation.summary.push_str(because);
        self.end(key, FindingStatus::Retracted)
    }

    /// A revision of every situation that grew since its last one: the input has ended.
    pub(super) fn flush(&mut self) -> Vec<Finding> {
        let grown: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, situation)| situation.event_count != situation.reported_count)
            .map(|(key, _)| key.clone())
            .collect();
        let mut findings = Vec::new();
        for key in grown {
            let revision = self
                .open
                .get_mut(&key)
                .map(|situation| situation.revise(FindingStatus::Updated));
            if let Some(revision) = revision {
                findings.extend(self.finding(&key, revision));
            }
        }
        findings
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn written(&mut self, all: bool) -> WrittenSituations {
        WrittenSituations {
            open: self.open.written(all),
            triggers: self.triggers.written(all),
        }
    }

    pub(super) fn restore(&mut self, written: WrittenSituations) {
        self.open.apply(written.open);
        self.triggers.apply(written.triggers);
        self.by_trigger = self
            .triggers
            .iter()
            .map(|(key, trigger)| (trigger.event_uid.clone(), key.clone()))
            .collect();
        self.by_end = self
            .open
            .iter()
            .map(|(key, situation)| (situation.ends_at(), key.clone()))
            .collect();
    }

    /// Ends one situation, with a last revision that says so.
    fn close(&mut self, key: &Key) -> Option<Finding> {
        self.end(key, FindingStatus::Closed)
    }

    fn end(&mut self, key: &Key, status: FindingStatus) -> Option<Finding> {
        let situation = self.open.get_mut(key)?;
        let end = situation.ends_at();
        let revision = situation.revise(status);
        let finding = self.finding(key, revision);
        self.by_end.remove(&(end, key.clone()));
        self.open.remove(key);
        if let Some(trigger) = self.triggers.remove(key) {
            let event = trigger.event_uid.clone();
            self.by_trigger.remove(&(event, key.clone()));
        }
        finding
    }

    fn finding(&self, key: &Key, (status, events): Revision) -> Option<Finding> {
        let (identity, name, about) = key;
        let situation = self.open.get(key)?;
        let detector = self
            .registry
            .iter()
            .find(|detector| detector.name == name.as_ref())?;
        let attacks = match &self.rules {
            Some(rules) if detector.name == rules::NAME => rules.attacks(about),
            _ => &detector.attacks,
        };
        Some(Finding {
            finding_uid: situation.finding_uid.clone(),
            revision: situation.revision,
            revision_time: situation.last_event_time,
            detector: detector.name,
            detector_version: situation.detector_version,
            status,
            severity: situation.severity,
            confidence: situation.confidence,
            identity_uid: identity.clone(),
            about: about.clone(),
            related_uids: situation.related_uids.clone(),
            tenant_uid: situation.tenant_uid.clone(),
            title: situation.title.clone(),
            summary: situation.summary.clone(),
            why: situation.why.clone(),
            first_event_time: situation.first_event_time,
            last_event_time: situation.last_event_time,
            event_count: situation.event_count,
            controls: detector.controls,
            attacks: attacks.to_vec(),
            events_before: i32::try_from(situation.named as usize - events.len())
                .unwrap_or(i32::MAX),
            events,
        })
    }
}

impl Situation {
    /// When it ends if nothing more happens.
    fn ends_at(&self) -> Micros {
        let quiet = self.last_event_time.plus(QUIET_MAX);
        quiet.min(self.first_event_time.plus(FOLLOWED_MAX))
    }

    fn count(&mut self, event: &Uid, at: Micros) {
        self.event_count += 1;
        self.first_event_time = self.first_event_time.min(at);
        self.last_event_time = self.last_event_time.max(at);
        if (self.named as usize) < EVENTS_MAX {
            self.named += 1;
            self.unshown.push((event.clone(), at));
        }
    }

    /// The next revision.
    fn revise(&mut self, status: FindingStatus) -> Revision {
        self.revision += 1;
        self.reported_count = self.event_count;
        let first = self.revision == 1;
        let events = std::mem::take(&mut self.unshown)
            .into_iter()
            .map(|(event_uid, time)| FindingEvent {
                role: if first { Role::Trigger } else { Role::Context },
                event_uid,
                event_date: time.day(),
            })
            .collect();
        (status, events)
    }
}

/// The same detector, identity and first event, or time since when, give the same id on every replay.
pub(super) fn finding_uid(detector: &str, identity: &str, first_event: &str) -> Uid {
    let text = format!("{detector}\n{identity}\n{first_event}");
    Uid::from(format!("kf-{}", hex(&sha256(text.as_bytes())[..10])))
}
