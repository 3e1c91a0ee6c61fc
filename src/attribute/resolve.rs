//! The best answer that the known facts give to one record: a function of the record and the set of facts, not of the
//! order in which they came.

use super::account_of_id;
use super::directory::Directory;
use super::draft::{Proof, Seek};
use super::facts::{CREATION_SLACK, Facts, Handle, Session, Told};
use super::forward;
use super::inherit::{caused, chained, inherit, inherit_state, join, sign_in_actor};
use super::names::Names;
use super::users::Users;
use super::web_identity;
use crate::model::{ActorType, Attribution, Confidence, IdentityKind, Method, Micros, Status, Uid};

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
                        .stated_start()
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

    /// FAS-3, FAS-4, HM-3: the session in whose name the call was forwarded, else the call that caused it.
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
            if call.proof == Proof::Hint {
                explained(word, &call.rule);
                continue;
            }
            let same = causes.iter().all(|told| {
                told.parent.credential_uid == first.parent.credential_uid
                    && told.parent.identity_uid == first.parent.identity_uid
            });
            if !same {
                // Which of them it was cannot be told; that the principal acted is certain.
                word.because("FAS-3");
                continue;
            }
            let proof = if call.proof == Proof::Alone && causes.len() == 1 {
                Confidence::Exact
            } else {
                Confidence::Strong
            };
            caused(word, &first.parent, proof);
            explained(word, &call.rule);
            inherit_state(word, &first.parent);
            return true;
        }
        word.because("FAS-4");
        true
    }

    /// an application's federated credential trusts a subject outside Entra. X-6: that subject may be a role of AWS
    /// that proves itself with a token of its account's own issuer; the subject is then the role's ARN, which names no
    /// unique id, so it stays a subject like any other.
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
        if web_identity::of_aws(issuer) {
            word.because("X-6");
        }
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
        let near = self.began(word, seek);
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
            account_of_id::incomplete(word, seek);
        }
        true
    }

    /// The sessions that began when the use's did (LIN-2), by the use's own word or by what others taught of its key
    /// (LIN-6). The event that issued the key knows better than they.
    fn began(&self, word: &mut Attribution, seek: &Seek) -> Vec<&Session> {
        let key = seek.key.as_ref().filter(|_| seek.taught);
        if key.is_some_and(|key| self.facts.knows(&Handle::Key(key.clone()))) {
            return Vec::new();
        }
        let near = self.facts.sessions_near(seek);
        if seek.taught && !near.is_empty() {
            word.because("LIN-6");
        }
        near
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

/// Says among the reasons by which rule a call is explained, or could be.
fn explained(word: &mut Attribution, rule: &str) {
    const RULES: [&str; 5] = ["FAS-3a", "FAS-3b", "FAS-3c", "FAS-3d", "FAS-3e"];
    if let Some(rule) = RULES.iter().find(|known| **known == rule) {
        word.because(rule);
    }
}

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
    let in_time = match seek.stated_start() {
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
