//! Checkpoints kept outside of the lake. Whoever can write the lake and sign can also cut its end off, everywhere and
//! without a trace; only a checkpoint that they cannot reach shows that there was more.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::files::Files;
use super::keys::KeyChain;
use super::{proof, start};
use crate::lake::{LakeError, Place, io};

/// How a line begins that signs a note.
const SIGNATURE: &str = "— ";

/// Appends the newest checkpoint of the lake that `data` names to the file `to`, which should be where nobody who can write the
/// lake can write. Every checkpoint in it must agree with the lake, else nothing is appended.
///
/// Gives the epoch, and whether it was not there already.
pub fn anchor(data: &Path, to: &Path) -> Result<(i64, bool), LakeError> {
    let files = Files::new(&Place::of(data)?);
    let chain = start::read_chain(&files)?;
    let (bytes, head) = proof::newest(&files, &chain)?;
    let before = read_outside(to)?.unwrap_or_default();
    let wrong = |reason: String| LakeError::Damaged {
        what: to.display().to_string(),
        reason,
    };
    let mut last = None;
    for anchored in read_anchors(&before).map_err(wrong)? {
        let old = open(&anchored, &chain).map_err(wrong)?;
        proof::consistent(&files, &head, &old)
            .map_err(|reason| wrong(format!("its checkpoint of epoch {}: {reason}", old.epoch)))?;
        last = Some(anchored);
    }
    if last.as_ref() == Some(&bytes) {
        return Ok((head.epoch, false));
    }
    let mut appended = Vec::new();
    if !before.is_empty() {
        appended.push(b'\n');
    }
    appended.extend_from_slice(&bytes);
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(to)
        .and_then(|mut file| {
            file.write_all(&appended)?;
            file.sync_all()
        })
        .and_then(|()| File::open(folder_of(to))?.sync_all())
        .map_err(io("cannot append to", to))?;
    Ok((head.epoch, true))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// The content of a file that is not of the lake, or `None` if it is not there.
pub(in crate::lake) fn read_outside(path: &Path) -> Result<Option<Vec<u8>>, LakeError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("cannot read", path)(error)),
    }
}

/// The checkpoints in an anchor file: signed notes with an empty line between them.
pub fn read_anchors(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not a list of checkpoints")?;
    let mut notes = Vec::new();
    let mut note = String::new();
    let mut signed = false;
    for line in text.split_inclusive('\n') {
        if signed && line == "\n" {
            notes.push(std::mem::take(&mut note).into_bytes());
            signed = false;
            continue;
        }
        signed = line.starts_with(SIGNATURE);
        note.push_str(line);
    }
    if !note.is_empty() {
        notes.push(note.into_bytes());
    }
    Ok(notes)
}

/// The checkpoint of a note in an anchor file, if a key of this ledger signed it.
pub(in crate::lake) fn open(bytes: &[u8], chain: &KeyChain) -> Result<Checkpoint, String> {
    let mut reason = "this ledger has no key".to_owned();
    for key in &chain.keys {
        match Checkpoint::open(bytes, &key.verifier) {
            Ok(checkpoint) if chain.at(checkpoint.epoch) == Some(key) => return Ok(checkpoint),
            Ok(_) => reason = "it is signed by a key of another epoch".to_owned(),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

impl Checkpoint {
    /// Whether what is stored under `files` grew out of this checkpoint, by a proof from its tiles.
    pub(in crate::lake) fn leads_to(&self, files: &Files, head: &Self) -> Result<(), String> {
        proof::consistent(files, head, self)
    }
}
