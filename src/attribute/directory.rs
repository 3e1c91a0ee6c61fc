//! Names and ARNs → the unique ids that bore them, with the time in which they did (ID-3, ID-4).
//!
//! A role that is deleted and made again has its old name and a new id. What is known comes from creations and
//! deletions and from every session that shows both.

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::names::Names;
use crate::model::{Attribution, Kept, Micros, Uid};

/// How many names are remembered. Beyond it, the sixteenth that was seen longest ago is forgotten and counted.
const NAMES_MAX: usize = 1_000_000;

/// How many bearers of one name: a role is not made again so often. Beyond it the one seen longest ago is forgotten and
/// counted.
const BEARERS_MAX: usize = 64;

/// One bearer of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bearer {
    uid: Uid,
    created_at: Option<Micros>,
    deleted_at: Option<Micros>,
    /// Times at which it was seen, to the hour.
    first_seen_hour: i64,
    last_seen_hour: i64,
}

impl Bearer {
    /// Since when the name is its own, as far as is known.
    fn begins(&self) -> Micros {
        self.created_at
            .unwrap_or(Micros(self.first_seen_hour * Micros::HOUR))
    }
}

/// Every name, by `role|<account>|<name>` or `user|…`: names are unique in an account, whatever their path.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) names: Kept<Uid, Vec<Bearer>>,
    /// Derived: the hour and the name under which each id was last noted, so that most sightings cost one look.
    noted: HashMap<Uid, (i64, Uid), RandomState>,
    pub(super) evicted: u64,
}

impl Directory {
    /// Notes that `uid` bore the name in `arn` at `at`. Whether that can change what the name leads to.
    pub(super) fn saw(&mut self, arn: &str, uid: &Uid, at: Micros, names: &mut Names) -> bool {
        let hour = at.hour();
        let known = self.noted.get(uid);
        if known.is_some_and(|(noted, name)| *noted == hour && **name == *arn) {
            return false;
        }
        if self.noted.len() > NAMES_MAX {
            self.noted.clear();
        }
        self.noted.insert(uid.clone(), (hour, names.intern(arn)));
        let Some(key) = key_of_arn(arn, names) else {
            return false;
        };
        let known = self.names.get(&key).map_or(&[][..], Vec::as_slice);
        let new = known.iter().all(|bearer| bearer.uid != *uid);
        // When it was seen says something only against others of the same name.
        let alone = known.len() == 1 && !new;
        let bearer = self.bearer(&key, uid, hour);
        let wider = hour < bearer.first_seen_hour || hour > bearer.last_seen_hour;
        bearer.first_seen_hour = bearer.first_seen_hour.min(hour);
        bearer.last_seen_hour = bearer.last_seen_hour.max(hour);
        new || (wider && !alone)
    }

    /// Notes a creation.
    pub(super) fn created(&mut self, key: &Uid, uid: &Uid, at: Micros) {
        let bearer = self.bearer(key, uid, at.hour());
        bearer.created_at = Some(bearer.created_at.map_or(at, |known| known.min(at)));
        bearer.first_seen_hour = bearer.first_seen_hour.min(at.hour());
    }

    /// Notes a deletion: of whoever bears the name then.
    pub(super) fn deleted(&mut self, key: &Uid, at: Micros) -> Option<Uid> {
        let uid = self.at(key, at)?.clone();
        let bearers = self.names.get_mut(key)?;
        let bearer = bearers.iter_mut().find(|bearer| bearer.uid == uid)?;
        bearer.deleted_at = Some(at);
        Some(uid)
    }

    /// Who bore at `at` the name in `arn`, or the object id `entra|…`.
    pub(super) fn named_at(&self, name: &Uid, at: Micros) -> Option<&Uid> {
        if name.starts_with("entra|") {
            return self.at(name, at);
        }
        let key = key_of_arn(name, &mut Names::default())?;
        self.at(&key, at)
    }

    /// Who bore the name in `arn` at `at`, by what was seen of it until then.
    pub(super) fn borne_since(&self, arn: &Uid, at: Micros) -> Option<&Uid> {
        let key = key_of_arn(arn, &mut Names::default())?;
        let uid = self.at(&key, at)?;
        let bearers = self.names.get(&key)?;
        let bore = |bearer: &Bearer| bearer.uid == *uid && bearer.begins() <= at;
        bearers.iter().any(bore).then_some(uid)
    }

    /// Notes an object of Entra, which keeps its id for ever. Whether it was new.
    pub(super) fn saw_object(
        &mut self,
        object: &str,
        uid: &Uid,
        at: Micros,
        names: &mut Names,
    ) -> bool {
        let known = self.noted.get(uid);
        if known.is_some_and(|(noted, _)| *noted == at.hour()) {
            return false;
        }
        let key = names.join(&["entra|", object]);
        if self.noted.len() > NAMES_MAX {
            self.noted.clear();
        }
        self.noted.insert(uid.clone(), (at.hour(), key.clone()));
        let new = !self.names.contains(&key);
        let bearer = self.bearer(&key, uid, at.hour());
        bearer.first_seen_hour = bearer.first_seen_hour.min(at.hour());
        bearer.last_seen_hour = bearer.last_seen_hour.max(at.hour());
        new
    }

