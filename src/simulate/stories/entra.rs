//! What happens to applications of Entra.

use super::super::aws::{federated, source};
use super::super::azure::{principal, signed_in, work};
use super::super::calendar::{HISTORY_DAYS_MIN, LONG_HISTORY_DAYS_MIN, sleep};
use super::super::cast::Part;
use super::super::entra::{add_secret, grant, trust_subject};
use super::super::estate::{Actor, Aws, Body, Entra, Estate, ISSUER, Kind, Network, WebToken};
use super::super::names::{AGENTS, RUNNERS};
use super::super::random::{Guid, Random};

use super::super::{Stage, Story, Who};
use super::{Elsewhere, LOOKS, Plot, Scene, Script, When, in_aws, key_of, perform, seat};
use crate::model::Micros;

/// What somebody asks for who wants to stay.
const GRANTS: [&str; 3] = [
    "RoleManagement.ReadWrite.Directory",
    "Application.ReadWrite.All",
    "Mail.Read",
];
/// The one after whom a network is that of a thief: how many identities make `fan-out` sure of it.
const TELLING_LEAK: usize = 2;

pub(super) fn scripts(estate: &Estate, days: u32, random: &mut Random) -> Vec<Script> {
    let mut scripts = Vec::new();
    if days >= HISTORY_DAYS_MIN {
        let pivot = estate.in_entra(Part::Pivot).next();
        scripts.extend(pivot.map(|(actor, body)| exchange(estate, actor, body, days, random)));
    }
    if let (Some((actor, body)), Some(sleep)) = (estate.in_entra(Part::Idle).next(), sleep(days)) {
        scripts.push(revived(estate, actor, body, sleep, random));
    }
    if days >= LONG_HISTORY_DAYS_MIN {
        let trusting = estate.in_entra(Part::Trusting).next();
        scripts.extend(trusting.map(|(_, body)| backdoor(body, days, random)));
        scripts.extend(leak(estate, days, random));
    }
    scripts
}

/// Actor `index` and what it is in Entra. Scripts are made for actors that are there.
fn in_entra(estate: &Estate, index: usize) -> (&Actor, &Entra) {
    let actor = &estate.actors[index];
    match &actor.body {
        Body::Entra(body) => (actor, body),
        Body::Aws(_) => unreachable!("{} is cast in Entra", actor.uid),
    }
}

/// An identity of Entra changes its token for a role of AWS, where it never acted; this is what it is there.
#[derive(Debug)]
struct Exchange {
    actor: usize,
    first: Guid,
    visitor: Aws,
}

fn exchange(estate: &Estate, actor: usize, body: &Entra, days: u32, random: &mut Random) -> Script {
    let first = random.guid();
    let account = random.below(estate.accounts.len() as u64) as usize;
    let tenant = &estate.tenants[body.tenant].id;
    let role = estate.role(account, format!("{}-azure", body.name), random);
    let story = Story {
        name: "cloud-crossing",
        detector: "cross-system",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "Service principal {} of tenant {tenant}, which works in Azure most hours of the day and has never acted in \
             AWS, changes a token of Entra for role {} in account {}, and works there. The first event is the exchange.",
            body.object, role.name, estate.accounts[account].id
        ),
    };
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
    let scenes = vec![When::at(days - 5, 16)];
    Script::of_story(
        story,
        scenes,
        Exchange {
            actor,
            first,
            visitor,
        },
    )
}

impl Plot for Exchange {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let actor = &stage.estate.actors[self.actor];
        let home = source(stage, actor.kind, &self.visitor);
        let seat = seat(actor, &self.visitor, home);
        let mut who = Who::machine(&actor.uid);
        who.story = scene.name;
        let first = Some(self.first);
        if let Some(caller) = federated(stage, seat, who, scene.event(0), first) {
            perform(stage, seat, &caller, scene, 1, LOOKS, None);
        }
    }
}

/// An application that nobody used for months gets another secret, and minutes later somebody signs in with it and
/// gives it more permissions.
#[derive(Debug)]
struct Revived {
    actor: usize,
    elsewhere: Elsewhere,
    /// The application with its new secret.
    visitor: Entra,
}

fn revived(
    estate: &Estate,
    actor: usize,
    body: &Entra,
    (silent_from, day): (u32, u32),
    random: &mut Random,
) -> Script {
    let elsewhere = Elsewhere::new(random);
    let visitor = Entra {
        key: random.guid().text(),
        ..body.clone()
    };
    let story = Story {
        name: "revived-application",
        detector: "reactivated",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: elsewhere.first.text(),
        description: format!(
            "Application {} was last used on day {}; on day {day} it gets a secret, with which somebody signs in from a \
             hosting network six minutes later and grants it {}.",
            body.name,
            silent_from - 1,
            GRANTS.join(", ")
        ),
    };
    let scenes = vec![When::at(day, 4)];
    Script::of_story(
        story,
        scenes,
        Revived {
            actor,
            elsewhere,
            visitor,
        },
    )
}

