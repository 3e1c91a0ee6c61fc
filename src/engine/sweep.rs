//! Once a day everybody is looked at: what time alone brings about, such as that nobody used a key for ninety days.
//!
//! A day is swept when the first event of it, or of a later one, is judged or the watermark passes its midnight: the same
//! moment in the order of events however epochs are cut.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::situations::finding_uid;
use crate::correlate::{KnownIdentity, Sighting};
use crate::detect::{Subject, Sweep, Word};
use crate::model::{
    Changes, Day, Facts, Finding, FindingEvent, FindingStatus, Micros, Role, Tracked, Uid,
};

/// On how many days a tenant's logs are remembered to have told of anything: more than any window of a sweep.
const LOGGED_DAYS_MAX: usize = 400;

/// So many days in a row without any event are swept; those after them are passed over.
const SILENT_DAYS_MAX: i32 = 400;

/// How many matters of one identity are remembered that are over. Each has its own beginning, so an old one never comes
/// again.
const OVER_MAX: usize = 4;

/// How many tenants are remembered. The identities of further ones are not swept: nothing tells whether their use would
/// have been seen.
const TENANTS_MAX: usize = 100_000;

/// What a sweep said last of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) sweep: Uid,
    pub(super) revision: i32,
    pub(super) word: Word,
    /// Whether it still holds. What is over is remembered for a while: it may come again, as the next revision.
    pub(super) open: bool,
    /// The day at whose beginning it was said.
    pub(super) day: Day,
}

impl Told {
    /// The same, over.
    fn ended(&self) -> Self {
        Self {
            revision: self.revision + 1,
            open: false,
            ..self.clone()
        }
    }

    /// Whether both are about the same matter.
    fn same(&self, other: &Self) -> bool {
        self.sweep == other.sweep
            && self.word.about == other.word.about
            && self.word.since == other.word.since
    }
}

/// The sweeps, and what they remember.
#[derive(Debug)]
pub(super) struct Sweeps {
    sweeps: Vec<Box<dyn Sweep>>,
    /// By identity.
    pub(super) told: Tracked<Uid, Vec<Told>>,
    /// Days on which a tenant's logs told of anything, in order. What names no tenant has an empty one.
    pub(super) logged: Tracked<Uid, Vec<Day>>,
    /// The last day that was swept.
    pub(super) swept: Option<Day>,
    nobody: Uid,
}

impl Sweeps {
    pub(super) fn new(sweeps: Vec<Box<dyn Sweep>>) -> Self {
        Self {
            sweeps,
            told: Tracked::default(),
            logged: Tracked::default(),
            swept: None,
            nobody: Uid::from(""),
        }
    }

    /// Notes that a tenant's log told of something.
    pub(super) fn saw(&mut self, sighting: &Sighting) {
        let tenant = sighting.tenant_uid.as_ref().unwrap_or(&self.nobody);
        let day = sighting.event_time.day();
        let known = self.logged.get(tenant);
        if known.is_some_and(|days| days.binary_search(&day).is_ok())
            || (known.is_none() && self.logged.len() >= TENANTS_MAX)
        {
            return;
        }
        let mut days = known.cloned().unwrap_or_default();
        if let Err(place) = days.binary_search(&day) {
            days.insert(place, day);
        }
        if days.len() > LOGGED_DAYS_MAX {
            days.remove(0);
        }
        self.logged.insert(tenant.clone(), days);
    }

    pub(super) fn written(&mut self, all: bool) -> WrittenSweeps {
        WrittenSweeps {
            told: self.told.written(all),
            logged: self.logged.written(all),
            swept: self.swept,
        }
    }

    pub(super) fn restore(&mut self, written: WrittenSweeps) {
        self.told.apply(written.told);
        self.logged.apply(written.logged);
        self.swept = written.swept;
    }

    /// What is new about `identity` today. Nothing is told of one that is known under a better name by now.
    fn look(
        &self,
        (uid, known): (&Uid, &KnownIdentity),
        (facts, inventory): (Option<&Facts>, bool),
        renamed: bool,
        today: Day,
    ) -> Option<News> {
        let told = self.told.get(uid).map_or(&[][..], Vec::as_slice);
        let tenant = known.tenant.as_ref().unwrap_or(&self.nobody);
        let subject = Subject {
            uid,
            known,
            facts,
            inventory,
            today,
            logged: self.logged.get(tenant).map_or(&[], Vec::as_slice),
        };
        let judged = !renamed && subject.judged();
        let mut news = News::default();
        for sweep in &self.sweeps {
            let of_it = || told.iter().filter(|told| *told.sweep == *sweep.name());
            for told in of_it().filter(|told| told.open) {
                let untrue = sweep.untrue(&told.word, told.day, &subject);
                if untrue || !judged || sweep.over(&told.word, &subject) {
                    news.ended.push((told.ended(), untrue));
                }
            }
            if !judged {
                continue;
            }
            for word in sweep.look(&subject) {
                let before = of_it()
                    .find(|told| told.word.about == word.about && told.word.since == word.since);
                if before.is_none_or(|before| !before.open || before.word.level < word.level) {
                    news.said.push(Told {
                        sweep: Uid::from(sweep.name()),
                        revision: before.map_or(0, |before| before.revision) + 1,
                        word,
                        open: true,
                        day: today,
                    });
                }
            }
        }
        (!news.ended.is_empty() || !news.said.is_empty()).then_some(news)
    }

