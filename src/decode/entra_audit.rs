//! The Entra audit log: changes to the directory, to applications and to their credentials, as the diagnostic export,
//! Log Analytics and Microsoft Graph write them. Intune writes under the same category and is read too.
//!
//! Properties: Microsoft Graph, "directoryAudit resource type". What a change means for an identity or a credential is
//! not decided here: the whole entry travels in `params_json`, and `attribute` reads it.

use std::borrow::Cow;

use super::azure::{self, Layers};
use super::json::{self, Members};
use super::{Element, Source};
use crate::model::{
    AuditEvent, AzurePrincipal, AzureSubject, Details, Flags, LogSource, Network, Outcome,
    Principal, Reject, RejectCode,
};

pub(super) const SOURCE: Source = Source {
    source: LogSource::EntraAudit,
    recognises,
    decode,
};

const CATEGORIES: [&str; 2] = ["AuditLogs", "CustomSecurityAttributeAuditLogs"];

/// Azure's own service that makes and removes managed identities; its entries carry no application id.
const MANAGED_IDENTITY_SERVICE: &str = "Managed Service Identity";

/// Members that name the actor where an export lifts them to the top of the record.
const ACTOR: [&str; 4] = ["properties", "initiatedBy", "identity", "tenantId"];

fn recognises(members: &Members<'_>) -> bool {
    let category = azure::category(members);
    if azure::is(category.as_deref(), &CATEGORIES) {
        return true;
    }
    let table = members.text("Type");
    azure::is(table.as_deref(), &CATEGORIES) || azure::directory_entry(members)
}

fn decode<'a>(element: &Element<'a>, members: &Members<'a>) -> Result<AuditEvent<'a>, Reject> {
    let mut flags = element.flags;
    let layers = Layers::read(members, &ACTOR)?;
    let operation = operation(&layers)?;
    let actor = actor(&layers)?;
    let when = azure::event_time(
        element,
        &[
            "activityDateTime",
            "time",
            "timeGenerated",
            "@timestamp",
            "ActivityDate",
        ]
        .map(|name| layers.text(name)),
        &mut flags,
    )?;
    let tenant = azure::tenant(members);
    let outcome = azure::outcome(&["result", "resultType"].map(|name| layers.text(name)));
    let failed = outcome == Outcome::Failure;
    let event_uid = match layers.first_text(&["id", "AuditEventId"]) {
        // Not a GUID, and its last part is in mixed case: it is kept as it stands.
        Some(id) => id,
        None => {
            flags.raise(Flags::ID_DERIVED);
            element.derived_uid()
        }
    };
    Ok(AuditEvent {
        source: LogSource::EntraAudit,
        action_uid: event_uid.clone(),
        event_uid,
        shared_event_uid: None,
        request_uid: layers.text("correlationId").map(azure::lower),
        event_time: when.time,
        tenant_uid: tenant.clone(),
        region: None,
        service: service(&layers),
        operation: Cow::Owned(operation),
        read_only: Some(false),
        outcome,
        error_code: layers.text("resultType").filter(|_| failed),
        error_message: layers
            .first_text(&["resultReason", "resultDescription"])
            .filter(|_| failed),
        principal: Principal::Azure(AzurePrincipal {
            tenant_id: tenant,
            ..actor.principal
        }),
        network: Network {
            source_raw: actor
                .address
                .or_else(|| layers.first_text(&["callerIpAddress", "ipAddress"]))
                .map(azure::address),
            user_agent: user_agent(&layers),
            ..Network::default()
        },
        resources: targets(&layers),
        params_json: azure::params(members)
            .or_else(|| Some(element.text).filter(|text| azure::fits(text))),
        issued: None,
        details: Details {
            targets: layers.json("targetResources"),
            extra: layers.json("additionalDetails"),
            ..Details::default()
        },
        addendum: None,
        flags,
    })
}

/// The activity's name, normalised.
fn operation(layers: &Layers<'_, '_>) -> Result<String, Reject> {
    layers
        .first_text(&["activityDisplayName", "operationName"])
        .map(|name| normalised(&name))
        .filter(|name| !name.is_empty())
        .ok_or_else(|| {
            Reject::new(
                RejectCode::MissingField,
                "activityDisplayName: an audit entry without an activity says nothing",
            )
        })
}

