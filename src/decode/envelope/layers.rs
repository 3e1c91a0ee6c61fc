//! The layers themselves: what each kind of wrapping is recognised by, and what is looked at inside it.
//!
//! The order is fixed: compression, schema id, byte order mark, text, one or many values, lists, envelopes. Whatever
//! is found inside a layer starts at the top again. Nothing here decides whether an object is a record ([`shape`]).

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::compression::Codec;
use super::shape::{self, Held, Shape};
use super::{Opener, Part, Place, encoding, repair, split};
use crate::decode::cloudtrail;
use crate::decode::json::Members;
use crate::model::{Flags, Ignored, Reject, RejectCode};

/// One compressed part may lie in another (a shipper compresses what a producer had compressed); more is an attack.
const COMPRESSIONS_MAX: usize = 2;

impl Opener<'_> {
    /// Bytes of which nothing is known yet.
    pub(super) fn bytes<'b>(&mut self, bytes: &'b [u8], place: &Place, out: &mut Vec<Part<'b>>) {
        if let Some(codec) = Codec::of(bytes) {
            self.compressed(codec, bytes, place, out);
        } else if encoding::has_schema_id(bytes) {
            if let Some(inner) = self.enter("confluent", place, bytes, out) {
                self.bytes(&bytes[encoding::SCHEMA_ID_BYTES..], &inner, out);
            }
        } else if let Some(rest) = bytes.strip_prefix(encoding::UTF8_BOM) {
            if let Some(inner) = self.enter("bom", place, bytes, out) {
                self.bytes(rest, &inner, out);
            }
        } else if let Some(transcoded) = encoding::utf16(bytes) {
            let Some(inner) = self.enter("bom", place, bytes, out) else {
                return;
            };
            match transcoded {
                Ok(text) => self.owned(text.as_bytes(), &inner, out),
                Err(detail) => self.reject(RejectCode::NotUtf8, detail, bytes, &inner, out),
            }
        } else {
            match std::str::from_utf8(bytes) {
                Ok(text) => self.text(text, place, out),
                Err(error) => {
                    let detail = format!("not UTF-8 at byte {}", error.valid_up_to());
                    self.reject(RejectCode::NotUtf8, detail, bytes, place, out);
                }
            }
        }
    }

    /// Bytes that live only as long as this call: the parts found in them are copied out.
    fn owned(&mut self, bytes: &[u8], place: &Place, out: &mut Vec<Part<'_>>) {
        let mut found = Vec::new();
        self.bytes(bytes, place, &mut found);
        out.extend(found.into_iter().map(Part::into_owned));
    }

    fn compressed<'b>(
        &mut self,
        codec: Codec,
        bytes: &'b [u8],
        place: &Place,
        out: &mut Vec<Part<'b>>,
    ) {
        let Some(mut inner) = self.enter(codec.name(), place, bytes, out) else {
            return;
        };
        inner.compressions += 1;
        if inner.compressions > COMPRESSIONS_MAX {
            let detail = format!("compressed more than {COMPRESSIONS_MAX} times");
            return self.reject(RejectCode::TooLarge, detail, bytes, &inner, out);
        }
        let room = self
            .limits
            .decompressed_bytes_max
            .saturating_sub(self.decompressed_bytes);
        match codec.open(bytes, room, self.limits.ratio_max) {
            Ok(plain) => {
                self.decompressed_bytes += plain.len();
                self.owned(&plain, &inner, out);
            }
            Err(reject) => {
                let raw = Cow::Borrowed(bytes);
                let layers = inner.layers;
                self.push(
                    Part::Reject {
                        reject,
                        raw,
                        layers,
                    },
                    out,
                );
            }
        }
    }

    fn text<'b>(&mut self, text: &'b str, place: &Place, out: &mut Vec<Part<'b>>) {
        let text = text.trim_matches(encoding::blank);
        match text.as_bytes().first() {
            None => self.reject(
                RejectCode::Empty,
                "nothing but white space",
                b"",
                place,
                out,
            ),
            Some(b'{' | b'[' | b'"') => self.values(text, place, out),
            Some(_) => match encoding::base64_payload(text) {
                Some(decoded) => {
                    if let Some(inner) = self.enter("base64", place, text.as_bytes(), out) {
                        self.owned(&decoded, &inner, out);
                    }
                }
                None => {
                    let detail = "the text does not begin like a JSON object or array";
                    self.reject(not_json(place), detail, text.as_bytes(), place, out);
                }
            },
        }
    }

    /// One JSON value or several in a row, with or without line breaks between them.
    fn values<'b>(&mut self, text: &'b str, place: &Place, out: &mut Vec<Part<'b>>) {
        if let Some((name, elements)) = split::whole(text, self.limits.elements_max) {
            return self.elements(name, &elements, text, place, out);
        }
        let mut stream = Deserializer::from_str(text).into_iter::<&RawValue>();
        let mut lines = None;
        let mut end = 0;
        while !self.full
            && let Some(value) = stream.next()
        {
            match value {
                Ok(value) => {
                    end = stream.byte_offset();
                    if lines.is_none() && !text[end..].trim_start().is_empty() {
                        lines = self.enter("ndjson", place, text.as_bytes(), out);
                        if lines.is_none() {
                            return;
                        }
                    }
                    self.value(value.get(), lines.as_ref().unwrap_or(place), out);
                }
                Err(error) => {
                    let place = lines.as_ref().unwrap_or(place);
                    return self.broken(text, end, &error, place, out);
                }
            }
        }
    }

    /// JSON that stops being JSON somewhere after `from`: repaired where that is allowed, else what stands whole at
    /// the front of a list is kept and the rest is one reject.
    fn broken<'b>(
        &mut self,
        text: &'b str,
        from: usize,
        error: &serde_json::Error,
        place: &Place,
        out: &mut Vec<Part<'b>>,
    ) {
        let mut rest = text[from..].trim_start();
        if !error.is_eof()
            && let Some(repaired) = repair::repaired(rest)
        {
            if let Some(mut inner) = self.enter("repaired", place, rest.as_bytes(), out) {
                inner.flags.raise(Flags::REPAIRED);
                let mut found = Vec::new();
                self.values(&repaired, &inner, &mut found);
                out.extend(found.into_iter().map(Part::into_owned));
            }
            return;
        }
        let standing = split::standing(rest, self.limits.elements_max);
        let mut place = Cow::Borrowed(place);
        if !standing.elements.is_empty() {
            let Some(inner) = self.enter(standing.name, &place, rest.as_bytes(), out) else {
                return;
            };
            for element in standing.elements {
                self.value(element.get(), &inner, out);
            }
            place = Cow::Owned(inner);
            rest = standing.left;
        }
        let at = text.len() - rest.len();
        let (code, detail) = if error.is_eof() {
            let detail = format!("JSON breaks off in what begins at byte {at}");
            (RejectCode::Truncated, detail)
        } else {
            let detail = format!("no JSON in what begins at byte {at}: {error}");
            (not_json(&place), detail)
        };
        self.reject(code, detail, rest.as_bytes(), &place, out);
    }

    /// The elements of a list called `name`, whose whole text is `text`.
    fn elements<'b>(
        &mut self,
        name: &'static str,
        elements: &[&'b RawValue],
        text: &'b str,
        place: &Place,
        out: &mut Vec<Part<'b>>,
    ) {
        let Some(mut inner) = self.enter(name, place, text.as_bytes(), out) else {
            return;
        };
        inner.carried |= name != split::ARRAY;
        if elements.is_empty() {
            let reason = Ignored::EmptyEnvelope;
            let layers = inner.layers;
            return self.push(Part::Ignored { reason, layers }, out);
        }
        for element in elements {
            if self.full {
                return;
            }
            self.value(element.get(), &inner, out);
        }
    }

    /// Exactly one JSON value.
    fn value<'b>(&mut self, text: &'b str, place: &Place, out: &mut Vec<Part<'b>>) {
        match text.as_bytes().first() {
            Some(b'{') => self.object(text, place, out),
            Some(b'[') => {
                let elements = split::elements(text, self.limits.elements_max);
                self.elements(split::ARRAY, &elements, text, place, out);
            }
            Some(b'"') => {
                if let Some(inner) = self.enter("json_string", place, text.as_bytes(), out) {
                    self.string(text, &inner, out);
                }
            }
            _ => {
                let detail = "a JSON value that is neither object nor array";
                self.reject(not_json(place), detail, text.as_bytes(), place, out);
            }
        }
    }

    /// A JSON string whose content is looked at like a message of its own.
    fn string<'b>(&mut self, text: &'b str, place: &Place, out: &mut Vec<Part<'b>>) {
        match encoding::unescaped(text) {
            Ok(Cow::Borrowed(content)) => self.bytes(content.as_bytes(), place, out),
            Ok(Cow::Owned(content)) => self.owned(content.as_bytes(), place, out),
            Err(error) => {
                let detail = format!("a JSON string that cannot be read: {error}");
                self.reject(not_json(place), detail, text.as_bytes(), place, out);
            }
        }
    }

    /// Exactly one JSON object: a record, or an envelope around others.
    fn object<'b>(&mut self, text: &'b str, place: &Place, out: &mut Vec<Part<'b>>) {
        if cloudtrail::is_plain(text) {
            return self.element(Cow::Borrowed(text), place, out);
        }
        let members = match Members::parse(text) {
            Ok(members) => members,
            Err(error) => {
                let detail = format!("an object whose members cannot be read: {error}");
                return self.reject(not_json(place), detail, text.as_bytes(), place, out);
            }
        };
        match shape::of(&members, self.limits.elements_max) {
            Shape::Record => self.element(encoding::inlined(text, &members), place, out),
            Shape::Ignored(reason) => {
                let layers = Arc::clone(&place.layers);
                self.push(Part::Ignored { reason, layers }, out);
            }
            Shape::Reject(code, detail) => {
                let reject = Reject {
                    code,
                    detail,
                    fingerprint: members.fingerprint(),
                };
                let raw = Cow::Borrowed(text.as_bytes());
                let layers = Arc::clone(&place.layers);
                self.push(
                    Part::Reject {
                        reject,
                        raw,
                        layers,
                    },
                    out,
                );
            }
            Shape::Holds(name, Held::Elements(elements)) => {
                self.elements(name, &elements, text, place, out);
            }
            Shape::Holds(name, Held::Carried(values)) => {
                self.carried(name, &values, false, text, place, out);
            }
            Shape::Holds(name, Held::Encoded(values)) => {
                self.carried(name, &values, true, text, place, out);
            }
        }
    }

    /// What a transport carries: JSON as it is, in a string, or (`encoded`) as base64 in a string.
    fn carried<'b>(
        &mut self,
        name: &'static str,
        values: &[&'b RawValue],
        encoded: bool,
        text: &'b str,
        place: &Place,
        out: &mut Vec<Part<'b>>,
    ) {
        let Some(mut inner) = self.enter(name, place, text.as_bytes(), out) else {
            return;
        };
        inner.carried = true;
        if values.is_empty() {
            let reason = Ignored::EmptyEnvelope;
            let layers = inner.layers;
            return self.push(Part::Ignored { reason, layers }, out);
        }
        for value in values {
            let value = value.get();
            if self.full {
                return;
            } else if value == "null" {
                let reason = Ignored::Tombstone;
                let layers = Arc::clone(&inner.layers);
                self.push(Part::Ignored { reason, layers }, out);
            } else if !value.starts_with('"') {
                self.value(value, &inner, out);
            } else if encoded && let Some(bytes) = encoding::base64_string(value) {
                self.owned(&bytes, &inner, out);
            } else {
                self.string(value, &inner, out);
            }
        }
    }
}

/// What to call text that is not JSON: inside a transport it is somebody else's payload.
const fn not_json(place: &Place) -> RejectCode {
    if place.carried {
        RejectCode::ForeignPayload
    } else {
        RejectCode::NotJson
    }
}
