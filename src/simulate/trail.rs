//! CloudTrail records: how a call is written down.
//!
//! Who calls, with which credential, is decided in `aws`.

use super::deliver;
use super::estate::{Account, Aws, Kind, Role};
use super::operations::Operation;
use super::random::{Guid, Random};
use super::text::{
    Fill, compose, expand, push, push_address, push_expiration, push_hex, push_time,
};
use super::{Stage, Who};
use crate::model::Micros;

/// How many of a thousand calls that EventBridge carries at all come through it: about one record in twenty.
const BRIDGED_PER_MILLE: u32 = 180;
/// How many of a thousand calls of EC2 are refused because there were too many of them.
const THROTTLED_PER_MILLE: u32 = 6;

/// Id, account, name, account, name.
const USER: &str = r#"{"type":"IAMUser","principalId":"%","arn":"arn:aws:iam::%:user/%","accountId":"%","userName":"%""#;
/// Id, session, account, role, session, account.
const SESSION: &str = r#"{"type":"AssumedRole","principalId":"%:%","arn":"arn:aws:sts::%:assumed-role/%/%","accountId":"%""#;
/// Id, account, path, role, account, role.
const ISSUER_ROLE: &str = r#","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"%","arn":"arn:aws:iam::%:role%%","accountId":"%","userName":"%"},"webIdFederationData":{"#;
/// Account, issuer.
const FEDERATION: &str = r#""federatedProvider":"arn:aws:iam::%:oidc-provider/%","attributes":{}"#;
/// Function, account, function.
const SCOPE: &str = r#","inScopeOf":{"sourceArn":"%","sourceAccount":"%","issuerType":"AWS::Lambda::Function","credentialsIssuedTo":"%"}"#;

/// One call as its record shows it.
pub(super) struct Call<'a> {
    /// `userIdentity`.
    pub(super) user: &'a str,
    pub(super) operation: Operation<'a>,
    /// Index of the account that receives the record.
    pub(super) account: usize,
    pub(super) source: Source,
    pub(super) agent: &'a str,
    pub(super) resource: &'a str,
    pub(super) at: Micros,
    pub(super) event: Guid,
    pub(super) request: Guid,
    pub(super) shared: Option<Guid>,
    /// `additionalEventData`; empty when the record has none.
    pub(super) extra: &'a str,
    /// Made with a credential of the console.
    pub(super) console: bool,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Public([u8; 4]),
    /// A private address, and the index of the account whose endpoint was passed.
    Endpoint([u8; 4], usize),
    /// A service stands in the address's place.
    Service(&'static str),
}

/// Writes the record of `call`, sends it and labels it with `who`.
pub(super) fn record(stage: &mut Stage<'_>, call: &Call<'_>, who: &Who) {
    let mut out = stage.buffer();
    begin(&mut out, stage, call);
    end(&mut out, stage, call);
    let estate = stage.estate;
    let account = &estate.accounts[call.account];
    let carried = !call.operation.data
        && !matches!(call.source, Source::Endpoint(..))
        && bridged(call.operation.name);
    if carried && stage.random.chance(BRIDGED_PER_MILLE) {
        let head = envelope(account, call, stage.random);
        stage
            .delivery
            .put_single(stage.random, call.account, call.at, &head, &out);
    } else {
        stage
            .delivery
            .put(stage.random, deliver::S3, call.account, call.at, &out);
    }
    stage.record = out;
    stage.label(call.event.text(), who);
}

