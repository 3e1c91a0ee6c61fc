//! How much of what an identity does is new, in groups of dimensions that are independent of each other.
//!
//! Dimensions of one group explain each other (a new country is a new network too), so that a group counts once, by the
//! largest. Where a call comes from and what it does decide; with which client and at what time can only add to that: an
//! upgrade of an SDK is a great surprise and no incident.

use crate::correlate::{Dimension, PeerGroup, Profile, Sighting, Week};
use crate::model::{Uid, Why};

use super::Before;

/// Client and time count so many bits each at most.
const SUPPORT_BITS_MAX: u32 = 4;

/// Where a call comes from.
const ORIGIN: [Dimension; 4] = [
    Dimension::Network,
    Dimension::Asn,
    Dimension::Country,
    Dimension::Range,
];

/// What it does; of two that are as surprising the later one speaks.
const ACT: [Dimension; 5] = [
    Dimension::Region,
    Dimension::ActsAs,
    Dimension::ResourceClass,
    Dimension::Service,
    Dimension::Operation,
];

/// Against whose habits an event is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Against<'a> {
    /// Those of the identity itself.
    Own(&'a Profile),
    /// Those of its peers, while it has none of its own.
    Peers(&'a Profile, &'a PeerGroup),
}

impl<'a> Against<'a> {
    /// The identity's own habits if it is old enough and was active enough, else those of its peers where there are any.
    pub(super) fn of(
        sighting: &Sighting,
        before: &Before<'a>,
        (days_min, hours_min): (i64, u64),
    ) -> Option<Self> {
        if super::learning(before.profile, sighting, days_min, hours_min) {
            let peers = before.peers?;
            return Some(Self::Peers(before.profile, peers));
        }
        Some(Self::Own(before.profile))
    }

    /// Whether it is held against others.
    pub(super) const fn peers(&self) -> bool {
        matches!(self, Self::Peers(..))
    }

    /// Whether what `sighting` shows in `dimension` is nothing new.
    pub(super) fn knows(&self, dimension: Dimension, sighting: &Sighting) -> bool {
        let Some(value) = dimension.value(sighting) else {
            return true;
        };
        match self {
            Self::Own(own) => own.stats(dimension, value).is_some(),
            Self::Peers(own, peers) => {
                own.stats(dimension, value).is_some() || peers.knows(dimension, value)
            }
        }
    }

    /// How surprising what `sighting` shows in `dimension` is, if it is new there.
    pub(super) fn surprise(&self, dimension: Dimension, sighting: &Sighting) -> Option<Why> {
        match self {
            Self::Own(own) => new_to(dimension, sighting, own),
            Self::Peers(own, peers) => {
                let mut why = new_to(dimension, sighting, own)?;
                let member = own.values(dimension).succeeded() > 0;
                let value = dimension.value(sighting)?;
                let (bits, members) = peers.surprise(dimension, value, member)?;
                why.expected = format!("what one of its {members} peers ever showed");
                (why.bits, why.n) = (Some(bits), members);
                Some(why)
            }
        }
    }

    /// What is new about where the call comes from, the network first.
    pub(super) fn origin(&self, sighting: &Sighting) -> Vec<Why> {
        let all = ORIGIN.into_iter();
        all.filter_map(|dimension| self.surprise(dimension, sighting))
            .collect()
    }

    /// The most surprising of what is new about what it does. A region explains a network and a network a region, so that
    /// one does not speak for the other.
    pub(super) fn act(&self, sighting: &Sighting) -> Option<Why> {
        let moved = || self.surprise(Dimension::Network, sighting).is_some();
        ACT.into_iter()
            .filter(|dimension| *dimension != Dimension::Region || !moved())
            .filter_map(|dimension| self.surprise(dimension, sighting))
            .max_by_key(|why| why.bits)
    }

    /// What is new about its client and about the time.
    pub(super) fn support(&self, sighting: &Sighting) -> Vec<Why> {
        let Self::Own(own) = self else {
            return Vec::new();
        };
        let client = new_to(Dimension::Client, sighting, own).map(|mut why| {
            why.bits = why.bits.map(|bits| bits.min(SUPPORT_BITS_MAX));
            why
        });
        client.into_iter().chain(hour(sighting, own)).collect()
    }
}

/// How surprising what `sighting` shows in `dimension` is to an identity with this profile, if it is new there.
pub(super) fn new_to(dimension: Dimension, sighting: &Sighting, before: &Profile) -> Option<Why> {
    let value = dimension.value(sighting)?;
    if before.stats(dimension, value).is_some() {
        return None;
    }
    let values = before.values(dimension);
    Some(Why {
        dimension: Uid::from(dimension.name()),
        observed: value.to_string(),
        expected: format!("one of {} known", values.seen.len()),
        window_days: before.age_days(sighting.event_time),
        n: values.hours,
        bits: Some(values.bits()),
    })
}

/// That it was never active at this hour of the week.
fn hour(sighting: &Sighting, before: &Profile) -> Option<Why> {
    let at = sighting.event_time;
    let bits = before.week.surprise(at)?;
    Some(Why {
        dimension: Uid::from("hour_of_week"),
        observed: Week::name(at),
        expected: format!("one of {} hours of the week", before.week.active()),
        window_days: before.age_days(at),
        n: before.week.hours(),
        bits: Some(bits.min(SUPPORT_BITS_MAX)),
    })
}

/// The bits of reasons that are independent of each other.
pub(super) fn sum<'w>(reasons: impl IntoIterator<Item = &'w Why>) -> u32 {
    reasons.into_iter().filter_map(|why| why.bits).sum()
}
