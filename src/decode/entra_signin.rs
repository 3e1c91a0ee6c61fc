//! Entra sign-ins of people, applications and managed identities: the diagnostic export, Log Analytics tables, and the
//! objects of Microsoft Graph.
//!
//! Properties: Microsoft Graph, "signIn resource type"; categories: Microsoft Entra, "Sign-in logs". A sign-in is the
//! only place where an application's credential is named. `resourceId` inside the properties is the API that was
//! asked for, never the actor (AZ-25). The portal sums rows up, exports do not: a row is one sign-in, whatever it counts
//! (AZ-28).

use std::borrow::Cow;

use super::azure::{self, Layers};
use super::json::{self, Members};
use super::{Element, Source};
use crate::model::{
    AuditEvent, AzurePrincipal, AzureSubject, CredentialKind, Details, Flags, LogSource, Network,
    Outcome, Principal, Reject,
};

pub(super) const SOURCE: Source = Source {
    source: LogSource::EntraSignin,
    recognises,
    decode,
};

/// Every category and table of sign-ins ends like this: `ServicePrincipalSignInLogs`, `AADManagedIdentitySignInLogs`.
const SUFFIX: &str = "signinlogs";

/// Members that name the actor where an export lifts them to the top of the record.
const ACTOR: [&str; 6] = [
    "properties",
    "userId",
    "userPrincipalName",
    "servicePrincipalId",
    "appId",
    "tenantId",
];

fn recognises(members: &Members<'_>) -> bool {
    if log_name(members).is_some() {
        return true;
    }
    let unlabelled = azure::category(members).is_none();
    unlabelled
        && members.has("createdDateTime")
        && members.has("appId")
        && !members.has("activityDisplayName")
        && ["userPrincipalName", "userId", "servicePrincipalId"]
            .iter()
            .any(|name| members.has(name))
}

/// The category, else the table, in lower case, if it is one of sign-ins.
fn log_name(members: &Members<'_>) -> Option<String> {
    [azure::category(members), members.text("Type")]
        .into_iter()
        .flatten()
        .map(|name| name.to_ascii_lowercase())
        .find(|name| name.ends_with(SUFFIX))
}

fn decode<'a>(element: &Element<'a>, members: &Members<'a>) -> Result<AuditEvent<'a>, Reject> {
    let mut flags = element.flags;
    let layers = Layers::read(members, &ACTOR)?;
    let when = azure::event_time(
        element,
        &["createdDateTime", "time", "timeGenerated", "@timestamp"].map(|name| layers.text(name)),
        &mut flags,
    )?;
    let status = layers.object("status").unwrap_or_default();
    let result = members.text("resultType");
    let outcome = azure::outcome(&[
        status.text("errorCode"),
        result.clone(),
        members.text("resultSignature"),
    ]);
    let (error_code, error_message) = match outcome {
        Outcome::Failure => error(&layers, &status, result),
        Outcome::Success | Outcome::Unknown => (None, None),
    };
    let tenant = azure::tenant(members).or_else(|| {
        layers
            .first_text(&["resourceTenantId", "homeTenantId"])
            .map(azure::guid)
    });
    let principal = principal(members, &layers, tenant.clone(), outcome);
    let event_uid = match layers.text("id") {
        Some(id) => azure::guid(id),
        None => {
            flags.raise(Flags::ID_DERIVED);
            element.derived_uid()
        }
    };
    Ok(AuditEvent {
        source: LogSource::EntraSignin,
        action_uid: event_uid.clone(),
        event_uid,
        shared_event_uid: None,
        request_uid: layers.text("correlationId").map(azure::lower),
        event_time: when.time,
        tenant_uid: tenant,
        region: None,
        service: Cow::Borrowed("login.microsoftonline.com"),
        operation: Cow::Borrowed("sign-in"),
        read_only: None,
        outcome,
        error_code,
        error_message,
        principal: Principal::Azure(principal),
        network: Network {
            source_raw: layers
                .first_text(&["ipAddress", "callerIpAddress"])
                .map(azure::address),
            user_agent: layers.text("userAgent"),
            ..Network::default()
        },
        resources: resource(members, &layers).into_iter().collect(),
        params_json: None,
        issued: None,
        details: Details::default(),
        addendum: None,
        flags,
    })
}

