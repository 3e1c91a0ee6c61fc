//! Sigma rules that users bring, run beside the detectors.
//!
//! The crates `rsigma-parser` and `rsigma-eval` read and match them; here stands what makes them fit: which rules run on
//! which log (`source`), which record each is asked about at all (`index`), what a rule sees of a record (`record`),
//! and how a rule may ask what only Keytrail knows (`questions`, `facts`).
//!
//! A broken rule is a [`Fault`] and stops the start. A rule for another product, of a kind that is not run, or about a
//! field that its log does not have is [`Left`] out, and says why: a public collection holds many of those.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod facts;
mod index;
mod items;
mod judge;
mod questions;
mod reading;
mod record;
mod rule;
mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use index::Index;
pub use judge::Example;
use rule::Rule;

use crate::correlate::Sighting;
use crate::detect::rules::Rules;
use crate::detect::{Before, Verdict};
use crate::model::{Decoded, LogSource, Piece, RuleHit, Sha256Digest, Uid, hex, sha256};

/// A file of rules: one or more YAML documents.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// What faults and findings call it.
    pub name: String,
    pub text: String,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// From 1; the document's first line where nothing more is known.
    pub line: usize,
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason)
    }
}

/// A rule that does not run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub file: String,
    pub title: String,
    pub reason: String,
}

/// A rule that runs, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub rule: Uid,
    pub file: String,
    pub title: String,
    pub sources: Vec<LogSource>,
}

/// What files of rules came to.
#[derive(Debug)]
pub struct Compiled {
    pub rules: RuleSet,
    pub left: Vec<Left>,
    /// The rules are good for use only if this is empty.
    pub faults: Vec<Fault>,
}

/// Rules that run.
#[derive(Default)]
pub struct RuleSet {
    rules: BTreeMap<Uid, Arc<Rule>>,
    by_source: BTreeMap<LogSource, Index>,
}

impl fmt::Debug for RuleSet {
    /// The rules' names, which hold the beginnings of their hashes, and the hash of all of them: what can change an
    /// engine's rows must be told apart in its parameters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("sha256", &hex(&self.sha256()))
            .field("rules", &self.rules.keys())
            .finish()
    }
}

impl RuleSet {
    /// Reads `files`.
    pub fn compile(files: &[RuleFile]) -> Compiled {
        let mut reading = reading::Reading::default();
        for file in files {
            reading.file(file);
        }
        let reading::Reading {
            rules,
            left,
            faults,
        } = reading;
        let mut by_source: BTreeMap<LogSource, Index> = BTreeMap::new();
        for rule in rules.values() {
            for source in &rule.sources {
                by_source.entry(*source).or_default().add(rule);
            }
        }
        Compiled {
            rules: Self { rules, by_source },
            left,
            faults,
        }
    }

    /// Names the whole set.
    pub fn sha256(&self) -> Sha256Digest {
        let text: String = self
            .rules
            .values()
            .map(|rule| format!("{}\n", hex(&rule.text_sha256)))
            .collect();
        sha256(text.as_bytes())
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Every rule, by name.
    pub fn told(&self) -> impl Iterator<Item = Told> {
        self.rules.values().map(|rule| Told {
            rule: rule.name.clone(),
            file: rule.file.clone(),
            title: rule.title.clone(),
            sources: rule.sources.clone(),
        })
    }
}

impl Rules for RuleSet {
    fn read(&self, piece: &Piece<'_>) -> Vec<RuleHit> {
        let Decoded::Event(event) = &piece.decoded else {
            return Vec::new();
        };
        let Some(index) = self.by_source.get(&event.source) else {
            return Vec::new();
        };
        let record = record::Record::new(piece.text, event);
        let mut hits: Vec<RuleHit> = index
            .candidates(event)
            .filter_map(|rule| rule.read(&record))
            .collect();
        hits.sort_by(|a, b| a.rule.cmp(&b.rule));
        hits
    }

    fn matches(&self, hit: &RuleHit, sighting: &Sighting, before: &Before<'_>) -> bool {
        let rule = self.rules.get(&hit.rule);
        rule.is_some_and(|rule| rule.facts(hit, sighting, before).is_some())
    }

    fn judge(&self, hit: &RuleHit, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        self.rules.get(&hit.rule)?.judge(hit, sighting, before)
    }

    fn attacks(&self, rule: &str) -> &[Uid] {
        self.rules.get(rule).map_or(&[], |rule| &rule.attacks)
    }
}
