//! What events have told that explains other events: issued sessions, calls that services forward, calls that another
//! account tells too, federated credentials. Found by handles; bounded; forgotten by time.
//!
//! The facts are a set: in which order they came makes no difference to what is found under a handle.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::draft::Seek;
use super::index::Index;
use super::parent::Parent;
use crate::model::{IdentityKind, Kept, Micros, SessionMethod, Tracked, Uid};

/// Longest life of any temporary credential (STS API reference, `GetSessionToken`): an answer that says more is wrong.
pub(super) const SESSION_LIFE_MAX: i64 = 36 * Micros::HOUR;

/// How far a use's `creationDate` may differ from its issuing event's time: both have one-second resolution (D-31).
pub(super) const CREATION_SLACK: i64 = 1;

/// A way to find a fact. Seconds are those since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Handle {
    /// A call that a service may forward.
    Call(Uid),
    /// A federated credential of an Entra application.
    Credential(Uid),
    /// The issued key.
    Key(Uid),
    /// A role by its ARN.
    Named(Uid),
    /// Role, session name, second: deliveries that name no session (LIN-4).
    Role(Uid, Uid, i64),
    /// Principal of the session, second.
    Session(Uid, i64),
    /// `sharedEventID`.
    Shared(Uid),
    /// `signInSessionArn` (AWS-33).
    SignIn(Uid),
    /// An Entra token.
    Token(Uid),
}

/// One issued session or temporary credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The issued key's id; for sign-ins `aws:sess:<principal>@<start>` or the Entra token.
    pub session_uid: Uid,
    pub(super) key: Option<Uid>,
    /// `assumedRoleUser.assumedRoleId` and its kin: whom the session's records will name.
    pub(super) principal: Option<Uid>,
    /// Whom it acts as.
    pub identity_uid: Uid,
    pub role_arn: Option<Uid>,
    /// Who obtained it. `None` when a service did, for somebody's code.
    pub issued_by: Option<Parent>,
    /// The service that obtained it.
    pub delivered_by: Option<Uid>,
    pub kind: IdentityKind,
    pub method: SessionMethod,
    /// To which workload it was issued. From where it is used, only the rows of its uses say: a credential that was
    /// taken looks like its owner's here (LIN-14).
    pub workload_uid: Option<Uid>,
    pub issued_at: Micros,
    pub expires_at: Micros,
    pub source_identity: Option<Uid>,
    pub session_name: Option<Uid>,
    pub federation_issuer: Option<Uid>,
    pub federation_subject: Option<Uid>,
    pub federation_audience: Option<Uid>,
    pub(super) sign_in_session: Option<Uid>,
    pub issue_event_uid: Uid,
    /// Told by the account that was called about a caller of another account: who that was, its own copy says.
    pub(super) foreign_copy: bool,
    /// How many rows have told of it.
    pub revision: i32,
}

impl Session {
    /// Every way in which its uses can find it.
    pub(super) fn handles(&self) -> Vec<Handle> {
        let second = self.issued_at.second();
        let mut handles = Vec::with_capacity(3);
        if let Some(key) = &self.key {
            handles.push(Handle::Key(key.clone()));
        }
        if self.method == SessionMethod::EntraSignIn {
            handles.push(Handle::Token(self.session_uid.clone()));
        }
        if let Some(principal) = &self.principal {
            handles.push(Handle::Session(principal.clone(), second));
        } else if let (Some(role), Some(name)) = (&self.role_arn, &self.session_name) {
            handles.push(Handle::Role(role.clone(), name.clone(), second));
        }
        if let Some(arn) = &self.sign_in_session {
            handles.push(Handle::SignIn(arn.clone()));
        }
        handles
    }
}

/// A call that explains another: the direct call behind a forwarded one, or the caller's own account of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) at: Micros,
    pub(super) parent: Parent,
}

/// Whom an Entra application trusts by one federated credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trusted {
    pub(super) issuer: Uid,
    pub(super) subject: Uid,
}

/// When a temporary key's session began, and whose it is (LIN-6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) at: Micros,
    pub(super) principal: Uid,
}

/// A call's handle, and the event that made it.
pub(super) type TellKey = (Uid, Uid);