impl Plot for Revived {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, known) = in_entra(stage.estate, self.actor);
        add_secret(stage, known, &self.visitor.key, scene.event(0));
        let mut who = Who::machine(&actor.uid);
        who.story = scene.name;
        let when = (scene.minute(6), self.elsewhere.first);
        let address = self.elsewhere.address;
        let token = signed_in(stage, Kind::Secret, &self.visitor, address, who, when);
        for (minute, role) in (8..).zip(GRANTS) {
            grant(stage, &token, role, scene.minute(minute));
        }
    }
}

/// An application is made to believe the tokens of a foreign workflow, which uses that at once.
#[derive(Debug)]
struct Backdoor {
    first: Guid,
    address: [u8; 4],
    subject: String,
    /// The application with its new credential.
    visitor: Entra,
}

fn backdoor(body: &Entra, days: u32, random: &mut Random) -> Script {
    let subject = format!("repo:lowmarsh/{}:ref:refs/heads/main", body.name);
    let visitor = Entra {
        key: random.guid().text(),
        network: Network::Fresh,
        ..body.clone()
    };
    let first = random.guid();
    let story = Story {
        name: "federated-backdoor",
        detector: "new-trust",
        identity_uid: format!("oidc:{ISSUER}|{subject}"),
        first_event_uid: first.text(),
        description: format!(
            "Application {}, which always signed in with a secret, gets a federated credential for {subject}, which uses \
             it four minutes later.",
            body.name
        ),
    };
    let scenes = vec![When::at(days - 6, 5)];
    let address = random.address(RUNNERS);
    Script::of_story(
        story,
        scenes,
        Backdoor {
            first,
            address,
            subject,
            visitor,
        },
    )
}

impl Plot for Backdoor {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let visitor = &self.visitor;
        trust_subject(stage, visitor, &visitor.key, &self.subject, scene.event(0));
        let mut who = Who::machine(&format!("oidc:{ISSUER}|{}", self.subject));
        who.acting = principal(stage, visitor);
        who.story = scene.name;
        let when = (scene.minute(4), self.first);
        let token = signed_in(stage, Kind::Workload, visitor, self.address, who, when);
        // The rest of the scene begins after the sign-in.
        let later = scene.hour.plus(4 * Micros::MINUTE);
        work(stage, &token, scene.run, later);
    }
}

/// Credentials of several teams were published together; somebody tries them, one an hour, from one place.
#[derive(Debug)]
struct Leak {
    /// In the order in which they are tried.
    actors: Vec<usize>,
    elsewhere: Elsewhere,
}

fn leak(estate: &Estate, days: u32, random: &mut Random) -> Option<Script> {
    let elsewhere = Elsewhere::new(random);
    let playing = estate.actors.iter().enumerate();
    let leaked = playing.filter(|(_, actor)| actor.part == Part::Leaked);
    let actors: Vec<usize> = leaked.map(|(index, _)| index).collect();
    let telling = *actors.get(TELLING_LEAK)?;
    let story = Story {
        name: "published-credentials",
        detector: "fan-out",
        identity_uid: estate.actors[telling].uid.clone(),
        first_event_uid: elsewhere.first.text(),
        description: format!(
            "Credentials of {} users and applications are tried from one hosting network within a day; the first event \
             is that of the third.",
            actors.len()
        ),
    };
    let one = |index: usize| When {
        events: 4,
        ..When::at(days - 5, 6 + index)
    };
    let scenes = (0..actors.len()).map(one).collect();
    Some(Script::of_story(story, scenes, Leak { actors, elsewhere }))
}

impl Plot for Leak {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let index = self.actors[scene.number];
        let telling = scene.number == TELLING_LEAK;
        let actor = &stage.estate.actors[index];
        match &actor.body {
            Body::Aws(_) => {
                let (actor, body) = in_aws(stage.estate, index);
                let seat = self.elsewhere.seat(actor, body);
                let caller = key_of(stage.estate, index, scene);
                let first = Some(self.elsewhere.first).filter(|_| telling);
                perform(stage, seat, &caller, scene, 0, LOOKS, first);
            }
            Body::Entra(body) => {
                let mut who = Who::machine(&actor.uid);
                who.story = scene.name;
                let event = if telling {
                    self.elsewhere.first
                } else {
                    stage.random.guid()
                };
                let when = (scene.event(0), event);
                let address = self.elsewhere.address;
                let token = signed_in(stage, actor.kind, body, address, who, when);
                work(stage, &token, scene.run, scene.hour);
            }
        }
    }
}
