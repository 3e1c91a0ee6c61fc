//! A proof that one row is in the log: C2SP tlog-proof, which needs nothing but itself and a public key to be checked.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tlog_tiles::{TileHashReader, check_record, check_tree, prove_record, prove_tree};

use super::checkpoint::Checkpoint;
use super::files::Files;
use super::keys::KeyChain;
use super::tiles::StoredTiles;
use super::{damaged, start};
use crate::evidence::read_canonical;
use crate::lake::{LakeError, Place};
use crate::model::sha256;

/// The first line.
const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// A proof for one row. The row's canonical bytes stand in it as extra data: their SHA-256 is the entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// The row's canonical bytes.
    row: Vec<u8>,
    /// Its leaf.
    index: u64,
    /// Neighbours' hashes from the leaf to the root.
    path: Vec<tlog_tiles::Hash>,
    /// The signed checkpoint, as it stands in the ledger.
    checkpoint: Vec<u8>,
}

/// What a proof that holds says.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ProvenRow {
    /// Name of the log.
    pub origin: String,
    pub leaf: u64,
    /// Leaves of the tree that was signed.
    pub tree_size: u64,
    /// The epoch after which it was signed.
    pub epoch: i64,
    /// The row's table; none if this version of the program does not know its form.
    pub table: Option<&'static str>,
    /// The row's columns.
    pub row: serde_json::Map<String, serde_json::Value>,
}

/// Proves that the row with the canonical bytes `row` has `leaf` in the lake that `data` names, by its newest checkpoint.
pub fn prove(data: &Path, leaf: i64, row: Vec<u8>) -> Result<Proof, LakeError> {
    let files = Files::new(&Place::of(data)?);
    let chain = start::read_chain(&files)?;
    let (bytes, head) = newest(&files, &chain)?;
    let index = u64::try_from(leaf).unwrap_or(u64::MAX);
    let tiles = StoredTiles(&files);
    let root = tlog_tiles::Hash(head.root);
    let reader = TileHashReader::new(head.size, root, &tiles);
    let wrong = |reason: String| LakeError::Damaged {
        what: format!("leaf {leaf}"),
        reason,
    };
    let path = prove_record(head.size, index, &reader)
        .map_err(|error| wrong(format!("the tiles do not prove it: {error}")))?;
    let proof = Proof {
        row,
        index,
        path,
        checkpoint: bytes,
    };
    proof.check_path(&head).map_err(wrong)?;
    Ok(proof)
}

/// The newest checkpoint, with its bytes.
pub(super) fn newest(files: &Files, chain: &KeyChain) -> Result<(Vec<u8>, Checkpoint), LakeError> {
    let names = files.list("")?;
    let name = names
        .iter()
        .rfind(|name| name.starts_with("epoch-") && name.ends_with(".checkpoint"))
        .ok_or_else(|| {
            damaged(
                "",
                "it has no checkpoint: nothing was committed, or integrity.sign is false",
            )
        })?;
    let bytes = files.read(name)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let claimed = text.split("\n\n").next().map(|text| format!("{text}\n"));
    let epoch = Checkpoint::parse(&claimed.unwrap_or_default()).map_or(0, |head| head.epoch);
    let key = chain.at(epoch).map_or("", |key| key.verifier.as_str());
    let head = Checkpoint::open(&bytes, key).map_err(|reason| damaged(name, reason))?;
    Ok((bytes, head))
}

/// Whether the tree of `head` has grown out of that of `old`, by the tiles that are stored.
pub(super) fn consistent(files: &Files, head: &Checkpoint, old: &Checkpoint) -> Result<(), String> {
    if old.size > head.size {
        return Err(format!(
            "it was made when there were {} leaves; now there are {}: the end was cut off",
            old.size, head.size
        ));
    }
    let tiles = StoredTiles(files);
    let (new, before) = (tlog_tiles::Hash(head.root), tlog_tiles::Hash(old.root));
    let reader = TileHashReader::new(head.size, new, &tiles);
    prove_tree(head.size, old.size, &reader)
        .and_then(|proof| check_tree(&proof, head.size, new, old.size, before))
        .map_err(|error| format!("the tree of now has not grown out of its tree: {error}"))
}

