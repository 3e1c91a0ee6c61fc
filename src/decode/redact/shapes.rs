//! Texts that have the shape of a secret, whatever member they stand in: tokens, private keys, signed addresses.
//!
//! Each shape is looked for in the whole text at once by a fixed part of it, so a record without any costs a few
//! vector searches. No shape contains a quote, so none reaches beyond the string it stands in.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memmem};

use super::{Kind, Span, backslashes_before, harmless};

/// The fixed parts, prepared once.
struct Finders {
    json_web_token: Finder<'static>,
    private_key: Finder<'static>,
    escaped_equals: Finder<'static>,
    service_tokens: [ServiceToken; 4],
}

/// A prefix of the tokens that AWS issues: for sessions, base64 of a version and the issuing service.
struct ServiceToken {
    finder: Finder<'static>,
    /// What may stand before the part that is looked for: the version.
    before: &'static [&'static [u8]],
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    json_web_token: Finder::new(b"eyJ"),
    private_key: Finder::new(PRIVATE_KEY),
    escaped_equals: Finder::new(b"u003"),
    service_tokens: [
        ServiceToken {
            finder: Finder::new(b"bedrock-api-key-"),
            before: &[b""],
        },
        ServiceToken {
            finder: Finder::new(b"IQoJb3JpZ2lu"),
            before: &[b""],
        },
        ServiceToken {
            finder: Finder::new(b"oGZXIvYXdz"),
            before: &[b"Fw", b"FQ"],
        },
        ServiceToken {
            finder: Finder::new(b"QoDYXdz"),
            before: &[b"A", b"F"],
        },
    ],
});

/// The end of a key's first line; the kind of key stands before it.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// The first line of a key with the longest kind in use is shorter than this.
const FIRST_LINE_BYTES_MAX: usize = 48;

/// These tokens are several hundred bytes; a shorter text with its prefix is a mention of one.
const TOKEN_BYTES_MIN: usize = 32;

/// Members of a query or a connection string whose value is a secret, with the least length that value has.
///
/// `code` is an authorization code in a redirect, but `code=404` is not, hence its length.
const ASSIGNED: [(&str, usize); 15] = [
    ("access_token", 1),
    ("accountkey", 1),
    ("aws_secret_access_key", 1),
    ("aws_session_token", 1),
    ("client_assertion", 1),
    ("client_secret", 1),
    ("code", 16),
    ("id_token", 1),
    ("password", 1),
    ("pwd", 1),
    ("refresh_token", 1),
    ("sharedaccesskey", 1),
    ("sig", 8),
    ("x-amz-security-token", 1),
    ("x-amz-signature", 1),
];

/// The longest name in [`ASSIGNED`] and an escape that may stand before it.
const NAME_BYTES_MAX: usize = 32;

/// Marks everything in `text` that has the shape of a secret.
pub(super) fn find(text: &str, spans: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    let mut mark = |start: usize, end: usize| {
        let start = behind_escape(bytes, start).min(end);
        if !harmless(&bytes[start..end]) {
            spans.push(Span {
                start,
                end,
                kind: Kind::Inside,
            });
        }
    };
    // What was taken once is not looked at again; a value full of names would cost its length for each of them.
    let mut done = 0;
    for equals in memchr_iter(b'=', bytes) {
        if equals >= done
            && let Some((start, end)) = assigned(bytes, equals, equals + 1)
        {
            mark(start, end);
            done = end;
        }
    }
    done = 0;
    for found in FINDERS.escaped_equals.find_iter(bytes) {
        let name_end = found - backslashes_before(&bytes[..found]);
        let equals = name_end < found && matches!(bytes.get(found + 4), Some(b'd' | b'D'));
        if equals
            && found >= done
            && let Some((start, end)) = assigned(bytes, name_end, found + 5)
        {
            mark(start, end);
            done = end;
        }
    }
    json_web_tokens(bytes, &mut mark);
    private_keys(bytes, &mut mark);
    for token in &FINDERS.service_tokens {
        service_tokens(bytes, token, &mut mark);
    }
}

/// The value of the assignment whose name ends before `name_end`, if the name is one of [`ASSIGNED`].
fn assigned(bytes: &[u8], name_end: usize, value: usize) -> Option<(usize, usize)> {
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'-');
    let window = &bytes[name_end.saturating_sub(NAME_BYTES_MAX)..name_end];
    let length = window.iter().rev().take_while(in_name).count();
    let start = name_end - length;
    let mut name = &bytes[start..name_end];
    if start > 0 && bytes[start - 1] == b'\\' {
        // The letters of an escape (`\n`, `\u0026`) are not part of the name behind it.
        let escape = if name.first() == Some(&b'u') { 5 } else { 1 };
        name = name.get(escape..)?;
    }
    let (_, length_min) = ASSIGNED
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))?;
    let end = value_end(bytes, value);
    (end - value >= *length_min).then_some((value, end))
}

