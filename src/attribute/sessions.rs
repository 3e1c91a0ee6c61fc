//! Temporary credentials → who obtained them. The key that is used is looked up among the keys that were issued.
//!
//! A use may come before the event that issued its key. It is answered at once with what is known and waits here; the
//! issuing event, or the watermark, settles it with an amendment. Both maps are bounded, and what a bound drops is
//! counted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chain::{Alone, CHAIN_LENGTH_MAX, alone, answer, join, unresolved};
use super::names::Names;
use super::{Amendment, Draft, Params, Written, booked_on};
use crate::model::{
    ActorType, Attribution, AuditEvent, Confidence, IdentityKind, Method, Micros, SessionMethod,
    Status, Tracked, Uid,
};

/// How far a use's `creationDate` may differ from its issuing event's time: both have one-second resolution (D-31).
const CREATION_SLACK: i64 = Micros::SECOND;

/// The rule by which a chain ends because an event is missing that would have led further.
pub(super) const INCOMPLETE: &str = "LIN-13";

/// The record's own session and the issued one are not about the same role or start.
const MISMATCH: &str = "principal_mismatch";

/// One issued temporary credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The issued access key id.
    pub session_uid: Uid,
    /// Whom it acts as.
    pub identity_uid: Uid,
    pub role_arn: Option<Uid>,
    /// Who obtained it. `None` when a service did, for somebody's code.
    pub issued_by: Option<Parent>,
    /// The service that obtained it.
    pub delivered_by: Option<Uid>,
    pub kind: IdentityKind,
    pub method: SessionMethod,
    pub workload_uid: Option<Uid>,
    pub issued_at: Micros,
    pub expires_at: Micros,
    pub source_identity: Option<Uid>,
    pub session_name: Option<Uid>,
    pub federation_issuer: Option<Uid>,
    pub federation_subject: Option<Uid>,
    pub federation_audience: Option<Uid>,
    pub issue_event_uid: Uid,
    /// Told by the account that was called about a caller of another account: who that was in the end, its own copy says.
    pub foreign_copy: bool,
}

/// The resolved answer of the event that issued a session: what its uses inherit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    pub identity_uid: Uid,
    pub identity_kind: IdentityKind,
    pub actor_type: ActorType,
    pub acting_uid: Uid,
    pub session_uid: Option<Uid>,
    pub origin_uid: Uid,
    pub workload_uid: Option<Uid>,
    pub chain: Vec<Uid>,
    pub confidence: Confidence,
    pub pending: bool,
    /// The watermark has settled that a hop of this chain is missing.
    pub incomplete: bool,
}

impl From<Attribution> for Parent {
    fn from(by: Attribution) -> Self {
        Self {
            identity_uid: by.identity_uid,
            identity_kind: by.identity_kind,
            actor_type: by.actor_type,
            acting_uid: by.acting_uid,
            session_uid: by.session_uid,
            origin_uid: by.origin_uid,
            workload_uid: by.workload_uid,
            chain: by.chain,
            confidence: by.confidence,
            pending: by.status == Status::Pending,
            incomplete: by.reasons.contains(&INCOMPLETE),
        }
    }
}

/// An event whose row is out and whose chain may still grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The key whose issuing event is missing: its own, or one further up its chain.
    pub(super) waits_for: Uid,
    /// The key it used.
    pub(super) key: Uid,
    pub(super) acting_uid: Uid,
    pub(super) acting_kind: IdentityKind,
    pub(super) acting_arn: Option<Uid>,
    pub(super) actor_type: ActorType,
    pub(super) session_created_at: Option<Micros>,
    /// The answer that the record alone gives.
    pub(super) alone: Alone,
    /// The key that this event itself issued: whoever uses it waits too.
    pub(super) issued: Option<Uid>,
    /// How many amendments it has had.
    pub(super) revision: i32,
}

type EventKey = (Micros, Uid);

/// Issued credentials, and events that wait for one.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    issued: Tracked<Uid, Session>,
    /// Derived: when each may be forgotten.
    expiry: BTreeSet<(Micros, Uid)>,
    pending: Tracked<EventKey, Pending>,
    /// Derived: who waits for a key.
    waiting: BTreeMap<Uid, BTreeSet<EventKey>>,
    /// Amendments for events that had to be settled because too many waited.
    pub(super) overflow: Vec<Amendment>,
    pub(super) evicted: u64,
}

