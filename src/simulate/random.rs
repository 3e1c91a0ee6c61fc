//! Chance with a seed, and the identifiers that are drawn by it.
//!
//! Nothing here asks the system for randomness: the same seed gives the same draws on any machine.

use oorandom::Rand64;

use super::text;

/// Base32 as AWS identifiers use it.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One stream of draws.
#[derive(Clone, Debug)]
pub(super) struct Random(Rand64);

/// A GUID, as the number that its 32 digits spell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guid(u128);

impl Random {
    /// The stream that belongs to `seed` and `purpose`; two purposes never share draws.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(Rand64::new((u128::from(purpose) << 64) | u128::from(seed)))
    }

    /// 64 even bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.rand_u64()
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "nothing is below zero");
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `per_mille` of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// One of `values`, which are not empty.
    pub(super) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// `thousandths` as a whole number, rounded up as often as the rest says, so that the mean is kept.
    pub(super) fn whole(&mut self, thousandths: u32) -> u32 {
        thousandths / 1_000 + u32::from(self.chance(thousandths % 1_000))
    }

    /// A version 4 GUID.
    pub(super) fn guid(&mut self) -> Guid {
        let drawn = (u128::from(self.bits()) << 64) | u128::from(self.bits());
        let version = (drawn & !(0xf << 76)) | (0x4 << 76);
        Guid((version & !(0x3 << 62)) | (0x2 << 62))
    }

    /// An AWS identifier of `length` characters that begins with `prefix` and, as real ones do, encodes the account
    /// that owns it.
    pub(super) fn aws_id(&mut self, prefix: &str, account: u64, length: usize) -> String {
        let owner = (1 << 47) | (account << 7) | (self.bits() & 0x7f);
        let mut value = (u128::from(owner) << 32) | u128::from(self.bits() & 0xffff_ffff);
        let mut id = String::with_capacity(length);
        id.push_str(prefix);
        value <<= 48;
        for _ in 0..16 {
            id.push(char::from(BASE32[(value >> 123) as usize]));
            value <<= 5;
        }
        while id.len() < length {
            id.push(char::from(self.pick(BASE32)));
        }
        id
    }

    /// A temporary access key of `account`.
    pub(super) fn temporary_key(&mut self, account: u64) -> String {
        self.aws_id("ASIA", account, 20)
    }

    /// A public address in one of the `networks`, which are first bytes. Addresses are made up; nothing is said about
    /// who owns them.
    pub(super) fn address(&mut self, networks: &[u8]) -> [u8; 4] {
        let first = self.pick(networks);
        let bits = self.bits();
        let host = 1 + (bits >> 16) as u8 % 250;
        [first, bits as u8, (bits >> 8) as u8, host]
    }
}

impl Guid {
    /// Writes the form with hyphens, lower case.
    pub(super) fn push(self, out: &mut String) {
        for (group, digits) in [8_u32, 4, 4, 4, 12].into_iter().enumerate() {
            if group > 0 {
                out.push('-');
            }
            let digits_after: u32 = [24, 20, 16, 12, 0][group];
            text::push_hex(out, self.0 >> (digits_after * 4), digits);
        }
    }

    /// Writes the first `digits` digits without hyphens.
    pub(super) fn push_plain(self, out: &mut String, digits: u32) {
        text::push_hex(out, self.0 >> ((32 - digits) * 4), digits);
    }

    /// The form with hyphens, lower case.
    pub(super) fn text(self) -> String {
        let mut out = String::with_capacity(36);
        self.push(&mut out);
        out
    }

    /// The form in which Entra writes a token's identifier: base64url of the bytes, of which the first three groups
    /// stand in little-endian order.
    pub(super) fn token_text(self) -> String {
        let mut bytes = self.0.to_be_bytes();
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        let mut out = String::with_capacity(22);
        for chunk in bytes.chunks(3) {
            let mut value = 0_u32;
            for index in 0..3 {
                value = (value << 8) | chunk.get(index).map_or(0, |byte| u32::from(*byte));
            }
            for index in 0..=chunk.len() {
                let sextet = (value >> (18 - 6 * index)) & 63;
                out.push(char::from(BASE64URL[sextet as usize]));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aws_identifier_encodes_its_account() {
        let account = 123_456_789_012_u64;
        let id = Random::new(7, 0).aws_id("AROA", account, 21);
        assert_eq!(id.len(), 21);
        let mut value = 0_u128;
        for byte in id.bytes().skip(4).take(16) {
            let digit = BASE32.iter().position(|known| *known == byte);
            value = (value << 5) | digit.expect("identifiers are base32") as u128;
        }
        let owner = (value >> 32) as u64;
        assert_eq!((owner & 0x7fff_ffff_ff80) >> 7, account);
        assert_eq!(owner >> 47, 1);
    }

    #[test]
    fn a_token_is_written_in_the_order_of_dot_net() {
        let check = |guid: u128, expected: &str| assert_eq!(Guid(guid).token_text(), expected);
        check(0, "AAAAAAAAAAAAAAAAAAAAAA");
        check(
            0x0403_0201_0605_0807_090a_0b0c_0d0e_0f10,
            "AQIDBAUGBwgJCgsMDQ4PEA",
        );
    }

    #[test]
    fn a_guid_has_five_groups_and_says_its_version() {
        let text = Random::new(1, 1).guid().text();
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "4");
        assert!("89ab".contains(&text[19..20]));
    }

    #[test]
    fn rounding_keeps_the_mean() {
        let mut random = Random::new(3, 3);
        let sum: u32 = (0..10_000).map(|_| random.whole(2_250)).sum();
        assert!((22_000..23_000).contains(&sum), "{sum}");
    }
}
