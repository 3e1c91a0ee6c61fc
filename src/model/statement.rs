//! What people state, besides what logs tell: what a finding turned out to be, and whose an identity is.

use serde::{Deserialize, Serialize};

use super::identity::named;
use super::{Action, Day, Micros};

/// One statement of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Names it: no statement counts twice.
    pub uid: String,
    /// When it was made.
    pub at: Micros,
    pub author: String,
    pub what: Stated,
}

/// What was stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stated {
    Triage(Triage),
    Inventory(Vec<Asset>),
    Queries(Vec<AskedQuery>),
    Attestations(Vec<Attestation>),
    Approvals(Vec<Approval>),
}

named! {
    /// What a reviewer decided about an identity's access.
    ReviewDecision {
        /// It stays as it is.
        Keep = "keep",
        /// It goes.
        Revoke = "revoke",
        /// It keeps some of it.
        Reduce = "reduce",
        /// It stays for a while although it should not.
        Exception = "exception",
    }
}

/// A decision about one identity's access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Canonical id, ARN, or id of an application or service principal.
    pub identity: String,
    pub decision: ReviewDecision,
    pub reason: String,
    /// The first day on which it does not hold any more.
    pub until: Option<Day>,
}

impl Attestation {
    /// That it says what a decision of its kind must say.
    pub fn sound(&self) -> Result<(), String> {
        if self.decision != ReviewDecision::Keep && self.reason.is_empty() {
            return Err(format!("`reason` is needed for {}", self.decision.name()));
        }
        if self.decision == ReviewDecision::Exception && self.until.is_none() {
            return Err("`until` is needed for an exception".to_owned());
        }
        Ok(())
    }
}

/// A ticket that allowed a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub ticket: String,
    /// Whom the change may touch, named as an inventory does. A ticket says this, or names the change.
    pub identity: Option<String>,
    /// The log's id of the change.
    pub event_uid: Option<String>,
    /// What may be done; anything if not said.
    pub action: Option<Action>,
    pub summary: Option<String>,
    pub approver: String,
    pub approved_at: Micros,
    /// From when until when the change may happen.
    pub from: Option<Micros>,
    pub until: Option<Micros>,
}

/// A query that a server was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedQuery {
    /// Who had logged in.
    pub user: String,
    pub role: String,
    /// By which way: `postgres`.
    pub surface: String,
    /// The client's address.
    pub client: String,
    /// What the client calls itself.
    pub application: Option<String>,
    /// The epoch as of which it is answered, unless it was refused.
    pub epoch: Option<i64>,
    pub sql: String,
    /// Why it was refused.
    pub refused: Option<String>,
}

named! {
    /// What a finding turned out to be, in the words of SOCs.
    Decision {
        /// It happened and is harmful.
        TruePositive = "true_positive",
        /// It happened and is expected: what was new about it becomes normal.
        Benign = "benign",
        /// It did not happen, or means nothing.
        FalsePositive = "false_positive",
        /// Somebody looks at it.
        InProgress = "in_progress",
        /// What was decided before does not hold any more.
        Reopened = "reopened",
    }
}

/// A decision about a finding. It tells of the finding what must be known to act on it: whoever decided saw just that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Triage {
    pub finding_uid: String,
    /// The revision that was decided about.
    pub revision: i32,
    pub detector: String,
    pub identity_uid: String,
    pub decision: Decision,
    pub reason: String,
    /// What the finding is about, as its row says.
    pub about: Option<String>,
    /// The first day on which others of the same detector about the same identity and the same thing are told again; none if
    /// they are told all the time.
    pub until: Option<Day>,
    pub observed: Vec<Observed>,
}

/// One reason of a finding: a dimension and the value that was seen in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    pub dimension: String,
    pub value: String,
}

/// What an inventory says of one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Canonical id, ARN, or id of an application or service principal.
    pub identity: String,
    #[serde(flatten)]
    pub facts: Facts,
}

/// What people know of an identity and no log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub owner: Option<String>,
    pub backup_owner: Option<String>,
    pub purpose: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub criticality: Option<String>,
    pub environment: Option<String>,
    pub vendor: Option<String>,
    pub contract_scope: Option<String>,
    pub expires_at: Option<Micros>,
    pub review_days: Option<i64>,
}

impl Facts {
    /// Takes over what `newer` says; what it does not say stays.
    pub fn update(&mut self, newer: &Self) {
        fn take<T: Clone>(own: &mut Option<T>, newer: Option<&T>) {
            if let Some(newer) = newer {
                *own = Some(newer.clone());
            }
        }
        take(&mut self.owner, newer.owner.as_ref());
        take(&mut self.backup_owner, newer.backup_owner.as_ref());
        take(&mut self.purpose, newer.purpose.as_ref());
        take(&mut self.criticality, newer.criticality.as_ref());
        take(&mut self.environment, newer.environment.as_ref());
        take(&mut self.vendor, newer.vendor.as_ref());
        take(&mut self.contract_scope, newer.contract_scope.as_ref());
        take(&mut self.expires_at, newer.expires_at.as_ref());
        take(&mut self.review_days, newer.review_days.as_ref());
    }

    /// Whether production depends on it, or somebody said that it is critical.
    pub fn grave(&self) -> bool {
        let critical = self.criticality.as_deref().is_some_and(|text| {
            text.eq_ignore_ascii_case("high") || text.eq_ignore_ascii_case("critical")
        });
        let production = self.environment.as_deref().is_some_and(|text| {
            let text = text.to_ascii_lowercase();
            text == "prod" || text == "production"
        });
        critical || production
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_inventory_does_not_say_stays() {
        let some = |text: &str| Some(text.to_owned());
        let mut facts = Facts {
            owner: some("ines.kram"),
            purpose: some("backups"),
            ..Facts::default()
        };
        facts.update(&Facts {
            owner: some("tom.reuter"),
            environment: some("Production"),
            ..Facts::default()
        });
        assert_eq!(facts.owner.as_deref(), Some("tom.reuter"));
        assert_eq!(facts.purpose.as_deref(), Some("backups"));
        assert!(facts.grave());
    }
}
