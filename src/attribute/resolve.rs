//! The best answer that the known facts give to one record: a function of the record and the set of facts, not of the
//! order in which they came.

use super::directory::Directory;
use super::draft::Seek;
use super::facts::{CREATION_SLACK, Facts, Handle, Session, Told};
use super::forward;
use super::names::Names;
use super::parent::{INCOMPLETE, Parent};
use super::users::Users;
use super::web_identity;
use crate::model::{
    ActorType, Attribution, Confidence, CredentialKind, IdentityKind, Method, Micros,
    SessionMethod, Status, Uid,
};

/// More hops than any real chain has; a longer one is a loop or a forgery and is not followed (LIN guards).
const CHAIN_LENGTH_MAX: usize = 16;

/// The record's own session and the issued one are not about the same role or start.
const MISMATCH: &str = "principal_mismatch";

/// Everything that is known.
pub(super) struct Known<'a> {
    pub(super) facts: &'a Facts,
    pub(super) directory: &'a Directory,
    pub(super) users: &'a Users,
}

/// An answer, and whether facts still to come could better it.
pub(super) struct Resolved {
    pub(super) word: Attribution,
    pub(super) open: bool,
}

impl Known<'_> {
    /// The answer to a record whose own word is `alone`.
    pub(super) fn resolve(
        &self,
        alone: &Attribution,
        seek: &Seek,
        at: Micros,
        names: &mut Names,
    ) -> Resolved {
        let mut word = alone.clone();
        let open = if let Some(arn) = &seek.named_role {
            self.by_name(&mut word, arn, at)
        } else if let Some(shared) = &seek.shared {
            self.by_copy(&mut word, shared)
        } else if seek.forwarded {
            self.by_cause(&mut word, seek, at)
        } else if let Some(credential) = &seek.federated_credential {
            self.by_trust(&mut word, credential, names)
        } else if let Some(token) = &seek.token {
            self.by_token(&mut word, token)
        } else if let Some(application) = &seek.signed_in {
            self.by_sign_ins(&mut word, application, at)
        } else if seek.principal.is_none() && seek.key.is_none() {
            true
        } else {
            self.by_session(&mut word, seek, at)
        };
        self.delegated(&mut word, seek);
        self.directory.rename(&mut word, at, names);
        self.users.doubt(&mut word, at);
        if alone.actor_type == ActorType::External && alone.rests_on("AWS-34") {
            // Whoever is behind the session, the outsider whom it lets in made the call.
            word.actor_type = ActorType::External;
        }
        word.book();
        Resolved { word, open }
    }

    /// HM-9, L-13: a machine exchanged a person's token before the session began, and so acts for that person. The
    /// steps between share no id, so this changes whose doing it is and never who is behind it.
    fn delegated(&self, word: &mut Attribution, seek: &Seek) {
        let by_machine = seek.calls.iter().any(|call| {
            call.rule == "HM-9"
                && self.facts.told_at(&call.handle).any(|told| {
                    let in_time = seek
                        .created_at
                        .is_none_or(|created| told.at.since(created).abs() <= forward::APART_MAX);
                    in_time && told.parent.actor_type == ActorType::Nhi
                })
        });
        if by_machine {
            word.actor_type = ActorType::Nhi;
            word.because("HM-9");
        }
    }

    /// ID-3, ID-4: a role that a service obtained is known by its ARN until somebody uses it.
    fn by_name(&self, word: &mut Attribution, arn: &Uid, at: Micros) -> bool {
        let Some(uid) = self.directory.named_at(arn, at) else {
            word.because("ID-4");
            return true;
        };
        word.acting_uid = uid.clone();
        word.identity_uid = uid.clone();
        word.origin_uid = uid.clone();
        word.chain = vec![uid.clone()];
        word.because("ID-3");
        // Until the watermark has passed, another bearer of the name can turn up.
        true
    }

    /// L-2: the caller's own account tells the same action.
    fn by_copy(&self, word: &mut Attribution, shared: &Uid) -> bool {
        let Some(told) = self.facts.told_at(shared).next() else {
            return true;
        };
        let by = &told.parent;
        inherit(word, by);
        word.acting_uid = by.acting_uid.clone();
        word.credential_uid = by.credential_uid.clone();
        word.credential_kind = by.credential_kind;
        word.on_behalf_of = by.on_behalf_of.clone();
        word.confidence = by.confidence;
        word.method = Method::SharedEvent;
        word.because("L-2");
        inherit_state(word, by)
    }

    /// FAS-3, FAS-4: the session in whose name the call was forwarded, else the call that caused it.
    fn by_cause(&self, word: &mut Attribution, seek: &Seek, at: Micros) -> bool {
        let near = self.facts.sessions_near(seek);
        if let Some(session) = agreed(&near) {
            join(word, session, Confidence::Strong);
            word.method = Method::Forwarded;
            word.because("FAS-4");
            return true;
        }
        for call in &seek.calls {
            let causes: Vec<&Told> = self
                .facts
                .told_at(&call.handle)
                .filter(|told| told.at.since(at).abs() <= forward::APART_MAX)
                .collect();
            let Some(first) = causes.first() else {
                continue;
            };
            let same = causes.iter().all(|told| {
                told.parent.credential_uid == first.parent.credential_uid
                    && told.parent.identity_uid == first.parent.identity_uid
            });
            if !same {
                // Which of them it was cannot be told; that the principal acted is certain.
                word.because("FAS-3");
                continue;
            }
            let proof = if call.proves && causes.len() == 1 {
                Confidence::Exact
            } else {
                Confidence::Strong
            };
            caused(word, &first.parent, proof);
            if let Some(rule) = RULES.iter().find(|rule| **rule == call.rule) {
                word.because(rule);
            }
            inherit_state(word, &first.parent);
            return true;
        }
        word.because("FAS-4");
        true
    }

    /// an application's federated credential trusts a subject outside Entra.
    fn by_trust(&self, word: &mut Attribution, credential: &Uid, names: &mut Names) -> bool {
        let Some(trusted) = self.facts.trusted.get(credential) else {
            return true;
        };
        let issuer = web_identity::issuer_of(&trusted.issuer);
        let outside = web_identity::subject(issuer, &trusted.subject, None, names).word;
        word.identity_kind = outside.identity_kind;
        word.actor_type = outside.actor_type;
        word.origin_uid = outside.identity_uid.clone();
        word.chain = chained(
            std::slice::from_ref(&outside.identity_uid),
            &word.acting_uid,
        );
        word.identity_uid = outside.identity_uid;
        word.method = Method::FederatedCredential;
        word.because("X-3");
        false
    }

    /// AZ-20: the sign-in at which the token was issued tells its credential, and who is behind it.
    fn by_token(&self, word: &mut Attribution, token: &Uid) -> bool {
        let sign_ins = self.facts.sessions_at(&Handle::Token(token.clone()));
        let Some(by) = sign_ins
            .first()
            .and_then(|session| session.issued_by.as_ref())
        else {
            return true;
        };
        if by.acting_uid != word.acting_uid {
            word.because(MISMATCH);
            return false;
        }
        word.identity_uid = by.identity_uid.clone();
        word.identity_kind = by.identity_kind;
        word.origin_uid = by.origin_uid.clone();
        word.chain = by.chain.clone();
        if by.credential_kind.is_some() {
            word.credential_uid = by.credential_uid.clone();
            word.credential_kind = by.credential_kind;
        }
        if by.identity_kind == IdentityKind::FirstPartyService {
            // AZ-13, AZ-33: who owns the application, the sign-in alone says. Microsoft's own addresses tell of nobody.
            word.acting_kind = by.identity_kind;
            word.actor_type = ActorType::Provider;
            word.because("AZ-13");
        }
        word.workload_uid = word.workload_uid.take().or_else(|| by.workload_uid.clone());
        word.session_uid = Some(token.clone());
        word.method = Method::Token;
        word.because("AZ-20");
        inherit_state(word, by)
    }

    /// B.3: the record names no token. If somebody outside was behind a sign-in whose token could be the one, who acted
    /// is not certain; that two steps are near in time is no proof of which it was.
    fn by_sign_ins(&self, word: &mut Attribution, application: &Uid, at: Micros) -> bool {
        let somebody = self.facts.sign_ins_before(application, at).any(|session| {
            let by = session.issued_by.as_ref();
            by.is_some_and(|by| by.identity_uid != word.acting_uid)
        });
        if somebody {
            word.status = Status::Pending;
            word.because("token_unknown");
        }
        true
    }

    /// LIN-1 to LIN-13: the issued key, else the session's beginning, else the sign-in.
    fn by_session(&self, word: &mut Attribution, seek: &Seek, at: Micros) -> bool {
        if let Some(key) = &seek.key {
            let issued = self.facts.sessions_at(&Handle::Key(key.clone()));
            let fitting: Vec<&Session> = issued
                .iter()
                .copied()
                .filter(|session| fits(session, seek, &word.acting_uid, at))
                .collect();
            if let Some(session) = fitting
                .iter()
                .copied()
                .max_by_key(|session| session.issued_at)
            {
                if fitting.len() > 1 {
                    word.because("key_reuse");
                }
                join(word, session, Confidence::Exact);
                return word.status == Status::Pending || open_behind(session);
            }
            if !issued.is_empty() {
                word.because(MISMATCH);
            }
        }
        let near = self.facts.sessions_near(seek);
        let (sign_ins, issued): (Vec<&Session>, Vec<&Session>) = near
            .into_iter()
            .partition(|session| sign_in_actor(session.method).is_some());
        if let Some(session) = agreed(&issued) {
            join(word, session, Confidence::Strong);
            if issued.len() > 1 {
                word.because("LIN-3");
            }
            if word.method == Method::IssuedKey {
                word.method = Method::Session;
            }
            return true;
        }
        if !issued.is_empty() {
            // LIN-3: in the same second different callers began the same session. Each of them could be behind it.
            word.status = Status::Ambiguous;
            word.confidence = word.confidence.min(Confidence::Probable);
            if word.actor_type == ActorType::Unknown && all_machines(&issued) {
                word.actor_type = ActorType::Nhi;
            }
            word.because("LIN-3");
            return true;
        }
        if let Some(session) = self.first_step(seek, &word.acting_uid) {
            join(word, session, Confidence::Exact);
            // An earlier step of the same sign-in can still come.
            return true;
        }
        if let Some(session) = agreed(&sign_ins) {
            join(word, session, Confidence::Strong);
            return word.status == Status::Pending || open_behind(session);
        }
        if word.method == Method::SessionIssuer {
            return true;
        }
        if seek.expected {
            // LIN-11: some calls are never logged, so nothing follows from their absence but that somebody is missing.
            word.status = Status::Pending;
        } else if seek.key.is_some() {
            // Whoever obtained the key, the user or root whose it is acted: that answer stands without the event.
            word.because(INCOMPLETE);
        }
        true
    }

    /// AWS-33, L-14: the first step of the sign-in that the use names. The provider gave all of them one id, so what each
    /// of them showed is no matter.
    fn first_step(&self, seek: &Seek, acting: &Uid) -> Option<&Session> {
        let arn = seek.sign_in_session.clone()?;
        let steps = self.facts.sessions_at(&Handle::SignIn(arn)).into_iter();
        steps
            .filter(|step| step.identity_uid == *acting)
            .min_by_key(|step| (step.issued_at, step.issue_event_uid.clone()))
    }
}

