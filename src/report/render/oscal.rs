//! OSCAL: assessment results that tools of auditors read (NIST OSCAL 1.2.1, model "assessment-results").
//!
//! Every row is an observation. No finding says that a control is satisfied: that is for the assessor, who sees what the logs
//! cannot show. The ids follow from the ledger and the place in the report, so the same report has the same ids again.

use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use super::{Document, Part, facts};

/// The release of OSCAL whose form it has.
const OSCAL: &str = "1.2.1";

/// Whose names of properties they are, as OSCAL wants names that are not its own to say.
const NAMESPACE: &str = "urn:keytrail:report";

/// Our ids are made in this one (RFC 9562, section 5.5); drawn once.
const IDS: Uuid = Uuid::from_u128(0x5c0f_7a52_3e61_4d0b_9a86_0d5b_7f1e_42c9);

/// What such a report bears on, as NIST SP 800-53 Rev. 5 names it: accounts and what becomes of those not used, least privilege,
/// what is logged, identifiers and authenticators.
const CONTROLS: [&str; 7] = ["ac-2", "ac-2.3", "ac-6", "au-2", "au-12", "ia-4", "ia-5"];

pub(super) fn render(document: &Document) -> String {
    let from = &document.provenance;
    let ids = Ids::of(document);
    let plan = ids.id("plan");
    let results = json!({ "assessment-results": {
        "uuid": ids.id("results"),
        "metadata": {
            "title": from.title,
            "last-modified": committed(document),
            "version": format!("epoch {}", from.epoch().unwrap_or(0)),
            "oscal-version": OSCAL,
        },
        "import-ap": { "href": format!("#{plan}") },
        "results": [result(document, &ids)],
        "back-matter": { "resources": [{
            "uuid": plan,
            "title": "No assessment plan",
            "description": "OSCAL wants a plan to be named. These results were made from logs without one.",
        }] },
    }});
    let text = serde_json::to_string_pretty(&results);
    text.expect("texts always have a JSON form") + "\n"
}

fn result(document: &Document, ids: &Ids) -> Value {
    let from = &document.provenance;
    let subject = document.subject();
    let mut props: Vec<Value> = facts(document)
        .into_iter()
        .filter_map(|(name, value)| prop(&name, &value))
        .collect();
    let controls = document.controls().into_iter();
    props.extend(controls.filter_map(|control| prop("control", control)));
    let mut remarks: Vec<&str> = vec!["What it does not show:"];
    remarks.extend(document.caveats());
    let mut observations = Vec::new();
    for part in &document.parts {
        for place in 0..part.rows.len() {
            observations.push(observation(document, part, place, ids));
        }
    }
    let mut result = json!({
        "uuid": ids.id("result"),
        "title": from.title,
        "description": subject.question,
        "start": or(&from.logs.since, &committed(document)),
        "end": or(&from.logs.until, &committed(document)),
        "props": props,
        "reviewed-controls": { "control-selections": [{
            "include-controls": CONTROLS.map(|id| json!({ "control-id": id })),
        }] },
        "remarks": remarks.join("\n\n"),
    });
    // OSCAL has no empty lists.
    let items: Vec<Value> = identities(subject)
        .map(|(identity, place)| item(subject, identity, place, ids))
        .collect();
    if !items.is_empty() {
        result["local-definitions"] = json!({ "inventory-items": items });
    }
    if !observations.is_empty() {
        result["observations"] = observations.into();
    }
    result
}

/// The identities that a part is about, with the row in which each first stands.
fn identities(part: &Part) -> impl Iterator<Item = (&str, usize)> {
    let column = part.place("identity_uid");
    let named = part
        .rows
        .iter()
        .enumerate()
        .filter_map(move |(place, row)| {
            let identity = row.get(column?)?.as_str();
            (!identity.is_empty()).then_some((identity, place))
        });
    let mut told = std::collections::BTreeSet::new();
    named.filter(move |(identity, _)| told.insert(*identity))
}

fn item(part: &Part, identity: &str, place: usize, ids: &Ids) -> Value {
    let name = part
        .place("display_name")
        .and_then(|at| part.rows[place].get(at));
    let name = name
        .filter(|name| !name.is_empty())
        .map_or(identity, String::as_str);
    json!({
        "uuid": ids.id(&format!("identity {identity}")),
        "description": name,
        "props": prop("identity_uid", identity).into_iter().collect::<Vec<_>>(),
    })
}

fn observation(document: &Document, part: &Part, place: usize, ids: &Ids) -> Value {
    let row = &part.rows[place];
    let cells = part.columns.iter().zip(row);
    let props: Vec<Value> = cells
        .filter_map(|(name, value)| prop(name, value))
        .collect();
    let mut observation = json!({
        "uuid": ids.id(&format!("{} {place}", part.title)),
        "title": part.title,
        "description": format!("Row {} of the answer to: {}", place + 1, part.question),
        "methods": ["EXAMINE"],
        "collected": committed(document),
    });
    if !props.is_empty() {
        observation["props"] = props.into();
    }
    let identity = part.place("identity_uid").map(|at| row[at].as_str());
    let subjects = || identities(document.subject()).map(|(known, _)| known);
    if let Some(identity) = identity.filter(|identity| subjects().any(|known| known == *identity)) {
        observation["subjects"] = json!([{
            "subject-uuid": ids.id(&format!("identity {identity}")),
            "type": "inventory-item",
            "title": identity,
        }]);
    }
    observation
}

/// A property, if `value` says anything. Names are tokens and values hold one line, as OSCAL wants.
fn prop(name: &str, value: &str) -> Option<Value> {
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    (!value.is_empty()).then(|| json!({ "name": name, "ns": NAMESPACE, "value": value }))
}

fn committed(document: &Document) -> String {
    let time = document.provenance.ledger.get("committed_time");
    time.cloned().unwrap_or_default()
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise } else { text }.to_owned()
}

/// Ids that follow from the state of the ledger, the report and its parameters.
struct Ids(String);

impl Ids {
    fn of(document: &Document) -> Self {
        let from = &document.provenance;
        let root = from.ledger.get("root_hash").map_or("", String::as_str);
        Self(format!("{root} {} {:?} ", from.report, from.params))
    }

    /// A version 5 UUID.
    fn id(&self, what: &str) -> String {
        let mut sha1 = sha1_smol::Sha1::new();
        sha1.update(IDS.as_bytes());
        sha1.update(self.0.as_bytes());
        sha1.update(what.as_bytes());
        let digest = sha1.digest().bytes();
        let first = digest.first_chunk().expect("a digest has twenty bytes");
        Builder::from_sha1_bytes(*first).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_as_oscal_wants_them() {
        let told = prop("hash of the rows", " a\n b ").unwrap();
        assert_eq!(told["name"], "hash_of_the_rows");
        assert_eq!(told["value"], "a b");
        assert_eq!(prop("owner", " \n"), None);
    }

    #[test]
    fn ids_are_of_version_5_and_follow_from_what_they_name() {
        let ids = Ids("root".to_owned());
        let one = Uuid::parse_str(&ids.id("a")).unwrap();
        assert_eq!(one.get_version_num(), 5);
        assert_eq!(ids.id("a"), one.to_string());
        assert_ne!(ids.id("b"), one.to_string());
    }
}