/// AZ-40: names come with trailing spaces, doubled spaces and long dashes, and change between exports in all three.
fn normalised(name: &str) -> String {
    let name = name.replace(['\u{2013}', '\u{2014}'], "-").to_lowercase();
    let words: Vec<&str> = name.split_whitespace().collect();
    words.join(" ")
}

/// `loggedByService`. Intune does not write it; its entries are known by their `Actor`.
fn service<'a>(layers: &Layers<'_, 'a>) -> Cow<'a, str> {
    match layers.text("loggedByService") {
        Some(name) => azure::lower(name),
        None if layers.object("Actor").is_some() => Cow::Borrowed("intune"),
        None => Cow::Borrowed("directory"),
    }
}

#[derive(Debug)]
struct Actor<'a> {
    principal: AzurePrincipal<'a>,
    address: Option<Cow<'a, str>>,
}

/// `initiatedBy`, else Intune's `Actor`, else the name in `identity`.
fn actor<'a>(layers: &Layers<'_, 'a>) -> Result<Actor<'a>, Reject> {
    if let Some(initiated) = layers.object("initiatedBy") {
        azure::no_duplicate("initiatedBy", &initiated)?;
        let user = initiated.object("user").unwrap_or_default();
        azure::no_duplicate("initiatedBy.user", &user)?;
        let app = initiated.object("app").unwrap_or_default();
        azure::no_duplicate("initiatedBy.app", &app)?;
        if let Some(actor) = initiator(&user, &app) {
            return Ok(actor);
        }
    }
    if let Some(actor) = layers.object("Actor") {
        azure::no_duplicate("Actor", &actor)?;
        return Ok(intune(&actor));
    }
    let name = layers.text("identity");
    let subject = match &name {
        Some(name) if name.contains('@') => AzureSubject::User,
        _ => AzureSubject::Service,
    };
    Ok(Actor {
        principal: AzurePrincipal {
            subject,
            inferred: true,
            name,
            ..AzurePrincipal::default()
        },
        address: None,
    })
}

/// A user where one is named, with the client it used; else an application; else nobody.
fn initiator<'a>(user: &Members<'a>, app: &Members<'a>) -> Option<Actor<'a>> {
    let user_id = user.text("id").map(azure::guid);
    let user_name = user.first_text(&["userPrincipalName", "displayName"]);
    let object_id = app.text("servicePrincipalId").map(azure::guid);
    let app_id = app.text("appId").map(azure::guid);
    let app_name = app.first_text(&["displayName", "servicePrincipalName"]);
    let address = user.text("ipAddress").or_else(|| app.text("ipAddress"));
    let principal = if user_id.is_some() || user_name.is_some() {
        AzurePrincipal {
            subject: AzureSubject::User,
            object_id: user_id,
            app_id,
            name: user_name,
            ..AzurePrincipal::default()
        }
    } else if app_id.is_none()
        && app_name
            .as_deref()
            .is_some_and(|name| name == MANAGED_IDENTITY_SERVICE)
    {
        AzurePrincipal {
            subject: AzureSubject::Service,
            inferred: true,
            object_id,
            name: app_name,
            ..AzurePrincipal::default()
        }
    } else if object_id.is_some() || app_id.is_some() {
        AzurePrincipal {
            subject: AzureSubject::ServicePrincipal,
            object_id,
            app_id,
            name: app_name,
            ..AzurePrincipal::default()
        }
    } else if app_name.is_some() {
        // Only Microsoft's own services act without an object in the tenant.
        AzurePrincipal {
            subject: AzureSubject::Service,
            inferred: true,
            name: app_name,
            ..AzurePrincipal::default()
        }
    } else {
        return None;
    };
    Some(Actor { principal, address })
}

