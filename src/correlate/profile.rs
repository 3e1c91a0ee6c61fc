//! What has been normal for one identity: the values it showed, when, and in how many hours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Sighting;
use super::burst::{Burst, Crowd};
use super::rhythm::Rhythm;
use super::week::Week;
use super::whereabouts::Whereabouts;
use crate::model::{Micros, Uid};

/// How many values one dimension keeps. Beyond it the value seen longest ago is forgotten and counted: an identity
/// with more networks than this is not described by them, and one identity must not eat the heap.
const VALUES_MAX: usize = 512;

/// A value that was not seen for this long is forgotten: what happens once a year is not new when it happens again.
const VALUE_AGE_MAX: i64 = 400 * Micros::DAY;

/// Refusals within this time are one burst.
pub(super) const DENIALS_WINDOW: i64 = 10 * Micros::MINUTE;

/// Secrets that are read within this time are one sweep.
pub(super) const SECRETS_WINDOW: i64 = Micros::HOUR;

/// A property of an event for which an identity has habits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    Network,
    Operation,
    Service,
    Tenant,
    UserAgent,
    Credential,
    /// A sign that a person is at work: a browser, the console, a second factor.
    Person,
    /// Autonomous system, country and provider's range of the address, where files say so.
    Asn,
    Country,
    Range,
    /// The region that was called: not where the caller is.
    Region,
    /// What sort of thing was touched: `s3:object`, `microsoft.storage/storageaccounts`.
    ResourceClass,
    /// Whose permissions it uses. Who acted through a role is known of the role: [`KnownIdentity`](super::KnownIdentity).
    ActsAs,
    /// The client with its major version.
    Client,
}

impl Dimension {
    /// Every dimension, in the order in which a profile keeps them. State holds their values in this order, so a new one
    /// goes to the end.
    pub const ALL: [Self; 14] = [
        Self::Network,
        Self::Operation,
        Self::Service,
        Self::Tenant,
        Self::UserAgent,
        Self::Credential,
        Self::Person,
        Self::Asn,
        Self::Country,
        Self::Range,
        Self::Region,
        Self::ResourceClass,
        Self::ActsAs,
        Self::Client,
    ];

    /// Those in which an identity that is still learning is held against its peers.
    pub const OF_PEERS: [Self; 8] = [
        Self::Network,
        Self::Operation,
        Self::Service,
        Self::Asn,
        Self::Country,
        Self::Range,
        Self::Region,
        Self::ResourceClass,
    ];

    /// The name as findings spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Operation => "operation",
            Self::Service => "service",
            Self::Tenant => "tenant",
            Self::UserAgent => "user_agent",
            Self::Credential => "credential",
            Self::Person => "person",
            Self::Asn => "asn",
            Self::Country => "country",
            Self::Range => "range",
            Self::Region => "region",
            Self::ResourceClass => "resource_class",
            Self::ActsAs => "acts_as",
            Self::Client => "client",
        }
    }

    /// The dimension that findings spell so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Whether somebody can confirm that a value is normal: of where a call comes from, what it does, and with what.
    pub const fn confirmable(self) -> bool {
        !matches!(self, Self::Credential | Self::Person | Self::UserAgent)
    }

    /// The value that `sighting` shows.
    pub fn value(self, sighting: &Sighting) -> Option<&Uid> {
        match self {
            Self::Network => sighting.network.as_ref(),
            Self::Operation => Some(&sighting.operation),
            Self::Service => Some(&sighting.service),
            Self::Tenant => sighting.tenant_uid.as_ref(),
            Self::UserAgent => sighting.user_agent_family.as_ref(),
            Self::Credential => sighting.credential_uid(),
            Self::Person => sighting.person.as_ref(),
            Self::Asn => sighting.asn.as_ref(),
            Self::Country => sighting.country.as_ref(),
            Self::Range => sighting.range.as_ref(),
            Self::Region => sighting.region.as_ref(),
            Self::ResourceClass => sighting.resource_class.as_ref(),
            Self::ActsAs => Some(&sighting.by.acting_uid),
            Self::Client => sighting.client.as_ref(),
        }
    }
}

/// When and how often one value was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueStats {
    pub first_seen_at: Micros,
    pub last_seen_at: Micros,
    /// Distinct hours and days in which it was seen.
    pub hours: u32,
    pub days: u32,
    pub events: u64,
    pub sleep: Sleep,
}

impl ValueStats {
    /// Seen at `at`, in that hour alone.
    fn new(at: Micros) -> Self {
        Self {
            first_seen_at: at,
            last_seen_at: at,
            hours: 1,
            days: 1,
            events: 1,
            sleep: Sleep::default(),
        }
    }

    /// Whether the number of days has doubled since it last had, or is the first: what is then worth a row.
    const fn doubled(&self) -> bool {
        self.days.is_power_of_two()
    }

    /// Whether it was ever seen with success.
    pub const fn succeeded(&self) -> bool {
        self.sleep.last_success_at.is_some()
    }
}

