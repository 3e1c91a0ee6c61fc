//! CloudTrail's IAM calls → changes of users, roles, their keys, policies and trust. Other services: `services`.
//!
//! The table of lifecycle operations is that of rule A.7. Member names are those of the AWS service models; answers of
//! most IAM calls are empty, so their targets are known by name only (ID-4).

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::privilege;
use super::{
    Action, Change, ChangedCredential, Detail, Fields, Naming, Target, change, member, scalar,
    services,
};
use crate::model::{AuditEvent, AwsPrincipal, CredentialKind, Micros, Principal, PrincipalType};

const IAM: &str = "iam.amazonaws.com";

/// The inline policy by which the console revokes the sessions of a role or user that were issued before a time
/// (IAM user guide, "Revoke IAM role temporary security credentials").
const REVOKES_SESSIONS: &str = "AWSRevokeOlderSessions";

pub(super) fn changes(event: &AuditEvent<'_>) -> Vec<Change> {
    let operation = &*event.operation;
    if event.service != IAM {
        return services::changes(event);
    }
    if let Some((action, kind)) = credential_rule(operation) {
        return credential(event, action, kind).into_iter().collect();
    }
    match identity_rule(operation) {
        Some((action, whose)) => vec![identity(event, action, whose)],
        None => Vec::new(),
    }
}

pub(super) fn naming(event: &AuditEvent<'_>) -> Option<Naming> {
    if event.service != IAM {
        return None;
    }
    let (prefix, name, object, created) = match &*event.operation {
        "CreateUser" => ("aws:user:", "rq.userName", "user", true),
        "CreateRole" | "CreateServiceLinkedRole" => ("aws:role:", "rq.roleName", "role", true),
        "DeleteUser" => ("aws:user:", "rq.userName", "user", false),
        "DeleteRole" | "DeleteServiceLinkedRole" => ("aws:role:", "rq.roleName", "role", false),
        // The new name is learned from what the user does next; that the old one is free must not wait for that.
        "UpdateUser" => ("aws:user:", "rq.userName", "user", false),
        _ => return None,
    };
    let fields = Fields::of(event);
    if !created {
        let renamed = fields.text("rq.newUserName").is_some();
        if event.operation == "UpdateUser" && !renamed {
            return None;
        }
        return Some(Naming {
            uid: prefix.to_owned(),
            arn: String::new(),
            name: fields.text(name)?,
            created,
        });
    }
    let id = fields.text(&format!("re.{object}.{object}Id"))?;
    Some(Naming {
        uid: format!("{prefix}{id}"),
        arn: fields.text(&format!("re.{object}.arn")).unwrap_or_default(),
        name: fields.text(&format!("re.{object}.{object}Name|{name}"))?,
        created,
    })
}

pub(super) fn login_profile(event: &AuditEvent<'_>) -> Option<(String, String)> {
    if event.service != IAM || event.operation != "CreateLoginProfile" {
        return None;
    }
    let fields = Fields::of(event);
    let name = user_name(event, &fields, "re.loginProfile.userName")?;
    Some((account(event), name))
}

/// Operations on one credential of a user. For those called `Update…` the new status decides, see [`credential`].
fn credential_rule(operation: &str) -> Option<(Option<Action>, CredentialKind)> {
    use Action::{Create, Delete, Disable, Enable, Rotate};
    use CredentialKind as Kind;
    let (action, kind) = match operation {
        "CreateAccessKey" => (Create, Kind::AccessKey),
        "DeleteAccessKey" => (Delete, Kind::AccessKey),
        "CreateLoginProfile" => (Create, Kind::ConsolePassword),
        "UpdateLoginProfile" | "ChangePassword" => (Rotate, Kind::ConsolePassword),
        "DeleteLoginProfile" => (Delete, Kind::ConsolePassword),
        "CreateServiceSpecificCredential" => (Create, Kind::ServiceSpecific),
        "ResetServiceSpecificCredential" => (Rotate, Kind::ServiceSpecific),
        "DeleteServiceSpecificCredential" => (Delete, Kind::ServiceSpecific),
        "UploadSigningCertificate" => (Create, Kind::SigningCertificate),
        "DeleteSigningCertificate" => (Delete, Kind::SigningCertificate),
        "UploadSSHPublicKey" => (Create, Kind::SshPublicKey),
        "DeleteSSHPublicKey" => (Delete, Kind::SshPublicKey),
        "UploadServerCertificate" => (Create, Kind::ServerCertificate),
        "DeleteServerCertificate" => (Delete, Kind::ServerCertificate),
        "CreateVirtualMFADevice" => (Create, Kind::MfaDevice),
        "EnableMFADevice" => (Enable, Kind::MfaDevice),
        "DeactivateMFADevice" => (Disable, Kind::MfaDevice),
        "DeleteVirtualMFADevice" => (Delete, Kind::MfaDevice),
        "UpdateAccessKey" => return Some((None, Kind::AccessKey)),
        "UpdateServiceSpecificCredential" => return Some((None, Kind::ServiceSpecific)),
        "UpdateSigningCertificate" => return Some((None, Kind::SigningCertificate)),
        "UpdateSSHPublicKey" => return Some((None, Kind::SshPublicKey)),
        _ => return None,
    };
    Some((Some(action), kind))
}

