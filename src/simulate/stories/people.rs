//! What people do to machine identities: make a key for themselves, end one that lives on, leave.

use super::super::aws::{ask, assume};
use super::super::calendar::{LONG_HISTORY_DAYS_MIN, Leaving, ended, leaving};
use super::super::cast::Part;
use super::super::estate::{Aws, Estate};
use super::super::operations::{GET_CALLER_IDENTITY, GET_SECRET, LIST_BUCKETS, Operation};
use super::super::random::{Guid, Random};
use super::super::{Stage, Story};
use super::administration::Order;
use super::{
    Plot, STRANGER, Scene, Script, Seat, When, at_console, at_home, in_aws, key_of, key_of_body,
    perform, seat,
};

/// Where somebody looks for secrets who looks everywhere.
const SWEPT: [&str; 5] = [
    "eu-west-1",
    "us-east-1",
    "eu-central-1",
    "us-west-2",
    "ap-southeast-2",
];

pub(super) fn scripts(estate: &Estate, days: u32, random: &mut Random) -> Vec<Script> {
    let mut scripts = Vec::new();
    let Some((administrator, _)) = estate.in_aws(Part::Administrator).next() else {
        return scripts;
    };
    if let Some((served, insider)) = estate
        .in_aws(Part::Served)
        .zip(estate.in_aws(Part::Insider))
        .next()
        .filter(|_| days >= LONG_HISTORY_DAYS_MIN)
    {
        scripts.push(own_key(estate, served, insider, days, random));
    }
    if let (Some((actor, body)), Some(day)) = (estate.in_aws(Part::Ended).next(), ended(days)) {
        scripts.push(outlived(estate, actor, body, administrator, day, random));
    }
    if let (Some(heir), Some(leaver), Some(leaving)) = (
        estate.in_aws(Part::Heir).next(),
        estate.in_aws(Part::Leaver).next(),
        leaving(days),
    ) {
        let plot = [heir.0, leaver.0, administrator];
        scripts.push(left_behind(estate, heir.1, plot, leaving, random));
    }
    scripts
}

/// A person makes a second key for a user of a service and uses it from their own desk, to read secrets everywhere.
#[derive(Debug)]
struct OwnKey {
    insider: usize,
    served: usize,
    first: Guid,
    /// The user with its new key.
    visitor: Aws,
}

fn own_key(
    estate: &Estate,
    (served, body): (usize, &Aws),
    (insider, person): (usize, &Aws),
    days: u32,
    random: &mut Random,
) -> Script {
    let first = random.guid();
    let number = estate.accounts[body.account].number;
    let visitor = Aws {
        key: random.aws_id("AKIA", number, 20),
        ..body.clone()
    };
    let story = Story {
        name: "own-key",
        detector: "new-credential-use",
        identity_uid: estate.actors[served].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "{} makes a key for user {} at the console, uses it minutes later from the same desk, and reads secrets in \
             {} regions.",
            person.name,
            body.name,
            SWEPT.len()
        ),
    };
    let scenes = vec![When::at(days - 6, 10)];
    Script::of_story(
        story,
        scenes,
        OwnKey {
            insider,
            served,
            first,
            visitor,
        },
    )
}

impl Plot for OwnKey {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (desk, person) = at_console(stage, self.insider, scene);
        let visitor = &self.visitor;
        let made = scene.event(1);
        let make = Order::create_key(&visitor.name, &visitor.key, made);
        make.give(stage, desk, &person, made, None);
        let (actor, _) = in_aws(stage.estate, self.served);
        let seat = Seat {
            agent: STRANGER,
            ..seat(actor, visitor, desk.source)
        };
        let caller = key_of_body(stage.estate, actor, visitor, scene);
        let mut operations = vec![GET_CALLER_IDENTITY];
        operations.extend(SWEPT.map(|region| Operation {
            region,
            ..GET_SECRET
        }));
        perform(
            stage,
            seat,
            &caller,
            scene,
            4,
            &operations,
            Some(self.first),
        );
    }
}

