//! Writing JSON by hand, because the simulator must not be what is measured.
//!
//! Every text that is written here was made up by the simulator and holds nothing that JSON would escape, so nothing
//! is escaped; the tests of the folder parse all that comes out.

use super::random::Random;
use crate::model::Micros;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends several texts.
macro_rules! push {
    ($out:expr, $($part:expr),+ $(,)?) => {{
        $( $out.push_str($part); )+
    }};
}
pub(super) use push;

/// What a template's marks stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill<'a> {
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) resource: &'a str,
}

/// Appends `template` with its marks replaced: `@A` account, `@R` region, `@N` the actor's own resource, `@G` a GUID,
/// `@I` 17 digits as in an instance id, `@K` 8 hexadecimal digits.
pub(super) fn expand(out: &mut String, template: &str, fill: Fill<'_>, random: &mut Random) {
    let mut rest = template;
    while let Some(mark) = rest.find('@') {
        out.push_str(&rest[..mark]);
        match rest.as_bytes().get(mark + 1) {
            Some(b'A') => out.push_str(fill.account),
            Some(b'R') => out.push_str(fill.region),
            Some(b'N') => out.push_str(fill.resource),
            Some(b'G') => random.guid().push(out),
            Some(b'I') => push_hex(out, (u128::from(random.bits()) << 4) | 7, 17),
            Some(b'K') => push_hex(out, u128::from(random.bits()), 8),
            other => unreachable!("{template} has the unknown mark {other:?}"),
        }
        rest = rest.get(mark + 2..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// Appends `template` with each `%` replaced by the next of `parts`.
pub(super) fn compose(out: &mut String, template: &str, parts: &[&str]) {
    debug_assert_eq!(
        template.matches('%').count(),
        parts.len(),
        "each mark of a template has its part: {template}"
    );
    let mut parts = parts.iter();
    for (index, text) in template.split('%').enumerate() {
        if index > 0 {
            out.push_str(parts.next().copied().unwrap_or_default());
        }
        out.push_str(text);
    }
}

/// The lowest `digits` hexadecimal digits of `value`.
pub(super) fn push_hex(out: &mut String, value: u128, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (value >> (place * 4)) as usize & 15;
        out.push(char::from(HEX[digit]));
    }
}

/// A decimal number with at least `digits` digits.
pub(super) fn push_number(out: &mut String, value: u64, digits: usize) {
    let mut text = [b'0'; 20];
    let mut start = text.len();
    let mut rest = value;
    while rest > 0 || text.len() - start < digits.max(1) {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    for byte in &text[start..] {
        out.push(char::from(*byte));
    }
}

/// `2026-11-01T08:00:00Z`, the precision of CloudTrail.
pub(super) fn push_time(out: &mut String, at: Micros) {
    push_second(out, at);
    out.push('Z');
}

/// `2026-11-01T08:00:00.1234560` followed by `zone`, the precision of Azure.
pub(super) fn fine(at: Micros, zone: &str) -> String {
    let mut out = String::with_capacity(34);
    push_second(&mut out, at);
    out.push('.');
    push_number(&mut out, at.0.rem_euclid(Micros::SECOND) as u64 * 10, 7);
    out.push_str(zone);
    out
}

fn push_second(out: &mut String, at: Micros) {
    let (year, month, day) = civil(i64::from(at.day().0));
    let second = at.second().rem_euclid(86_400) as u64;
    push_number(out, year, 4);
    out.push('-');
    push_number(out, month, 2);
    out.push('-');
    push_number(out, day, 2);
    out.push('T');
    push_number(out, second / 3_600, 2);
    out.push(':');
    push_number(out, second / 60 % 60, 2);
    out.push(':');
    push_number(out, second % 60, 2);
}

/// `Nov 1, 2026, 9:00:00 AM`: how CloudTrail writes the end of a credential.
pub(super) fn push_expiration(out: &mut String, at: Micros) {
    let (year, month, day) = civil(i64::from(at.day().0));
    let second = at.second().rem_euclid(86_400) as u64;
    let hour = second / 3_600;
    out.push_str(MONTHS[(month - 1) as usize]);
    out.push(' ');
    push_number(out, day, 1);
    out.push_str(", ");
    push_number(out, year, 4);
    out.push_str(", ");
    push_number(out, (hour + 11) % 12 + 1, 1);
    out.push(':');
    push_number(out, second / 60 % 60, 2);
    out.push(':');
    push_number(out, second % 60, 2);
    out.push_str(if hour < 12 { " AM" } else { " PM" });
}

/// Four numbers with dots.
pub(super) fn push_address(out: &mut String, address: [u8; 4]) {
    for (index, byte) in address.into_iter().enumerate() {
        if index > 0 {
            out.push('.');
        }
        push_number(out, u64::from(byte), 1);
    }
}

/// The form with dots.
pub(super) fn dotted(address: [u8; 4]) -> String {
    let mut out = String::with_capacity(15);
    push_address(&mut out, address);
    out
}

/// Year, month and day of a day since 1970, in the proleptic Gregorian calendar.
fn civil(day: i64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year.max(0) as u64, month as u64, day_of_month as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_the_model() {
        for second in [
            0_i64,
            951_782_400,
            1_793_520_000,
            1_709_164_799,
            4_102_444_799,
        ] {
            let at = Micros(second * Micros::SECOND);
            let mut out = String::new();
            push_time(&mut out, at);
            assert_eq!(out, at.to_string());
        }
    }

    #[test]
    fn expirations_are_written_with_twelve_hours() {
        let check = |second: i64, expected: &str| {
            let mut out = String::new();
            push_expiration(&mut out, Micros(second * Micros::SECOND));
            assert_eq!(out, expected);
        };
        check(0, "Jan 1, 1970, 12:00:00 AM");
        check(46_800, "Jan 1, 1970, 1:00:00 PM");
        check(1_793_520_000, "Nov 1, 2026, 8:00:00 AM");
    }

    #[test]
    fn marks_are_replaced_and_the_rest_is_kept() {
        let fill = Fill {
            account: "123456789012",
            region: "eu-west-1",
            resource: "orders",
        };
        let mut out = String::new();
        expand(&mut out, "a:@A/@R/@N/i-@I.", fill, &mut Random::new(1, 1));
        assert!(
            out.starts_with("a:123456789012/eu-west-1/orders/i-"),
            "{out}"
        );
        assert_eq!(out.len(), "a:123456789012/eu-west-1/orders/i-".len() + 18);
    }

    #[test]
    fn parts_take_the_places_of_their_marks() {
        let mut out = String::new();
        compose(&mut out, "%-b-%", &["a", "c"]);
        assert_eq!(out, "a-b-c");
    }

    #[test]
    fn azure_counts_in_tenths_of_a_microsecond() {
        let at = Micros(1_793_520_000_000_120);
        assert_eq!(fine(at, "Z"), "2026-11-01T08:00:00.0001200Z");
    }

    #[test]
    fn numbers_are_padded() {
        let check = |value: u64, digits: usize, expected: &str| {
            let mut out = String::new();
            push_number(&mut out, value, digits);
            assert_eq!(out, expected);
        };
        check(0, 1, "0");
        check(7, 2, "07");
        check(u64::MAX, 1, "18446744073709551615");
    }
}
