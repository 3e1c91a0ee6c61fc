//! What becomes known later about an event whose row is out: amendments, for lineage, for users who turn out to be
//! people at times, and for records that add to earlier ones.

use std::sync::Arc;

use super::{Engine, observe};
use crate::attribute;
use crate::correlate::Sighting;
use crate::model::{Attribution, AuditEvent, Micros, Uid};

impl Engine {
    /// Writes what became known about earlier events and sessions.
    pub(super) fn tell(&mut self, news: attribute::News) {
        for session in &news.sessions {
            self.rows.session(session);
        }
        for amendment in news.amendments {
            self.amend(amendment);
        }
    }

    /// Writes an amendment and corrects the event if it still waits to be judged.
    pub(super) fn amend(&mut self, amendment: attribute::Amendment) {
        self.counts.amended += 1;
        self.rows.amendment(&amendment);
        let key = (amendment.event_time, amendment.event_uid);
        if let Some(sighting) = self.waiting.get_mut(&key) {
            Arc::make_mut(sighting).by = amendment.word;
        } else {
            self.reconsider(&key.1, &amendment.word);
        }
    }

    /// An event that was judged turns out to be `word`'s. What was found about somebody else because of it is taken back, and
    /// it is judged as what it is, with what is known by now.
    fn reconsider(&mut self, event: &Uid, word: &Arc<Attribution>) {
        let mut anew = None;
        for (key, judged) in self.situations.opened_by(event) {
            let sighting = Sighting {
                by: word.clone(),
                ..Arc::unwrap_or_clone(judged)
            };
            let conduct = observe::judged(&sighting);
            if conduct == Some(&key.0) {
                continue;
            }
            let whose = conduct.unwrap_or(&word.identity_uid);
            let because =
                format!("Retracted: a record that came late shows that {event} was {whose}'s.");
            if let Some(finding) = self.situations.retract(&key, &because) {
                self.report(&finding);
                anew = Some(sighting);
            }
        }
        if let Some(sighting) = anew
            && let Some(identity) = observe::judged(&sighting)
        {
            let changes = sighting.changes.iter();
            let targets: Vec<Option<Uid>> = changes
                .map(|change| {
                    let target = change.target.as_ref()?;
                    Some(self.attributor.target(target, sighting.event_time))
                })
                .collect();
            self.judge(identity, &sighting, &targets);
        }
    }

    /// HM-16: `user` was at the console at `at`. Events of after that which came before their turn are answered anew.
    pub(super) fn doubt(&mut self, user: &Uid, at: Micros) {
        let begin = (at, Uid::from(""));
        let later: Vec<(Micros, Uid, Arc<Attribution>)> = self
            .waiting
            .range(begin..)
            .filter(|(_, sighting)| sighting.by.identity_uid == *user)
            .map(|((time, event), sighting)| (*time, event.clone(), sighting.by.clone()))
            .collect();
        for (time, event, told) in later {
            let news = self.attributor.again((time, &event), &told, None, None);
            self.tell(news);
        }
    }

    /// DD-5: the record adds to an earlier one. If that has not been judged yet, its answer says so; the addition is a
    /// row of its own under the same action in any case.
    pub(super) fn add(&mut self, event: &AuditEvent<'_>) {
        let original = event
            .addendum
            .as_ref()
            .filter(|addendum| addendum.reason != "DELIVERY_DELAY")
            .and_then(|addendum| addendum.original_event_uid.as_deref())
            .filter(|original| *original != event.event_uid);
        let Some(original) = original else {
            return;
        };
        let original = self.attributor.intern(original);
        let cause = self.attributor.intern(&event.event_uid);
        let key = (event.event_time, original);
        if let Some(told) = self.waiting.get(&key).map(|sighting| sighting.by.clone()) {
            let event = (key.0, &key.1);
            let news = self
                .attributor
                .again(event, &told, Some("DD-5"), Some(&cause));
            self.tell(news);
        } else if event.event_time >= self.watermark.passed() {
            self.attributor.expect_addition(key.1, key.0);
        }
    }
}