/// The API that was asked for, by its application id. The record's own `resourceId` is the path of a tenant.
fn resource<'a>(members: &Members<'a>, layers: &Layers<'_, 'a>) -> Option<Cow<'a, str>> {
    [
        layers.inner.text("resourceId"),
        members.text("resourceIdentity"),
        members.text("resourceId"),
    ]
    .into_iter()
    .flatten()
    .find(|id| !id.starts_with('/'))
    .map(azure::guid)
}

/// Code and reason of a failure. `resultType` is a code in most records and a word in a few.
fn error<'a>(
    layers: &Layers<'_, 'a>,
    status: &Members<'a>,
    result: Option<Cow<'a, str>>,
) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let code = status
        .text("errorCode")
        .filter(|code| code != "0")
        .or(result);
    let message = status
        .text("failureReason")
        .or_else(|| layers.text("resultDescription"));
    (code, message)
}

/// The actor, its client and what it presented.
fn principal<'a>(
    members: &Members<'a>,
    layers: &Layers<'_, 'a>,
    tenant_id: Option<Cow<'a, str>>,
    outcome: Outcome,
) -> AzurePrincipal<'a> {
    let (subject, inferred) = subject(members, layers);
    let machine = matches!(
        subject,
        AzureSubject::ServicePrincipal | AzureSubject::ManagedIdentity | AzureSubject::Service
    );
    let (object_id, name) = if machine {
        (
            layers.text("servicePrincipalId"),
            layers.text("servicePrincipalName"),
        )
    } else {
        (
            layers.text("userId"),
            layers.first_text(&[
                "userPrincipalName",
                "alternateSignInName",
                "userDisplayName",
            ]),
        )
    };
    let mut principal = AzurePrincipal {
        subject,
        inferred,
        tenant_id,
        object_id: object_id.map(azure::guid),
        app_id: layers.text("appId").map(azure::guid),
        name,
        workload_resource: layers
            .object("managedServiceIdentity")
            .and_then(|identity| identity.text("associatedResourceId"))
            .map(azure::lower),
        ..AzurePrincipal::default()
    };
    if machine {
        present(&mut principal, layers);
    }
    // A sign-in that failed issued no token, so nothing may lead back to it (AZ-29).
    if outcome == Outcome::Success {
        principal.token_id = azure::token(layers.text("uniqueTokenIdentifier")).or_else(|| {
            layers
                .text("id")
                .filter(|id| azure::is_guid(id))
                .map(azure::guid)
        });
    }
    let owner = layers.text("appOwnerTenantId");
    if subject == AzureSubject::ServicePrincipal && azure::microsoft_owned(owner.as_deref()) {
        principal.subject = AzureSubject::Service;
    }
    principal
}

/// What kind of actor signed in, and whether that had to be told from what is absent.
fn subject(members: &Members<'_>, layers: &Layers<'_, '_>) -> (AzureSubject, bool) {
    let user = layers
        .first_text(&["userId", "userPrincipalName"])
        .is_some();
    let application = layers.text("servicePrincipalId").is_some();
    let name = log_name(members).unwrap_or_default();
    let kinds: Vec<Cow<'_, str>> = layers
        .array("signInEventTypes")
        .into_iter()
        .filter_map(json::scalar)
        .collect();
    let says = |kind: &str| kinds.iter().any(|said| said.eq_ignore_ascii_case(kind));
    if name.contains("managedidentity") || says("managedIdentity") {
        (AzureSubject::ManagedIdentity, false)
    } else if name.starts_with("microsoftserviceprincipal") {
        (AzureSubject::Service, false)
    } else if name.contains("serviceprincipal") || says("servicePrincipal") {
        (AzureSubject::ServicePrincipal, false)
    } else if user {
        (AzureSubject::User, false)
    } else if application {
        (AzureSubject::ServicePrincipal, true)
    } else {
        (AzureSubject::Service, true)
    }
}

