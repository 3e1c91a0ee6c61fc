//! From files to rules: what runs, what is left out and why, what is broken and where.

use std::collections::BTreeMap;
use std::sync::Arc;

use rsigma_eval::compile_rule;
use rsigma_parser::{Detection, Level, Modifier, SigmaRule, Status, parse_sigma_yaml};

use super::facts;
use super::index::Needs;
use super::items::{fields, in_order, items};
use super::questions::{self, PREFIX};
use super::rule::Rule;
use super::{Fault, Left, RuleFile, source};
use crate::model::{LogSource, Severity, Uid, hex, sha256};

/// What the parser finds fault with and reads all the same: it changes nothing that a rule matches.
const HARMLESS: [&str; 3] = ["related[", "'related' ", "invalid status"];

/// What the files read so far came to.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) rules: BTreeMap<Uid, Arc<Rule>>,
    pub(super) left: Vec<Left>,
    pub(super) faults: Vec<Fault>,
}

/// Why a document gives no rule.
enum Not {
    Run(String),
    Sound(String),
}

impl Reading {
    pub(super) fn file(&mut self, file: &RuleFile) {
        let collection = match parse_sigma_yaml(&file.text) {
            Ok(collection) => collection,
            Err(error) => return self.fault(file, &error.to_string()),
        };
        let grave = |error: &&String| !HARMLESS.iter().any(|begin| error.starts_with(begin));
        for error in collection.errors.iter().filter(grave) {
            // Conditions that count are of a form of Sigma that correlation rules have replaced.
            if error.starts_with("Condition") && counts(&file.text) {
                self.leave(
                    file,
                    title(&file.text),
                    "it counts: rules that need more than one event are not run",
                );
            } else {
                self.fault(file, error);
            }
        }
        for correlation in &collection.correlations {
            self.leave(
                file,
                &correlation.title,
                "a correlation rule: rules that need more than one event are not run",
            );
        }
        for filter in &collection.filters {
            self.leave(file, &filter.title, "a filter: write a suppression instead");
        }
        for rule in collection.rules {
            let title = rule.title.clone();
            match compile(file, rule) {
                Ok(rule) => self.add(file, rule),
                Err(Not::Run(reason)) => self.leave(file, &title, &reason),
                Err(Not::Sound(reason)) => {
                    let from = position(&file.text, &title);
                    let line = line_of(&reason, &file.text, from);
                    self.fault_at(file, line, &format!("{title}: {reason}"));
                }
            }
        }
    }

    fn add(&mut self, file: &RuleFile, rule: Rule) {
        if let Some(known) = self.rules.get(&rule.name) {
            let reason = format!("the same rule as in {}", known.file);
            return self.fault(file, &reason);
        }
        self.rules.insert(rule.name.clone(), Arc::new(rule));
    }