/// When something was last used with success, and the longest it ever slept between two uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    pub last_success_at: Option<Micros>,
    /// Microseconds.
    pub longest_gap: i64,
    /// Distinct days with a success.
    pub days: u32,
}

impl Sleep {
    /// Counts a successful use. A use from before the last one lengthens nothing and moves nothing back.
    fn used(&mut self, at: Micros) {
        match self.last_success_at {
            Some(last) if at <= last => (),
            Some(last) => {
                self.longest_gap = self.longest_gap.max(at.since(last));
                if last.day() != at.day() {
                    self.days = self.days.saturating_add(1);
                }
                self.last_success_at = Some(at);
            }
            None => {
                self.last_success_at = Some(at);
                self.days = 1;
            }
        }
    }
}

/// What an event changed about a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Novelty {
    /// It is the first success with the value.
    first_success: bool,
    /// The days on which it was seen have [doubled](ValueStats::doubled).
    doubled: bool,
}

/// In which dimensions an event changed what is normal.
#[derive(Debug, Default)]
pub struct Fresh {
    /// It shows something with success for the first time.
    pub succeeded: Vec<Dimension>,
    /// It shows something for the first time, or on twice as many days as when it last did so.
    pub doubled: Vec<Dimension>,
}

/// The values of one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values {
    pub seen: BTreeMap<Uid, ValueStats>,
    /// Distinct hours in which the dimension had any value.
    pub hours: u64,
    last_hour: Option<i64>,
    /// Values forgotten because there were too many.
    pub evicted: u64,
}

impl Values {
    /// How many values were seen in exactly one hour.
    pub fn singletons(&self) -> u64 {
        self.seen.values().filter(|stats| stats.hours == 1).count() as u64
    }

    /// Forgets what was last seen before `then`.
    fn forget_before(&mut self, then: Micros) {
        self.seen.retain(|_, stats| stats.last_seen_at >= then);
    }

    /// How surprising a value would be that was never seen.
    pub fn bits(&self) -> u32 {
        super::bits(self.hours, self.singletons())
    }

    pub(super) fn add(&mut self, value: &Uid, at: Micros, success: bool) -> Novelty {
        if self.last_hour.is_none_or(|hour| at.hour() > hour) {
            self.hours += 1;
            self.last_hour = Some(at.hour());
        }
        if let Some(stats) = self.seen.get_mut(value) {
            if at.hour() > stats.last_seen_at.hour() {
                stats.hours = stats.hours.saturating_add(1);
            }
            let another_day = at.day() > stats.last_seen_at.day();
            if another_day {
                stats.days = stats.days.saturating_add(1);
            }
            stats.events += 1;
            stats.first_seen_at = stats.first_seen_at.min(at);
            stats.last_seen_at = stats.last_seen_at.max(at);
            let first_success = success && !stats.succeeded();
            if success {
                stats.sleep.used(at);
            }
            return Novelty {
                first_success,
                doubled: another_day && stats.doubled(),
            };
        }
        if self.seen.len() >= VALUES_MAX {
            let oldest = self
                .seen
                .iter()
                .min_by_key(|(_, stats)| stats.last_seen_at)
                .map(|(value, _)| value.clone());
            if let Some(oldest) = oldest {
                self.seen.remove(&oldest);
                self.evicted += 1;
            }
        }
        let mut stats = ValueStats::new(at);
        if success {
            stats.sleep.used(at);
        }
        self.seen.insert(value.clone(), stats);
        Novelty {
            first_success: success,
            doubled: true,
        }
    }

    /// How many values were seen with success.
    pub fn succeeded(&self) -> usize {
        let seen = self.seen.values();
        seen.filter(|stats| stats.succeeded()).count()
    }
}

/// The values of a dimension in which nothing was seen.
static NOTHING: Values = Values {
    seen: BTreeMap::new(),
    hours: 0,
    last_hour: None,
    evicted: 0,
};

/// What has been normal for one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub first_seen_at: Micros,
    pub last_seen_at: Micros,
    /// Distinct hours in which the identity acted.
    pub hours: u64,
    pub sleep: Sleep,
    /// By dimension. Shorter than there are dimensions if written by a build that had fewer.
    pub(crate) values: Vec<Values>,
    /// Operations that were refused.
    pub denials: Burst,
    /// Services and regions from which secrets were read.
    pub secrets: Burst,
    pub rhythm: Rhythm,
    pub whereabouts: Whereabouts,
    pub week: Week,
}

impl Profile {
    /// A profile that begins at `at` and knows nothing.
    pub fn new(at: Micros) -> Self {
        Self {
            first_seen_at: at,
            last_seen_at: at,
            hours: 0,
            sleep: Sleep::default(),
            values: Vec::new(),
            denials: Burst::default(),
            secrets: Burst::default(),
            rhythm: Rhythm::default(),
            whereabouts: Whereabouts::default(),
            week: Week::default(),
        }
    }

    /// The values of `dimension`.
    pub fn values(&self, dimension: Dimension) -> &Values {
        self.values.get(dimension as usize).unwrap_or(&NOTHING)
    }