/// The first half: who, when, what, from where, with which answer.
fn begin(out: &mut String, stage: &mut Stage<'_>, call: &Call<'_>) {
    let estate = stage.estate;
    let account = &estate.accounts[call.account];
    let operation = &call.operation;
    let region = region(call, account);
    let fill = Fill {
        account: &account.id,
        region,
        resource: call.resource,
    };
    push!(
        out,
        "{\"eventVersion\":\"1.11\",\"userIdentity\":",
        call.user
    );
    push!(out, ",\"eventTime\":\"");
    push_time(out, call.at);
    push!(out, "\",\"eventSource\":\"", operation.service);
    push!(out, "\",\"eventName\":\"", operation.name);
    push!(out, "\",\"awsRegion\":\"", region);
    push!(out, "\",\"sourceIPAddress\":\"");
    match call.source {
        Source::Public(address) | Source::Endpoint(address, _) => push_address(out, address),
        Source::Service(name) => out.push_str(name),
    }
    push!(out, "\",\"userAgent\":\"", call.agent, "\"");
    let throttled = operation.error.is_empty()
        && operation.service == "ec2.amazonaws.com"
        && stage.random.chance(THROTTLED_PER_MILLE);
    if throttled {
        push!(
            out,
            ",\"errorCode\":\"Client.RequestLimitExceeded\",\"errorMessage\":\"Request limit exceeded.\""
        );
    }
    if !operation.error.is_empty() {
        let error = operation.error;
        push!(out, ",\"errorCode\":\"", error, "\"");
    }
    push!(out, ",\"requestParameters\":");
    expand(out, operation.request, fill, stage.random);
    push!(out, ",\"responseElements\":");
    let response = if throttled || !operation.error.is_empty() {
        "null"
    } else {
        operation.response
    };
    expand(out, response, fill, stage.random);
    if operation.data && operation.service == "s3.amazonaws.com" {
        push!(
            out,
            ",\"additionalEventData\":{\"SignatureVersion\":\"SigV4\",\"CipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"bytesTransferredIn\":0,\"AuthenticationMethod\":\"AuthHeader\",\"x-amz-id-2\":\""
        );
        push_noise(out, stage.random, 5);
        push!(out, "=\",\"bytesTransferredOut\":18434}");
    } else if !call.extra.is_empty() {
        push!(out, ",\"additionalEventData\":", call.extra);
    }
}

/// The second half: ids, resources, kinds, account, connection.
fn end(out: &mut String, stage: &mut Stage<'_>, call: &Call<'_>) {
    let estate = stage.estate;
    let account = &estate.accounts[call.account];
    let operation = &call.operation;
    push!(out, ",\"requestID\":\"");
    if operation.service == "s3.amazonaws.com" {
        let mut request = String::with_capacity(16);
        call.request.push_plain(&mut request, 16);
        out.push_str(&request.to_ascii_uppercase());
    } else {
        call.request.push(out);
    }
    push!(out, "\",\"eventID\":\"");
    call.event.push(out);
    push!(out, "\",\"readOnly\":", truth(operation.read_only));
    if !operation.resources.is_empty() {
        let fill = Fill {
            account: &account.id,
            region: region(call, account),
            resource: call.resource,
        };
        push!(out, ",\"resources\":[");
        expand(out, operation.resources, fill, stage.random);
        push!(out, "]");
    }
    let sign_in = operation.service == "signin.amazonaws.com";
    push!(out, ",\"eventType\":\"");
    push!(
        out,
        if sign_in {
            "AwsConsoleSignIn"
        } else {
            "AwsApiCall"
        }
    );
    push!(out, "\",\"managementEvent\":", truth(!operation.data));
    push!(out, ",\"recipientAccountId\":\"", &account.id, "\"");
    if let Some(shared) = call.shared {
        push!(out, ",\"sharedEventID\":\"");
        shared.push(out);
        push!(out, "\"");
    }
    if let Source::Endpoint(_, owner) = call.source {
        let owner = &estate.accounts[owner];
        push!(out, ",\"vpcEndpointId\":\"", &owner.endpoint);
        push!(out, "\",\"vpcEndpointAccountId\":\"", &owner.id, "\"");
    }
    let category = if operation.data { "Data" } else { "Management" };
    push!(out, ",\"eventCategory\":\"", category, "\"");
    if !matches!(call.source, Source::Service(_)) {
        let host = operation.service.split('.').next().unwrap_or_default();
        push!(
            out,
            ",\"tlsDetails\":{\"tlsVersion\":\"TLSv1.3\",\"cipherSuite\":\"TLS_AES_128_GCM_SHA256\",\"clientProvidedHostHeader\":\""
        );
        push!(out, host, ".", region(call, account), ".amazonaws.com\"}");
    }
    if call.console {
        push!(out, ",\"sessionCredentialFromConsole\":\"true\"");
    }
    push!(out, "}");
}

/// Where `call` is made.
fn region<'a>(call: &Call<'a>, account: &'a Account) -> &'a str {
    match call.operation.region {
        "" => account.region,
        region => region,
    }
}

/// EventBridge leaves out what only reads.
fn bridged(name: &str) -> bool {
    let reads = ["Get", "List", "Describe", "BatchGet"];
    name != "ConsoleLogin" && !reads.iter().any(|begin| name.starts_with(begin))
}

