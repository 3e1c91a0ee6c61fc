//! Finding the end of short strings. JSON has hundreds of them in a record, most shorter than what a vector search
//! needs to get going.

/// So many words of eight bytes are looked at before the vector search takes over.
const WORDS: usize = 3;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The first quote in `bytes` at or after `from`.
pub(super) fn quote(bytes: &[u8], from: usize) -> Option<usize> {
    let mark = |word| marks(word, b'"');
    match few_words(bytes, from, mark) {
        Ok(found) => Some(found),
        Err(at) => memchr::memchr(b'"', bytes.get(at..)?).map(|found| at + found),
    }
}

/// The first quote or backslash in `bytes` at or after `from`.
pub(super) fn quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    let mark = |word| marks(word, b'"') | marks(word, b'\\');
    match few_words(bytes, from, mark) {
        Ok(found) => Some(found),
        Err(at) => memchr::memchr2(b'"', b'\\', bytes.get(at..)?).map(|found| at + found),
    }
}

/// Where the first marked byte of the next words is, or where to search on.
fn few_words(bytes: &[u8], from: usize, mark: impl Fn(u64) -> u64) -> Result<usize, usize> {
    let mut at = from;
    for _ in 0..WORDS {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let marks = mark(u64::from_le_bytes(*word));
        if marks != 0 {
            return Ok(at + marks.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    Err(at)
}

/// The high bit of each byte of `word` that is `byte`. Bytes above the first such one may be marked wrongly (Hacker's
/// Delight, 6-1), which does not matter to who looks for the first.
const fn marks(word: u64, byte: u8) -> u64 {
    let zero_where_equal = word ^ (ONES * byte as u64);
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_found_wherever_it_is() {
        // Neighbours of the bytes that are looked for, and bytes with the high bit.
        let fill = b"!#[]\xa2\xdc\x00\xff~a";
        for length in 0..80 {
            let mut bytes: Vec<u8> = fill.iter().copied().cycle().take(length).collect();
            assert_eq!(
                (quote(&bytes, 0), quote_or_backslash(&bytes, 0)),
                (None, None)
            );
            for at in 0..length {
                let was = std::mem::replace(&mut bytes[at], b'"');
                for from in 0..=length {
                    let found = (from <= at).then_some(at);
                    assert_eq!(quote(&bytes, from), found);
                    assert_eq!(quote_or_backslash(&bytes, from), found);
                }
                bytes[at] = b'\\';
                assert_eq!(quote_or_backslash(&bytes, at / 2), Some(at));
                assert_eq!(quote(&bytes, at / 2), None);
                bytes[at] = was;
            }
        }
        assert_eq!(quote(b"\"", 2), None);
    }
}
