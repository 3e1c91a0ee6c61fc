//! What happens to whom: the attacks that a simulation holds, known before its first event.
//!
//! Each is planted on an identity that does nothing else out of the ordinary, near the end, so that there is a history
//! to differ from. An estate that is too small or too short for a story does without it.

use super::aws::{Caller, Seat, ask, assume, federated, source, with_key};
use super::estate::{Actor, Aws, Body, Entra, Estate, Part, Role, WebToken};
use super::names::{AGENTS, HOSTING};
use super::operations::{
    DESCRIBE_REGIONS, GET_CALLER_IDENTITY, GET_OBJECT, LIST_BUCKETS, LIST_ROLES, LIST_SECRETS,
    LIST_USERS, Operation,
};
use super::random::{Guid, Random};
use super::schedule::{Run, sleep};
use super::trail::Source;
use super::{Params, Stage, Story, Who};
use crate::model::Micros;

/// How many events a story has, apart from the second row of a role assumed abroad.
pub(super) const EVENTS: u32 = 14;

/// Days without which an identity has no habits that it could break: two weeks of them, and the five days that are left
/// when the earliest of the stories that break them begins.
const HISTORY_DAYS_MIN: u32 = 19;
/// The client of somebody who found a key.
const STRANGER: &str =
    "aws-cli/2.17.9 Python/3.11.9 Linux/6.8.0-39-generic exe/x86_64.ubuntu.24 prompt/off";

/// What somebody asks first who has just come to an account.
const LOOKS: &[Operation<'static>] = &[GET_CALLER_IDENTITY, LIST_BUCKETS, LIST_SECRETS];

/// A story and when it is told.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) story: Story,
    pub(super) day: u32,
    pub(super) hour: usize,
    actor: usize,
    first: Guid,
    address: [u8; 4],
    plot: Plot,
}

#[derive(Debug)]
enum Plot {
    /// A key that slept is used from elsewhere, to look around and read.
    Waking,
    /// A busy key is used from elsewhere, mostly as always.
    Elsewhere,
    /// An identity assumes this role of an account in which it never acted.
    Abroad(Role),
    /// An identity of Entra changes its token for a role of AWS, where it never acted; this is what it is there.
    Exchange(Box<Aws>),
}

/// The stories for which there is room.
pub(super) fn scripts(estate: &Estate, params: &Params, random: &mut Random) -> Vec<Script> {
    let days = params.days;
    let mut scripts = Vec::new();
    for (index, actor) in estate.actors.iter().enumerate() {
        let long_enough = days >= HISTORY_DAYS_MIN;
        let planted = match (actor.part, &actor.body) {
            (Part::Sleeper, Body::Aws(body)) => {
                sleep(days).map(|(silent_from, day)| (waking(body, silent_from, day), day, 2))
            }
            (Part::Strange, Body::Aws(body)) if long_enough => {
                Some((elsewhere(body), days - 2, 14))
            }
            (Part::Crossing, Body::Aws(body)) if long_enough => {
                Some((abroad(estate, body, random), days - 4, 11))
            }
            (Part::Pivot, Body::Entra(body)) if long_enough => {
                Some((exchange(estate, body, random), days - 5, 16))
            }
            _ => None,
        };
        if let Some((telling, day, hour)) = planted {
            let first = random.guid();
            scripts.push(Script {
                story: Story {
                    name: telling.name,
                    detector: telling.detector,
                    identity_uid: actor.uid.clone(),
                    first_event_uid: first.text(),
                    description: telling.description,
                },
                day,
                hour,
                actor: index,
                first,
                address: random.address(HOSTING),
                plot: telling.plot,
            });
        }
    }
    scripts
}

/// What a story is, before it has a day.
struct Telling {
    name: &'static str,
    detector: &'static str,
    description: String,
    plot: Plot,
}

fn waking(body: &Aws, silent_from: u32, day: u32) -> Telling {
    Telling {
        name: "sleeper-key",
        detector: "reactivated",
        description: format!(
            "The key of user {} was used every day until day {silent_from}, then not at all, and on day {day} from a \
             new network, to look around and read objects.",
            body.name
        ),
        plot: Plot::Waking,
    }
}

fn elsewhere(body: &Aws) -> Telling {
    Telling {
        name: "strange-network",
        detector: "unusual-origin",
        description: format!(
            "The key of user {}, used every hour from one network, is also used from a hosting network, for what it \
             always does and for a few things more.",
            body.name
        ),
        plot: Plot::Elsewhere,
    }
}

fn abroad(estate: &Estate, body: &Aws, random: &mut Random) -> Telling {
    let account = (body.account + 1) % estate.accounts.len();
    let role = estate.role(account, "OrganizationAccountAccessRole".to_owned(), random);
    Telling {
        name: "account-crossing",
        detector: "cross-system",
        description: format!(
            "User {} of account {} assumes a role in account {}, where it has never acted, and works there. The first \
             event is the row in that account.",
            body.name, estate.accounts[body.account].id, estate.accounts[account].id
        ),
        plot: Plot::Abroad(role),
    }
}

