//! What only Keytrail knows of an event, for rules that ask for it.

use std::borrow::Cow;

use rsigma_eval::event::{Event, EventValue};
use serde_json::{Map, Value};

use crate::correlate::{Dimension, Sighting};
use crate::detect::Before;
use crate::model::Micros;

/// Every name that a rule may ask for, behind `keytrail.`; `src/docs/rules.md` says what each means.
pub(super) const NAMES: [&str; 17] = [
    "acting_uid",
    "actor_type",
    "asn",
    "attribution_confidence",
    "chain_depth",
    "country",
    "environment",
    "first_seen_days",
    "identity_kind",
    "identity_uid",
    "idle_days",
    "network_new",
    "operation_new",
    "origin_uid",
    "owner",
    "privilege_tier",
    "range",
];

/// Whether `name`, which stands behind the prefix, is one of them.
pub(super) fn known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// That `name` is none of them.
pub(super) fn unknown(name: &str) -> String {
    let prefix = super::questions::PREFIX;
    format!(
        "unknown field {prefix}{name}; known behind {prefix}: {}",
        NAMES.join(", ")
    )
}

/// What is known when the turn of an event has come.
#[derive(Debug, Default)]
pub(super) struct Facts(Map<String, Value>);

impl Facts {
    /// What is known of `sighting`. Habits are known of machines alone.
    pub(super) fn of(sighting: &Sighting, before: &Before<'_>) -> Self {
        let by = &sighting.by;
        let mut facts = Map::new();
        let mut tell = |name: &str, value: Value| facts.insert(name.to_owned(), value);
        tell("identity_uid", by.identity_uid.as_ref().into());
        tell("identity_kind", by.identity_kind.name().into());
        tell("actor_type", by.actor_type.name().into());
        tell("origin_uid", by.origin_uid.as_ref().into());
        tell("acting_uid", by.acting_uid.as_ref().into());
        tell("chain_depth", by.chain_depth().into());
        tell("attribution_confidence", by.confidence.name().into());
        let places = [
            ("asn", &sighting.asn),
            ("country", &sighting.country),
            ("range", &sighting.range),
        ];
        for (name, value) in places {
            if let Some(value) = value {
                tell(name, value.as_ref().into());
            }
        }
        if let Some(known) = before.facts {
            for (name, value) in [("owner", &known.owner), ("environment", &known.environment)] {
                if let Some(value) = value {
                    tell(name, value.as_str().into());
                }
            }
        }
        let privilege = before.acting.and_then(|acting| acting.privilege());
        if let Some((tier, _)) = privilege {
            tell("privilege_tier", tier.into());
        }
        if sighting.profiled().is_some() {
            let profile = before.profile;
            tell(
                "first_seen_days",
                profile.age_days(sighting.event_time).into(),
            );
            if profile.hours > 0 {
                let idle = sighting.event_time.since(profile.last_seen_at);
                tell("idle_days", (idle / Micros::DAY).into());
            }
            for (name, dimension) in [
                ("network_new", Dimension::Network),
                ("operation_new", Dimension::Operation),
            ] {
                if let Some(value) = dimension.value(sighting) {
                    tell(name, profile.stats(dimension, value).is_none().into());
                }
            }
        }
        Self(facts)
    }

    /// What the example of a rule says is known.
    pub(super) fn told(facts: &Map<String, Value>) -> Self {
        Self(facts.clone())
    }

    /// The value of a field as a person would read it.
    pub(super) fn shown(&self, path: &str) -> String {
        match self.find(path) {
            None => "unknown".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    fn find(&self, path: &str) -> Option<&Value> {
        self.0.get(path.strip_prefix(super::questions::PREFIX)?)
    }
}

impl Event for Facts {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        self.find(path).map(EventValue::from)
    }

    fn any_string_value(&self, _: &dyn Fn(&str) -> bool) -> bool {
        false
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        Vec::new()
    }

    fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_documented_and_no_other() {
        let page = include_str!("../docs/rules.md");
        let mut told: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `keytrail."))
            .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split(", "))
            .filter_map(|name| name.trim().trim_matches('`').strip_prefix("keytrail."))
            .collect();
        told.sort_unstable();
        assert_eq!(told, NAMES);
    }
}