/// How the id of a credential begins, and where the rest of it and the name of its user stand in an answer.
fn credential_places(kind: CredentialKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        CredentialKind::AccessKey => (
            "aws:key:",
            "re.accessKey.accessKeyId|rq.accessKeyId",
            "re.accessKey.userName",
        ),
        CredentialKind::ServiceSpecific => (
            "aws:svc-cred:",
            "re.serviceSpecificCredential.serviceSpecificCredentialId|rq.serviceSpecificCredentialId",
            "re.serviceSpecificCredential.userName",
        ),
        CredentialKind::SigningCertificate => (
            "aws:cert:",
            "re.certificate.certificateId|rq.certificateId",
            "re.certificate.userName",
        ),
        CredentialKind::SshPublicKey => (
            "aws:ssh:",
            "re.sSHPublicKey.sSHPublicKeyId|rq.sSHPublicKeyId",
            "re.sSHPublicKey.userName",
        ),
        CredentialKind::ServerCertificate => (
            "aws:server-cert:",
            "re.serverCertificateMetadata.serverCertificateId",
            "",
        ),
        CredentialKind::MfaDevice => (
            "aws:mfa:",
            "re.virtualMFADevice.serialNumber|rq.serialNumber",
            "",
        ),
        _ => ("aws:password:", "", "re.loginProfile.userName"),
    }
}

fn credential(
    event: &AuditEvent<'_>,
    action: Option<Action>,
    kind: CredentialKind,
) -> Option<Change> {
    let fields = Fields::of(event);
    let status = fields.text("rq.status");
    let action = match (action, status.as_deref()) {
        (Some(action), _) => action,
        (None, Some(status)) if status.eq_ignore_ascii_case("Active") => Action::Enable,
        (None, Some(_)) => Action::Disable,
        // Nothing but a new name or path.
        (None, None) => return None,
    };
    let (prefix, id, owner) = credential_places(kind);
    // A certificate for servers and a device that is not yet anybody's belong to the account.
    let owned = kind != CredentialKind::ServerCertificate
        && !matches!(
            &*event.operation,
            "CreateVirtualMFADevice" | "DeleteVirtualMFADevice"
        );
    let target = owned.then(|| user(event, &fields, owner)).flatten();
    let uid = if kind == CredentialKind::ConsolePassword {
        let name = user_name(event, &fields, owner)?;
        Some(format!("{prefix}{}/{name}", account(event)))
    } else {
        fields.text(id).map(|id| format!("{prefix}{id}"))
    };
    let days = fields
        .text("rq.credentialAgeDays")
        .and_then(|days| days.parse::<i64>().ok());
    let expires_at = days.map(|days| event.event_time.plus(days.saturating_mul(Micros::DAY)));
    let mut detail = Detail::default();
    fields.tell(
        &mut detail,
        &[
            ("certificate", "rq.serverCertificateName"),
            (
                "service",
                "re.serviceSpecificCredential.serviceName|rq.serviceName",
            ),
            ("status", "rq.status|re.accessKey.status"),
            ("user", "rq.userName"),
        ],
    );
    Some(Change {
        action,
        target,
        credential: uid.map(|uid| ChangedCredential {
            uid,
            kind,
            expires_at,
        }),
        detail: detail.finish(),
        privilege: None,
    })
}

/// Whose identity an IAM operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    User,
    Role,
    /// A group, a policy, a provider, an account: no single identity.
    Nobody,
}

