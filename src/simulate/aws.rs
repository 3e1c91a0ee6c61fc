//! What somebody does in AWS: obtain a credential, pass it on, use it.
//!
//! Each run obtains its temporary credentials anew, so no session outlives its hour. The credential's creation date is
//! the time of the event that issued it, to the second, as in real logs.

use std::borrow::Cow;

use super::estate::{Actor, Aws, Estate, Kind, Network, Role, WebToken};
use super::names::RUNNERS;
use super::operations::Operation;
use super::random::Guid;
use super::schedule::Run;
use super::text::{Fill, expand};
use super::trail::{Call, Source, credentials_json, record, session_json, user_json};
use super::{Stage, Who};
use crate::model::Micros;

/// How many of a thousand reads of an object are followed by the decryption that S3 asks for in the reader's name.
const FORWARDED_PER_MILLE: u32 = 150;

/// From where and with which client somebody works.
#[derive(Clone, Copy)]
pub(super) struct Seat<'a> {
    pub(super) kind: Kind,
    pub(super) body: &'a Aws,
    pub(super) source: Source,
    pub(super) agent: &'a str,
}

/// A credential in somebody's hand.
pub(super) struct Caller<'a> {
    /// `userIdentity`.
    user: String,
    /// The role whose session this is; none for an IAM user.
    role: Option<&'a Role>,
    /// Since when a temporary credential lives.
    created: Option<Micros>,
    /// The account in which its calls are made.
    account: usize,
    pub(super) who: Who,
}

/// One run of `actor` in the hour that begins at `hour`.
pub(super) fn act(stage: &mut Stage<'_>, actor: &Actor, body: &Aws, run: &Run, hour: Micros) {
    let seat = Seat {
        kind: actor.kind,
        body,
        source: source(stage, actor.kind, body),
        agent: body.agent,
    };
    let mut used = 0;
    let caller = match actor.kind {
        Kind::Instance => Some(handed_out(
            stage,
            actor,
            seat,
            "ec2.amazonaws.com",
            run.at(hour, 0),
        )),
        Kind::Function => Some(handed_out(
            stage,
            actor,
            seat,
            "lambda.amazonaws.com",
            run.at(hour, 0),
        )),
        Kind::Workload => {
            let who = Who::machine(&actor.uid);
            federated(stage, seat, who, run.at(hour, 0), None)
        }
        Kind::ConsoleUser => Some(signed_in(stage, actor, seat, run.at(hour, 0))),
        Kind::ServiceLinked => linked(stage.estate, actor, body, run.at(hour, 0)),
        _ => Some(with_key(stage.estate, actor, body)),
    };
    let Some(mut caller) = caller else {
        return;
    };
    if matches!(
        actor.kind,
        Kind::Instance | Kind::Function | Kind::Workload | Kind::ConsoleUser
    ) {
        used += 1;
    }
    if matches!(actor.kind, Kind::UserRole | Kind::RoleChain) {
        for role in &body.roles {
            caller = assume(stage, seat, &caller, role, run.at(hour, used), None);
            used += 1;
        }
    }
    while used < run.events {
        let last_role = body.roles.first().filter(|_| run.events - used == 2);
        if let (Kind::ConsoleUser, Some(role)) = (actor.kind, last_role) {
            caller = assume(stage, seat, &caller, role, run.at(hour, used), None);
            used += 1;
            continue;
        }
        let operation = stage.random.pick(body.operations);
        let at = run.at(hour, used);
        ask(stage, seat, &caller, operation, at, None);
        used += 1;
        let forwards = operation.name == "GetObject" && used < run.events;
        if forwards && stage.random.chance(FORWARDED_PER_MILLE) {
            forwarded(stage, seat, &caller, at);
            used += 1;
        }
    }
}

/// Where this run comes from.
pub(super) fn source(stage: &mut Stage<'_>, kind: Kind, body: &Aws) -> Source {
    if kind == Kind::ServiceLinked {
        return Source::Service("config.amazonaws.com");
    }
    match body.network {
        Network::Fixed(address) => Source::Public(address),
        Network::Few(addresses) => Source::Public(stage.random.pick(&addresses)),
        Network::Gateway => Source::Public(stage.estate.accounts[body.account].gateway),
        Network::Endpoint(address) => Source::Endpoint(address, body.account),
        Network::Fresh => Source::Public(stage.random.address(RUNNERS)),
    }
}