/// An EventBridge envelope up to the record.
fn envelope(account: &Account, call: &Call<'_>, random: &mut Random) -> String {
    let mut head = String::with_capacity(320);
    let service = call.operation.service.split('.').next().unwrap_or_default();
    push!(head, "{\"version\":\"0\",\"id\":\"");
    random.guid().push(&mut head);
    push!(head, "\",\"detail-type\":\"AWS API Call via CloudTrail\"");
    push!(head, ",\"source\":\"aws.", service);
    push!(head, "\",\"account\":\"", &account.id, "\",\"time\":\"");
    push_time(&mut head, call.at);
    push!(head, "\",\"region\":\"", region(call, account));
    push!(head, "\",\"resources\":[],\"detail\":");
    head
}

/// `userIdentity` of an IAM user. `session` says since when a temporary credential lives, and whether a second factor
/// was shown for it; an empty `key` is left out.
pub(super) fn user_json(
    account: &Account,
    body: &Aws,
    key: &str,
    session: Option<(Micros, bool)>,
    invoked_by: &str,
) -> String {
    let mut out = String::with_capacity(512);
    let parts: [&str; 5] = [
        &body.user_id,
        &account.id,
        &body.name,
        &account.id,
        &body.name,
    ];
    compose(&mut out, USER, &parts);
    push_member(&mut out, "accessKeyId", key);
    if let Some((created, second_factor)) = session {
        push!(
            out,
            ",\"sessionContext\":{\"sessionIssuer\":{},\"webIdFederationData\":{},"
        );
        push_attributes(&mut out, created, second_factor);
        push!(out, "}");
    }
    push_member(&mut out, "invokedBy", invoked_by);
    push!(out, "}");
    out
}

/// `userIdentity` of a session of `role`, which belongs to `account`. An empty `key` is left out.
pub(super) fn session_json(
    account: &Account,
    kind: Kind,
    body: &Aws,
    role: &Role,
    key: &str,
    created: Micros,
    invoked_by: &str,
) -> String {
    let (id, session) = (account.id.as_str(), body.session.as_str());
    let mut out = String::with_capacity(1_024);
    let parts: [&str; 6] = [&role.id, session, id, &role.name, session, id];
    compose(&mut out, SESSION, &parts);
    push_member(&mut out, "accessKeyId", key);
    let parts: [&str; 6] = [&role.id, id, role.path, &role.name, id, &role.name];
    compose(&mut out, ISSUER_ROLE, &parts);
    if let Some(token) = &body.token {
        compose(&mut out, FEDERATION, &[id, token.issuer.as_str()]);
    }
    push!(out, "},");
    push_attributes(&mut out, created, kind == Kind::ConsoleUser);
    if kind == Kind::Instance {
        push!(out, ",\"ec2RoleDelivery\":\"2.0\"");
    }
    push!(out, "}");
    if kind == Kind::Function {
        let function = format!("arn:aws:lambda:{}:{id}:function:{session}", account.region);
        compose(&mut out, SCOPE, &[&function, id, &function]);
    }
    push_member(&mut out, "invokedBy", invoked_by);
    push!(out, "}");
    out
}

/// The member `credentials` of an answer that issues `key` at `at` for an hour. The token is noise that says so.
pub(super) fn credentials_json(key: &str, at: Micros, random: &mut Random) -> String {
    let mut out = String::with_capacity(640);
    push!(out, "\"credentials\":{\"accessKeyId\":\"", key);
    push!(out, "\",\"sessionToken\":\"SYNTHETICTOKEN");
    push_noise(&mut out, random, 26);
    push!(out, "==\",\"expiration\":\"");
    push_expiration(&mut out, at.plus(Micros::HOUR));
    push!(out, "\"}");
    out
}

/// A member with text, or nothing when there is no text.
fn push_member(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        push!(out, ",\"", name, "\":\"", text, "\"");
    }
}

fn push_attributes(out: &mut String, created: Micros, second_factor: bool) {
    push!(out, "\"attributes\":{\"creationDate\":\"");
    push_time(out, created);
    push!(
        out,
        "\",\"mfaAuthenticated\":\"",
        truth(second_factor),
        "\"}"
    );
}

fn push_noise(out: &mut String, random: &mut Random, words: u32) {
    for _ in 0..words {
        push_hex(out, u128::from(random.bits()), 16);
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
