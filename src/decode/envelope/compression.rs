//! Compressed payloads: which codec the first bytes name, and unpacking no more than is allowed.
//!
//! The output is read through a limit, so a bomb costs the limit and not what it claims. Whether the plain bytes are
//! a log is not asked here.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;

use crate::model::{Reject, RejectCode};

/// Output up to here is allowed at any ratio.
const RATIO_EXEMPT_BYTES: usize = 1 << 20;

/// A zstd frame may ask for a window of two gibibytes before it brings one byte. 64 MiB is the window of the highest
/// ordinary level with room to spare; a frame that asks for more is refused as corrupt.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// A compression that is recognised by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Lz4,
    Zstd,
}

impl Codec {
    /// The codec whose magic number `bytes` begin with.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name of the layer.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Unpacks `bytes`, at most `room` bytes and `ratio_max` times their size.
    pub(super) fn open(
        self,
        bytes: &[u8],
        room: usize,
        ratio_max: usize,
    ) -> Result<Vec<u8>, Reject> {
        let by_ratio = bytes
            .len()
            .saturating_mul(ratio_max)
            .max(RATIO_EXEMPT_BYTES);
        let limit = room.min(by_ratio);
        let unpacked = match self {
            Self::Gzip => up_to(MultiGzDecoder::new(bytes), limit),
            Self::Lz4 => lz4_frame(bytes, limit),
            Self::Zstd => zstd_frames(bytes, limit),
        };
        let name = self.name();
        let plain = unpacked.map_err(|error| {
            let detail = format!("{name} does not unpack: {error}");
            Reject::new(RejectCode::BadCompression, detail)
        })?;
        if plain.len() <= limit {
            return Ok(plain);
        }
        let detail = if limit == by_ratio {
            format!("{name} unpacks to more than {ratio_max} times its size")
        } else {
            format!("{name} unpacks to more than the {room} bytes left for this message")
        };
        Err(Reject::new(RejectCode::TooLarge, detail))
    }
}

/// Reads one byte more than `limit` allows, so that the caller can tell "exactly full" from "too much".
fn up_to(reader: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    let more_than_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(more_than_limit).read_to_end(&mut plain)?;
    Ok(plain)
}

fn zstd_frames(bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::new(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    up_to(decoder, limit)
}

/// The decoder takes a frame that was cut between two blocks for a complete one, so the end mark is looked for here.
fn lz4_frame(bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
    const CONTENT_CHECKSUM: u8 = 1 << 2;
    let plain = up_to(FrameDecoder::new(bytes), limit)?;
    let checksum_bytes = match bytes.get(4) {
        Some(flags) if flags & CONTENT_CHECKSUM != 0 => 4,
        _ => 0,
    };
    let body = &bytes[..bytes.len() - checksum_bytes.min(bytes.len())];
    if plain.len() <= limit && !body.ends_with(&[0; 4]) {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the frame has no end mark",
        ));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(codec: Codec, plain: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zstd => zstd::stream::encode_all(plain, 3).unwrap(),
        }
    }

    fn check(codec: Codec, packed: &[u8], room: usize, expected: Result<&[u8], RejectCode>) {
        assert_eq!(Codec::of(packed), Some(codec));
        let opened = codec.open(packed, room, 200);
        match (&opened, expected) {
            (Ok(plain), Ok(expected)) => assert_eq!(plain, expected),
            (Err(reject), Err(code)) => assert_eq!(reject.code, code, "{}", reject.detail),
            _ => panic!("{codec:?}: got {opened:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn every_codec_opens_is_limited_and_notices_a_cut() {
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
            let whole = packed(codec, b"{\"records\":[]}");
            check(codec, &whole, 14, Ok(b"{\"records\":[]}"));
            check(codec, &whole, 13, Err(RejectCode::TooLarge));
            let cut = &whole[..whole.len() - 5];
            check(codec, cut, 1000, Err(RejectCode::BadCompression));
        }
    }

    #[test]
    fn a_bomb_stops_at_the_ratio() {
        for codec in [Codec::Gzip, Codec::Zstd] {
            let bomb = packed(codec, &vec![b' '; 32 << 20]);
            check(codec, &bomb, 64 << 20, Err(RejectCode::TooLarge));
        }
    }
}