fn identity_rule(operation: &str) -> Option<(Action, Whose)> {
    use Action::{Create, Delete, Grant, Revoke, TrustChange};
    use Whose::{Nobody, Role, User};
    Some(match operation {
        "CreateUser" => (Create, User),
        "CreateRole" | "CreateServiceLinkedRole" => (Create, Role),
        "DeleteUser" => (Delete, User),
        "DeleteRole" | "DeleteServiceLinkedRole" => (Delete, Role),
        // A boundary only limits, so taking it away gives and setting it takes.
        "AttachUserPolicy"
        | "PutUserPolicy"
        | "AddUserToGroup"
        | "TagUser"
        | "DeleteUserPermissionsBoundary" => (Grant, User),
        "DetachUserPolicy"
        | "DeleteUserPolicy"
        | "RemoveUserFromGroup"
        | "UntagUser"
        | "PutUserPermissionsBoundary" => (Revoke, User),
        "AttachRolePolicy"
        | "PutRolePolicy"
        | "TagRole"
        | "UpdateRole"
        | "AddRoleToInstanceProfile"
        | "DeleteRolePermissionsBoundary" => (Grant, Role),
        "DetachRolePolicy"
        | "DeleteRolePolicy"
        | "UntagRole"
        | "RemoveRoleFromInstanceProfile"
        | "PutRolePermissionsBoundary" => (Revoke, Role),
        "AttachGroupPolicy"
        | "PutGroupPolicy"
        | "CreatePolicyVersion"
        | "SetDefaultPolicyVersion"
        | "AcceptDelegationRequest"
        | "SendDelegationToken" => (Grant, Nobody),
        "DetachGroupPolicy" | "DeleteGroupPolicy" | "DeletePolicyVersion" | "DeletePolicy" => {
            (Revoke, Nobody)
        }
        "UpdateAssumeRolePolicy" => (TrustChange, Role),
        "AddClientIDToOpenIDConnectProvider"
        | "RemoveClientIDFromOpenIDConnectProvider"
        | "UpdateOpenIDConnectProviderThumbprint"
        | "UpdateSAMLProvider"
        | "EnableOrganizationsRootSessions"
        | "DisableOrganizationsRootSessions"
        | "EnableOrganizationsRootCredentialsManagement"
        | "DisableOrganizationsRootCredentialsManagement"
        | "EnableOutboundWebIdentityFederation"
        | "DisableOutboundWebIdentityFederation"
        | "SetSecurityTokenServicePreferences" => (TrustChange, Nobody),
        "CreateOpenIDConnectProvider"
        | "CreateSAMLProvider"
        | "CreateInstanceProfile"
        | "CreateDelegationRequest" => (Create, Nobody),
        "DeleteOpenIDConnectProvider"
        | "DeleteSAMLProvider"
        | "DeleteInstanceProfile"
        | "RejectDelegationRequest" => (Delete, Nobody),
        _ => return None,
    })
}

const IAM_FACTS: [(&str, &str); 15] = [
    ("account", "rq.ownerAccountId"),
    ("arn", "re.role.arn|re.user.arn"),
    ("client_id", "rq.clientID"),
    (
        "delegation_request",
        "rq.delegationRequestId|re.delegationRequestId",
    ),
    ("group", "rq.groupName"),
    ("instance_profile", "rq.instanceProfileName"),
    ("issuer", "rq.url"),
    ("max_session_seconds", "rq.maxSessionDuration"),
    ("permissions_boundary", "rq.permissionsBoundary"),
    ("policy", "rq.policyArn|rq.policyName"),
    ("policy_version", "rq.versionId|re.policyVersion.versionId"),
    (
        "provider",
        "rq.openIDConnectProviderArn|re.openIDConnectProviderArn|rq.sAMLProviderArn|re.sAMLProviderArn",
    ),
    ("role", "rq.roleName|re.role.roleName"),
    ("user", "rq.userName"),
    ("version_is_default", "rq.setAsDefault"),
];

