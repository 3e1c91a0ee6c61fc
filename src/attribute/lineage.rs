//! Events whose answer may still change, and how one fact changes the answers of many.
//!
//! A use may come before the event that issued its key, an issuing event before the one behind it. Each is answered at
//! once and waits here under the handles by which more about it could become known. A new fact wakes those who wait
//! under its handles; whoever's answer changes wakes those who wait for a session that it issued. When the watermark
//! has passed an event it is settled; what is settled without the event behind it goes on waiting for a late one, for
//! as long as sessions are remembered (AZ-54: Entra's logs can come hours late). All of it is bounded, and what a bound
//! drops is counted and told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::account_of_id;
use super::directory::Directory;
use super::draft::Seek;
use super::facts::{Facts, Handle, Session, watched};
use super::index::Index;
use super::names::Names;
use super::parent::Parent;
use super::resolve::{Known, Resolved};
use super::users::Users;
use super::{Amendment, Params};
use crate::model::{Attribution, Micros, Status, Tracked, Uid};

/// Real chains settle in a handful of revisions; one that does not stop is forged, and is not followed further.
const REVISIONS_MAX: i32 = 64;

/// How many hops upwards are settled before an event itself: as many as a chain can have.
const SETTLE_DEPTH_MAX: usize = 16;

/// An event that waits had to be settled before its time, because too many wait.
const OVERFLOW: &str = "pending_overflow";

/// When an event happened, and its id.
pub(super) type EventKey = (Micros, Uid);

/// An event whose row is out and whose answer may still change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// The answer that the record alone gives.
    pub(super) alone: Attribution,
    /// The answer that was told last.
    pub(super) told: Arc<Attribution>,
    pub(super) seek: Seek,
    /// The action by which this event itself issued a session.
    pub(super) issued: Option<Uid>,
    /// The calls by which this event explains others.
    pub(super) tells: Vec<Uid>,
    /// The watermark has passed it.
    pub(super) settled: bool,
}

/// Everything known, and everything that waits for more.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    pub(super) facts: Facts,
    pub(super) directory: Directory,
    pub(super) users: Users,
    pub(super) waiting: Tracked<EventKey, Waiting>,
    /// Derived: who waits under a handle.
    pub(super) watching: Index<EventKey>,
    /// Derived: who is not settled.
    unsettled: BTreeSet<EventKey>,
    /// What has changed since it was last taken: amendments, and sessions to be told.
    pub(super) amendments: Vec<Amendment>,
    pub(super) sessions: Vec<Session>,
    pub(super) evicted: u64,
}

