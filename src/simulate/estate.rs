//! Who exists: accounts, tenants, and everybody who acts in them, each with the names and keys it keeps for life.
//!
//! When they act is decided in `schedule`, what their records look like in `aws` and `azure`. The order of draws here
//! is part of the result: a draw added in the middle changes every estate.

use super::Params;
use super::cast::Part;
use super::names::{
    AGENTS, AZURE, BROWSER, EGRESS, FUNCTION_AGENT, OFFICE, PEOPLE, REGIONS, SYSTEMS, TASKS,
};
use super::operations::{
    ARM_PROFILES, ArmOperation, CONSOLE, MESSAGES, Operation, PROFILES, RECORDER, STORAGE,
};
use super::random::Random;
use crate::model::Micros;

/// Kinds in the order in which identities are handed out, so that every estate of 25 has all of them.
const MIX: [Kind; 25] = [
    Kind::UserKey,
    Kind::Instance,
    Kind::Secret,
    Kind::UserRole,
    Kind::Function,
    Kind::Workload,
    Kind::UserKey,
    Kind::ManagedIdentity,
    Kind::ConsoleUser,
    Kind::UserRole,
    Kind::Instance,
    Kind::Certificate,
    Kind::UserKey,
    Kind::RoleChain,
    Kind::Function,
    Kind::EntraUser,
    Kind::UserKey,
    Kind::Workload,
    Kind::Instance,
    Kind::UserRole,
    Kind::Secret,
    Kind::UserKey,
    Kind::Function,
    Kind::Instance,
    Kind::UserKey,
];

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An IAM user with a long-lived key.
    UserKey,
    /// The same, working through a role.
    UserRole,
    /// The same, working through a role that assumes another.
    RoleChain,
    /// A role handed to a virtual machine.
    Instance,
    /// A role handed to a function.
    Function,
    /// A GitHub workflow: one half in AWS, one in Azure, one subject.
    Workload,
    /// A person with a console password.
    ConsoleUser,
    /// AWS's own code in a service-linked role.
    ServiceLinked,
    /// A service principal with a secret.
    Secret,
    /// A service principal with a certificate.
    Certificate,
    ManagedIdentity,
    /// A person in Entra.
    EntraUser,
}

#[derive(Debug)]
pub(super) struct Estate {
    pub(super) accounts: Vec<Account>,
    pub(super) tenants: Vec<Tenant>,
    pub(super) actors: Vec<Actor>,
}

#[derive(Debug)]
pub(super) struct Account {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) region: &'static str,
    /// The shared way out: many unrelated identities come from here.
    pub(super) gateway: [u8; 4],
    pub(super) endpoint: String,
    pub(super) key: String,
}

#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) subscription: String,
    pub(super) group: String,
    pub(super) domain: String,
    /// Object id of the person who sets the tenant up.
    pub(super) administrator: String,
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) part: Part,
    pub(super) kind: Kind,
    /// Who really acts, as labels name it.
    pub(super) uid: String,
    pub(super) body: Body,
    /// What it becomes, and when.
    pub(super) later: Option<(Micros, Body)>,
}

impl Actor {
    /// What it is at `at`.
    pub(super) fn body_at(&self, at: Micros) -> &Body {
        match &self.later {
            Some((from, body)) if at >= *from => body,
            _ => &self.body,
        }
    }

    /// Whether its records come from Azure and Entra.
    pub(super) fn azure(&self) -> bool {
        matches!(self.body, Body::Entra(_))
    }
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Aws(Aws),
    Entra(Entra),
}

/// Somebody in AWS.
#[derive(Clone, Debug)]
pub(super) struct Aws {
    pub(super) account: usize,
    pub(super) name: String,
    /// Unique id of the IAM user; empty for everybody else.
    pub(super) user_id: String,
    /// Long-lived key of the IAM user; empty for everybody else.
    pub(super) key: String,
    /// The roles it works through, in the order in which they are assumed.
    pub(super) roles: Vec<Role>,
    /// What it changes for the first of them; none for whoever obtains them otherwise.
    pub(super) token: Option<WebToken>,
    /// Name of its role sessions.
    pub(super) session: String,
    pub(super) resource: String,
    pub(super) operations: &'static [Operation<'static>],
    pub(super) network: Network,
    pub(super) agent: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) account: usize,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) path: &'static str,
}

/// What an OpenID Connect token says that AWS accepts for a role.
#[derive(Clone, Debug)]
pub(super) struct WebToken {
    /// Without the scheme, as AWS names its providers.
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) subject: String,
}

/// Somebody in Entra. Keys and ids are GUIDs as text.
#[derive(Clone, Debug)]
pub(super) struct Entra {
    pub(super) tenant: usize,
    pub(super) object: String,
    pub(super) app: String,
    pub(super) key: String,
    pub(super) name: String,
    pub(super) resource: String,
    pub(super) operations: &'static [ArmOperation],
    pub(super) network: Network,
}

