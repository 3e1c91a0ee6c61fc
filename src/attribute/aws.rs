//! CloudTrail's `userIdentity` → the acting identity, its credential, and what kind of actor it is.
//!
//! One arm per `userIdentity.type` (rules AWS-1 to AWS-15). What the record cannot say, the chain behind a temporary
//! key, is left to `sessions`.

use super::Draft;
use super::names::Names;
use crate::model::{
    ActorType, AuditEvent, AwsPrincipal, Confidence, CredentialKind, IdentityKind, Method,
    PrincipalType,
};

/// What the record alone says about its caller.
pub(super) fn draft(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
) -> Draft {
    let mut draft = match principal.principal_type {
        PrincipalType::Root => root(principal, names),
        PrincipalType::IamUser => iam_user(principal, names),
        PrincipalType::AssumedRole => assumed_role(principal, names),
        PrincipalType::Role => role(principal, names),
        PrincipalType::FederatedUser => federated_user(principal, names),
        PrincipalType::Directory => directory(principal, names),
        PrincipalType::AwsAccount => foreign_account(principal, names),
        PrincipalType::AwsService | PrincipalType::Absent => service(event, principal, names),
        PrincipalType::IdentityCenterUser => identity_center(principal, names),
        PrincipalType::SamlUser => saml(event, principal, names),
        PrincipalType::WebIdentityUser => web_identity(event, principal, names),
        PrincipalType::Unknown => unknown(principal, names),
    };
    credential(principal, names, &mut draft);
    workload(principal, names, &mut draft);
    forwarded(principal, names, &mut draft);
    draft.session_created_at = principal.session_created_at;
    draft.acting_arn = principal
        .issuer
        .as_ref()
        .and_then(|issuer| issuer.arn.as_deref())
        .map(|arn| names.intern(arn));
    draft.claimed_origin = principal
        .source_identity
        .as_deref()
        .or_else(|| session_name(principal))
        .map(|name| names.intern(name));
    draft.on_behalf_of = principal.on_behalf_of_user.as_deref().map(|user| {
        let store = principal.identity_store.as_deref().unwrap_or("");
        names.join(&["aws:idc:", store, ":", user])
    });
    draft
}

/// AWS-1. A session of root is a person's; root's own long-term key is a program's, as far as anyone can tell.
fn root(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let account = account(principal);
    let uid = names.join(&["aws:root:", account]);
    let own_key = principal
        .access_key_id
        .as_deref()
        .is_some_and(|key| key.starts_with("AKIA"));
    let actor = if own_key {
        ActorType::Nhi
    } else {
        ActorType::Human
    };
    let mut draft = Draft::direct(uid, IdentityKind::AccountRoot, actor);
    draft.reasons.push("AWS-1");
    draft
}

/// AWS-2, HM-14, HM-16: a user with a long-term key is a machine unless something shows a person.
fn iam_user(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let uid = match (&principal.principal_id, &principal.arn) {
        (Some(id), _) if !id.contains(':') => names.join(&["aws:user:", id]),
        (_, Some(arn)) => names.join(&["aws:user-arn:", arn]),
        _ => {
            let name = principal.user_name.as_deref().unwrap_or("unknown");
            names.join(&["aws:user-name:", account(principal), ":", name])
        }
    };
    let long_term = principal
        .access_key_id
        .as_deref()
        .is_some_and(|key| key.starts_with("AKIA"));
    let (actor, reason) = if principal.from_console || principal.mfa == Some(true) {
        (ActorType::Human, "HM-14")
    } else if long_term {
        (ActorType::Nhi, "HM-16")
    } else {
        (ActorType::Unknown, "HM-19")
    };
    let mut draft = Draft::direct(uid, IdentityKind::IamUser, actor);
    draft.reasons.extend(["AWS-2", reason]);
    draft
}

