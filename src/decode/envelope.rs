//! What wraps a record: compression, encodings, transports and collectors, taken off one layer at a time.
//!
//! A producer may change what it sends from one message to the next, so every message is looked at for itself. What
//! comes out is a list of [`Part`]s in the order of the message: the text of each element as it stands there, or why
//! a piece is not an element. Every byte string ends in at least one part, and no limit is passed over in silence.
//! This file does not say which log an element comes from and does not read what is in it: the log sources do that.

mod compression;
mod encoding;
mod layers;
mod repair;
mod shape;
mod split;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::{Flags, Ignored, Reject, RejectCode};

/// Limits that hold before anything is allocated for what a message claims to be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A longer payload is one reject (`too_large`) and is not looked at.
    pub message_bytes_max: usize,
    /// What all compressed parts of one message may unpack to together. The part that would pass it is a reject.
    pub decompressed_bytes_max: usize,
    /// How many times its own size a compressed part may unpack to. A part beyond it is a reject. Results of less
    /// than a mebibyte are exempt: they harm nobody, and short repetitive logs reach any ratio honestly.
    pub ratio_max: usize,
    /// How deep an element's JSON may nest. A deeper element is a reject, its neighbours are not affected.
    pub depth_max: usize,
    /// How many parts one message may have. What follows is one reject that holds the first of them.
    pub elements_max: usize,
    /// How many layers may lie around an element. A piece with more is a reject.
    pub layers_max: usize,
}

/// What one message turned out to hold, piece by piece, in order.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// One JSON value, most often an object. Its text borrows from the payload unless a layer had to be rebuilt.
    Element {
        text: Cow<'a, str>,
        /// What lay around it, outermost first, `gzip>records`; empty for a bare record.
        layers: Arc<str>,
        flags: Flags,
    },
    /// Understood, and nothing to attribute.
    Ignored { reason: Ignored, layers: Arc<str> },
    /// Neither; `raw` is what could not be read, as far as it was unwrapped.
    Reject {
        reject: Reject,
        raw: Cow<'a, [u8]>,
        layers: Arc<str>,
    },
}

impl Part<'_> {
    /// The same part without a borrow from the buffer it was found in.
    fn into_owned<'b>(self) -> Part<'b> {
        match self {
            Self::Element {
                text,
                layers,
                flags,
            } => Part::Element {
                text: Cow::Owned(text.into_owned()),
                layers,
                flags,
            },
            Self::Ignored { reason, layers } => Part::Ignored { reason, layers },
            Self::Reject {
                reject,
                raw,
                layers,
            } => Part::Reject {
                reject,
                raw: Cow::Owned(raw.into_owned()),
                layers,
            },
        }
    }
}

/// Takes a message apart. Never empty, never panics, whatever the bytes are.
pub(crate) fn open<'a>(payload: &'a [u8], limits: &Limits) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut opener = Opener::new(limits);
    let place = Place::default();
    if payload.len() > limits.message_bytes_max {
        let detail = format!(
            "{} bytes are more than the {} that a message may have",
            payload.len(),
            limits.message_bytes_max
        );
        opener.reject(RejectCode::TooLarge, detail, payload, &place, &mut parts);
    } else {
        opener.bytes(payload, &place, &mut parts);
    }
    parts
}

/// Where in the message the opener is.
#[derive(Clone, Default)]
struct Place {
    layers: Arc<str>,
    depth: usize,
    /// How many of the layers are compressions.
    compressions: usize,
    /// Inside a transport: text that is no JSON is then something foreign, not a broken message.
    carried: bool,
    flags: Flags,
}

/// The state of one call of [`open`]: what has been spent of the limits so far.
struct Opener<'l> {
    limits: &'l Limits,
    elements: usize,
    decompressed_bytes: usize,
    /// The limit of elements was reached and has been reported.
    full: bool,
}

impl<'l> Opener<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            elements: 0,
            decompressed_bytes: 0,
            full: false,
        }
    }

    fn element<'b>(&mut self, text: Cow<'b, str>, place: &Place, out: &mut Vec<Part<'b>>) {
        let layers = Arc::clone(&place.layers);
        let flags = place.flags;
        let part = if split::deeper(&text, self.limits.depth_max) {
            let detail = format!("JSON nested deeper than {} levels", self.limits.depth_max);
            Part::Reject {
                reject: Reject::new(RejectCode::TooLarge, detail),
                raw: raw_of(text),
                layers,
            }
        } else {
            Part::Element {
                text,
                layers,
                flags,
            }
        };
        self.push(part, out);
    }

    /// Steps into the layer `name`, unless that is one too many: then `raw` is rejected and there is no inside.
    fn enter<'b>(
        &mut self,
        name: &str,
        place: &Place,
        raw: &'b [u8],
        out: &mut Vec<Part<'b>>,
    ) -> Option<Place> {
        if place.depth >= self.limits.layers_max {
            let detail = format!("more than {} layers", self.limits.layers_max);
            self.reject(RejectCode::TooLarge, detail, raw, place, out);
            return None;
        }
        let layers = match &*place.layers {
            "" => Arc::from(name),
            outer => Arc::from(format!("{outer}>{name}")),
        };
        Some(Place {
            layers,
            depth: place.depth + 1,
            ..place.clone()
        })
    }

    fn reject<'b>(
        &mut self,
        code: RejectCode,
        detail: impl Into<String>,
        raw: &'b [u8],
        place: &Place,
        out: &mut Vec<Part<'b>>,
    ) {
        let part = Part::Reject {
            reject: Reject::new(code, detail),
            raw: Cow::Borrowed(raw),
            layers: Arc::clone(&place.layers),
        };
        self.push(part, out);
    }

    /// Every part of a message goes through here, so that the limit of elements holds across all its layers.
    fn push<'b>(&mut self, part: Part<'b>, out: &mut Vec<Part<'b>>) {
        if self.full {
            return;
        }
        if self.elements < self.limits.elements_max {
            self.elements += 1;
            out.push(part);
            return;
        }
        self.full = true;
        let detail = format!(
            "more than {} elements; this one and what follows it were not read",
            self.limits.elements_max
        );
        let (raw, layers) = match part {
            Part::Element { text, layers, .. } => (raw_of(text), layers),
            Part::Ignored { layers, .. } => (Cow::Borrowed(&b""[..]), layers),
            Part::Reject { raw, layers, .. } => (raw, layers),
        };
        out.push(Part::Reject {
            reject: Reject::new(RejectCode::TooLarge, detail),
            raw,
            layers,
        });
    }
}

fn raw_of(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