fn exchange(estate: &Estate, body: &Entra, random: &mut Random) -> Telling {
    let account = random.below(estate.accounts.len() as u64) as usize;
    let tenant = &estate.tenants[body.tenant].id;
    let role = estate.role(account, format!("{}-azure", body.name), random);
    let description = format!(
        "Service principal {} of tenant {tenant}, which works in Azure most hours of the day and has never acted in \
         AWS, changes a token of Entra for role {} in account {}, and works there. The first event is the exchange.",
        body.object, role.name, estate.accounts[account].id
    );
    let visitor = Aws {
        account,
        name: body.name.clone(),
        user_id: String::new(),
        key: String::new(),
        roles: vec![role],
        token: Some(WebToken {
            issuer: format!("sts.windows.net/{tenant}/"),
            audience: format!("api://{}", body.app),
            subject: body.object.clone(),
        }),
        session: format!("{}-session", body.name),
        resource: body.resource.clone(),
        operations: LOOKS,
        network: body.network,
        agent: random.pick(&AGENTS),
    };
    Telling {
        name: "cloud-crossing",
        detector: "cross-system",
        description,
        plot: Plot::Exchange(Box::new(visitor)),
    }
}

/// Tells `script` in the hour that begins at `hour`.
pub(super) fn act(stage: &mut Stage<'_>, script: &Script, run: &Run, hour: Micros) {
    let estate = stage.estate;
    let actor = &estate.actors[script.actor];
    let body: &Aws = match (&script.plot, &actor.body) {
        (Plot::Exchange(visitor), _) => visitor,
        (_, Body::Aws(body)) => body,
        (_, Body::Entra(_)) => return,
    };
    let elsewhere = Source::Public(script.address);
    match &script.plot {
        Plot::Waking => {
            let seat = Seat {
                agent: STRANGER,
                ..seat(actor, body, elsewhere)
            };
            let looks = [GET_CALLER_IDENTITY, LIST_BUCKETS, LIST_USERS];
            perform(stage, script, seat, run, hour, &looks);
        }
        Plot::Elsewhere => {
            let mut operations = body.operations.to_vec();
            operations.extend([LIST_SECRETS, DESCRIBE_REGIONS, LIST_ROLES]);
            let seat = seat(actor, body, elsewhere);
            perform(stage, script, seat, run, hour, &operations);
        }
        Plot::Abroad(role) => {
            let home = source(stage, actor.kind, body);
            let seat = seat(actor, body, home);
            let mut caller = with_key(estate, actor, body);
            caller.who.story = Some(script.story.name);
            let first = Some(script.first);
            let caller = assume(stage, seat, &caller, role, run.at(hour, 0), first);
            look_around(stage, seat, &caller, run, hour);
        }
        Plot::Exchange(_) => {
            let home = source(stage, actor.kind, body);
            let seat = seat(actor, body, home);
            let mut who = Who::machine(&actor.uid);
            who.story = Some(script.story.name);
            let first = Some(script.first);
            if let Some(caller) = federated(stage, seat, who, run.at(hour, 0), first) {
                look_around(stage, seat, &caller, run, hour);
            }
        }
    }
}

fn seat<'a>(actor: &Actor, body: &'a Aws, source: Source) -> Seat<'a> {
    Seat {
        kind: actor.kind,
        body,
        source,
        agent: body.agent,
    }
}

/// Uses the actor's key for `operations`, and then to read objects.
fn perform(
    stage: &mut Stage<'_>,
    script: &Script,
    seat: Seat<'_>,
    run: &Run,
    hour: Micros,
    operations: &[Operation<'static>],
) {
    let estate = stage.estate;
    let mut caller = with_key(estate, &estate.actors[script.actor], seat.body);
    caller.who.story = Some(script.story.name);
    for index in 0..run.events {
        let event = (index == 0).then_some(script.first);
        let operation = step(operations, index);
        ask(stage, seat, &caller, operation, run.at(hour, index), event);
    }
}

/// The rest of a run whose first event brought `caller` to where it is new.
fn look_around(
    stage: &mut Stage<'_>,
    seat: Seat<'_>,
    caller: &Caller<'_>,
    run: &Run,
    hour: Micros,
) {
    for index in 1..run.events {
        let operation = step(LOOKS, index - 1);
        ask(stage, seat, caller, operation, run.at(hour, index), None);
    }
}

/// Operation `index` of a story: first what is listed, then reading.
fn step(operations: &[Operation<'static>], index: u32) -> Operation<'static> {
    operations
        .get(index as usize)
        .copied()
        .unwrap_or(GET_OBJECT)
}
