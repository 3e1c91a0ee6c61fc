//! Azure and Entra actors → the acting identity, its credential, and what kind of actor it is (rules AZ-10 to AZ-53).
//!
//! The actor is the service principal object in the tenant where it acted, never the application: permissions and
//! logs belong to the object (AZ-50).

use super::draft::{Draft, Seek};
use super::names::Names;
use crate::model::{
    ActorType, AuditEvent, AzurePrincipal, AzureSubject, Confidence, CredentialKind, IdentityKind,
    LogSource, Method,
};

/// What the record alone says about its caller.
pub(super) fn draft(
    event: &AuditEvent<'_>,
    principal: &AzurePrincipal<'_>,
    names: &mut Names,
) -> Draft {
    let mut draft = match principal.subject {
        AzureSubject::ServicePrincipal => {
            object(principal, names, IdentityKind::ServicePrincipal, "AZ-12")
        }
        AzureSubject::ManagedIdentity => {
            object(principal, names, IdentityKind::ManagedIdentity, "AZ-11")
        }
        AzureSubject::Agent => object(principal, names, IdentityKind::Agent, "AZ-10"),
        AzureSubject::AgentUser => agent_user(event, principal, names),
        AzureSubject::User => user(principal, names),
        AzureSubject::Service => service(event, principal, names),
        AzureSubject::Unknown => unknown(principal, names),
    };
    if principal.inferred {
        draft.word.confidence = draft.word.confidence.min(Confidence::Strong);
    }
    credential(event, principal, names, &mut draft);
    // The path of a user-assigned identity is the identity itself; of a system-assigned one, the machine (AZ-11), which
    // may stand outside Azure and be joined to it by Arc.
    let system_assigned = principal
        .managed_identity_resource
        .as_deref()
        .filter(|path| {
            !path
                .to_ascii_lowercase()
                .contains("/userassignedidentities/")
        });
    draft.word.workload_uid = principal
        .workload_resource
        .as_deref()
        .or(system_assigned)
        .map(|resource| names.join(&["wl:", resource]));
    draft.word.on_behalf_of = principal
        .on_behalf_of
        .as_deref()
        .map(|user| names.join(&["entra:user:", tenant(event, principal), "/", user]));
    draft.seek = seek(event, principal, &draft, names);
    draft
}

/// By what the sign-in behind the record can be found, or for a sign-in whom its federated credential trusts.
fn seek(
    event: &AuditEvent<'_>,
    principal: &AzurePrincipal<'_>,
    draft: &Draft,
    names: &mut Names,
) -> Option<Seek> {
    if event.source == LogSource::EntraSignin {
        let credential = draft.word.credential_uid.clone()?;
        return credential.starts_with("entra:fic:").then(|| Seek {
            federated_credential: Some(credential),
            ..Seek::default()
        });
    }
    if let (AzureSubject::Unknown, Some(object)) = (principal.subject, &principal.object_id) {
        return Some(Seek {
            named_role: Some(names.join(&["entra|", object])),
            ..Seek::default()
        });
    }
    let Some(token) = principal.token_id.as_deref() else {
        let application = draft.word.acting_kind == IdentityKind::ServicePrincipal;
        return application.then(|| Seek {
            signed_in: Some(draft.word.acting_uid.clone()),
            ..Seek::default()
        });
    };
    Some(Seek {
        token: Some(names.intern(token)),
        ..Seek::default()
    })
}

fn object(
    principal: &AzurePrincipal<'_>,
    names: &mut Names,
    kind: IdentityKind,
    rule: &'static str,
) -> Draft {
    let actor = ActorType::Nhi;
    let tenant = principal.tenant_id.as_deref();
    let draft = match (&principal.object_id, tenant, &principal.app_id) {
        (Some(object), Some(tenant), _) => {
            let uid = names.join(&["entra:sp:", tenant, "/", object]);
            Draft::direct(uid, kind, actor)
        }
        // Without a tenant the object id is still unique, but it cannot be told whose directory it stands in.
        (Some(object), None, _) => {
            let uid = names.join(&["entra:sp:unknown/", object]);
            let mut draft = Draft::direct(uid, kind, actor);
            draft.word.confidence = Confidence::Probable;
            draft
        }
        (None, tenant, Some(app)) => {
            let uid = names.join(&["entra:app:", app, "@", tenant.unwrap_or("unknown")]);
            let mut draft = Draft::direct(uid, kind, actor);
            // An agent that acts for a user is named by its application alone; others are by their object, too.
            if kind != IdentityKind::Agent {
                draft.word.confidence = Confidence::Strong;
            }
            draft
        }
        (None, tenant, None) => {
            let name = principal.name.as_deref().unwrap_or("unknown");
            let uid = names.join(&["entra:sp-name:", tenant.unwrap_or("unknown"), "/", name]);
            let mut draft = Draft::direct(uid, kind, actor);
            draft.word.confidence = Confidence::Probable;
            draft
        }
    };
    draft.because(&[rule])
}

