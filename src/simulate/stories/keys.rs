//! Long-lived keys in the wrong hands, or in too many.

use super::super::calendar::{HISTORY_DAYS_MIN, LONG_HISTORY_DAYS_MIN, sleep};
use super::super::cast::Part;
use super::super::estate::{Aws, Estate};
use super::super::names::{AGENTS, EGRESS};
use super::super::operations::{
    COPY_OBJECT, DESCRIBE_REGIONS, GET_CALLER_IDENTITY, LIST_BUCKETS, LIST_ROLES, LIST_SECRETS,
    LIST_USERS, PUT_LIFECYCLE,
};
use super::super::random::{Guid, Random};
use super::super::trail::Source;
use super::super::{Stage, Story};
use super::{Elsewhere, Plot, Scene, Script, Seat, When, at_home, in_aws, key_of, perform, seat};

/// How many objects are encrypted within a quarter of an hour, and two calls that follow.
const ENCRYPTED: u32 = 640;
/// For how many days a key is used in three places.
const SHARED_DAYS: u32 = 8;

pub(super) fn scripts(estate: &Estate, days: u32, random: &mut Random) -> Vec<Script> {
    let mut scripts = Vec::new();
    if let (Some((actor, body)), Some(sleep)) = (estate.in_aws(Part::Sleeper).next(), sleep(days)) {
        scripts.push(waking(estate, actor, body, sleep, random));
    }
    if days >= HISTORY_DAYS_MIN {
        let strange = estate.in_aws(Part::Strange).next();
        scripts.extend(strange.map(|(actor, body)| elsewhere(estate, actor, body, days, random)));
    }
    if days >= LONG_HISTORY_DAYS_MIN {
        let encryptor = estate.in_aws(Part::Encryptor).next();
        scripts
            .extend(encryptor.map(|(actor, body)| encrypting(estate, actor, body, days, random)));
        let shared = estate.in_aws(Part::Shared).next();
        scripts.extend(shared.map(|(actor, body)| shared_out(estate, actor, body, days, random)));
    }
    scripts
}

/// A key that slept is used from elsewhere, to look around and read.
#[derive(Debug)]
struct Waking {
    actor: usize,
    elsewhere: Elsewhere,
}

fn waking(
    estate: &Estate,
    actor: usize,
    body: &Aws,
    (silent_from, day): (u32, u32),
    random: &mut Random,
) -> Script {
    let elsewhere = Elsewhere::new(random);
    let story = Story {
        name: "sleeper-key",
        detector: "reactivated",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: elsewhere.first.text(),
        description: format!(
            "The key of user {} was used every day until day {silent_from}, then not at all, and on day {day} from a \
             new network, to look around and read objects.",
            body.name
        ),
    };
    let scenes = vec![When::at(day, 2)];
    Script::of_story(story, scenes, Waking { actor, elsewhere })
}

impl Plot for Waking {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, body) = in_aws(stage.estate, self.actor);
        let seat = self.elsewhere.seat(actor, body);
        let caller = key_of(stage.estate, self.actor, scene);
        let looks = [GET_CALLER_IDENTITY, LIST_BUCKETS, LIST_USERS];
        let first = Some(self.elsewhere.first);
        perform(stage, seat, &caller, scene, 0, &looks, first);
    }
}

/// A busy key is used from elsewhere, mostly as always.
#[derive(Debug)]
struct Strange {
    actor: usize,
    elsewhere: Elsewhere,
}

fn elsewhere(estate: &Estate, actor: usize, body: &Aws, days: u32, random: &mut Random) -> Script {
    let elsewhere = Elsewhere::new(random);
    let story = Story {
        name: "strange-network",
        detector: "unusual-origin",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: elsewhere.first.text(),
        description: format!(
            "The key of user {}, used every hour from one network, is also used from a hosting network, for what it \
             always does and for a few things more.",
            body.name
        ),
    };
    let scenes = vec![When::at(days - 2, 14)];
    Script::of_story(story, scenes, Strange { actor, elsewhere })
}

impl Plot for Strange {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, body) = in_aws(stage.estate, self.actor);
        let seat = seat(actor, body, self.elsewhere.source());
        let caller = key_of(stage.estate, self.actor, scene);
        let mut operations = body.operations.to_vec();
        operations.extend([LIST_SECRETS, DESCRIBE_REGIONS, LIST_ROLES]);
        let first = Some(self.elsewhere.first);
        perform(stage, seat, &caller, scene, 0, &operations, first);
    }
}

/// Objects are overwritten with copies that only a foreign key can read, and soon nothing older will be left. All of it
/// comes from where the key always is: whoever does it works on the machine that holds it.
#[derive(Debug)]
struct Encrypting {
    actor: usize,
    first: Guid,
}

fn encrypting(estate: &Estate, actor: usize, body: &Aws, days: u32, random: &mut Random) -> Script {
    let first = random.guid();
    let story = Story {
        name: "encrypted-objects",
        detector: "volume-spike",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "The key of user {}, which moves a few objects every third hour, overwrites {} of them within a quarter of \
             an hour with copies under a key of the caller's, and then shortens how long old versions are kept.",
            body.name,
            ENCRYPTED - 2
        ),
    };
    let scenes = vec![When {
        events: ENCRYPTED,
        ..When::at(days - 4, 19)
    }];
    Script::of_story(story, scenes, Encrypting { actor, first })
}

impl Plot for Encrypting {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let seat = at_home(stage, self.actor);
        let caller = key_of(stage.estate, self.actor, scene);
        let copies = (ENCRYPTED - 2) as usize;
        let mut operations = vec![COPY_OBJECT; copies];
        operations.extend([PUT_LIFECYCLE, PUT_LIFECYCLE]);
        perform(
            stage,
            seat,
            &caller,
            scene,
            0,
            &operations,
            Some(self.first),
        );
    }
}

/// A key was copied into two more programs, which run elsewhere and with other clients.
#[derive(Debug)]
struct SharedOut {
    actor: usize,
    first: Guid,
    places: [([u8; 4], &'static str); 2],
}

fn shared_out(estate: &Estate, actor: usize, body: &Aws, days: u32, random: &mut Random) -> Script {
    let first = random.guid();
    let other = |agent: &&&str| **agent != body.agent;
    let mut agents = AGENTS.iter().filter(other);
    let mut place = || {
        let agent = agents.next().copied().unwrap_or(body.agent);
        (random.address(EGRESS), agent)
    };
    let places = [place(), place()];
    let story = Story {
        name: "shared-key",
        detector: "shared-credential",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "The key of user {} stands in one program for a long time, and from day {} on also in two others, in \
             networks of their own.",
            body.name,
            days - SHARED_DAYS - 2
        ),
    };
    let from = days - SHARED_DAYS - 2;
    let day = |day: u32| [7, 8].map(|hour| When::at(from + day, hour));
    let scenes = (0..SHARED_DAYS).flat_map(day).collect();
    Script::of_story(
        story,
        scenes,
        SharedOut {
            actor,
            first,
            places,
        },
    )
}

impl Plot for SharedOut {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, body) = in_aws(stage.estate, self.actor);
        let (address, agent) = self.places[scene.number % 2];
        let seat = Seat {
            agent,
            ..seat(actor, body, Source::Public(address))
        };
        let caller = key_of(stage.estate, self.actor, scene);
        let first = (scene.number == 0).then_some(self.first);
        perform(stage, seat, &caller, scene, 0, body.operations, first);
    }
}
