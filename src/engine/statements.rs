//! What people stated takes effect at the beginning of the epoch that takes it: the manifest names it, rows tell it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::identity_rows::{Cause, kind_of_uid};
use crate::correlate::{Dimension, KnownIdentity, Standing};
use crate::detect::Snooze;
use crate::model::{
    Approval, Asset, Attestation, Changes, Day, Decision, Facts, Kept, Micros, Stated, Statement,
    Target, Triage, Uid,
};

/// How many decisions that others like a finding are not told are remembered. Beyond it the one that ends first goes.
const SNOOZES_MAX: usize = 10_000;

/// How many days after its end a decision is remembered: a situation that is closed by then happened before.
const SNOOZE_DAYS: i32 = 8;

/// Of how many names an inventory is remembered; further ones are counted.
const ENTRIES_MAX: usize = 1_000_000;

/// What inventories said of one name, by the time since when it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry(BTreeMap<Micros, Facts>);

/// How many times something is remembered of one name. Beyond it the two oldest become one.
const SAID_MAX: usize = 8;

impl Entry {
    fn add(&mut self, at: Micros, facts: &Facts) {
        self.0.entry(at).or_default().update(facts);
        if self.0.len() > SAID_MAX
            && let Some((_, mut oldest)) = self.0.pop_first()
            && let Some(mut next) = self.0.first_entry()
        {
            oldest.update(next.get());
            next.insert(oldest);
        }
    }
}

/// What inventories say, by the names that they have for identities.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    entries: Kept<Uid, Entry>,
}

impl Inventory {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is said of an identity under all of its names; what was said later counts.
    pub(super) fn facts(&self, uid: &Uid, known: &KnownIdentity) -> Option<Cow<'_, Facts>> {
        if self.entries.is_empty() {
            return None;
        }
        let names = [
            Some(&**uid),
            known.native.as_deref(),
            uid.strip_prefix("aws:role-arn:"),
            object(uid),
        ];
        let mut said: Vec<(&Micros, &Facts)> = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.entries.get(name))
            .flat_map(|entry| &entry.0)
            .collect();
        said.sort_by_key(|(at, _)| **at);
        let (first, later) = said.split_first()?;
        if later.is_empty() {
            return Some(Cow::Borrowed(first.1));
        }
        let mut facts = first.1.clone();
        later.iter().for_each(|(_, newer)| facts.update(newer));
        Some(Cow::Owned(facts))
    }

    fn add(&mut self, name: &Uid, at: Micros, facts: &Facts) {
        self.entries.entry(name, Entry::default).add(at, facts);
    }

    pub(super) fn written(&mut self, all: bool) -> Changes<Uid, Entry> {
        self.entries.written(all)
    }

    pub(super) fn restore(&mut self, changes: Changes<Uid, Entry>) {
        self.entries.apply(changes);
    }
}

/// Identities by what else they are called. Those that nobody can use any more are not among them.
type Names = BTreeMap<Uid, Vec<Uid>>;

impl Engine {
    /// Takes in what was stated.
    pub(super) fn take_all(&mut self, statements: &[Statement]) {
        let mut names = None;
        for statement in statements {
            match &statement.what {
                Stated::Triage(triage) => self.triage(statement, triage),
                Stated::Queries(queries) => self.rows.queries(statement, queries),
                Stated::Inventory(assets) => {
                    let names = names.get_or_insert_with(|| self.names());
                    self.inventory(statement, assets, names);
                }
                Stated::Attestations(attestations) => {
                    let names = names.get_or_insert_with(|| self.names());
                    self.attest(statement, attestations, names);
                }
                Stated::Approvals(approvals) => {
                    let names = names.get_or_insert_with(|| self.names());
                    self.approve(statement, approvals, names);
                }
            }
        }
    }

    fn triage(&mut self, statement: &Statement, triage: &Triage) {
        let identity = self.attributor.intern(&triage.identity_uid);
        let mut joined = Vec::new();
        let benign = triage.decision == Decision::Benign;
        if benign && let Some(profile) = self.profiles.get_mut(&identity) {
            for observed in &triage.observed {
                let dimension = Dimension::named(&observed.dimension);
                let Some(dimension) = dimension.filter(|one| one.confirmable()) else {
                    continue;
                };
                let value = self.attributor.intern(&observed.value);
                if let Some(stats) = profile.accept(dimension, &value, statement.at) {
                    let day = statement.at.day();
                    self.rows
                        .baseline(&identity, (dimension, &value), stats, day);
                    joined.push(format!("{}={}", observed.dimension, observed.value));
                }
            }
        }
        self.decide(statement, triage);
        self.rows.triage(statement, triage, &joined);
    }

