//! Files and folders as a source: each file is a topic of one partition, each message in it has the next offset.
//!
//! A file up to the message limit is one message, whatever it holds. Larger ones, and files whose name says that they
//! are line-delimited, give one message per line. Files are read in the order of the time that their paths tell
//! (`file_time`), and of their paths where they tell none.
//!
//! A file is not followed: a run reads it to the end that it has then. A later run reads on behind what was read, if the
//! last message of that is the same still; where it is not, the file was rewritten or rotated, and that is an error.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::file_time::FileTime;
use super::{IngestError, Positions, Pull, RecordSource};
use crate::model::{Position, RawRecord, ReadTo};

/// Names the source in manifests, in the place of a cluster.
pub(super) const CLUSTER: &str = "files";

/// All files are one lane: they are read one after the other.
const LANE: &str = "files";

/// Endings that are read when a folder is given. A file that is named itself is always read.
const ENDINGS: [&str; 10] = [
    "json", "jsonl", "ndjson", "log", "txt", "gz", "gzip", "zst", "zstd", "lz4",
];

/// Files, read one after the other.
#[derive(Debug)]
pub struct Files {
    waiting: VecDeque<PathBuf>,
    open: Option<OpenFile>,
    lane: Arc<str>,
    positions: Positions,
    message_bytes_max: usize,
    /// Length of the line before: the next one is often as long.
    line_bytes: usize,
    /// Bytes of all files, for progress.
    pub bytes_total: u64,
}

struct OpenFile {
    topic: Arc<str>,
    next: i64,
    /// What an earlier run has read of it.
    read: ReadTo,
    content: Content,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile")
            .field("topic", &self.topic)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

enum Content {
    Whole(PathBuf),
    Lines(Box<dyn BufRead + Send>),
    Done,
}

/// Files in the order in which they are read.
#[derive(Debug)]
pub struct Listing {
    files: Vec<PathBuf>,
    /// Files in the folders whose ending is none that is read.
    pub skipped: Vec<PathBuf>,
    /// Whether every file's path tells the hour of what it holds: events then come nearly in order.
    pub hourly: bool,
}

impl Listing {
    /// The files named by `paths`, folders walked; `-` is standard input.
    pub fn of(paths: &[PathBuf]) -> Result<Self, IngestError> {
        let mut found = Vec::new();
        let mut skipped = Vec::new();
        for path in paths {
            if path == Path::new("-") {
                found.push(path.clone());
                continue;
            }
            walk(path, true, &mut found, &mut skipped)?;
        }
        if found.is_empty() {
            let named: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            return Err(IngestError::Nothing(format!(
                "no file in {} ends in {}",
                named.join(", "),
                ENDINGS.join(", ")
            )));
        }
        let mut files: Vec<(Option<FileTime>, PathBuf)> = found
            .into_iter()
            .map(|path| (FileTime::of(&path), path))
            .collect();
        files.sort();
        files.dedup();
        let hourly = files
            .iter()
            .all(|(time, _)| time.is_some_and(FileTime::to_the_hour));
        Ok(Self {
            files: files.into_iter().map(|(_, path)| path).collect(),
            skipped,
            hourly,
        })
    }
}

impl Files {
    /// The files of `listing`, after `positions`.
    pub fn new(listing: Listing, positions: Positions, message_bytes_max: usize) -> Self {
        let bytes_total = listing
            .files
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|metadata| metadata.len())
            .sum();
        Self {
            waiting: listing.files.into(),
            open: None,
            lane: Arc::from(LANE),
            positions,
            message_bytes_max,
            line_bytes: 0,
            bytes_total,
        }
    }

    fn open(&self, path: &Path) -> Result<OpenFile, IngestError> {
        let topic: Arc<str> = Arc::from(path.display().to_string());
        let key = (CLUSTER.to_owned(), topic.to_string(), 0);
        let read = self.positions.get(&key).copied().unwrap_or_default();
        let content = if path == Path::new("-") {
            Content::Lines(Box::new(BufReader::with_capacity(
                1 << 20,
                std::io::stdin(),
            )))
        } else {
            let size = fs::metadata(path).map_err(failed(path))?.len();
            if by_line(path) || size > self.message_bytes_max as u64 {
                Content::Lines(lines(path)?)
            } else {
                Content::Whole(path.to_owned())
            }
        };
        // Standard input is another stream each time: it goes on in number and skips nothing.
        let next = if path == Path::new("-") { read.next } else { 0 };
        Ok(OpenFile {
            topic,
            next,
            read,
            content,
        })
    }
}

