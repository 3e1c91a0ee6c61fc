//! Forward access sessions: calls that a service makes in somebody's name (FAS-1 to FAS-8), and the direct calls that
//! cause them.
//!
//! The forwarded row shows a key that nobody holds. Which credential was really used, the row of the direct call says:
//! it has the same principal and names the same request, secret, parameter or object. Where it names the same volume,
//! function or queue, that is a hint and no more (FAS-3e). FAS-3f, the only direct call of the service near in time, is
//! left out: it would mean to remember every call of everybody, for an answer that no chain may cross.

use std::borrow::Cow;

use serde_json::Value;

use super::draft::{Call, Proof};
use super::names::Names;
use crate::model::{AuditEvent, AwsPrincipal, Micros, Uid};

/// How far apart a direct call and the call forwarded for it are at most (FAS-3b, FAS-3e).
pub(super) const APART_MAX: i64 = 60 * Micros::SECOND;

/// By which direct calls the forwarded `event` could be explained, surest first.
pub(super) fn causes(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
) -> Vec<Call> {
    let who = principal.principal_id.as_deref().unwrap_or("unknown");
    let mut calls = Vec::new();
    let mut add = |text: String, proof: Proof, rule: &'static str| {
        calls.push(Call {
            handle: names.intern(&text),
            proof,
            rule: Cow::Borrowed(rule),
        });
    };
    if let Some(request) = &event.request_uid {
        let handle = format!("request|{who}|{request}");
        add(handle, Proof::Alone, "FAS-3a");
    }
    let Some(context) = encryption_context(event) else {
        return calls;
    };
    let encrypts = event.operation != "Decrypt";
    let verb = if encrypts { "put" } else { "get" };
    if let (Some(secret), Some(version)) = (
        text(&context, "SecretARN"),
        text(&context, "SecretVersionId"),
    ) {
        let version = version.to_ascii_lowercase();
        if encrypts {
            let handle = format!("secret-version|{who}|{version}");
            add(handle, Proof::Alone, "FAS-3b");
        } else {
            let handle = format!("secret|{who}|{}", bare_secret(secret));
            add(handle, Proof::Alone, "FAS-3b");
        }
    }
    if let Some(parameter) = text(&context, "PARAMETER_ARN") {
        let name = parameter
            .split_once(":parameter")
            .map_or(parameter, |(_, name)| name);
        let name = name.trim_start_matches('/');
        let handle = format!("parameter|{verb}|{who}|{name}");
        add(handle, Proof::Agreeing, "FAS-3c");
    }
    if let Some(object) = text(&context, "aws:s3:arn") {
        let object = object.trim_start_matches("arn:aws:s3:::");
        let handle = format!("object|{verb}|{who}|{object}");
        add(handle, Proof::Agreeing, "FAS-3d");
    }
    for (service, resource) in encrypted_for(&context) {
        let handle = format!("resource|{service}|{who}|{resource}");
        add(handle, Proof::Hint, "FAS-3e");
    }
    calls
}

/// L-12, L-13, X-10: the steps by which an application obtains a session in a person's name.
pub(super) fn delegations(
    principal: &AwsPrincipal<'_>,
    role_arn: Option<&str>,
    names: &mut Names,
) -> Vec<Call> {
    let mut calls = Vec::new();
    if let Some(bearer) = &principal.bearer_id {
        calls.push(names.join(&["bearer|", bearer]));
    }
    if let (Some(user), Some(arn), Some(account)) = (
        &principal.on_behalf_of_user,
        role_arn,
        &principal.account_id,
    ) && let Some((_, name)) = arn.split_once("/AWSReservedSSO_")
    {
        // The role's name is the permission set's with a random end.
        let set = name.rsplit_once('_').map_or(name, |(set, _)| set);
        calls.push(names.join(&["idc-role|", account, "|", set, "|", user]));
    }
    calls
        .into_iter()
        .map(|handle| Call {
            handle,
            proof: Proof::Hint,
            rule: Cow::Borrowed("HM-9"),
        })
        .collect()
}

