//! Taking lists of JSON values apart without reading the values.
//!
//! The usual message, a list of records, is scanned once. Values are borrowed as they stand. What a value is, and
//! what becomes of it, is decided by the caller.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The layer of a bare list.
pub(super) const ARRAY: &str = "array";

/// The layer of a list in a member `Records` or `records`.
pub(super) const RECORDS: &str = "records";

/// The members that hold the list of an envelope, as they stand in the text.
const LIST_MEMBERS: [&str; 3] = ["\"Records\"", "\"records\"", "\"value\""];

/// The elements of the one list that `text` is, if it is a list or an object that begins with its records.
///
/// One more than `max` elements are returned when there are more, so that the caller notices.
pub(super) fn whole(text: &str, max: usize) -> Option<(&'static str, Vec<&RawValue>)> {
    let mut json = serde_json::Deserializer::from_str(text);
    let found = if text.starts_with('[') {
        (ARRAY, Elements { max }.deserialize(&mut json).ok()?)
    } else if begins_with_records(text) {
        (RECORDS, Records { max }.deserialize(&mut json).ok()?)
    } else {
        return None;
    };
    json.end().ok()?;
    Some(found)
}

/// The elements of the array `text`, at most one more than `max`; none if it is no array.
pub(super) fn elements(text: &str, max: usize) -> Vec<&RawValue> {
    let mut json = serde_json::Deserializer::from_str(text);
    Elements { max }.deserialize(&mut json).unwrap_or_default()
}

fn begins_with_records(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('{') else {
        return false;
    };
    let inside = inside.trim_start();
    inside.starts_with("\"Records\"") || inside.starts_with("\"records\"")
}

/// Reads an array as raw values.
struct Elements {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() <= self.max {
            match items.next_element::<&'de RawValue>()? {
                Some(element) => elements.push(element),
                None => return Ok(elements),
            }
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(elements)
    }
}

/// Reads an object's records; its other members are passed over.
struct Records {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Records {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Records {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list of records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        while let Some(name) = members.next_key::<&'de str>()? {
            if matches!(name, "Records" | "records") {
                // A second list is appended: what a producer wrote twice is not for the opener to drop.
                let max = self.max.saturating_sub(records.len());
                records.append(&mut members.next_value_seed(Elements { max })?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(records)
    }
}

/// The elements that stand whole at the front of a list that is broken further on.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    /// The layer of the list.
    pub(super) name: &'static str,
    pub(super) elements: Vec<&'a RawValue>,
    /// What follows the last whole element.
    pub(super) left: &'a str,
}

/// Finds the list that `text` begins with, or that is a member of the object it begins with, and reads it as far as
/// it can be read.
///
/// The list must belong to the outermost object: a list further in is what some caller sent, and taking its items
/// for records would let that caller write events.
pub(super) fn standing(text: &str, max: usize) -> Standing<'_> {
    let mut standing = Standing {
        name: RECORDS,
        elements: Vec::new(),
        left: text,
    };
    if let Some(inside) = text.strip_prefix('[') {
        standing.name = ARRAY;
        standing.left = inside;
    } else if let Some(inside) = list_of_broken_object(text) {
        standing.left = inside;
    } else {
        return standing;
    }
    loop {
        standing.left = skipped(standing.left, true);
        match first_value(standing.left) {
            Some((element, rest)) if standing.elements.len() <= max => {
                standing.elements.push(element);
                standing.left = rest;
            }
            _ => return standing,
        }
    }
}

/// The text after the `[` of the list of records, walking over the whole members before it.
fn list_of_broken_object(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('{')?;
    loop {
        let (name, after_name) = first_value(skipped(rest, true))?;
        let value = skipped(skipped(after_name, false).strip_prefix(':')?, false);
        if LIST_MEMBERS.contains(&name.get())
            && let Some(inside) = value.strip_prefix('[')
        {
            return Some(inside);
        }
        (_, rest) = first_value(value)?;
    }
}

/// The JSON value that `text` begins with, and what follows it.
fn first_value(text: &str) -> Option<(&RawValue, &str)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let value = stream.next()?.ok()?;
    Some((value, &text[stream.byte_offset()..]))
}

fn skipped(text: &str, commas: bool) -> &str {
    text.trim_start_matches(|c: char| matches!(c, ' ' | '\t' | '\r' | '\n') || (commas && c == ','))
}

/// Whether the JSON in `text` nests deeper than `max` levels.
pub(super) fn deeper(text: &str, max: usize) -> bool {
    // Counting is many times cheaper than walking, and nearly every record has fewer brackets than allowed levels.
    if openings(text) <= max {
        return false;
    }
    let mut depth: usize = 0;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        if escaped {
            escaped = false;
        } else if in_string {
            escaped = byte == b'\\';
            in_string = byte != b'"';
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => (),
            }
            if depth > max {
                return true;
            }
        }
    }
    false
}

/// How many brackets open in `text`, those in strings included.
fn openings(text: &str) -> usize {
    // As many as a byte can count, so that the compiler counts in bytes and many at once.
    let chunks = text.as_bytes().chunks(usize::from(u8::MAX));
    let count = |chunk: &[u8]| {
        let opens = chunk.iter().map(|byte| u8::from((byte | 0x20) == b'{'));
        usize::from(opens.sum::<u8>())
    };
    chunks.map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_standing(text: &str, name: &str, elements: &[&str], left: &str) {
        let standing = standing(text, 100);
        let found: Vec<&str> = standing.elements.iter().map(|raw| raw.get()).collect();
        assert_eq!(
            (standing.name, found.as_slice(), standing.left),
            (name, elements, left)
        );
    }

    #[test]
    fn a_broken_list_keeps_what_stands_whole() {
        check_standing(r#"[{"a":1} , {"b":"#, "array", &[r#"{"a":1}"#], r#"{"b":"#);
        check_standing(
            r#"{"x":[1], "Records" : [{"a":1},{"b":2}"#,
            "records",
            &[r#"{"a":1}"#, r#"{"b":2}"#],
            "",
        );
    }

    #[test]
    fn a_list_further_in_is_not_taken_for_the_list_of_records() {
        let text = r#"{"requestParameters":{"records":[{"eventName":"forged"}],"cut"#;
        check_standing(text, "records", &[], text);
        let text = r#"{"note":"\"records\":[{}","cut"#;
        check_standing(text, "records", &[], text);
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!deeper(&nested(64), 64));
        assert!(deeper(&nested(65), 64));
        assert!(!deeper(&format!("[{},{}]", nested(60), nested(60)), 64));
        assert!(!deeper(r#"["[[[[[\"[[[["]"#, 3));
        assert!(deeper(r#"["a\\",[[[]]]]"#, 3));
    }

    #[test]
    fn every_opening_bracket_is_counted() {
        let text = "[{".repeat(500) + "}]ab;z" + &"[".repeat(300);
        assert_eq!(openings(&text), 1_300);
    }

    #[test]
    fn a_list_longer_than_allowed_shows_one_element_more() {
        for text in [
            "[1,2,3,4]",
            r#"{"records":[1,2],"other":0,"Records":[3,4]}"#,
        ] {
            let (_, elements) = whole(text, 2).unwrap();
            assert_eq!(elements.len(), 3, "{text}");
        }
        assert!(whole("[1] [2]", 2).is_none());
    }
}
