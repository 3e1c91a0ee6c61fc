//! Microsoft Graph activity: every request to Graph in a tenant, by token. The log of its predecessor, Azure AD Graph,
//! is read too; it calls the address and the token otherwise and may pad the latter (AZ-34).
//!
//! Columns: Azure Monitor, "MicrosoftGraphActivityLogs" and "AADGraphActivityLogs". `UserPrincipalObjectID` holds the
//! object id of applications as well (AZ-30). Which requests belong to one batch is not decided here; each has an id of
//! its own, and their `operationId` is that of the batch (DD-4).

use std::borrow::Cow;

use super::azure::{self, Layers};
use super::json::Members;
use super::{Element, Source};
use crate::model::{
    AuditEvent, AzurePrincipal, AzureSubject, Details, Flags, LogSource, Network, Outcome,
    Principal, Reject, RejectCode,
};

pub(super) const SOURCE: Source = Source {
    source: LogSource::GraphActivity,
    recognises,
    decode,
};

/// The names of the logs, as diagnostic category and as table. The table of Azure AD Graph has a column `Category` with
/// the third (Azure Monitor, "AADGraphActivityLogs").
const NAMES: [&str; 3] = [
    "MicrosoftGraphActivityLogs",
    "AADGraphActivityLogs",
    "AzureADGraphActivityLogs",
];

/// Members that name the actor where an export lifts them to the top of the record.
const ACTOR: [&str; 7] = [
    "properties",
    "userId",
    "servicePrincipalId",
    "UserPrincipalObjectID",
    "C_Idtyp",
    "appId",
    "tenantId",
];

/// Names in Graph's paths are shorter; ids of messages, drives and sites are not.
const OPAQUE_BYTES_MIN: usize = 20;

fn recognises(members: &Members<'_>) -> bool {
    match azure::category(members).or_else(|| members.text("Type")) {
        Some(name) => azure::is(Some(&name), &NAMES),
        None => {
            members.has("requestMethod")
                && members.text("requestUri").is_some_and(|uri| {
                    uri.contains("://graph.microsoft.") || uri.contains("://graph.windows.")
                })
        }
    }
}

fn decode<'a>(element: &Element<'a>, members: &Members<'a>) -> Result<AuditEvent<'a>, Reject> {
    let mut flags = element.flags;
    let layers = Layers::read(members, &ACTOR)?;
    let uri = required(&layers, "requestUri")?;
    let method = required(&layers, "requestMethod")?.to_ascii_uppercase();
    let when = azure::event_time(
        element,
        &["time", "timeGenerated", "@timestamp"].map(|name| layers.text(name)),
        &mut flags,
    )?;
    let status = layers.first_text(&["responseStatusCode", "resultSignature"]);
    let outcome = azure::outcome(std::slice::from_ref(&status));
    let failed = outcome == Outcome::Failure;
    let tenant = azure::tenant(members);
    let path = path(&uri);
    let event_uid = match layers.text("requestId") {
        Some(id) => azure::guid(id),
        None => {
            flags.raise(Flags::ID_DERIVED);
            element.derived_uid()
        }
    };
    Ok(AuditEvent {
        source: LogSource::GraphActivity,
        action_uid: event_uid.clone(),
        event_uid,
        shared_event_uid: None,
        request_uid: members.text("correlationId").map(azure::lower),
        event_time: when.time,
        tenant_uid: tenant.clone(),
        region: None,
        service: Cow::Borrowed(if uri.contains("://graph.windows.") {
            "graph.windows.net"
        } else {
            "graph.microsoft.com"
        }),
        operation: Cow::Owned(format!("{method} {}", template(path))),
        read_only: Some(matches!(method.as_str(), "GET" | "HEAD")),
        outcome,
        error_code: status.filter(|_| failed),
        error_message: None,
        principal: Principal::Azure(principal(&layers, tenant)),
        network: Network {
            source_raw: layers
                .first_text(&["ipAddress", "callerIpAddress"])
                .map(azure::address),
            user_agent: layers.text("userAgent"),
            ..Network::default()
        },
        resources: object_ids(path).map(Cow::Owned).collect(),
        params_json: azure::params(members),
        issued: None,
        details: Details::default(),
        addendum: None,
        flags,
    })
}

fn required<'a>(layers: &Layers<'_, 'a>, name: &str) -> Result<Cow<'a, str>, Reject> {
    layers.text(name).ok_or_else(|| {
        Reject::new(
            RejectCode::MissingField,
            format!("{name}: a Graph request without it says nothing"),
        )
    })
}

/// The path of a request without host, version and query.
fn path(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let rest = rest.find('/').map_or("", |at| &rest[at..]);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let bare = rest.trim_start_matches('/');
    match bare.split_once('/') {
        Some(("v1.0" | "beta", path)) => path,
        _ => bare,
    }
}