impl Sessions {
    /// The answer for `draft`: joined with the session its key belongs to, or waiting for it.
    pub(super) fn resolve(
        &mut self,
        event: &AuditEvent<'_>,
        draft: Draft,
        params: &Params,
        names: &mut Names,
    ) -> Attribution {
        let Some(key) = draft.awaits_issue_of.clone() else {
            return draft.alone(Status::Final);
        };
        let waiting = Pending {
            waits_for: key.clone(),
            key: key.clone(),
            acting_uid: draft.acting_uid.clone(),
            acting_kind: draft.acting_kind,
            acting_arn: draft.acting_arn.clone(),
            actor_type: draft.actor_type,
            session_created_at: draft.session_created_at,
            alone: alone(&draft, names),
            issued: event
                .issued
                .as_ref()
                .map(|issued| names.intern(&issued.key_id)),
            revision: 0,
        };
        match self.issued.get(&key) {
            Some(session) if !fits(session, &waiting) => {
                let mut answer = draft.alone(Status::Final);
                answer.reasons.push(MISMATCH);
                answer
            }
            Some(session) => {
                let joined = join(session, &waiting);
                let missing = self.missing_key(session);
                if joined.pending {
                    let waits_for = missing.unwrap_or(key);
                    let key = (event.event_time, names.intern(&event.event_uid));
                    self.wait(
                        key,
                        Pending {
                            waits_for,
                            ..waiting
                        },
                        params,
                    );
                }
                answer(draft, joined)
            }
            None => {
                let key = (event.event_time, names.intern(&event.event_uid));
                self.wait(key, waiting, params);
                draft.alone(Status::Pending)
            }
        }
    }

    /// Remembers an issued credential and settles the events that waited for it, those that issued further keys before
    /// the uses of those keys. `None` if a better copy of the issuing event is known.
    pub(super) fn learn(&mut self, session: Session, params: &Params) -> Option<Vec<Amendment>> {
        let key = session.session_uid.clone();
        if let Some(known) = self.issued.get(&key) {
            if known.issued_at == session.issued_at && (!known.foreign_copy || session.foreign_copy)
            {
                return None;
            }
            let forget_at = known.expires_at.plus(params.session_memory);
            self.expiry.remove(&(forget_at, key.clone()));
        }
        let cause = session.issue_event_uid.clone();
        let open = |parent: &Parent| parent.pending;
        let further = session
            .issued_by
            .as_ref()
            .is_some_and(open)
            .then(|| self.missing_key(&session))
            .flatten();
        self.expiry
            .insert((session.expires_at.plus(params.session_memory), key.clone()));
        self.issued.insert(key.clone(), session);
        while self.issued.len() > params.sessions_max
            && let Some((_, oldest)) = self.expiry.pop_first()
        {
            self.issued.remove(&oldest);
            self.evicted += 1;
        }
        let waiting = self.waiting.remove(&key).unwrap_or_default();
        let mut woken: Vec<(EventKey, Pending)> = waiting
            .into_iter()
            .filter_map(|event| self.pending.remove(&event).map(|pending| (event, pending)))
            .collect();
        woken.sort_by_key(|((time, _), pending)| (*time, pending.issued.is_none()));
        let mut amendments = Vec::new();
        for (event, pending) in woken {
            let amendment = self.amend(&event, &pending, Some(cause.clone()), false);
            if amendment.status == Status::Pending {
                // The chain grew by one hop but its next one is missing too: it goes on waiting, for that.
                let waits_for = further.clone().unwrap_or_else(|| key.clone());
                let pending = Pending {
                    waits_for,
                    revision: amendment.revision,
                    ..pending
                };
                self.wait(event, pending, params);
            }
            amendments.push(amendment);
        }
        Some(amendments)
    }