fn identity(event: &AuditEvent<'_>, action: Action, whose: Whose) -> Change {
    let fields = Fields::of(event);
    let mut detail = Detail::default();
    fields.tell(&mut detail, &IAM_FACTS);
    detail.list("audiences", fields.texts("rq.clientIDList"));
    let mut tags = fields.texts("rq.tagKeys");
    if let Some(Value::Array(pairs)) = fields.value("rq.tags") {
        // What a tag says is the customer's text; that it is there is enough to find the event.
        tags.extend(pairs.iter().filter_map(|pair| super::text(pair, "key")));
    }
    detail.list("tags", tags);
    let document = fields.value("rq.policyDocument");
    let trust = match action {
        Action::TrustChange => document,
        _ => fields.value("rq.assumeRolePolicyDocument"),
    };
    detail.list("principals", trust.map(principals).unwrap_or_default());
    let ends_sessions = matches!(&*event.operation, "PutRolePolicy" | "PutUserPolicy")
        && fields.text("rq.policyName").as_deref() == Some(REVOKES_SESSIONS);
    if ends_sessions {
        detail.put("sessions_before", document.and_then(sessions_before));
    }
    let action = if ends_sessions {
        Action::Revoke
    } else {
        action
    };
    let policy = fields.text("rq.policyArn");
    let privilege = match (action, document, policy) {
        _ if ends_sessions => None,
        (Action::Grant, Some(document), _) => {
            scalar(document).map(|text| privilege::of_policy_document(&text))
        }
        (Action::Grant | Action::Revoke, None, Some(arn)) => Some(privilege::of_policy_arn(&arn)),
        _ => None,
    };
    let target = match whose {
        Whose::User => fields
            .text("re.user.userId")
            .map(|id| Target::Uid(format!("aws:user:{id}")))
            .or_else(|| user(event, &fields, "")),
        Whose::Role => fields
            .text("re.role.roleId")
            .map(|id| Target::Uid(format!("aws:role:{id}")))
            .or_else(|| {
                let account = account(event);
                let name = fields.text("rq.roleName")?;
                Some(Target::AwsRole { account, name })
            }),
        Whose::Nobody => None,
    };
    Change {
        privilege,
        ..change(action, target, detail)
    }
}

/// Who is let in by the `Allow` statements of a trust or resource policy: `AWS:<arn or account>`, `Service:…`,
/// `Federated:…`, `*`; whoever is not named, `not AWS:…`. Sorted. Conditions are not weighed: the raw record has them.
pub(super) fn principals(document: &Value) -> Vec<String> {
    let parsed = match document {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    let mut found = BTreeSet::new();
    for statement in privilege::statements(&parsed) {
        for (name, prefix) in [("Principal", ""), ("NotPrincipal", "not ")] {
            match member(statement, name) {
                Some(Value::Object(kinds)) => {
                    for (kind, who) in kinds {
                        let who = privilege::listed(Some(who)).into_iter();
                        found.extend(who.map(|who| format!("{prefix}{kind}:{who}")));
                    }
                }
                value => {
                    let who = privilege::listed(value).into_iter();
                    found.extend(who.map(|who| format!("{prefix}{who}")));
                }
            }
        }
    }
    found.into_iter().collect()
}

/// The time before which [`REVOKES_SESSIONS`] refuses sessions, as the policy writes it.
fn sessions_before(document: &Value) -> Option<String> {
    let policy: Value = serde_json::from_str(document.as_str()?).ok()?;
    let statement = member(&policy, "Statement")?;
    let statement = statement
        .as_array()
        .map_or(Some(statement), |list| list.first())?;
    let condition = member(member(statement, "Condition")?, "DateLessThan")?;
    super::text(condition, "aws:TokenIssueTime")
}

/// The user a call is about: named in the request, else the caller itself, else named in the answer.
fn user(event: &AuditEvent<'_>, fields: &Fields, owner: &str) -> Option<Target> {
    let by_name = |name| Target::AwsUser {
        account: account(event),
        name,
    };
    if let Some(name) = fields.text("rq.userName") {
        return Some(by_name(name));
    }
    if let Some(caller) = caller(event) {
        match (caller.principal_type, caller.principal_id.as_deref()) {
            (PrincipalType::Root, _) => {
                return Some(Target::Uid(format!("aws:root:{}", account(event))));
            }
            (PrincipalType::IamUser, Some(id)) if id.starts_with("AIDA") => {
                return Some(Target::Uid(format!("aws:user:{id}")));
            }
            _ => (),
        }
    }
    user_name(event, fields, owner).map(by_name)
}

/// The name of the user a call is about.
fn user_name(event: &AuditEvent<'_>, fields: &Fields, owner: &str) -> Option<String> {
    let own = || {
        let caller = caller(event)?;
        let user = caller.principal_type == PrincipalType::IamUser;
        caller
            .user_name
            .as_deref()
            .filter(|_| user)
            .map(str::to_owned)
    };
    fields
        .text("rq.userName")
        .or_else(|| fields.text(owner))
        .or_else(own)
}

fn caller<'e>(event: &'e AuditEvent<'_>) -> Option<&'e AwsPrincipal<'e>> {
    match &event.principal {
        Principal::Aws(caller) => Some(caller),
        Principal::Azure(_) => None,
    }
}

/// The account in whose log the event stands; IAM is never changed from another one.
pub(super) fn account(event: &AuditEvent<'_>) -> String {
    let own = || caller(event).and_then(|caller| caller.account_id.as_deref());
    event
        .tenant_uid
        .as_deref()
        .or_else(own)
        .unwrap_or("unknown")
        .to_owned()
}
