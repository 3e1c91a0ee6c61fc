//! What an event tells that explains other events: calls that are forwarded, calls that another account tells too, and
//! whom an application trusts. Each is told once, when the event comes, and wakes whoever waits for it.

use std::collections::VecDeque;

use super::facts::{Handle, Told, Trusted};
use super::parent::Parent;
use super::{Attributor, TOLD_MEMORY, forward, lifecycle};
use crate::model::{Attribution, AuditEvent, LogSource, Principal, PrincipalType, Uid};

/// How many federated credentials are remembered. Beyond it a further one leads nowhere, and is counted.
const TRUSTED_MAX: usize = 1_000_000;

impl Attributor {
    /// Remembers a call that can explain another: one that a service forwards (FAS-3), or the caller's own account of
    /// a call that another account tells too (L-2).
    pub(super) fn tell(
        &mut self,
        event: &AuditEvent<'_>,
        event_uid: &Uid,
        by: &Attribution,
        open: bool,
    ) {
        let Principal::Aws(principal) = &event.principal else {
            return;
        };
        if principal.principal_type == PrincipalType::AwsService {
            return;
        }
        let mut handles = Vec::new();
        if principal.invoked_by.is_none() {
            let calls = forward::handles(event, principal, &mut self.names);
            handles.extend(
                calls
                    .into_iter()
                    .map(|call| (call.clone(), Handle::Call(call))),
            );
        }
        if let Some(shared) = &event.shared_event_uid
            && principal.principal_type != PrincipalType::AwsAccount
        {
            let shared = self.names.intern(shared);
            handles.push((shared.clone(), Handle::Shared(shared)));
        }
        for (text, handle) in handles {
            let told = Told {
                at: event.event_time,
                parent: Parent::of(by, open),
            };
            let key = (event.event_time, event_uid.clone());
            if let Some(waiting) = self.lineage.waiting.get_mut(&key) {
                waiting.tells.push(text.clone());
            }
            self.lineage.facts.tell(
                (text, event_uid.clone()),
                told,
                event.event_time.plus(TOLD_MEMORY),
                self.params.sessions_max,
            );
            self.lineage
                .wake(VecDeque::from([handle]), Some(event_uid), &mut self.names);
        }
    }

    /// Learns whom an Entra application trusts.
    pub(super) fn trust(&mut self, event: &AuditEvent<'_>, event_uid: &Uid) {
        if !matches!(
            event.source,
            LogSource::EntraAudit | LogSource::AzureActivity
        ) {
            return;
        }
        for subject in lifecycle::trusted_subjects(event) {
            let credential = self
                .names
                .join(&["entra:fic:", &subject.credential_id.to_ascii_lowercase()]);
            let trusted = Trusted {
                issuer: self.names.intern(&subject.issuer),
                subject: self.names.intern(&subject.subject),
            };
            let known = &mut self.lineage.facts.trusted;
            if known.len() >= TRUSTED_MAX && known.get(&credential).is_none() {
                self.lineage.evicted += 1;
                continue;
            }
            known.insert(credential.clone(), trusted);
            let queue = VecDeque::from([Handle::Credential(credential)]);
            self.lineage.wake(queue, Some(event_uid), &mut self.names);
        }
    }
}
