//! What people state, on its way into the lake: a file for each statement, until the writer has taken it.
//!
//! Whoever may write into the lake's folder may state something; only the writer makes rows of it. The manifest of the epoch
//! that takes a statement names it, and its file goes after that epoch's commit. If the writer ends between the two, the
//! next one finds the name in the last manifest and removes the file, so that nothing counts twice.

use std::collections::BTreeSet;
use std::path::Path;

use super::ledger::StatementInput;
use super::{LakeError, Place, store};
use crate::model::{Statement, hex, sha256};

/// Below the lake.
const DIR: &str = "inbox";

/// What could not be read goes here, below the inbox.
const REFUSED: &str = "refused";

/// How many statements one epoch takes at most.
const AT_ONCE: usize = 1_000;

/// The statements that wait in a lake.
#[derive(Debug)]
pub struct Inbox {
    place: Place,
    /// Taken by an epoch that is not committed yet.
    taken: BTreeSet<String>,
}

/// What an epoch takes.
#[derive(Debug, Default)]
pub struct Taken {
    pub statements: Vec<Statement>,
    /// Files that hold no statement, and why. They are put aside.
    pub refused: Vec<(String, String)>,
}

impl Inbox {
    /// The inbox of the lake that `data` names.
    pub fn of(data: &Path) -> Result<Self, LakeError> {
        Ok(Self {
            place: Place::of(data)?.join(DIR),
            taken: BTreeSet::new(),
        })
    }

    /// Puts a statement in. It is durable when this returns.
    pub fn put(&self, statement: &Statement) -> Result<(), LakeError> {
        store::create_dir(&self.place)?;
        store::put(&self.place.join(name(statement)), &bytes(statement))
    }

    /// Whether a statement still waits.
    pub fn holds(&self, statement: &Statement) -> Result<bool, LakeError> {
        store::exists(&self.place.join(name(statement)))
    }

    /// What waits and no epoch took before, in the order in which it was stated.
    pub fn take(&mut self) -> Result<Taken, LakeError> {
        let mut found = Taken::default();
        for name in store::names(&self.place)? {
            if !name.ends_with(".json") || self.taken.contains(&name) {
                continue;
            }
            if found.statements.len() >= AT_ONCE {
                break;
            }
            let file = self.place.join(&name);
            let Some(read) = store::read(&file)? else {
                continue;
            };
            match serde_json::from_slice(&read) {
                Ok(statement) => {
                    self.taken.insert(name);
                    found.statements.push(statement);
                }
                Err(error) => {
                    let aside = self.place.join(REFUSED);
                    store::create_dir(&aside)?;
                    store::put(&aside.join(&name), &read)?;
                    store::remove(&file)?;
                    found.refused.push((name, error.to_string()));
                }
            }
        }
        Ok(found)
    }

    /// Removes the statements that an epoch took which is committed.
    pub fn done(data: &Path, taken: &[StatementInput]) -> Result<(), LakeError> {
        if taken.is_empty() {
            return Ok(());
        }
        let place = Place::of(data)?.join(DIR);
        for statement in taken {
            store::remove(&place.join(&statement.file))?;
        }
        Ok(())
    }
}

/// What the manifest says of a statement.
pub(super) fn input(statement: &Statement) -> StatementInput {
    StatementInput {
        file: name(statement),
        sha256: hex(&sha256(&bytes(statement))),
    }
}

/// The name of its file: those of an earlier time first.
fn name(statement: &Statement) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let uid: String = statement.uid.chars().filter(|c| plain(*c)).collect();
    format!("{:020}-{uid}.json", statement.at.0.max(0))
}

fn bytes(statement: &Statement) -> Vec<u8> {
    serde_json::to_vec(statement).expect("texts and numbers always have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asset, Facts, Micros, Stated};

    fn statement(uid: &str, at: i64) -> Statement {
        Statement {
            uid: uid.to_owned(),
            at: Micros(at),
            author: "ines.kram".to_owned(),
            what: Stated::Inventory(vec![Asset {
                identity: "aws:user:AIDA".to_owned(),
                facts: Facts {
                    owner: Some("tom.reuter".to_owned()),
                    ..Facts::default()
                },
            }]),
        }
    }

    #[test]
    fn a_statement_is_taken_once_and_goes_when_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::of(dir.path()).unwrap();
        let (later, earlier) = (statement("b", 20), statement("a", 3));
        inbox.put(&later).unwrap();
        inbox.put(&earlier).unwrap();
        let taken = inbox.take().unwrap();
        assert_eq!(taken.statements, [earlier.clone(), later.clone()]);
        assert!(inbox.take().unwrap().statements.is_empty());
        Inbox::done(dir.path(), &[input(&earlier)]).unwrap();
        assert!(!inbox.holds(&earlier).unwrap());
        assert!(inbox.holds(&later).unwrap());
        // Another writer that begins finds what no epoch of the first has committed.
        let mut next = Inbox::of(dir.path()).unwrap();
        assert_eq!(next.take().unwrap().statements, [later]);
    }

    #[test]
    fn what_is_no_statement_is_put_aside_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("inbox")).unwrap();
        std::fs::write(dir.path().join("inbox/x.json"), "{\"uid\":1}").unwrap();
        let taken = Inbox::of(dir.path()).unwrap().take().unwrap();
        assert!(taken.statements.is_empty());
        let [(name, reason)] = taken.refused.as_slice() else {
            panic!("{taken:?}");
        };
        assert_eq!(name, "x.json");
        assert!(reason.contains("invalid type"), "{reason}");
        assert!(dir.path().join("inbox/refused/x.json").exists());
    }
}
