//! Ties between identities and systems, from facts of federation and creation (attribution C.2), and from what one could
//! make another do (the influence edges after A.7). An address ties nobody.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Sighting;
use super::stored_keys::{StoredKeys, WrittenStep};
use crate::model::{
    Action, Changes, Confidence, Kept, LinkKind, Micros, Reason, Target, Uid, hex, sha256,
};

/// How many ties are remembered. Beyond it, those of new pairs are told anew each time they are seen, and counted. So many
/// subjects outside are remembered, too.
const LINKS_MAX: usize = 1_000_000;

/// How many identities of each cloud one outside subject is tied to: more share the subject and are no twins.
const TWINS_MAX: usize = 16;

/// One tie as of its last row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub link_uid: Uid,
    pub from_uid: Uid,
    pub to_uid: Uid,
    pub kind: LinkKind,
    /// The rule by which the two are tied.
    pub rule: Uid,
    /// The value that is equal on both sides, or the one that names the other.
    pub evidence: Uid,
    pub strength: Confidence,
    pub first_event_uid: Uid,
    pub first_seen_at: Micros,
    pub last_seen_at: Micros,
    pub events: i64,
}

/// What a subject outside leads to in each cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Twins {
    aws: BTreeSet<Uid>,
    entra: BTreeSet<Uid>,
}

/// Every tie.
#[derive(Debug, Default)]
pub struct Links {
    known: Kept<Uid, Link>,
    twins: Kept<Uid, Twins>,
    stored_keys: StoredKeys,
    evicted: u64,
}

/// What must survive a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct WrittenLinks {
    known: Changes<Uid, Link>,
    twins: Changes<Uid, Twins>,
    steps: Changes<(Micros, Uid), WrittenStep>,
    evicted: u64,
}

/// A tie that one event shows.
struct Shown {
    from: Uid,
    to: Uid,
    kind: LinkKind,
    rule: Reason,
    evidence: Uid,
    strength: Confidence,
}

