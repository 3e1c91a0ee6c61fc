//! What an event changes about identities: their creation and end, their credentials, their privilege, whom they trust.
//!
//! Each answer is a function of one decoded event. Names are not resolved here: IAM names its targets by name only, and
//! what a name meant at that time is for the directory to say (ID-3, ID-4). An attempt that failed changes nothing.

mod arm;
mod aws;
mod entra;
mod services;
mod ties;
mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use ties::ties;

use crate::model::{Action, Change, ChangedCredential, Target};
use crate::model::{AuditEvent, LogSource, Outcome};

/// A name that an event gives to an identity or takes from it (ID-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    /// `aws:role:AROA…`, `aws:user:AIDA…`. The log of a deletion has no unique id: then only the prefix stands here
    /// and says whether the name is a role's or a user's.
    pub(crate) uid: String,
    /// With its path. Empty where the log does not have it.
    pub(crate) arn: String,
    pub(crate) name: String,
    /// Whether the name begins to mean this identity, or ceases to: deletion, and the old name of a renamed user.
    pub(crate) created: bool,
}

/// An issuer and subject that an application or a managed identity trusts from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustedSubject {
    /// GUID of the federated credential as sign-ins name it. Resource Manager does not tell it: there, its resource id.
    pub(crate) credential_id: String,
    /// Object id of the application, or resource id of the managed identity, lower case.
    pub(crate) application: String,
    /// As logged, with its scheme.
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

/// Every change that `event` means. Empty for nearly all events, at the cost of comparing names.
pub(crate) fn changes(event: &AuditEvent<'_>) -> Vec<Change> {
    match event.source {
        LogSource::CloudTrail if event.outcome == Outcome::Success => aws::changes(event),
        LogSource::EntraAudit if event.outcome == Outcome::Success => entra::changes(event),
        // AZ-1: the row that begins an action carries its body and does not know yet how it ends.
        LogSource::AzureActivity if event.outcome != Outcome::Failure => arm::changes(event),
        _ => Vec::new(),
    }
}

/// The name that `event` gives or takes.
pub(crate) fn naming(event: &AuditEvent<'_>) -> Option<Naming> {
    let counts = event.source == LogSource::CloudTrail && event.outcome == Outcome::Success;
    counts.then(|| aws::naming(event)).flatten()
}

/// Issuers and subjects that `event` makes trusted. The rows of one Resource Manager action may each tell it.
pub(crate) fn trusted_subjects(event: &AuditEvent<'_>) -> Vec<TrustedSubject> {
    match event.source {
        LogSource::EntraAudit if event.outcome == Outcome::Success => {
            entra::trusted_subjects(event)
        }
        LogSource::AzureActivity if event.outcome != Outcome::Failure => {
            arm::trusted_subjects(event)
        }
        _ => Vec::new(),
    }
}

/// Account and name of a user who gets a password for the console: from then on a person may be behind it (HM-16).
pub(crate) fn login_profile(event: &AuditEvent<'_>) -> Option<(String, String)> {
    let counts = event.source == LogSource::CloudTrail && event.outcome == Outcome::Success;
    counts.then(|| aws::login_profile(event)).flatten()
}

/// The parts of a record that say what was changed. Member names are looked up without letter case: CloudTrail and
/// Resource Manager change it (`sAMLProviderArn`, `PrincipalId`).
#[derive(Debug)]
struct Fields {
    request: Value,
    response: Value,
    extra: Value,
    service_event: Value,
}

impl Fields {
    fn of(event: &AuditEvent<'_>) -> Self {
        let details = &event.details;
        Self {
            request: parsed(details.request.as_ref()),
            response: parsed(details.response.as_ref()),
            extra: parsed(details.extra.as_ref()),
            service_event: parsed(details.service_event.as_ref()),
        }
    }

    /// The first value found at `places`: paths with dots, separated by `|`, that begin with `rq` (request), `re`
    /// (response), `ex` (additional data) or `se` (service event).
    fn value(&self, places: &str) -> Option<&Value> {
        places.split('|').find_map(|place| {
            let (part, path) = place.split_once('.')?;
            let part = match part {
                "rq" => &self.request,
                "re" => &self.response,
                "ex" => &self.extra,
                _ => &self.service_event,
            };
            path.split('.').try_fold(part, member)
        })
    }

    /// The first scalar found at `places`, as text.
    fn text(&self, places: &str) -> Option<String> {
        places
            .split('|')
            .find_map(|place| self.value(place).and_then(scalar))
    }

    /// The scalars of the list at `places`, which CloudTrail wraps as `{items: […]}` for some services.
    fn texts(&self, places: &str) -> Vec<String> {
        let Some(value) = self.value(places) else {
            return Vec::new();
        };
        let list = value
            .as_array()
            .or_else(|| member(value, "items")?.as_array());
        list.map(|list| list.iter().filter_map(scalar).collect())
            .unwrap_or_default()
    }

    /// Writes each of `facts`, a name and its places, that the event has.
    fn tell(&self, detail: &mut Detail, facts: &[(&'static str, &str)]) {
        for &(name, places) in facts {
            detail.put(name, self.text(places));
        }
    }
}

/// A change of an identity, with neither a credential nor privilege.
fn change(action: Action, target: Option<Target>, detail: Detail) -> Change {
    Change {
        action,
        target,
        credential: None,
        detail: detail.finish(),
        privilege: None,
    }
}

/// JSON text as a value. What is absent or broken is `null`, which has no members.
fn parsed(text: Option<&Cow<'_, str>>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null)
}

/// The member of `value` called `name`, letter case apart. `null` counts as absent.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?;
    let exact = members.get(name);
    exact
        .or_else(|| {
            let mut others = members.iter();
            others
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
        .filter(|value| !value.is_null())
}

/// The scalar member of `value` called `name`, as text.
fn text(value: &Value, name: &str) -> Option<String> {
    member(value, name).and_then(scalar)
}

/// A scalar as text. Empty texts and the placeholder that some exports write for nothing are absent.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() || text == "<null>" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// ID-1: a GUID in lower case with dashes (AZ-18's evidence has none); any other id in lower case. For Azure and Entra
/// only: the ids of AWS keep their case.
fn guid(id: &str) -> String {
    let id = id.trim().to_ascii_lowercase();
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let (one, two, three) = (&id[..8], &id[8..12], &id[12..16]);
        return format!("{one}-{two}-{three}-{}-{}", &id[16..20], &id[20..]);
    }
    id
}

/// Longer lists are cut in `detail`; the raw record keeps them. A policy seldom names more than a handful.
const LISTED_MAX: usize = 100;
/// Longer texts are cut in `detail`. The longest name in use, an ARN, has 2 048 characters.
const TEXT_CHARS_MAX: usize = 2_048;

/// Further facts of a change. Sorted by name, whatever order serde_json keeps in this build.
#[derive(Debug, Default)]
struct Detail(BTreeMap<&'static str, Value>);

impl Detail {
    fn put(&mut self, name: &'static str, text: Option<String>) {
        if let Some(text) = text {
            let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
            self.0.insert(name, Value::String(text));
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn list(&mut self, name: &'static str, texts: Vec<String>) {
        if !texts.is_empty() {
            let texts = texts.into_iter().take(LISTED_MAX).map(Value::String);
            self.0.insert(name, Value::Array(texts.collect()));
        }
    }

    /// The text of the object.
    fn finish(self) -> String {
        let members = self.0.into_iter();
        let members = members.map(|(name, value)| (name.to_owned(), value));
        Value::Object(members.collect()).to_string()
    }
}

#[cfg(test)]
mod tests;
