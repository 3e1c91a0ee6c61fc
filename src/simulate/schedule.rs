//! Who acts when: a plan for each actor, and the runs that all plans come to on a day.
//!
//! Plans are steady on purpose. What is not steady is a story or a trap, and stands in `stories` or in the actor's
//! part.

use super::Params;
use super::calendar;
use super::cast::Part;
use super::estate::{Actor, Estate, Kind};
use super::random::Random;
use crate::model::{Day, Micros};

/// Hours of the sleeper and of the other cast, as bits.
const DAILY: u32 = 1 << 9;
const HOURLY: u32 = 0xff_ffff;
const EVERY_THIRD_HOUR: u32 = 0x24_9249;
/// The other two of every three.
const MOST_HOURS: u32 = HOURLY & !EVERY_THIRD_HOUR;
/// Days between two runs of the monthly job.
const MONTH_DAYS: u32 = 29;
/// A job that hardly fits its share of the events still runs at least this often: rarer ones would look asleep.
const PERIOD_DAYS_MAX: u64 = 21;
/// Events for each identity and day when no total is asked for.
const EVENTS_PER_DAY: u64 = 24;

/// When one actor acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    every_days: u32,
    phase: u32,
    /// Bit *h*: a run begins in hour *h*.
    hours: u32,
    minute: u32,
    /// Mean number of events of a run, in thousandths.
    thousandths: u32,
    from_day: u32,
    /// The first day without a run.
    until_day: u32,
    weekdays: bool,
}

/// One run of one actor, or of a scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) doer: Doer,
    /// Second of the hour at which it begins.
    pub(super) second: u32,
    pub(super) events: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Doer {
    /// Index into the estate's actors.
    Actor(usize),
    /// Index into the scripts, and into the scenes of that.
    Scene(usize, usize),
}

/// The plans of all actors, in their order.
pub(super) fn plans(estate: &Estate, params: &Params, random: &mut Random) -> Vec<Plan> {
    let days = u64::from(params.days.max(1));
    let total = params
        .events_max
        .unwrap_or(u64::from(params.identities) * EVENTS_PER_DAY * days);
    // In thousandths of an event a day. The cast's habits are fixed and come off the share of their cloud.
    let daily = total.saturating_mul(1_000) / days;
    let cast = |azure: bool| -> u64 {
        let of_cloud = estate.actors.iter().filter(|actor| actor.azure() == azure);
        of_cloud
            .filter_map(|actor| cast_plan(actor, params.days))
            .map(Plan::daily)
            .sum()
    };
    let aws_share = (daily * 8 / 10).saturating_sub(cast(false));
    let azure_share = (daily * 2 / 10).saturating_sub(cast(true));
    let weights: Vec<u64> = estate
        .actors
        .iter()
        .map(|actor| weight(actor, random))
        .collect();
    let sum = |azure: bool| -> u64 {
        let of_cloud = estate
            .actors
            .iter()
            .zip(&weights)
            .filter(|(actor, _)| actor.azure() == azure);
        of_cloud.map(|(_, weight)| *weight).sum::<u64>().max(1)
    };
    let (aws_sum, azure_sum) = (sum(false), sum(true));
    estate
        .actors
        .iter()
        .zip(&weights)
        .map(|(actor, weight)| {
            let share = if actor.azure() {
                azure_share * weight / azure_sum
            } else {
                aws_share * weight / aws_sum
            };
            cast_plan(actor, params.days).unwrap_or_else(|| fitted(actor.kind, share, random))
        })
        .collect()
}

/// All runs of day `index` after `first`, by hour.
pub(super) fn runs(plans: &[Plan], first: Day, index: u32, random: &mut Random) -> Vec<Vec<Run>> {
    let mut hours = vec![Vec::new(); 24];
    let weekday = (i64::from(first.0) + i64::from(index) + 3).rem_euclid(7);
    for (actor, plan) in plans.iter().enumerate() {
        let rests = plan.weekdays && weekday >= 5;
        let asleep = !(plan.from_day..plan.until_day).contains(&index);
        if rests || asleep || index % plan.every_days != plan.phase {
            continue;
        }
        for (hour, runs) in hours.iter_mut().enumerate() {
            if (plan.hours >> hour) & 1 == 0 {
                continue;
            }
            let events = random.whole(plan.thousandths);
            if events > 0 {
                runs.push(Run {
                    doer: Doer::Actor(actor),
                    second: plan.minute * 60 + random.below(60) as u32,
                    events,
                });
            }
        }
    }
    hours
}

impl Run {
    /// The time of event `index` of a run that begins in the hour at `hour`: whole seconds, spread over a quarter of
    /// an hour at most, so that no run leaves its hour.
    pub(super) fn at(&self, hour: Micros, index: u32) -> Micros {
        let span = i64::from(self.events.saturating_mul(15).min(900));
        let offset = i64::from(index) * span / i64::from(self.events.max(1));
        hour.plus((i64::from(self.second) + offset) * Micros::SECOND)
    }
}

impl Plan {
    /// Mean number of events a day, in thousandths, while the plan runs.
    fn daily(self) -> u64 {
        u64::from(self.thousandths) * u64::from(self.hours.count_ones())
            / u64::from(self.every_days)
    }
}