/// The handles under which the direct call `event` can be found by what is forwarded for it. Empty for nearly every
/// call: only those that are known to be forwarded are remembered.
pub(super) fn handles(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
) -> Vec<Uid> {
    let who = principal.principal_id.as_deref().unwrap_or("unknown");
    let service = event.service.as_ref();
    match (service, event.operation.as_ref()) {
        ("health.amazonaws.com", _) => event
            .request_uid
            .as_ref()
            .map(|request| names.join(&["request|", who, "|", request]))
            .into_iter()
            .collect(),
        ("secretsmanager.amazonaws.com", "GetSecretValue") => {
            let Some(request) = parse(event.details.request.as_deref()) else {
                return Vec::new();
            };
            let secret = text(&request, "secretId").unwrap_or_default();
            vec![names.join(&["secret|", who, "|", bare_secret(secret)])]
        }
        ("secretsmanager.amazonaws.com", "PutSecretValue" | "CreateSecret" | "UpdateSecret") => {
            let request = parse(event.details.request.as_deref());
            let token = request
                .as_ref()
                .and_then(|request| text(request, "clientRequestToken"))
                .map(str::to_ascii_lowercase);
            token
                .map(|token| names.join(&["secret-version|", who, "|", &token]))
                .into_iter()
                .collect()
        }
        ("ssm.amazonaws.com", "GetParameter" | "GetParameters" | "PutParameter") => {
            parameters(event, who, names)
        }
        ("sso-oauth.amazonaws.com", "CreateTokenWithIAM") => {
            let extra = parse(event.details.extra.as_deref());
            let token = extra
                .as_ref()
                .and_then(|extra| text(extra, "identitycenter:CredentialId"));
            token
                .map(|token| names.join(&["bearer|", token]))
                .into_iter()
                .collect()
        }
        ("sso.amazonaws.com", "GetRoleCredentials") => {
            let detail = parse(event.details.service_event.as_deref());
            let named = detail
                .as_ref()
                .and_then(|detail| Some((text(detail, "account_id")?, text(detail, "role_name")?)));
            let user = principal.on_behalf_of_user.as_deref();
            named
                .zip(user)
                .map(|((account, role), user)| {
                    names.join(&["idc-role|", account, "|", role, "|", user])
                })
                .into_iter()
                .collect()
        }
        ("s3.amazonaws.com", "GetObject" | "PutObject" | "CopyObject") => {
            let Some(request) = parse(event.details.request.as_deref()) else {
                return Vec::new();
            };
            let verb = if event.operation == "GetObject" {
                "get"
            } else {
                "put"
            };
            let bucket = text(&request, "bucketName").unwrap_or_default();
            let key = text(&request, "key").unwrap_or_default();
            vec![names.join(&["object|", verb, "|", who, "|", bucket, "/", key])]
        }
        _ => resources(event, who, names),
    }
}

/// FAS-3e: the resources of which services have encrypted something, by the members of an encryption context: their
/// names are `aws:<service>:…`. Objects have a rule of their own.
fn encrypted_for(context: &Value) -> Vec<(&str, &str)> {
    /// Contexts have one such member or two; more are somebody's own and name nothing of a service.
    const MEMBERS_MAX: usize = 4;
    let members = context.as_object().into_iter().flatten();
    let named = members.filter_map(|(member, value)| {
        let (service, _) = member.strip_prefix("aws:")?.split_once(':')?;
        let service = if service == "ebs" { "ec2" } else { service };
        let resource = resource_name(service, value.as_str()?);
        (service != "s3" && !resource.is_empty()).then_some((service, resource))
    });
    named.take(MEMBERS_MAX).collect()
}

/// Calls that make a service use a key of its caller, and the member that names for which resource. Reads and writes of
/// data are left out: remembering each would cost more than the hint is worth.
const ENCRYPTING: [(&str, &[&str], &str); 7] = [
    (
        "dynamodb.amazonaws.com",
        &["CreateTable", "UpdateTable"],
        "tableName",
    ),
    (
        "kinesis.amazonaws.com",
        &["CreateStream", "StartStreamEncryption"],
        "streamName",
    ),
    (
        "lambda.amazonaws.com",
        &[
            "CreateFunction",
            "GetFunction",
            "GetFunctionConfiguration",
            "UpdateFunctionCode",
            "UpdateFunctionConfiguration",
        ],
        "functionName",
    ),
    (
        "logs.amazonaws.com",
        &["AssociateKmsKey", "CreateLogGroup"],
        "logGroupName",
    ),
    ("sns.amazonaws.com", &["CreateTopic"], "name"),
    ("sns.amazonaws.com", &["SetTopicAttributes"], "topicArn"),
    ("sqs.amazonaws.com", &["CreateQueue"], "queueName"),
];

/// Calls on volumes, whose id the request or the answer names somewhere.
const WITH_VOLUME: [&str; 5] = [
    "AttachVolume",
    "CreateSnapshot",
    "CreateVolume",
    "ModifyVolume",
    "RunInstances",
];

