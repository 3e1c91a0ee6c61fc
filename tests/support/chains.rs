//! Role chains, twins and bystanders by seed: records in the true shape of their logs, with what must be said of them.
//!
//! It shares no code with what it tests. Ids are made so that no two estates and no two seeds of one test share one;
//! addresses are shared on purpose, because an address proves nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    unreachable_pub,
    reason = "in some test binaries it is the root's own module"
)]

#[path = "callers.rs"]
mod callers;
#[path = "twins.rs"]
mod twins;

use std::collections::{BTreeMap, BTreeSet};

use oorandom::Rand64;

pub use callers::{Caller, Role, Session, User, role_uid};
use callers::{guid, issued, request, time, unique};

/// Everybody comes from one of these.
const ADDRESSES: [&str; 5] = [
    "198.51.100.7",
    "198.51.100.8",
    "203.0.113.20",
    "203.0.113.21",
    "192.0.2.99",
];

const AGENT: &str = "aws-cli/2.17.1 Python/3.12";
const GITHUB: &str = "token.actions.githubusercontent.com";

/// One log record.
#[derive(Clone, Debug)]
pub struct Message {
    /// Seconds since the estate's start.
    pub at: u64,
    pub uid: String,
    pub text: String,
    /// Whether it issues a credential on which later records depend.
    pub issues: bool,
}

/// What must be said of one event.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Who really acted, which is also the first of the chain.
    pub identity: String,
    pub kind: &'static str,
    /// Origin first, the identity whose permissions were used last.
    pub chain: Vec<String>,
    pub workload: Option<String>,
}

/// The copy of an issue event in the account that was called.
#[derive(Clone, Debug)]
pub struct ForeignCopy {
    pub acting: String,
    pub action: String,
}

/// One workload that exists in two clouds.
#[derive(Clone, Debug, Default)]
pub struct Twin {
    /// Every id that is its own and nobody else's.
    pub names: BTreeSet<String>,
    /// Two ids between which there must be a link.
    pub tied: Vec<(String, String)>,
    /// Who must have acted, by event.
    pub actors: BTreeMap<String, String>,
}

/// An estate, and the records that its life has written so far.
#[derive(Debug)]
pub struct Estate {
    number: u64,
    accounts: u64,
    /// Roles and users of each account.
    each: u64,
    counter: u64,
    random: Rand64,
    messages: Vec<Message>,
    pub expected: BTreeMap<String, Expected>,
    pub copies: BTreeMap<String, ForeignCopy>,
    pub twins: Vec<Twin>,
    /// Identities that have nothing to do with anybody else.
    pub bystanders: BTreeSet<String>,
}

/// The members of a CloudTrail record that differ from call to call.
struct Call<'a> {
    identity: String,
    service: &'a str,
    operation: &'a str,
    address: &'a str,
    account: &'a str,
    read_only: bool,
    request: String,
    response: String,
    shared: Option<&'a str>,
    issues: bool,
}

impl Estate {
    /// Estate `number`, drawn by `seed`. Two estates of different numbers share no id; `number` is below 1,024.
    pub fn new(number: u64, seed: u64, accounts: u64, each: u64) -> Self {
        Self {
            number,
            accounts,
            each,
            counter: 0,
            random: Rand64::new((u128::from(number) << 64) | u128::from(seed)),
            messages: Vec::new(),
            expected: BTreeMap::new(),
            copies: BTreeMap::new(),
            twins: Vec::new(),
            bystanders: BTreeSet::new(),
        }
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.rand_range(0..bound)
    }

    /// The records since this was last called, in the order in which they happened.
    pub fn take(&mut self) -> Vec<Message> {
        let mut messages = std::mem::take(&mut self.messages);
        messages.sort_by_key(|message| message.at);
        messages
    }

    /// Role `index` of account `account`; those beyond the number of roles of an account stand in no chain.
    pub fn role(&self, account: u64, index: u64) -> Role {
        Role {
            account: self.account(account),
            name: format!("role-{index}"),
            id: unique("AROA", self.number, (account << 32) | index, 21),
        }
    }

    /// User `index` of account `account`.
    pub fn user(&self, account: u64, index: u64) -> User {
        let number = (account << 32) | index;
        User {
            account: self.account(account),
            name: format!("user-{index}"),
            id: unique("AIDA", self.number, number, 21),
            key: unique("AKIA", self.number, number, 20),
        }
    }

    /// A key id that nobody has yet.
    pub fn fresh_key(&mut self) -> String {
        let number = self.count();
        unique("ASIA", self.number, number, 20)
    }

