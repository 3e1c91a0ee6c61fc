//! What a rule says when the turn of an event has come, and of the examples that stand beside it.

use serde_json::{Map, Value};

use super::RuleSet;
use super::facts::{self, Facts};
use super::rule::Rule;
use crate::correlate::Sighting;
use crate::detect::rules::Rules;
use crate::detect::{Before, Verdict};
use crate::model::{Piece, RuleHit, Uid, Why};

/// One line of the file beside a rule: a record, and whether the rule must match it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub name: String,
    #[serde(rename = "match")]
    pub matches: bool,
    /// The record, as its log writes it.
    pub event: Value,
    /// What Keytrail knows when the event's turn comes, by the names behind `keytrail.`; everything else is unknown.
    #[serde(default)]
    pub keytrail: Map<String, Value>,
}

impl Rule {
    /// Whether it matches with the answers to its questions.
    fn answered(&self, hit: &RuleHit, facts: &Facts) -> bool {
        let mut answers = 0;
        for (number, question) in self.questions.iter().enumerate() {
            answers |= usize::from(question.holds(facts)) << number;
        }
        hit.truth >> answers & 1 == 1
    }

    /// What is known when the turn of `sighting` has come, as far as the rule asks for it; nothing if it does not match.
    pub(super) fn facts(
        &self,
        hit: &RuleHit,
        sighting: &Sighting,
        before: &Before<'_>,
    ) -> Option<Facts> {
        let facts = if self.questions.is_empty() {
            Facts::default()
        } else {
            Facts::of(sighting, before)
        };
        self.answered(hit, &facts).then_some(facts)
    }

    pub(super) fn judge(
        &self,
        hit: &RuleHit,
        sighting: &Sighting,
        before: &Before<'_>,
    ) -> Option<Verdict> {
        let facts = self.facts(hit, sighting, before)?;
        let because = |dimension: Uid, observed: String, expected: String| Why {
            dimension,
            observed,
            expected,
            window_days: before.profile.age_days(sighting.event_time),
            n: before.profile.hours,
            bits: None,
        };
        let mut why = vec![because(
            Uid::from("rule"),
            hit.rule.to_string(),
            format!("no record that matches “{}”", self.title),
        )];
        for (number, seen) in &hit.seen {
            let field = self.fields.get(usize::from(*number));
            why.extend(
                field.map(|(field, wanted)| because(field.clone(), seen.clone(), wanted.clone())),
            );
        }
        for question in &self.questions {
            why.push(because(
                Uid::from(question.field.as_str()),
                facts.shown(&question.field),
                question.wanted.clone(),
            ));
        }
        let mut summary = format!(
            "{} called {} of {}, which matches the rule “{}”.",
            sighting.by.identity_uid, sighting.operation, sighting.service, self.title
        );
        if let Some(description) = &self.description {
            summary.push_str(&format!(" Its author says: {description}"));
        }
        let presented = sighting.credential_uid().into_iter();
        Some(Verdict {
            key: hit.rule.clone(),
            severity: self.severity,
            // The match is a fact; who did it is as sure as its attribution.
            confidence: sighting.by.confidence,
            title: self.title.clone(),
            summary,
            why,
            related_uids: presented.cloned().collect(),
            earlier: Vec::new(),
        })
    }
}

impl Example {
    /// What is wrong with the names of what it says is known.
    pub fn unknown(&self) -> Option<String> {
        let mut names = self.keytrail.keys();
        let name = names.find(|name| !facts::known(name))?;
        Some(facts::unknown(name))
    }
}

impl RuleSet {
    /// Whether the rules of `file` match the record of `piece` with what `example` says is known. Nothing if none of
    /// them runs.
    pub fn example(&self, file: &str, piece: &Piece<'_>, example: &Example) -> Option<bool> {
        let own: Vec<_> = self
            .rules
            .values()
            .filter(|rule| rule.file == file)
            .collect();
        if own.is_empty() {
            return None;
        }
        let facts = Facts::told(&example.keytrail);
        let hits = self.read(piece);
        let of = |rule: &Rule| hits.iter().find(|hit| hit.rule == rule.name);
        Some(
            own.iter()
                .any(|rule| of(rule).is_some_and(|hit| rule.answered(hit, &facts))),
        )
    }
}
