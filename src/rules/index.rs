//! Which rules a record must be held against at all.
//!
//! Nearly every rule about CloudTrail can match only events of certain names, or of certain services: what its condition
//! asks for in any case. Rules stand here under those; the others are asked about every record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Quantifier, SigmaValue};

use super::rule::Rule;
use crate::model::{AuditEvent, LogSource};

/// What a record must have for a rule to match it: one of some event names, or of some services, in small letters.
#[derive(Debug)]
pub(super) enum Needs {
    Name(BTreeSet<String>),
    Service(BTreeSet<String>),
    Nothing,
}

impl Needs {
    /// What `detection` needs of records of `sources`.
    pub(super) fn of(detection: &Detections, sources: &[LogSource]) -> Self {
        if sources != [LogSource::CloudTrail] {
            return Self::Nothing;
        }
        let names = needed(detection, "eventName").map(Self::Name);
        names
            .or_else(|| needed(detection, "eventSource").map(Self::Service))
            .unwrap_or(Self::Nothing)
    }
}

/// Rules about one log.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: BTreeMap<String, Vec<Arc<Rule>>>,
    by_service: BTreeMap<String, Vec<Arc<Rule>>>,
    always: Vec<Arc<Rule>>,
}

impl Index {
    pub(super) fn add(&mut self, rule: &Arc<Rule>) {
        let (rules, values) = match &rule.needs {
            Needs::Name(names) => (&mut self.by_name, names),
            Needs::Service(services) => (&mut self.by_service, services),
            Needs::Nothing => return self.always.push(Arc::clone(rule)),
        };
        for value in values {
            let own = rules.entry(value.clone()).or_default();
            own.push(Arc::clone(rule));
        }
    }

    /// Every rule that `event` can match, once.
    pub(super) fn candidates(&self, event: &AuditEvent<'_>) -> impl Iterator<Item = &Rule> {
        let of = |rules: &'_ BTreeMap<String, Vec<Arc<Rule>>>, text: &str| {
            // Letter case means nothing to a rule unless it says so.
            (!rules.is_empty()).then(|| text.to_lowercase())
        };
        let name = event.details.event_name.as_deref().unwrap_or_default();
        let name = of(&self.by_name, name).and_then(|name| self.by_name.get(&name));
        let service = of(&self.by_service, &event.service);
        let service = service.and_then(|service| self.by_service.get(&service));
        let some = [name, service].into_iter().flatten();
        some.chain([&self.always]).flatten().map(AsRef::as_ref)
    }
}

/// Values in small letters, one of which `field` has in every record that `detection` matches.
fn needed(detection: &Detections, field: &str) -> Option<BTreeSet<String>> {
    any(detection
        .conditions
        .iter()
        .map(|condition| by_condition(condition, detection, field)))
}

fn by_condition(
    condition: &ConditionExpr,
    detection: &Detections,
    field: &str,
) -> Option<BTreeSet<String>> {
    let of = |inner: &ConditionExpr| by_condition(inner, detection, field);
    match condition {
        ConditionExpr::And(parts) => all(parts.iter().map(of)),
        ConditionExpr::Or(parts) => any(parts.iter().map(of)),
        ConditionExpr::Not(_) => None,
        ConditionExpr::Identifier(name) => by_detection(detection.named.get(name)?, field),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let named = detection
                .named
                .iter()
                .filter(|(name, _)| pattern.matches_detection_name(name))
                .map(|(_, detection)| by_detection(detection, field));
            match quantifier {
                Quantifier::All => all(named),
                Quantifier::Any => any(named),
                Quantifier::Count(0) => None,
                Quantifier::Count(_) => any(named),
            }
        }
    }
}

fn by_detection(detection: &Detection, field: &str) -> Option<BTreeSet<String>> {
    match detection {
        Detection::AllOf(items) => all(items.iter().map(|item| by_item(item, field))),
        Detection::And(parts) => all(parts.iter().map(|part| by_detection(part, field))),
        Detection::AnyOf(parts) => any(parts.iter().map(|part| by_detection(part, field))),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
            None
        }
    }
}

/// The item's values, if it asks for one of them as it is.
fn by_item(item: &DetectionItem, field: &str) -> Option<BTreeSet<String>> {
    if item.field.name.as_deref() != Some(field) || !item.field.modifiers.is_empty() {
        return None;
    }
    let plain = |value: &SigmaValue| match value {
        SigmaValue::String(text) => text.as_plain().map(|text| text.to_lowercase()),
        _ => None,
    };
    item.values.iter().map(plain).collect()
}

/// One part must hold: what each needs, if each needs something.
fn any(mut parts: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    let first = parts.next()??;
    parts.try_fold(first, |mut values, part| {
        values.extend(part?);
        Some(values)
    })
}

/// Every part must hold: what the strictest needs.
fn all(parts: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    parts.flatten().min_by_key(BTreeSet::len)
}
