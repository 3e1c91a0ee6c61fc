//! What looks like an attack and is none: nobody may be told of it.

use super::super::Params;
use super::super::Stage;
use super::super::aws::{ask, assume};
use super::super::calendar::{changed, deployed, retired};
use super::super::cast::Part;
use super::super::estate::{Aws, Body, Estate};
use super::super::names::AGENTS;
use super::super::operations::{
    CONSOLE, DESCRIBE_REGIONS, LIST_BUCKETS, LIST_ROLES, LIST_SECRETS, LIST_USERS, Operation,
};
use super::super::random::Random;
use super::administration::Order;
use super::{Plot, Scene, Script, When, at_console, at_home, in_aws, key_of};
use crate::model::Micros;

/// How many calls of two operations are refused in a row: enough refusals for a burst, of too few operations.
const REFUSED: u32 = 12;

/// Decides what those become who change in the middle of the time.
pub(in super::super) fn change(estate: &mut Estate, params: &Params, random: &mut Random) {
    let Some(day) = changed(params.days) else {
        return;
    };
    let from = params.start.plus(i64::from(day) * Micros::DAY);
    let accounts = &estate.accounts;
    for actor in &mut estate.actors {
        let Body::Aws(body) = &actor.body else {
            continue;
        };
        let number = accounts[body.account].number;
        let changed = match actor.part {
            Part::Rotating => Aws {
                key: random.aws_id("AKIA", number, 20),
                ..body.clone()
            },
            Part::Upgraded => {
                let other = |agent: &&&str| **agent != body.agent;
                Aws {
                    agent: AGENTS.iter().find(other).copied().unwrap_or(body.agent),
                    ..body.clone()
                }
            }
            _ => continue,
        };
        actor.later = Some((from, Body::Aws(changed)));
    }
}

pub(super) fn scripts(estate: &Estate, days: u32, _: &mut Random) -> Vec<Script> {
    let mut scripts = Vec::new();
    let (Some((administrator, _)), Some(day)) =
        (estate.in_aws(Part::Administrator).next(), changed(days))
    else {
        return scripts;
    };
    for (actor, _) in estate.in_aws(Part::Rotating) {
        let scenes = vec![When::at(day - 1, 23), When::at(day + 1, 9)];
        scripts.push(Script::of_trap(
            scenes,
            Rotation {
                actor,
                administrator,
            },
        ));
    }
    for ((actor, _), day) in estate.in_aws(Part::Deployed).zip(deployed(days)) {
        let scenes = vec![When::at(day, 9)];
        scripts.push(Script::of_trap(
            scenes,
            Deployment {
                actor,
                administrator,
            },
        ));
    }
    for ((actor, _), day) in estate.in_aws(Part::Retired).zip(retired(days)) {
        let scenes = vec![When::at(day, 9)];
        scripts.push(Script::of_trap(
            scenes,
            Removal {
                actor,
                administrator,
            },
        ));
    }
    for (actor, _) in estate.in_aws(Part::Responder) {
        let hour = |hour: usize| When::at(days - 8, hour);
        let scenes = (18..21).map(hour).collect();
        scripts.push(Script::of_trap(scenes, Response { actor }));
    }
    for (actor, _) in estate.in_aws(Part::Refused) {
        let hour = |hour: usize| When {
            events: REFUSED,
            ..When::at(days - 7, hour)
        };
        let scenes = (1..5).map(hour).collect();
        scripts.push(Script::of_trap(scenes, Refusal { actor }));
    }
    scripts
}

/// A key is replaced as it should be: a new one is made, used from where the old one was, and the old one ended.
#[derive(Debug)]
struct Rotation {
    actor: usize,
    administrator: usize,
}

impl Plot for Rotation {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, old) = in_aws(stage.estate, self.actor);
        let Some((_, Body::Aws(new))) = &actor.later else {
            return;
        };
        let (desk, person) = at_console(stage, self.administrator, scene);
        if scene.number == 0 {
            let made = scene.event(1);
            let make = Order::create_key(&new.name, &new.key, made);
            make.give(stage, desk, &person, made, None);
        } else {
            let disable = Order::disable_key(&old.name, &old.key);
            disable.give(stage, desk, &person, scene.event(1), None);
            let delete = Order::delete_key(&old.name, &old.key);
            delete.give(stage, desk, &person, scene.event(4), None);
        }
    }
}

/// A function and its role are made, with little privilege.
#[derive(Debug)]
struct Deployment {
    actor: usize,
    administrator: usize,
}

impl Plot for Deployment {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (_, body) = in_aws(stage.estate, self.actor);
        let account = &stage.estate.accounts[body.account].id;
        let role = &body.roles[0];
        let (desk, person) = at_console(stage, self.administrator, scene);
        let trusted = r#"{"Service":"lambda.amazonaws.com"}"#;
        let make = Order::create_role(account, role, trusted);
        make.give(stage, desk, &person, scene.event(1), None);
        let grant = Order::attach_policy(&role.name, "AmazonS3ReadOnlyAccess");
        grant.give(stage, desk, &person, scene.event(2), None);
    }
}

/// A user that nobody needs any more is removed with its key.
#[derive(Debug)]
struct Removal {
    actor: usize,
    administrator: usize,
}

impl Plot for Removal {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (_, body) = in_aws(stage.estate, self.actor);
        let (desk, person) = at_console(stage, self.administrator, scene);
        let orders = [
            Order::disable_key(&body.name, &body.key),
            Order::delete_key(&body.name, &body.key),
            Order::delete_user(&body.name),
        ];
        for (index, order) in (1..).zip(orders) {
            order.give(stage, desk, &person, scene.event(index), None);
        }
    }
}

/// Something is broken, and a person looks into everything through the role that they always use.
#[derive(Debug)]
struct Response {
    actor: usize,
}

impl Plot for Response {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (_, body) = in_aws(stage.estate, self.actor);
        let (desk, person) = at_console(stage, self.actor, scene);
        let role = &body.roles[0];
        let caller = assume(stage, desk, &person, role, scene.event(1), None);
        let looks = [
            CONSOLE[0],
            LIST_BUCKETS,
            LIST_USERS,
            DESCRIBE_REGIONS,
            LIST_ROLES,
            LIST_SECRETS,
        ];
        for (index, operation) in (2..).zip(looks) {
            ask(stage, desk, &caller, operation, scene.event(index), None);
        }
    }
}

/// A policy forbids a job what it always did; the job goes on trying.
#[derive(Debug)]
struct Refusal {
    actor: usize,
}

impl Plot for Refusal {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let seat = at_home(stage, self.actor);
        let operations = seat.body.operations;
        let caller = key_of(stage.estate, self.actor, scene);
        for index in 0..scene.run.events {
            let usual = stage.random.pick(&[operations[0], operations[1]]);
            let refused = Operation {
                error: "AccessDenied",
                ..usual
            };
            ask(stage, seat, &caller, refused, scene.event(index), None);
        }
    }
}
