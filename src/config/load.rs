//! Reading settings: a TOML file, then the environment over it, each fault named with its place and the nearest name.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError};

/// Variables of this form set a key: `KEYTRAIL_LAKE__EPOCH_AGE=5s` is `lake.epoch_age = "5s"`.
const PREFIX: &str = "KEYTRAIL_";

/// Variables with the prefix that are not settings: they belong to tests and to the command line.
const NOT_SETTINGS: [&str; 5] = [
    "KEYTRAIL_CONFIG",
    "KEYTRAIL_DATA",
    "KEYTRAIL_LOG",
    "KEYTRAIL_TOOLS",
    "KEYTRAIL_TEST_KAFKA",
];

/// Two names closer than this are likely the same one misspelt (Jaro–Winkler, 1 is equal).
const SIMILAR: f64 = 0.8;

/// The configuration from `file`, if any, with the settings among `variables` over it.
pub fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut table = match file {
        None => Table::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
            let table = text
                .parse::<Table>()
                .map_err(|error| invalid(&path.display().to_string(), &error))?;
            // Checked by itself first, so that a fault is blamed on the file and not on the environment.
            check(&path.display().to_string(), table.clone())?;
            table
        }
    };
    let mut settings: Vec<(String, String)> = variables
        .filter(|(name, _)| name.starts_with(PREFIX) && name.contains("__"))
        .filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str()))
        .collect();
    settings.sort();
    for (name, text) in settings {
        let path: Vec<String> = name[PREFIX.len()..]
            .split("__")
            .map(str::to_ascii_lowercase)
            .collect();
        set(&mut table, &path, value(&text));
        check(&name, table.clone())?;
    }
    check("configuration", table)
}

/// Numbers, truths and lists as TOML writes them; everything else is text.
fn value(text: &str) -> Value {
    format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .filter(|value| !matches!(value, Value::Datetime(_) | Value::Table(_)))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn set(table: &mut Table, path: &[String], value: Value) {
    let [key, rest @ ..] = path else {
        return;
    };
    // `[detect.unusual-origin]` cannot be spelt in a variable's name: an underscore stands for the dash there.
    let dashed = key.replace('_', "-");
    let key = if ["cross-system", "unusual-origin"].contains(&dashed.as_str()) {
        dashed
    } else {
        key.clone()
    };
    if rest.is_empty() {
        table.insert(key, value);
        return;
    }
    let inner = table
        .entry(key)
        .or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(inner) = inner {
        set(inner, rest, value);
    }
}

fn check(origin: &str, table: Table) -> Result<Config, ConfigError> {
    Config::deserialize(Value::Table(table)).map_err(|error| invalid(origin, &error))
}

fn invalid(origin: &str, error: &toml::de::Error) -> ConfigError {
    let reason = error.to_string().trim().to_owned();
    ConfigError::Invalid {
        origin: origin.to_owned(),
        suggestion: suggestion(&reason).map_or_else(String::new, |name| {
            format!("\n  did you mean `{name}`? `keytrail config schema` lists every key")
        }),
        reason,
    }
}

/// The known name nearest to the unknown one in serde's message "unknown field `a`, expected one of `b`, `c`".
fn suggestion(reason: &str) -> Option<String> {
    let (_, rest) = reason.split_once("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    known
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

/// The JSON Schema of the configuration, as `schemas/config.schema.json` holds it.
pub fn schema_json() -> String {
    let schema = schemars::schema_for!(Config);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// A secret, which may only be referred to: `env:NAME` or `file:/path`.
pub(super) fn secret(key: &str, reference: &str) -> Result<String, ConfigError> {
    let failed = |reason: String| ConfigError::Secret {
        key: key.to_owned(),
        reason,
    };
    if let Some(name) = reference.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| failed(format!("variable {name} is not set")));
    }
    if let Some(path) = reference.strip_prefix("file:") {
        return std::fs::read_to_string(path)
            .map(|text| text.trim_end().to_owned())
            .map_err(|error| failed(format!("cannot read {path}: {error}")));
    }
    Err(failed(
        "a secret is referred to as env:NAME or file:/path, never written into the file".to_owned(),
    ))
}

/// A value that may be a secret: property names that hold one must be references, others may be.
pub(super) fn maybe_secret(key: &str, value: &str) -> Result<String, ConfigError> {
    let secretive = !key.ends_with(".url")
        && ["password", "secret", "token", "key.pem"]
            .iter()
            .any(|word| key.contains(word));
    if secretive || value.starts_with("env:") || value.starts_with("file:") {
        return secret(key, value);
    }
    Ok(value.to_owned())
}

/// 32 bytes from 64 hexadecimal digits.
pub(super) fn key_bytes(key: &str, text: &str) -> Result<[u8; 32], ConfigError> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    let parsed = digits.len() == 64
        && bytes.iter_mut().zip(digits.chunks(2)).all(|(byte, pair)| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .map(|value| *byte = value)
                .is_some()
        });
    if parsed {
        Ok(bytes)
    } else {
        Err(ConfigError::Secret {
            key: key.to_owned(),
            reason: "must be 64 hexadecimal digits".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(None, variables)
    }

    #[test]
    fn the_environment_sets_keys() {
        let config = with(&[
            ("KEYTRAIL_LAKE__EPOCH_AGE", "5s"),
            ("KEYTRAIL_KAFKA__BROKERS", "[\"a:9092\"]"),
            ("KEYTRAIL_DETECT__UNUSUAL_ORIGIN__BITS_MIN", "12"),
            ("KEYTRAIL_DATA", "/elsewhere"),
            ("HOME", "/root"),
        ])
        .unwrap();
        assert_eq!(config.lake.epoch_age.to_string(), "5s");
        assert_eq!(config.kafka.brokers, ["a:9092"]);
        assert_eq!(config.detect.unusual_origin.bits_min, 12);
    }

    #[test]
    fn unknown_keys_are_refused_with_a_suggestion() {
        let error = with(&[("KEYTRAIL_LAKE__EPOCH_AGES", "5s")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("KEYTRAIL_LAKE__EPOCH_AGES"), "{text}");
        assert!(text.contains("did you mean `epoch_age`"), "{text}");
    }

    #[test]
    fn a_secret_in_plain_text_is_refused() {
        let error = maybe_secret("kafka.properties.sasl.password", "hunter2").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