/// AZ-14, AZ-16: people, by object id where the record has it, else by their changeable name.
fn user(principal: &AzurePrincipal<'_>, names: &mut Names) -> Draft {
    let tenant = principal.tenant_id.as_deref().unwrap_or("unknown");
    let (key, confidence, rule) = match (&principal.object_id, &principal.name) {
        (Some(object), _) => (object.as_ref(), Confidence::Exact, "AZ-14"),
        (None, Some(name)) => (name.as_ref(), Confidence::Probable, "AZ-16"),
        (None, None) => ("unknown", Confidence::None, "AZ-16"),
    };
    let uid = names.join(&["entra:user:", tenant, "/", key]);
    let mut draft = Draft::direct(uid, IdentityKind::EntraUser, ActorType::Human);
    draft.word.confidence = confidence;
    draft.because(&[rule])
}

/// AZ-10: the user account of an agent is a machine.
fn agent_user(event: &AuditEvent<'_>, principal: &AzurePrincipal<'_>, names: &mut Names) -> Draft {
    let object = principal.object_id.as_deref().unwrap_or("unknown");
    let uid = names.join(&["entra:user:", tenant(event, principal), "/", object]);
    Draft::direct(uid, IdentityKind::AgentUser, ActorType::Nhi).because(&["AZ-10"])
}

/// AZ-2, AZ-17: Microsoft's own code, named or not.
fn service(event: &AuditEvent<'_>, principal: &AzurePrincipal<'_>, names: &mut Names) -> Draft {
    let (uid, kind, rule) = match (&principal.object_id, &principal.app_id) {
        (Some(object), _) => {
            let uid = names.join(&["entra:sp:", tenant(event, principal), "/", object]);
            (uid, IdentityKind::FirstPartyService, "AZ-13")
        }
        (None, Some(app)) => {
            let uid = names.join(&["entra:app:", app, "@", tenant(event, principal)]);
            (uid, IdentityKind::FirstPartyService, "AZ-13")
        }
        (None, None) if principal.name.is_some() => {
            let name = principal.name.as_deref().unwrap_or_default();
            let uid = names.join(&["entra:firstparty:", &name.to_ascii_lowercase()]);
            (uid, IdentityKind::MicrosoftService, "AZ-2")
        }
        (None, None) => {
            let uid = names.intern("entra:firstparty:unknown");
            (uid, IdentityKind::MicrosoftService, "AZ-17")
        }
    };
    let mut draft = Draft::direct(uid, kind, ActorType::Provider);
    draft.word.method = Method::Service;
    if rule == "AZ-17" {
        draft.word.confidence = Confidence::None;
    } else if principal.inferred && event.source == LogSource::EntraAudit {
        // Known by its display name alone: whose tenant owns it, the entry does not say.
        draft.word.confidence = Confidence::Probable;
    }
    draft.because(&[rule])
}

/// AZ-15: an object id without a word about what it is; most often a service principal. If another record knows the
/// object, the answer is that.
fn unknown(principal: &AzurePrincipal<'_>, names: &mut Names) -> Draft {
    let key = principal
        .object_id
        .as_deref()
        .or(principal.app_id.as_deref())
        .or(principal.name.as_deref())
        .unwrap_or("unknown");
    let uid = names.join(&["entra:unknown:", key]);
    let (kind, actor) = match principal.object_id {
        Some(_) => (IdentityKind::ServicePrincipal, ActorType::Nhi),
        None => (IdentityKind::Unknown, ActorType::Unknown),
    };
    let mut draft = Draft::direct(uid, kind, actor);
    draft.word.confidence = Confidence::Probable;
    draft.because(&["AZ-15"])
}

/// AZ-22 to AZ-24, AZ-52: the credential's own id where the log gives it, else the token it was exchanged for.
fn credential(
    event: &AuditEvent<'_>,
    principal: &AzurePrincipal<'_>,
    names: &mut Names,
    draft: &mut Draft,
) {
    draft.word.session_uid = principal
        .token_id
        .as_deref()
        .map(|token| names.intern(token));
    let (uid, kind) = if let Some(key) = &principal.key_id {
        let kind = principal
            .credential_kind
            .unwrap_or(CredentialKind::SpSecret);
        (Some(names.join(&["entra:key:", key])), kind)
    } else if let Some(credential) = &principal.federated_credential_id {
        let uid = names.join(&["entra:fic:", credential]);
        (Some(uid), CredentialKind::FederatedCredential)
    } else if let Some(thumbprint) = &principal.certificate_thumbprint {
        let uid = names.join(&["x509:thumbprint:", thumbprint]);
        (Some(uid), CredentialKind::SpCertificate)
    } else if let Some(kind) = principal.credential_kind {
        (None, kind)
    } else if principal.subject == AzureSubject::ManagedIdentity {
        (None, CredentialKind::ManagedIdentity)
    } else if let Some(token) = &principal.token_id {
        let uid = names.join(&["entra:tok:", token]);
        (Some(uid), CredentialKind::EntraToken)
    } else {
        return;
    };
    draft.credential(uid, kind);
    if event.source == LogSource::EntraSignin {
        draft.word.because("AZ-22");
    }
}

/// The actor's home tenant, else the tenant in whose log the record stands.
fn tenant<'a>(event: &'a AuditEvent<'_>, principal: &'a AzurePrincipal<'_>) -> &'a str {
    principal
        .tenant_id
        .as_deref()
        .or(event.tenant_uid.as_deref())
        .unwrap_or("unknown")
}
