//! What people know of identities, as files: owners, purposes, criticality. CSV with a header, or JSON as a list of objects or
//! one object a line, with the same names.
//!
//! A file is taken whole or not at all: every fault is told with its line, so that it can be mended at once.

mod fields;

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

use crate::model::Asset;

pub use fields::{FIELDS, Field, time};

/// Why a file cannot be taken.
#[derive(Debug, Error)]
pub enum InventoryError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{}", .0.join("\n"))]
    Faults(Vec<String>),
}

/// What the files at `paths` say, one asset for each identity.
///
/// # Errors
///
/// A file that cannot be read, or every row that cannot be taken: unknown columns, values that are none, two rows that say
/// different things about one identity.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<Asset>, InventoryError> {
    let mut all = Vec::new();
    let mut faults = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| InventoryError::Io {
            path: shown.clone(),
            source,
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => read_text(&shown, &text, &mut all, &mut faults),
            Err(_) => faults.push(format!("{shown}: not UTF-8 text")),
        }
    }
    let assets = merged(all, &mut faults);
    if faults.is_empty() {
        Ok(assets)
    } else {
        Err(InventoryError::Faults(faults))
    }
}

/// A row and where it stands.
struct Row {
    place: String,
    asset: Asset,
}

fn read_text(path: &str, text: &str, rows: &mut Vec<Row>, faults: &mut Vec<String>) {
    let text = text.trim_start_matches('\u{feff}');
    let begin = text.trim_start().as_bytes().first();
    let mut take = |line: u64, cells: Vec<(String, String)>| {
        let place = format!("{path}:{line}");
        match fields::asset(&cells) {
            Ok(asset) => rows.push(Row { place, asset }),
            Err(reason) => faults.push(format!("{place}: {reason}")),
        }
    };
    let read = match begin {
        Some(b'[' | b'{') => json(text, &mut take),
        _ => table(text, &mut take),
    };
    if let Err((line, reason)) = read {
        faults.push(format!("{path}:{line}: {reason}"));
    }
}

/// Hands every row of a CSV file to `take`, with its line.
fn table(
    text: &str,
    take: &mut impl FnMut(u64, Vec<(String, String)>),
) -> Result<(), (u64, String)> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let line = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
    let header = reader
        .headers()
        .map_err(|error| (line(&error), error.to_string()))?
        .clone();
    for column in &header {
        fields::known(column).map_err(|reason| (1, reason))?;
    }
    if !header.iter().any(|column| column == fields::IDENTITY) {
        let needed = format!("there is no column `{}`", fields::IDENTITY);
        return Err((1, needed));
    }
    for row in reader.records() {
        let row = row.map_err(|error| (line(&error), error.to_string()))?;
        let at = row.position().map_or(1, csv::Position::line);
        let cells = header.iter().zip(&row);
        let cells = cells.map(|(name, cell)| (name.to_owned(), cell.to_owned()));
        take(at, cells.collect());
    }
    Ok(())
}

/// The same for JSON: a list of objects, or objects one after the other.
fn json(
    text: &str,
    take: &mut impl FnMut(u64, Vec<(String, String)>),
) -> Result<(), (u64, String)> {
    let listed = text.trim_start().starts_with('[');
    let wrong = |error: serde_json::Error| (error.line() as u64, error.to_string());
    let mut objects = Vec::new();
    if listed {
        objects = serde_json::from_str::<Vec<serde_json::Value>>(text).map_err(wrong)?;
    } else {
        for object in serde_json::Deserializer::from_str(text).into_iter() {
            objects.push(object.map_err(wrong)?);
        }
    }
    for (number, object) in (1..).zip(objects) {
        let serde_json::Value::Object(members) = object else {
            return Err((number, "not an object".to_owned()));
        };
        let mut cells = Vec::new();
        for (name, value) in members {
            fields::known(&name).map_err(|reason| (number, reason))?;
            match value {
                serde_json::Value::Null => (),
                serde_json::Value::String(text) => cells.push((name, text)),
                serde_json::Value::Number(number) => cells.push((name, number.to_string())),
                _ => return Err((number, format!("`{name}` is neither a text nor a number"))),
            }
        }
        take(number, cells);
    }
    Ok(())
}

/// One asset for each identity. Rows about the same one may add to each other and may not contradict each other.
fn merged(rows: Vec<Row>, faults: &mut Vec<String>) -> Vec<Asset> {
    let mut assets: BTreeMap<String, Row> = BTreeMap::new();
    for row in rows {
        let Some(first) = assets.get_mut(&row.asset.identity) else {
            assets.insert(row.asset.identity.clone(), row);
            continue;
        };
        for field in FIELDS {
            let (one, other) = (field.get(&first.asset.facts), field.get(&row.asset.facts));
            if let (Some(one), Some(other)) = (one, other)
                && one != other
            {
                faults.push(format!(
                    "{}: `{}` of {} is {other:?}, but {} says {one:?}",
                    row.place, field.name, row.asset.identity, first.place
                ));
            }
        }
        first.asset.facts.update(&row.asset.facts);
    }
    assets.into_values().map(|row| row.asset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> (Vec<Asset>, Vec<String>) {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        read_text("file", text, &mut rows, &mut faults);
        (merged(rows, &mut faults), faults)
    }

    #[test]
    fn csv_and_json_say_the_same() {
        let csv = "identity,owner,expires,review_days\n\
                   aws:user:AIDA,ines.kram,2027-01-31,90\n\
                   arn:aws:iam::111122223333:role/deploy,,,\n";
        let json = r#"[{"identity":"aws:user:AIDA","owner":"ines.kram","expires":"2027-01-31","review_days":90},
                       {"identity":"arn:aws:iam::111122223333:role/deploy","owner":null}]"#;
        let lines = json.replace(['[', ']'], "").replace("},\n", "}\n");
        let (assets, faults) = read_one(csv);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(assets.len(), 2);
        assert_eq!(assets[1].facts.review_days, Some(90));
        assert_eq!(
            assets[1]
                .facts
                .expires_at
                .map(|at| at.to_string())
                .as_deref(),
            Some("2027-01-31T00:00:00Z")
        );
        for other in [json, &lines] {
            assert_eq!(read_one(other), (assets.clone(), Vec::new()));
        }
    }

    #[test]
    fn every_fault_has_its_line() {
        let check = |text: &str, fault: &str| {
            let (_, faults) = read_one(text);
            assert!(faults.iter().any(|told| told == fault), "{faults:?}");
        };
        check(
            "identity,ower\nx,y\n",
            "file:1: unknown column `ower`; did you mean `owner`?",
        );
        check("owner\nines\n", "file:1: there is no column `identity`");
        check("identity,owner\n,ines\n", "file:2: `identity` is empty");
        check(
            "identity,expires\na,soon\n",
            "file:2: `expires` is no day like 2027-01-31 and no time like 2027-01-31T09:00:00Z: \"soon\"",
        );
        check(
            "identity,criticality\na,very\n",
            "file:2: `criticality` is none of low, medium, high, critical: \"very\"",
        );
        check(
            "identity,owner\na,ines\na,tom\n",
            "file:3: `owner` of a is \"tom\", but file:2 says \"ines\"",
        );
        check(
            "[{\"identity\":\"a\",\"owner\":{}}]",
            "file:1: `owner` is neither a text nor a number",
        );
    }
}