    /// ID-4: a user who is named by an ARN gets the unique id that bore it.
    pub(super) fn rename(&self, word: &mut Attribution, at: Micros, names: &mut Names) {
        let Some(arn) = word.identity_uid.strip_prefix("aws:user-arn:") else {
            return;
        };
        let Some(uid) = key_of_arn(arn, names)
            .and_then(|key| self.at(&key, at))
            .cloned()
        else {
            return;
        };
        let old = std::mem::replace(&mut word.identity_uid, uid.clone());
        for node in word
            .chain
            .iter_mut()
            .chain([&mut word.origin_uid, &mut word.acting_uid])
        {
            if *node == old {
                *node = uid.clone();
            }
        }
        word.because("ID-4");
    }

    /// Who bore the name at `at`: whoever was made or seen before and not deleted, else whoever is seen next. None
    /// when two could have, because the time between their sightings says nothing.
    pub(super) fn at(&self, key: &Uid, at: Micros) -> Option<&Uid> {
        let bearers = self.names.get(key)?;
        let before = bearers.iter().filter(|bearer| bearer.begins() <= at);
        let current = before.max_by_key(|bearer| bearer.begins());
        let next = bearers
            .iter()
            .filter(|bearer| bearer.begins() > at)
            .min_by_key(|bearer| bearer.begins());
        match (current, next) {
            (Some(current), next) => {
                if let Some(deleted) = current.deleted_at {
                    return (at <= deleted).then_some(&current.uid);
                }
                let seen_since = (current.last_seen_hour + 1) * Micros::HOUR > at.0;
                // Its successor was made at a known time, or there is none: until then the name is its own.
                let alone = next.is_none_or(|next| next.created_at.is_some());
                (seen_since || alone).then_some(&current.uid)
            }
            // A session is obtained a moment before its first use shows whose it is.
            (None, Some(next)) => Some(&next.uid).filter(|_| next.created_at.is_none()),
            (None, None) => None,
        }
    }

    /// Derived again after a restart, by being empty: the next sighting of each id looks once more.
    pub(super) fn index(&mut self) {
        self.noted.clear();
    }

    fn bearer(&mut self, key: &Uid, uid: &Uid, hour: i64) -> &mut Bearer {
        if self.names.len() >= NAMES_MAX && !self.names.contains(key) {
            self.make_room();
        }
        let bearers = self.names.entry(key, Vec::new);
        let place = bearers.iter().position(|bearer| bearer.uid == *uid);
        if place.is_none()
            && bearers.len() >= BEARERS_MAX
            && let Some(oldest) = (0..bearers.len()).min_by_key(|at| bearers[*at].last_seen_hour)
        {
            bearers.remove(oldest);
            self.evicted += 1;
        }
        let place = place.unwrap_or_else(|| {
            bearers.push(Bearer {
                uid: uid.clone(),
                created_at: None,
                deleted_at: None,
                first_seen_hour: hour,
                last_seen_hour: hour,
            });
            bearers.len() - 1
        });
        &mut bearers[place]
    }

    fn make_room(&mut self) {
        self.evicted += self.names.forget_least(NAMES_MAX / 16, |bearers| {
            bearers.iter().map(|bearer| bearer.last_seen_hour).max()
        });
    }
}

/// The directory's key for the role or user in an IAM ARN: paths are left out, because sessions do not show them.
pub(super) fn key_of_arn(arn: &str, names: &mut Names) -> Option<Uid> {
    let mut parts = arn.splitn(6, ':');
    let (service, account) = (parts.nth(2)?, parts.nth(1)?);
    let resource = parts.next()?;
    let (kind, path) = resource.split_once('/')?;
    if service != "iam" || !matches!(kind, "role" | "user") {
        return None;
    }
    let name = path.rsplit('/').next()?;
    Some(key(kind, account, name, names))
}

/// The directory's key for a role or user by its name.
pub(super) fn key(kind: &str, account: &str, name: &str, names: &mut Names) -> Uid {
    names.join(&[kind, "|", account, "|", name])
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = Micros::HOUR;

    #[test]
    fn a_name_leads_to_whoever_bore_it_then() {
        let mut names = Names::default();
        let mut directory = Directory::default();
        let arn = "arn:aws:iam::111122223333:role/team/app";
        let key = key_of_arn(arn, &mut names).unwrap();
        assert_eq!(&*key, "role|111122223333|app");
        let (old, new) = (Uid::from("aws:role:OLD"), Uid::from("aws:role:NEW"));
        directory.saw(arn, &old, Micros(10 * HOUR), &mut names);
        assert_eq!(directory.at(&key, Micros(9 * HOUR)), Some(&old));
        assert_eq!(directory.at(&key, Micros(50 * HOUR)), Some(&old));
        directory.saw(arn, &new, Micros(40 * HOUR), &mut names);
        assert_eq!(directory.at(&key, Micros(10 * HOUR)), Some(&old));
        assert_eq!(directory.at(&key, Micros(45 * HOUR)), Some(&new));
        // V-57: between the last sighting of one and the first of the other, either could have borne it.
        assert_eq!(directory.at(&key, Micros(20 * HOUR)), None);
        directory.deleted(&key, Micros(10 * HOUR + 5));
        assert_eq!(directory.at(&key, Micros(20 * HOUR)), None, "nobody");
        directory.created(&key, &new, Micros(30 * HOUR));
        assert_eq!(directory.at(&key, Micros(31 * HOUR)), Some(&new));
    }
}
