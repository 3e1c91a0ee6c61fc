//! What happens to whom: the attacks that a simulation holds, known before its first event, and what looks like one.
//!
//! Each is planted on an identity that does nothing else out of the ordinary, near the end, so that there is a history
//! to differ from. An estate that is too small or too short for a story does without it.

mod administration;
mod entra;
mod keys;
mod people;
mod roles;
pub(super) mod traps;

use std::fmt::Debug;

use super::aws::{Caller, Seat, ask, signed_in, source, with_key};
use super::estate::{Actor, Aws, Body, Estate};
use super::names::HOSTING;
use super::operations::{GET_CALLER_IDENTITY, GET_OBJECT, LIST_BUCKETS, LIST_SECRETS, Operation};
use super::random::{Guid, Random};
use super::schedule::Run;
use super::trail::Source;
use super::{Params, Stage, Story};
use crate::model::Micros;

/// Second of its hour at which a scene begins: runs of actors have begun before it.
pub(super) const SECOND: u32 = 25 * 60;
/// How many events a scene has, if it does not matter.
const EVENTS: u32 = 14;

/// The client of somebody who found a key.
const STRANGER: &str =
    "aws-cli/2.17.9 Python/3.11.9 Linux/6.8.0-39-generic exe/x86_64.ubuntu.24 prompt/off";

/// What somebody asks first who has just come to an account.
const LOOKS: &[Operation<'static>] = &[GET_CALLER_IDENTITY, LIST_BUCKETS, LIST_SECRETS];

/// A story, or a trap, and when it is told.
#[derive(Debug)]
pub(super) struct Script {
    /// None for a trap.
    pub(super) story: Option<Story>,
    pub(super) scenes: Vec<When>,
    plot: Box<dyn Plot>,
}

/// When a scene is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) day: u32,
    pub(super) hour: usize,
    /// How many events come at most; it also says how far they are apart.
    pub(super) events: u32,
}

/// What happens.
trait Plot: Debug {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>);
}

/// A scene that is being played.
#[derive(Clone, Copy, Debug)]
struct Scene<'a> {
    /// Which one of the script, from 0.
    number: usize,
    run: &'a Run,
    hour: Micros,
    /// Of the story; none for a trap.
    name: Option<&'static str>,
}

/// Where a stranger works from.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    /// The event that is known beforehand.
    first: Guid,
    address: [u8; 4],
}

/// The stories and traps for which there is room.
pub(super) fn scripts(estate: &Estate, params: &Params, random: &mut Random) -> Vec<Script> {
    let days = params.days;
    let mut scripts = Vec::new();
    scripts.extend(keys::scripts(estate, days, random));
    scripts.extend(roles::scripts(estate, days, random));
    scripts.extend(entra::scripts(estate, days, random));
    scripts.extend(people::scripts(estate, days, random));
    scripts.extend(traps::scripts(estate, days, random));
    scripts
}

/// Plays scene `number` of `script` in the hour that begins at `hour`.
pub(super) fn play(stage: &mut Stage<'_>, script: &Script, number: usize, run: &Run, hour: Micros) {
    let scene = Scene {
        number,
        run,
        hour,
        name: script.story.as_ref().map(|story| story.name),
    };
    script.plot.act(stage, scene);
}

impl Script {
    fn of_story(story: Story, scenes: Vec<When>, plot: impl Plot + 'static) -> Self {
        Self {
            story: Some(story),
            scenes,
            plot: Box::new(plot),
        }
    }

    fn of_trap(scenes: Vec<When>, plot: impl Plot + 'static) -> Self {
        Self {
            story: None,
            scenes,
            plot: Box::new(plot),
        }
    }
}

impl When {
    const fn at(day: u32, hour: usize) -> Self {
        Self {
            day,
            hour,
            events: EVENTS,
        }
    }
}

impl Scene<'_> {
    /// The time of event `index`, if the scene's events are spread evenly.
    fn event(&self, index: u32) -> Micros {
        self.run.at(self.hour, index)
    }

    /// So many minutes after the scene began.
    fn minute(&self, minute: i64) -> Micros {
        self.event(0).plus(minute * Micros::MINUTE)
    }
}

impl Elsewhere {
    fn new(random: &mut Random) -> Self {
        Self {
            first: random.guid(),
            address: random.address(HOSTING),
        }
    }

    fn source(self) -> Source {
        Source::Public(self.address)
    }

    /// Where somebody sits who works from there with the credential of `actor`.
    fn seat<'a>(self, actor: &Actor, body: &'a Aws) -> Seat<'a> {
        Seat {
            agent: STRANGER,
            ..seat(actor, body, self.source())
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

/// Actor `index` and what it is in AWS. Scripts are made for actors that are there.
fn in_aws(estate: &Estate, index: usize) -> (&Actor, &Aws) {
    let actor = &estate.actors[index];
    match &actor.body {
        Body::Aws(body) => (actor, body),
        Body::Entra(_) => unreachable!("{} is cast in AWS", actor.uid),
    }
}

/// The actor's own key, in the hand of whoever the scene is about.
fn key_of<'a>(estate: &'a Estate, index: usize, scene: Scene<'_>) -> Caller<'a> {
    let (actor, body) = in_aws(estate, index);
    key_of_body(estate, actor, body, scene)
}

/// The key of `body`, which may be another than the actor's own.
fn key_of_body<'a>(estate: &Estate, actor: &Actor, body: &'a Aws, scene: Scene<'_>) -> Caller<'a> {
    let mut caller = with_key(estate, actor, body);
    caller.who.story = scene.name;
    caller
}

/// Actor `index` where it always is.
fn at_home<'a>(stage: &mut Stage<'a>, index: usize) -> Seat<'a> {
    let (actor, body) = in_aws(stage.estate, index);
    let home = source(stage, actor.kind, body);
    seat(actor, body, home)
}

/// Person `index` signs in to the console when the scene begins.
fn at_console<'a>(stage: &mut Stage<'a>, index: usize, scene: Scene<'_>) -> (Seat<'a>, Caller<'a>) {
    let seat = at_home(stage, index);
    let actor = &stage.estate.actors[index];
    let caller = signed_in(stage, actor, seat, scene.event(0));
    (seat, caller)
}

/// `caller` performs `operations` from event `from` of the scene on, and then reads objects for the rest of it. The
/// first event of them is `first`.
fn perform(
    stage: &mut Stage<'_>,
    seat: Seat<'_>,
    caller: &Caller<'_>,
    scene: Scene<'_>,
    from: u32,
    operations: &[Operation<'_>],
    first: Option<Guid>,
) {
    for index in from..scene.run.events {
        let event = first.filter(|_| index == from);
        let listed = operations.get((index - from) as usize).copied();
        let operation = listed.unwrap_or(GET_OBJECT);
        ask(stage, seat, caller, operation, scene.event(index), event);
    }
}
