//! Sheets of reviews: the access review as it was handed on, with what was decided about each identity.

use std::collections::BTreeMap;
use std::path::Path;

use super::form::{Form, cell};
use super::{InventoryError, time, whole};
use crate::model::{Attestation, ReviewDecision};

/// The columns that are read of a sheet, with their meaning. It may have others: those that it came with.
pub const COLUMNS: [(&str, &str); 4] = [
    (
        "identity_uid",
        "whose access was reviewed: canonical id, ARN, or id of an application or service principal",
    ),
    (
        "decision",
        "keep, revoke, reduce or exception; empty if nobody has decided yet",
    ),
    ("reason", "why; needed for whatever is not `keep`"),
    (
        "until",
        "the first day on which the decision does not hold any more; needed for an exception",
    ),
];

const SHEET: Form<Option<Attestation>> = Form {
    known: |_| Ok(()),
    needed: &["identity_uid", "decision"],
    row,
};

/// What the sheets at `paths` decide. Rows without a decision are left out.
///
/// # Errors
///
/// A file that cannot be read, or every row that cannot be taken: a word that is no decision, a reason that is missing, two rows
/// that decide differently about one identity.
pub fn reviews(paths: &[impl AsRef<Path>]) -> Result<Vec<Attestation>, InventoryError> {
    let (rows, mut faults) = SHEET.read(paths)?;
    let mut decided: BTreeMap<String, (String, Attestation)> = BTreeMap::new();
    for row in rows {
        let Some(attestation) = row.told else {
            continue;
        };
        let identity = attestation.identity.clone();
        match decided.get(&identity) {
            Some((place, first)) if *first != attestation => faults.push(format!(
                "{}: {identity} is decided otherwise than in {place}",
                row.place
            )),
            Some(_) => (),
            None => drop(decided.insert(identity, (row.place, attestation))),
        }
    }
    let all = decided.into_values().map(|(_, attestation)| attestation);
    whole(all.collect(), faults)
}

fn row(cells: &[(String, String)]) -> Result<Option<Attestation>, String> {
    let Some(decision) = cell(cells, "decision") else {
        return Ok(None);
    };
    let decision = ReviewDecision::parse(&decision.to_ascii_lowercase())
        .map_err(|reason| format!("`decision`: {reason}: {decision:?}"))?;
    let identity = cell(cells, "identity_uid").ok_or("`identity_uid` is empty")?;
    let reason = cell(cells, "reason").unwrap_or_default();
    let until = match cell(cells, "until") {
        Some(text) => {
            let day =
                time(text).ok_or_else(|| format!("`until` is no day like 2027-01-31: {text:?}"))?;
            Some(day.day())
        }
        None => None,
    };
    let attestation = Attestation {
        identity: identity.to_owned(),
        decision,
        reason: reason.to_owned(),
        until,
    };
    attestation.sound()?;
    Ok(Some(attestation))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Option<Attestation>>, Vec<String>) {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        SHEET.read_text("sheet", text, &mut rows, &mut faults);
        (rows.into_iter().map(|row| row.told).collect(), faults)
    }

    #[test]
    fn a_sheet_is_read_as_it_was_handed_on() {
        let text = "recommendation,identity_uid,owner,decision,reason,until\n\
             revoke,aws:user:AIDA1,ines,Revoke,nobody knows it,\n\
             keep,aws:user:AIDA2,ines,keep,,2027-01-31\n\
             keep,aws:user:AIDA3,tom,,,\n";
        let expected = [
            Some(ReviewDecision::Revoke),
            Some(ReviewDecision::Keep),
            None,
        ];
        // A workbook has headings that people read.
        for text in [text, &text.replace("identity_uid", "Identity uid")] {
            let (rows, faults) = read(text);
            assert!(faults.is_empty(), "{faults:?}");
            let told = rows.iter().map(|row| row.as_ref().map(|one| one.decision));
            assert!(told.eq(expected), "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_told_with_its_line() {
        for (row, fault) in [
            ("a,revoke,,", "sheet:2: `reason` is needed for revoke"),
            (
                "a,exception,why,",
                "sheet:2: `until` is needed for an exception",
            ),
            (
                "a,maybe,,",
                "sheet:2: `decision`: one of keep, revoke, reduce, exception is needed: \"maybe\"",
            ),
            (",keep,,", "sheet:2: `identity_uid` is empty"),
            (
                "a,keep,,soon",
                "sheet:2: `until` is no day like 2027-01-31: \"soon\"",
            ),
        ] {
            let (_, faults) = read(&format!("identity_uid,decision,reason,until\n{row}\n"));
            assert_eq!(faults, [fault]);
        }
    }
}