    fn leave(&mut self, file: &RuleFile, title: &str, reason: &str) {
        self.left.push(Left {
            file: file.name.clone(),
            title: title.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn fault(&mut self, file: &RuleFile, reason: &str) {
        self.fault_at(file, line_of(reason, &file.text, 0), reason);
    }

    fn fault_at(&mut self, file: &RuleFile, line: usize, reason: &str) {
        self.faults.push(Fault {
            file: file.name.clone(),
            line,
            reason: one_line(reason),
        });
    }
}

fn compile(file: &RuleFile, mut rule: SigmaRule) -> Result<Rule, Not> {
    let sources = source::meant(&rule.logsource).map_err(Not::Run)?;
    if let Some(status @ (Status::Deprecated | Status::Unsupported)) = rule.status {
        return Err(Not::Run(format!("its status is {status:?}").to_lowercase()));
    }
    if rule.detection.timeframe.is_some() {
        return Err(Not::Run(
            "it has a timeframe: rules that need more than one event are not run".to_owned(),
        ));
    }
    references(&rule)?;
    let sources = known_fields(&rule, sources)?;
    let text_sha256 = sha256(format!("{:?}", ordered(&rule)).as_bytes());
    let questions = questions::take_out(&mut rule).map_err(Not::Sound)?;
    let compiled =
        compile_rule(&rule).map_err(|error| Not::Sound(blame(&rule, &error.to_string())))?;
    let needs = Needs::of(&rule.detection, &sources);
    let id = rule.id.as_deref().unwrap_or(&rule.title);
    Ok(Rule {
        name: Uid::from(format!("{id}@{}", hex(&text_sha256[..4]))),
        title: rule.title.clone(),
        description: rule.description.as_deref().map(one_line),
        file: file.name.clone(),
        severity: severity(rule.level),
        attacks: techniques(&rule.tags),
        sources,
        text_sha256,
        questions,
        needs,
        fields: named(&rule),
        compiled,
    })
}

/// `error` with the field of the first item that has it by itself.
fn blame(rule: &SigmaRule, error: &str) -> String {
    let mut own = None;
    for (_, detection) in in_order(&rule.detection.named) {
        items(detection, &mut |item| {
            own = own.take().or_else(|| questions::alone(rule, item).err());
        });
    }
    own.unwrap_or_else(|| error.to_owned())
}

/// What makes a rule what it is, in an order of its own: the maps of the parser have none.
fn ordered(rule: &SigmaRule) -> impl std::fmt::Debug {
    let detections: Vec<String> = in_order(&rule.detection.named)
        .iter()
        .map(|(name, detection)| format!("{name} {}", spelled(detection)))
        .collect();
    (
        rule.title.clone(),
        rule.id.clone(),
        rule.level,
        rule.description.clone(),
        rule.tags.clone(),
        (
            rule.logsource.product.clone(),
            rule.logsource.service.clone(),
        ),
        rule.detection.condition_strings.clone(),
        detections,
    )
}

fn spelled(detection: &Detection) -> String {
    match detection {
        Detection::Conditional { named, condition } => {
            let named = in_order(named).into_iter();
            let named: BTreeMap<&String, String> =
                named.map(|(name, part)| (name, spelled(part))).collect();
            format!("{named:?} {condition}")
        }
        Detection::ArrayMatch {
            field,
            quantifier,
            body,
        } => format!("{field}[{quantifier}] {}", spelled(body)),
        Detection::AnyOf(parts) => {
            format!("any {:?}", parts.iter().map(spelled).collect::<Vec<_>>())
        }
        Detection::And(parts) => format!("all {:?}", parts.iter().map(spelled).collect::<Vec<_>>()),
        Detection::AllOf(_) | Detection::Keywords(_) => format!("{detection:?}"),
    }
}

/// Refuses values that are names of fields where they cannot be looked up: what Keytrail knows and what the record says are
/// asked at different times.
fn references(rule: &SigmaRule) -> Result<(), Not> {
    for (_, detection) in in_order(&rule.detection.named) {
        let mut wrong = None;
        items(detection, &mut |item| {
            let has = |modifier| item.field.has_modifier(modifier);
            let own = item.field.name.as_deref().unwrap_or_default();
            let mut names = item.values.iter().map(ToString::to_string);
            if has(Modifier::Expand) {
                wrong = Some(Not::Run(format!("{own}: nothing fills placeholders in")));
            } else if has(Modifier::FieldRef)
                && (own.starts_with(PREFIX) || names.any(|name| name.starts_with(PREFIX)))
            {
                let reason =
                    format!("a field of {PREFIX}* can be compared with values only (`{own}`)");
                wrong = Some(Not::Sound(reason));
            }
        });
        wrong.map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// Those of `sources` that have every field the rule names; at least one must.
fn known_fields(rule: &SigmaRule, sources: Vec<LogSource>) -> Result<Vec<LogSource>, Not> {
    let mut paths: Vec<String> = Vec::new();
    for detection in rule.detection.named.values() {
        fields(detection, &mut paths);
    }
    paths.sort_unstable();
    for path in &paths {
        if let Some(asked) = path.strip_prefix(PREFIX)
            && !facts::known(asked)
        {
            return Err(Not::Sound(facts::unknown(asked)));
        }
    }
    paths.retain(|path| !path.starts_with(PREFIX));
    let lacking = |source: LogSource| paths.iter().find(|path| !source::has(source, path));
    let first = sources.first().copied();
    let running: Vec<LogSource> = sources
        .into_iter()
        .filter(|source| lacking(*source).is_none())
        .collect();
    match (running.is_empty(), first) {
        (true, Some(first)) => Err(Not::Run(format!(
            "unknown field {}: records of {} have none",
            lacking(first).map_or("", String::as_str),
            first.name()
        ))),
        _ => Ok(running),
    }
}

/// The record's fields that the rule names, with what it wants there.
fn named(rule: &SigmaRule) -> Vec<(Uid, String)> {
    let mut named: BTreeMap<&str, String> = BTreeMap::new();
    for (_, detection) in in_order(&rule.detection.named) {
        wanted(detection, &mut named);
    }
    named
        .into_iter()
        .filter(|(name, _)| !name.starts_with(PREFIX))
        .map(|(name, wanted)| (Uid::from(name), wanted))
        .collect()
}

fn wanted<'d>(detection: &'d Detection, named: &mut BTreeMap<&'d str, String>) {
    match detection {
        Detection::AllOf(items) => {
            for item in items {
                let name = item.field.name.as_deref().unwrap_or_default();
                named.entry(name).or_insert_with(|| questions::wanted(item));
            }
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            parts.iter().for_each(|part| wanted(part, named));
        }
        Detection::ArrayMatch {
            field, quantifier, ..
        } => {
            named
                .entry(field)
                .or_insert_with(|| format!("members, {quantifier} of which fit"));
        }
        Detection::Conditional { .. } | Detection::Keywords(_) => (),
    }
}

/// Sigma's levels are ours but for their lowest; a rule without one is of the middle.
fn severity(level: Option<Level>) -> Severity {
    match level {
        Some(Level::Informational) => Severity::Info,
        Some(Level::Low) => Severity::Low,
        Some(Level::Medium) | None => Severity::Medium,
        Some(Level::High) => Severity::High,
        Some(Level::Critical) => Severity::Critical,
    }
}

/// `attack.t1078.004` → `T1078.004`; tactics and other taxonomies name no technique.
fn techniques(tags: &[String]) -> Vec<Uid> {
    let technique = |tag: &String| {
        let id = tag.strip_prefix("attack.")?.to_ascii_uppercase();
        let digits = id.strip_prefix('T')?;
        let number = digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
        (number && !digits.is_empty()).then(|| Uid::from(id))
    };
    tags.iter().filter_map(technique).collect()
}

/// Descriptions are folded over lines, and so are errors of regular expressions.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a condition goes on behind a bar, as conditions that count do.
fn counts(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("condition:"))
        .filter_map(|condition| condition.split_once('|'))
        .any(|(_, after)| {
            let counting = ["count", "min", "max", "avg", "sum", "near"];
            let after = after.trim_start();
            counting.iter().any(|word| after.starts_with(word))
        })
}

fn title(text: &str) -> &str {
    let title = text.lines().find_map(|line| line.strip_prefix("title:"));
    title.unwrap_or("untitled").trim()
}

/// How many lines stand before the document with this title; none if it is not found.
fn position(text: &str, title: &str) -> usize {
    let own = |line: &str| line.starts_with("title:") && line.contains(title);
    text.lines().position(own).unwrap_or(0)
}

/// The line that `reason` is about: the one it names, else the first that has what it quotes, else the condition where it
/// is about one, else the first: looked for behind the first `from` lines.
fn line_of(reason: &str, text: &str, from: usize) -> usize {
    let number = |after: &str| {
        let (_, rest) = reason.split_once(after)?;
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    let with = |part: &str| {
        let mut lines = (1..).zip(text.lines()).skip(from);
        lines
            .find(|(_, line)| line.contains(part))
            .map(|(number, _)| number)
    };
    let quoted = |mark: char| {
        let mut parts = reason.split(mark);
        parts.nth(1).filter(|part| !part.is_empty()).and_then(with)
    };
    let condition = || with("condition:").filter(|_| reason.contains("ondition"));
    number("at line ")
        .or_else(|| quoted('\''))
        .or_else(condition)
        .or_else(|| quoted('`'))
        .or_else(|| quoted('"'))
        .or_else(|| with("detection:"))
        .unwrap_or(from + 1)
}
