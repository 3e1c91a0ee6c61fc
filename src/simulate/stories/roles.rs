//! Roles that are used by whom, from where, or for what they are not meant.

use super::super::aws::{ask, assume, federated, handed_out};
use super::super::calendar::{HISTORY_DAYS_MIN, LONG_HISTORY_DAYS_MIN};
use super::super::cast::Part;
use super::super::estate::{Aws, Estate, ISSUER, Kind, Role, WebToken};
use super::super::names::RUNNERS;
use super::super::operations::{
    GET_CALLER_IDENTITY, GET_SECRET, LIST_BUCKETS, LIST_ROLES, LIST_SECRETS, LIST_USERS,
};
use super::super::random::{Guid, Random};
use super::super::trail::Source;
use super::super::{Stage, Story, Who};
use super::administration::Order;
use super::{Elsewhere, LOOKS, Plot, Scene, Script, Seat, When, at_home, in_aws, key_of, perform};

pub(super) fn scripts(estate: &Estate, days: u32, random: &mut Random) -> Vec<Script> {
    let mut scripts = Vec::new();
    if days >= HISTORY_DAYS_MIN {
        let crossing = estate.in_aws(Part::Crossing).next();
        scripts.extend(crossing.map(|(actor, body)| abroad(estate, actor, body, days, random)));
    }
    if days >= LONG_HISTORY_DAYS_MIN {
        let robbed = estate.in_aws(Part::Stolen).next();
        scripts.extend(robbed.map(|(actor, body)| stolen(estate, actor, body, days, random)));
        let build = estate.in_aws(Part::Build).next();
        scripts.extend(build.map(|(_, body)| strange_subject(estate, body, days, random)));
        let agent = estate.in_aws(Part::Agent).next();
        scripts.extend(agent.map(|(actor, body)| outside(estate, actor, body, days, random)));
    }
    scripts
}

/// An identity assumes a role of an account in which it never acted.
#[derive(Debug)]
struct Abroad {
    actor: usize,
    first: Guid,
    role: Role,
}

fn abroad(estate: &Estate, actor: usize, body: &Aws, days: u32, random: &mut Random) -> Script {
    let first = random.guid();
    let account = (body.account + 1) % estate.accounts.len();
    let role = estate.role(account, "OrganizationAccountAccessRole".to_owned(), random);
    let story = Story {
        name: "account-crossing",
        detector: "cross-system",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "User {} of account {} assumes a role in account {}, where it has never acted, and works there. The first \
             event is the row in that account.",
            body.name, estate.accounts[body.account].id, estate.accounts[account].id
        ),
    };
    let scenes = vec![When::at(days - 4, 11)];
    Script::of_story(story, scenes, Abroad { actor, first, role })
}

impl Plot for Abroad {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let seat = at_home(stage, self.actor);
        let caller = key_of(stage.estate, self.actor, scene);
        let first = Some(self.first);
        let caller = assume(stage, seat, &caller, &self.role, scene.event(0), first);
        perform(stage, seat, &caller, scene, 1, LOOKS, None);
    }
}

/// The credentials of a machine's role are read from its metadata and used elsewhere, to become another role of another
/// account and to stop its log.
#[derive(Debug)]
struct Stolen {
    actor: usize,
    elsewhere: Elsewhere,
    next: Role,
}

fn stolen(estate: &Estate, actor: usize, body: &Aws, days: u32, random: &mut Random) -> Script {
    let elsewhere = Elsewhere::new(random);
    let account = (body.account + 1) % estate.accounts.len();
    let next = estate.role(account, format!("{}-shared", body.name), random);
    let story = Story {
        name: "stolen-instance-role",
        detector: "off-home",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: elsewhere.first.text(),
        description: format!(
            "The credentials that instance {} got for role {} are used from a hosting network, to look around, to \
             assume role {} of account {}, and to stop the trail there.",
            body.session, body.roles[0].name, next.name, estate.accounts[account].id
        ),
    };
    let scenes = vec![When::at(days - 5, 3)];
    Script::of_story(
        story,
        scenes,
        Stolen {
            actor,
            elsewhere,
            next,
        },
    )
}

