//! Keys that were put into a store of secrets soon after they were made: whoever reads the secret may be the key's
//! user from then on. The log names neither the key in the secret nor the secret of the key, so this is probable only.

use serde::{Deserialize, Serialize};

use super::Sighting;
use crate::model::{Action, Changes, CredentialKind, Micros, Target, Tracked, Uid};

/// How long after its key was made a secret may be written to hold it.
const APART_MAX: i64 = 5 * Micros::MINUTE;

/// How many keys and secrets of the last minutes are remembered; beyond it the oldest is forgotten, and counted.
const STEPS_MAX: usize = 4_096;

/// One of the two steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// A key was made for this user.
    Made { user: Uid, key: Uid },
    /// This secret was given a value.
    Stored { secret: Uid },
}

/// A key that a secret probably holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StoredKey {
    pub(super) user: Uid,
    pub(super) key: Uid,
    pub(super) secret: Uid,
}

/// The steps of the last minutes, by their time and event, with whoever took them.
#[derive(Debug, Default)]
pub(super) struct StoredKeys {
    steps: Tracked<(Micros, Uid), WrittenStep>,
    pub(super) evicted: u64,
}

/// A step, and who took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WrittenStep {
    actor: Uid,
    step: Step,
}

impl StoredKeys {
    /// The keys that `sighting` shows to be in a secret: it is the one step and the other is known.
    pub(super) fn add(
        &mut self,
        sighting: &Sighting,
        identity: &mut dyn FnMut(&Target) -> Uid,
    ) -> Vec<StoredKey> {
        let Some(step) = step(sighting, identity) else {
            return Vec::new();
        };
        let at = sighting.event_time;
        let actor = &sighting.by.identity_uid;
        let nothing = Uid::from("");
        let from = (at.plus(-APART_MAX), nothing.clone());
        let to = (at.plus(APART_MAX + 1), nothing);
        let known = self.steps.range(from..to);
        let of_actor = known.filter(|(_, known)| known.actor == *actor);
        let found = of_actor.filter_map(|((known_at, _), known)| match (&step, &known.step) {
            (Step::Stored { secret }, Step::Made { user, key }) if *known_at <= at => {
                Some((user, key, secret))
            }
            // Within one second nothing says which came first.
            (Step::Made { user, key }, Step::Stored { secret }) if *known_at >= at => {
                Some((user, key, secret))
            }
            _ => None,
        });
        let found = found
            .map(|(user, key, secret)| StoredKey {
                user: user.clone(),
                key: key.clone(),
                secret: secret.clone(),
            })
            .collect();
        let written = WrittenStep {
            actor: actor.clone(),
            step,
        };
        self.steps.insert((at, sighting.event_uid.clone()), written);
        let past = at.plus(-APART_MAX);
        while self.steps.pop_first_if(|(time, _)| *time < past).is_some() {}
        while self.steps.len() > STEPS_MAX && self.steps.pop_first_if(|_| true).is_some() {
            self.evicted += 1;
        }
        found
    }

    /// What changed since the last call, or everything if `all`.
    pub(super) fn written(&mut self, all: bool) -> Changes<(Micros, Uid), WrittenStep> {
        self.steps.written(all)
    }

    /// Continues from what [`StoredKeys::written`] gave.
    pub(super) fn restore(&mut self, written: Changes<(Micros, Uid), WrittenStep>) {
        self.steps.apply(written);
    }
}

/// The step that `sighting` is, if it is one.
fn step(sighting: &Sighting, identity: &mut dyn FnMut(&Target) -> Uid) -> Option<Step> {
    let change = sighting.changes.first()?;
    if let (Action::Create, Some(target), Some(credential)) =
        (change.action, &change.target, &change.credential)
        && credential.kind == CredentialKind::AccessKey
    {
        return Some(Step::Made {
            user: identity(target),
            key: Uid::from(credential.uid.as_str()),
        });
    }
    let stores = *sighting.service == *"secretsmanager.amazonaws.com"
        && matches!(&*sighting.operation, "CreateSecret" | "PutSecretValue");
    let detail: serde_json::Value = serde_json::from_str(&change.detail)
        .ok()
        .filter(|_| stores)?;
    let secret = detail.get("secret")?.as_str()?;
    Some(Step::Stored {
        secret: Uid::from(format!("aws:secret:{secret}")),
    })
}
