//! Encodings of text: byte order marks, UTF-16, schema ids, base64, and JSON that was put into a JSON string.
//!
//! Each function says whether its encoding is there and what it holds; none of them follows what it found.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;

use super::compression::Codec;
use crate::decode::json::{Members, Text};

/// What some Windows producers put in front of UTF-8.
pub(super) const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// A zero byte and the schema's number, which serialisers with a schema registry put in front of JSON.
pub(super) const SCHEMA_ID_BYTES: usize = 5;

/// Shorter text is not taken for base64: a word or a number would pass as well, and no record is that short.
const BASE64_BYTES_MIN: usize = 16;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// What may stand around JSON without meaning anything, including the padding of fixed-size records.
pub(super) const fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\0' | '\u{feff}')
}

/// Whether JSON follows a schema registry's prefix.
pub(super) const fn has_schema_id(bytes: &[u8]) -> bool {
    matches!(bytes, [0, _, _, _, _, b'{' | b'[' | b'"', ..])
}

/// How two bytes of the text become one UTF-16 unit.
type ReadUnit = fn([u8; 2]) -> u16;

/// UTF-16 with a byte order mark as UTF-8, or why it cannot be. `None` when there is no such mark.
pub(super) fn utf16(bytes: &[u8]) -> Option<Result<String, String>> {
    let (units, read): (&[u8], ReadUnit) = match bytes {
        [0xff, 0xfe, units @ ..] => (units, u16::from_le_bytes),
        [0xfe, 0xff, units @ ..] => (units, u16::from_be_bytes),
        _ => return None,
    };
    if units.len() % 2 == 1 {
        return Some(Err("UTF-16 with half a character at its end".to_owned()));
    }
    let units = units.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    Some(text.map_err(|error| format!("not UTF-16: {error}")))
}

/// What base64 text decodes to, if it is one compressed part, JSON or marked text, and not just any word.
pub(super) fn base64_payload(text: &str) -> Option<Vec<u8>> {
    if text.len() < BASE64_BYTES_MIN {
        return None;
    }
    let decoded = base64(text)?;
    let promising = Codec::of(&decoded).is_some()
        || decoded.starts_with(UTF8_BOM)
        || decoded.starts_with(b"\xff\xfe")
        || decoded.starts_with(b"\xfe\xff")
        || matches!(decoded.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    promising.then_some(decoded)
}

/// The bytes in a JSON string that holds base64 text.
pub(super) fn base64_string(json: &str) -> Option<Vec<u8>> {
    base64(&unescaped(json).ok()?)
}

/// Standard or URL-safe, padded or not, in one line or many.
fn base64(text: &str) -> Option<Vec<u8>> {
    let in_alphabet = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\r' | b'\n')
    };
    if !text.bytes().all(in_alphabet) {
        return None;
    }
    let mut text = Cow::Borrowed(text);
    if text.contains(['\r', '\n']) {
        text = Cow::Owned(text.replace(['\r', '\n'], ""));
    }
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text.as_bytes()).ok()
}

/// The content of the JSON string `json`, borrowed when it holds no escapes.
pub(super) fn unescaped(json: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    let text: Text<'_> = serde_json::from_str(json)?;
    Ok(text.0.unwrap_or_default())
}

/// `text` with each of its `members` that is a string of JSON replaced by the JSON it holds, one level deep.
///
/// Several Azure exports put `properties`, claims and targets into strings. CloudTrail is left as it is: a string
/// there is what the caller sent.
pub(super) fn inlined<'a>(text: &'a str, members: &Members<'a>) -> Cow<'a, str> {
    let holds_json = |value: &RawValue| matches!(value.get().as_bytes(), [b'"', b'{' | b'[', ..]);
    if members.has("eventSource") || !members.iter().any(|(_, value)| holds_json(value)) {
        return Cow::Borrowed(text);
    }
    let mut rebuilt = String::with_capacity(text.len());
    let mut changed = false;
    for (name, value) in members.iter() {
        rebuilt.push(if rebuilt.is_empty() { '{' } else { ',' });
        rebuilt.push_str(&serde_json::Value::from(name).to_string());
        rebuilt.push(':');
        let content = holds_json(value).then(|| unescaped(value.get()).ok());
        match content.flatten() {
            Some(content) if serde_json::from_str::<&RawValue>(&content).is_ok() => {
                rebuilt.push_str(&content);
                changed = true;
            }
            _ => rebuilt.push_str(value.get()),
        }
    }
    rebuilt.push('}');
    if changed {
        Cow::Owned(rebuilt)
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_inlined(text: &str, expected: &str) {
        let members = Members::parse(text).unwrap();
        assert_eq!(inlined(text, &members), expected);
    }

    #[test]
    fn strings_of_json_are_inlined_once() {
        check_inlined(
            r#"{"time":"t", "properties":"{\"a\":\"{\\\"b\\\":1}\"}","Claims":"[1]"}"#,
            r#"{"time":"t","properties":{"a":"{\"b\":1}"},"Claims":[1]}"#,
        );
        for same in [
            r#"{"time": "t", "properties": {"a":"{\"b\":1}"}}"#,
            r#"{"properties":"{'a':1}"}"#,
            r#"{"eventSource":"sts.amazonaws.com","responseElements":"{\"a\":1}"}"#,
        ] {
            check_inlined(same, same);
        }
    }

    #[test]
    fn base64_is_taken_in_every_common_form() {
        let expected = Some(b"{\"a\":\"?>~~\"}  ".to_vec());
        for text in [
            "eyJhIjoiPz5+fiJ9ICA=",
            "eyJhIjoiPz5+fiJ9ICA",
            "eyJhIjoiPz5-fiJ9ICA",
            "eyJhIjoiPz5+\r\nfiJ9ICA=",
        ] {
            assert_eq!(base64_payload(text), expected, "{text}");
        }
        for text in ["abcdefghijklmnop", "eyJhIjox", "{\"a\":1}, and more text"] {
            assert_eq!(base64_payload(text), None, "{text}");
        }
    }

    #[test]
    fn utf16_is_read_in_both_orders() {
        assert_eq!(utf16(b"\xff\xfe{\0}\0"), Some(Ok("{}".to_owned())));
        assert_eq!(utf16(b"\xfe\xff\0{\0}"), Some(Ok("{}".to_owned())));
        assert_eq!(utf16(b"{}"), None);
        assert!(utf16(b"\xff\xfe{").is_some_and(|text| text.is_err()));
        assert!(utf16(b"\xff\xfe\x00\xd8").is_some_and(|text| text.is_err()));
    }
}