impl Plot for Stolen {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, body) = in_aws(stage.estate, self.actor);
        let home = at_home(stage, self.actor);
        let service = "ec2.amazonaws.com";
        let mut caller = handed_out(stage, actor, home, service, scene.event(0));
        caller.who.story = scene.name;
        let there = self.elsewhere.seat(actor, body);
        let looks = [GET_CALLER_IDENTITY, LIST_BUCKETS, LIST_SECRETS, LIST_ROLES];
        let first = Some(self.elsewhere.first);
        for (index, operation) in (1..).zip(looks) {
            let event = first.filter(|_| index == 1);
            ask(stage, there, &caller, operation, scene.event(index), event);
        }
        let caller = assume(stage, there, &caller, &self.next, scene.event(6), None);
        let stop = Order::stop_logging();
        stop.give(stage, there, &caller, scene.event(7), None);
        perform(stage, there, &caller, scene, 8, LOOKS, None);
    }
}

/// A build role is assumed with a token of a subject that nobody ever saw; what it makes with it can do everything.
#[derive(Debug)]
struct StrangeSubject {
    first: Guid,
    address: [u8; 4],
    visitor: Aws,
    made: Role,
}

fn strange_subject(estate: &Estate, body: &Aws, days: u32, random: &mut Random) -> Script {
    let first = random.guid();
    let address = random.address(RUNNERS);
    let made = estate.role(body.account, format!("{}-support", body.name), random);
    let subject = format!("repo:tarnfield/{}:pull_request", body.name);
    let identity_uid = format!("oidc:{ISSUER}|{subject}");
    let visitor = Aws {
        token: Some(WebToken {
            issuer: ISSUER.to_owned(),
            audience: "sts.amazonaws.com".to_owned(),
            subject: subject.clone(),
        }),
        ..body.clone()
    };
    let story = Story {
        name: "strange-subject",
        detector: "privilege-escalation",
        identity_uid,
        first_event_uid: first.text(),
        description: format!(
            "Role {} of a build is assumed by subject {subject}, which was never seen; it makes role {}, gives it \
             everything, and goes on as that. The first event is the assumption of the role that it made.",
            body.roles[0].name, made.name
        ),
    };
    let scenes = vec![When::at(days - 3, 13)];
    Script::of_story(
        story,
        scenes,
        StrangeSubject {
            first,
            address,
            visitor,
            made,
        },
    )
}

impl Plot for StrangeSubject {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let body = &self.visitor;
        let account = &stage.estate.accounts[body.account].id;
        let Some(token) = &body.token else { return };
        let seat = Seat {
            kind: Kind::Workload,
            body,
            source: Source::Public(self.address),
            agent: body.agent,
        };
        let mut who = Who::machine(&format!("oidc:{ISSUER}|{}", token.subject));
        who.story = scene.name;
        let Some(caller) = federated(stage, seat, who, scene.event(0), None) else {
            return;
        };
        let trusted = format!(r#"{{"AWS":"arn:aws:iam::{account}:root"}}"#);
        let make = Order::create_role(account, &self.made, &trusted);
        make.give(stage, seat, &caller, scene.event(1), None);
        let grant = Order::attach_policy(&self.made.name, "AdministratorAccess");
        grant.give(stage, seat, &caller, scene.event(2), None);
        let caller = assume(stage, seat, &caller, &self.made, scene.event(3), None);
        let looks = [LIST_USERS, LIST_ROLES, LIST_SECRETS];
        perform(stage, seat, &caller, scene, 4, &looks, Some(self.first));
    }
}

/// A program that answers what somebody writes to it does for once what somebody wrote, and not what it is there for.
#[derive(Debug)]
struct Outside {
    actor: usize,
    first: Guid,
}

fn outside(estate: &Estate, actor: usize, body: &Aws, days: u32, random: &mut Random) -> Script {
    let first = random.guid();
    let story = Story {
        name: "agent-outside",
        detector: "first-operation",
        identity_uid: estate.actors[actor].uid.clone(),
        first_event_uid: first.text(),
        description: format!(
            "Function {} only ever worked on a queue and a table; now it lists users and roles and reads a secret.",
            body.name
        ),
    };
    let scenes = vec![When {
        events: 6,
        ..When::at(days - 6, 15)
    }];
    Script::of_story(story, scenes, Outside { actor, first })
}

impl Plot for Outside {
    fn act(&self, stage: &mut Stage<'_>, scene: Scene<'_>) {
        let (actor, _) = in_aws(stage.estate, self.actor);
        let seat = at_home(stage, self.actor);
        let service = "lambda.amazonaws.com";
        let mut caller = handed_out(stage, actor, seat, service, scene.event(0));
        caller.who.story = scene.name;
        let acts = [LIST_USERS, LIST_ROLES, LIST_SECRETS, GET_SECRET];
        let first = Some(self.first);
        perform(stage, seat, &caller, scene, 1, &acts, first);
    }
}
