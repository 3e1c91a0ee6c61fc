//! Whether two records say the same, whichever way they were written down.
//!
//! One record reaches us through several ways, and some of them write its members in another order or with other
//! white space. The fingerprint is a sum over all values with their paths, so order and white space do not matter.
//! It decides only whether a second record with a known id is a copy; it is no protection against forgery by itself.

use super::find;

/// FNV-1a's offset and prime: a small, fixed hash, the same on every machine.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The fingerprint of the JSON in `text`: a sum over every value and the path of member names to it.
pub(super) fn fingerprint(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut sum = 0_u64;
    // The path of the object or list that is being read, and the name of the member in it.
    let mut path = Vec::new();
    let (mut parent, mut name) = (OFFSET, OFFSET);
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at + 1);
                let hash = fnv(&bytes[at + 1..end.min(bytes.len())]);
                at = end + 1;
                let after = at + white(&bytes[at.min(bytes.len())..]);
                if bytes.get(after) == Some(&b':') {
                    name = pair(parent, hash);
                    at = after + 1;
                } else {
                    sum = sum.wrapping_add(pair(name, hash));
                }
            }
            b'{' | b'[' => {
                path.push((parent, name));
                parent = name;
                at += 1;
            }
            b'}' | b']' => {
                (parent, name) = path.pop().unwrap_or((OFFSET, OFFSET));
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let rest = &bytes[at..];
                let length = rest
                    .iter()
                    .position(|byte| b",}] \t\r\n".contains(byte))
                    .unwrap_or(rest.len());
                sum = sum.wrapping_add(pair(name, fnv(&rest[..length])));
                at += length;
            }
        }
    }
    sum
}

/// Where the string that begins at `start` ends: the index of its closing quote, or past the end.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = find::quote_or_backslash(bytes, at) {
        if bytes[found] == b'"' {
            return found;
        }
        at = found + 2;
    }
    bytes.len()
}

fn white(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count()
}

/// Eight bytes at a time: a record has hundreds of tokens, and all of them are hashed.
fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = OFFSET ^ bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = (hash ^ u64::from_le_bytes(*chunk)).wrapping_mul(PRIME);
        hash ^= hash >> 29;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    }
    hash
}

/// A pair's share of the sum, mixed so that names and values cannot be exchanged (MurmurHash3's finalizer).
const fn pair(name: u64, value: u64) -> u64 {
    let mut mixed = name.rotate_left(31) ^ value;
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_white_space_do_not_matter_and_values_do() {
        let first = fingerprint(r#"{"a":"x","b":{"c":1,"d":"q\"r"},"e":[true,"y"]}"#);
        let same = fingerprint(
            "{ \"b\": {\"d\": \"q\\\"r\",\n\"c\" : 1}, \"e\":[true, \"y\"], \"a\":\"x\" }",
        );
        assert_eq!(first, same);
        for other in [
            r#"{"a":"y","b":{"c":1,"d":"q\"r"},"e":[true,"x"]}"#,
            r#"{"a":"x","b":{"c":2,"d":"q\"r"},"e":[true,"y"]}"#,
            r#"{"a":"x","b":{"c":1},"e":[true,"y"]}"#,
            r#"{"a":"x","c":1,"b":{"d":"q\"r"},"e":[true,"y"]}"#,
        ] {
            assert_ne!(first, fingerprint(other), "{other}");
        }
    }

    #[test]
    fn broken_text_has_a_fingerprint_too() {
        for text in ["", "\"", "{\"a", "{\"a\\", "nul", "{\"a\":"] {
            fingerprint(text);
        }
    }
}
