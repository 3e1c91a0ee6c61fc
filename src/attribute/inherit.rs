//! What an answer takes over from whoever stands behind the call: from the session that was used, or from the call for
//! which a service made this one.

use super::facts::Session;
use super::parent::{INCOMPLETE, Parent};
use crate::model::{
    ActorType, Attribution, Confidence, CredentialKind, IdentityKind, Method, SessionMethod,
    Status, Uid,
};

/// More hops than any real chain has; a longer one is a loop or a forgery and is not followed (LIN guards).
const CHAIN_LENGTH_MAX: usize = 16;

/// Whose doing the uses of a sign-in's session are, and by which rule. `None` if the session began by no sign-in.
pub(super) const fn sign_in_actor(method: SessionMethod) -> Option<(ActorType, &'static str)> {
    match method {
        SessionMethod::ConsoleSignIn => Some((ActorType::Human, "HM-10")),
        SessionMethod::OauthCode => Some((ActorType::Human, "HM-11")),
        SessionMethod::OauthWithIam => Some((ActorType::Nhi, "HM-11")),
        _ => None,
    }
}

/// Puts the chain of `session` before the acting identity.
pub(super) fn join(word: &mut Attribution, session: &Session, strength: Confidence) {
    if let Some((actor, rule)) = sign_in_actor(session.method) {
        if word.credential_kind != Some(CredentialKind::ForwardAccess) {
            word.credential_uid = Some(session.session_uid.clone());
            word.credential_kind = Some(CredentialKind::ConsoleSession);
        }
        word.actor_type = actor;
        word.method = Method::ConsoleSignIn;
        word.because(rule);
    } else if word.method != Method::SessionIssuer {
        word.method = Method::IssuedKey;
    }
    word.session_uid = Some(session.session_uid.clone());
    word.because(match (strength, sign_in_actor(session.method)) {
        (Confidence::Exact, None) => "LIN-1",
        (Confidence::Exact, Some(_)) => "AWS-33",
        _ => "LIN-2",
    });
    let Some(by) = &session.issued_by else {
        delivered(word, session, strength);
        return;
    };
    word.actor_type = verdict(session, by, word);
    // The record's own statement who is behind it stands; lineage adds the session.
    if word.method == Method::SessionIssuer {
        return;
    }
    word.identity_uid = by.identity_uid.clone();
    word.identity_kind = by.identity_kind;
    word.origin_uid = by.origin_uid.clone();
    word.chain = chained(&by.chain, &word.acting_uid);
    if let Some(origin) = word.chain.first()
        && word.chain.len() == 1
    {
        word.origin_uid = origin.clone();
    }
    word.workload_uid = by.workload_uid.clone();
    word.confidence = word.confidence.min(by.confidence).min(strength);
    word.because(if by.identity_kind == IdentityKind::X509Workload {
        "HM-5"
    } else {
        "HM-17"
    });
    inherit_state(word, by);
}

/// Rule 0.5: the service that obtained the session is not the actor; the role is, on behalf of the workload.
fn delivered(word: &mut Attribution, session: &Session, strength: Confidence) {
    word.acting_kind = session.kind;
    word.identity_kind = session.kind;
    word.actor_type = if session.kind == IdentityKind::WorkloadRole {
        word.because("HM-4");
        ActorType::Nhi
    } else {
        ActorType::Provider
    };
    word.workload_uid = word
        .workload_uid
        .take()
        .or_else(|| session.workload_uid.clone());
    word.confidence = word.confidence.min(strength);
    word.status = Status::Final;
}

/// Whose doing a use is: its caller's, unless the use itself shows a person (HM-9 to HM-17).
fn verdict(session: &Session, by: &Parent, word: &Attribution) -> ActorType {
    let user = by.identity_kind == IdentityKind::IamUser;
    match (by.actor_type, word.actor_type) {
        // L-7: root of a member account is wielded by whoever assumed it, which is no login.
        (parent, _) if session.method == SessionMethod::AssumeRoot => parent,
        (_, own) if sign_in_actor(session.method).is_some() => own,
        (ActorType::Unknown, own) => own,
        // A second factor shows a person, whatever the user's own key looked like (HM-14 before HM-16).
        (ActorType::Nhi, ActorType::Human) if user => ActorType::Human,
        // A person for whom a machine acts (HM-9).
        (ActorType::Human, ActorType::Nhi) if word.on_behalf_of.is_some() => ActorType::Nhi,
        (parent, _) => parent,
    }
}

/// The call was forwarded for `by`: same principal, and now its credential and chain are known.
pub(super) fn caused(word: &mut Attribution, by: &Parent, proof: Confidence) {
    inherit(word, by);
    word.confidence = word.confidence.min(by.confidence).min(proof);
    word.method = Method::Forwarded;
}

/// Takes over who stands behind the call, and the session and workload they used.
pub(super) fn inherit(word: &mut Attribution, by: &Parent) {
    word.identity_uid = by.identity_uid.clone();
    word.identity_kind = by.identity_kind;
    word.actor_type = by.actor_type;
    word.origin_uid = by.origin_uid.clone();
    word.chain = by.chain.clone();
    word.session_uid = by.session_uid.clone();
    word.workload_uid = by.workload_uid.clone();
}

/// Takes over whether the parent's answer is settled and whole. Whether it can still change.
pub(super) fn inherit_state(word: &mut Attribution, by: &Parent) -> bool {
    word.status = if by.pending {
        Status::Pending
    } else if by.incomplete {
        word.because(INCOMPLETE);
        Status::Unattributed
    } else {
        Status::Final
    };
    by.open || by.pending || by.incomplete
}

/// `chain` with `acting` at its end and nobody twice: an identity that is reached again ends the way to it.
pub(super) fn chained(chain: &[Uid], acting: &Uid) -> Vec<Uid> {
    let before = chain
        .iter()
        .position(|node| node == acting)
        .unwrap_or(chain.len());
    let mut chain: Vec<Uid> = chain[..before.min(CHAIN_LENGTH_MAX - 1)].to_vec();
    chain.push(acting.clone());
    chain
}