/// The long-lived key of an IAM user.
pub(super) fn with_key<'a>(estate: &Estate, actor: &Actor, body: &'a Aws) -> Caller<'a> {
    let account = &estate.accounts[body.account];
    Caller {
        user: user_json(account, body, &body.key, None, ""),
        role: None,
        created: None,
        account: body.account,
        who: Who::machine(&actor.uid),
    }
}

/// A person signs in to the console.
pub(super) fn signed_in<'a>(
    stage: &mut Stage<'_>,
    actor: &Actor,
    seat: Seat<'a>,
    at: Micros,
) -> Caller<'a> {
    let body = seat.body;
    let estate = stage.estate;
    let account = &estate.accounts[body.account];
    let who = Who::other(&actor.uid);
    let sign_in = Operation {
        service: "signin.amazonaws.com",
        name: "ConsoleLogin",
        read_only: false,
        data: false,
        request: "null",
        response: r#"{"ConsoleLogin":"Success"}"#,
        resources: "",
        region: "",
        error: "",
    };
    let user = user_json(account, body, "", None, "");
    let extra = r#"{"LoginTo":"https://console.aws.amazon.com/console/home","MobileVersion":"No","MFAUsed":"Yes"}"#;
    let event = stage.random.guid();
    let call = Call {
        extra,
        ..draft(stage, seat, &user, sign_in, body.account, at, event)
    };
    record(stage, &call, &who);
    Caller {
        user: String::new(),
        role: None,
        created: Some(at),
        account: body.account,
        who,
    }
}

/// A compute service hands a role to something that runs on it. The answer names no assumed role, as in real logs.
pub(super) fn handed_out<'a>(
    stage: &mut Stage<'_>,
    actor: &Actor,
    seat: Seat<'a>,
    service: &'static str,
    at: Micros,
) -> Caller<'a> {
    let body = seat.body;
    let role = &body.roles[0];
    let estate = stage.estate;
    let account = &estate.accounts[role.account];
    let key = stage.random.temporary_key(account.number);
    let who = Who::machine(&actor.uid);
    let credentials = credentials_json(&key, at, stage.random);
    let request = format!(
        r#"{{"roleArn":"arn:aws:iam::{}:role/{}","roleSessionName":"{}"}}"#,
        account.id, role.name, body.session
    );
    let response = format!("{{{credentials}}}");
    let resources = role_resource(estate, role);
    let issue = issuing("AssumeRole", &request, &response, &resources);
    let user = format!(r#"{{"type":"AWSService","invokedBy":"{service}"}}"#);
    let seat = Seat {
        source: Source::Service(service),
        agent: service,
        ..seat
    };
    let event = stage.random.guid();
    let shared = Some(stage.random.guid());
    let call = Call {
        shared,
        ..draft(stage, seat, &user, issue, role.account, at, event)
    };
    record(stage, &call, &who);
    Caller {
        user: session_json(account, seat.kind, body, role, &key, at, ""),
        role: Some(role),
        created: Some(at),
        account: role.account,
        who,
    }
}