    /// Remembers that others like the finding are not told for a while; whatever was decided before about it is over.
    fn decide(&mut self, statement: &Statement, triage: &Triage) {
        let of_it = |one: &Snooze| one.finding_uid == triage.finding_uid;
        let before = self.snoozes.iter().find(|(_, one)| of_it(one));
        if let Some(key) = before.map(|(key, _)| key.clone()) {
            self.snoozes.remove(&key);
        }
        let (Some(until), Some(about)) = (triage.until, &triage.about) else {
            return;
        };
        let snooze = Snooze {
            finding_uid: triage.finding_uid.clone(),
            detector: triage.detector.clone(),
            identity_uid: triage.identity_uid.clone(),
            about: about.clone(),
            author: statement.author.clone(),
            reason: triage.reason.clone(),
            until,
        };
        let key = (until, Uid::from(triage.finding_uid.as_str()));
        self.snoozes.insert(key, snooze);
        if self.snoozes.len() > SNOOZES_MAX && self.snoozes.pop_first_if(|_| true).is_some() {
            self.waiting_evicted += 1;
        }
    }

    /// Forgets decisions that are over on `today`.
    pub(super) fn forget_decisions(&mut self, today: Day) {
        let over = |until: Day| until.0.saturating_add(SNOOZE_DAYS) <= today.0;
        while self
            .snoozes
            .pop_first_if(|(until, _)| over(*until))
            .is_some()
        {}
    }

    fn inventory(&mut self, statement: &Statement, assets: &[Asset], names: &Names) {
        let at = statement.at;
        for asset in assets {
            let name = self.attributor.intern(&asset.identity);
            if !self.inventory.entries.contains(&name)
                && self.inventory.entries.len() >= ENTRIES_MAX
            {
                self.waiting_evicted += 1;
                continue;
            }
            let meant = self.meant(&name, at, names);
            let told: Vec<(Uid, KnownIdentity)> = meant
                .into_iter()
                .filter_map(|uid| {
                    let known = self.identities.get(&uid).cloned();
                    known.or_else(|| unseen(&uid)).map(|known| (uid, known))
                })
                .collect();
            let facts = |inventory: &Inventory, (uid, known): &(Uid, KnownIdentity)| {
                inventory.facts(uid, known).map(Cow::into_owned)
            };
            let before: Vec<Option<Facts>> =
                told.iter().map(|one| facts(&self.inventory, one)).collect();
            self.inventory.add(&name, at, &asset.facts);
            for (one, before) in told.into_iter().zip(before) {
                let now = facts(&self.inventory, &one);
                if now != before {
                    let (uid, mut known) = one;
                    known.version += 1;
                    let cause = Cause { at, event: None };
                    self.rows.identity(&uid, &known, now.as_ref(), cause);
                    self.keep_identity(&uid, known);
                }
            }
        }
    }

    fn attest(&mut self, statement: &Statement, attestations: &[Attestation], names: &Names) {
        for attestation in attestations {
            for uid in self.meant_by(&attestation.identity, statement.at, names) {
                self.rows.attestation(statement, attestation, &uid);
            }
        }
    }

    fn approve(&mut self, statement: &Statement, approvals: &[Approval], names: &Names) {
        for approval in approvals {
            let Some(identity) = &approval.identity else {
                self.rows.approval(statement, approval, None);
                continue;
            };
            for uid in self.meant_by(identity, statement.at, names) {
                self.rows.approval(statement, approval, Some(&uid));
            }
        }
    }

    /// The identities that people mean by `name`; `name` itself where nobody is known by it.
    fn meant_by(&mut self, name: &str, at: Micros, names: &Names) -> Vec<Uid> {
        let name = self.attributor.intern(name);
        self.meant(&name, at, names)
    }

    /// The identities that an inventory means by `name`. None for a name under which nobody acted so far: it is told once
    /// somebody does.
    fn meant(&mut self, name: &Uid, at: Micros, names: &Names) -> Vec<Uid> {
        if self.identities.contains(name) {
            return vec![name.clone()];
        }
        if name.starts_with("arn:") {
            let uid = self.attributor.target(&Target::Arn(name.to_string()), at);
            if self.identities.contains(&uid) {
                return vec![uid];
            }
        }
        let known = names.get(name).cloned();
        known.unwrap_or_else(|| vec![name.clone()])
    }

