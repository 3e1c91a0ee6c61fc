//! Sigma's meaning written down a second time, slowly and without compiling anything, to hold the real evaluation to.
//!
//! Only what the hundred rules of `tests/rules` use is known here; anything else panics.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use regex::{Regex, RegexBuilder};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaValue,
    SpecialChar, StringPart,
};
use serde_json::Value;

/// Whether one of the conditions holds.
pub(crate) fn matches(detection: &Detections, record: &Value) -> bool {
    let mut conditions = detection.conditions.iter();
    conditions.any(|condition| holds(condition, detection, record))
}

fn holds(condition: &ConditionExpr, detection: &Detections, record: &Value) -> bool {
    match condition {
        ConditionExpr::And(parts) => parts.iter().all(|part| holds(part, detection, record)),
        ConditionExpr::Or(parts) => parts.iter().any(|part| holds(part, detection, record)),
        ConditionExpr::Not(part) => !holds(part, detection, record),
        ConditionExpr::Identifier(name) => shows(&detection.named[name], record),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let named: Vec<bool> = detection
                .named
                .iter()
                .filter(|(name, _)| pattern.matches_detection_name(name))
                .map(|(_, detection)| shows(detection, record))
                .collect();
            let count = named.iter().filter(|shown| **shown).count();
            match quantifier {
                Quantifier::Any => count > 0,
                Quantifier::All => count == named.len(),
                Quantifier::Count(least) => count as u64 >= *least,
            }
        }
    }
}

fn shows(detection: &Detection, record: &Value) -> bool {
    match detection {
        Detection::AllOf(items) => items.iter().all(|item| fits(item, record)),
        Detection::AnyOf(parts) => parts.iter().any(|part| shows(part, record)),
        Detection::Keywords(words) => words.iter().any(|word| {
            let mut texts = Vec::new();
            all_texts(record, &mut texts);
            texts
                .iter()
                .any(|text| like(word, text, Part::Inside, false))
        }),
        other => panic!("{other:?} is not known here"),
    }
}

fn all_texts<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| all_texts(item, texts)),
        Value::Object(members) => members.values().for_each(|member| all_texts(member, texts)),
        _ => (),
    }
}

/// Every value at `path`; arrays on the way are entered.
fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    if let Value::Array(items) = value {
        return items.iter().flat_map(|item| at(item, path)).collect();
    }
    if let Some(member) = value.get(path) {
        return vec![member];
    }
    let mut found = Vec::new();
    for (dot, _) in path.match_indices('.') {
        if let Some(member) = value.get(&path[..dot]) {
            found.extend(at(member, &path[dot + 1..]));
        }
    }
    found
}

/// The values themselves, those of arrays each for itself.
fn flat(values: Vec<&Value>) -> Vec<&Value> {
    values
        .into_iter()
        .flat_map(|value| match value {
            Value::Array(items) => flat(items.iter().collect()),
            other => vec![other],
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Part {
    Whole,
    Beginning,
    End,
    Inside,
}

fn fits(item: &DetectionItem, record: &Value) -> bool {
    let has = |modifier: Modifier| item.field.has_modifier(modifier);
    let found = at(record, item.field.name.as_deref().unwrap());
    let found = flat(found);
    if has(Modifier::Exists) {
        let there = found.iter().any(|value| !value.is_null());
        return item.values == [SigmaValue::Bool(there)];
    }
    if found.is_empty() {
        return item.values == [SigmaValue::Null];
    }
    let fits = |wanted: &SigmaValue| found.iter().any(|value| one(item, wanted, value, record));
    if has(Modifier::All) {
        return item.values.iter().all(fits);
    }
    item.values.iter().any(fits) != has(Modifier::Neq)
}

fn one(item: &DetectionItem, wanted: &SigmaValue, value: &Value, record: &Value) -> bool {
    let has = |modifier: Modifier| item.field.has_modifier(modifier);
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Object(_) => String::new(),
        other => other.to_string(),
    };
    let number = || text.parse::<f64>().ok();
    let least = || match wanted {
        SigmaValue::Integer(least) => *least as f64,
        SigmaValue::Float(least) => *least,
        other => panic!("{other:?} is no number"),
    };
    let compares = |holds: fn(f64, f64) -> bool| number().is_some_and(|seen| holds(seen, least()));
    if has(Modifier::Gte) {
        return compares(|seen, least| seen >= least);
    }
    if has(Modifier::Gt) {
        return compares(|seen, least| seen > least);
    }
    if has(Modifier::Lte) {
        return compares(|seen, least| seen <= least);
    }
    if has(Modifier::Lt) {
        return compares(|seen, least| seen < least);
    }
    if let SigmaValue::Null = wanted {
        return value.is_null();
    }
    if value.is_null() || value.is_object() {
        return false;
    }
    if has(Modifier::FieldRef) {
        let other = at(record, &wanted.to_string());
        return other.iter().any(|other| other.as_str() == Some(&text));
    }
    if has(Modifier::Re) {
        return regex(&wanted.to_string(), has(Modifier::IgnoreCase), &text);
    }
    if has(Modifier::Cidr) {
        return text
            .parse()
            .is_ok_and(|address| inside(address, &wanted.to_string()));
    }
    let part = if has(Modifier::Contains) {
        Part::Inside
    } else if has(Modifier::StartsWith) {
        Part::Beginning
    } else if has(Modifier::EndsWith) {
        Part::End
    } else {
        Part::Whole
    };
    match wanted {
        SigmaValue::Integer(number) => text.parse() == Ok(*number as f64),
        SigmaValue::Float(number) => text.parse() == Ok(*number),
        SigmaValue::Bool(truth) => text.eq_ignore_ascii_case(&truth.to_string()),
        wanted => like(wanted, &text, part, has(Modifier::Cased)),
    }
}

/// A text with wildcards against a text or a part of it.
fn like(wanted: &SigmaValue, text: &str, part: Part, cased: bool) -> bool {
    let SigmaValue::String(wanted) = wanted else {
        panic!("{wanted:?} is no text");
    };
    let inner: String = wanted
        .parts
        .iter()
        .map(|part| match part {
            StringPart::Plain(text) => regex::escape(text),
            StringPart::Special(SpecialChar::WildcardMulti) => ".*".to_owned(),
            StringPart::Special(SpecialChar::WildcardSingle) => ".".to_owned(),
        })
        .collect();
    let pattern = match part {
        Part::Whole => format!("^{inner}$"),
        Part::Beginning => format!("^{inner}"),
        Part::End => format!("{inner}$"),
        Part::Inside => inner,
    };
    regex(&format!("(?s){pattern}"), !cased, text)
}

/// Whether `text` has `pattern`, which is built once for all records.
fn regex(pattern: &str, any_case: bool, text: &str) -> bool {
    thread_local! {
        static BUILT: RefCell<BTreeMap<(String, bool), Regex>> = RefCell::default();
    }
    BUILT.with_borrow_mut(|built| {
        let regex = built
            .entry((pattern.to_owned(), any_case))
            .or_insert_with(|| {
                let mut regex = RegexBuilder::new(pattern);
                regex.case_insensitive(any_case).build().unwrap()
            });
        regex.is_match(text)
    })
}

fn inside(address: IpAddr, network: &str) -> bool {
    let (base, length) = network.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match (address, base.parse().unwrap()) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            u32::from(address) & mask == u32::from(base) & mask
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            u128::from(address) & mask == u128::from(base) & mask
        }
        _ => false,
    }
}
