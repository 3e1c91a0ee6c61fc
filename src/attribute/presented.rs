//! What an AWS caller presented: key, bearer token or forwarded session; to which workload it was delivered; and by what
//! the event behind it can be found.

use super::aws::{issuer_arn, session_name};
use super::draft::{Draft, Seek};
use super::names::Names;
use super::{forward, workload};
use crate::model::{
    ActorType, AuditEvent, AwsPrincipal, CredentialKind, IdentityKind, Method, PrincipalType, Uid,
};

/// Completes a draft that knows the caller.
pub(super) fn complete(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
    draft: &mut Draft,
) {
    forwarded(principal, names, draft);
    credential(event, principal, names, draft);
    delivered(principal, names, draft);
    if principal.from_console && event.network.tls_version.is_some() {
        // AWS-23: the console's own calls show no handshake, so a client outside it holds the console's credential.
        draft.word.because("AWS-23");
    }
    let delegations = forward::delegations(principal, issuer_arn(principal), names);
    if !delegations.is_empty() {
        let seek = draft.seek.get_or_insert_default();
        seek.calls.extend(delegations);
    }
}

/// The types of callers that act in a session or with a key of their own.
const fn with_session(principal_type: PrincipalType) -> bool {
    matches!(
        principal_type,
        PrincipalType::Root
            | PrincipalType::IamUser
            | PrincipalType::AssumedRole
            | PrincipalType::FederatedUser
    )
}

/// The key or token that was presented, and by what the event behind it can be found.
fn credential(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
    draft: &mut Draft,
) {
    // AWS-32: only callers with a bearer token have one. Steps of a sign-in are not joined by it.
    if let Some(bearer) = &principal.bearer_id {
        let uid = names.join(&["aws:bearer:", bearer]);
        draft.credential(Some(uid), CredentialKind::BearerToken);
    }
    if with_bearer_key(event) {
        draft.word.credential_kind = Some(CredentialKind::BearerApiKey);
        draft.word.because("AWS-36");
        if draft.word.actor_type == ActorType::Unknown {
            draft.word.actor_type = ActorType::Nhi;
        }
    }
    let key = principal.access_key_id.as_deref();
    if let (PrincipalType::Role, Some(key)) = (principal.principal_type, key) {
        // AWS-5: a role without a session may show a key all the same; what issued it cannot be told.
        let kind = if key.starts_with("ASIA") {
            CredentialKind::SessionKey
        } else {
            CredentialKind::AccessKey
        };
        draft.credential(Some(key_uid(key, principal, names)), kind);
    }
    if !with_session(principal.principal_type) {
        return;
    }
    let own_code = draft.word.actor_type == ActorType::Provider;
    if draft.word.rests_on("FAS-1") {
        // AWS mints such a key for one call; it is nobody's credential and no event issued it.
        draft.credential(None, CredentialKind::ForwardAccess);
        draft.seek = Some(Seek {
            calls: forward::causes(event, principal, names),
            ..session_seek(event, principal, None, names)
        });
        return;
    }
    // ID-5: `ASIA…` is temporary; every other prefix of a key outlives its sessions.
    match key {
        Some(key) if key.starts_with("ASIA") => {
            let uid = key_uid(key, principal, names);
            if draft.word.credential_kind != Some(CredentialKind::BearerApiKey) {
                draft.credential(Some(uid), CredentialKind::SessionKey);
            }
            let key = names.intern(key);
            draft.word.session_uid = Some(key.clone());
            let mut seek = session_seek(event, principal, Some(key), names);
            // Who acts in a service-linked role is known without the event that handed it out.
            seek.forwarded &= !own_code;
            seek.expected &= !own_code;
            draft.seek = Some(seek);
        }
        Some(key) if draft.word.credential_kind != Some(CredentialKind::BearerApiKey) => {
            let uid = key_uid(key, principal, names);
            draft.credential(Some(uid), CredentialKind::AccessKey);
        }
        Some(_) => (),
        // Sign-ins and role switches of the console, and calls of services that show no key.
        None if principal.principal_type == PrincipalType::AssumedRole && !own_code => {
            draft.seek = Some(session_seek(event, principal, None, names));
        }
        None if event.operation == "ConsoleLogin" => {
            draft.credential(None, CredentialKind::ConsolePassword);
        }
        None => (),
    }
}

