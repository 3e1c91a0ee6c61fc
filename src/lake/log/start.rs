//! What a start does with the log: it finds the keys, holds the last checkpoints to their manifests, takes up the tree,
//! and does what a crash has left undone after the last manifest.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{
    Checkpoint, Files, Growth, Integrity, KEY_FILE, KeyChain, LastSeal, Seal, Secret, SigningKey,
    Tree, commit_version, damaged, note,
};
use crate::evidence::TABLES;
use crate::lake::ledger::Manifest;
use crate::lake::{LakeError, Place, io, rows, store};
use crate::model::{hex, unhex};
use crate::telemetry::Event;

/// How many of the last checkpoints are checked at a start; `keytrail verify` checks all.
const CHECKED_AT_START: usize = 100;

pub(super) fn read_chain(files: &Files) -> Result<KeyChain, LakeError> {
    match KeyChain::read(files)? {
        (chain, None) => Ok(chain),
        (_, Some(bad)) => Err(damaged(&bad.file, bad.reason)),
    }
}

/// The keys at hand.
pub(super) struct Keys {
    pub(super) origin: String,
    /// What signs from now on.
    pub(super) own: SigningKey,
    /// Others, with which what was left undone can be signed and a new key endorsed.
    others: Vec<SigningKey>,
}

impl Keys {
    pub(super) fn find(
        root: &Place,
        job: &str,
        integrity: &Integrity,
        chain: &KeyChain,
        epoch: i64,
    ) -> Result<Self, LakeError> {
        let origin = integrity.origin.clone().unwrap_or_else(|| {
            if chain.keys.is_empty() {
                let fit = |c: char| {
                    if c.is_whitespace() || c == '+' || c.is_control() {
                        '-'
                    } else {
                        c
                    }
                };
                format!("keytrail/{}", job.chars().map(fit).collect::<String>())
            } else {
                chain.origin.clone()
            }
        });
        if !note::is_origin(&origin) {
            let reason = format!(
                "integrity.origin {origin:?} has a space or a plus, which no signed note allows"
            );
            return Err(LakeError::Key(reason));
        }
        if !chain.keys.is_empty() && chain.origin != origin {
            let reason = format!(
                "this ledger is called {:?}, not {origin:?}: integrity.origin never changes",
                chain.origin
            );
            return Err(LakeError::Key(reason));
        }
        if chain.keys.is_empty() && epoch > 0 {
            return Err(damaged(&KeyChain::name(1), "it is missing"));
        }
        let parse = |name: &str, secret: &Secret| {
            SigningKey::parse(&secret.0, &origin)
                .map_err(|reason| LakeError::Key(format!("{name}: {reason}")))
        };
        let configured = integrity.signing_key.as_ref();
        let configured = configured
            .map(|key| parse("integrity.signing_key", key))
            .transpose()?;
        let previous = integrity.previous_key.as_ref();
        let previous = previous
            .map(|key| parse("integrity.previous_key", key))
            .transpose()?;
        let place = root.join(KEY_FILE);
        let kept = match store::read(&place)? {
            None => None,
            Some(bytes) => {
                let text = Secret(String::from_utf8_lossy(&bytes).into_owned());
                Some(parse(&place.display().to_string(), &text)?)
            }
        };
        let mut others: Vec<SigningKey> = previous.into_iter().chain(kept.clone()).collect();
        let own = match (configured, kept) {
            (Some(key), _) | (None, Some(key)) => key,
            (None, None) if chain.keys.is_empty() => make_key(&place, &origin)?,
            (None, None) => {
                let reason = format!(
                    "{} is missing, and integrity.signing_key is not set",
                    place.display()
                );
                return Err(LakeError::Key(reason));
            }
        };
        others.push(own.clone());
        Ok(Self {
            origin,
            own,
            others,
        })
    }

    /// The key with this verifier, if it is at hand.
    fn of(&self, verifier: &str) -> Option<&SigningKey> {
        self.others.iter().find(|key| key.verifier() == verifier)
    }
}

