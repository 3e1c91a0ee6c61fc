//! Which keys sign the ledger, from which epoch: each is named in the ledger by a note that the one before it signed.

use super::files::Files;
use super::note::{self, SigningKey};
use crate::lake::LakeError;

/// Says what kind of note it is, so that none of one kind can pass for another.
const KIND: &str = "keytrail/key/v1";

/// One key of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LedgerKey {
    /// 1 for the first.
    pub number: u32,
    /// The first epoch that it signs.
    pub from_epoch: i64,
    /// What its signatures are checked with.
    pub verifier: String,
}

impl LedgerKey {
    /// Whether it may sign what was done after `epoch`: a new key signs from the start that named it, before the epoch that
    /// comes next.
    pub(in crate::lake) const fn signs_after(&self, epoch: i64) -> bool {
        self.from_epoch <= epoch + 1
    }
}

/// The keys of one ledger, first to last.
#[derive(Clone, Debug, Default)]
pub(in crate::lake) struct KeyChain {
    pub(in crate::lake) origin: String,
    pub(in crate::lake) keys: Vec<LedgerKey>,
}

/// Why the chain of keys is not one: the file, and what is wrong with it.
#[derive(Debug)]
pub(in crate::lake) struct BadKey {
    pub(in crate::lake) file: String,
    pub(in crate::lake) reason: String,
}

impl KeyChain {
    /// Its file's name in the ledger.
    pub(in crate::lake) fn name(number: u32) -> String {
        format!("key-{number:06}.note")
    }

    /// Reads the chain: the first key signs itself, each other is signed by the one before it. What is left out at the
    /// end cannot be seen here; what it signed can. Gives the chain as far as it holds, and where it breaks.
    pub(in crate::lake) fn read(files: &Files) -> Result<(Self, Option<BadKey>), LakeError> {
        let mut chain = Self::default();
        for number in 1.. {
            let file = Self::name(number);
            let Some(bytes) = files.read(&file)? else {
                break;
            };
            if let Err(reason) = chain.add(number, &bytes) {
                return Ok((chain, Some(BadKey { file, reason })));
            }
        }
        Ok((chain, None))
    }

    fn add(&mut self, number: u32, bytes: &[u8]) -> Result<(), String> {
        let signer = match self.keys.last() {
            Some(before) => before.verifier.clone(),
            // The key that signs is the one that it names.
            None => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.lines().nth(4))
                .unwrap_or_default()
                .to_owned(),
        };
        let text = note::open_own(bytes, &signer)?;
        let malformed = || "it does not name a key of this ledger".to_owned();
        let lines: Vec<&str> = text.lines().collect();
        let [_, origin, _, epoch, verifier] = lines[..] else {
            return Err(malformed());
        };
        let key = LedgerKey {
            number,
            from_epoch: epoch
                .strip_prefix("epoch ")
                .and_then(|epoch| epoch.parse().ok())
                .ok_or_else(malformed)?,
            verifier: verifier.to_owned(),
        };
        let before = self.keys.last().map_or(1, |before| before.from_epoch);
        let first = self.keys.is_empty();
        let named = verifier.split('+').next() == Some(origin);
        let in_order = key.from_epoch >= before && (!first || key.from_epoch == 1);
        let same = first || origin == self.origin;
        if Self::text(origin, &key) != text || !named || !in_order || !same {
            return Err(malformed());
        }
        origin.clone_into(&mut self.origin);
        self.keys.push(key);
        Ok(())
    }

    /// The key that signs `epoch`, if there is one.
    pub(in crate::lake) fn at(&self, epoch: i64) -> Option<&LedgerKey> {
        self.keys.iter().rfind(|key| key.from_epoch <= epoch.max(1))
    }

    /// The key that was named last.
    pub(in crate::lake) fn last(&self) -> Option<&LedgerKey> {
        self.keys.last()
    }

    /// The key of that number.
    pub(in crate::lake) fn numbered(&self, number: u32) -> Option<&LedgerKey> {
        self.keys.iter().find(|key| key.number == number)
    }

    /// Names `key` as the next one, from `epoch` on, signed by `signer`.
    pub(super) fn extend(
        &mut self,
        files: &Files,
        origin: &str,
        epoch: i64,
        key: &SigningKey,
        signer: &SigningKey,
    ) -> Result<(), LakeError> {
        let next = LedgerKey {
            number: self.last().map_or(1, |last| last.number + 1),
            from_epoch: epoch,
            verifier: key.verifier().to_owned(),
        };
        let bytes = signer.sign(&Self::text(origin, &next));
        if !files.put_once(&Self::name(next.number), &bytes)? {
            return Err(LakeError::Fenced { epoch });
        }
        origin.clone_into(&mut self.origin);
        self.keys.push(next);
        Ok(())
    }

    fn text(origin: &str, key: &LedgerKey) -> String {
        format!(
            "{KIND}\n{origin}\nkey {}\nepoch {}\n{}\n",
            key.number, key.from_epoch, key.verifier
        )
    }
}