impl RecordSource for Files {
    fn pull(&mut self, _: Duration) -> Result<Pull, IngestError> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.waiting.pop_front() else {
                    return Ok(Pull::End);
                };
                self.open = Some(self.open(&path)?);
            }
            let Some(file) = &mut self.open else {
                continue;
            };
            let Some(payload) = file.next_message(self.message_bytes_max, &mut self.line_bytes)?
            else {
                if file.next < file.read.next {
                    return Err(file.changed("it has become shorter"));
                }
                self.open = None;
                continue;
            };
            let record = RawRecord {
                position: Position {
                    topic: file.topic.clone(),
                    partition: 0,
                    offset: file.next,
                },
                lane: self.lane.clone(),
                appended_at: None,
                payload: Some(payload),
            };
            file.next += 1;
            if record.position.offset >= file.read.next {
                return Ok(Pull::Record(record));
            }
            // The last message that was read must be the same still: then what follows is what is new.
            if let Some(last) = file.read.last
                && last.offset == record.position.offset
                && last.sha256 != record.sha256()
            {
                return Err(file.changed("the last message that was read has changed"));
            }
        }
    }

    fn cluster(&self) -> &str {
        CLUSTER
    }

    fn lanes(&self) -> Vec<Arc<str>> {
        vec![self.lane.clone()]
    }

    fn idle(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn new_partitions(&self) -> Vec<(Arc<str>, i32, i64)> {
        Vec::new()
    }

    fn start_of(&self, topic: &str, _: i32) -> Option<i64> {
        let key = (CLUSTER.to_owned(), topic.to_owned(), 0);
        Some(self.positions.get(&key).map_or(0, |read| read.next))
    }
}

impl OpenFile {
    fn changed(&self, reason: &'static str) -> IngestError {
        IngestError::Changed {
            path: PathBuf::from(self.topic.as_ref()),
            reason,
        }
    }

    /// The next message of the file. White lines are not messages.
    fn next_message(
        &mut self,
        bytes_max: usize,
        line_bytes: &mut usize,
    ) -> Result<Option<Vec<u8>>, IngestError> {
        let path = PathBuf::from(self.topic.as_ref());
        match std::mem::replace(&mut self.content, Content::Done) {
            Content::Done => Ok(None),
            Content::Whole(path) => fs::read(&path).map(Some).map_err(failed(&path)),
            Content::Lines(mut reader) => {
                let mut line = Vec::with_capacity(*line_bytes + 1);
                // One byte more than the limit is enough to see that a line is too long; decode says so then.
                let limit = bytes_max as u64 + 1;
                loop {
                    line.clear();
                    let read = reader
                        .by_ref()
                        .take(limit)
                        .read_until(b'\n', &mut line)
                        .map_err(failed(&path))?;
                    if read == 0 {
                        return Ok(None);
                    }
                    if !line.trim_ascii().is_empty() {
                        break;
                    }
                }
                self.content = Content::Lines(reader);
                *line_bytes = line.len();
                line.truncate(line.trim_ascii_end().len());
                Ok(Some(line))
            }
        }
    }
}

/// Whether the name says that every line is a message: `.ndjson`, `.jsonl`, also compressed.
fn by_line(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = [".gz", ".gzip", ".zst", ".zstd"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(&name);
    stem.ends_with(".ndjson") || stem.ends_with(".jsonl")
}

/// The lines of a file, decompressed as its first bytes say.
fn lines(path: &Path) -> Result<Box<dyn BufRead + Send>, IngestError> {
    const BUFFER: usize = 1 << 20;
    let mut reader = BufReader::with_capacity(BUFFER, File::open(path).map_err(failed(path))?);
    let head = reader.fill_buf().map_err(failed(path))?;
    if head.starts_with(&[0x1f, 0x8b]) {
        let decoder = flate2::bufread::MultiGzDecoder::new(reader);
        return Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(failed(path))?;
        return Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)));
    }
    Ok(Box::new(reader))
}

/// Adds the files below `path`. `named`: the user named it, so its ending does not matter.
fn walk(
    path: &Path,
    named: bool,
    found: &mut Vec<PathBuf>,
    skipped: &mut Vec<PathBuf>,
) -> Result<(), IngestError> {
    if fs::metadata(path).map_err(failed(path))?.is_dir() {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(failed(path))? {
            entries.push(entry.map_err(failed(path))?.path());
        }
        entries.sort();
        for entry in entries {
            walk(&entry, false, found, skipped)?;
        }
        return Ok(());
    }
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if named || ENDINGS.contains(&ending.as_str()) {
        found.push(path.to_owned());
    } else {
        skipped.push(path.to_owned());
    }
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> IngestError + '_ {
    move |source| IngestError::File {
        path: path.to_owned(),
        source,
    }
}