/// A key is switched off, and the session that was begun with it is used on.
#[derive(Debug)]
struct Outlived {
    actor: usize,
    administrator: usize,
    first: Guid,
}

fn outlived(
    estate: &Estate,
    actor: usize,
    body: &Aws,
    administrator: usize,
    day: u32,
    random: &mut Random,
) -> Script {
    let first = random.guid();
    let story = Story {
        name: "outlived-session",
        detector: "zombie-use",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "The only key of user {} is switched off five minutes after a session of role {} was begun with it; the \
             session is used for another half hour.",
            body.name, body.roles[0].name
        ),
    };
    let scenes = vec![When::at(day, 10)];
    Script::of_story(
        story,
        scenes,
        Outlived {
            actor,
            administrator,
            first,
        },
    )
}

impl Plot for Outlived {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let seat = at_home(stage, self.actor);
        let body = seat.body;
        let key = key_of(stage.estate, self.actor, scene);
        let mut caller = assume(stage, seat, &key, &body.roles[0], scene.minute(0), None);
        caller.who.story = None;
        ask(stage, seat, &caller, LIST_BUCKETS, scene.minute(1), None);
        let (desk, person) = at_console(stage, self.administrator, scene);
        let end = Order::disable_key(&body.name, &body.key);
        end.give(stage, desk, &person, scene.minute(5), None);
        caller.who.story = scene.name;
        for (index, minute) in (0..).zip([18, 22, 26, 30]) {
            let event = (index == 0).then_some(self.first);
            ask(
                stage,
                seat,
                &caller,
                LIST_BUCKETS,
                scene.minute(minute),
                event,
            );
        }
    }
}

/// Somebody makes a user with a key and leaves; later the key is used again.
#[derive(Debug)]
struct LeftBehind {
    heir: usize,
    leaver: usize,
    administrator: usize,
    first: Guid,
}

fn left_behind(
    estate: &Estate,
    body: &Aws,
    [heir, leaver, administrator]: [usize; 3],
    leaving: Leaving,
    random: &mut Random,
) -> Script {
    let first = random.guid();
    let (_, person) = in_aws(estate, leaver);
    let story = Story {
        name: "left-behind",
        detector: "leaver",
        identity_uid: estate.actors[heir].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "{} made user {} and its key on day {} and was deleted on day {}; on day {} the key is used again.",
            person.name, body.name, leaving.made, leaving.left, leaving.used
        ),
    };
    let scenes = vec![
        When::at(leaving.made, 11),
        When::at(leaving.left, 12),
        When::at(leaving.used, 13),
    ];
    Script::of_story(
        story,
        scenes,
        LeftBehind {
            heir,
            leaver,
            administrator,
            first,
        },
    )
}

impl Plot for LeftBehind {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (_, body) = in_aws(stage.estate, self.heir);
        let (_, leaver) = in_aws(stage.estate, self.leaver);
        match scene.number {
            0 => {
                let account = &stage.estate.accounts[body.account].id;
                let (desk, person) = at_console(stage, self.leaver, scene);
                let make = Order::create_user(account, &body.name, &body.user_id);
                make.give(stage, desk, &person, scene.event(1), None);
                let made = scene.event(2);
                let key = Order::create_key(&body.name, &body.key, made);
                key.give(stage, desk, &person, made, None);
            }
            1 => {
                let (desk, person) = at_console(stage, self.administrator, scene);
                let login = Order::delete_login(&leaver.name);
                login.give(stage, desk, &person, scene.event(1), None);
                let user = Order::delete_user(&leaver.name);
                user.give(stage, desk, &person, scene.event(2), None);
            }
            _ => {
                let seat = at_home(stage, self.heir);
                let caller = key_of(stage.estate, self.heir, scene);
                let first = Some(self.first);
                perform(stage, seat, &caller, scene, 0, body.operations, first);
            }
        }
    }
}
