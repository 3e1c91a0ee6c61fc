//! A record as rules see it: its own JSON, parsed only for a rule that cannot be answered without.
//!
//! Most rules name an event of one service, and [`super::index`] leaves few to ask. What those ask is answered from the
//! decoded event where that has the record's own text, and by "no" where the text does not hold the field's name
//! anywhere. Only then is the record parsed a second time. Secrets are masked already, as in everything that is stored.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use memchr::memmem;
use rsigma_eval::event::{Event, EventValue, JsonEvent};
use serde_json::Value;

use super::questions;
use super::source;
use crate::model::{AuditEvent, LogSource};

pub(super) struct Record<'a> {
    text: &'a str,
    event: &'a AuditEvent<'a>,
    parsed: OnceCell<Value>,
    /// Whether the text may write a letter of a name as an escape.
    escapes: OnceCell<bool>,
    /// The answers, as bits, that are tried for what only the event's turn can tell.
    pub(super) answers: Cell<usize>,
}

impl<'a> Record<'a> {
    pub(super) fn new(text: &'a str, event: &'a AuditEvent<'a>) -> Self {
        Self {
            text,
            event,
            parsed: OnceCell::new(),
            escapes: OnceCell::new(),
            answers: Cell::new(0),
        }
    }

    /// The record, parsed. What cannot be parsed was no event.
    fn parsed(&self) -> &Value {
        self.parsed
            .get_or_init(|| serde_json::from_str(self.text).unwrap_or_default())
    }

    /// The record's own text of a member that the decoder has kept as it stood: borrowed from the record, it was not
    /// rebuilt. Nothing is said about a member that it has not.
    fn kept(&self, path: &str) -> Option<&str> {
        let event = self.event;
        if event.source != LogSource::CloudTrail || self.parsed.get().is_some() {
            return None;
        }
        let kept = match path {
            "awsRegion" => event.region.as_ref(),
            "errorCode" => event.error_code.as_ref(),
            "eventName" => event.details.event_name.as_ref(),
            "eventSource" => Some(&event.service),
            "sourceIPAddress" => event.network.source_raw.as_ref(),
            "userAgent" => event.network.user_agent.as_ref(),
            _ => None,
        };
        match kept? {
            Cow::Borrowed(text) => self.quoted(text).then_some(text),
            Cow::Owned(_) => None,
        }
    }

    /// Whether `part` stands in the record's text behind a quote: the decoder reads numbers and truths as texts too.
    fn quoted(&self, part: &str) -> bool {
        let begin = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize);
        let before = begin.and_then(|begin| self.text.as_bytes().get(begin.checked_sub(1)?));
        before == Some(&b'"')
    }

    /// Whether the text holds the last name of `path` as a member's name, or may hold it in an escaped form.
    fn may_have(&self, path: &str) -> bool {
        if self.parsed.get().is_some() || path.contains(['\\', '[']) {
            return true;
        }
        let last = path.rsplit('.').next().unwrap_or(path);
        // What JSON may write in more than one way is not looked for.
        if last.contains(|c: char| c == '/' || c == '"' || c.is_control()) {
            return true;
        }
        let text = self.text.as_bytes();
        let escapes = || memmem::find(text, b"\\u").is_some();
        memmem::find_iter(text, last).any(|at| text.get(at + last.len()) == Some(&b'"'))
            || *self.escapes.get_or_init(escapes)
    }

    fn member(&self, path: &str) -> Option<EventValue<'_>> {
        if !self.may_have(path) {
            return None;
        }
        let json = self.parsed();
        match walk(json, path) {
            Walked::Found(value) => Some(EventValue::from(value)),
            Walked::Nothing => None,
            Walked::Odd => JsonEvent::borrow(json).get_field(path).map(owned),
        }
    }

    /// The value at `path` as a person would read it, for a finding.
    pub(super) fn shown(&self, path: &str) -> Option<String> {
        let value = self.get_field(path)?.to_json();
        Some(match value {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

/// What lies at a path.
enum Walked<'v> {
    Found(&'v Value),
    Nothing,
    /// An array is on the way, or the path is none of plain names: the library knows what that means.
    Odd,
}

/// Follows a path of plain names through objects, without allocating: nearly every path is one.
fn walk<'v>(json: &'v Value, path: &str) -> Walked<'v> {
    if path.contains(['[', '\\']) {
        return Walked::Odd;
    }
    if let Some(value) = json.get(path) {
        return Walked::Found(value);
    }
    let mut at = json;
    for name in path.split('.') {
        match at {
            Value::Object(members) => match members.get(name) {
                Some(member) => at = member,
                None => return Walked::Nothing,
            },
            Value::Array(_) => return Walked::Odd,
            _ => return Walked::Nothing,
        }
    }
    Walked::Found(at)
}

/// The same value with text of its own: the library's view of a record lives shorter than the record.
fn owned(value: EventValue<'_>) -> EventValue<'static> {
    match value {
        EventValue::Str(text) => EventValue::Str(Cow::Owned(text.into_owned())),
        EventValue::Int(number) => EventValue::Int(number),
        EventValue::Float(number) => EventValue::Float(number),
        EventValue::Bool(truth) => EventValue::Bool(truth),
        EventValue::Null => EventValue::Null,
        EventValue::Array(items) => EventValue::Array(items.into_iter().map(owned).collect()),
        EventValue::Map(members) => {
            let own =
                |(name, value): (Cow<'_, str>, _)| (Cow::Owned(name.into_owned()), owned(value));
            EventValue::Map(members.into_iter().map(own).collect())
        }
    }
}

impl Event for Record<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        if let Some(question) = questions::number(path) {
            return Some(EventValue::Bool(self.answers.get() >> question & 1 == 1));
        }
        if let Some(text) = self.kept(path) {
            return Some(EventValue::Str(Cow::Borrowed(text)));
        }
        if let Some(value) = self.member(path) {
            return Some(value);
        }
        if self.event.source == LogSource::CloudTrail {
            return None;
        }
        let others = source::elsewhere(self.event.source, path);
        others.iter().find_map(|path| self.member(path))
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        JsonEvent::borrow(self.parsed()).any_string_value(pred)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let of_record = JsonEvent::borrow(self.parsed());
        let texts = of_record.all_string_values().into_iter();
        texts.map(|text| Cow::Owned(text.into_owned())).collect()
    }

    fn to_json(&self) -> Value {
        self.parsed().clone()
    }
}
