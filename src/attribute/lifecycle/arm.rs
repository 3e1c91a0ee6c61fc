//! Azure Resource Manager's activity log → roles given, managed identities made and handed out, keys of resources.
//!
//! One action has several rows (AZ-1). Who gains what stands in the body of the request, which only the row that begins
//! the action has (V-75): such changes are told from that row, even if the action should fail later. All other changes
//! are told from the row of success. A deployment's resources have rows of their own (AZ-45).

use serde_json::Value;

use super::super::privilege;
use super::{
    Action, Change, ChangedCredential, Detail, Fields, Target, TrustedSubject, change, guid,
    member, text,
};
use crate::model::{AuditEvent, AzureSubject, CredentialKind, Outcome, Principal};

pub(super) fn changes(event: &AuditEvent<'_>) -> Vec<Change> {
    let operation = &*event.operation;
    let asked = event.details.request.is_some();
    let done = event.outcome == Outcome::Success;
    match operation {
        "microsoft.authorization/roleassignments/write" if asked => role_given(event),
        "microsoft.authorization/roleassignments/delete" if done => vec![role_taken(event)],
        "microsoft.authorization/elevateaccess/action" if done => vec![elevated(event)],
        "microsoft.authorization/roledefinitions/write" if done => vec![role_defined(event)],
        "microsoft.managedidentity/userassignedidentities/write" if done => {
            vec![identity(event, Action::Create)]
        }
        "microsoft.managedidentity/userassignedidentities/delete" if done => {
            vec![identity(event, Action::Delete)]
        }
        "microsoft.managedidentity/userassignedidentities/assign/action" if done => {
            vec![identity(event, Action::Grant)]
        }
        FEDERATED_WRITE if done => vec![federated(event, Action::Create)],
        FEDERATED_DELETE if done => vec![federated(event, Action::Delete)],
        "microsoft.keyvault/vaults/write" | "microsoft.keyvault/vaults/accesspolicies/write"
            if asked =>
        {
            vault_opened(event)
        }
        _ if done && renews_key(operation) => vec![change(Action::Rotate, None, facts(event))],
        _ if asked && operation.ends_with("/write") => identity_handed(event),
        _ => Vec::new(),
    }
}

/// Resources call the renewal of a key of theirs by different names, most of them after storage's.
fn renews_key(operation: &str) -> bool {
    let Some((_, verb)) = operation
        .strip_suffix("/action")
        .and_then(|operation| operation.rsplit_once('/'))
    else {
        return false;
    };
    matches!(
        verb,
        "regenerateaccesskey" | "regeneratecredential" | "regeneratekey" | "regeneratekeys"
    )
}

const FEDERATED_WRITE: &str =
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write";
const FEDERATED_DELETE: &str =
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/delete";

/// Whom a managed identity trusts from now on.
pub(super) fn trusted_subjects(event: &AuditEvent<'_>) -> Vec<TrustedSubject> {
    if event.operation != FEDERATED_WRITE {
        return Vec::new();
    }
    let fields = Fields::of(event);
    let issuer = fields.text("re.properties.issuer|rq.properties.issuer");
    let subject = fields.text("re.properties.subject|rq.properties.subject");
    let (Some(credential_id), Some(issuer), Some(subject)) = (resource(event), issuer, subject)
    else {
        return Vec::new();
    };
    vec![TrustedSubject {
        application: owner(&credential_id),
        credential_id,
        issuer,
        subject,
    }]
}

/// A role is given to somebody. The directory of the grantee is taken to be the caller's: the record names no other.
fn role_given(event: &AuditEvent<'_>) -> Vec<Change> {
    let fields = Fields::of(event);
    let Some(principal) = fields.text("rq.properties.principalId|rq.principalId") else {
        return Vec::new();
    };
    let kind = fields.text("rq.properties.principalType|rq.principalType");
    let role = fields.text("rq.properties.roleDefinitionId|rq.roleDefinitionId");
    let mut detail = facts(event);
    detail.put("scope", fields.text("rq.properties.scope|rq.scope"));
    vec![assignment(
        event,
        Action::Grant,
        (principal, kind),
        role,
        detail,
    )]
}