/// AWS-3, AWS-4, HM-2, HM-12.
fn assumed_role(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let id = principal.principal_id.as_deref().unwrap_or_default();
    if let Some((account, instance)) = id.split_once(":aws:ec2-instance:") {
        let uid = names.join(&["aws:ec2-identity:", account, ":", instance]);
        let mut draft = Draft::direct(uid, IdentityKind::Ec2InstanceIdentity, ActorType::Nhi);
        draft.method = Method::Delivered;
        draft.reasons.extend(["AWS-4", "HM-4"]);
        return draft;
    }
    let issuer = principal.issuer.as_ref();
    let issuer_arn = issuer.and_then(|issuer| issuer.arn.as_deref());
    let unique = issuer
        .and_then(|issuer| issuer.principal_id.as_deref())
        .or_else(|| id.split(':').next().filter(|head| !head.is_empty()));
    let (uid, exact) = match (unique, issuer_arn, principal.arn.as_deref()) {
        (Some(unique), _, _) => (names.join(&["aws:role:", unique]), true),
        (None, Some(arn), _) => (names.join(&["aws:role-arn:", arn]), true),
        // The session's ARN has lost the role's path (ID-2), so this names the session's role only probably.
        (None, None, Some(arn)) => (names.join(&["aws:session-arn:", arn]), false),
        (None, None, None) => (names.join(&["unknown:", account(principal)]), false),
    };
    let arn = issuer_arn.unwrap_or_default();
    let (kind, actor, reason) = if arn.contains("/aws-service-role/") {
        (IdentityKind::ServiceLinkedRole, ActorType::Provider, "HM-2")
    } else if arn.contains("/aws-reserved/sso.amazonaws.com/") {
        (IdentityKind::IamRole, ActorType::Human, "HM-12")
    } else if principal.from_console {
        (IdentityKind::IamRole, ActorType::Human, "HM-10")
    } else if principal.mfa == Some(true) {
        (IdentityKind::IamRole, ActorType::Human, "HM-14")
    } else {
        (IdentityKind::IamRole, ActorType::Unknown, "HM-19")
    };
    let mut draft = Draft::direct(uid, kind, actor);
    draft.confidence = if exact {
        Confidence::Exact
    } else {
        Confidence::Probable
    };
    draft.reasons.extend(["AWS-3", reason]);
    if principal.invoked_by.is_some() && kind == IdentityKind::IamRole {
        draft.reasons.push("FAS-1");
    }
    draft
}

/// AWS-5.
fn role(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let uid = match (&principal.principal_id, &principal.arn) {
        (Some(id), _) if id.starts_with("AROA") => {
            names.join(&["aws:role:", id.split(':').next().unwrap_or(id)])
        }
        (_, Some(arn)) => names.join(&["aws:role-arn:", arn]),
        _ => names.join(&["unknown:", account(principal)]),
    };
    let mut draft = Draft::direct(uid, IdentityKind::IamRole, ActorType::Nhi);
    draft.confidence = Confidence::Probable;
    draft.reasons.push("AWS-5");
    draft
}

/// AWS-6: who asked for the federation token stands in the record itself.
fn federated_user(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let fallback = principal.arn.as_deref().unwrap_or("unknown");
    let id = principal.principal_id.as_deref().unwrap_or(fallback);
    let uid = names.join(&["aws:fed:", id]);
    let mut draft = Draft::direct(uid, IdentityKind::FederatedSession, ActorType::Unknown);
    draft.reasons.push("AWS-6");
    if let Some(issuer) = &principal.issuer {
        let root = issuer.issuer_type.as_deref() == Some("Root");
        let (uid, kind) = match (&issuer.principal_id, root) {
            (Some(id), true) => (names.join(&["aws:root:", id]), IdentityKind::AccountRoot),
            (Some(id), false) => (names.join(&["aws:user:", id]), IdentityKind::IamUser),
            (None, _) => {
                let arn = issuer.arn.as_deref().unwrap_or("unknown");
                (names.join(&["aws:user-arn:", arn]), IdentityKind::IamUser)
            }
        };
        draft.actor_type = if root {
            ActorType::Human
        } else {
            ActorType::Nhi
        };
        draft.issuer = Some((uid, kind));
        draft.method = Method::SessionIssuer;
    }
    draft
}

/// AWS-7.
fn directory(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let id = principal.principal_id.as_deref().unwrap_or("unknown");
    let uid = names.join(&["aws:dir:", account(principal), ":", id]);
    let mut draft = Draft::direct(uid, IdentityKind::DirectoryUser, ActorType::Human);
    draft.confidence = Confidence::Probable;
    draft.reasons.push("AWS-7");
    draft
}

/// AWS-8: the target's copy of a call from another account names the caller by unique id at best.
fn foreign_account(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let id = principal.principal_id.as_deref().unwrap_or_default();
    let head = id.split(':').next().unwrap_or_default();
    let mut draft = if principal.account_id.as_deref() == Some("ANONYMOUS_PRINCIPAL") {
        let uid = names.intern("aws:anon");
        Draft::direct(uid, IdentityKind::Anonymous, ActorType::Anonymous)
    } else if head.starts_with("AROA") {
        let uid = names.join(&["aws:role:", head]);
        Draft::direct(uid, IdentityKind::IamRole, ActorType::External)
    } else if head.starts_with("AIDA") {
        let uid = names.join(&["aws:user:", head]);
        Draft::direct(uid, IdentityKind::IamUser, ActorType::External)
    } else {
        let uid = names.join(&["aws:acct:", account(principal)]);
        Draft::direct(uid, IdentityKind::ExternalAccount, ActorType::External)
    };
    draft.reasons.push("AWS-8");
    draft
}