/// FAS-3e: under which resources a direct call can be found.
fn resources(event: &AuditEvent<'_>, who: &str, names: &mut Names) -> Vec<Uid> {
    let (service, operation) = (event.service.as_ref(), event.operation.as_ref());
    if service == "ec2.amazonaws.com" && WITH_VOLUME.contains(&operation) {
        let texts = [&event.details.request, &event.details.response];
        let texts = texts.into_iter().filter_map(|text| text.as_deref());
        return texts
            .flat_map(volumes)
            .map(|volume| names.join(&["resource|ec2|", who, "|", volume]))
            .collect();
    }
    let encrypting = ENCRYPTING
        .iter()
        .find(|(of, operations, _)| *of == service && operations.contains(&operation));
    let Some((_, _, member)) = encrypting else {
        return Vec::new();
    };
    let request = parse(event.details.request.as_deref());
    let named = request.as_ref().and_then(|request| text(request, member));
    let service = service.trim_end_matches(".amazonaws.com");
    named
        .map(|named| resource_name(service, named))
        .map(|name| names.join(&["resource|", service, "|", who, "|", name]))
        .into_iter()
        .collect()
}

/// The ids of volumes in a JSON text, as whole strings. At most as many as one call may attach.
fn volumes(json: &str) -> impl Iterator<Item = &str> {
    const VOLUMES_MAX: usize = 32;
    let starts = json.match_indices("\"vol-").map(|(at, _)| &json[at + 1..]);
    starts
        .filter_map(|rest| rest.split_once('"').map(|(id, _)| id))
        .take(VOLUMES_MAX)
}

/// A resource's name, however it was given: the name, its ARN, a part of that, or with a version.
fn resource_name<'t>(service: &str, text: &'t str) -> &'t str {
    let mark = match service {
        "lambda" => ":function:",
        "logs" => ":log-group:",
        _ => return text.rsplit([':', '/']).next().unwrap_or(text),
    };
    let name = text.split_once(mark).map_or(text, |(_, name)| name);
    name.split(':').next().unwrap_or(name)
}

fn parameters(event: &AuditEvent<'_>, who: &str, names: &mut Names) -> Vec<Uid> {
    let Some(request) = parse(event.details.request.as_deref()) else {
        return Vec::new();
    };
    let verb = if event.operation == "PutParameter" {
        "put"
    } else {
        "get"
    };
    let several = request.get("names").and_then(Value::as_array);
    let listed = several.into_iter().flatten().filter_map(Value::as_str);
    let single = text(&request, "name");
    single
        .into_iter()
        .chain(listed)
        .map(|name| {
            let name = name
                .split_once(":parameter")
                .map_or(name, |(_, name)| name)
                .trim_start_matches('/');
            names.join(&["parameter|", verb, "|", who, "|", name])
        })
        .collect()
}

/// `requestParameters.encryptionContext` of a call to the key service.
fn encryption_context(event: &AuditEvent<'_>) -> Option<Value> {
    if event.service != "kms.amazonaws.com" {
        return None;
    }
    let request = parse(event.details.request.as_deref())?;
    request.get("encryptionContext").cloned()
}

/// A secret's name, from its ARN without the random suffix, or as it was given.
fn bare_secret(secret: &str) -> &str {
    let Some((_, name)) = secret.split_once(":secret:") else {
        return secret;
    };
    match name.rfind('-') {
        Some(at) if name.len() - at == 7 => &name[..at],
        _ => name,
    }
}

fn parse(json: Option<&str>) -> Option<Value> {
    serde_json::from_str(json?).ok()
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_the_same_by_name_and_by_arn() {
        // FAS-3e.
        for (service, given, name) in [
            ("ec2", "vol-0a1b2c3d4e5f60718", "vol-0a1b2c3d4e5f60718"),
            ("lambda", "resize", "resize"),
            ("lambda", "resize:live", "resize"),
            ("lambda", "111122223333:function:resize", "resize"),
            (
                "lambda",
                "arn:aws:lambda:eu-west-1:111122223333:function:resize:7",
                "resize",
            ),
            (
                "logs",
                "arn:aws:logs:eu-west-1:111122223333:log-group:/app/web:*",
                "/app/web",
            ),
            ("logs", "/app/web", "/app/web"),
            ("sqs", "arn:aws:sqs:eu-west-1:111122223333:jobs", "jobs"),
            (
                "kinesis",
                "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks",
                "clicks",
            ),
        ] {
            assert_eq!(resource_name(service, given), name, "{given}");
        }
        let context = serde_json::json!({
            "aws:ebs:id": "vol-0a1b",
            "aws:s3:arn": "arn:aws:s3:::bucket",
            "team": "web",
        });
        assert_eq!(encrypted_for(&context), [("ec2", "vol-0a1b")]);
        let answer = r#"{"items":[{"volumeId":"vol-0a"},{"volumeId":"vol-0b"}],"text":"vol-"}"#;
        let found: Vec<_> = volumes(answer).collect();
        assert_eq!(found, ["vol-0a", "vol-0b", "vol-"]);
    }

    #[test]
    fn secrets_are_the_same_by_name_and_by_arn() {
        let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbC123";
        assert_eq!(bare_secret(arn), "prod/db");
        assert_eq!(bare_secret("prod/db"), "prod/db");
    }
}