/// Makes a key for a lake that was given none, and keeps it where only its owner can read it. If another writer was
/// faster, its key is taken.
fn make_key(place: &Place, origin: &str) -> Result<SigningKey, LakeError> {
    let (key, secret) = SigningKey::generate(origin);
    if place.local() {
        let id = key.verifier().split('+').nth(1).unwrap_or_default();
        keep_private(&place.file_path(), id, &secret)?;
    } else if place.in_process() {
        store::put_if_absent(place, format!("{secret}\n").as_bytes())?;
    } else {
        let reason = format!(
            "integrity.signing_key is not set, and {} is no place for a secret: give a key that is kept elsewhere",
            place.display()
        );
        return Err(LakeError::Key(reason));
    }
    let kept = store::read(place)?.unwrap_or_default();
    SigningKey::parse(&String::from_utf8_lossy(&kept), origin)
        .map_err(|reason| LakeError::Key(format!("{}: {reason}", place.display())))
}

/// Writes `secret` where only its owner can read it, durable when it returns, unless somebody was faster.
fn keep_private(path: &Path, id: &str, secret: &str) -> Result<(), LakeError> {
    let beside = path.with_file_name(format!(".{KEY_FILE}.{id}.tmp"));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(format!("{secret}\n").as_bytes())?;
            file.sync_all()
        })
        .map_err(io("cannot write", &beside))?;
    let linked = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside).map_err(io("cannot remove", &beside))?;
    if let Err(error) = linked
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(io("cannot create", path)(error));
    }
    File::open(path.parent().unwrap_or(path))
        .and_then(|folder| folder.sync_all())
        .map_err(io("cannot sync", path))
}

/// Checks the last checkpoints against their manifests. The very last may not be there yet.
pub(super) fn check_checkpoints(
    files: &Files,
    chain: &KeyChain,
    manifests: &[Manifest],
    last_hash: &str,
) -> Result<(), LakeError> {
    let first = manifests.len().saturating_sub(CHECKED_AT_START);
    for (index, manifest) in manifests.iter().enumerate().skip(first) {
        let next = manifests.get(index + 1);
        let hash = next.map_or(last_hash, |next| &next.prev_manifest_sha256);
        let name = Checkpoint::name(manifest.epoch);
        let Some(bytes) = files.read(&name)? else {
            if next.is_none() {
                break;
            }
            return Err(damaged(&name, "it is missing"));
        };
        let key = chain.at(manifest.epoch);
        let verifier = key.map_or("", |key| key.verifier.as_str());
        let found = Checkpoint::open(&bytes, verifier).map_err(|reason| damaged(&name, reason))?;
        let root = manifest.root_hash.as_deref();
        let size = u64::try_from(manifest.tree_size).unwrap_or(0);
        if found.manifest_sha256 != hash || found.epoch != manifest.epoch {
            return Err(damaged(
                &name,
                "it was made for another manifest than the one that is there",
            ));
        }
        if found.size != size || Some(found.root_hex().as_str()) != root {
            return Err(damaged(&name, "it names another tree than its manifest"));
        }
    }
    Ok(())
}

/// The tree after the last manifest: from its tiles or, where a crash came before they were written, from those of the
/// epoch before and the rows of the last. No other epoch can lack tiles.
pub(super) fn load_tree(
    root: &Place,
    files: &Files,
    manifests: &[Manifest],
) -> Result<Tree, LakeError> {
    let Some((last, before)) = manifests.split_last() else {
        return Ok(Tree::default());
    };
    if let Some(tree) = load_as_of(files, Some(last))? {
        return Ok(tree);
    }
    let Some(tree) = load_as_of(files, before.last())? else {
        return Err(damaged(
            "tile",
            "the tiles of the last two epochs do not give the roots in their manifests",
        ));
    };
    let mut growth = Growth {
        before: tree.size(),
        tree,
        full: Vec::new(),
    };
    for leaf in rows::leaves(root, last, growth.before)? {
        growth.push(&leaf);
    }
    if last.root_hash.as_deref() != Some(&growth.root()) {
        let what = format!("the rows of epoch {}", last.epoch);
        let reason = "they do not give the root in its manifest".to_owned();
        return Err(LakeError::Damaged { what, reason });
    }
    growth.tiles().write(files)?;
    Ok(growth.tree)
}