/// A role is taken from somebody. Only the answer says from whom, and some exports drop it.
fn role_taken(event: &AuditEvent<'_>) -> Change {
    let fields = Fields::of(event);
    let role = fields.text("re.properties.roleDefinitionId");
    let kind = fields.text("re.properties.principalType");
    let mut detail = facts(event);
    detail.put("scope", fields.text("re.properties.scope"));
    match fields.text("re.properties.principalId") {
        Some(principal) => assignment(event, Action::Revoke, (principal, kind), role, detail),
        None => change(Action::Revoke, None, detail),
    }
}

fn assignment(
    event: &AuditEvent<'_>,
    action: Action,
    (principal, kind): (String, Option<String>),
    role: Option<String>,
    mut detail: Detail,
) -> Change {
    let id = guid(&principal);
    let tenant = tenant(event);
    let target = match kind.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("serviceprincipal") => Some(format!("entra:sp:{tenant}/{id}")),
        Some("user") => Some(format!("entra:user:{tenant}/{id}")),
        // AZ-15: a principal of any kind.
        None => Some(format!("entra:unknown:{id}")),
        // A group is no identity.
        Some(_) => None,
    };
    let privilege = role.as_deref().map(privilege::of_role_definition);
    detail.put("principal", Some(id));
    detail.put("principal_type", kind);
    detail.put("role", role.map(|role| role.to_ascii_lowercase()));
    Change {
        privilege,
        ..change(action, target.map(Target::Uid), detail)
    }
}

/// The caller makes itself User Access Administrator of everything in the directory.
fn elevated(event: &AuditEvent<'_>) -> Change {
    let mut detail = facts(event);
    detail.put("scope", Some("/".to_owned()));
    let target = caller(event);
    Change {
        privilege: Some(privilege::of_role_definition("User Access Administrator")),
        ..change(Action::Grant, target, detail)
    }
}

/// What a role allows changes for everybody who has it.
fn role_defined(event: &AuditEvent<'_>) -> Change {
    let fields = Fields::of(event);
    let mut detail = facts(event);
    detail.put(
        "role",
        fields.text("re.properties.roleName|rq.properties.roleName"),
    );
    let permissions = fields.value("re.properties.permissions|rq.properties.permissions");
    let mut actions = Vec::new();
    for permission in permissions.and_then(Value::as_array).into_iter().flatten() {
        for name in ["actions", "dataActions"] {
            let list = member(permission, name).and_then(Value::as_array);
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            actions.extend(texts.map(str::to_owned));
        }
    }
    detail.list("actions", actions);
    change(Action::Grant, None, detail)
}

/// A user-assigned identity. Its principal stands in the answer only, so it may be known by its path alone (B.5).
fn identity(event: &AuditEvent<'_>, action: Action) -> Change {
    let fields = Fields::of(event);
    let directory = fields.text("re.properties.tenantId");
    let principal = fields.text("re.properties.principalId");
    let target = match (directory, principal) {
        (Some(directory), Some(principal)) => {
            let uid = format!("entra:sp:{}/{}", guid(&directory), guid(&principal));
            Some(Target::Uid(uid))
        }
        // The action of handing it out stands below the identity in some exports.
        _ => resource(event).map(|path| Target::Arn(path.trim_end_matches("/assign").to_owned())),
    };
    change(action, target, facts(event))
}

fn federated(event: &AuditEvent<'_>, action: Action) -> Change {
    let fields = Fields::of(event);
    let mut detail = facts(event);
    detail.put(
        "issuer",
        fields.text("re.properties.issuer|rq.properties.issuer"),
    );
    detail.put(
        "subject",
        fields.text("re.properties.subject|rq.properties.subject"),
    );
    let path = resource(event);
    let credential = path.as_ref().map(|path| ChangedCredential {
        uid: format!("entra:fic:{path}"),
        kind: CredentialKind::FederatedCredential,
        expires_at: None,
    });
    Change {
        credential,
        ..change(action, path.map(|path| Target::Arn(owner(&path))), detail)
    }
}