    /// One chain of `depth` issued sessions that begins at second `at`, and one or two uses of the last one.
    pub fn chain(&mut self, at: u64, depth: u64) {
        let mut at = at;
        let mut used = BTreeSet::new();
        let mut place = self.below(self.accounts);
        let mut role = self.next_role(&mut place, &mut used);
        let (mut session, mut known) = self.root(at, &role);
        for _ in 1..depth {
            at += 1 + self.below(300);
            role = self.next_role(&mut place, &mut used);
            let caller = Caller::Session(session);
            session = self.assume(at, &caller, &role, Some(&known));
            known.chain.push(role_uid(&role));
            known.workload = None;
        }
        for _ in 0..=self.below(2) {
            at += 1 + self.below(300);
            let uid = self.use_of(at, &Caller::Session(session.clone()));
            self.expected.insert(uid, known.clone());
        }
    }

    /// How a chain begins: a user's key, a job of a build service, or a role delivered to an instance.
    fn root(&mut self, at: u64, role: &Role) -> (Session, Expected) {
        match self.below(3) {
            0 => {
                let account = self.below(self.accounts);
                let index = self.below(self.each);
                let user = self.user(account, index);
                let identity = format!("aws:user:{}", user.id);
                let mut known = Expected {
                    chain: vec![identity.clone()],
                    identity,
                    kind: "iam_user",
                    workload: None,
                };
                let session = self.assume(at, &Caller::User(user), role, Some(&known));
                known.chain.push(role_uid(role));
                (session, known)
            }
            1 => {
                let repository = self.below(50);
                let subject = self.github_subject(repository);
                let identity = github_uid(&subject);
                let mut known = Expected {
                    chain: vec![identity.clone()],
                    identity,
                    kind: "oidc_ci",
                    workload: None,
                };
                let (session, uid) =
                    self.web_identity(at, role, GITHUB, "sts.amazonaws.com", &subject);
                self.expected.insert(uid, known.clone());
                known.chain.push(role_uid(role));
                (session, known)
            }
            _ => {
                let session = self.delivery(at, role);
                let known = Expected {
                    identity: role_uid(role),
                    kind: "workload_role",
                    chain: vec![role_uid(role)],
                    workload: Some(format!("wl:ec2-instance:{}:{}", role.account, session.name)),
                };
                (session, known)
            }
        }
    }

    /// A role that this chain has not had, mostly of the same account.
    fn next_role(&mut self, place: &mut u64, used: &mut BTreeSet<(u64, u64)>) -> Role {
        loop {
            if self.below(10) < 3 {
                *place = self.below(self.accounts);
            }
            let index = self.below(self.each);
            if used.insert((*place, index)) {
                return self.role(*place, index);
            }
        }
    }

    /// `AssumeRole` (L-1, L-2), as the source account and, across accounts, the target account tell it. One in twenty
    /// is sent twice in one second, as programs that retry do (LIN-3).
    pub fn assume(
        &mut self,
        at: u64,
        caller: &Caller,
        role: &Role,
        known: Option<&Expected>,
    ) -> Session {
        let count = self.count();
        let name = format!("s-{}-{count}", self.number);
        if self.below(20) == 0 {
            self.assume_once(at, caller, role, &name, known);
        }
        self.assume_once(at, caller, role, &name, known)
    }

    fn assume_once(
        &mut self,
        at: u64,
        caller: &Caller,
        role: &Role,
        name: &str,
        known: Option<&Expected>,
    ) -> Session {
        let session = Session {
            role: role.clone(),
            name: name.to_owned(),
            key: self.fresh_key(),
            since: at,
            delivered: false,
        };
        let account = caller.account().to_owned();
        let foreign = account != role.account;
        let shared = self.fresh_guid();
        let address = self.address();
        // Which of the two copies a trail delivers first is chance.
        let target_first = self.below(2) == 0;
        for target in [target_first, !target_first] {
            if target && !foreign {
                continue;
            }
            let recipient = if target { &role.account } else { &account };
            let uid = self.record(
                at,
                &Call {
                    identity: if target {
                        caller.as_foreign()
                    } else {
                        caller.identity()
                    },
                    service: "sts.amazonaws.com",
                    operation: "AssumeRole",
                    address,
                    account: recipient,
                    read_only: true,
                    request: request(role, name),
                    response: format!("{{{}}}", issued(&session, true)),
                    shared: foreign.then_some(shared.as_str()),
                    issues: true,
                },
            );
            match known {
                Some(_) if target => {
                    let copy = ForeignCopy {
                        acting: caller.uid(),
                        action: shared.clone(),
                    };
                    self.copies.insert(uid, copy);
                }
                Some(known) => {
                    self.expected.insert(uid, known.clone());
                }
                None => {}
            }
        }
        session
    }

