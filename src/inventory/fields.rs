//! The columns of an inventory.

use crate::model::{Asset, Facts, Micros};

/// The column that names the identity.
pub(super) const IDENTITY: &str = "identity";

const CRITICALITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// A column besides the identity's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// What it holds, for people who write one.
    meaning: &'static str,
    get: fn(&Facts) -> Option<String>,
    set: fn(&mut Facts, &str) -> Result<(), String>,
}

impl Field {
    /// What `facts` says in this column.
    pub(super) fn get(&self, facts: &Facts) -> Option<String> {
        (self.get)(facts)
    }
}

/// A column that holds any text, of the same name as what it says.
macro_rules! text {
    ($field:ident, $meaning:literal) => {
        Field {
            name: stringify!($field),
            meaning: $meaning,
            get: |facts| facts.$field.clone(),
            set: |facts, text| set_text(&mut facts.$field, text),
        }
    };
}

/// Every column besides the identity's name.
pub(super) const FIELDS: [Field; 9] = [
    text!(owner, "who answers for it"),
    text!(backup_owner, "who does when the owner cannot"),
    text!(purpose, "what it is for"),
    Field {
        name: "criticality",
        meaning: "low, medium, high or critical: how much depends on it",
        get: |facts| facts.criticality.clone(),
        set: |facts, text| {
            let known = CRITICALITIES
                .iter()
                .find(|one| text.eq_ignore_ascii_case(one));
            let Some(known) = known else {
                return Err(format!("none of {}", CRITICALITIES.join(", ")));
            };
            set_text(&mut facts.criticality, known)
        },
    },
    text!(environment, "where it works, like production or test"),
    text!(vendor, "the third party that uses it"),
    text!(contract_scope, "what that third party may do with it"),
    Field {
        name: "expires",
        meaning: "when it is to be removed, a day or a time",
        get: |facts| facts.expires_at.map(|at| at.to_string()),
        set: |facts, text| {
            let Some(at) = time(text) else {
                return Err(
                    "no day like 2027-01-31 and no time like 2027-01-31T09:00:00Z".to_owned(),
                );
            };
            facts.expires_at = Some(at);
            Ok(())
        },
    },
    Field {
        name: "review_days",
        meaning: "how many days a decision about its access holds",
        get: |facts| facts.review_days.map(|days| days.to_string()),
        set: |facts, text| {
            let days = text.parse().ok().filter(|days| (1..=3_660).contains(days));
            let Some(days) = days else {
                return Err("no number of days from 1 to 3660".to_owned());
            };
            facts.review_days = Some(days);
            Ok(())
        },
    },
];

fn set_text(own: &mut Option<String>, text: &str) -> Result<(), String> {
    *own = Some(text.to_owned());
    Ok(())
}

/// A day, at its beginning, or a time.
pub fn time(text: &str) -> Option<Micros> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(Micros(time.timestamp_micros()));
    }
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let begin = day.and_hms_opt(0, 0, 0)?.and_utc();
    Some(Micros(begin.timestamp_micros()))
}

/// Every column with its meaning.
pub fn columns() -> Vec<(&'static str, &'static str)> {
    let identity = "canonical id, ARN, or id of an application or service principal";
    let fields = FIELDS.iter().map(|field| (field.name, field.meaning));
    std::iter::once((IDENTITY, identity))
        .chain(fields)
        .collect()
}

/// The asset in one row. Empty cells say nothing.
pub(super) fn asset(cells: &[(String, String)]) -> Result<Asset, String> {
    let mut asset = Asset {
        identity: String::new(),
        facts: Facts::default(),
    };
    for (name, text) in cells {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if name == IDENTITY {
            asset.identity = text.to_owned();
        }
        if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
            (field.set)(&mut asset.facts, text)
                .map_err(|reason| format!("`{name}` is {reason}: {text:?}"))?;
        }
    }
    if asset.identity.is_empty() {
        return Err(format!("`{IDENTITY}` is empty"));
    }
    Ok(asset)
}