/// A vault lets somebody read its secrets, or no longer. Which of the two, the end of the path says; a whole vault is
/// written with everybody who may.
fn vault_opened(event: &AuditEvent<'_>) -> Vec<Change> {
    let fields = Fields::of(event);
    let taken = resource(event).is_some_and(|path| path.ends_with("/accesspolicies/remove"));
    let action = if taken { Action::Revoke } else { Action::Grant };
    let policies = fields.value("rq.properties.accessPolicies");
    let policies = policies.and_then(Value::as_array).into_iter().flatten();
    let rows = policies.filter_map(|policy| {
        // Whether it is a user or a service principal, the policy does not say (AZ-15).
        let object = guid(&text(policy, "objectId")?);
        let mut detail = facts(event);
        detail.put("directory", text(policy, "tenantId"));
        let permissions = member(policy, "permissions");
        for (name, kind) in [
            ("certificate_permissions", "certificates"),
            ("key_permissions", "keys"),
            ("secret_permissions", "secrets"),
        ] {
            let list = permissions.and_then(|all| member(all, kind)?.as_array());
            let texts = list.into_iter().flatten().filter_map(Value::as_str);
            detail.list(name, texts.map(str::to_owned).collect());
        }
        let target = Target::Uid(format!("entra:unknown:{object}"));
        Some(change(action, Some(target), detail))
    });
    rows.collect()
}

/// A machine, application or any other resource gets identities to act as: the ones named, or one of its own. Which kinds
/// of resource can have one, the provider decides anew each month, so the body alone tells.
fn identity_handed(event: &AuditEvent<'_>) -> Vec<Change> {
    let body = event.details.request.as_deref().unwrap_or_default();
    if !body.contains("dentity") {
        return Vec::new();
    }
    let fields = Fields::of(event);
    let kind = fields.text("rq.identity.type").unwrap_or_default();
    let detail = || {
        let mut detail = facts(event);
        detail.put("identity_type", Some(kind.clone()));
        detail
    };
    let mut rows = Vec::new();
    if let Some(Value::Object(named)) = fields.value("rq.identity.userAssignedIdentities") {
        // A member whose value is null takes the identity away.
        let mut paths: Vec<_> = named
            .iter()
            .map(|(path, value)| (path.to_ascii_lowercase(), value.is_null()))
            .collect();
        paths.sort_unstable();
        rows.extend(paths.into_iter().map(|(path, taken)| {
            let action = if taken { Action::Revoke } else { Action::Grant };
            change(action, Some(Target::Arn(path)), detail())
        }));
    }
    if kind.to_ascii_lowercase().contains("systemassigned") {
        let path = resource(event).map(Target::Arn);
        rows.push(change(Action::Grant, path, detail()));
    }
    rows
}

fn facts(event: &AuditEvent<'_>) -> Detail {
    let mut detail = Detail::default();
    detail.put("resource", resource(event));
    detail
}

fn resource(event: &AuditEvent<'_>) -> Option<String> {
    event
        .resources
        .first()
        .map(|path| path.to_ascii_lowercase())
}

/// The managed identity that a federated credential hangs under.
fn owner(credential: &str) -> String {
    let end = credential.find("/federatedidentitycredentials/");
    credential[..end.unwrap_or(credential.len())].to_owned()
}

/// The caller's directory. AZ-19: it may differ from the subscription's, which the record does not name.
fn tenant<'e>(event: &'e AuditEvent<'_>) -> &'e str {
    match &event.principal {
        Principal::Azure(caller) => caller.tenant_id.as_deref().unwrap_or("unknown"),
        Principal::Aws(_) => "unknown",
    }
}

fn caller(event: &AuditEvent<'_>) -> Option<Target> {
    let Principal::Azure(caller) = &event.principal else {
        return None;
    };
    let object = caller.object_id.as_deref()?;
    let prefix = match caller.subject {
        AzureSubject::User => "entra:user:",
        AzureSubject::ServicePrincipal | AzureSubject::ManagedIdentity => "entra:sp:",
        _ => return None,
    };
    Some(Target::Uid(format!("{prefix}{}/{object}", tenant(event))))
}
