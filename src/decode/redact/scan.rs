//! One pass over JSON-like text that finds string tokens, tells names from values, and marks what [`names`] asks for.
//!
//! It is lexical: it keeps no stack and accepts text that is broken or cut, because rejects are cleaned as well. JSON
//! inside a string is walked in place. There, a quote that delimits a string has backslashes before it: one inside
//! one string, three inside two, seven inside three.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};

use super::names::{self, Action};
use super::{Kind, Span, backslashes_before, harmless};
use crate::decode::find;

/// JSON in strings in strings is followed to this many backslashes, which is four strings deep. Shapes are found at
/// any depth; a name would have to be hidden deeper than any envelope nests.
const BACKSLASHES_MAX: usize = 15;

/// The beginning of an escape that can stand for a letter.
static ESCAPED_LETTER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u00"));

/// Marks the values of members that must not be kept.
pub(super) fn find(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut scan = Scan {
        text,
        bytes,
        spans,
        escapes: ESCAPED_LETTER.find(bytes).is_some(),
        events: None,
    };
    let whole = Level {
        start: 0,
        end: bytes.len(),
        backslashes: 0,
    };
    scan.level(whole, false);
}

struct Scan<'t, 's> {
    text: &'t str,
    bytes: &'t [u8],
    spans: &'s mut Vec<Span>,
    /// Whether a letter may be written as an escape, so that a name must be unescaped before it is compared.
    escapes: bool,
    events: Option<Events>,
}

/// Which of the events are in the text for which a member means something else than usual.
#[derive(Clone, Copy)]
struct Events {
    put_parameter: bool,
    send_command: bool,
}

/// A stretch of JSON: the text itself, or the content of a string in it.
#[derive(Clone, Copy)]
struct Level {
    start: usize,
    end: usize,
    /// How many backslashes stand before a quote that delimits a string.
    backslashes: usize,
}

/// Where a string's content ends.
#[derive(Clone, Copy)]
struct Token {
    end: usize,
    /// The first byte behind the closing quote.
    after: usize,
    /// There are escaped quotes in it, so it may hold JSON.
    nested: bool,
}

/// Up to where the values that began earlier reach.
struct Until {
    leaves: usize,
    pairs: usize,
    body: usize,
}

impl Scan<'_, '_> {
    fn level(&mut self, level: Level, body: bool) {
        let mut until = Until {
            leaves: 0,
            pairs: 0,
            body: if body { level.end } else { 0 },
        };
        let mut at = level.start;
        while let Some(content) = self.opening(at, level) {
            let token = self.closing(content, level);
            at = match self.value_after(token.after, level) {
                Some(value) => self.member(content, token.end, value, level, &mut until),
                None => {
                    self.string(content, token, level, &until);
                    token.after
                }
            };
        }
    }

    /// A member: its name is `name..name_end`, its value begins at `value`. Returns where to go on.
    fn member(
        &mut self,
        name: usize,
        name_end: usize,
        value: usize,
        level: Level,
        until: &mut Until,
    ) -> usize {
        let Some(action) = self.action(name, name_end, value, level, until) else {
            return value;
        };
        let composite = matches!(self.bytes.get(value), Some(b'{' | b'['));
        match action {
            Action::Leaves if composite && self.bytes[value] == b'{' => {
                if value >= until.leaves {
                    until.leaves = self.composite_end(value, level);
                }
                value
            }
            Action::Leaves | Action::Pairs if composite => {
                if value >= until.pairs {
                    until.pairs = self.composite_end(value, level);
                }
                value
            }
            Action::Pairs => value,
            Action::Body => {
                if value >= until.body {
                    until.body = match self.string_at(value, level) {
                        Some(content) => self.closing(content, level).after,
                        None if composite => self.composite_end(value, level),
                        None => 0,
                    };
                }
                value
            }
            Action::Whole | Action::Leaves | Action::ValueOfParameter | Action::Command => {
                self.replace(value, level)
            }
        }
    }

