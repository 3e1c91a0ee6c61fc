//! [`AuditEvent`] → who did it, with which credential, through which hops.
//!
//! The rules are numbered as in the specification of attribution (`AWS-3`, `LIN-1`, `AZ-11`, `HM-4` …); the ids of the
//! rules that fired stand in each answer. Names and addresses are never used to join: only identifiers that the
//! provider assigned.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod aws;
mod azure;
mod chain;
mod issued;
mod names;
mod sessions;

use serde::{Deserialize, Serialize};

use crate::model::{
    ActorType, Attribution, AuditEvent, Changes, Confidence, CredentialKind, IdentityKind, Method,
    Micros, Principal, Status, Uid,
};

use names::Names;
use sessions::Sessions;
pub use sessions::{Pending, Session};

/// Bounds and lateness of attribution.
#[derive(Clone, Debug)]
pub struct Params {
    /// How long after its expiry an issued credential is remembered, in microseconds: late uses still find it.
    pub session_memory: i64,
    /// How many issued credentials are remembered. Beyond it the one that expires first is forgotten and counted.
    pub sessions_max: usize,
    /// How many events may wait for the event that issued their credential. Beyond it the oldest is settled as
    /// unresolved at once and counted.
    pub pending_max: usize,
}

/// What is remembered from event to event.
#[derive(Debug)]
pub struct Attributor {
    params: Params,
    names: Names,
    sessions: Sessions,
}

/// What must survive a restart, as changes since it was last written, or since nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Written {
    sessions: Changes<Uid, Session>,
    pending: Changes<(Micros, Uid), Pending>,
    evicted: u64,
}

/// An answer, and what else the event made known.
#[derive(Debug)]
pub struct Answer {
    pub attribution: Attribution,
    /// The credential that the event issued, unless a better copy of the event has told of it already.
    pub session: Option<Session>,
    /// Answers to earlier events that waited for this one.
    pub amendments: Vec<Amendment>,
}

/// A later, better answer for an event whose row is already out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// 1 for the first amendment of an event.
    pub revision: i32,
    pub event_uid: Uid,
    pub event_time: Micros,
    pub identity_uid: Uid,
    pub identity_kind: IdentityKind,
    pub actor_type: ActorType,
    pub acting_uid: Uid,
    pub origin_uid: Uid,
    pub nhi_uid: Option<Uid>,
    pub session_uid: Option<Uid>,
    pub chain: Vec<Uid>,
    pub method: Method,
    pub confidence: Confidence,
    pub status: Status,
    pub reasons: Vec<Uid>,
    pub cause_event_uid: Option<Uid>,
}

impl Attributor {
    /// An attributor that knows nothing yet.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            names: Names::default(),
            sessions: Sessions::default(),
        }
    }

    /// Says who did `event`. Learns the credential it issued, and settles the events that waited for that.
    pub fn attribute(&mut self, event: &AuditEvent<'_>) -> Answer {
        let draft = match &event.principal {
            Principal::Aws(principal) => aws::draft(event, principal, &mut self.names),
            Principal::Azure(principal) => azure::draft(event, principal, &mut self.names),
        };
        let attribution = self
            .sessions
            .resolve(event, draft, &self.params, &mut self.names);
        let mut session = issued::session(event, &attribution, &mut self.names);
        // What a full list of waiting events settled before its time comes first.
        let mut amendments = std::mem::take(&mut self.sessions.overflow);
        if let Some(learned) = &session {
            match self.sessions.learn(learned.clone(), &self.params) {
                Some(settled) => amendments.extend(settled),
                None => session = None,
            }
        }
        amendments.append(&mut self.sessions.overflow);
        Answer {
            attribution,
            session,
            amendments,
        }
    }

    /// Settles what waited longer than the watermark allows, and forgets credentials long expired.
    ///
    /// `settled_before`: events earlier than this can no longer be explained by an event still to come.
    /// `forget_before`: credentials whose memory ended before this are forgotten.
    pub fn settle(&mut self, settled_before: Micros, forget_before: Micros) -> Vec<Amendment> {
        self.sessions.settle(settled_before, forget_before)
    }

    /// The shared copy of `uid`.
    pub fn intern(&mut self, uid: &str) -> Uid {
        self.names.intern(uid)
    }

    /// How many credentials and waiting events were dropped because a limit was reached.
    pub fn evicted(&self) -> u64 {
        self.sessions.evicted
    }

    /// How many issued credentials are remembered, and how many events wait.
    pub fn sizes(&self) -> (usize, usize) {
        self.sessions.sizes()
    }

    /// What changed since the last call, or everything if `all`.
    pub fn written(&mut self, all: bool) -> Written {
        self.sessions.written(all)
    }

    /// Continues from what [`Attributor::written`] gave; several are applied in the order they were written.
    pub fn restore(&mut self, written: Written) {
        self.sessions.restore(written, &self.params);
    }
}

