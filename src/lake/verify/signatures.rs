//! Who signed: the chain of keys, the seals over the tables' logs, the checkpoints, and anchors outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use super::manifests::name as manifest_name;
use super::{Demands, Read, Seen, Verdict};
use crate::lake::log::{
    Checkpoint, Files, HINT, KEY_FILE, KeyChain, Seal, SigningKey, commit_version, is_checkpoint,
    is_verifier, open_anchor, open_own, read_anchors, read_outside,
};
use crate::lake::{LakeError, Place, store};
use crate::model::{hex, sha256, unhex};

/// How often a seal that is to come is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The chain of keys, as far as it holds.
pub(super) fn keys(
    files: &Files,
    demands: &Demands,
    verdict: &mut Verdict,
) -> Result<KeyChain, LakeError> {
    let chain = match KeyChain::read(files)? {
        (chain, None) => chain,
        (chain, Some(bad)) => {
            verdict.wrong(1, format!("ledger/{}", bad.file), bad.reason);
            chain
        }
    };
    verdict.keys.clone_from(&chain.keys);
    if let Some(key) = &demands.key {
        let first = chain.keys.first().map(|first| first.verifier.as_str());
        if !is_verifier(key) {
            verdict.wrong(1, "--key", "it is not a verifier key: name+id+key");
        } else if first != Some(key) {
            let reason = format!(
                "the first key is {}, not the one demanded",
                first.unwrap_or("none")
            );
            verdict.wrong(1, format!("ledger/{}", KeyChain::name(1)), reason);
        }
    }
    Ok(chain)
}

/// What the seals say together.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// The last epoch of which the tables hold everything.
    pub(super) epoch: i64,
    /// By table and name in its log: the hash.
    pub(super) files: BTreeMap<(String, String), String>,
    /// By table: hashes of the hints that it had.
    hints: BTreeSet<(String, String)>,
    /// By table: the version of its last commit.
    pub(super) heads: BTreeMap<String, u64>,
    /// How many seals there are.
    pub(super) count: u64,
    /// Whether a seal could not be read: what it sealed is then unknown and not missing.
    pub(super) broken: bool,
}

impl Sealed {
    /// Whether the file called `name` in the log of `table` is sealed.
    pub(super) fn has(&self, table: &str, name: &str) -> bool {
        self.files
            .contains_key(&(table.to_owned(), name.to_owned()))
    }

    /// Whether `table` ever had a checkpoint hint.
    pub(super) fn hinted(&self, table: &str) -> bool {
        self.hints.iter().any(|(of, _)| of == table)
    }

    /// Whether a checkpoint hint of `table` was ever sealed: a reader that follows an older one reads more, not less.
    pub(super) fn has_hint(&self, table: &str, hint: &[u8]) -> bool {
        let key = (table.to_owned(), hex(&sha256(hint)));
        self.hints.contains(&key)
    }

    fn add(&mut self, seal: Seal, name: &str, verdict: &mut Verdict) {
        if seal.epoch < self.epoch {
            verdict.wrong(
                seal.epoch,
                name,
                "it is of an earlier epoch than the seal before it",
            );
        }
        self.epoch = seal.epoch.max(self.epoch);
        for ((table, file), sha256) in seal.files {
            if let Some(version) = commit_version(&file) {
                let head = self.heads.entry(table.clone()).or_insert(version);
                *head = version.max(*head);
            }
            if file == HINT {
                self.hints.insert((table, sha256));
                continue;
            }
            let before = self
                .files
                .insert((table.clone(), file.clone()), sha256.clone());
            let again = seal.again.contains(&(table.clone(), file.clone()));
            if !again && before.is_some_and(|before| before != sha256) {
                let what = format!("tables/{table}/_delta_log/{file}");
                verdict.wrong(
                    seal.epoch,
                    what,
                    "it was another file when it was sealed first",
                );
            }
        }
    }
}

