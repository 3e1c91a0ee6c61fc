//! [`AuditEvent`] → who did it, with which credential, through which hops; and what it changes about identities.
//!
//! The rules are numbered as in the specification of attribution (`AWS-3`, `LIN-1`, `AZ-11`, `HM-4` …); the ids of the
//! rules that fired stand in each answer. Names and addresses are never used to join: only identifiers that the
//! provider assigned.
//!
//! An event is answered in three steps. `aws`, `presented` and `azure` draft what the record alone says, and by what
//! more can be found. `resolve` looks that up among the facts that other events told (`facts`, `directory`, `users`).
//! `lineage` keeps the events whose answer may still change, and changes it when a fact arrives.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod account_of_id;
mod aws;
mod azure;
mod directory;
mod draft;
mod facts;
mod forward;
mod index;
mod inherit;
mod issue;
mod lifecycle;
mod lineage;
mod names;
mod parent;
mod presented;
mod privilege;
mod resolve;
mod taught;
mod tell;
mod users;
mod web_identity;
mod workload;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    Attribution, AuditEvent, AzurePrincipal, AzureSubject, Change, Changes, Micros, Outcome,
    Principal, PrincipalType, Target, Tie, Uid,
};

use directory::Bearer;
use draft::{Draft, Seek};
pub use facts::Session;
use facts::{Begun, Handle, TellKey, Told, Trusted};
use lineage::{EventKey, Lineage, Waiting};
use names::Names;
use users::Traces;

/// How long a call is remembered that could explain another: services forward at once, and accounts tell the same
/// call within their lateness of each other.
const TOLD_MEMORY: i64 = 2 * Micros::HOUR;

/// Bounds and lateness of attribution.
#[derive(Clone, Debug)]
pub struct Params {
    /// How long after its expiry an issued credential is remembered, in microseconds: late uses still find it. For as
    /// long a use that was settled without its issuing event goes on waiting for a late one.
    pub session_memory: i64,
    /// How many issued credentials are remembered, and how many calls that could explain others. Beyond it the one that
    /// ends first is forgotten and counted.
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
    lineage: Lineage,
}

/// What must survive a restart, as changes since it was last written, or since nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Written {
    sessions: Changes<Uid, Session>,
    told: Changes<TellKey, Told>,
    trusted: Changes<Uid, Trusted>,
    names: Changes<Uid, Vec<Bearer>>,
    additions: Changes<Uid, Micros>,
    begun: Changes<Uid, Begun>,
    traces: Changes<Uid, Traces>,
    waiting: Changes<EventKey, Waiting>,
    evicted: u64,
}

/// An answer, and what else the event made known.
#[derive(Debug)]
pub struct Answer {
    pub event_uid: Uid,
    pub attribution: Arc<Attribution>,
    /// What the event changes about identities and credentials.
    pub changes: Vec<Change>,
    /// To what it ties its caller besides its chain.
    pub ties: Vec<Tie>,
    /// A user who was seen at the console at this event's time: no longer simply a machine from then on (HM-16).
    pub at_console: Option<Uid>,
    pub news: News,
}

/// What has become known since it was last asked.
#[derive(Debug, Default)]
pub struct News {
    /// Better answers to earlier events.
    pub amendments: Vec<Amendment>,
    /// Sessions whose beginning is settled, or known better than when they were told.
    pub sessions: Vec<Session>,
}

/// A later, better answer for an event whose row is already out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    pub event_uid: Uid,
    pub event_time: Micros,
    pub word: Arc<Attribution>,
    pub cause_event_uid: Option<Uid>,
}