    /// What the name asks for, given where it stands and which event this is.
    fn action(
        &mut self,
        name: usize,
        name_end: usize,
        value: usize,
        level: Level,
        until: &Until,
    ) -> Option<Action> {
        let text = self.text;
        let raw = &text[name..name_end];
        let unescaped = if self.escapes && level.backslashes == 0 && raw.contains('\\') {
            serde_json::from_str::<String>(&format!("\"{raw}\"")).ok()
        } else {
            None
        };
        let name = unescaped.as_deref().unwrap_or(raw).as_bytes();
        match names::action(name) {
            Some(Action::ValueOfParameter) => {
                let secret = value < until.pairs || self.events().put_parameter;
                secret.then_some(Action::Whole)
            }
            Some(Action::Command) => self.events().send_command.then_some(Action::Leaves),
            Some(action) => Some(action),
            None if value < until.body && names::resembles(name) => {
                Some(self.suspected(value, level))
            }
            None => None,
        }
    }

    /// A name in a body that resembles a secret's: a list of strings or a single value goes, an object or a list of
    /// objects (`keys`, `secrets`) describes the secret and loses only its `value`s.
    fn suspected(&self, value: usize, level: Level) -> Action {
        match self.bytes.get(value) {
            Some(b'{') => Action::Pairs,
            Some(b'[') => {
                let first = self.skip_blank(value + 1, level);
                match self.bytes.get(first) {
                    Some(b'{' | b'[') => Action::Pairs,
                    _ => Action::Whole,
                }
            }
            _ => Action::Whole,
        }
    }

    /// Marks the value at `value`, whatever its type. Truth values, `null` and empty values hold no secret.
    fn replace(&mut self, value: usize, level: Level) -> usize {
        if let Some(content) = self.string_at(value, level) {
            let token = self.closing(content, level);
            self.mark_string(content, token.end);
            return token.after;
        }
        let (end, secret) = match self.bytes.get(value) {
            Some(b'{' | b'[') => {
                let end = self.composite_end(value, level);
                let first = self.skip_blank(value + 1, level);
                (end, !matches!(self.bytes.get(first), Some(b'}' | b']')))
            }
            _ => {
                let end = self.scalar_end(value, level);
                let scalar = &self.bytes[value..end];
                let literal: [&[u8]; 4] = [b"", b"true", b"false", b"null"];
                (end, !literal.contains(&scalar))
            }
        };
        if secret {
            let kind = Kind::Value {
                backslashes: level.backslashes,
            };
            self.spans.push(Span {
                start: value,
                end,
                kind,
            });
        }
        end
    }

    /// A string that is no member's name.
    fn string(&mut self, content: usize, token: Token, level: Level, until: &Until) {
        if content < until.leaves {
            self.mark_string(content, token.end);
            return;
        }
        if !token.nested || level.backslashes >= BACKSLASHES_MAX {
            return;
        }
        let inner = Level {
            start: content,
            end: token.end,
            backslashes: 2 * level.backslashes + 1,
        };
        let first = self.skip_blank(content, inner);
        if first < token.end && matches!(self.bytes[first], b'{' | b'[') {
            self.level(inner, content < until.body);
        }
    }

    fn mark_string(&mut self, start: usize, end: usize) {
        if !harmless(&self.bytes[start..end]) {
            self.spans.push(Span {
                start,
                end,
                kind: Kind::Inside,
            });
        }
    }

    /// The first byte of the content of the next string at or after `at`.
    fn opening(&self, at: usize, level: Level) -> Option<usize> {
        if level.backslashes == 0 {
            // In compact JSON the next string is right here or behind a comma; a search would cost more than a look.
            match self.bytes.get(at..level.end)? {
                [b'"', ..] => return Some(at + 1),
                [b',', b'"', ..] => return Some(at + 2),
                _ => (),
            }
        }
        let mut from = at;
        let bytes = &self.bytes[..level.end];
        while let Some(quote) = find::quote(bytes, from) {
            if self.delimits(quote, level.start, level)
                && (level.backslashes > 0 || self.opens(quote))
            {
                return Some(quote + 1);
            }
            from = quote + 1;
        }
        None
    }

    /// Whether a quote can open a string, by what stands before it. In text that lost a quote this finds the beat
    /// again: a quote behind a letter is the closing one of a string that was missed.
    fn opens(&self, quote: usize) -> bool {
        let before = self.bytes[..quote]
            .iter()
            .rev()
            .find(|byte| !byte.is_ascii_whitespace());
        matches!(before, None | Some(b':' | b',' | b'[' | b'{'))
    }