/// Intune's actor: a user through an application, or an application alone.
fn intune<'a>(actor: &Members<'a>) -> Actor<'a> {
    let name = actor.first_text(&["UPN", "userPrincipalName"]);
    let subject = if name.is_some() {
        AzureSubject::User
    } else {
        AzureSubject::ServicePrincipal
    };
    let object_id = actor
        .first_text(&["ObjectId", "userId"])
        .filter(|_| subject == AzureSubject::User);
    Actor {
        principal: AzurePrincipal {
            subject,
            object_id: object_id.map(azure::guid),
            app_id: actor
                .first_text(&["Application", "applicationId"])
                .map(azure::guid),
            name: name.or_else(|| actor.text("ApplicationName")),
            ..AzurePrincipal::default()
        },
        address: actor.text("ipAddress"),
    }
}

/// The objects that were changed; Intune lists their ids apart.
fn targets<'a>(layers: &Layers<'_, 'a>) -> Vec<Cow<'a, str>> {
    let listed = layers
        .array("targetResources")
        .into_iter()
        .filter_map(json::object)
        .filter_map(|target| target.text("id"));
    let intune = layers
        .array("TargetObjectIds")
        .into_iter()
        .filter_map(json::scalar);
    listed.chain(intune).map(azure::guid).collect()
}

/// Most services put the user agent among the additional details.
fn user_agent<'a>(layers: &Layers<'_, 'a>) -> Option<Cow<'a, str>> {
    layers.text("userAgent").or_else(|| {
        layers
            .array("additionalDetails")
            .into_iter()
            .filter_map(json::object)
            .find(|detail| azure::is(detail.text("key").as_deref(), &["User-Agent"]))
            .and_then(|detail| detail.text("value"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes an entry with `more` members and gives subject, object id and name of its actor, or the reject's code.
    fn check(more: &str, expected: &str) {
        let record = format!(
            r#"{{"activityDisplayName":"Update user","activityDateTime":"2026-03-01T10:00:00Z","id":"Directory_X","tenantId":"T",{more}}}"#
        );
        let element = Element {
            text: &record,
            appended_at: None,
            raw_sha256: [7; 32],
            flags: Flags::none(),
        };
        let members = Members::parse(&record).unwrap();
        let read = match decode(&element, &members) {
            Ok(event) => {
                let Principal::Azure(principal) = &event.principal else {
                    panic!("an Entra entry has an Entra actor");
                };
                assert_eq!(principal.tenant_id.as_deref(), Some("t"));
                format!(
                    "{:?} {} {}",
                    principal.subject,
                    principal.object_id.as_deref().unwrap_or("-"),
                    principal.name.as_deref().unwrap_or("-")
                )
            }
            Err(reject) => reject.code.code().to_owned(),
        };
        assert_eq!(read, expected, "{more}");
    }

    #[test]
    fn the_actor_is_whoever_the_entry_names() {
        check(
            r#""initiatedBy":{"user":{"id":"U","userPrincipalName":"a@b.example"}}"#,
            "User u a@b.example",
        );
        check(
            r#""initiatedBy":{"user":{},"app":{"appId":null,"displayName":"Deployer","servicePrincipalId":"S"}}"#,
            "ServicePrincipal s Deployer",
        );
        check(
            r#""initiatedBy":{"app":{"appId":null,"displayName":"Group-based licensing"}}"#,
            "Service - Group-based licensing",
        );
        check(
            r#""initiatedBy":{},"identity":"a@b.example""#,
            "User - a@b.example",
        );
        check(r#""initiatedBy":{"user":{"id":"<null>"}}"#, "Service - -");
        check(
            r#""Actor":{"UPN":null,"Application":"A","ApplicationName":"Sync"}"#,
            "ServicePrincipal - Sync",
        );
        check(
            r#""initiatedBy":{"user":{"id":"1","ID":"2"}}"#,
            "duplicate_key",
        );
    }

    #[test]
    fn names_are_compared_without_what_exports_change() {
        for (name, expected) in [
            (
                "Update application \u{2013} Certificates and secrets management ",
                "update application - certificates and secrets management",
            ),
            ("Add  member\tto role", "add member to role"),
        ] {
            assert_eq!(normalised(name), expected);
        }
    }
}