    /// Remembers what is told now.
    fn remember(&mut self, uid: &Uid, news: &News) {
        let mut told = self.told.remove(uid).unwrap_or_default();
        let ended = news.ended.iter().map(|(told, _)| told);
        for now in ended.chain(&news.said) {
            told.retain(|told| !told.same(now));
            told.push(now.clone());
        }
        let mut over = told.iter().filter(|told| !told.open).count();
        told.retain(|told| {
            let forget = !told.open && over > OVER_MAX;
            over -= usize::from(forget);
            !forget
        });
        self.told.insert(uid.clone(), told);
    }

    /// The row that says `told` on `today`; `untrue` if it never was so.
    fn finding(
        &self,
        (uid, known): (&Uid, &KnownIdentity),
        told: &Told,
        untrue: bool,
        today: Day,
    ) -> Option<Finding> {
        let sweep = self
            .sweeps
            .iter()
            .find(|sweep| *sweep.name() == *told.sweep)?;
        let word = &told.word;
        let since = format!("{} {}", word.about, word.since.0);
        let first = told.revision == 1;
        let status = match (told.open, first) {
            (false, _) if untrue => FindingStatus::Retracted,
            (false, _) => FindingStatus::Closed,
            (true, true) => FindingStatus::New,
            (true, false) => FindingStatus::Updated,
        };
        let mut summary = word.summary.clone();
        if let Some((last, event)) = known.last_use.as_ref().filter(|_| untrue) {
            summary.push_str(&format!(
                " Retracted: a record that came late tells of a use at {last} ({event})."
            ));
        }
        let events = word
            .event
            .iter()
            .filter(|_| first)
            .map(|event| FindingEvent {
                role: Role::Baseline,
                event_uid: event.clone(),
                event_date: word.since.day(),
            });
        Some(Finding {
            finding_uid: finding_uid(sweep.name(), uid, &since),
            revision: told.revision,
            revision_time: today.start(),
            detector: sweep.name(),
            detector_version: sweep.version(),
            status,
            severity: word.severity,
            confidence: word.confidence,
            identity_uid: uid.clone(),
            about: word.about.clone(),
            related_uids: Some(&word.about)
                .filter(|about| *about != uid)
                .into_iter()
                .cloned()
                .collect(),
            tenant_uid: known.tenant.clone(),
            title: word.title.clone(),
            summary,
            why: word.why.clone(),
            first_event_time: word.since,
            last_event_time: today.start(),
            event_count: i64::from(word.event.is_some()),
            controls: sweep.controls(),
            attacks: sweep.attacks().iter().copied().map(Uid::from).collect(),
            events_before: i32::from(word.event.is_some() && !first),
            events: events.collect(),
        })
    }
}

/// What changed about one identity.
#[derive(Debug, Default)]
struct News {
    /// What is over, and whether it never was so.
    ended: Vec<(Told, bool)>,
    said: Vec<Told>,
}

/// What must survive a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WrittenSweeps {
    pub(super) told: Changes<Uid, Vec<Told>>,
    pub(super) logged: Changes<Uid, Vec<Day>>,
    pub(super) swept: Option<Day>,
}

impl Engine {
    /// Sweeps every day after the last one that was swept, up to that of `now`.
    pub(super) fn sweep_to(&mut self, now: Micros) {
        let day = now.day();
        let Some(swept) = self.sweeps.swept else {
            self.sweeps.swept = Some(day);
            return;
        };
        // Longer after the last event no log covers any window, so nothing can be told.
        let last = day.0.min(swept.0.saturating_add(SILENT_DAYS_MAX));
        for today in swept.0.saturating_add(1)..=last {
            self.sweep(Day(today));
        }
        self.sweeps.swept = Some(swept.max(day));
    }

    fn sweep(&mut self, today: Day) {
        self.forget_decisions(today);
        let mut all: Vec<(Uid, News)> = self
            .identities
            .unordered()
            .filter_map(|(uid, known)| {
                let renamed = uid
                    .strip_prefix("aws:role-arn:")
                    .is_some_and(|arn| self.attributor.role_since(arn, today.start()).is_some());
                let facts = self.inventory.facts(uid, known);
                let said = (facts.as_deref(), !self.inventory.is_empty());
                let news = self.sweeps.look((uid, known), said, renamed, today)?;
                Some((uid.clone(), news))
            })
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (uid, news) in all {
            let mut findings = Vec::new();
            if let Some(known) = self.identities.get(&uid) {
                let ended = news.ended.iter().map(|(told, untrue)| (told, *untrue));
                let said = news.said.iter().map(|told| (told, false));
                for (told, untrue) in ended.chain(said) {
                    let one = (&uid, known);
                    findings.extend(self.sweeps.finding(one, told, untrue, today));
                }
            }
            self.sweeps.remember(&uid, &news);
            for finding in &findings {
                self.report(finding);
            }
        }
    }
}