    fn names(&self) -> Names {
        let mut names = Names::new();
        let mut all: Vec<(&Uid, &KnownIdentity)> = self
            .identities
            .unordered()
            .filter(|(_, known)| known.merged_into.is_none() && known.standing != Standing::Deleted)
            .collect();
        all.sort_by_key(|(one, _)| *one);
        for (uid, known) in all {
            let others = [known.native.clone(), object(uid).map(Uid::from)];
            for name in others.into_iter().flatten() {
                names.entry(name).or_default().push(uid.clone());
            }
        }
        names
    }
}

/// The beginning of what is known of an identity that nobody saw, where its id says what it is.
fn unseen(uid: &Uid) -> Option<KnownIdentity> {
    let of_object = object(uid).is_some();
    let provider = uid.split(':').next().filter(|_| of_object)?;
    Some(KnownIdentity {
        kind: kind_of_uid(uid).to_owned(),
        provider: provider.to_owned(),
        told: true,
        ..KnownIdentity::default()
    })
}

/// The provider's own id at the end of a canonical one, where the provider and nobody else chose it: a unique id of AWS, or
/// the object id of a service principal.
fn object(uid: &str) -> Option<&str> {
    for (scheme, prefix) in [("aws:role:", "AROA"), ("aws:user:", "AIDA")] {
        if let Some(id) = uid.strip_prefix(scheme) {
            let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return Some(id).filter(|id| plain && id.starts_with(prefix));
        }
    }
    let (_, id) = uid.strip_prefix("entra:sp:")?.split_once('/')?;
    guid(id).then_some(id)
}

fn guid(text: &str) -> bool {
    let form = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Facts {
        Facts {
            owner: Some(name.to_owned()),
            ..Facts::default()
        }
    }

    #[test]
    fn only_a_provider_chooses_the_id_of_an_object() {
        let sp =
            "entra:sp:0f2c6d1e-4c1e-4a7b-9d52-8e3f6a0b0051/1a2c6d1e-4c1e-4a7b-9d52-8e3f6a0b0051";
        assert_eq!(object(sp), Some("1a2c6d1e-4c1e-4a7b-9d52-8e3f6a0b0051"));
        assert_eq!(object("aws:role:AROAEXAMPLE"), Some("AROAEXAMPLE"));
        for chosen in [
            "oidc:issuer|repo:x/y:ref:refs/heads/1a2c6d1e-4c1e-4a7b-9d52-8e3f6a0b0051",
            "aws:role-name:111122223333:AROAEXAMPLE",
            "aws:role:AROA/x",
            "entra:sp:tenant/a display name of 36 characters, no id",
        ] {
            assert_eq!(object(chosen), None, "{chosen}");
        }
    }

    #[test]
    fn what_was_said_later_counts_under_whichever_name() {
        let mut inventory = Inventory::default();
        let [uid, arn] =
            ["aws:role:AROAEXAMPLE", "arn:aws:iam::111122223333:role/x"].map(Uid::from);
        let known = KnownIdentity {
            native: Some(arn.clone()),
            ..KnownIdentity::default()
        };
        let said = |inventory: &Inventory| {
            let facts = inventory.facts(&uid, &known).unwrap();
            (facts.owner.clone().unwrap(), facts.purpose.clone())
        };
        let purpose = Facts {
            purpose: Some("backups".to_owned()),
            ..owner("ines")
        };
        inventory.add(&uid, Micros(10), &purpose);
        inventory.add(&arn, Micros(20), &owner("tom"));
        assert_eq!(
            said(&inventory),
            ("tom".to_owned(), Some("backups".to_owned()))
        );
        // A purpose says nothing of an owner.
        let purpose = Facts {
            owner: None,
            ..purpose
        };
        inventory.add(&uid, Micros(25), &purpose);
        assert_eq!(said(&inventory).0, "tom");
        inventory.add(&uid, Micros(30), &owner("ines"));
        assert_eq!(said(&inventory).0, "ines");
        // What holds since earlier changes nothing of it.
        inventory.add(&uid, Micros(5), &owner("ada"));
        assert_eq!(said(&inventory).0, "ines");
        for at in 40..60 {
            inventory.add(&arn, Micros(at), &owner("ute"));
        }
        assert_eq!(inventory.entries.get(&arn).unwrap().0.len(), SAID_MAX);
        assert_eq!(
            said(&inventory),
            ("ute".to_owned(), Some("backups".to_owned()))
        );
    }
}
