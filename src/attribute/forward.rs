//! Forward access sessions: calls that a service makes in somebody's name (FAS-1 to FAS-8), and the direct calls that
//! cause them.
//!
//! The forwarded row shows a key that nobody holds. Which credential was really used, the row of the direct call says:
//! it has the same principal and names the same request, secret, parameter or object.

use std::borrow::Cow;

use serde_json::Value;

use super::draft::Call;
use super::names::Names;
use crate::model::{AuditEvent, AwsPrincipal, Micros, Uid};

/// How far apart a direct call and the call forwarded for it are at most (FAS-3b).
pub(super) const APART_MAX: i64 = 60 * Micros::SECOND;

/// By which direct calls the forwarded `event` could be explained, surest first.
pub(super) fn causes(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
) -> Vec<Call> {
    let who = principal.principal_id.as_deref().unwrap_or("unknown");
    let mut calls = Vec::new();
    let mut add = |text: String, proves: bool, rule: &'static str| {
        calls.push(Call {
            handle: names.intern(&text),
            proves,
            rule: Cow::Borrowed(rule),
        });
    };
    if let Some(request) = &event.request_uid {
        add(format!("request|{who}|{request}"), true, "FAS-3a");
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
            add(format!("secret-version|{who}|{version}"), true, "FAS-3b");
        } else {
            add(
                format!("secret|{who}|{}", bare_secret(secret)),
                true,
                "FAS-3b",
            );
        }
    }
    if let Some(parameter) = text(&context, "PARAMETER_ARN") {
        let name = parameter
            .split_once(":parameter")
            .map_or(parameter, |(_, name)| name);
        let name = name.trim_start_matches('/');
        add(format!("parameter|{verb}|{who}|{name}"), false, "FAS-3c");
    }
    if let Some(object) = text(&context, "aws:s3:arn") {
        let object = object.trim_start_matches("arn:aws:s3:::");
        add(format!("object|{verb}|{who}|{object}"), false, "FAS-3d");
    }
    calls
}

/// L-12, L-13: the steps by which an application obtains a session in a person's name.
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
            proves: false,
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
        _ => Vec::new(),
    }
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
    fn secrets_are_the_same_by_name_and_by_arn() {
        let arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:prod/db-AbC123";
        assert_eq!(bare_secret(arn), "prod/db");
        assert_eq!(bare_secret("prod/db"), "prod/db");
    }
}
