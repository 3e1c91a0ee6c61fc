//! What the peers of an identity do, for as long as it has no habits of its own.
//!
//! Peers are the machine identities of one kind in one tenant. What is counted is members, not events: a value is usual
//! among peers if many of them ever showed it, however often one did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Dimension, KnownIdentity, Profile, Sighting, novelty};
use crate::model::{Changes, Kept, Micros, Uid};

/// How many values of one dimension are remembered of a group. One with more says nothing about a further value.
const VALUES_MAX: usize = 1_024;

/// How many values of one dimension count of one member: nobody alone may fill a group.
const OF_MEMBER_MAX: usize = 64;

/// How many groups are remembered. Beyond it the sixteenth to which nothing new came for longest is forgotten and counted.
const GROUPS_MAX: usize = 100_000;

/// The identities of one kind in one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerGroup {
    /// When anything in it was last new.
    last_at: Micros,
    /// In the order of [`Dimension::OF_PEERS`]; shorter if written by a build that had fewer.
    shown: Vec<Shown>,
}

/// What members showed in one dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    /// Members that showed any value.
    members: u32,
    /// How many of them showed each.
    values: BTreeMap<Uid, u32>,
}

impl PeerGroup {
    const fn new(at: Micros) -> Self {
        Self {
            last_at: at,
            shown: Vec::new(),
        }
    }

    /// How many bits it is worth that none of the members ever showed `value`, and how many members that rests on; `member`
    /// if whoever shows it is counted among them. Nothing if one did, or if the group knows too many values.
    pub fn surprise(&self, dimension: Dimension, value: &Uid, member: bool) -> Option<(u32, u64)> {
        let shown = self.shown.get(place(dimension)?)?;
        if shown.values.len() >= VALUES_MAX || shown.values.contains_key(value) {
            return None;
        }
        let singletons = shown.values.values().filter(|members| **members == 1);
        let members = u64::from(shown.members).saturating_sub(u64::from(member));
        let bits = novelty::bits(members, singletons.count() as u64);
        Some((bits, members))
    }

    /// Whether one of the members showed `value`.
    pub fn knows(&self, dimension: Dimension, value: &Uid) -> bool {
        let shown = place(dimension).and_then(|place| self.shown.get(place));
        shown.is_some_and(|shown| shown.values.contains_key(value))
    }

    fn add(&mut self, dimension: Dimension, value: &Uid, first: bool) {
        let Some(place) = place(dimension) else {
            return;
        };
        self.shown
            .resize_with(Dimension::OF_PEERS.len(), Shown::default);
        let shown = &mut self.shown[place];
        shown.members = shown.members.saturating_add(u32::from(first));
        if let Some(members) = shown.values.get_mut(value) {
            *members = members.saturating_add(1);
        } else if shown.values.len() < VALUES_MAX {
            shown.values.insert(value.clone(), 1);
        }
    }
}

/// Where a group keeps `dimension`.
fn place(dimension: Dimension) -> Option<usize> {
    let mut all = Dimension::OF_PEERS.into_iter();
    all.position(|one| one == dimension)
}

/// Every group.
#[derive(Debug, Default)]
pub struct Peers {
    of: Kept<Uid, PeerGroup>,
    pub evicted: u64,
    /// State was read that held profiles and no peers: they have to be [gathered](Peers::gather).
    pub forgotten: bool,
}

impl Peers {
    /// The peers of an identity.
    pub fn of(&self, known: &KnownIdentity) -> Option<&PeerGroup> {
        self.of.get(&group(known))
    }

    /// Notes what `sighting` has shown with success for the first time of an identity, whose profile holds it already:
    /// `fresh` are those dimensions.
    pub fn add(
        &mut self,
        known: &KnownIdentity,
        own: &Profile,
        (sighting, fresh): (&Sighting, &[Dimension]),
    ) {
        for dimension in fresh.iter().filter(|one| place(**one).is_some()) {
            let values = own.values(*dimension).succeeded();
            if let Some(value) = dimension.value(sighting)
                && values <= OF_MEMBER_MAX
            {
                let group = self.group(known, sighting.event_time);
                group.add(*dimension, value, values == 1);
            }
        }
    }

    /// Adds everything that an identity ever showed with success.
    pub fn gather(&mut self, known: &KnownIdentity, own: &Profile) {
        for dimension in Dimension::OF_PEERS {
            let values = own.values(dimension).seen.iter();
            let mut values: Vec<_> = values.filter(|(_, stats)| stats.succeeded()).collect();
            values.sort_by_key(|(value, stats)| (stats.first_seen_at, *value));
            for (place, (value, _)) in values.into_iter().take(OF_MEMBER_MAX).enumerate() {
                let group = self.group(known, own.last_seen_at);
                group.add(dimension, value, place == 0);
            }
        }
    }

    fn group(&mut self, known: &KnownIdentity, at: Micros) -> &mut PeerGroup {
        let name = group(known);
        if !self.of.contains(&name) && self.of.len() >= GROUPS_MAX {
            self.evicted += self
                .of
                .forget_least(GROUPS_MAX / 16 + 1, |group| group.last_at);
        }
        let group = self.of.entry(&name, || PeerGroup::new(at));
        group.last_at = group.last_at.max(at);
        group
    }

    /// What must survive a restart: changes since the last call, or everything if `all`.
    pub fn written(&mut self, all: bool) -> Changes<Uid, PeerGroup> {
        self.of.written(all)
    }

    /// Continues from what [`Peers::written`] gave.
    pub fn restore(&mut self, changes: Changes<Uid, PeerGroup>) {
        self.of.apply(changes);
    }
}

/// The name of the group to which an identity belongs.
fn group(known: &KnownIdentity) -> Uid {
    let tenant = known.tenant.as_deref().unwrap_or("no tenant");
    Uid::from(format!("{} of {tenant}", known.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_no_peer_surprises_the_more_the_more_peers_there_are() {
        let office = Uid::from("198.51.100.0/24");
        let elsewhere = Uid::from("203.0.113.0/24");
        let mut group = PeerGroup::new(Micros(0));
        assert_eq!(group.surprise(Dimension::Network, &office, false), None);
        for _ in 0..63 {
            group.add(Dimension::Network, &office, true);
        }
        assert_eq!(group.surprise(Dimension::Network, &office, false), None);
        let bits = group.surprise(Dimension::Network, &elsewhere, false);
        assert_eq!(bits, Some((7, 63)));
        assert_eq!(
            group.surprise(Dimension::Credential, &elsewhere, false),
            None
        );
    }

    #[test]
    fn peers_that_have_nothing_in_common_surprise_nobody() {
        let mut group = PeerGroup::new(Micros(0));
        for number in 0..VALUES_MAX - 1 {
            let network = Uid::from(format!("network {number}"));
            group.add(Dimension::Network, &network, true);
        }
        let other = Uid::from("other");
        let bits = group.surprise(Dimension::Network, &other, false);
        assert_eq!(bits, Some((0, 1_023)));
        group.add(Dimension::Network, &other, true);
        let further = Uid::from("further");
        assert_eq!(group.surprise(Dimension::Network, &further, false), None);
    }
}
