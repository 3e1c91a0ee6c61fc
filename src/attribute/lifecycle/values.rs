//! What the modified properties of Entra's audit log hold: JSON within JSON, and lists of credentials as text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{guid, member, scalar, text};
use crate::model::CredentialKind;

/// Values are JSON within JSON: `"\"a\""` is `a`.
pub(super) fn plain(value: Option<&Value>) -> Option<String> {
    let text = scalar(value?)?;
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::String(inner)) => Some(inner).filter(|inner| !inner.is_empty()),
        Ok(Value::Null) => None,
        _ => Some(text),
    }
}

/// The elements of a value that is a list, or JSON text of one.
fn elements(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list.clone(),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Array(list)) => list,
            // Some exports wrap the list's text into JSON once more.
            Ok(inner @ Value::String(_)) => elements(Some(&inner)),
            _ if text.starts_with("[KeyIdentifier=") => vec![Value::String(text.clone())],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// One entry of `KeyDescription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key_type: String,
    pub(super) usage: Option<String>,
    pub(super) name: Option<String>,
}

impl Key {
    /// `AsymmetricX509Cert` and `X509CertAndPassword` are certificates; `Password` and `Symmetric` are secrets.
    pub(super) fn kind(&self) -> CredentialKind {
        if self.key_type.to_ascii_lowercase().contains("x509") {
            CredentialKind::SpCertificate
        } else {
            CredentialKind::SpSecret
        }
    }
}

/// `["[KeyIdentifier=<guid>,KeyType=Password,KeyUsage=Verify,DisplayName=…]", …]` by key id. The name comes last and is
/// the customer's own text, commas and all, so nothing is searched for inside it.
pub(super) fn keys(value: Option<&Value>) -> BTreeMap<String, Key> {
    let mut keys = BTreeMap::new();
    for element in elements(value) {
        let Some(text) = element.as_str() else {
            continue;
        };
        let text = text.trim();
        let text = text.strip_prefix('[').unwrap_or(text);
        let text = text.strip_suffix(']').unwrap_or(text);
        let mut key = Key {
            key_type: String::new(),
            usage: None,
            name: None,
        };
        let mut id = None;
        for part in text.splitn(4, ',') {
            match part.trim().split_once('=') {
                Some(("KeyIdentifier", value)) => id = Some(guid(value)),
                Some(("KeyType", value)) => key.key_type = value.to_owned(),
                Some(("KeyUsage", value)) => key.usage = Some(value.to_owned()),
                Some(("DisplayName", value)) => key.name = Some(value.to_owned()),
                _ => (),
            }
        }
        if let Some(id) = id {
            keys.insert(id, key);
        }
    }
    keys
}

/// `[{Name, Issuer, Subject, Id, Audiences}, …]` by id.
pub(super) fn federated(value: Option<&Value>) -> BTreeMap<String, Federated> {
    let mut credentials = BTreeMap::new();
    for element in elements(value) {
        if let Some(id) = text(&element, "Id") {
            let expression = member(&element, "ClaimsMatchingExpression");
            let credential = Federated {
                name: text(&element, "Name"),
                issuer: text(&element, "Issuer"),
                subject: text(&element, "Subject"),
                expression: expression
                    .and_then(|found| scalar(found).or_else(|| text(found, "Value"))),
            };
            credentials.insert(guid(&id), credential);
        }
    }
    credentials
}

/// One federated credential of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Federated {
    pub(super) name: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
    /// Flexible credentials match subjects by an expression.
    pub(super) expression: Option<String>,
}
