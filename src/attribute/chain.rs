//! Putting chains together: the answer of a record alone, joined with the session that its key belongs to.

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::sessions::{INCOMPLETE, Pending, Session};
use super::{Draft, booked_on};
use crate::model::{ActorType, Attribution, Confidence, IdentityKind, Method, Status, Uid};

/// More hops than any real chain has; a longer one is a loop or a forgery and is not followed (LIN guards).
pub(super) const CHAIN_LENGTH_MAX: usize = 16;

/// What a record says about its caller without any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alone {
    pub(super) identity_uid: Uid,
    pub(super) identity_kind: IdentityKind,
    pub(super) chain: Vec<Uid>,
    pub(super) method: Method,
    pub(super) confidence: Confidence,
    pub(super) reasons: Vec<Uid>,
}

/// A chain that a key led to.
pub(super) struct Joined {
    pub(super) identity_uid: Uid,
    pub(super) identity_kind: IdentityKind,
    pub(super) acting_kind: IdentityKind,
    pub(super) actor_type: ActorType,
    pub(super) origin_uid: Uid,
    pub(super) workload_uid: Option<Uid>,
    pub(super) chain: Vec<Uid>,
    pub(super) confidence: Confidence,
    pub(super) pending: bool,
    pub(super) incomplete: bool,
    pub(super) reasons: Vec<&'static str>,
}

/// The chain of a use whose session is known.
pub(super) fn join(session: &Session, used: &Pending) -> Joined {
    let acting = used.acting_uid.clone();
    let Some(parent) = &session.issued_by else {
        // Rule 0.5: the service that obtained the session is not the actor; the role is, on behalf of the workload.
        let own_code = session.kind != IdentityKind::WorkloadRole;
        return Joined {
            identity_uid: acting.clone(),
            identity_kind: session.kind,
            acting_kind: session.kind,
            actor_type: if own_code {
                ActorType::Provider
            } else {
                ActorType::Nhi
            },
            origin_uid: acting.clone(),
            workload_uid: session.workload_uid.clone(),
            chain: vec![acting],
            confidence: Confidence::Exact,
            pending: false,
            incomplete: false,
            reasons: vec!["LIN-1", "HM-4"],
        };
    };
    let mut chain = parent.chain.clone();
    // GetSessionToken's child is the same user again: no new node (L-6). The acting identity always ends the chain.
    if chain.last() != Some(&acting) {
        chain.truncate(CHAIN_LENGTH_MAX - 1);
        chain.push(acting);
    }
    let by_user = parent.identity_kind == IdentityKind::IamUser;
    let actor_type = match (parent.actor_type, used.actor_type) {
        (ActorType::Unknown, own) => own,
        // A second factor shows a person, whatever the user's own key looked like (HM-14 before HM-16).
        (ActorType::Nhi, ActorType::Human) if by_user => ActorType::Human,
        (parent, _) => parent,
    };
    let reasons = if parent.incomplete {
        vec!["LIN-1", "HM-17", INCOMPLETE]
    } else {
        vec!["LIN-1", "HM-17"]
    };
    Joined {
        identity_uid: parent.identity_uid.clone(),
        identity_kind: parent.identity_kind,
        acting_kind: used.acting_kind,
        actor_type,
        origin_uid: parent.origin_uid.clone(),
        workload_uid: parent.workload_uid.clone(),
        chain,
        confidence: parent.confidence,
        pending: parent.pending,
        incomplete: parent.incomplete,
        reasons,
    }
}

/// Nobody was found behind the key: what the record alone says is the answer, and the chain is incomplete (LIN-13).
pub(super) fn unresolved(used: &Pending) -> Joined {
    let alone = &used.alone;
    Joined {
        identity_uid: alone.identity_uid.clone(),
        identity_kind: alone.identity_kind,
        acting_kind: used.acting_kind,
        actor_type: used.actor_type,
        origin_uid: alone.identity_uid.clone(),
        workload_uid: None,
        chain: alone.chain.clone(),
        confidence: alone.confidence,
        pending: true,
        incomplete: false,
        reasons: Vec::new(),
    }
}

/// What `draft` says without any other event.
pub(super) fn alone(draft: &Draft, names: &mut Names) -> Alone {
    let acting = draft.acting_uid.clone();
    let (identity_uid, identity_kind, chain) = match &draft.issuer {
        Some((issuer, kind)) => (issuer.clone(), *kind, vec![issuer.clone(), acting]),
        None => (acting.clone(), draft.acting_kind, vec![acting]),
    };
    Alone {
        identity_uid,
        identity_kind,
        chain,
        method: draft.method,
        confidence: draft.confidence,
        reasons: draft
            .reasons
            .iter()
            .map(|rule| names.intern(rule))
            .collect(),
    }
}

pub(super) fn answer(draft: Draft, joined: Joined) -> Attribution {
    let mut reasons = draft.reasons;
    reasons.extend(joined.reasons);
    Attribution {
        nhi_uid: booked_on(
            (&joined.identity_uid, joined.identity_kind),
            (&draft.acting_uid, joined.acting_kind),
            joined.actor_type,
        ),
        identity_uid: joined.identity_uid,
        identity_kind: joined.identity_kind,
        actor_type: joined.actor_type,
        acting_uid: draft.acting_uid,
        acting_kind: joined.acting_kind,
        credential_uid: draft.credential_uid,
        credential_kind: draft.credential_kind,
        session_uid: draft.session_uid,
        workload_uid: joined.workload_uid.or(draft.workload_uid),
        origin_uid: joined.origin_uid,
        chain: joined.chain,
        via: draft.via,
        method: Method::IssuedKey,
        confidence: joined.confidence.min(draft.confidence),
        status: if joined.pending {
            Status::Pending
        } else {
            Status::Final
        },
        reasons,
        claimed_origin: draft.claimed_origin,
        on_behalf_of: draft.on_behalf_of,
        invoked_by: draft.invoked_by,
    }
}