/// `who` changes its token for a role. The row of it is `event` where the caller must know it. None for somebody who
/// has no token or no role.
pub(super) fn federated<'a>(
    stage: &mut Stage<'_>,
    seat: Seat<'a>,
    mut who: Who,
    at: Micros,
    event: Option<Guid>,
) -> Option<Caller<'a>> {
    let body = seat.body;
    let role = body.roles.first()?;
    let WebToken {
        issuer,
        audience,
        subject,
    } = body.token.as_ref()?;
    let estate = stage.estate;
    let account = &estate.accounts[role.account];
    let key = stage.random.temporary_key(account.number);
    let provider = format!("arn:aws:iam::{}:oidc-provider/{issuer}", account.id);
    let user = format!(
        r#"{{"type":"WebIdentityUser","principalId":"{provider}:{audience}:{subject}","userName":"{subject}","identityProvider":"{provider}"}}"#
    );
    let credentials = credentials_json(&key, at, stage.random);
    let request = format!(
        r#"{{"roleArn":"arn:aws:iam::{}:role/{}","roleSessionName":"{}","durationSeconds":3600}}"#,
        account.id, role.name, body.session
    );
    let response = format!(
        r#"{{"subjectFromWebIdentityToken":"{subject}","audience":"{audience}","provider":"{provider}",{},{credentials}}}"#,
        assumed(estate, role, &body.session)
    );
    let resources = role_resource(estate, role);
    let issue = issuing("AssumeRoleWithWebIdentity", &request, &response, &resources);
    let extra = r#"{"identityProviderConnectionVerificationMethod":"IAMTrustStore"}"#;
    let event = event.unwrap_or_else(|| stage.random.guid());
    let agent = match seat.kind {
        Kind::Workload => "configure-aws-credentials-for-github-actions",
        _ => seat.agent,
    };
    let seat_here = Seat { agent, ..seat };
    let call = Call {
        extra,
        ..draft(stage, seat_here, &user, issue, role.account, at, event)
    };
    record(stage, &call, &who);
    who.acting = Estate::role_uid(role);
    Some(Caller {
        user: session_json(account, seat.kind, body, role, &key, at, ""),
        role: Some(role),
        created: Some(at),
        account: role.account,
        who,
    })
}

/// AWS's own code in a service-linked role. Its rows show no key.
fn linked<'a>(estate: &Estate, actor: &Actor, body: &'a Aws, at: Micros) -> Option<Caller<'a>> {
    let role = body.roles.first()?;
    let account = &estate.accounts[role.account];
    let service = "config.amazonaws.com";
    Some(Caller {
        user: session_json(account, Kind::ServiceLinked, body, role, "", at, service),
        role: Some(role),
        created: Some(at),
        account: role.account,
        who: Who::other(&actor.uid),
    })
}

/// `caller` assumes `role`. A role of another account leaves a second row there, with an event id of its own, which is
/// `abroad` where the caller must know it.
pub(super) fn assume<'a>(
    stage: &mut Stage<'_>,
    seat: Seat<'a>,
    caller: &Caller<'_>,
    role: &'a Role,
    at: Micros,
    abroad: Option<Guid>,
) -> Caller<'a> {
    let body = seat.body;
    let estate = stage.estate;
    let account = &estate.accounts[role.account];
    let key = stage.random.temporary_key(account.number);
    let credentials = credentials_json(&key, at, stage.random);
    let request = format!(
        r#"{{"roleArn":"arn:aws:iam::{}:role/{}","roleSessionName":"{}","durationSeconds":3600}}"#,
        account.id, role.name, body.session
    );
    let response = format!("{{{},{credentials}}}", assumed(estate, role, &body.session));
    let resources = role_resource(estate, role);
    let issue = issuing("AssumeRole", &request, &response, &resources);
    let foreign = role.account != caller.account;
    let shared = foreign.then(|| stage.random.guid());
    let user = presented(stage, seat, caller);
    let event = stage.random.guid();
    let here = Call {
        shared,
        ..draft(stage, seat, &user, issue, caller.account, at, event)
    };
    record(stage, &here, &caller.who);
    if foreign {
        let principal = match caller.role {
            Some(role) => format!("{}:{}", role.id, body.session),
            None => body.user_id.clone(),
        };
        let user = format!(
            r#"{{"type":"AWSAccount","principalId":"{principal}","accountId":"{}"}}"#,
            estate.accounts[caller.account].id
        );
        let event = abroad.unwrap_or_else(|| stage.random.guid());
        let there = Call {
            user: &user,
            account: role.account,
            event,
            ..here
        };
        record(stage, &there, &caller.who);
    }
    let mut who = caller.who.clone();
    who.acting = Estate::role_uid(role);
    // What a service says of the sessions that it hands out, nobody says of the next.
    let mut kind = Kind::UserRole;
    if seat.kind == Kind::ConsoleUser {
        who.nhi = Some(who.acting.clone());
        kind = seat.kind;
    }
    Caller {
        user: session_json(account, kind, body, role, &key, at, ""),
        role: Some(role),
        created: Some(at),
        account: role.account,
        who,
    }
}

