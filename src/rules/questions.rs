//! What a rule asks that its record cannot answer: `keytrail.idle_days|gte: 60` and the like.
//!
//! Each such item is taken out of the rule and becomes a question of its own; in its place the rule asks for the answer.
//! The rule is then matched against its record once for each way in which its questions may be answered, which gives
//! [`RuleHit::truth`](crate::model::RuleHit::truth), and the questions are asked when the event's turn has come.

use rsigma_eval::event::Event;
use rsigma_eval::{CompiledRule, compile_rule};
use rsigma_parser::{ConditionExpr, Detection, DetectionItem, FieldSpec, SigmaRule, SigmaValue};

use super::items::items;
use super::rule::holds;

/// What only Keytrail knows is asked for under this name.
pub(super) const PREFIX: &str = "keytrail.";

/// Where a rule finds the answer to a question, before its number.
const ANSWER: &str = "keytrail.answer.";

/// As many questions one rule may have: each doubles how often it is matched, and the bits of
/// [`RuleHit::truth`](crate::model::RuleHit::truth).
const MAX: usize = 4;

/// One question.
#[derive(Debug)]
pub(super) struct Question {
    /// The item alone, as a rule that consists of it.
    rule: CompiledRule,
    /// What it asks for.
    pub(super) field: String,
    /// What it wants there, as a person would read it.
    pub(super) wanted: String,
}

impl Question {
    /// Whether the answer is yes.
    pub(super) fn holds(&self, facts: &impl Event) -> bool {
        holds(&self.rule, facts)
    }
}

/// The number of the question whose answer `path` is.
pub(super) fn number(path: &str) -> Option<usize> {
    let number = path.strip_prefix(ANSWER)?.parse().ok();
    number.filter(|number| *number < MAX)
}

/// Takes the questions out of `rule`.
pub(super) fn take_out(rule: &mut SigmaRule) -> Result<Vec<Question>, String> {
    let mut asked: Vec<DetectionItem> = Vec::new();
    // In the order of their names: the numbers of questions are part of what is remembered.
    let mut names: Vec<String> = rule.detection.named.keys().cloned().collect();
    names.sort_unstable();
    for name in names {
        if let Some(detection) = rule.detection.named.get_mut(&name) {
            replace(detection, &mut asked)?;
        }
    }
    if asked.len() > MAX {
        return Err(format!(
            "it asks {} different things of keytrail.*, at most {MAX}",
            asked.len()
        ));
    }
    let question = |item: DetectionItem| {
        Ok(Question {
            rule: alone(rule, &item)?,
            field: name(&item).to_owned(),
            wanted: wanted(&item),
        })
    };
    asked.into_iter().map(question).collect()
}

/// `rule` with nothing but `item`.
pub(super) fn alone(rule: &SigmaRule, item: &DetectionItem) -> Result<CompiledRule, String> {
    let mut rule = rule.clone();
    let only = Detection::AllOf(vec![item.clone()]);
    rule.detection.named = [("question".to_owned(), only)].into();
    rule.detection.conditions = vec![ConditionExpr::Identifier("question".to_owned())];
    compile_rule(&rule).map_err(|error| format!("{error} (`{}`)", name(item)))
}

fn name(item: &DetectionItem) -> &str {
    item.field.name.as_deref().unwrap_or_default()
}

/// Replaces the questions below `detection` by the answers to them; the number of a question is its place in `asked`.
fn replace(detection: &mut Detection, asked: &mut Vec<DetectionItem>) -> Result<(), String> {
    match detection {
        Detection::AllOf(own) => {
            for item in own.iter_mut().filter(|item| name(item).starts_with(PREFIX)) {
                let known = asked.iter().position(|known| known == item);
                let number = known.unwrap_or_else(|| {
                    asked.push(item.clone());
                    asked.len() - 1
                });
                *item = DetectionItem {
                    field: FieldSpec::new(Some(format!("{ANSWER}{number}")), Vec::new()),
                    values: vec![SigmaValue::Bool(true)],
                };
            }
            Ok(())
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter_mut().try_for_each(|part| replace(part, asked))
        }
        Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
            let mut inner = Vec::new();
            items(detection, &mut |item| inner.push(name(item).to_owned()));
            match inner.iter().find(|name| name.starts_with(PREFIX)) {
                Some(name) => Err(format!("{name} is no member of an array")),
                None => Ok(()),
            }
        }
        Detection::Keywords(_) => Ok(()),
    }
}

/// What `item` wants, as a person would read it: its modifiers and values.
pub(super) fn wanted(item: &DetectionItem) -> String {
    let mut text: String = item
        .field
        .modifiers
        .iter()
        .map(|modifier| format!("{} ", format!("{modifier:?}").to_lowercase()))
        .collect();
    let values: Vec<String> = item
        .values
        .iter()
        .take(5)
        .map(ToString::to_string)
        .collect();
    text.push_str(&values.join(" | "));
    if item.values.len() > values.len() {
        text.push_str(&format!(" | {} more", item.values.len() - values.len()));
    }
    text
}