/// Where somebody's requests come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network {
    Fixed([u8; 4]),
    /// One of a few, as the machines of a provider hand them out.
    Few([[u8; 4]; 3]),
    /// The account's shared gateway.
    Gateway,
    /// A private address, through the account's endpoint.
    Endpoint([u8; 4]),
    /// Another public address in each run.
    Fresh,
}

impl Estate {
    pub(super) fn new(params: &Params, random: &mut Random) -> Self {
        let identities = params.identities;
        let account_count = (identities / 250 + 2).min(24) as usize;
        let tenant_count = (identities / 1_000 + 1).min(4) as usize;
        let mut estate = Self {
            accounts: (0..account_count)
                .map(|index| account(index, random))
                .collect(),
            tenants: (0..tenant_count)
                .map(|index| tenant(index, random))
                .collect(),
            actors: Vec::new(),
        };
        for index in 0..identities as usize {
            estate.add(index, identities, random);
        }
        for account in 0..account_count {
            estate.add_recorder(account, random);
        }
        estate
    }

    /// Those who play `part` in AWS, with their index.
    pub(super) fn in_aws(&self, part: Part) -> impl Iterator<Item = (usize, &Aws)> {
        let playing = self.playing(part);
        playing.filter_map(|(index, actor)| match &actor.body {
            Body::Aws(body) => Some((index, body)),
            Body::Entra(_) => None,
        })
    }

    /// Those who play `part` in Entra, with their index.
    pub(super) fn in_entra(&self, part: Part) -> impl Iterator<Item = (usize, &Entra)> {
        let playing = self.playing(part);
        playing.filter_map(|(index, actor)| match &actor.body {
            Body::Entra(body) => Some((index, body)),
            Body::Aws(_) => None,
        })
    }

    fn playing(&self, part: Part) -> impl Iterator<Item = (usize, &Actor)> {
        let all = self.actors.iter().enumerate();
        all.filter(move |(_, actor)| actor.part == part)
    }

    /// The unique id of a role as labels name it.
    pub(super) fn role_uid(role: &Role) -> String {
        format!("aws:role:{}", role.id)
    }

    fn add(&mut self, index: usize, identities: u32, random: &mut Random) {
        let ordinary = (Part::Ordinary, MIX[index % MIX.len()]);
        let (part, kind) = Part::cast(index, identities).unwrap_or(ordinary);
        let name = format!("{}-{}-{index}", random.pick(&SYSTEMS), random.pick(&TASKS));
        match kind {
            Kind::Secret | Kind::Certificate | Kind::ManagedIdentity | Kind::EntraUser => {
                let entra = self.entra(kind, index, name, random);
                let tenant = &self.tenants[entra.tenant].id;
                let person = kind == Kind::EntraUser;
                let noun = if person { "user" } else { "sp" };
                let uid = format!("entra:{noun}:{tenant}/{}", entra.object);
                self.push(part, kind, uid, Body::Entra(entra));
            }
            Kind::Workload => {
                let uid = format!("oidc:{ISSUER}|{}", subject(&name));
                let entra = self.entra(kind, index, name.clone(), random);
                let aws = self.aws(kind, part, index, name, random);
                self.push(part, kind, uid.clone(), Body::Aws(aws));
                self.push(part, kind, uid, Body::Entra(entra));
            }
            _ => {
                let aws = self.aws(kind, part, index, name, random);
                let uid = match aws.roles.first() {
                    Some(role) if aws.user_id.is_empty() => Self::role_uid(role),
                    _ => format!("aws:user:{}", aws.user_id),
                };
                self.push(part, kind, uid, Body::Aws(aws));
            }
        }
    }

    fn push(&mut self, part: Part, kind: Kind, uid: String, body: Body) {
        self.actors.push(Actor {
            part,
            kind,
            uid,
            body,
            later: None,
        });
    }

    fn aws(&self, kind: Kind, part: Part, index: usize, name: String, random: &mut Random) -> Aws {
        let drawn = random.below(self.accounts.len() as u64) as usize;
        let account = part.account().unwrap_or(drawn);
        let number = self.accounts[account].number;
        let user = matches!(
            kind,
            Kind::UserKey | Kind::UserRole | Kind::RoleChain | Kind::ConsoleUser
        );
        let keyed = user && kind != Kind::ConsoleUser;
        let person = kind == Kind::ConsoleUser;
        Aws {
            account,
            user_id: if user {
                random.aws_id("AIDA", number, 21)
            } else {
                String::new()
            },
            key: if keyed {
                random.aws_id("AKIA", number, 20)
            } else {
                String::new()
            },
            roles: self.roles(kind, part, account, &name, random),
            token: (kind == Kind::Workload).then(|| WebToken {
                issuer: ISSUER.to_owned(),
                audience: "sts.amazonaws.com".to_owned(),
                subject: subject(&name),
            }),
            session: match kind {
                Kind::Instance => format!("i-0{:016x}", random.bits()),
                Kind::Function => name.clone(),
                Kind::Workload => "GitHubActions".to_owned(),
                _ => format!("{name}-session"),
            },
            resource: name.clone(),
            operations: match part {
                _ if person => CONSOLE,
                Part::Encryptor => STORAGE,
                Part::Agent | Part::Rotating => MESSAGES,
                _ => random.pick(&PROFILES),
            },
            network: aws_network(kind, part, random),
            agent: match kind {
                Kind::ConsoleUser => BROWSER,
                Kind::Function => FUNCTION_AGENT,
                _ => random.pick(&AGENTS),
            },
            name: if person {
                format!("{}{index}", random.pick(&PEOPLE))
            } else {
                name
            },
        }
    }