impl Proof {
    /// The file's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "{HEAD}\nextra {}\nindex {}\n",
            STANDARD.encode(&self.row),
            self.index
        );
        for hash in &self.path {
            text.push_str(&format!("{hash}\n"));
        }
        text.push('\n');
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.checkpoint);
        bytes
    }

    /// The proof in a file's content. Fails for whatever is not written as [`Proof::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let malformed = || "it is not a proof of a row".to_owned();
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(malformed)?;
        let mut lines = head.lines();
        if lines.next() != Some(HEAD) {
            return Err(malformed());
        }
        let mut value = |name: &str| -> Option<&str> { lines.next()?.strip_prefix(name) };
        let row = value("extra ").and_then(|row| STANDARD.decode(row).ok());
        let index = value("index ").and_then(|index| index.parse().ok());
        let path = lines
            .map(tlog_tiles::Hash::parse_hash)
            .collect::<Result<_, _>>();
        let proof = Self {
            row: row.ok_or_else(malformed)?,
            index: index.ok_or_else(malformed)?,
            path: path.map_err(|_| malformed())?,
            checkpoint: checkpoint.as_bytes().to_vec(),
        };
        if proof.to_bytes() == bytes {
            Ok(proof)
        } else {
            Err(malformed())
        }
    }

    /// Checks the proof with nothing but a public key, `name+id+key`.
    pub fn verify(&self, verifier: &str) -> Result<ProvenRow, String> {
        let head = Checkpoint::open(&self.checkpoint, verifier)
            .map_err(|reason| format!("its checkpoint does not hold: {reason}"))?;
        self.check_path(&head)?;
        let known = read_canonical(&self.row);
        let (table, row) = known.map_or((None, Vec::new()), |(table, row)| (Some(table.name), row));
        Ok(ProvenRow {
            origin: head.origin,
            leaf: self.index,
            tree_size: head.size,
            epoch: head.epoch,
            table,
            row: row
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        })
    }

    fn check_path(&self, head: &Checkpoint) -> Result<(), String> {
        let entry = tlog_tiles::record_hash(&sha256(&self.row));
        let root = tlog_tiles::Hash(head.root);
        check_record(&self.path, head.size, root, self.index, entry)
            .map_err(|_| "the row is not the one at its leaf".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lake::log::SigningKey;

    fn proof(row: &[u8]) -> (Proof, SigningKey) {
        let (key, _) = SigningKey::generate("keytrail/main");
        let entry = crate::lake::log::leaf_hash(&sha256(row));
        let head = Checkpoint {
            origin: "keytrail/main".to_owned(),
            size: 1,
            root: entry,
            epoch: 1,
            manifest_sha256: "00".repeat(32),
        };
        let proof = Proof {
            row: row.to_vec(),
            index: 0,
            path: Vec::new(),
            checkpoint: head.sign(&key),
        };
        (proof, key)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_holds(row in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (proof, key) = proof(&row);
            let read = Proof::parse(&proof.to_bytes()).unwrap();
            prop_assert_eq!(&read, &proof);
            prop_assert!(read.verify(key.verifier()).is_ok());
        }

        #[test]
        fn no_single_byte_can_be_changed(row in proptest::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), by in 1_u8..) {
            let (proof, key) = proof(&row);
            let mut bytes = proof.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            let holds = Proof::parse(&bytes).and_then(|proof| proof.verify(key.verifier()));
            prop_assert!(holds.is_err(), "byte {at}");
        }

        #[test]
        fn no_text_makes_the_reader_fail_in_another_way(bytes in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z0-9=]{0,8}\n)?(index [0-9]{1,20}\n)?([A-Za-z0-9+/=]{43,45}\n){0,3}\n?(.|\n){0,40}") {
            let (_, key) = proof(b"");
            let read = Proof::parse(bytes.as_bytes()).and_then(|proof| proof.verify(key.verifier()));
            prop_assert!(read.is_err());
        }
    }
}
