//! LIN-6: one temporary key has one session. A record that shows the key and when its session began teaches that to the
//! few records that show the key alone, as some of the billing console's do.
//!
//! What is taught counts for a key only while no event is known that issued it: that event names the session itself
//! (LIN-1). Nothing is taught by forwarded calls, whose keys serve one call and are never seen again (FAS-1).

use std::collections::VecDeque;

use super::Params;
use super::draft::Seek;
use super::facts::{Begun, Handle};
use super::lineage::{EventKey, Lineage};
use super::names::Names;
use crate::model::{Micros, Uid};

impl Lineage {
    /// Learns when the session behind `seek` began, if the record states it as `stated`; else looks up what other
    /// records taught of its key.
    pub(super) fn beginning(
        &mut self,
        seek: &mut Seek,
        stated: Option<Micros>,
        event_uid: &Uid,
        params: &Params,
        names: &mut Names,
    ) {
        let (Some(key), Some(principal)) = (&seek.key, &seek.principal) else {
            return;
        };
        if let Some(at) = stated {
            let begun = Begun {
                at,
                principal: principal.clone(),
            };
            let key = key.clone();
            self.teach(&key, &begun, event_uid, params, names);
        } else if seek.created_at.is_none()
            && let Some(begun) = self.facts.begun.get(key)
            && begun.principal == *principal
        {
            seek.created_at = Some(begun.at);
            seek.taught = true;
        }
    }

    /// Remembers when the session of `key` began, and answers those anew who wait for it.
    fn teach(&mut self, key: &Uid, begun: &Begun, cause: &Uid, params: &Params, names: &mut Names) {
        // Two beginnings of one key were never seen. Should they be, the first one counts in every order of arrival.
        let known = self.facts.begun.get(key);
        if known.is_some_and(|known| known <= begun) {
            return;
        }
        let handle = Handle::Key(key.clone());
        if self.facts.knows(&handle) {
            return;
        }
        self.facts.begin(key, begun.clone(), params.sessions_max);
        let asking: Vec<EventKey> = self.watching.at(&handle).cloned().collect();
        let mut queue = VecDeque::new();
        for event in asking {
            if self.be_taught(&event, begun) {
                self.reconsider(&event, Some(cause), &mut queue, names);
            }
        }
        self.wake(queue, Some(cause), names);
    }

    /// Lets a waiting event that does not state its session's start look for it from now on. Whether it does.
    fn be_taught(&mut self, event: &EventKey, begun: &Begun) -> bool {
        let asks = self.waiting.get(event).is_some_and(|waiting| {
            let seek = &waiting.seek;
            let open = seek.created_at.is_none() || seek.taught;
            open && seek.principal.as_ref() == Some(&begun.principal)
        });
        if !asks {
            return false;
        }
        self.unwatch(event);
        let Some(waiting) = self.waiting.get_mut(event) else {
            return false;
        };
        waiting.seek.created_at = Some(begun.at);
        waiting.seek.taught = true;
        let seek = waiting.seek.clone();
        self.watch(event, &seek);
        true
    }
}