    /// Settles every waiting event before `settled_before`; forgets credentials whose memory ended before
    /// `forget_before`.
    pub(super) fn settle(
        &mut self,
        settled_before: Micros,
        forget_before: Micros,
    ) -> Vec<Amendment> {
        let mut amendments = Vec::new();
        while let Some((event, pending)) = self
            .pending
            .pop_first_if(|(time, _)| *time < settled_before)
        {
            self.forget_waiting(&event, &pending);
            amendments.push(self.amend(&event, &pending, None, true));
        }
        while self
            .expiry
            .first()
            .is_some_and(|(forget_at, _)| *forget_at < forget_before)
        {
            if let Some((_, key)) = self.expiry.pop_first() {
                self.issued.remove(&key);
            }
        }
        amendments
    }

    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.issued.len(), self.pending.len())
    }

    pub(super) fn written(&mut self, all: bool) -> Written {
        let (sessions, pending) = if all {
            (self.issued.take_all(), self.pending.take_all())
        } else {
            (self.issued.take_changes(), self.pending.take_changes())
        };
        Written {
            sessions,
            pending,
            evicted: self.evicted,
        }
    }

    pub(super) fn restore(&mut self, written: Written, params: &Params) {
        self.issued.apply(written.sessions);
        self.pending.apply(written.pending);
        self.evicted = written.evicted;
        self.expiry = self
            .issued
            .iter()
            .map(|(key, session)| {
                let forget_at = session.expires_at.plus(params.session_memory);
                (forget_at, key.clone())
            })
            .collect();
        self.waiting = BTreeMap::new();
        for (event, pending) in self.pending.iter() {
            self.waiting
                .entry(pending.waits_for.clone())
                .or_default()
                .insert(event.clone());
        }
    }

    /// The amendment for a waiting event, and the better parent for the session it issued.
    fn amend(
        &mut self,
        (event_time, event_uid): &EventKey,
        pending: &Pending,
        cause: Option<Uid>,
        settled: bool,
    ) -> Amendment {
        let found = self.issued.get(&pending.key);
        let mismatch = found.is_some_and(|session| !fits(session, pending));
        let session = found.filter(|_| !mismatch);
        let linked = session.is_some();
        let joined = session.map_or_else(|| unresolved(pending), |session| join(session, pending));
        let still_open = joined.pending && !settled && !mismatch;
        let incomplete = joined.incomplete || (joined.pending && settled);
        if let Some(issued) = &pending.issued
            && let Some(session) = self.issued.get_mut(issued)
        {
            session.issued_by = Some(Parent {
                identity_uid: joined.identity_uid.clone(),
                identity_kind: joined.identity_kind,
                actor_type: joined.actor_type,
                acting_uid: pending.acting_uid.clone(),
                session_uid: Some(pending.key.clone()),
                origin_uid: joined.origin_uid.clone(),
                workload_uid: joined.workload_uid.clone(),
                chain: joined.chain.clone(),
                confidence: joined.confidence,
                pending: still_open,
                incomplete,
            });
        }
        let mut reasons = pending.alone.reasons.clone();
        reasons.extend(joined.reasons.iter().map(|reason| Uid::from(*reason)));
        if mismatch {
            reasons.push(Uid::from(MISMATCH));
        } else if incomplete && !joined.reasons.contains(&INCOMPLETE) {
            reasons.push(Uid::from(INCOMPLETE));
        }
        Amendment {
            revision: pending.revision + 1,
            event_uid: event_uid.clone(),
            event_time: *event_time,
            nhi_uid: booked_on(
                (&joined.identity_uid, joined.identity_kind),
                (&pending.acting_uid, joined.acting_kind),
                joined.actor_type,
            ),
            identity_uid: joined.identity_uid,
            identity_kind: joined.identity_kind,
            actor_type: joined.actor_type,
            acting_uid: pending.acting_uid.clone(),
            origin_uid: joined.origin_uid,
            session_uid: Some(pending.key.clone()),
            chain: joined.chain,
            method: if linked {
                Method::IssuedKey
            } else {
                pending.alone.method
            },
            confidence: joined.confidence.min(pending.alone.confidence),
            status: if still_open {
                Status::Pending
            } else {
                Status::Final
            },
            reasons,
            cause_event_uid: cause,
        }
    }

    /// The key that a session's own chain still misses, followed upwards.
    fn missing_key(&self, session: &Session) -> Option<Uid> {
        let mut parent_key = session.issued_by.as_ref()?.session_uid.clone()?;
        for _ in 0..CHAIN_LENGTH_MAX {
            let Some(next) = self.issued.get(&parent_key) else {
                return Some(parent_key);
            };
            match next
                .issued_by
                .as_ref()
                .and_then(|by| by.session_uid.clone())
            {
                Some(key) => parent_key = key,
                None => return Some(parent_key),
            }
        }
        Some(parent_key)
    }

    fn wait(&mut self, event: EventKey, pending: Pending, params: &Params) {
        self.waiting
            .entry(pending.waits_for.clone())
            .or_default()
            .insert(event.clone());
        self.pending.insert(event, pending);
        while self.pending.len() > params.pending_max
            && let Some((event, pending)) = self.pending.pop_first_if(|_| true)
        {
            self.forget_waiting(&event, &pending);
            self.evicted += 1;
            let settled = self.amend(&event, &pending, None, true);
            self.overflow.push(settled);
        }
    }

    fn forget_waiting(&mut self, event: &EventKey, pending: &Pending) {
        if let Some(events) = self.waiting.get_mut(&pending.waits_for) {
            events.remove(event);
            if events.is_empty() {
                self.waiting.remove(&pending.waits_for);
            }
        }
    }
}

/// Whether the use can be a use of this session: same role, same start (LIN-1). A key id alone could be reused.
fn fits(session: &Session, used: &Pending) -> bool {
    let same_start = used
        .session_created_at
        .is_none_or(|created| created.since(session.issued_at).abs() <= CREATION_SLACK);
    let by_arn = session.identity_uid.strip_prefix("aws:role-arn:");
    let same_role = match by_arn {
        Some(arn) => used.acting_arn.as_deref() == Some(arn),
        None => session.identity_uid == used.acting_uid,
    };
    same_start && same_role
}
