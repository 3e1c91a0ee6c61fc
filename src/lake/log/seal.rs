//! Signed lists of what the tables' own logs hold: a commit of a Delta table is made after the manifest that decided it,
//! so no manifest can name it, and it says more than the manifest does.

use std::collections::{BTreeMap, BTreeSet};

use super::note::{self, SigningKey};

/// Says what kind of note it is.
const KIND: &str = "keytrail/seal/v1";

/// How the line of a file begins that was sealed before and had to be written anew.
const AGAIN: &str = "again ";

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lake) struct Seal {
    /// 1 for the first; the next is one more.
    pub(in crate::lake) number: u64,
    /// Number of the key that signs.
    pub(in crate::lake) key: u32,
    /// The last epoch of which the tables hold everything.
    pub(in crate::lake) epoch: i64,
    /// SHA-256 of files in the tables' `_delta_log`, by table and name: those that are new, and those that changed.
    pub(in crate::lake) files: BTreeMap<(String, String), String>,
    /// Those of them that were sealed before, were lost, and were written anew by a start that found them missing.
    pub(in crate::lake) again: BTreeSet<(String, String)>,
}

impl Seal {
    /// Its file's name in the ledger.
    pub(in crate::lake) fn name(number: u64) -> String {
        format!("seal-{number:012}.note")
    }

    /// The number of the seal in the file called so.
    pub(in crate::lake) fn number(name: &str) -> Option<u64> {
        let number = name.strip_prefix("seal-")?.strip_suffix(".note")?;
        let number = number.parse().ok()?;
        (Self::name(number) == name).then_some(number)
    }

    fn text(&self, origin: &str) -> String {
        let mut text = format!(
            "{KIND}\n{origin}\nseal {}\nkey {}\nepoch {}\n",
            self.number, self.key, self.epoch
        );
        for (key, sha256) in &self.files {
            let (table, file) = key;
            let again = if self.again.contains(key) { AGAIN } else { "" };
            text.push_str(&format!("{again}{table} {file} {sha256}\n"));
        }
        text
    }

    /// The note with this list, signed by `key`.
    pub(super) fn sign(&self, origin: &str, key: &SigningKey) -> Vec<u8> {
        key.sign(&self.text(origin))
    }

    /// The number of the key that a note of this kind says it is signed with. Not to be believed before it is.
    pub(in crate::lake) fn claimed_key(bytes: &[u8]) -> Option<u32> {
        let text = std::str::from_utf8(bytes).ok()?;
        text.lines().nth(3)?.strip_prefix("key ")?.parse().ok()
    }

    /// The list of a note that `verifier` alone signed.
    pub(in crate::lake) fn open(
        bytes: &[u8],
        origin: &str,
        verifier: &str,
    ) -> Result<Self, String> {
        let text = note::open_own(bytes, verifier)?;
        let malformed = || "it is not a seal of this ledger".to_owned();
        let mut lines = text.lines().skip(2);
        let mut number = |name: &str| {
            let line: Option<&str> = lines.next();
            line.and_then(|line| line.strip_prefix(name)?.parse::<i64>().ok())
                .ok_or_else(malformed)
        };
        let mut seal = Self {
            number: u64::try_from(number("seal ")?).map_err(|_| malformed())?,
            key: u32::try_from(number("key ")?).map_err(|_| malformed())?,
            epoch: number("epoch ")?,
            files: BTreeMap::new(),
            again: BTreeSet::new(),
        };
        for line in lines {
            let once = line.strip_prefix(AGAIN);
            let mut words = once.unwrap_or(line).split(' ');
            let (Some(table), Some(file), Some(sha256)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(malformed());
            };
            let key = (table.to_owned(), file.to_owned());
            if once.is_some() {
                seal.again.insert(key.clone());
            }
            seal.files.insert(key, sha256.to_owned());
        }
        if seal.text(origin) == text {
            Ok(seal)
        } else {
            Err(malformed())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_read_as_it_was_written() {
        let (key, _) = SigningKey::generate("keytrail/main");
        let seal = Seal {
            number: 3,
            key: 1,
            epoch: 2,
            files: ["0.json", "1.json"]
                .map(|file| (("usage".to_owned(), file.to_owned()), "ab".to_owned()))
                .into(),
            again: BTreeSet::from([("usage".to_owned(), "1.json".to_owned())]),
        };
        let bytes = seal.sign("keytrail/main", &key);
        assert_eq!(Seal::claimed_key(&bytes), Some(1));
        assert_eq!(
            Seal::open(&bytes, "keytrail/main", key.verifier()),
            Ok(seal)
        );
        assert!(Seal::open(&bytes, "keytrail/other", key.verifier()).is_err());
        assert_eq!(Seal::number(&Seal::name(3)), Some(3));
    }
}