impl Lineage {
    /// What the best answer there is now is a function of.
    pub(super) const fn known(&self) -> Known<'_> {
        Known {
            facts: &self.facts,
            directory: &self.directory,
            users: &self.users,
        }
    }

    /// Lets an event wait.
    pub(super) fn wait(
        &mut self,
        event: EventKey,
        waiting: Waiting,
        params: &Params,
        names: &mut Names,
    ) {
        self.watch(&event, &waiting.seek);
        self.unsettled.insert(event.clone());
        self.waiting.insert(event, waiting);
        while self.waiting.len() > params.pending_max
            && let Some(first) = self.waiting.first().cloned()
        {
            self.evicted += 1;
            if let Some(waiting) = self.waiting.get_mut(&first) {
                waiting.alone.because(OVERFLOW);
            }
            self.settle_one(&first, 0, names);
            self.leave(&first);
        }
    }

    /// Remembers a session that `action` began, unless a better copy of the action has told of it. `open`: the answer
    /// of the event itself can still change, so its row waits for that.
    pub(super) fn learn(
        &mut self,
        action: &Uid,
        mut session: Session,
        open: bool,
        params: &Params,
        names: &mut Names,
    ) {
        if let Some(known) = self.facts.sessions.get(action) {
            let rank = |session: &Session| {
                (
                    session.foreign_copy,
                    session.issued_at,
                    session.issue_event_uid.clone(),
                )
            };
            if rank(known) <= rank(&session) {
                return;
            }
            session.revision = known.revision;
        }
        let cause = session.issue_event_uid.clone();
        let handles = session.handles();
        if !open {
            session.revision += 1;
            self.sessions.push(session.clone());
        }
        let memory = params.session_memory;
        self.facts
            .insert(action.clone(), session, memory, params.sessions_max);
        self.wake(handles.into(), Some(&cause), names);
    }

    /// Reconsiders whoever waits under `queue`, and whoever waits for what they issued.
    pub(super) fn wake(
        &mut self,
        mut queue: VecDeque<Handle>,
        cause: Option<&Uid>,
        names: &mut Names,
    ) {
        while let Some(handle) = queue.pop_front() {
            let events: Vec<EventKey> = self.watching.at(&handle).cloned().collect();
            for event in events {
                self.reconsider(&event, cause, &mut queue, names);
            }
        }
    }

    /// Answers the waiting event anew, whose record's own word now has the reason `why`. False if it does not wait.
    pub(super) fn touch(
        &mut self,
        event: &EventKey,
        why: Option<&'static str>,
        cause: Option<&Uid>,
        names: &mut Names,
    ) -> bool {
        let Some(waiting) = self.waiting.get_mut(event) else {
            return false;
        };
        if let Some(why) = why {
            waiting.alone.because_first(why);
        }
        let mut queue = VecDeque::new();
        self.reconsider(event, cause, &mut queue, names);
        self.wake(queue, cause, names);
        true
    }

    /// Settles every event of before `settled_before`, and forgets what ended before `forget_before`.
    pub(super) fn settle(
        &mut self,
        settled_before: Micros,
        forget_before: Micros,
        params: &Params,
        names: &mut Names,
    ) {
        // An issuing event can be dated a second after the use of what it issued.
        let before = settled_before.plus(-Micros::SECOND);
        let before = if settled_before == Micros::MAX {
            Micros::MAX
        } else {
            before
        };
        while let Some(event) = self.unsettled.first().cloned()
            && event.0 < before
        {
            self.settle_one(&event, 0, names);
        }
        let memory = params.session_memory;
        while let Some(event) = self.waiting.first().cloned()
            && event.0.plus(memory) < forget_before
            && !self.unsettled.contains(&event)
        {
            self.leave(&event);
        }
        self.facts.forget(forget_before, memory);
    }

    /// Derives the indices anew, after the maps were restored.
    pub(super) fn index(&mut self, params: &Params) {
        self.facts.index(params.session_memory, super::TOLD_MEMORY);
        self.directory.index();
        self.watching.clear();
        self.unsettled.clear();
        let events: Vec<(EventKey, Seek, bool)> = self
            .waiting
            .iter()
            .map(|(event, waiting)| (event.clone(), waiting.seek.clone(), waiting.settled))
            .collect();
        for (event, seek, settled) in events {
            self.watch(&event, &seek);
            if !settled {
                self.unsettled.insert(event);
            }
        }
    }

    /// Settles one event, those behind it first.
    fn settle_one(&mut self, event: &EventKey, depth: usize, names: &mut Names) {
        if !self.unsettled.remove(event) {
            return;
        }
        if depth < SETTLE_DEPTH_MAX {
            for behind in self.behind(event) {
                self.settle_one(&behind, depth + 1, names);
            }
        }
        let Some(waiting) = self.waiting.get_mut(event) else {
            return;
        };
        waiting.settled = true;
        let mut queue = VecDeque::new();
        self.reconsider(event, None, &mut queue, names);
        let issued = self
            .waiting
            .get(event)
            .and_then(|waiting| waiting.issued.clone());
        if let Some(action) = issued {
            self.tell_session(&action, &event.1);
        }
        self.wake(queue, None, names);
        let stays = self.waiting.get(event).is_some_and(|waiting| {
            waiting.told.status != Status::Final
                || waiting.told.rests_on("ID-4")
                || waiting.seek.federated_credential.is_some()
        });
        if !stays {
            self.leave(event);
        }
    }

    /// The unsettled events that began the sessions which `event` could have used.
    fn behind(&self, event: &EventKey) -> Vec<EventKey> {
        let Some(waiting) = self.waiting.get(event) else {
            return Vec::new();
        };
        let by_key = waiting.seek.key.clone().map(Handle::Key);
        let by_token = waiting.seek.token.clone().map(Handle::Token);
        let mut sessions = self.facts.sessions_near(&waiting.seek);
        for handle in by_key.iter().chain(&by_token) {
            sessions.extend(self.facts.sessions_at(handle));
        }
        sessions
            .into_iter()
            .map(|session| (session.issued_at, session.issue_event_uid.clone()))
            .filter(|behind| self.unsettled.contains(behind))
            .collect()
    }

    /// Answers one waiting event anew. Tells an amendment if the answer has changed, and puts the handles of what the
    /// event issued into `queue`.
    pub(super) fn reconsider(
        &mut self,
        event: &EventKey,
        cause: Option<&Uid>,
        queue: &mut VecDeque<Handle>,
        names: &mut Names,
    ) {
        let Some(waiting) = self.waiting.get(event) else {
            return;
        };
        let Resolved { mut word, open } =
            self.known()
                .resolve(&waiting.alone, &waiting.seek, event.0, names);
        if waiting.settled && word.status == Status::Pending {
            word.status = Status::Unattributed;
            account_of_id::incomplete(&mut word, &waiting.seek);
        }
        word.revision = waiting.told.revision;
        let settled = waiting.settled;
        let issued = waiting.issued.clone();
        if word != *waiting.told && word.revision < REVISIONS_MAX {
            word.revision += 1;
            let word = Arc::new(word);
            self.amendments.push(Amendment {
                event_uid: event.1.clone(),
                event_time: event.0,
                word: word.clone(),
                cause_event_uid: cause.cloned(),
            });
            if let Some(action) = &issued {
                self.pass_on(action, event, &word, settled, queue);
            }
            self.retell(event, &word, open, queue);
            if let Some(waiting) = self.waiting.get_mut(event) {
                waiting.told = word;
            }
        }
        if !open {
            if let Some(action) = issued.filter(|_| !settled) {
                self.tell_session(&action, &event.1);
            }
            self.leave(event);
        }
    }

    /// The session that `event` began has a better parent.
    fn pass_on(
        &mut self,
        action: &Uid,
        event: &EventKey,
        word: &Attribution,
        settled: bool,
        queue: &mut VecDeque<Handle>,
    ) {
        let Some(session) = self.facts.sessions.get_mut(action) else {
            return;
        };
        if session.issue_event_uid != event.1 {
            return;
        }
        if session.issued_by.is_some() {
            session.issued_by = Some(Parent::of(word, true));
        } else {
            session.identity_uid = word.acting_uid.clone();
        }
        queue.extend(session.handles());
        if settled && session.revision > 0 {
            session.revision += 1;
            self.sessions.push(session.clone());
        }
    }

    /// The calls that `event` explains are explained better.
    fn retell(
        &mut self,
        event: &EventKey,
        word: &Attribution,
        open: bool,
        queue: &mut VecDeque<Handle>,
    ) {
        let Some(waiting) = self.waiting.get(event) else {
            return;
        };
        for handle in waiting.tells.clone() {
            if let Some(told) = self.facts.told.get_mut(&(handle.clone(), event.1.clone())) {
                told.parent = Parent::of(word, open);
                queue.push_back(Handle::Call(handle.clone()));
                queue.push_back(Handle::Shared(handle));
            }
        }
    }

    /// The first row of a session: once who obtained it is settled.
    fn tell_session(&mut self, action: &Uid, issue_event: &Uid) {
        let told =
            self.facts.sessions.get(action).is_none_or(|session| {
                session.revision > 0 || session.issue_event_uid != *issue_event
            });
        if told {
            return;
        }
        if let Some(session) = self.facts.sessions.get_mut(action) {
            session.revision = 1;
            self.sessions.push(session.clone());
        }
    }

    pub(super) fn watch(&mut self, event: &EventKey, seek: &Seek) {
        for handle in watched(seek) {
            self.watching.insert(handle, event.clone());
        }
    }

    /// Takes the event from under its handles, before they change or it leaves.
    pub(super) fn unwatch(&mut self, event: &EventKey) {
        let Some(waiting) = self.waiting.get(event) else {
            return;
        };
        for handle in watched(&waiting.seek) {
            self.watching.remove(&handle, event);
        }
    }

    /// Nothing that could come would change the answer, or nobody waits for it any more.
    fn leave(&mut self, event: &EventKey) {
        self.unsettled.remove(event);
        self.unwatch(event);
        self.waiting.remove(event);
    }
}
