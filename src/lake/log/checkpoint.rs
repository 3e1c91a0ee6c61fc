//! The signed head of the tree after one epoch: a C2SP checkpoint.

use super::note::{self, SigningKey};
use super::tree::Hash;
use crate::model::hex;

/// How the line begins that ties the head to its manifest.
const MANIFEST: &str = "manifest ";

/// What a checkpoint says. Beside the tree it names the manifest, whose state file and file names are no leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lake) struct Checkpoint {
    /// Name of the log.
    pub(in crate::lake) origin: String,
    /// Leaves.
    pub(in crate::lake) size: u64,
    pub(in crate::lake) root: Hash,
    pub(in crate::lake) epoch: i64,
    /// SHA-256 of the epoch's manifest, hexadecimal.
    pub(in crate::lake) manifest_sha256: String,
}

impl Checkpoint {
    /// Its file's name in the ledger.
    pub(in crate::lake) fn name(epoch: i64) -> String {
        format!("epoch-{epoch:012}.checkpoint")
    }

    /// The text that is signed.
    pub(in crate::lake) fn text(&self) -> String {
        let extension = format!("{MANIFEST}{} {}\n", self.epoch, self.manifest_sha256);
        let checkpoint = tlog_tiles::Checkpoint::new(
            &self.origin,
            self.size,
            tlog_tiles::Hash(self.root),
            &extension,
        )
        .expect("the origin was checked and the extension is one line");
        String::from_utf8(checkpoint.to_bytes()).expect("it is made of texts")
    }

    /// The note with this text, signed by `key`.
    pub(in crate::lake) fn sign(&self, key: &SigningKey) -> Vec<u8> {
        key.sign(&self.text())
    }

    /// The checkpoint of a note that `verifier` signed; others may have signed it too.
    pub(in crate::lake) fn open(bytes: &[u8], verifier: &str) -> Result<Self, String> {
        Self::parse(&note::open(bytes, verifier)?)
    }

    /// The checkpoint of that text.
    pub(in crate::lake) fn parse(text: &str) -> Result<Self, String> {
        let malformed = || "it is not a checkpoint of a Keytrail lake".to_owned();
        let head = tlog_tiles::Checkpoint::from_bytes(text.as_bytes()).map_err(|_| malformed())?;
        let (epoch, manifest_sha256) = head
            .extension()
            .strip_prefix(MANIFEST)
            .and_then(|line| line.strip_suffix('\n')?.split_once(' '))
            .ok_or_else(malformed)?;
        let checkpoint = Self {
            origin: head.origin().to_owned(),
            size: head.size(),
            root: head.hash().0,
            epoch: epoch.parse().map_err(|_| malformed())?,
            manifest_sha256: manifest_sha256.to_owned(),
        };
        // Whatever is written differently from how it is written here is not ours.
        if checkpoint.text() == text {
            Ok(checkpoint)
        } else {
            Err(malformed())
        }
    }

    /// The root as texts show it.
    pub(in crate::lake) fn root_hex(&self) -> String {
        hex(&self.root)
    }
}
