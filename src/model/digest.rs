//! SHA-256, and the canonical bytes of a row over which it is taken.
//!
//! Canonical form: a domain tag, the table's name and the hash of its schema, then every column in schema order as a
//! presence byte followed by the value: integers big-endian, text and lists with a 64-bit length before them. There
//! are no floats and no JSON maps in rows, so equal rows have equal bytes and different rows have different ones.

use sha2::{Digest as _, Sha256};

/// A SHA-256 value.
pub type Sha256Digest = [u8; 32];

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// The value whose lower-case hexadecimal is `text`.
pub fn unhex(text: &str) -> Option<Sha256Digest> {
    let mut digest = Sha256Digest::default();
    let digits = text.as_bytes();
    if digits.len() != digest.len() * 2 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (hex(&digest) == text).then_some(digest)
}

/// A running SHA-256 for bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything added.
    pub fn finish(self) -> Sha256Digest {
        self.0.finalize().into()
    }
}

/// The canonical bytes of one row, written column by column.
#[derive(Debug)]
pub struct Canon {
    /// What is not hashed yet.
    bytes: Vec<u8>,
    hash: Sha256,
    /// A text as long as this is hashed where it stands.
    long: usize,
}

/// A text as long as this is hashed where it stands: gathering it first would copy it.
const LONG: usize = 512;

impl Default for Canon {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            hash: Sha256::new(),
            long: LONG,
        }
    }
}

impl Canon {
    /// One that keeps the bytes of a row together, for [`Canon::bytes`].
    pub fn whole() -> Self {
        Self {
            long: usize::MAX,
            ..Self::default()
        }
    }

    /// The bytes of the row that was begun: all of them, if this is [`Canon::whole`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins a row: everything written before is forgotten, the allocation is kept.
    pub fn begin(&mut self, domain: &[u8]) {
        self.hash.reset();
        self.bytes.clear();
        self.bytes.extend_from_slice(domain);
    }

    /// A column without a value.
    pub fn absent(&mut self) {
        self.bytes.push(0);
    }

    /// An integer, a time, a day or a truth value.
    pub fn integer(&mut self, value: i64) {
        self.bytes.push(1);
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// Text or bytes.
    pub fn text(&mut self, value: &[u8]) {
        self.bytes.push(1);
        self.length(value.len());
        if value.len() >= self.long {
            self.hash.update(&self.bytes);
            self.bytes.clear();
            self.hash.update(value);
        } else {
            self.bytes.extend_from_slice(value);
        }
    }

    /// A list of texts.
    pub fn list<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.bytes.push(1);
        self.length(values.len());
        for value in values {
            self.length(value.len());
            self.bytes.extend_from_slice(value);
        }
    }

    /// The row's digest. The next row begins with [`Canon::begin`].
    pub fn digest(&mut self) -> Sha256Digest {
        self.hash.update(&self.bytes);
        self.hash.finalize_reset().into()
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_nothing_is_the_published_value() {
        assert_eq!(
            hex(&sha256(b"")),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn hexadecimal_is_read_back_and_nothing_else_is() {
        let digest = sha256(b"x");
        let text = hex(&digest);
        assert_eq!(unhex(&text), Some(digest));
        assert_eq!(unhex(&text.to_uppercase()), None);
        assert_eq!(unhex(&text[1..]), None);
        assert_eq!(unhex(&format!("+{}", &text[1..])), None);
    }

    #[test]
    fn neighbouring_columns_cannot_run_into_each_other() {
        let digest = |first: &[u8], second: &[u8]| {
            let mut canon = Canon::default();
            canon.begin(b"t");
            canon.text(first);
            canon.text(second);
            canon.digest()
        };
        assert_ne!(digest(b"ab", b"c"), digest(b"a", b"bc"));
        assert_ne!(digest(b"", b"abc"), digest(b"abc", b""));
    }
}
