//! What people stated takes effect at the beginning of the epoch that takes it: the manifest names it, rows tell it.

use std::collections::BTreeMap;

use super::Engine;
use super::identity_rows::Cause;
use crate::correlate::{Dimension, KnownIdentity};
use crate::detect::Suppression;
use crate::model::{Asset, Day, Decision, Facts, Kept, Stated, Statement, Target, Triage, Uid};

/// How many decisions that others like a finding are not told are remembered. Beyond it the one that ends first goes.
const SUPPRESSIONS_MAX: usize = 10_000;

/// Of how many identities an inventory is remembered; further ones are counted.
const ASSETS_MAX: usize = 2_000_000;

impl Engine {
    /// Takes in one statement.
    pub(super) fn take(&mut self, statement: &Statement) {
        match &statement.what {
            Stated::Triage(triage) => self.triage(statement, triage),
            Stated::Inventory(assets) => self.inventory(statement, assets),
        }
    }

    fn triage(&mut self, statement: &Statement, triage: &Triage) {
        let identity = self.attributor.intern(&triage.identity_uid);
        let mut joined = Vec::new();
        let benign = triage.decision == Decision::Benign;
        if benign && let Some(profile) = self.profiles.get_mut(&identity) {
            for observed in &triage.observed {
                if let Some(dimension) = Dimension::named(&observed.dimension) {
                    let value = self.attributor.intern(&observed.value);
                    profile.accept(dimension, &value, statement.at);
                    joined.push(format!("{}={}", observed.dimension, observed.value));
                }
            }
        }
        if let Some(until) = triage.until {
            self.suppress(statement, triage, until);
        }
        self.rows.triage(statement, triage, &joined);
    }

    /// Remembers that others like the finding are not told until `until`.
    fn suppress(&mut self, statement: &Statement, triage: &Triage, until: Day) {
        // What time alone brings about is seen in days, which are others each time.
        let about = triage
            .observed
            .first()
            .filter(|observed| Dimension::named(&observed.dimension).is_some())
            .map(|observed| observed.value.clone());
        let suppression = Suppression {
            detector: Some(triage.detector.clone()),
            identity: Some(triage.identity_uid.clone()),
            about,
            author: statement.author.clone(),
            reason: triage.reason.clone(),
            until,
        };
        let key = (until, Uid::from(statement.uid.as_str()));
        self.decided.insert(key, suppression);
        if self.decided.len() > SUPPRESSIONS_MAX {
            self.decided.pop_first_if(|_| true);
        }
    }

    /// Forgets decisions that do not hold any more on `today`.
    pub(super) fn forget_decisions(&mut self, today: Day) {
        while self
            .decided
            .pop_first_if(|(until, _)| *until <= today)
            .is_some()
        {}
    }

    fn inventory(&mut self, statement: &Statement, assets: &[Asset]) {
        let at = statement.at;
        let names = self.names();
        for asset in assets {
            let key = self.attributor.intern(&asset.identity);
            if !self.inventory.contains(&key) && self.inventory.len() >= ASSETS_MAX {
                self.waiting_evicted += 1;
                continue;
            }
            let facts = self.inventory.entry(&key, Facts::default);
            let before = facts.clone();
            facts.update(&asset.facts);
            if *facts == before {
                continue;
            }
            let uid = match names.get(&key) {
                Some(uid) => uid.clone(),
                None if key.starts_with("arn:") => {
                    let arn = Target::Arn(key.to_string());
                    self.attributor.target(&arn, at)
                }
                None => key,
            };
            let Some(mut known) = self.known_or_new(&uid) else {
                continue;
            };
            known.version += 1;
            let facts = facts_of(&self.inventory, &uid, &known);
            self.rows
                .identity(&uid, &known, facts, Cause { at, event: None });
            self.keep_identity(&uid, known);
        }
    }

    /// What is known of an identity, or the beginning of it where its id says what it is; none for a name under which nobody
    /// acted so far, which is told once somebody does.
    fn known_or_new(&self, uid: &Uid) -> Option<KnownIdentity> {
        if let Some(known) = self.identities.get(uid) {
            return Some(known.clone());
        }
        let schemes = ["aws:", "azure:", "entra:", "oidc:", "gcp:"];
        let scheme = schemes.iter().find(|scheme| uid.starts_with(**scheme))?;
        let provider = if *scheme == "entra:" || *scheme == "azure:" {
            scheme.trim_end_matches(':')
        } else {
            "aws"
        };
        Some(KnownIdentity {
            kind: super::identity_rows::kind_of_uid(uid).to_owned(),
            provider: provider.to_owned(),
            told: true,
            ..KnownIdentity::default()
        })
    }

    /// Identities by what else they are called: ARN or application id, and the id of the object.
    fn names(&self) -> BTreeMap<Uid, Uid> {
        let mut all: Vec<(&Uid, &KnownIdentity)> = self.identities.unordered().collect();
        // Of two with one name the first counts, in an order of their own.
        all.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut names = BTreeMap::new();
        for (uid, known) in all {
            let others = [known.native.clone(), object(uid).map(Uid::from)];
            for name in others.into_iter().flatten() {
                names.insert(name, uid.clone());
            }
        }
        names
    }
}

/// The id of an object at the end of a canonical one.
fn object(uid: &str) -> Option<&str> {
    const SHORTEST: usize = 16;
    let id = uid.rsplit(['/', ':']).next()?;
    (id.len() >= SHORTEST).then_some(id)
}

/// What the inventory says of an identity, under whichever of its names.
pub(super) fn facts_of<'i>(
    inventory: &'i Kept<Uid, Facts>,
    uid: &Uid,
    known: &KnownIdentity,
) -> Option<&'i Facts> {
    if inventory.is_empty() {
        return None;
    }
    inventory
        .get(uid)
        .or_else(|| inventory.get(known.native.as_ref()?))
        .or_else(|| inventory.get(uid.strip_prefix("aws:role-arn:")?))
        .or_else(|| inventory.get(object(uid)?))
}