/// AWS-9, AWS-10, HM-1.
fn service(event: &AuditEvent<'_>, principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let service = principal.invoked_by.as_deref().unwrap_or(&event.service);
    let uid = names.join(&["aws:svc:", service]);
    let mut draft = Draft::direct(uid, IdentityKind::AwsService, ActorType::Provider);
    draft.method = Method::Service;
    let rule = if principal.principal_type == PrincipalType::Absent {
        "AWS-10"
    } else {
        "AWS-9"
    };
    draft.reasons.extend([rule, "HM-1"]);
    draft
}

/// AWS-11, HM-8.
fn identity_center(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let uid = match &principal.on_behalf_of_user {
        Some(user) => {
            let store = principal.identity_store.as_deref().unwrap_or("");
            names.join(&["aws:idc:", store, ":", user])
        }
        None => {
            let name = principal.user_name.as_deref().unwrap_or("unknown");
            names.join(&["aws:idc-name:", account(principal), ":", name])
        }
    };
    let mut draft = Draft::direct(uid, IdentityKind::IdentityCenterUser, ActorType::Human);
    draft.reasons.extend(["AWS-11", "HM-8"]);
    draft
}

/// AWS-12, HM-13.
fn saml(event: &AuditEvent<'_>, principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let issued = event.issued.as_ref();
    let subject = issued
        .and_then(|issued| issued.subject.as_deref())
        .or(principal.user_name.as_deref())
        .unwrap_or("unknown");
    let issuer = issued
        .and_then(|issued| issued.issuer.as_deref())
        .or(principal.identity_provider.as_deref())
        .unwrap_or("unknown");
    let uid = names.join(&["saml:", issuer, "|", subject]);
    let mut draft = Draft::direct(uid, IdentityKind::SamlSubject, ActorType::Human);
    draft.credential_kind = Some(CredentialKind::SamlAssertion);
    draft.confidence = Confidence::Strong;
    draft.reasons.extend(["AWS-12", "HM-13"]);
    draft
}

/// AWS-13 and C.1: a workload that proves itself with an OpenID Connect token.
fn web_identity(event: &AuditEvent<'_>, principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let issued = event.issued.as_ref();
    let provider = issued
        .and_then(|issued| issued.issuer.as_deref())
        .or(principal.identity_provider.as_deref())
        .unwrap_or("unknown");
    let issuer = provider
        .split_once("oidc-provider/")
        .map_or(provider, |(_, issuer)| issuer);
    let subject = issued
        .and_then(|issued| issued.subject.as_deref())
        .or(principal.user_name.as_deref())
        .unwrap_or("unknown");
    let mut draft = match entra_issuer_tenant(issuer) {
        // the subject of an Entra token is the object id of the service principal itself.
        Some(tenant) => {
            let (tenant, object) = (tenant.to_ascii_lowercase(), subject.to_ascii_lowercase());
            let uid = names.join(&["entra:sp:", &tenant, "/", &object]);
            let mut draft = Draft::direct(uid, IdentityKind::ServicePrincipal, ActorType::Nhi);
            draft.reasons.push("X-2");
            draft
        }
        None if end_user_issuer(issuer) => {
            let uid = names.join(&["oidc:", issuer, "|", subject]);
            let mut draft = Draft::direct(uid, IdentityKind::EndUser, ActorType::External);
            draft.confidence = Confidence::Strong;
            draft.reasons.push("HM-7");
            draft
        }
        None => {
            let uid = names.join(&["oidc:", issuer, "|", subject]);
            let mut draft = Draft::direct(uid, IdentityKind::OidcWorkload, ActorType::Nhi);
            draft.reasons.push("HM-6");
            draft
        }
    };
    draft.credential_kind = Some(CredentialKind::WebIdentityToken);
    draft.reasons.push("AWS-13");
    draft
}

/// The tenant of an Entra issuer, v1 (`sts.windows.net/<tenant>/`) or v2 (`login.microsoftonline.com/<tenant>/v2.0`).
fn entra_issuer_tenant(issuer: &str) -> Option<&str> {
    let rest = issuer
        .strip_prefix("sts.windows.net/")
        .or_else(|| issuer.strip_prefix("login.microsoftonline.com/"))?;
    rest.split('/').next().filter(|tenant| !tenant.is_empty())
}