/// The rules that a call can be explained by, for the reasons of an answer.
const RULES: [&str; 4] = ["FAS-3a", "FAS-3b", "FAS-3c", "FAS-3d"];

/// The session that all of `sessions` come to: the first, if the same caller began them with the same credential.
fn agreed<'a>(sessions: &[&'a Session]) -> Option<&'a Session> {
    let first = *sessions.first()?;
    let parent = |session: &Session| {
        let by = session.issued_by.as_ref();
        by.map(|by| (by.acting_uid.clone(), by.credential_uid.clone()))
    };
    let same = sessions.iter().all(|session| {
        session.foreign_copy
            || first.foreign_copy
            || (parent(session) == parent(first) && session.delivered_by == first.delivered_by)
    });
    same.then_some(first)
}

/// Whose doing the uses of a sign-in's session are, and by which rule. `None` if the session began by no sign-in.
const fn sign_in_actor(method: SessionMethod) -> Option<(ActorType, &'static str)> {
    match method {
        SessionMethod::ConsoleSignIn => Some((ActorType::Human, "HM-10")),
        SessionMethod::OauthCode => Some((ActorType::Human, "HM-11")),
        SessionMethod::OauthWithIam => Some((ActorType::Nhi, "HM-11")),
        _ => None,
    }
}

