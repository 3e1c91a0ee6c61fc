//! `sigma`: what an event did matches a rule that users brought.
//!
//! A rule is read in two steps. What it asks of the record is answered while the record is at hand, by
//! [`Rules::read`]; what it asks of Keytrail's own knowledge (`keytrail.idle_days` …) is answered when the event's
//! turn comes, because only then is it known what was before it. [`RuleHit::truth`] carries the first answers to the
//! second step.

use std::fmt;

use crate::correlate::Sighting;
use crate::model::{DecodedRecord, Piece, RuleHit, Uid};

use super::{Before, Detector, Verdict};

/// The detector under which findings of rules are written, whichever rule it was.
pub const NAME: &str = "sigma";

/// Controls that any finding of a rule bears on: somebody asked to be told.
pub const CONTROLS: &[&str] = &["CC7.2", "A.8.16", "10.4.1", "DE.CM-03"];

/// Rules that users bring, as the engine sees them. What is printed of them for debugging names every rule and the hash
/// of its text, because it becomes part of the engine's parameters.
pub trait Rules: fmt::Debug + Send + Sync {
    /// The rules that a decoded event's record satisfies or may satisfy, by their names.
    fn read(&self, piece: &Piece<'_>) -> Vec<RuleHit>;

    /// Whether the rule of `hit` matches `sighting`. A rule that is not among these any more does not.
    fn matches(&self, hit: &RuleHit, sighting: &Sighting, before: &Before<'_>) -> bool;

    /// What it says about `sighting`, if it matches.
    fn judge(&self, hit: &RuleHit, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict>;

    /// ATT&CK techniques that the rule names.
    fn attacks(&self, rule: &str) -> &[Uid];
}

/// Asks `rules` about every event of `records`.
pub fn read(rules: &dyn Rules, records: &mut [DecodedRecord<'_>]) {
    for record in records {
        for piece in &mut record.pieces {
            piece.hits = rules.read(piece);
        }
    }
}

/// One hit of one rule, asked like any detector.
#[derive(Debug)]
pub struct Asked<'a> {
    pub rules: &'a dyn Rules,
    pub hit: &'a RuleHit,
}

impl Detector for Asked<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        1
    }

    /// A rule's techniques are its own: [`Rules::attacks`].
    fn attacks(&self) -> &'static [&'static str] {
        &[]
    }

    fn controls(&self) -> &'static [&'static str] {
        CONTROLS
    }

    fn judge(&self, sighting: &Sighting, before: &Before<'_>) -> Option<Verdict> {
        self.rules.judge(self.hit, sighting, before)
    }

    fn continues(&self, key: &str, sighting: &Sighting, before: &Before<'_>) -> bool {
        *key == *self.hit.rule && self.rules.matches(self.hit, sighting, before)
    }

    /// Rules are about whatever their author wrote of.
    fn judges_people(&self) -> bool {
        true
    }
}