    /// The end of the string whose content begins at `content`; the end of the level if it is cut.
    fn closing(&self, content: usize, level: Level) -> Token {
        let mut nested = false;
        let mut from = content;
        let bytes = &self.bytes[..level.end];
        while let Some(quote) = find::quote(bytes, from) {
            if self.delimits(quote, content, level) {
                return Token {
                    end: quote - level.backslashes,
                    after: quote + 1,
                    nested,
                };
            }
            nested = true;
            from = quote + 1;
        }
        Token {
            end: level.end,
            after: level.end,
            nested,
        }
    }

    /// Whether the quote delimits a string of this level, or is part of one. Backslashes before `floor` do not count.
    fn delimits(&self, quote: usize, floor: usize, level: Level) -> bool {
        let run = backslashes_before(&self.bytes[floor..quote]);
        // Each backslash of the string's own text takes one more than the level has; an even number of them is a
        // number of escaped backslashes, an odd number escapes the quote.
        let step = 2 * (level.backslashes + 1);
        run >= level.backslashes && (run - level.backslashes).is_multiple_of(step)
    }

    /// Where the value begins, if a colon follows: then the string before it was a name.
    fn value_after(&self, after: usize, level: Level) -> Option<usize> {
        let colon = self.skip_blank(after, level);
        if colon < level.end && self.bytes[colon] == b':' {
            Some(self.skip_blank(colon + 1, level))
        } else {
            None
        }
    }

    /// Passes over white space, inside strings also over its escapes.
    fn skip_blank(&self, mut at: usize, level: Level) -> usize {
        while at < level.end {
            match self.bytes[at] {
                b' ' | b'\t' | b'\r' | b'\n' => at += 1,
                b'\\' if level.backslashes > 0 => {
                    let run = self.bytes[at..level.end]
                        .iter()
                        .take_while(|byte| **byte == b'\\')
                        .count();
                    match self.bytes[..level.end].get(at + run) {
                        Some(b'n' | b'r' | b't') => at += run + 1,
                        _ => return at,
                    }
                }
                _ => return at,
            }
        }
        at
    }

    /// The first byte of the content, if the value at `value` is a string.
    fn string_at(&self, value: usize, level: Level) -> Option<usize> {
        let quote = value + level.backslashes;
        let opening = self.bytes[..level.end].get(value..=quote)?;
        let (last, before) = opening.split_last()?;
        (*last == b'"' && before.iter().all(|byte| *byte == b'\\')).then_some(quote + 1)
    }

    /// The first byte behind the object or array that begins at `open`; the end of the level if it is cut.
    fn composite_end(&self, open: usize, level: Level) -> usize {
        let mut depth: usize = 0;
        let mut at = open;
        while at < level.end {
            match self.bytes[at] {
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth <= 1 => return at + 1,
                b'}' | b']' => depth -= 1,
                b'"' if self.delimits(at, open, level) => {
                    at = self.closing(at + 1, level).after;
                    continue;
                }
                _ => (),
            }
            at += 1;
        }
        level.end
    }

    fn scalar_end(&self, value: usize, level: Level) -> usize {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",}]\"\\".contains(byte);
        let length = self.bytes[value..level.end].iter().position(ends);
        length.map_or(level.end, |length| value + length)
    }

    /// Looked for only when a member needs to know, which is seldom.
    fn events(&mut self) -> Events {
        const NAME: &[u8] = b"ventName";
        if let Some(events) = self.events {
            return events;
        }
        let mut events = Events {
            put_parameter: false,
            send_command: false,
        };
        for at in memmem::find_iter(self.bytes, NAME) {
            let rest = &self.bytes[at + NAME.len()..];
            let start = rest.iter().position(u8::is_ascii_alphabetic);
            let value = &rest[start.unwrap_or(rest.len())..];
            events.put_parameter |= value.starts_with(b"PutParameter");
            events.send_command |= value.starts_with(b"SendCommand");
        }
        self.events = Some(events);
        events
    }
}
