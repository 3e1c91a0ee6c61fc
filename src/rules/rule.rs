//! One rule that runs, and what it says about a record.

use rsigma_eval::CompiledRule;
use rsigma_eval::compiler::eval_condition;
use rsigma_eval::event::Event;

use super::index::Needs;
use super::questions::Question;
use super::record::Record;
use crate::model::{LogSource, RuleHit, Severity, Sha256Digest, Uid};

/// How many fields a finding shows.
const FIELDS_MAX: usize = 8;

/// How much of a value it shows.
const VALUE_CHARS_MAX: usize = 200;

#[derive(Debug)]
pub(super) struct Rule {
    /// Its id, else its title, and the beginning of its text's hash.
    pub(super) name: Uid,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) file: String,
    pub(super) severity: Severity,
    pub(super) attacks: Vec<Uid>,
    pub(super) sources: Vec<LogSource>,
    pub(super) text_sha256: Sha256Digest,
    pub(super) questions: Vec<Question>,
    /// What a record must have for it to be asked about at all.
    pub(super) needs: Needs,
    /// What it asks of its record, with answers in place of questions.
    pub(super) compiled: CompiledRule,
    /// Fields of the record that it names, and what it wants there, in their order.
    pub(super) fields: Vec<(Uid, String)>,
}

impl Rule {
    /// Matches it against `record`, once for each way in which its questions may be answered.
    pub(super) fn read(&self, record: &Record<'_>) -> Option<RuleHit> {
        let mut truth = 0;
        for answers in 0..1 << self.questions.len() {
            record.answers.set(answers);
            if holds(&self.compiled, record) {
                truth |= 1 << answers;
            }
        }
        if truth == 0 {
            return None;
        }
        let seen = |(number, (field, _)): (u16, &(Uid, String))| {
            let mut value = record.shown(field)?;
            if let Some((end, _)) = value.char_indices().nth(VALUE_CHARS_MAX) {
                value.truncate(end);
                value.push('…');
            }
            Some((number, value))
        };
        let seen = (0..).zip(&self.fields).filter_map(seen).take(FIELDS_MAX);
        Some(RuleHit {
            rule: self.name.clone(),
            truth,
            seen: seen.collect(),
        })
    }
}

/// Whether one of the conditions of `rule` holds.
pub(super) fn holds(rule: &CompiledRule, event: &impl Event) -> bool {
    let mut conditions = rule.conditions.iter();
    conditions.any(|condition| eval_condition(condition, &rule.detections, event, &mut Vec::new()))
}
