//! How surprising a value is that an identity never showed before, in bits.
//!
//! "Never seen before" alone is no news from an identity that shows something new every day. The estimate is
//! Good–Turing's: of `n` distinct active hours, `s` brought a value that no other hour brought, so the next hour
//! brings a new one with probability about `(s + ½) / (n + 1)`.

/// `⌊−log2((s + ½) / (n + 1))⌋`, by integers alone: 0 when a new value is as likely as not.
///
/// `hours`: distinct active hours observed; `singletons`: values seen in exactly one of them.
pub fn bits(hours: u64, singletons: u64) -> u32 {
    // (n + 1) / (s + 1/2) = (2n + 2) / (2s + 1)
    let ratio = hours.saturating_mul(2).saturating_add(2) / (singletons.saturating_mul(2) + 1);
    ratio.checked_ilog2().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_identities_surprise_and_changing_ones_do_not() {
        // One network in every hour of ninety days.
        assert_eq!(bits(90 * 24, 0), 12);
        // A build runner: ninety hours, each from a network of its own.
        assert_eq!(bits(90, 90), 0);
        // A daily job over a month.
        assert_eq!(bits(30, 0), 5);
        // Nothing known yet.
        assert_eq!(bits(0, 0), 1);
    }

    #[test]
    fn the_integer_form_is_the_floor_of_the_logarithm() {
        for hours in 0..200u64 {
            for singletons in 0..=hours {
                let probability = (singletons as f64 + 0.5) / (hours as f64 + 1.0);
                let exact = -probability.log2();
                let floor = if exact < 0.0 { 0 } else { exact.floor() as u32 };
                assert_eq!(bits(hours, singletons), floor, "n={hours} s={singletons}");
            }
        }
    }
}