    /// `AssumeRoleWithWebIdentity` (L-5), and the id of its event.
    fn web_identity(
        &mut self,
        at: u64,
        role: &Role,
        issuer: &str,
        audience: &str,
        subject: &str,
    ) -> (Session, String) {
        let session = Session {
            role: role.clone(),
            name: if issuer == GITHUB {
                "GitHubActions".to_owned()
            } else {
                "exchange".to_owned()
            },
            key: self.fresh_key(),
            since: at,
            delivered: false,
        };
        let provider = format!("arn:aws:iam::{}:oidc-provider/{issuer}", role.account);
        let identity = format!(
            r#"{{"type":"WebIdentityUser","principalId":"{provider}:{audience}:{subject}","userName":"{subject}","identityProvider":"{provider}"}}"#
        );
        let vouched = format!(
            r#""subjectFromWebIdentityToken":"{subject}","audience":"{audience}","provider":"{provider}""#
        );
        let address = self.address();
        let uid = self.record(
            at,
            &Call {
                identity,
                service: "sts.amazonaws.com",
                operation: "AssumeRoleWithWebIdentity",
                address,
                account: &role.account,
                read_only: true,
                request: request(role, &session.name),
                response: format!("{{{},{vouched}}}", issued(&session, true)),
                shared: None,
                issues: true,
            },
        );
        (session, uid)
    }

    /// `AssumeRole` by EC2 for an instance (L-3): the answer does not name the assumed role (LIN-4).
    fn delivery(&mut self, at: u64, role: &Role) -> Session {
        let instance = format!("i-{:017x}", (self.number << 48) | self.count());
        let session = Session {
            role: role.clone(),
            name: instance,
            key: self.fresh_key(),
            since: at,
            delivered: true,
        };
        let shared = self.fresh_guid();
        self.record(
            at,
            &Call {
                identity: r#"{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#.to_owned(),
                service: "sts.amazonaws.com",
                operation: "AssumeRole",
                address: "ec2.amazonaws.com",
                account: &role.account,
                read_only: true,
                request: request(role, &session.name),
                response: format!("{{{}}}", issued(&session, false)),
                shared: Some(&shared),
                issues: true,
            },
        );
        session
    }

    /// An ordinary call, and the id of its event.
    pub fn use_of(&mut self, at: u64, caller: &Caller) -> String {
        let address = self.address();
        self.record(
            at,
            &Call {
                identity: caller.identity(),
                service: "ec2.amazonaws.com",
                operation: "DescribeInstances",
                address,
                account: caller.account(),
                read_only: true,
                request: "null".to_owned(),
                response: "null".to_owned(),
                shared: None,
                issues: false,
            },
        )
    }

    fn record(&mut self, at: u64, call: &Call<'_>) -> String {
        let uid = self.fresh_guid();
        let request_id = self.fresh_guid();
        let shared = match call.shared {
            Some(shared) => format!(r#","sharedEventID":"{shared}""#),
            None => String::new(),
        };
        let agent = if call.address.starts_with(|c: char| c.is_ascii_digit()) {
            AGENT
        } else {
            call.address
        };
        let text = format!(
            r#"{{"eventVersion":"1.09","userIdentity":{identity},"eventTime":"{time}","eventSource":"{service}","eventName":"{operation}","awsRegion":"us-east-1","sourceIPAddress":"{address}","userAgent":"{agent}","requestParameters":{request},"responseElements":{response},"requestID":"{request_id}","eventID":"{uid}","readOnly":{read_only},"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"{account}"{shared},"eventCategory":"Management"}}"#,
            identity = call.identity,
            time = time(at),
            service = call.service,
            operation = call.operation,
            address = call.address,
            request = call.request,
            response = call.response,
            read_only = call.read_only,
            account = call.account,
        );
        self.write(at, &uid, text, call.issues);
        uid
    }

    fn write(&mut self, at: u64, uid: &str, text: String, issues: bool) {
        self.messages.push(Message {
            at,
            uid: uid.to_owned(),
            text,
            issues,
        });
    }

    fn account(&self, account: u64) -> String {
        format!(
            "{:012}",
            100_000_000_000 + self.number * 1_000_000 + account
        )
    }

    /// A subject of repository `number`: every other repository has the ids that a rename cannot change.
    fn github_subject(&self, number: u64) -> String {
        let estate = self.number;
        if number.is_multiple_of(2) {
            format!("repo:example-{estate}/service-{number}:ref:refs/heads/main")
        } else {
            let id = estate * 1_000_000 + number;
            format!("repo:example-{estate}@77{estate}/service-{number}@{id}:ref:refs/heads/main")
        }
    }

    fn address(&mut self) -> &'static str {
        ADDRESSES[self.below(ADDRESSES.len() as u64) as usize]
    }

    fn fresh_guid(&mut self) -> String {
        let number = self.count();
        guid(self.number, number)
    }

    fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

/// How evidence names a subject of GitHub: by the repository's id where the subject has it (V-43).
fn github_uid(subject: &str) -> String {
    let repository = subject.split(':').nth(1).unwrap_or_default();
    match repository
        .rsplit_once('/')
        .and_then(|(_, name)| name.split_once('@'))
    {
        Some((_, id)) => format!("oidc:{GITHUB}|repo-id:{id}"),
        None => format!("oidc:{GITHUB}|{subject}"),
    }
}