fn all_machines(sessions: &[&Session]) -> bool {
    sessions.iter().all(|session| {
        let by = session.issued_by.as_ref();
        by.is_none_or(|by| by.actor_type == ActorType::Nhi)
    })
}

/// Whether who is behind a session can still become better known.
fn open_behind(session: &Session) -> bool {
    let by = session.issued_by.as_ref();
    session.foreign_copy || by.is_some_and(|by| by.open || by.pending || by.incomplete)
}

/// Whether the use can be a use of this session: same role, same start (LIN-1). A key id alone could be reused.
fn fits(session: &Session, seek: &Seek, acting: &Uid, at: Micros) -> bool {
    let in_time = match seek.created_at {
        Some(created) => (created.second() - session.issued_at.second()).abs() <= CREATION_SLACK,
        None => {
            session.issued_at <= at.plus(Micros::SECOND)
                && at < session.expires_at.plus(Micros::SECOND)
        }
    };
    let same_role = match session.identity_uid.strip_prefix("aws:role-arn:") {
        Some(arn) => seek.role_arn.as_deref() == Some(arn),
        None => session.identity_uid == *acting,
    };
    in_time && same_role
}

/// Puts the chain of `session` before the acting identity.
fn join(word: &mut Attribution, session: &Session, strength: Confidence) {
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
    // The record's own statement who is behind it stands; lineage adds the session.
    if word.method == Method::SessionIssuer {
        word.actor_type = verdict(session, by, word);
        return;
    }
    word.actor_type = verdict(session, by, word);
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
fn caused(word: &mut Attribution, by: &Parent, proof: Confidence) {
    inherit(word, by);
    word.confidence = word.confidence.min(by.confidence).min(proof);
    word.method = Method::Forwarded;
}

/// Takes over who stands behind the call, and the session and workload they used.
fn inherit(word: &mut Attribution, by: &Parent) {
    word.identity_uid = by.identity_uid.clone();
    word.identity_kind = by.identity_kind;
    word.actor_type = by.actor_type;
    word.origin_uid = by.origin_uid.clone();
    word.chain = by.chain.clone();
    word.session_uid = by.session_uid.clone();
    word.workload_uid = by.workload_uid.clone();
}

/// Takes over whether the parent's answer is settled and whole. Whether it can still change.
fn inherit_state(word: &mut Attribution, by: &Parent) -> bool {
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
fn chained(chain: &[Uid], acting: &Uid) -> Vec<Uid> {
    let before = chain
        .iter()
        .position(|node| node == acting)
        .unwrap_or(chain.len());
    let mut chain: Vec<Uid> = chain[..before.min(CHAIN_LENGTH_MAX - 1)].to_vec();
    chain.push(acting.clone());
    chain
}