/// `caller` performs `operation`.
pub(super) fn ask(
    stage: &mut Stage<'_>,
    seat: Seat<'_>,
    caller: &Caller<'_>,
    operation: Operation<'_>,
    at: Micros,
    event: Option<Guid>,
) {
    let event = event.unwrap_or_else(|| stage.random.guid());
    let user = presented(stage, seat, caller);
    let call = draft(stage, seat, &user, operation, caller.account, at, event);
    let call = Call {
        console: seat.kind == Kind::ConsoleUser && caller.role.is_none(),
        ..call
    };
    record(stage, &call, &caller.who);
}

/// S3 decrypts what `caller` has just read: a forward access session, with a key that nobody ever holds.
fn forwarded(stage: &mut Stage<'_>, seat: Seat<'_>, caller: &Caller<'_>, at: Micros) {
    let service = "AWS Internal";
    let estate = stage.estate;
    let account = &estate.accounts[caller.account];
    let key = stage.random.temporary_key(account.number);
    let user = match (caller.role, caller.created) {
        (Some(role), Some(created)) => {
            session_json(account, seat.kind, seat.body, role, &key, created, service)
        }
        _ => user_json(account, seat.body, &key, Some((at, false)), service),
    };
    let fill = Fill {
        account: &account.id,
        region: account.region,
        resource: &seat.body.resource,
    };
    let mut request = String::with_capacity(256);
    let template = r#"{"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"aws:s3:arn":"arn:aws:s3:::@N-data-@R"}}"#;
    expand(&mut request, template, fill, stage.random);
    let resources = format!(
        r#"{{"accountId":"{0}","type":"AWS::KMS::Key","ARN":"arn:aws:kms:{1}:{0}:key/{2}"}}"#,
        account.id, account.region, account.key
    );
    let decrypt = Operation {
        service: "kms.amazonaws.com",
        name: "Decrypt",
        read_only: true,
        data: false,
        request: &request,
        response: "null",
        resources: &resources,
        region: "",
        error: "",
    };
    let seat = Seat {
        source: Source::Service(service),
        agent: service,
        ..seat
    };
    let event = stage.random.guid();
    let call = draft(stage, seat, &user, decrypt, caller.account, at, event);
    record(stage, &call, &caller.who);
}

/// `userIdentity` as the next call shows it: a console session shows another key each time.
fn presented<'c>(stage: &mut Stage<'_>, seat: Seat<'_>, caller: &'c Caller<'_>) -> Cow<'c, str> {
    match (caller.role, caller.created) {
        (None, Some(created)) => {
            let estate = stage.estate;
            let account = &estate.accounts[caller.account];
            let key = stage.random.temporary_key(account.number);
            let session = Some((created, true));
            Cow::Owned(user_json(account, seat.body, &key, session, ""))
        }
        _ => Cow::Borrowed(&caller.user),
    }
}

/// A call without anything special about it.
fn draft<'a>(
    stage: &mut Stage<'_>,
    seat: Seat<'a>,
    user: &'a str,
    operation: Operation<'a>,
    account: usize,
    at: Micros,
    event: Guid,
) -> Call<'a> {
    Call {
        user,
        operation,
        account,
        source: seat.source,
        agent: seat.agent,
        resource: &seat.body.resource,
        at,
        event,
        request: stage.random.guid(),
        shared: None,
        extra: "",
        console: false,
    }
}

fn issuing<'a>(
    name: &'static str,
    request: &'a str,
    response: &'a str,
    resources: &'a str,
) -> Operation<'a> {
    Operation {
        service: "sts.amazonaws.com",
        name,
        read_only: true,
        data: false,
        request,
        response,
        resources,
        region: "",
        error: "",
    }
}

/// The member `assumedRoleUser` of an answer.
fn assumed(estate: &Estate, role: &Role, session: &str) -> String {
    format!(
        r#""assumedRoleUser":{{"assumedRoleId":"{}:{session}","arn":"arn:aws:sts::{}:assumed-role/{}/{session}"}}"#,
        role.id, estate.accounts[role.account].id, role.name
    )
}

fn role_resource(estate: &Estate, role: &Role) -> String {
    let account = &estate.accounts[role.account].id;
    format!(
        r#"{{"accountId":"{account}","type":"AWS::IAM::Role","ARN":"arn:aws:iam::{account}:role/{}"}}"#,
        role.name
    )
}
