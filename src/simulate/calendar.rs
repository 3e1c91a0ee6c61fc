//! On which day what happens: stories and plans must agree on it.
//!
//! Each answer is none when the simulation is too short for a time before and after.

/// Days without which an identity has no habits that it could break: two weeks of them, and the five days that are left
/// when the earliest of the stories that break them begins.
pub(super) const HISTORY_DAYS_MIN: u32 = 19;
/// The same for stories that take longer to tell.
pub(super) const LONG_HISTORY_DAYS_MIN: u32 = 40;

/// When somebody makes a user, leaves, and somebody else uses it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    pub(super) made: u32,
    pub(super) left: u32,
    pub(super) used: u32,
}

/// First day on which the sleeper no longer acts, and the day on which it wakes; none when there is no room for a
/// silence that differs from the habits before it.
pub(super) fn sleep(days: u32) -> Option<(u32, u32)> {
    let silent_from = days.saturating_sub(38).min(21);
    (silent_from >= 10).then(|| (silent_from, days - 3))
}

pub(super) fn leaving(days: u32) -> Option<Leaving> {
    (days >= LONG_HISTORY_DAYS_MIN).then(|| Leaving {
        made: 5,
        left: days - 18,
        used: days - 7,
    })
}

/// The day on which a key is switched off whose session goes on.
pub(super) fn ended(days: u32) -> Option<u32> {
    (days >= LONG_HISTORY_DAYS_MIN).then(|| days - 4)
}

/// The day on which a function is made.
pub(super) fn deployed(days: u32) -> Option<u32> {
    middle(days)
}

/// The day on which a user is removed, for whom nobody has work left.
pub(super) fn retired(days: u32) -> Option<u32> {
    middle(days).map(|day| day + 3)
}

/// The first day on which a new key, or a new client, is used.
pub(super) fn changed(days: u32) -> Option<u32> {
    middle(days).map(|day| day + 5)
}

fn middle(days: u32) -> Option<u32> {
    (days >= LONG_HISTORY_DAYS_MIN).then_some(days / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sleeper_sleeps_for_five_weeks_or_is_not_planted() {
        let check = |days: u32, expected: Option<(u32, u32)>| assert_eq!(sleep(days), expected);
        check(30, None);
        check(48, Some((10, 45)));
        check(60, Some((21, 57)));
        check(90, Some((21, 87)));
    }
}
