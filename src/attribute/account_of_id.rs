//! The AWS account that owns a key or a unique id, read out of the id itself (ID-6).
//!
//! AWS does not document the form; it was checked against ids of seven accounts. So it is a hint about what is missing,
//! and never takes the place of an account that a record states.

use super::draft::Seek;
use super::parent::INCOMPLETE;
use crate::model::Attribution;

/// The prefixes of ID-5 for which the form was checked: long-term and temporary keys, users, roles. Other ids may be
/// built in another way, and then give no account rather than a wrong one.
const CHECKED: [&str; 4] = ["AIDA", "AKIA", "AROA", "ASIA"];

/// LIN-13: says that the event behind a session never came, and which account's log could hold it if the key or the
/// role's id names another account than the record does. Logs that were made anonymous have such ids throughout (D-30),
/// which is one more reason why this is a reason and changes no answer.
pub(super) fn incomplete(word: &mut Attribution, seek: &Seek) {
    word.because(INCOMPLETE);
    if let Some(account) = foreign_account(seek) {
        word.because_of(format!("foreign_key:{account:012}"));
    }
}

/// The account that the id of the key, else of the principal, names, where the record states another.
fn foreign_account(seek: &Seek) -> Option<u64> {
    let stated: u64 = seek.account.as_deref()?.parse().ok()?;
    let head = seek
        .principal
        .as_deref()
        .and_then(|id| id.split(':').next());
    let mut ids = [seek.key.as_deref(), head].into_iter().flatten();
    let account = ids.find_map(account_of_id)?;
    (account != stated).then_some(account)
}

/// The account that owns `id` (ID-6). None for ids of the older form, which begin with a letter before `Q`, and for
/// what is no such id.
fn account_of_id(id: &str) -> Option<u64> {
    /// Characters of five bits each that hold the account: its 40 bits after one that is always set.
    const CODED: usize = 10;
    /// One more than the largest account: they have twelve digits.
    const ACCOUNTS: u64 = 1_000_000_000_000;
    let (prefix, coded) = id.split_at_checked(4)?;
    let known = CHECKED.contains(&prefix) && matches!(coded.len(), 16 | 17);
    let newer = matches!(coded.as_bytes().first()?, b'Q'..=b'Z' | b'2'..=b'7');
    if !known || !newer {
        return None;
    }
    let mut bits = 0;
    for (place, letter) in coded.bytes().enumerate() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        if place < CODED {
            bits = (bits << 5) | u64::from(value);
        }
    }
    // Of the fifty bits, the first is set, forty are the account, and nine belong to what follows.
    let account = (bits >> 9) & 0xff_ffff_ffff;
    (account < ACCOUNTS).then_some(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uid;

    #[test]
    fn ids_name_the_account_that_owns_them() {
        // The vectors of ID-6.
        for (id, account) in [
            ("ASIAU7JNXC7KWALOOGDA", Some(342_082_656_213)),
            ("AROATFQR7NSCWWVLB7BES", Some(218_007_301_253)),
            ("ASIAZQNB3KHGNXWXBSJS", Some(653_711_331_788)),
            ("ASIA3ISBVQKHJOCMRQJH", Some(774_305_579_662)),
            ("ASIA52RQV423TWB3UWEE", Some(950_363_612_855)),
            ("ASIA3JUODO7WTIO2PI64", Some(776_613_361_645)),
            ("AROAJQMBDNUMIKLZKMF64", None),
            ("AKIATFQR7NSC8Q4X20BJ", None),
            // What is no id of the form at all.
            ("AGPATFQR7NSCWWVLB7BES", None),
            ("ASIAU7JNXC7KWALOOG", None),
            ("ASI", None),
            ("ASIAé7JNXC7KWALOOGD", None),
            ("", None),
        ] {
            assert_eq!(account_of_id(id), account, "{id}");
        }
    }

    #[test]
    fn only_another_account_than_the_stated_one_is_worth_saying() {
        let seek = |account: &str, key: &str, principal: &str| Seek {
            account: Some(Uid::from(account)),
            key: Some(Uid::from(key)),
            principal: Some(Uid::from(principal)),
            ..Seek::default()
        };
        let role = "AROATFQR7NSCWWVLB7BES:name";
        let own = seek("342082656213", "ASIAU7JNXC7KWALOOGDA", role);
        assert_eq!(foreign_account(&own), None);
        let other = seek("111122223333", "ASIAU7JNXC7KWALOOGDA", role);
        assert_eq!(foreign_account(&other), Some(342_082_656_213));
        let by_role = seek("111122223333", "ASIAEXAMPLE", role);
        assert_eq!(foreign_account(&by_role), Some(218_007_301_253));
        let unreadable = seek("unknown", "ASIAU7JNXC7KWALOOGDA", role);
        assert_eq!(foreign_account(&unreadable), None);
    }
}