/// What an application presented. `none` means that the log does not say, not that there was nothing (AZ-23).
fn present<'a>(principal: &mut AzurePrincipal<'a>, layers: &Layers<'_, 'a>) {
    principal.key_id = layers
        .text("servicePrincipalCredentialKeyId")
        .map(azure::guid);
    principal.certificate_thumbprint = layers.text("servicePrincipalCredentialThumbprint");
    principal.federated_credential_id = layers.text("federatedCredentialId").map(azure::guid);
    let stated = layers.text("clientCredentialType").unwrap_or_default();
    principal.credential_kind = if principal.subject == AzureSubject::ManagedIdentity {
        Some(CredentialKind::ManagedIdentity)
    } else if principal.federated_credential_id.is_some() {
        Some(CredentialKind::FederatedCredential)
    } else if principal.certificate_thumbprint.is_some() {
        Some(CredentialKind::SpCertificate)
    } else {
        match stated.to_ascii_lowercase().as_str() {
            "clientsecret" => Some(CredentialKind::SpSecret),
            "certificate" => Some(CredentialKind::SpCertificate),
            "federatedidentitycredential" => Some(CredentialKind::FederatedCredential),
            "managedidentity" => Some(CredentialKind::ManagedIdentity),
            // An assertion is signed by a registered certificate, which has a key id, or comes from another issuer.
            "clientassertion" if principal.key_id.is_some() => Some(CredentialKind::SpCertificate),
            _ => None,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGN_IN: &str = "12345678-9abc-4def-8123-456789abcdef";

    fn principal_of(record: &str) -> AzurePrincipal<'_> {
        let element = Element {
            text: record,
            appended_at: None,
            raw_sha256: [7; 32],
            flags: Flags::none(),
        };
        let members = Members::parse(record).unwrap();
        match decode(&element, &members).unwrap().principal {
            Principal::Azure(principal) => principal,
            Principal::Aws(_) => panic!("an Entra sign-in has an Entra actor"),
        }
    }

    fn check(properties: &str, subject: AzureSubject, credential: Option<CredentialKind>) {
        let record = format!(
            r#"{{"category":"ServicePrincipalSignInLogs","time":"2026-03-01T10:00:00Z","resultType":"0","tenantId":"t","properties":{{"servicePrincipalId":"o",{properties}}}}}"#
        );
        let principal = principal_of(&record);
        assert_eq!(principal.subject, subject, "{properties}");
        assert_eq!(principal.credential_kind, credential, "{properties}");
    }

    #[test]
    fn a_credential_is_named_only_where_the_log_names_it() {
        use AzureSubject::{Service, ServicePrincipal};
        check(
            r#""clientCredentialType":"clientSecret""#,
            ServicePrincipal,
            Some(CredentialKind::SpSecret),
        );
        check(
            r#""clientCredentialType":"clientAssertion","servicePrincipalCredentialKeyId":"K""#,
            ServicePrincipal,
            Some(CredentialKind::SpCertificate),
        );
        check(
            r#""clientCredentialType":"clientAssertion","federatedCredentialId":"F""#,
            ServicePrincipal,
            Some(CredentialKind::FederatedCredential),
        );
        check(r#""clientCredentialType":"none""#, ServicePrincipal, None);
        check(
            r#""appOwnerTenantId":"f8cdef31-a31e-4b4a-93e4-5f571e91255a""#,
            Service,
            None,
        );
    }

    /// AZ-29.
    #[test]
    fn only_a_success_leads_to_a_token() {
        for (code, expected) in [("0", Some(SIGN_IN)), ("7000215", None)] {
            let record = format!(
                r#"{{"createdDateTime":"2026-03-01T10:00:00Z","id":"{SIGN_IN}","appId":"a","servicePrincipalId":"o","status":{{"errorCode":{code}}}}}"#
            );
            assert_eq!(principal_of(&record).token_id.as_deref(), expected);
        }
    }

    #[test]
    fn lower_case_members_and_a_table_name_are_a_users_sign_in() {
        let record = r#"{"type":"AADNonInteractiveUserSignInLogs","timegenerated":"2026-03-01T10:00:00Z","tenantid":"workspace","aadtenantid":"T","userid":"U","appid":"A"}"#;
        let principal = principal_of(record);
        assert_eq!(principal.subject, AzureSubject::User);
        assert_eq!(principal.tenant_id.as_deref(), Some("t"));
        assert_eq!(principal.object_id.as_deref(), Some("u"));
        assert_eq!(principal.app_id.as_deref(), Some("a"));
    }
}