/// The path with `{id}` for whatever names one object, so that equal requests for different objects are one operation.
fn template(path: &str) -> String {
    let mut text = String::with_capacity(path.len() + 1);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        text.push('/');
        match part.split_once('(') {
            // OData keys and arguments: `users('a@b')`, `range(address='A1')`.
            Some((name, arguments)) => {
                text.push_str(name);
                text.push_str(if arguments == ")" { "()" } else { "({id})" });
            }
            None if names_one(part) => text.push_str("{id}"),
            None => text.push_str(part),
        }
    }
    text
}

/// Whether a part of a path is the id of an object: a GUID, a number, a user's name, or a long text with digits.
fn names_one(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    azure::is_guid(part)
        || part.contains('@')
        || part.contains("%40")
        || digits == part.len()
        || (digits > 0 && part.len() >= OPAQUE_BYTES_MIN)
}

/// The directory object ids in a path, in lower case, also those inside OData keys.
fn object_ids(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split(['/', '(', ')', '\'', '=', ','])
        .filter(|part| azure::is_guid(part))
        .map(str::to_ascii_lowercase)
}

/// AZ-30, AZ-31: `C_Idtyp` says whether an application or a user called; older rows leave it to the ids.
fn principal<'a>(layers: &Layers<'_, 'a>, tenant_id: Option<Cow<'a, str>>) -> AzurePrincipal<'a> {
    let either = layers.text("UserPrincipalObjectID");
    let application = layers.text("servicePrincipalId");
    let user = layers.text("userId");
    let stated = layers.text("C_Idtyp");
    let (subject, inferred) = match stated.as_deref() {
        Some("app") => (AzureSubject::ServicePrincipal, false),
        Some("user") => (AzureSubject::User, false),
        _ if application.is_some() => (AzureSubject::ServicePrincipal, true),
        _ if user.is_some() => (AzureSubject::User, true),
        _ if either.is_some() => (AzureSubject::Unknown, true),
        _ => (AzureSubject::Service, true),
    };
    let object_id = match subject {
        AzureSubject::User => user.or(either),
        _ => application.or(either),
    };
    AzurePrincipal {
        subject,
        inferred,
        tenant_id,
        object_id: object_id.map(azure::guid),
        app_id: layers.text("appId").map(azure::guid),
        credential_kind: azure::credential_kind(
            subject,
            layers.text("clientAuthMethod").as_deref(),
        ),
        token_id: azure::token(layers.first_text(&["signInActivityId", "uniqueTokenIdentifier"])),
        ..AzurePrincipal::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: &str, ids: &[&str]) {
        assert_eq!(template(path(uri)), expected, "{uri}");
        let found: Vec<String> = object_ids(path(uri)).collect();
        assert_eq!(found, ids, "{uri}");
    }

    #[test]
    fn requests_for_different_objects_are_one_operation() {
        let id = "12345678-9abc-4def-8123-456789abcdef";
        check(
            "https://graph.microsoft.com/v1.0/users/12345678-9ABC-4DEF-8123-456789ABCDEF/messages?$top=5",
            "/users/{id}/messages",
            &[id],
        );
        check(
            "https://graph.microsoft.com/beta//servicePrincipals(appId='12345678-9abc-4def-8123-456789abcdef')/owners",
            "/servicePrincipals({id})/owners",
            &[id],
        );
        check(
            "https://graph.microsoft.us/v1.0/users/a@b.example/drive/items/01ABCDEF2345GHIJKLMN6789",
            "/users/{id}/drive/items/{id}",
            &[],
        );
        check("https://graph.microsoft.com/v1.0/$batch", "/$batch", &[]);
        check(
            "https://graph.microsoft.com/v1.0/users/delta()",
            "/users/delta()",
            &[],
        );
        check(
            "https://graph.microsoft.com/v1.0/deviceManagement/managedDevices",
            "/deviceManagement/managedDevices",
            &[],
        );
        check("https://graph.microsoft.com", "", &[]);
    }

    #[test]
    fn the_token_type_decides_whose_the_shared_object_id_is() {
        for (more, expected) in [
            (
                r#""C_Idtyp":"app","UserPrincipalObjectID":"O""#,
                AzureSubject::ServicePrincipal,
            ),
            (
                r#""C_Idtyp":"user","UserPrincipalObjectID":"O""#,
                AzureSubject::User,
            ),
            (
                r#""servicePrincipalId":"O""#,
                AzureSubject::ServicePrincipal,
            ),
            (r#""userId":"O""#, AzureSubject::User),
        ] {
            let record = format!(r#"{{"properties":{{{more}}}}}"#);
            let members = Members::parse(&record).unwrap();
            let layers = Layers::read(&members, &ACTOR).unwrap();
            let principal = principal(&layers, None);
            assert_eq!(principal.subject, expected, "{more}");
            assert_eq!(principal.object_id.as_deref(), Some("o"), "{more}");
        }
    }
}