/// Three parts of base64 between dots, the first of which begins like `{"`; more parts if it is encrypted.
fn json_web_tokens(bytes: &[u8], mark: &mut impl FnMut(usize, usize)) {
    let part_end = |from: usize| {
        let in_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'-');
        from + bytes[from..].iter().take_while(in_part).count()
    };
    let dot = |at: usize| bytes.get(at) == Some(&b'.');
    let mut from = 0;
    while let Some(found) = FINDERS.json_web_token.find(&bytes[from..]) {
        let start = from + found;
        let header_end = part_end(start);
        from = header_end;
        if !dot(header_end) {
            continue;
        }
        let claims_end = part_end(header_end + 1);
        if !dot(claims_end) || claims_end == header_end + 1 {
            continue;
        }
        let mut end = part_end(claims_end + 1);
        while dot(end) {
            end = part_end(end + 1);
        }
        mark(start, end);
        from = end;
    }
}

/// From the first line of a key to its last, or to the end of the string when the last was cut off.
fn private_keys(bytes: &[u8], mark: &mut impl FnMut(usize, usize)) {
    let mut from = 0;
    let mut string_end = 0;
    while let Some(found) = FINDERS.private_key.find(&bytes[from..]) {
        let kind_end = from + found;
        let body = kind_end + PRIVATE_KEY.len();
        let window = kind_end.saturating_sub(FIRST_LINE_BYTES_MAX).max(from);
        let Some(begin) = memmem::rfind(&bytes[window..kind_end], b"-----BEGIN") else {
            from = body;
            continue;
        };
        if string_end < body {
            string_end = memchr(b'"', &bytes[body..]).map_or(bytes.len(), |at| body + at);
        }
        let rest = &bytes[body..string_end];
        let last_line = memmem::find(rest, b"-----END").and_then(|line| {
            let kind = line + b"-----END".len();
            memmem::find(&rest[kind..], b"-----").map(|dashes| body + kind + dashes + 5)
        });
        let end = last_line.unwrap_or_else(|| string_end - backslashes_before(rest));
        mark(window + begin, end);
        from = end;
    }
}

fn service_tokens(bytes: &[u8], token: &ServiceToken, mark: &mut impl FnMut(usize, usize)) {
    let mut done = 0;
    for found in token.finder.find_iter(bytes) {
        if found < done {
            continue;
        }
        let Some(before) = token
            .before
            .iter()
            .find(|before| bytes[..found].ends_with(before))
        else {
            continue;
        };
        let start = found - before.len();
        let end = value_end(bytes, found);
        done = end;
        if end - start >= TOKEN_BYTES_MIN {
            mark(start, end);
        }
    }
}

/// `start`, or the end of the escape that `start` is in: the last digit of one can look like the first letter of a
/// shape, and half an escape would make the text invalid.
fn behind_escape(bytes: &[u8], start: usize) -> usize {
    const UNICODE_BYTES: usize = 6;
    if start > 0 && bytes[start - 1] == b'\\' {
        return start + 1;
    }
    let window = start.saturating_sub(UNICODE_BYTES - 1);
    match memmem::rfind(&bytes[window..start], b"\\u") {
        Some(escape) => window + escape + UNICODE_BYTES,
        None => start,
    }
}

/// The end of an unquoted value: what separates members of a query, of a connection string or words ends it.
///
/// A backslash ends it too, unless it escapes a character that base64 uses.
fn value_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            0..=b' ' | b'"' | b'&' | b'\'' | b',' | b';' | b'<' | b'>' => break,
            b'\\' => match escape_end(bytes, at) {
                Some(end) => at = end,
                None => break,
            },
            _ => at += 1,
        }
    }
    at
}

/// The end of an escaped `/`, `+` or `=`, at any depth of strings in strings.
fn escape_end(bytes: &[u8], at: usize) -> Option<usize> {
    let run = bytes[at..]
        .iter()
        .take_while(|byte| **byte == b'\\')
        .count();
    let letter = at + run;
    match bytes.get(letter)? {
        b'/' => Some(letter + 1),
        b'u' => {
            let digits = bytes.get(letter + 1..letter + 5)?;
            let base64: [&[u8]; 3] = [b"002b", b"002f", b"003d"];
            base64
                .iter()
                .any(|code| digits.eq_ignore_ascii_case(code))
                .then_some(letter + 5)
        }
        _ => None,
    }
}