/// All facts.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// By the action that issued it: both accounts' copies of a call tell of one session.
    pub(super) sessions: Kept<Uid, Session>,
    pub(super) told: Tracked<TellKey, Told>,
    pub(super) trusted: Tracked<Uid, Trusted>,
    /// By keys that no known event issued.
    pub(super) begun: Kept<Uid, Begun>,
    /// Events that a record has added to before they came, and when they happened (DD-5).
    pub(super) additions: Tracked<Uid, Micros>,
    /// Derived.
    by_handle: Index<Uid>,
    /// Sign-ins of Entra applications: application, second, action.
    sign_ins: BTreeSet<(Uid, i64, Uid)>,
    session_ends: BTreeSet<(Micros, Uid)>,
    told_ends: BTreeSet<(Micros, TellKey)>,
    begun_at: BTreeSet<(Micros, Uid)>,
    pub(super) evicted: u64,
}

impl Facts {
    /// The sessions under exactly `handle`, in the order of their actions.
    pub(super) fn sessions_at(&self, handle: &Handle) -> Vec<&Session> {
        let actions = self.by_handle.at(handle);
        actions
            .filter_map(|action| self.sessions.get(action))
            .collect()
    }

    /// The sessions that began within a second of when the use's session did.
    pub(super) fn sessions_near(&self, seek: &Seek) -> Vec<&Session> {
        near(seek)
            .iter()
            .flat_map(|handle| self.by_handle.at(handle))
            .filter_map(|action| self.sessions.get(action))
            .collect()
    }

    /// The sign-ins of `application` whose tokens could still be in use at `at`.
    pub(super) fn sign_ins_before(
        &self,
        application: &Uid,
        at: Micros,
    ) -> impl Iterator<Item = &Session> {
        /// Longest life of a token that was seen (B.3).
        const TOKEN_SECONDS: i64 = 86_700;
        let to = at.second() + CREATION_SLACK;
        let nothing = Uid::from("");
        let from = (application.clone(), to - TOKEN_SECONDS, nothing.clone());
        self.sign_ins
            .range(from..(application.clone(), to + 1, nothing))
            .filter_map(|(_, _, action)| self.sessions.get(action))
    }