/// Reads the seals, and waits for those that must still come: a writer seals an epoch shortly after its manifest.
pub(super) fn settled(
    files: &Files,
    chain: &KeyChain,
    seen: &Seen,
    patience: Duration,
    verdict: &mut Verdict,
) -> Result<Sealed, LakeError> {
    let mut sealed = Sealed::default();
    if chain.keys.is_empty() {
        return Ok(sealed);
    }
    let mut unsealed: Vec<(&str, &str)> = Vec::new();
    for (table, names) in &seen.log_files {
        let of_log = names.iter().filter(|name| is_of_log(name));
        unsealed.extend(of_log.map(|name| (*table, name.as_str())));
    }
    let begun = Instant::now();
    loop {
        read_seals(files, chain, &mut sealed, verdict)?;
        unsealed.retain(|(table, name)| !sealed.has(table, name));
        let hint = seen
            .hints
            .iter()
            .find(|(table, hint)| !sealed.has_hint(table, hint));
        let missing = unsealed.first().copied();
        let missing = missing.or_else(|| hint.map(|(table, _)| (*table, HINT)));
        if missing.is_none() && sealed.epoch >= seen.last_epoch {
            return Ok(sealed);
        }
        if begun.elapsed() >= patience || sealed.broken {
            let what = format!("ledger/{}", Seal::name(sealed.count + 1));
            let reason = match missing {
                Some((table, name)) => format!(
                    "it is missing: {name} in the log of table {table} is not sealed. If the writer was stopped hard, its \
                     next start seals it"
                ),
                None => format!(
                    "it is missing: epoch {} is not sealed. If the writer was stopped hard, its next start seals it",
                    seen.last_epoch
                ),
            };
            if !sealed.broken {
                verdict.wrong(seen.last_epoch, what, reason);
            }
            return Ok(sealed);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether a table's log has files of that name: commits, and checkpoints of many commits.
pub(super) fn is_of_log(name: &str) -> bool {
    commit_version(name).is_some() || is_checkpoint(name)
}

fn read_seals(
    files: &Files,
    chain: &KeyChain,
    sealed: &mut Sealed,
    verdict: &mut Verdict,
) -> Result<(), LakeError> {
    loop {
        let number = sealed.count + 1;
        let file = Seal::name(number);
        let what = format!("ledger/{file}");
        let Some(bytes) = files.read(&file)? else {
            // One that is missing in between is told, and those after it are read all the same.
            let later = files.list("")?;
            if later.iter().any(|name| Seal::number(name) > Some(number)) {
                verdict.wrong(sealed.epoch, what, "it is missing");
                sealed.count = number;
                sealed.broken = true;
                continue;
            }
            return Ok(());
        };
        sealed.count = number;
        let claimed = Seal::claimed_key(&bytes).unwrap_or(0);
        let opened = match chain.numbered(claimed) {
            Some(key) => Seal::open(&bytes, &chain.origin, &key.verifier).and_then(|seal| {
                if seal.number != number {
                    return Err("it is another seal".to_owned());
                }
                if !key.signs_after(seal.epoch) {
                    return Err("its key signs later epochs only".to_owned());
                }
                Ok(seal)
            }),
            None => Err(format!(
                "it says that key {claimed} has signed it: is ledger/{} missing?",
                KeyChain::name(claimed)
            )),
        };
        match opened {
            Ok(seal) => sealed.add(seal, &what, verdict),
            Err(reason) => {
                verdict.wrong(sealed.epoch, what, reason);
                sealed.broken = true;
            }
        }
    }
}

/// Holds every checkpoint to the manifest of its epoch.
pub(super) fn checkpoints(
    files: &Files,
    chain: &KeyChain,
    read: &[Read],
    verdict: &mut Verdict,
) -> Result<(), LakeError> {
    for Read { manifest, sha256 } in read {
        let epoch = manifest.epoch;
        let file = Checkpoint::name(epoch);
        let what = format!("ledger/{file}");
        let key = chain.at(epoch);
        if manifest.key != key.map(|key| key.number) {
            let number = manifest.key.unwrap_or(0);
            if chain.numbered(number).is_none() && number > 0 {
                verdict.wrong(
                    epoch,
                    format!("ledger/{}", KeyChain::name(number)),
                    "it is missing",
                );
            } else {
                verdict.wrong(
                    epoch,
                    manifest_name(epoch),
                    "it names another key than the one in force",
                );
            }
        }
        let Some(bytes) = files.read(&file)? else {
            verdict.wrong(epoch, what, "it is missing");
            continue;
        };
        let verifier = key.map_or("", |key| key.verifier.as_str());
        let found = match open_own(&bytes, verifier).and_then(|text| Checkpoint::parse(&text)) {
            Ok(found) => found,
            Err(reason) => {
                verdict.wrong(epoch, what, reason);
                continue;
            }
        };
        let size = u64::try_from(manifest.tree_size).unwrap_or(0);
        if found.origin != chain.origin || found.epoch != epoch {
            verdict.wrong(epoch, what, "it is the checkpoint of another epoch");
        } else if found.manifest_sha256 != *sha256 {
            let reason = "it is not the manifest that was signed";
            verdict.wrong(epoch, manifest_name(epoch), reason);
        } else if found.size != size || manifest.root_hash != Some(found.root_hex()) {
            verdict.wrong(epoch, what, "it names another tree than its manifest");
        }
    }
    Ok(())
}

/// A key that lies in the lake must be one that signs it.
pub(super) fn key_file(
    root: &Place,
    chain: &KeyChain,
    verdict: &mut Verdict,
) -> Result<(), LakeError> {
    let Some(bytes) = store::read(&root.join(KEY_FILE))? else {
        return Ok(());
    };
    let known = String::from_utf8(bytes).ok().and_then(|text| {
        let text = text.strip_suffix('\n')?;
        let key = SigningKey::parse(text, &chain.origin).ok()?;
        // Nothing but the key's own text: no spaces around it.
        (text.trim() == text).then_some(key)
    });
    let known = known.is_some_and(|key| {
        let mut keys = chain.keys.iter();
        keys.any(|known| known.verifier == key.verifier())
    });
    if !known {
        verdict.wrong(1, KEY_FILE, "it is no key that signs this ledger");
    }
    Ok(())
}

/// The lake must have grown out of every checkpoint in the file `anchor`.
pub(super) fn anchors(
    files: &Files,
    anchor: &Path,
    chain: &KeyChain,
    read: &[Read],
    verdict: &mut Verdict,
) -> Result<(), LakeError> {
    let what = anchor.display().to_string();
    let Some(bytes) = read_outside(anchor)? else {
        verdict.wrong(0, what, "there is no such anchor file");
        return Ok(());
    };
    let notes = match read_anchors(&bytes) {
        Ok(notes) => notes,
        Err(reason) => {
            verdict.wrong(0, what, reason);
            return Ok(());
        }
    };
    let head = read.last().and_then(|last| {
        let root = unhex(last.manifest.root_hash.as_deref()?)?;
        Some(Checkpoint {
            origin: chain.origin.clone(),
            size: u64::try_from(last.manifest.tree_size).unwrap_or(0),
            root,
            epoch: last.manifest.epoch,
            manifest_sha256: last.sha256.clone(),
        })
    });
    for (index, note) in notes.iter().enumerate() {
        let what = format!("{what}, checkpoint {}", index + 1);
        let old = match open_anchor(note, chain) {
            Ok(old) => old,
            Err(reason) => {
                verdict.wrong(0, what, reason);
                continue;
            }
        };
        let Some(head) = &head else {
            verdict.wrong(old.epoch, what, "the lake has no tree any more");
            continue;
        };
        let now = read.iter().find(|read| read.manifest.epoch == old.epoch);
        let reason = match now {
            None if old.epoch > head.epoch => Some(format!(
                "it is of epoch {}, but the lake ends at epoch {}: its end was cut off",
                old.epoch, head.epoch
            )),
            Some(now) if now.sha256 != old.manifest_sha256 => {
                Some(format!("epoch {} has another manifest now", old.epoch))
            }
            _ => old.leads_to(files, head).err(),
        };
        match reason {
            Some(reason) => verdict.wrong(old.epoch, what, reason),
            None => verdict.anchors += 1,
        }
    }
    if notes.is_empty() {
        verdict.wrong(0, what, "it holds no checkpoint");
    }
    Ok(())
}