/// What the record alone says: the answer before lineage is looked at.
#[derive(Debug)]
struct Draft {
    acting_uid: Uid,
    acting_kind: IdentityKind,
    /// Who stands behind the acting identity by the record's own word, if anybody.
    issuer: Option<(Uid, IdentityKind)>,
    actor_type: ActorType,
    credential_uid: Option<Uid>,
    credential_kind: Option<CredentialKind>,
    session_uid: Option<Uid>,
    workload_uid: Option<Uid>,
    via: Vec<Uid>,
    method: Method,
    confidence: Confidence,
    reasons: Vec<&'static str>,
    claimed_origin: Option<Uid>,
    on_behalf_of: Option<Uid>,
    invoked_by: Option<Uid>,
    /// Another event must have issued this key; lineage looks for it.
    awaits_issue_of: Option<Uid>,
    /// ARN of the acting role, with its path: a session that a service obtained is known by it alone (LIN-4).
    acting_arn: Option<Uid>,
    /// When the session began, to the second.
    session_created_at: Option<Micros>,
}

impl Draft {
    /// A draft with nobody behind the acting identity.
    fn direct(acting_uid: Uid, acting_kind: IdentityKind, actor_type: ActorType) -> Self {
        Self {
            acting_uid,
            acting_kind,
            issuer: None,
            actor_type,
            credential_uid: None,
            credential_kind: None,
            session_uid: None,
            workload_uid: None,
            via: Vec::new(),
            method: Method::Direct,
            confidence: Confidence::Exact,
            reasons: Vec::new(),
            claimed_origin: None,
            on_behalf_of: None,
            invoked_by: None,
            awaits_issue_of: None,
            acting_arn: None,
            session_created_at: None,
        }
    }

    /// The answer if nothing but the record is known.
    fn alone(self, status: Status) -> Attribution {
        let (identity_uid, identity_kind, chain) = match &self.issuer {
            Some((issuer, kind)) => (
                issuer.clone(),
                *kind,
                vec![issuer.clone(), self.acting_uid.clone()],
            ),
            None => (
                self.acting_uid.clone(),
                self.acting_kind,
                vec![self.acting_uid.clone()],
            ),
        };
        Attribution {
            nhi_uid: booked_on(
                (&identity_uid, identity_kind),
                (&self.acting_uid, self.acting_kind),
                self.actor_type,
            ),
            origin_uid: identity_uid.clone(),
            identity_uid,
            identity_kind,
            actor_type: self.actor_type,
            acting_uid: self.acting_uid,
            acting_kind: self.acting_kind,
            credential_uid: self.credential_uid,
            credential_kind: self.credential_kind,
            session_uid: self.session_uid,
            workload_uid: self.workload_uid,
            chain,
            via: self.via,
            method: self.method,
            confidence: self.confidence,
            status,
            reasons: self.reasons,
            claimed_origin: self.claimed_origin,
            on_behalf_of: self.on_behalf_of,
            invoked_by: self.invoked_by,
        }
    }
}

/// The one non-human identity an event is booked on (rule 0.4): the identity itself if it is one, else the acting
/// role or service principal that a person or outsider wielded, else none.
fn booked_on(
    (identity, identity_kind): (&Uid, IdentityKind),
    (acting, acting_kind): (&Uid, IdentityKind),
    actor: ActorType,
) -> Option<Uid> {
    // A person with their own key or password is no machine, though an IAM user could be one.
    let own_key = identity_kind == IdentityKind::IamUser && actor == ActorType::Human;
    if identity_kind.non_human() && !own_key {
        return Some(identity.clone());
    }
    let wielded = acting_kind.non_human() && acting_kind != IdentityKind::IamUser;
    wielded.then(|| acting.clone())
}

#[cfg(test)]
mod tests;
