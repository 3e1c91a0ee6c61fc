//! The lease: who is writing. It is a courtesy between writers and nothing rests on it: what keeps two writers apart is
//! the put of the manifest, which one of them loses.
//!
//! The holder writes `lease.json` anew a few times in each span. A standby takes the lake over when the file has not
//! changed for a whole span *by its own clock*: no clock is ever compared with another, so it does not matter how wrong
//! they are. A holder that finds another's name in the file writes no more, but it goes on: should the other have been
//! wrong, one of the two has to remain, and the put decides which.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::commit::writer_name;
use super::{LakeError, Place, io, store};
use crate::telemetry::Event;

/// The holder writes so many times in a span: two may fail before anybody takes it for dead.
const BEATS_PER_SPAN: u32 = 3;

/// Its file in the lake.
const FILE: &str = "lease.json";

/// What stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    writer: String,
    /// Grows with each holder: of two that think they hold it, the later one does.
    term: u64,
    /// Grows with each writing, so that the file changes.
    beat: u64,
    /// When, for people. No program reads it.
    at: String,
    process: u32,
}

/// A lease that is held, and renewed by a thread of its own until it is dropped. It is then given back.
#[derive(Debug)]
pub struct Lease {
    quit: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lease {
    /// Takes the lease of the lake that `data` names, whoever holds it.
    pub fn take(data: &Path, span: Duration) -> Result<Self, LakeError> {
        let root = Place::of(data)?;
        store::create_dir(&root)?;
        let path = root.join(FILE);
        let before = store::read(&path)?.and_then(|bytes| parse(&bytes));
        let mut line = Line {
            writer: writer_name(),
            term: before.as_ref().map_or(0, |line| line.term) + 1,
            beat: 0,
            at: String::new(),
            process: std::process::id(),
        };
        if let Some(before) = before {
            Event::LeaseTaken {
                from: &before.writer,
            }
            .tell();
        }
        write(&path, &mut line)?;
        let (quit, quitting) = sync_channel(1);
        let beat = span / BEATS_PER_SPAN;
        let thread = std::thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || {
                while quitting.recv_timeout(beat) == Err(RecvTimeoutError::Timeout) {
                    renew(&path, &mut line);
                }
                give_back(&path, &line);
            })
            .map_err(io("cannot start a thread for", &root))?;
        Ok(Self {
            quit: Some(quit),
            thread: Some(thread),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.quit.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to say: a lease that is not given back runs out.
            let _ended = thread.join();
        }
    }
}

/// Writes the file anew, unless a later writer holds the lease. A file that cannot be read or written is told and tried
/// again: the worst that comes of it is a standby that takes over from a living writer.
fn renew(path: &Place, line: &mut Line) {
    let renewed = store::read(path).and_then(|bytes| {
        let found = bytes.and_then(|bytes| parse(&bytes));
        if found.is_some_and(|found| found.writer != line.writer && found.term >= line.term) {
            return Ok(());
        }
        write(path, line)
    });
    if let Err(error) = renewed {
        let reason = error.to_string();
        Event::LeaseTrouble { reason: &reason }.tell();
    }
}

fn give_back(path: &Place, line: &Line) {
    let ours = store::read(path)
        .ok()
        .flatten()
        .and_then(|bytes| parse(&bytes))
        .is_some_and(|found| found.writer == line.writer);
    if ours {
        // What is left there runs out.
        let _removed = store::remove(path);
    }
}

/// What a standby sees of a lease.
#[derive(Debug)]
pub struct Watch {
    path: Place,
    span: Duration,
    seen: Option<Vec<u8>>,
    /// When it was first seen as it is.
    since: Instant,
}

impl Watch {
    /// Looks at the lease of the lake that `data` names, which runs out after `span` without a change.
    pub fn new(data: &Path, span: Duration) -> Result<Self, LakeError> {
        Ok(Self {
            path: Place::of(data)?.join(FILE),
            span,
            seen: None,
            since: Instant::now(),
        })
    }

    /// Whether nobody holds the lease at `now`: it was given back, never taken, or has run out.
    pub fn free(&mut self, now: Instant) -> Result<bool, LakeError> {
        let found = store::read(&self.path)?;
        if found != self.seen {
            self.seen = found;
            self.since = now;
        }
        Ok(self.seen.is_none() || now.saturating_duration_since(self.since) >= self.span)
    }
}

fn parse(bytes: &[u8]) -> Option<Line> {
    serde_json::from_slice(bytes).ok()
}

fn write(path: &Place, line: &mut Line) -> Result<(), LakeError> {
    line.beat += 1;
    line.at = chrono::Utc::now().to_rfc3339();
    let bytes = serde_json::to_vec(line).expect("texts and numbers always have a JSON form");
    store::put(path, &bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SPAN: Duration = Duration::from_millis(60);

    fn line(writer: &str, term: u64, at: &str) -> Line {
        Line {
            writer: writer.to_owned(),
            term,
            beat: 0,
            at: at.to_owned(),
            process: 1,
        }
    }

    #[test]
    fn d3_no_clock_but_our_own_decides() {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        // The holder's clock is an hour behind, then an hour ahead: a lease that changes is held.
        let mut watch = Watch::new(dir.path(), Duration::from_secs(10)).unwrap();
        assert!(watch.free(begun).unwrap(), "nobody has it");
        for (second, at) in [(0, "16:00"), (6, "18:00"), (12, "16:00"), (18, "garbage")] {
            let mut line = line("other", 1, at);
            line.beat = second;
            fs::write(dir.path().join(FILE), serde_json::to_vec(&line).unwrap()).unwrap();
            let now = begun + Duration::from_secs(second);
            assert!(!watch.free(now).unwrap(), "{at}");
        }
        assert!(!watch.free(begun + Duration::from_secs(27)).unwrap());
        assert!(
            watch.free(begun + Duration::from_secs(28)).unwrap(),
            "ten seconds without a change"
        );
    }

    #[test]
    fn the_later_of_two_holders_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let holder = || parse(&fs::read(dir.path().join(FILE)).unwrap()).unwrap();
        let first = Lease::take(dir.path(), SPAN).unwrap();
        let earlier = holder();
        let second = Lease::take(dir.path(), SPAN).unwrap();
        let later = holder();
        assert_ne!(earlier.writer, later.writer);
        while holder().beat < 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(first);
        assert_eq!(
            holder().writer,
            later.writer,
            "the earlier one takes nothing along"
        );
        drop(second);
        let mut watch = Watch::new(dir.path(), SPAN).unwrap();
        assert!(watch.free(Instant::now()).unwrap(), "given back");
    }

    #[test]
    fn of_two_terms_the_higher_one_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = Place::of(dir.path()).unwrap().join(FILE);
        let holder = || {
            parse(&fs::read(dir.path().join(FILE)).unwrap())
                .unwrap()
                .writer
        };
        let (mut earlier, mut later) = (line("earlier", 1, ""), line("later", 2, ""));
        write(&path, &mut later).unwrap();
        // The earlier one had looked before, and writes after.
        write(&path, &mut earlier).unwrap();
        renew(&path, &mut later);
        assert_eq!(holder(), "later");
        renew(&path, &mut earlier);
        assert_eq!(holder(), "later");
    }
}