impl Attributor {
    /// An attributor that knows nothing yet.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            names: Names::default(),
            lineage: Lineage::default(),
        }
    }

    /// Says who did `event`. Learns what it tells, and betters the answers that it betters.
    pub fn attribute(&mut self, event: &AuditEvent<'_>) -> Answer {
        let at = event.event_time;
        let at_console = self.note_names(event);
        let mut draft = match &event.principal {
            Principal::Aws(principal) => aws::draft(event, principal, &mut self.names),
            Principal::Azure(principal) => azure::draft(event, principal, &mut self.names),
        };
        // Not shared by `names`: an event's id stands in few places, all of which are filled from this copy.
        let event_uid = Uid::from(&*event.event_uid);
        if !self.lineage.facts.additions.is_empty()
            && self.lineage.facts.additions.remove(&event_uid).is_some()
        {
            draft.word.because_first("DD-5");
        }
        if let (Some(seek), Principal::Aws(principal)) = (&mut draft.seek, &event.principal) {
            let stated = principal.session_created_at;
            self.lineage
                .beginning(seek, stated, &event_uid, &self.params, &mut self.names);
        }
        let (attribution, waits) = self.answer(draft, at);
        let (attribution, open) = (Arc::new(attribution), waits.is_some());
        let issued = issue::session(event, &attribution, open, &mut self.names);
        let action = issued.as_ref().map(|_| Uid::from(&*event.action_uid));
        if let Some((alone, seek)) = waits {
            let waiting = Waiting {
                alone,
                told: attribution.clone(),
                seek,
                issued: action.clone(),
                tells: Vec::new(),
                settled: false,
            };
            self.lineage.wait(
                (at, event_uid.clone()),
                waiting,
                &self.params,
                &mut self.names,
            );
        }
        if let (Some(action), Some(session)) = (action, issued) {
            self.lineage
                .learn(&action, session, open, &self.params, &mut self.names);
        }
        self.tell(event, &event_uid, &attribution, open);
        self.trust(event, &event_uid);
        Answer {
            event_uid,
            attribution,
            // What another account's copy tells, its own copy tells too.
            changes: if event.foreign_copy() {
                Vec::new()
            } else {
                lifecycle::changes(event)
            },
            ties: lifecycle::ties(event),
            at_console,
            news: self.news(),
        }
    }

    /// The answer now; and what the record alone says and what it waits for, if the answer may still change.
    fn answer(&mut self, draft: Draft, at: Micros) -> (Attribution, Option<(Attribution, Seek)>) {
        let mut word = draft.word;
        let Some(seek) = draft.seek else {
            self.lineage
                .directory
                .rename(&mut word, at, &mut self.names);
            self.lineage.users.doubt(&mut word, at);
            word.book();
            return (word, None);
        };
        let known = self.lineage.known();
        let resolved = known.resolve(&word, &seek, at, &mut self.names);
        (resolved.word, resolved.open.then_some((word, seek)))
    }

    /// Learns which id bears which name (ID-3), and who is at the console (HM-16).
    fn note_names(&mut self, event: &AuditEvent<'_>) -> Option<Uid> {
        let at = event.event_time;
        let principal = match &event.principal {
            Principal::Aws(principal) => principal,
            Principal::Azure(principal) => {
                self.note_object(event, principal);
                return None;
            }
        };
        if let Some(naming) = lifecycle::naming(event) {
            self.note_naming(event, &naming, at);
        }
        let bearer = match (principal.principal_type, &principal.issuer) {
            (PrincipalType::AssumedRole, Some(issuer)) => {
                let id = issuer.principal_id.as_deref()?;
                issuer.arn.as_deref().map(|arn| ("aws:role:", id, arn))
            }
            (PrincipalType::IamUser, _) => {
                let id = principal.principal_id.as_deref()?;
                principal.arn.as_deref().map(|arn| ("aws:user:", id, arn))
            }
            _ => None,
        };
        let mut user = None;
        if let Some((scheme, id, arn)) = bearer {
            let uid = self.names.join(&[scheme, id]);
            if self.lineage.directory.saw(arn, &uid, at, &mut self.names) {
                self.wake_named(arn, &event.event_uid);
            }
            user = Some(uid).filter(|_| scheme == "aws:user:");
        }
        if let Some((account, name)) = lifecycle::login_profile(event) {
            let key = directory::key("user", &account, &name, &mut self.names);
            let uid = self.lineage.directory.at(&key, at).cloned();
            return uid.filter(|uid| self.lineage.users.saw(uid, at));
        }
        let signs_in = event.operation == "ConsoleLogin" && event.outcome == Outcome::Success;
        let at_console = signs_in || principal.from_console;
        user.filter(|uid| at_console && self.lineage.users.saw(uid, at))
    }

    /// Learns the tenant of an object of Entra, for records that name the object alone (AZ-15).
    fn note_object(&mut self, event: &AuditEvent<'_>, principal: &AzurePrincipal<'_>) {
        let machine = matches!(
            principal.subject,
            AzureSubject::ServicePrincipal | AzureSubject::ManagedIdentity
        );
        let (Some(object), Some(tenant), true) =
            (&principal.object_id, &principal.tenant_id, machine)
        else {
            return;
        };
        let uid = self.names.join(&["entra:sp:", tenant, "/", object]);
        let lineage = &mut self.lineage;
        if lineage
            .directory
            .saw_object(object, &uid, event.event_time, &mut self.names)
        {
            let handle = Handle::Named(self.names.join(&["entra|", object]));
            let cause = self.names.intern(&event.event_uid);
            self.lineage
                .wake(VecDeque::from([handle]), Some(&cause), &mut self.names);
        }
    }

    fn note_naming(&mut self, event: &AuditEvent<'_>, naming: &lifecycle::Naming, at: Micros) {
        let kind = if naming.uid.starts_with("aws:role:") {
            "role"
        } else {
            "user"
        };
        let account = event.tenant_uid.as_deref().unwrap_or("unknown");
        let key = directory::key(kind, account, &naming.name, &mut self.names);
        if naming.created {
            let uid = self.names.intern(&naming.uid);
            self.lineage.directory.created(&key, &uid, at);
            self.wake_named(&naming.arn, &event.event_uid);
        } else {
            self.lineage.directory.deleted(&key, at);
        }
    }

    fn wake_named(&mut self, arn: &str, event_uid: &str) {
        let handle = Handle::Named(self.names.intern(arn));
        let cause = self.names.intern(event_uid);
        self.lineage
            .wake(VecDeque::from([handle]), Some(&cause), &mut self.names);
    }

    /// DD-5: a record has added to an event of `at` that is yet to come.
    pub fn expect_addition(&mut self, event_uid: Uid, at: Micros) {
        if self.lineage.facts.additions.len() < self.params.sessions_max {
            self.lineage.facts.additions.insert(event_uid, at);
        } else {
            self.lineage.evicted += 1;
        }
    }

    /// Answers an event of `at` anew, which was answered with `told`: its user was seen at the console (HM-16), or a
    /// record has added to it (DD-5), of which `why` is the rule.
    pub fn again(
        &mut self,
        (at, event_uid): (Micros, &Uid),
        told: &Attribution,
        why: Option<&'static str>,
        cause: Option<&Uid>,
    ) -> News {
        let key = (at, event_uid.clone());
        if !self.lineage.touch(&key, why, cause, &mut self.names) {
            let mut word = Attribution::clone(told);
            if let Some(why) = why {
                word.because_first(why);
            }
            self.lineage.users.doubt(&mut word, at);
            word.book();
            if word != *told {
                word.revision += 1;
                self.lineage.amendments.push(Amendment {
                    event_uid: event_uid.clone(),
                    event_time: at,
                    word: Arc::new(word),
                    cause_event_uid: cause.cloned(),
                });
            }
        }
        self.news()
    }

    /// Settles what the watermark has passed, and forgets credentials long expired.
    ///
    /// `settled_before`: events earlier than this can no longer be explained by an event in time.
    /// `forget_before`: what ended before this, by more than its memory, is forgotten.
    pub fn settle(&mut self, settled_before: Micros, forget_before: Micros) -> News {
        self.lineage
            .settle(settled_before, forget_before, &self.params, &mut self.names);
        self.news()
    }

    /// The identity that a change is about, as it was named at `at` (ID-4).
    pub fn target(&mut self, target: &Target, at: Micros) -> Uid {
        let (kind, account, name) = match target {
            Target::Uid(uid) => return self.names.intern(uid),
            Target::AwsRole { account, name } => ("role", account, name),
            Target::AwsUser { account, name } => ("user", account, name),
            Target::Arn(arn) => {
                let key = directory::key_of_arn(arn, &mut self.names);
                let known = key.and_then(|key| self.lineage.directory.at(&key, at).cloned());
                return known.unwrap_or_else(|| self.by_arn(arn));
            }
        };
        let key = directory::key(kind, account, name, &mut self.names);
        match self.lineage.directory.at(&key, at) {
            Some(uid) => uid.clone(),
            None => self
                .names
                .join(&["aws:", kind, "-name:", account, ":", name]),
        }
    }

    /// The id of what is known by its ARN or resource id only.
    fn by_arn(&mut self, arn: &str) -> Uid {
        if arn.contains(":role/") {
            self.names.join(&["aws:role-arn:", arn])
        } else if arn.contains(":user/") {
            self.names.join(&["aws:user-arn:", arn])
        } else {
            self.names.intern(arn)
        }
    }

    /// The unique id that a role known by its ARN turned out to be, if it did.
    pub fn role_at(&self, arn: &str, at: Micros) -> Option<&Uid> {
        self.lineage.directory.named_at(&Uid::from(arn), at)
    }

    /// The same, by what was seen until `at`: what was read ahead changes nothing.
    pub fn role_since(&self, arn: &str, at: Micros) -> Option<&Uid> {
        self.lineage.directory.borne_since(&Uid::from(arn), at)
    }

    /// The shared copy of `uid`.
    pub fn intern(&mut self, uid: &str) -> Uid {
        self.names.intern(uid)
    }

    /// How many facts and waiting events were dropped because a limit was reached.
    pub fn evicted(&self) -> u64 {
        self.lineage.evicted
            + self.lineage.facts.evicted
            + self.lineage.directory.evicted
            + self.lineage.users.evicted
    }

    /// How many issued credentials are remembered, and how many events wait.
    pub fn sizes(&self) -> (usize, usize) {
        (
            self.lineage.facts.sessions.len(),
            self.lineage.waiting.len(),
        )
    }

    fn news(&mut self) -> News {
        News {
            amendments: std::mem::take(&mut self.lineage.amendments),
            sessions: std::mem::take(&mut self.lineage.sessions),
        }
    }

    /// What changed since the last call, or everything if `all`.
    pub fn written(&mut self, all: bool) -> Written {
        let lineage = &mut self.lineage;
        Written {
            sessions: lineage.facts.sessions.written(all),
            told: lineage.facts.told.written(all),
            trusted: lineage.facts.trusted.written(all),
            names: lineage.directory.names.written(all),
            additions: lineage.facts.additions.written(all),
            begun: lineage.facts.begun.written(all),
            traces: lineage.users.traces.written(all),
            waiting: lineage.waiting.written(all),
            evicted: self.evicted(),
        }
    }

    /// Continues from what [`Attributor::written`] gave; several are applied in the order they were written.
    pub fn restore(&mut self, written: Written) {
        let lineage = &mut self.lineage;
        lineage.facts.sessions.apply(written.sessions);
        lineage.facts.told.apply(written.told);
        lineage.facts.trusted.apply(written.trusted);
        lineage.directory.names.apply(written.names);
        lineage.facts.additions.apply(written.additions);
        lineage.facts.begun.apply(written.begun);
        lineage.users.traces.apply(written.traces);
        lineage.waiting.apply(written.waiting);
        lineage.evicted = written.evicted;
        lineage.index(&self.params);
    }
}

/// The privilege that using `operation` shows, 1 to 3, and the group of operations to which it belongs (A.8).
pub fn privilege_shown(service: &str, operation: &str) -> Option<(u8, &'static str)> {
    privilege::of_operation(service, operation)
}

#[cfg(test)]
mod tests;