    /// What is known of `value`.
    pub fn stats(&self, dimension: Dimension, value: &Uid) -> Option<&ValueStats> {
        self.values(dimension).seen.get(value)
    }

    /// Whole days of history at `at`.
    pub const fn age_days(&self, at: Micros) -> i64 {
        at.since(self.first_seen_at) / Micros::DAY
    }

    /// Whether it has fewer days or active hours than these at `at`.
    pub const fn young(&self, at: Micros, (days, hours): (i64, u64)) -> bool {
        self.age_days(at) < days || self.hours < hours
    }

    /// What `sighting` makes of the refusals of the last ten minutes.
    pub fn denials_with(&self, sighting: &Sighting) -> Crowd {
        self.denials
            .with(sighting.event_time, &sighting.operation, DENIALS_WINDOW)
    }

    /// What reading a secret at `place` makes of those of the last hour.
    pub fn secrets_with(&self, sighting: &Sighting, place: &Uid) -> Crowd {
        self.secrets
            .with(sighting.event_time, place, SECRETS_WINDOW)
    }

    /// Makes `value` normal because somebody confirmed it at `at`. It counts as seen more than once, so that it makes no other
    /// value less surprising. None if there is no room.
    pub fn accept(&mut self, dimension: Dimension, value: &Uid, at: Micros) -> Option<&ValueStats> {
        self.values
            .resize_with(Dimension::ALL.len(), Values::default);
        let seen = &mut self.values[dimension as usize].seen;
        if !seen.contains_key(value) && seen.len() >= VALUES_MAX {
            return None;
        }
        let stats = seen.entry(value.clone()).or_insert_with(|| ValueStats {
            events: 0,
            ..ValueStats::new(at)
        });
        stats.hours = stats.hours.max(2);
        Some(stats)
    }

    /// Adds `sighting` to what is normal.
    pub fn add(&mut self, sighting: &Sighting) -> Fresh {
        let at = sighting.event_time;
        if at.day() > self.last_seen_at.day() {
            let then = at.plus(-VALUE_AGE_MAX);
            self.values
                .iter_mut()
                .for_each(|values| values.forget_before(then));
        }
        if self.hours == 0 || at.hour() > self.last_seen_at.hour() {
            self.hours += 1;
        }
        self.first_seen_at = self.first_seen_at.min(at);
        self.last_seen_at = self.last_seen_at.max(at);
        if sighting.success {
            self.sleep.used(at);
        }
        self.values
            .resize_with(Dimension::ALL.len(), Values::default);
        let mut fresh = Fresh::default();
        for (dimension, values) in Dimension::ALL.into_iter().zip(&mut self.values) {
            let Some(value) = dimension.value(sighting) else {
                continue;
            };
            let novelty = values.add(value, at, sighting.success);
            if novelty.first_success {
                fresh.succeeded.push(dimension);
            }
            if novelty.doubled {
                fresh.doubled.push(dimension);
            }
        }
        self.rhythm.add(at);
        self.week.add(at);
        if sighting.denied {
            self.denials.add(at, &sighting.operation, DENIALS_WINDOW);
        }
        if let Some(place) = sighting.secret_read() {
            self.secrets.add(at, &place, SECRETS_WINDOW);
        }
        if let Some(network) = &sighting.network {
            let workload = sighting.by.workload_uid.as_ref();
            let credential = sighting.presented();
            let event = (at, &sighting.event_uid);
            self.whereabouts.add(workload, credential, network, event);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_hour(hour: i64) -> Micros {
        Micros(hour * Micros::HOUR)
    }

    #[test]
    fn a_late_use_never_moves_last_success_back() {
        let mut sleep = Sleep::default();
        sleep.used(at_hour(10));
        sleep.used(at_hour(50));
        sleep.used(at_hour(20));
        assert_eq!(sleep.last_success_at, Some(at_hour(50)));
        assert_eq!(sleep.longest_gap, 40 * Micros::HOUR);
        assert_eq!(sleep.days, 2);
    }

    #[test]
    fn a_value_is_worth_a_row_when_its_days_have_doubled() {
        let mut values = Values::default();
        let one = Uid::from("one");
        // Twice a day, on ten days; a late event is no further day.
        let mut told = Vec::new();
        for half in 0..20 {
            if values.add(&one, at_hour(half * 12), true).doubled {
                told.push(values.seen[&one].days);
            }
            assert!(!values.add(&one, at_hour(0), true).doubled || half == 0);
        }
        assert_eq!(told, [1, 2, 4, 8]);
    }

    #[test]
    fn values_are_bounded_and_forget_the_oldest() {
        let mut values = Values::default();
        for hour in 0..=VALUES_MAX as i64 {
            values.add(&Uid::from(format!("net-{hour}")), at_hour(hour), true);
        }
        assert_eq!(values.seen.len(), VALUES_MAX);
        assert_eq!(values.evicted, 1);
        assert!(!values.seen.contains_key("net-0"));
        assert_eq!(values.hours, VALUES_MAX as u64 + 1);
    }
}