/// Providers whose subjects are people or app users, built into STS.
fn end_user_issuer(issuer: &str) -> bool {
    matches!(
        issuer,
        "cognito-identity.amazonaws.com"
            | "accounts.google.com"
            | "graph.facebook.com"
            | "www.amazon.com"
    )
}

/// AWS-14: the best that a record of unknown type offers.
fn unknown(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    if principal.on_behalf_of_user.is_some() {
        let mut draft = identity_center(principal, names);
        draft.reasons.push("AWS-14");
        return draft;
    }
    let arn = principal.arn.as_deref().unwrap_or_default();
    let (uid, kind) = if arn.contains(":user/") {
        (names.join(&["aws:user-arn:", arn]), IdentityKind::IamUser)
    } else if arn.contains(":role/") {
        (names.join(&["aws:role-arn:", arn]), IdentityKind::IamRole)
    } else {
        let uid = names.join(&["unknown:", account(principal)]);
        (uid, IdentityKind::Unknown)
    };
    let mut draft = Draft::direct(uid, kind, ActorType::Unknown);
    draft.confidence = if kind == IdentityKind::Unknown {
        Confidence::None
    } else {
        Confidence::Probable
    };
    draft.method = Method::None;
    draft.reasons.push("AWS-14");
    draft
}

/// The key or token that was presented, and whether another event must have issued it.
fn credential(principal: &AwsPrincipal<'_>, names: &mut Names, draft: &mut Draft) {
    if let Some(bearer) = &principal.bearer_id {
        draft.credential_uid = Some(names.join(&["aws:bearer:", bearer]));
        draft.credential_kind = Some(CredentialKind::BearerToken);
    }
    let Some(key) = principal.access_key_id.as_deref() else {
        return;
    };
    if key.starts_with("ASIA") {
        if principal.invoked_by.is_some() {
            // FAS-1: AWS mints such a key for one call; it is nobody's credential and no event issued it.
            draft.credential_kind = Some(CredentialKind::ForwardAccess);
            return;
        }
        let key_uid = names.intern(key);
        draft.credential_uid = Some(names.join(&["aws:tkey:", key]));
        draft.credential_kind = Some(CredentialKind::SessionKey);
        draft.session_uid = Some(key_uid.clone());
        if draft.actor_type != ActorType::Provider {
            draft.awaits_issue_of = Some(key_uid);
        }
    } else {
        draft.credential_uid = Some(names.join(&["aws:key:", key]));
        draft.credential_kind = Some(CredentialKind::AccessKey);
    }
}

/// AWS-29, AWS-30: the provider says to which workload the credential was delivered. Then no issuing event is needed.
fn workload(principal: &AwsPrincipal<'_>, names: &mut Names, draft: &mut Draft) {
    let delivered = match (
        &principal.credentials_issued_to,
        &principal.ec2_role_delivery,
    ) {
        (Some(workload), _) => Some((names.join(&["wl:", workload]), "AWS-30")),
        (None, Some(_)) => {
            session_name(principal).map(|instance| (names.join(&["wl:", instance]), "AWS-29"))
        }
        (None, None) => None,
    };
    let Some((workload, rule)) = delivered else {
        return;
    };
    draft.workload_uid = Some(workload);
    draft.acting_kind = IdentityKind::WorkloadRole;
    draft.actor_type = ActorType::Nhi;
    draft.method = Method::Delivered;
    draft.awaits_issue_of = None;
    draft.reasons.extend([rule, "HM-4"]);
}

/// AWS-21: a service made the request for somebody, or for itself.
fn forwarded(principal: &AwsPrincipal<'_>, names: &mut Names, draft: &mut Draft) {
    if let Some(service) = &principal.invoked_by {
        let uid = names.join(&["aws:svc:", service]);
        draft.invoked_by = Some(names.intern(service));
        if draft.actor_type != ActorType::Provider {
            draft.via.push(uid);
        }
    }
}

fn account<'a>(principal: &'a AwsPrincipal<'_>) -> &'a str {
    principal.account_id.as_deref().unwrap_or("unknown")
}

/// The part of `AROA…:session` after the colon: chosen by the caller, or the instance's id for deliveries.
fn session_name<'a>(principal: &'a AwsPrincipal<'_>) -> Option<&'a str> {
    if principal.principal_type != PrincipalType::AssumedRole {
        return None;
    }
    principal
        .principal_id
        .as_deref()
        .and_then(|id| id.split_once(':'))
        .map(|(_, name)| name)
}
