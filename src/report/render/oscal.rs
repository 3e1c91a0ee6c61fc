//! OSCAL: assessment results that tools of auditors read (NIST OSCAL 1.2.1, model "assessment-results").
//!
//! Every row is an observation. No finding says that a control is satisfied: that is for the assessor, who sees what the logs
//! cannot show. The ids follow from the ledger, the questions and the answers, so the same report has the same ids again.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::{Builder, Uuid};

use super::{Document, Part, difference, facts};

/// The release of OSCAL whose form it has.
const OSCAL: &str = "1.2.1";

/// Whose names of properties they are, as OSCAL wants names that are not its own to say.
const NAMESPACE: &str = "urn:keytrail:report";

/// Our ids are made in this one (RFC 9562, section 5.5); drawn once.
const IDS: Uuid = Uuid::from_u128(0x5c0f_7a52_3e61_4d0b_9a86_0d5b_7f1e_42c9);

/// What a report bears on, as NIST SP 800-53 Rev. 5 names it.
fn controls(report: &str) -> &'static [&'static str] {
    match report {
        // Access is reviewed, and as little as is needed.
        "access-review" | "third-party" => &["ac-2", "ac-6"],
        // What is logged.
        "coverage" | "unattributed" => &["au-2", "au-12"],
        // Accounts that are not used.
        "dormancy" => &["ac-2.3"],
        "lifecycle" => &["ac-2", "ia-4", "ia-5"],
        // Authenticators.
        "rotation" => &["ia-5"],
        _ => &["ac-2", "ac-2.3", "ac-6", "au-2", "au-12", "ia-4", "ia-5"],
    }
}

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
    let controls = controls(&from.report).iter();
    let controls: Vec<Value> = controls.map(|id| json!({ "control-id": id })).collect();
    let mut remarks: Vec<&str> = vec!["What it does not show:"];
    remarks.extend(document.caveats());
    let about = identities(subject);
    let mut observations = Vec::new();
    for part in &document.parts {
        for place in 0..part.rows.len() {
            observations.push(observation(document, part, place, &about, ids));
        }
    }
    let (start, end) = period(document);
    let mut result = json!({
        "uuid": ids.id("result"),
        "title": from.title,
        "description": subject.question,
        "start": start,
        "end": end,
        "props": props(document),
        "reviewed-controls": { "control-selections": [{ "include-controls": controls }] },
        "remarks": remarks.join("\n\n"),
    });
    // OSCAL has no empty lists.
    let items = about
        .iter()
        .map(|(identity, place)| item(subject, identity, *place, ids));
    let items: Vec<Value> = items.collect();
    if !items.is_empty() {
        result["local-definitions"] = json!({ "inventory-items": items });
    }
    if !observations.is_empty() {
        result["observations"] = observations.into();
    }
    result
}

/// Everything that the other forms say of where the report comes from.
fn props(document: &Document) -> Vec<Value> {
    let facts = facts(document).into_iter();
    let mut props: Vec<Value> = facts
        .filter_map(|(name, value)| prop(&name, &value))
        .collect();
    let changes = difference(document).into_iter();
    props.extend(changes.filter_map(|change| prop("changed", &change)));
    let questions = document.parts.iter();
    props.extend(questions.filter_map(|part| prop(&format!("SQL of {}", part.title), &part.sql)));
    props
}

/// The days that were asked for, else what the logs tell of.
fn period(document: &Document) -> (String, String) {
    let from = &document.provenance;
    let logs = (
        or(&from.logs.since, &committed(document)),
        or(&from.logs.until, &committed(document)),
    );
    // A period without a bound ends where the logs do.
    let asked = |name, open| from.params.get(name).filter(|day| *day != open);
    let begin = asked("first_day", "0001-01-01").map(|day| format!("{day}T00:00:00Z"));
    let end = asked("last_day", "9999-12-31").map(|day| format!("{day}T23:59:59Z"));
    (begin.unwrap_or(logs.0), end.unwrap_or(logs.1))
}

/// The identities that a part is about, with the row in which each first stands.
fn identities(part: &Part) -> BTreeMap<&str, usize> {
    let mut named = BTreeMap::new();
    if let Some(column) = part.place("identity_uid") {
        for (place, row) in part.rows.iter().enumerate() {
            let identity = row[column].as_str();
            if !identity.is_empty() {
                named.entry(identity).or_insert(place);
            }
        }
    }
    named
}

/// An identity. Its names stand in properties, which are plain text: elsewhere OSCAL reads Markdown, and names come from whoever
/// could write into a log.
fn item(part: &Part, identity: &str, place: usize, ids: &Ids) -> Value {
    let name = part
        .place("display_name")
        .map_or("", |at| part.rows[place][at].as_str());
    let props = [prop("identity_uid", identity), prop("display_name", name)];
    json!({
        "uuid": ids.id(&format!("identity {identity}")),
        "description": "An identity that acts in a cloud, as its properties name it.",
        "props": props.into_iter().flatten().collect::<Vec<_>>(),
    })
}

fn observation(
    document: &Document,
    part: &Part,
    place: usize,
    about: &BTreeMap<&str, usize>,
    ids: &Ids,
) -> Value {
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
    if let Some(identity) = identity.filter(|identity| about.contains_key(identity)) {
        observation["subjects"] = json!([{
            "subject-uuid": ids.id(&format!("identity {identity}")),
            "type": "inventory-item",
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

/// Ids that follow from what the report says: another epoch, another answer or another build's views have others.
struct Ids(String);

impl Ids {
    fn of(document: &Document) -> Self {
        let from = &document.provenance;
        let mut name = format!("{}\n{}\n", from.report, from.views_sha256);
        for (key, value) in from.ledger.iter().chain(&from.params) {
            name += &format!("{key}={value}\n");
        }
        for part in &document.parts {
            name += &format!("{}\n", part.rows_sha256);
        }
        Self(name)
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
