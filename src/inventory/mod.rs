//! What people know of identities, as files: owners, purposes, criticality; what reviewers decided; which tickets allowed which
//! change. CSV with a header, or JSON as a list of objects or one object a line, with the same names.
//!
//! A file is taken whole or not at all: every fault is told with its line, so that it can be mended at once.

mod approvals;
mod fields;
mod form;
mod reviews;

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

use crate::model::Asset;

pub use approvals::{COLUMNS as APPROVAL_COLUMNS, approvals};
pub use fields::{columns, time};
pub use reviews::{COLUMNS as REVIEW_COLUMNS, reviews};

use form::{Form, Row};

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
    let (rows, mut faults) = ASSETS.read(paths)?;
    let assets = merged(rows, &mut faults);
    whole(assets, faults)
}

/// `found`, unless there was any fault.
fn whole<T>(found: T, faults: Vec<String>) -> Result<T, InventoryError> {
    if faults.is_empty() {
        Ok(found)
    } else {
        Err(InventoryError::Faults(faults))
    }
}

/// What an inventory's file says, row by row.
const ASSETS: Form<Asset> = Form {
    known: |name| form::one_of(name, &fields::columns()),
    needed: &[fields::IDENTITY],
    row: fields::asset,
};

/// One asset for each identity. Rows about the same one may add to each other and may not contradict each other.
fn merged(rows: Vec<Row<Asset>>, faults: &mut Vec<String>) -> Vec<Asset> {
    let mut assets: BTreeMap<String, Row<Asset>> = BTreeMap::new();
    for row in rows {
        let Some(first) = assets.get_mut(&row.told.identity) else {
            assets.insert(row.told.identity.clone(), row);
            continue;
        };
        for field in fields::FIELDS {
            let (one, other) = (field.get(&first.told.facts), field.get(&row.told.facts));
            if let (Some(one), Some(other)) = (one, other)
                && one != other
            {
                faults.push(format!(
                    "{}: `{}` of {} is {other:?}, but {} says {one:?}",
                    row.place, field.name, row.told.identity, first.place
                ));
            }
        }
        first.told.facts.update(&row.told.facts);
    }
    assets.into_values().map(|row| row.told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> (Vec<Asset>, Vec<String>) {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        ASSETS.read_text("file", text, &mut rows, &mut faults);
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