/// The key as a credential: a temporary one is unique only together with the start of its session.
fn key_uid(key: &str, principal: &AwsPrincipal<'_>, names: &mut Names) -> Uid {
    match principal.session_created_at {
        _ if !key.starts_with("ASIA") => names.join(&["aws:key:", key]),
        Some(created) => names.join(&["aws:tkey:", key, "@", &created.to_string()]),
        None => names.join(&["aws:tkey:", key]),
    }
}

/// By what the event behind a session can be found. The console's own events carry no start: they are it (L-15).
fn session_seek(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    key: Option<Uid>,
    names: &mut Names,
) -> Seek {
    let sign_in = event.service == "signin.amazonaws.com";
    let begun = principal.session_created_at;
    let created_at = begun.or_else(|| sign_in.then_some(event.event_time));
    let mut intern = |text: Option<&str>| text.map(|text| names.intern(text));
    let role = principal.principal_type == PrincipalType::AssumedRole;
    let account = principal.account_id.as_deref();
    // AWS-35: root that somebody assumed is wielded by them; who that was must be found.
    let wielded = role || principal.assumed_root;
    Seek {
        key,
        account: intern(account.or(event.tenant_uid.as_deref())),
        principal: intern(principal.principal_id.as_deref()),
        role_arn: intern(issuer_arn(principal).filter(|_| role)),
        session_name: intern(session_name(principal)),
        created_at,
        sign_in_session: intern(principal.sign_in_session_arn.as_deref()),
        forwarded: principal.invoked_by.is_some(),
        expected: wielded && principal.invoked_by.is_none(),
        ..Seek::default()
    }
}

/// AWS-29, AWS-30: the provider says to which workload the credential was delivered. Then no issuing event is needed.
fn delivered(principal: &AwsPrincipal<'_>, names: &mut Names, draft: &mut Draft) {
    let account = principal.account_id.as_deref().unwrap_or_default();
    let delivered = match (
        &principal.credentials_issued_to,
        &principal.ec2_role_delivery,
    ) {
        (Some(workload), _) => Some((names.join(&["wl:", workload]), "AWS-30")),
        (None, Some(_)) => session_name(principal)
            .and_then(|name| workload::instance(account, name, names))
            .map(|workload| (workload, "AWS-29")),
        (None, None) => None,
    };
    let Some((workload, rule)) = delivered else {
        if draft.word.acting_kind == IdentityKind::Ec2InstanceIdentity {
            draft.seek = None;
        }
        return;
    };
    draft.word.workload_uid = Some(workload);
    draft.word.acting_kind = IdentityKind::WorkloadRole;
    draft.word.identity_kind = IdentityKind::WorkloadRole;
    draft.word.actor_type = ActorType::Nhi;
    draft.word.method = Method::Delivered;
    draft.word.because(rule);
    draft.word.because("HM-4");
    // A forwarded call still looks for the call that caused it.
    if !draft.word.rests_on("FAS-1") {
        draft.seek = None;
    }
}

/// AWS-21, AWS-34, FAS-1, FAS-5: a service made the request for somebody, or for itself.
fn forwarded(principal: &AwsPrincipal<'_>, names: &mut Names, draft: &mut Draft) {
    if let Some(account) = &principal.delegate_account {
        draft.word.via.push(names.join(&["aws:acct:", account]));
        draft.word.because("AWS-34");
    }
    let Some(service) = &principal.invoked_by else {
        return;
    };
    draft.word.invoked_by = Some(names.intern(service));
    if !with_session(principal.principal_type) {
        return;
    }
    draft.word.via.push(names.join(&["aws:svc:", service]));
    let own_code = draft.word.actor_type == ActorType::Provider;
    let keyless_role =
        principal.principal_type == PrincipalType::AssumedRole && principal.access_key_id.is_none();
    if keyless_role && !own_code {
        draft.word.acting_kind = IdentityKind::ServiceRole;
        draft.word.identity_kind = IdentityKind::ServiceRole;
        draft.word.actor_type = ActorType::Provider;
    }
    let rule = if keyless_role || own_code {
        "FAS-5"
    } else {
        "FAS-1"
    };
    draft.word.because(rule);
}

/// AWS-36: a Bedrock key was sent as a bearer token.
fn with_bearer_key(event: &AuditEvent<'_>) -> bool {
    let extra = event.details.extra.as_deref().unwrap_or_default();
    extra
        .split_once("\"callWithBearerToken\"")
        .is_some_and(|(_, rest)| rest.trim_start_matches([' ', ':', '"']).starts_with("true"))
}