    fn roles(
        &self,
        kind: Kind,
        part: Part,
        account: usize,
        name: &str,
        random: &mut Random,
    ) -> Vec<Role> {
        // Some work through a role of the neighbouring account for good: a foreign account alone is no story.
        let abroad = kind == Kind::UserRole && part == Part::Ordinary && random.chance(250);
        let account = if abroad {
            (account + 1) % self.accounts.len()
        } else {
            account
        };
        let count = match kind {
            Kind::RoleChain => 2,
            Kind::UserRole | Kind::Instance | Kind::Function | Kind::Workload => 1,
            Kind::ConsoleUser => match part {
                Part::Ordinary => usize::from(random.chance(500)),
                Part::Responder => 1,
                _ => 0,
            },
            _ => 0,
        };
        (0..count)
            .map(|step| self.role(account, format!("{name}-role-{step}"), random))
            .collect()
    }

    /// A role of `account` that nobody has yet.
    pub(super) fn role(&self, account: usize, name: String, random: &mut Random) -> Role {
        Role {
            account,
            id: random.aws_id("AROA", self.accounts[account].number, 21),
            name,
            path: "/",
        }
    }

    fn entra(&self, kind: Kind, index: usize, name: String, random: &mut Random) -> Entra {
        let tenant = random.below(self.tenants.len() as u64) as usize;
        let person = kind == Kind::EntraUser;
        Entra {
            tenant,
            object: random.guid().text(),
            app: random.guid().text(),
            key: random.guid().text(),
            resource: name.clone(),
            operations: ARM_PROFILES[random.below(ARM_PROFILES.len() as u64) as usize],
            network: match kind {
                Kind::Workload => Network::Fresh,
                Kind::EntraUser => Network::Fixed(random.address(OFFICE)),
                _ => Network::Fixed(random.address(AZURE)),
            },
            name: if person {
                format!("{}{index}", random.pick(&PEOPLE))
            } else {
                name
            },
        }
    }

    /// AWS's recorder of configurations: a service-linked role that every account has.
    fn add_recorder(&mut self, account: usize, random: &mut Random) {
        let mut role = self.role(account, "AWSServiceRoleForConfig".to_owned(), random);
        role.path = "/aws-service-role/config.amazonaws.com/";
        let uid = Self::role_uid(&role);
        let recorder = Body::Aws(Aws {
            account,
            name: "config".to_owned(),
            user_id: String::new(),
            key: String::new(),
            roles: vec![role],
            token: None,
            session: "AWSConfig-Describe".to_owned(),
            resource: "config".to_owned(),
            operations: RECORDER,
            network: Network::Gateway,
            agent: "config.amazonaws.com",
        });
        self.push(Part::Ordinary, Kind::ServiceLinked, uid, recorder);
    }
}

/// Who vouches for GitHub's workflows.
pub(super) const ISSUER: &str = "token.actions.githubusercontent.com";

/// What the issuer calls the workflow of repository `name`.
pub(super) fn subject(name: &str) -> String {
    format!("repo:tarnfield/{name}:ref:refs/heads/main")
}

fn account(index: usize, random: &mut Random) -> Account {
    let number = 100_000_000_000 + random.below(899_999_999_999);
    Account {
        number,
        id: format!("{number:012}"),
        region: REGIONS[index % REGIONS.len()],
        gateway: random.address(EGRESS),
        endpoint: format!("vpce-0{:016x}", random.bits()),
        key: random.guid().text(),
    }
}

fn tenant(index: usize, random: &mut Random) -> Tenant {
    Tenant {
        id: random.guid().text(),
        subscription: random.guid().text(),
        group: format!("rg-{}-{index}", random.pick(&SYSTEMS)),
        domain: format!("tarnfield{index}.example"),
        administrator: random.guid().text(),
    }
}

fn aws_network(kind: Kind, part: Part, random: &mut Random) -> Network {
    match (part, kind) {
        (Part::Roaming, _) | (_, Kind::Workload) => Network::Fresh,
        (_, Kind::ConsoleUser) => Network::Fixed(random.address(OFFICE)),
        (_, Kind::Function) => Network::Few([
            random.address(EGRESS),
            random.address(EGRESS),
            random.address(EGRESS),
        ]),
        (Part::Ordinary, _) => match random.below(4) {
            0 if kind == Kind::Instance => Network::Fixed(random.address(EGRESS)),
            0 => Network::Fixed(random.address(OFFICE)),
            1 => Network::Endpoint([10, random.below(250) as u8, random.below(250) as u8, 17]),
            _ => Network::Gateway,
        },
        (_, Kind::Instance) => Network::Fixed(random.address(EGRESS)),
        _ => Network::Fixed(random.address(OFFICE)),
    }
}