    /// What was told under a call's handle or a shared id, in the order of the events.
    pub(super) fn told_at<'a>(&'a self, handle: &Uid) -> impl Iterator<Item = &'a Told> + use<'a> {
        let from = (handle.clone(), Uid::from(""));
        let handle = handle.clone();
        self.told
            .range(from..)
            .take_while(move |((found, _), _)| *found == handle)
            .map(|(_, told)| told)
    }

    /// Remembers a session, in place of what another copy of its action told.
    pub(super) fn insert(&mut self, action: Uid, session: Session, memory: i64, max: usize) {
        self.remove_session(&action, memory);
        self.enter(&action, &session, memory);
        self.sessions.insert(action, session);
        while self.sessions.len() > max
            && let Some((_, oldest)) = self.session_ends.first().cloned()
        {
            self.remove_session(&oldest, memory);
            self.evicted += 1;
        }
    }

    /// Remembers a call until `forget_at`; beyond `max` calls, the one to be forgotten first goes.
    pub(super) fn tell(&mut self, key: TellKey, told: Told, forget_at: Micros, max: usize) {
        self.told_ends.insert((forget_at, key.clone()));
        self.told.insert(key, told);
        while self.told.len() > max
            && let Some((_, oldest)) = self.told_ends.pop_first()
        {
            self.told.remove(&oldest);
            self.evicted += 1;
        }
    }

    /// Whether a session is known under `handle`.
    pub(super) fn knows(&self, handle: &Handle) -> bool {
        self.by_handle.at(handle).next().is_some()
    }

    /// Remembers when the session of `key` began; beyond `max` keys, the one whose session began first goes.
    pub(super) fn begin(&mut self, key: &Uid, begun: Begun, max: usize) {
        let at = begun.at;
        if let Some(before) = self.begun.insert(key.clone(), begun) {
            self.begun_at.remove(&(before.at, key.clone()));
        }
        self.begun_at.insert((at, key.clone()));
        while self.begun.len() > max
            && let Some((_, oldest)) = self.begun_at.pop_first()
        {
            self.begun.remove(&oldest);
            self.evicted += 1;
        }
    }

    /// Forgets what ended before `before`.
    pub(super) fn forget(&mut self, before: Micros, memory: i64) {
        while let Some((at, action)) = self.session_ends.first().cloned()
            && at < before
        {
            self.remove_session(&action, memory);
        }
        while let Some((at, _)) = self.told_ends.first()
            && *at < before
            && let Some((_, key)) = self.told_ends.pop_first()
        {
            self.told.remove(&key);
        }
        // No temporary credential lives longer, so nobody shows the key any more.
        while let Some((at, _)) = self.begun_at.first()
            && at.plus(SESSION_LIFE_MAX) < before
            && let Some((_, key)) = self.begun_at.pop_first()
        {
            self.begun.remove(&key);
        }
        let old: Vec<Uid> = self
            .additions
            .iter()
            .filter(|(_, at)| at.plus(memory) < before)
            .map(|(event, _)| event.clone())
            .collect();
        for event in old {
            self.additions.remove(&event);
        }
    }

    /// Derives the indices anew, after the maps were restored.
    pub(super) fn index(&mut self, memory: i64, told_memory: i64) {
        self.by_handle.clear();
        self.session_ends.clear();
        self.sign_ins.clear();
        let sessions = std::mem::take(&mut self.sessions);
        for (action, session) in sessions.unordered() {
            self.enter(action, session, memory);
        }
        self.sessions = sessions;
        self.told_ends = self
            .told
            .iter()
            .map(|(key, told)| (told.at.plus(told_memory), key.clone()))
            .collect();
        self.begun_at = self
            .begun
            .unordered()
            .map(|(key, begun)| (begun.at, key.clone()))
            .collect();
    }

    /// Enters a session into the indices.
    fn enter(&mut self, action: &Uid, session: &Session, memory: i64) {
        for handle in session.handles() {
            self.by_handle.insert(handle, action.clone());
        }
        if let Some(sign_in) = sign_in(action, session) {
            self.sign_ins.insert(sign_in);
        }
        self.session_ends
            .insert((session.expires_at.plus(memory), action.clone()));
    }

    fn remove_session(&mut self, action: &Uid, memory: i64) {
        let Some(session) = self.sessions.remove(action) else {
            return;
        };
        self.session_ends
            .remove(&(session.expires_at.plus(memory), action.clone()));
        for handle in session.handles() {
            self.by_handle.remove(&handle, action);
        }
        if let Some(sign_in) = sign_in(action, &session) {
            self.sign_ins.remove(&sign_in);
        }
    }
}

/// Under which application and second a session is found, if it is a sign-in of one.
fn sign_in(action: &Uid, session: &Session) -> Option<(Uid, i64, Uid)> {
    let of_application = session.method == SessionMethod::EntraSignIn;
    let application = session.principal.as_ref().filter(|_| of_application)?;
    Some((
        application.clone(),
        session.issued_at.second(),
        action.clone(),
    ))
}

/// The handles under which a use looks for its session's beginning: a second either way.
fn near(seek: &Seek) -> Vec<Handle> {
    let Some(second) = seek.created_at.map(Micros::second) else {
        return Vec::new();
    };
    let seconds = second - CREATION_SLACK..=second + CREATION_SLACK;
    let mut handles = Vec::with_capacity(6);
    if let Some(principal) = &seek.principal {
        let at = |second| Handle::Session(principal.clone(), second);
        handles.extend(seconds.clone().map(at));
    }
    if let (Some(role), Some(name)) = (&seek.role_arn, &seek.session_name) {
        let at = |second| Handle::Role(role.clone(), name.clone(), second);
        handles.extend(seconds.map(at));
    }
    handles
}

/// Every handle whose change can change the answer to `seek`.
pub(super) fn watched(seek: &Seek) -> Vec<Handle> {
    let mut handles = Vec::new();
    let mut add = |handle: Option<Handle>| handles.extend(handle);
    add(seek.key.clone().map(Handle::Key));
    add(seek.token.clone().map(Handle::Token));
    add(seek.sign_in_session.clone().map(Handle::SignIn));
    add(seek.federated_credential.clone().map(Handle::Credential));
    add(seek.shared.clone().map(Handle::Shared));
    add(seek.named_role.clone().map(Handle::Named));
    for call in &seek.calls {
        add(Some(Handle::Call(call.handle.clone())));
    }
    handles.extend(near(seek));
    handles
}