impl Links {
    /// The ties that `sighting` shows and that are to be told: for the first time, or because the count of their events
    /// has doubled. `identity` says who a change was about.
    pub fn add(
        &mut self,
        sighting: &Sighting,
        identity: &mut dyn FnMut(&Target) -> Uid,
    ) -> Vec<Link> {
        let mut shown = Vec::new();
        for pair in sighting.by.chain.windows(2) {
            if let Some(rule) = federation(&pair[0], &pair[1]) {
                shown.push(Shown {
                    from: pair[0].clone(),
                    to: pair[1].clone(),
                    kind: LinkKind::FederatesTo,
                    rule: rule.into(),
                    evidence: pair[0].clone(),
                    strength: sighting.by.confidence,
                });
                self.twins(&pair[0], &pair[1], &mut shown);
            }
        }
        for change in &sighting.changes {
            if let (Action::Create, Some(Target::Uid(made)), None) =
                (change.action, &change.target, &change.credential)
            {
                shown.push(Shown {
                    from: sighting.by.identity_uid.clone(),
                    to: Uid::from(made.as_str()),
                    kind: LinkKind::Created,
                    rule: "A.7".into(),
                    evidence: sighting.operation.clone(),
                    strength: sighting.by.confidence,
                });
            }
        }
        ties(sighting, identity, &mut shown);
        if !sighting.changes.is_empty() {
            self.stored(sighting, identity, &mut shown);
        }
        let told = shown.into_iter().map(|shown| self.count(shown, sighting));
        told.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// a key that is in a secret leads from whoever put it there, and from the secret, to the key's user.
    fn stored(
        &mut self,
        sighting: &Sighting,
        identity: &mut dyn FnMut(&Target) -> Uid,
        shown: &mut Vec<Shown>,
    ) {
        for stored in self.stored_keys.add(sighting, identity) {
            let actor = &sighting.by.identity_uid;
            // Who stores a key of their own gains nobody's.
            let others = (*actor != stored.user).then(|| (actor.clone(), stored.secret.clone()));
            let from = others.into_iter().chain([(stored.secret, stored.key)]);
            shown.extend(from.map(|(from, evidence)| Shown {
                from,
                to: stored.user.clone(),
                kind: LinkKind::Influences,
                rule: "X-12".into(),
                evidence,
                strength: sighting.by.confidence.min(Confidence::Probable),
            }));
        }
    }

    /// one subject outside that leads into both clouds makes the two identities one workload's.
    fn twins(&mut self, outside: &Uid, inside: &Uid, shown: &mut Vec<Shown>) {
        if !outside.starts_with("oidc:") {
            return;
        }
        if self.twins.len() >= LINKS_MAX && !self.twins.contains(outside) {
            self.evicted += 1;
            return;
        }
        let in_aws = inside.starts_with("aws:");
        let twins = self.twins.entry(outside, Twins::default);
        let (own, others) = if in_aws {
            (&mut twins.aws, &twins.entra)
        } else {
            (&mut twins.entra, &twins.aws)
        };
        if own.len() < TWINS_MAX {
            own.insert(inside.clone());
        }
        // Names of repositories can be given to others, numbers cannot.
        let strength = if outside.contains("|repo-id:") {
            Confidence::Strong
        } else {
            Confidence::Probable
        };
        for other in others {
            let (aws, entra) = if in_aws {
                (inside, other)
            } else {
                (other, inside)
            };
            shown.push(Shown {
                from: aws.clone(),
                to: entra.clone(),
                kind: LinkKind::SameWorkload,
                rule: "X-4".into(),
                evidence: outside.clone(),
                strength,
            });
        }
    }

    fn count(&mut self, shown: Shown, sighting: &Sighting) -> Option<Link> {
        let text = format!("{}\n{}\n{}", shown.kind.name(), shown.from, shown.to);
        let link_uid = Uid::from(format!("kl-{}", hex(&sha256(text.as_bytes())[..10])));
        let at = sighting.event_time;
        if let Some(link) = self.known.get_mut(&link_uid) {
            link.events += 1;
            link.last_seen_at = link.last_seen_at.max(at);
            let stronger = shown.strength > link.strength;
            link.strength = link.strength.max(shown.strength);
            let doubled = link.events.count_ones() == 1;
            return (doubled || stronger).then(|| link.clone());
        }
        let link = Link {
            link_uid: link_uid.clone(),
            from_uid: shown.from,
            to_uid: shown.to,
            kind: shown.kind,
            rule: Uid::from(&*shown.rule),
            evidence: shown.evidence,
            strength: shown.strength,
            first_event_uid: sighting.event_uid.clone(),
            first_seen_at: at,
            last_seen_at: at,
            events: 1,
        };
        if self.known.len() < LINKS_MAX {
            self.known.insert(link_uid, link.clone());
        } else {
            self.evicted += 1;
        }
        Some(link)
    }

    /// How many ties, and steps towards one, were not remembered because a limit was reached.
    pub const fn evicted(&self) -> u64 {
        self.evicted + self.stored_keys.evicted
    }

    /// What changed since the last call, or everything if `all`.
    pub fn written(&mut self, all: bool) -> WrittenLinks {
        WrittenLinks {
            known: self.known.written(all),
            twins: self.twins.written(all),
            steps: self.stored_keys.written(all),
            evicted: self.evicted(),
        }
    }

    /// Continues from what [`Links::written`] gave.
    pub fn restore(&mut self, written: WrittenLinks) {
        self.known.apply(written.known);
        self.twins.apply(written.twins);
        self.stored_keys.restore(written.steps);
        self.evicted = written.evicted;
    }
}

/// Ties besides the chain. A token that was issued is certain, and it is the acting identity's. What somebody makes
/// a workload do is probable, and is done by whoever really acted.
fn ties(sighting: &Sighting, identity: &mut dyn FnMut(&Target) -> Uid, shown: &mut Vec<Shown>) {
    let by = &sighting.by;
    shown.extend(sighting.ties.iter().map(|tie| {
        let (from, strength) = match tie.kind {
            LinkKind::Influences => (&by.identity_uid, by.confidence.min(Confidence::Probable)),
            _ => (&by.acting_uid, Confidence::Exact),
        };
        Shown {
            from: from.clone(),
            to: identity(&tie.to),
            kind: tie.kind,
            rule: tie.rule.clone(),
            evidence: sighting.operation.clone(),
            strength,
        }
    }));
}

/// The rule by which `outside` obtained sessions of `inside`, if that crosses from one system into another.
fn federation(outside: &str, inside: &str) -> Option<&'static str> {
    let in_aws = inside.starts_with("aws:role");
    if outside.starts_with("entra:") && in_aws {
        Some("X-2")
    } else if outside.starts_with("oidc:") && in_aws {
        Some("X-1")
    } else if outside.starts_with("oidc:") && inside.starts_with("entra:") {
        Some("X-3")
    } else if outside.starts_with("x509:") {
        Some("X-7")
    } else if outside.starts_with("saml:") {
        Some("X-9")
    } else {
        None
    }
}
