//! What people state, on its way into the lake: a file for each statement, until the writer has taken it.
//!
//! Whoever may write into the lake's folder may state something; only the writer makes rows of it. The manifest of the epoch
//! that takes a statement names its file, which goes after that epoch's commit. A file that is still there later, because a
//! writer died or could not remove it, is known by its name and never taken again.

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

/// The longest name of a statement.
const UID_MAX: usize = 64;

/// The statements that wait in a lake, as its writer sees them.
#[derive(Debug)]
pub struct Inbox {
    place: Place,
    /// Files that an epoch took, as far as they are still there.
    taken: BTreeSet<String>,
}

/// What an epoch takes.
#[derive(Debug, Default)]
pub struct Taken {
    pub statements: Vec<Statement>,
    /// Files that hold no statement, and why. They are put aside.
    pub refused: Vec<(String, String)>,
    /// Files that could be neither read nor put aside. They wait on.
    pub trouble: Vec<LakeError>,
}

/// Where a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An epoch took it.
    Taken,
    Waits,
    /// The writer could not read it.
    Refused,
}

impl Inbox {
    /// The inbox of the lake that `data` names, whose epochs took the files `committed`. Those that are still there go; one
    /// that does not is not taken again.
    pub fn after(data: &Path, committed: BTreeSet<String>) -> Result<Self, LakeError> {
        let place = Place::of(data)?.join(DIR);
        // An inbox that cannot be read is told when it is read for the first epoch.
        for name in store::names(&place).unwrap_or_default() {
            if committed.contains(&name) {
                drop(store::remove(&place.join(&name)));
            }
        }
        Ok(Self {
            place,
            taken: committed,
        })
    }

    /// Puts a statement in. It is durable when this returns.
    pub fn put(data: &Path, statement: &Statement) -> Result<(), LakeError> {
        let place = Place::of(data)?.join(DIR);
        store::create_dir(&place)?;
        store::put(&place.join(name(statement)), &bytes(statement))
    }

    /// Where a statement is that was put in.
    pub fn find(data: &Path, statement: &Statement) -> Result<Found, LakeError> {
        let place = Place::of(data)?.join(DIR);
        let name = name(statement);
        Ok(if store::exists(&place.join(&name))? {
            Found::Waits
        } else if store::exists(&place.join(REFUSED).join(&name))? {
            Found::Refused
        } else {
            Found::Taken
        })
    }

    /// Whether anything lies in the inbox of the lake that `data` names.
    pub fn waiting(data: &Path) -> Result<bool, LakeError> {
        let names = store::names(&Place::of(data)?.join(DIR))?;
        Ok(names.iter().any(|name| name.ends_with(".json")))
    }

    /// What waits and no epoch took before, in the order in which it was stated.
    pub fn take(&mut self) -> Result<Taken, LakeError> {
        let mut found = Taken::default();
        let names = store::names(&self.place)?;
        let there: BTreeSet<&String> = names.iter().collect();
        self.taken.retain(|name| there.contains(name));
        for name in &names {
            if !name.ends_with(".json") || self.taken.contains(name) {
                continue;
            }
            if found.statements.len() >= AT_ONCE {
                break;
            }
            // What is wrong with one file keeps no other waiting.
            let parsed = match store::read(&self.place.join(name)) {
                Ok(Some(read)) => parse(name, &read).map_err(|reason| (read, reason)),
                Ok(None) => continue,
                Err(error) => {
                    found.trouble.push(error);
                    continue;
                }
            };
            match parsed {
                Ok(statement) => {
                    self.taken.insert(name.clone());
                    found.statements.push(statement);
                }
                Err((read, reason)) => match self.put_aside(name, &read) {
                    Ok(()) => found.refused.push((name.clone(), reason)),
                    Err(error) => found.trouble.push(error),
                },
            }
        }
        Ok(found)
    }

    fn put_aside(&self, name: &str, bytes: &[u8]) -> Result<(), LakeError> {
        let aside = self.place.join(REFUSED);
        store::create_dir(&aside)?;
        store::put(&aside.join(name), bytes)?;
        store::remove(&self.place.join(name))
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

/// The statement in the file `name`, if it has the name and the bytes that a statement has: the manifest can name it then.
fn parse(name: &str, read: &[u8]) -> Result<Statement, String> {
    let statement: Statement = serde_json::from_slice(read).map_err(|error| error.to_string())?;
    if statement.uid.len() > UID_MAX {
        return Err(format!("its uid has more than {UID_MAX} bytes"));
    }
    if self::name(&statement) != name || bytes(&statement) != read {
        return Err("it is not as a command of Keytrail writes it".to_owned());
    }
    Ok(statement)
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

    fn inbox(dir: &Path) -> Inbox {
        Inbox::after(dir, BTreeSet::new()).unwrap()
    }

    #[test]
    fn a_statement_is_taken_once_and_goes_when_it_is_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = inbox(dir.path());
        let (later, earlier) = (statement("b", 20), statement("a", 3));
        Inbox::put(dir.path(), &later).unwrap();
        Inbox::put(dir.path(), &earlier).unwrap();
        let taken = first.take().unwrap();
        assert_eq!(taken.statements, [earlier.clone(), later.clone()]);
        assert!(first.take().unwrap().statements.is_empty());
        Inbox::done(dir.path(), &[input(&earlier)]).unwrap();
        let found = |statement| Inbox::find(dir.path(), statement).unwrap();
        assert_eq!(found(&earlier), Found::Taken);
        assert_eq!(found(&later), Found::Waits);
        // Another writer finds what no epoch of the first has committed …
        let taken = inbox(dir.path()).take().unwrap();
        assert_eq!(taken.statements, std::slice::from_ref(&later));
        // … and not what was committed and is still there.
        let committed = BTreeSet::from([name(&later)]);
        let mut next = Inbox::after(dir.path(), committed).unwrap();
        assert!(next.take().unwrap().statements.is_empty());
        assert_eq!(found(&later), Found::Taken);
    }

    #[test]
    fn what_is_no_statement_is_put_aside_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let check = |name: &str, bytes: &[u8], expected: &str| {
            std::fs::create_dir_all(dir.path().join("inbox")).unwrap();
            std::fs::write(dir.path().join("inbox").join(name), bytes).unwrap();
            let taken = inbox(dir.path()).take().unwrap();
            assert!(taken.statements.is_empty());
            let [(refused, reason)] = taken.refused.as_slice() else {
                panic!("{taken:?}");
            };
            assert_eq!(refused, name);
            assert!(reason.contains(expected), "{reason}");
            assert!(dir.path().join("inbox/refused").join(name).exists());
        };
        check("x.json", b"{\"uid\":1}", "invalid type");
        check("y.json", &bytes(&statement("a", 3)), "not as a command");
        let long = statement(&"a".repeat(200), 3);
        check("z.json", &bytes(&long), "more than 64 bytes");
    }
}