/// The fixed habits of those who play a part.
fn cast_plan(actor: &Actor, days: u32) -> Option<Plan> {
    let plan = |hours: u32, events: u32| Plan {
        every_days: 1,
        phase: 0,
        hours,
        minute: 12,
        thousandths: events * 1_000,
        from_day: 0,
        until_day: u32::MAX,
        weekdays: false,
    };
    let often = plan(EVERY_THIRD_HOUR, 3);
    let until = |day: Option<u32>| day.unwrap_or(u32::MAX);
    Some(match actor.part {
        Part::Ordinary => return None,
        Part::Sleeper | Part::Idle => Plan {
            until_day: until(calendar::sleep(days).map(|(silent_from, _)| silent_from)),
            ..plan(DAILY | (DAILY << 8), 5)
        },
        Part::Strange => plan(HOURLY, 1),
        Part::Pivot => plan(MOST_HOURS, 2),
        Part::Build => plan(DAILY | (DAILY << 8), 5),
        Part::Monthly => Plan {
            every_days: MONTH_DAYS,
            phase: 1,
            ..plan(DAILY, 12)
        },
        Part::Roaming => plan(DAILY, 6),
        Part::Insider | Part::Administrator | Part::Responder => Plan {
            weekdays: true,
            ..plan(DAILY, 5)
        },
        Part::Leaver => Plan {
            weekdays: true,
            until_day: until(calendar::leaving(days).map(|leaving| leaving.left)),
            ..plan(DAILY, 5)
        },
        Part::Heir => {
            let leaving = calendar::leaving(days);
            Plan {
                from_day: leaving.map_or(0, |leaving| leaving.made + 1),
                until_day: until(leaving.map(|leaving| leaving.left)),
                ..often
            }
        }
        Part::Ended => Plan {
            until_day: until(calendar::ended(days)),
            ..often
        },
        Part::Deployed => Plan {
            from_day: calendar::deployed(days).map_or(0, |day| day + 1),
            ..often
        },
        Part::Retired => Plan {
            until_day: until(calendar::retired(days)),
            ..often
        },
        Part::Crossing
        | Part::Stolen
        | Part::Encryptor
        | Part::Served
        | Part::Leaked
        | Part::Trusting
        | Part::Agent
        | Part::Shared
        | Part::Rotating
        | Part::Upgraded
        | Part::Refused => often,
    })
}

/// How much an actor does beside others. Most do little and a few do much, as everywhere.
fn weight(actor: &Actor, random: &mut Random) -> u64 {
    let drawn = 1 << random.below(5);
    match (actor.part, actor.kind) {
        (Part::Ordinary, Kind::ServiceLinked) => 4,
        (Part::Ordinary, Kind::ConsoleUser | Kind::EntraUser) => 3,
        (Part::Ordinary, _) => drawn,
        _ => 0,
    }
}

/// A plan that comes to `share` thousandths of an event a day.
fn fitted(kind: Kind, share: u64, random: &mut Random) -> Plan {
    let person = matches!(kind, Kind::ConsoleUser | Kind::EntraUser);
    let share = if person { share * 7 / 5 } else { share };
    // A run that obtains a credential first should also use it.
    let run_min = match kind {
        Kind::UserKey | Kind::ServiceLinked => 1_000,
        Kind::UserRole | Kind::RoleChain | Kind::Instance | Kind::Function => 4_000,
        Kind::Workload
        | Kind::ConsoleUser
        | Kind::Secret
        | Kind::Certificate
        | Kind::ManagedIdentity
        | Kind::EntraUser => 5_000,
    };
    let runs = share / run_min;
    let (every_days, hours) = if person || runs > 0 {
        (1, hours_of(runs, random))
    } else {
        let period = (run_min / share.max(1)).clamp(1, PERIOD_DAYS_MAX) as u32;
        (period, hours_of(1, random))
    };
    let hours = if person { DAILY } else { hours };
    let count = u64::from(hours.count_ones());
    let thousandths = share * u64::from(every_days) / count;
    Plan {
        every_days,
        phase: random.below(u64::from(every_days)) as u32,
        hours,
        // Never the first minute of an hour: the estate's trusts are set up in the very first.
        minute: 1 + random.below(43) as u32,
        thousandths: thousandths.clamp(use_min(kind), u64::from(u32::MAX)) as u32,
        from_day: 0,
        until_day: u32::MAX,
        weekdays: person,
    }
}

/// Thousandths of an event with which a run of `kind` has used what it obtained.
const fn use_min(kind: Kind) -> u64 {
    match kind {
        Kind::UserKey | Kind::ServiceLinked => 1_000,
        Kind::RoleChain => 3_000,
        _ => 2_000,
    }
}

/// About `runs` hours, evenly spaced.
fn hours_of(runs: u64, random: &mut Random) -> u32 {
    let step = match runs {
        0 | 1 => 24,
        2 => 12,
        3 => 8,
        4 | 5 => 6,
        6 | 7 => 4,
        8..=11 => 3,
        12..=23 => 2,
        _ => 1,
    };
    let offset = random.below(step);
    (0..24)
        .filter(|hour| hour % step == offset)
        .fold(0_u32, |hours, hour| hours | (1 << hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_as_many_as_asked_for() {
        let check = |runs: u64, expected: u32| {
            let hours = hours_of(runs, &mut Random::new(5, 5));
            assert_eq!(hours.count_ones(), expected, "{runs} runs");
            assert_eq!(hours & !HOURLY, 0);
        };
        check(1, 1);
        check(2, 2);
        check(4, 4);
        check(9, 8);
        check(100, 24);
    }

    #[test]
    fn a_plan_comes_to_its_share() {
        for share in [900, 4_000, 50_000, 2_000_000] {
            let plan = fitted(Kind::Instance, share, &mut Random::new(2, 2));
            let daily = plan.daily();
            assert!(daily * 10 >= share * 8, "{daily} for {share}");
            assert!(daily * 10 <= share * 12, "{daily} for {share}");
        }
    }
}