fn load_as_of(files: &Files, manifest: Option<&Manifest>) -> Result<Option<Tree>, LakeError> {
    let Some(manifest) = manifest else {
        return Ok(Some(Tree::default()));
    };
    let size = u64::try_from(manifest.tree_size).unwrap_or(0);
    let tree = Tree::load(size, |path| files.read(path))?;
    Ok(tree.filter(|tree| manifest.root_hash.as_deref() == Some(&hex(&tree.root()))))
}

/// Signs the last epoch, if a crash came before that.
pub(super) fn sign_last(
    files: &Files,
    chain: &KeyChain,
    keys: &Keys,
    last: &Manifest,
    last_hash: &str,
) -> Result<(), LakeError> {
    let name = Checkpoint::name(last.epoch);
    if files.has(&name)? {
        return Ok(());
    }
    let verifier = chain.at(last.epoch).map_or("", |key| key.verifier.as_str());
    let key = keys.of(verifier).ok_or_else(|| other_key(chain, keys))?;
    let root = last
        .root_hash
        .as_deref()
        .and_then(unhex)
        .ok_or_else(|| damaged(&name, "its manifest has no root"))?;
    let checkpoint = Checkpoint {
        origin: chain.origin.clone(),
        size: u64::try_from(last.tree_size).unwrap_or(0),
        root,
        epoch: last.epoch,
        manifest_sha256: last_hash.to_owned(),
    };
    files.put(&name, &checkpoint.sign(key))
}

/// Goes on with another key, if it is another: the one before it must be at hand to endorse it.
pub(super) fn rotate(
    files: &Files,
    chain: &mut KeyChain,
    keys: &Keys,
    epoch: i64,
) -> Result<(), LakeError> {
    let current = chain.last().map_or("", |key| key.verifier.as_str());
    if current == keys.own.verifier() {
        return Ok(());
    }
    let signer = keys.of(current).ok_or_else(|| other_key(chain, keys))?;
    chain.extend(files, &keys.origin, epoch, &keys.own, signer)?;
    Event::KeyRotated {
        verifier: keys.own.verifier(),
        epoch,
    }
    .tell();
    Ok(())
}

fn other_key(chain: &KeyChain, keys: &Keys) -> LakeError {
    LakeError::Key(format!(
        "the ledger is signed with {}, and the key at hand is {}. If the key was changed on purpose, set \
         integrity.previous_key to the one before for one start; if not, somebody else has signed this lake",
        chain.last().map_or("no key", |key| key.verifier.as_str()),
        keys.own.verifier()
    ))
}

/// What the last seal says; nothing is sealed before the first.
pub(super) fn last_seal(files: &Files, chain: &KeyChain) -> Result<LastSeal, LakeError> {
    let names = files.list("")?;
    let Some(number) = names.iter().filter_map(|name| Seal::number(name)).max() else {
        return Ok(LastSeal::default());
    };
    let name = Seal::name(number);
    let bytes = files.read(&name)?.unwrap_or_default();
    let key = Seal::claimed_key(&bytes).and_then(|number| chain.numbered(number));
    let key = key.ok_or_else(|| damaged(&name, "it names no key of this ledger"))?;
    let seal = Seal::open(&bytes, &chain.origin, &key.verifier)
        .map_err(|reason| damaged(&name, reason))?;
    let mut last = LastSeal {
        number,
        epoch: seal.epoch,
        ..LastSeal::default()
    };
    for ((table, file), sha256) in seal.files {
        let known = TABLES.into_iter().find(|known| known.name == table);
        if let (Some(known), Some(version)) = (known, commit_version(&file)) {
            let head = last.heads.entry(known.name);
            let head = head.or_insert((version, sha256.clone()));
            if version > head.0 {
                *head = (version, sha256);
            }
        }
    }
    Ok(last)
}
