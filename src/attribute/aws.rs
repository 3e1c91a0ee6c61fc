//! CloudTrail's `userIdentity` → the acting identity, its credential, and what kind of actor it is.
//!
//! One arm per `userIdentity.type` (rules AWS-1 to AWS-15). What the record cannot say, the chain behind a temporary
//! key, is left to lineage: the draft says by what to look for it.

use super::draft::{Draft, Seek};
use super::names::Names;
use super::{issue, presented, web_identity, workload};
use crate::model::{
    ActorType, AuditEvent, AwsPrincipal, Confidence, CredentialKind, IdentityKind, Method,
    PrincipalType, Uid,
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
        PrincipalType::AwsAccount => foreign_account(event, principal, names),
        PrincipalType::AwsService | PrincipalType::Absent => service(event, principal, names),
        PrincipalType::IdentityCenterUser => identity_center(principal, names),
        PrincipalType::SamlUser => saml(event, principal, names),
        PrincipalType::WebIdentityUser => web_user(event, principal, names),
        PrincipalType::Unknown => unknown(principal, names),
    };
    presented::complete(event, principal, names, &mut draft);
    let signs_in = event.service == "signin.amazonaws.com" && event.operation == "ConsoleLogin";
    if signs_in && draft.word.actor_type != ActorType::Provider {
        draft.word.actor_type = ActorType::Human;
        draft = draft.because(&["HM-10"]);
    }
    if let Some(actor) = issue::oauth_actor(event) {
        draft.word.actor_type = actor;
        draft = draft.because(&["HM-11"]);
    }
    // HM-18: the name that a caller chose is a label and gives no verdict. What Roles Anywhere sets is none (AWS-28).
    draft.word.claimed_origin = principal
        .source_identity
        .as_deref()
        .or_else(|| session_name(principal))
        .map(|name| names.intern(name));
    draft.word.on_behalf_of = principal
        .on_behalf_of_user
        .as_deref()
        .map(|user| identity_center_uid(principal, user, names));
    if draft.word.on_behalf_of.is_some() && draft.word.actor_type == ActorType::Unknown {
        // HM-9, AWS-31: a role that is no person's own and acts for one is a machine.
        draft.word.actor_type = ActorType::Nhi;
        draft = draft.because(&["HM-9"]);
    }
    if draft.word.rests_on("AWS-34") && draft.word.actor_type != ActorType::Provider {
        draft.word.actor_type = ActorType::External;
    }
    draft
}

/// AWS-1, HM-15. A session of root is a person's; root's own long-term key is a program's, as far as anyone can tell.
/// AWS-35: a session that AssumeRoot began is no login of root (L-7), and whose it is its issuing event says.
fn root(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let uid = names.join(&["aws:root:", account(principal)]);
    if long_term_key(principal) {
        return Draft::direct(uid, IdentityKind::AccountRoot, ActorType::Nhi).because(&["AWS-1"]);
    }
    if principal.assumed_root {
        return Draft::direct(uid, IdentityKind::AccountRoot, ActorType::Unknown)
            .because(&["AWS-1", "AWS-35"]);
    }
    Draft::direct(uid, IdentityKind::AccountRoot, ActorType::Human).because(&["AWS-1", "HM-15"])
}

/// AWS-2, HM-10, HM-14, HM-16: a user with a long-term key is a machine unless something shows a person. Of the second
/// factor only its presence shows one (AWS-27).
fn iam_user(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let uid = match (&principal.principal_id, &principal.arn) {
        (Some(id), _) if !id.contains(':') => names.join(&["aws:user:", id]),
        (_, Some(arn)) => names.join(&["aws:user-arn:", arn]),
        _ => {
            let name = principal.user_name.as_deref().unwrap_or("unknown");
            names.join(&["aws:user-name:", account(principal), ":", name])
        }
    };
    let (actor, reason) = if principal.from_console {
        (ActorType::Human, "HM-10")
    } else if principal.mfa == Some(true) {
        (ActorType::Human, "HM-14")
    } else if long_term_key(principal) {
        (ActorType::Nhi, "HM-16")
    } else {
        (ActorType::Unknown, "HM-19")
    };
    Draft::direct(uid, IdentityKind::IamUser, actor).because(&["AWS-2", reason])
}

/// AWS-3, AWS-4, HM-2, HM-5, HM-10, HM-12, HM-14.
fn assumed_role(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let id = principal.principal_id.as_deref().unwrap_or_default();
    if let Some((account, instance)) = id.split_once(":aws:ec2-instance:") {
        let uid = names.join(&["aws:ec2-identity:", account, ":", instance]);
        let mut draft = Draft::direct(uid, IdentityKind::Ec2InstanceIdentity, ActorType::Nhi);
        draft.word.method = Method::Delivered;
        draft.word.workload_uid = workload::instance(account, instance, names);
        return draft.because(&["AWS-4", "HM-4"]);
    }
    let (uid, exact) = role_uid(principal, id, names);
    let arn = issuer_arn(principal).unwrap_or_default();
    let single_sign_on = arn.contains("/aws-reserved/sso.amazonaws.com/");
    let (kind, actor, reason) = if arn.contains("/aws-service-role/") {
        (IdentityKind::ServiceLinkedRole, ActorType::Provider, "HM-2")
    } else if single_sign_on {
        (IdentityKind::IamRole, ActorType::Human, "HM-12")
    } else if principal.from_console {
        (IdentityKind::IamRole, ActorType::Human, "HM-10")
    } else if principal.mfa == Some(true) {
        (IdentityKind::IamRole, ActorType::Human, "HM-14")
    } else if certificate_session(principal) {
        (IdentityKind::IamRole, ActorType::Nhi, "AWS-28")
    } else {
        (IdentityKind::IamRole, ActorType::Unknown, "HM-19")
    };
    let mut draft = Draft::direct(uid, kind, actor).because(&["AWS-3", reason]);
    if !exact {
        draft.word.confidence = Confidence::Probable;
    }
    if let (true, Some(user)) = (single_sign_on, &principal.on_behalf_of_user) {
        // The directory names the person; that the role is theirs alone is AWS's word for it, so never exact.
        let uid = identity_center_uid(principal, user, names);
        draft.behind(uid, IdentityKind::IdentityCenterUser);
        draft.word.confidence = draft.word.confidence.min(Confidence::Strong);
    }
    draft
}

/// The role by its unique id, else by its ARN. The session's ARN has lost the role's path (ID-2), so it names the
/// role only probably.
fn role_uid(principal: &AwsPrincipal<'_>, id: &str, names: &mut Names) -> (Uid, bool) {
    let stated = principal
        .issuer
        .as_ref()
        .and_then(|issuer| issuer.principal_id.as_deref());
    let unique = stated.or_else(|| id.split(':').next().filter(|head| !head.is_empty()));
    match (unique, issuer_arn(principal), principal.arn.as_deref()) {
        (Some(unique), _, _) => (names.join(&["aws:role:", unique]), true),
        (None, Some(arn), _) => (names.join(&["aws:role-arn:", arn]), true),
        (None, None, Some(arn)) => (names.join(&["aws:session-arn:", arn]), false),
        (None, None, None) => (names.join(&["unknown:", account(principal)]), false),
    }
}

/// AWS-28, A.5: IAM Roles Anywhere names the session after the certificate's serial and sets `CN=…` itself.
fn certificate_session(principal: &AwsPrincipal<'_>) -> bool {
    let common_name = principal.source_identity.as_deref().unwrap_or_default();
    let serial = session_name(principal).unwrap_or_default();
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    common_name.starts_with("CN=")
        && (8..=40).contains(&serial.len())
        && serial.bytes().all(lower_hex)
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
    let mut draft = Draft::direct(uid, IdentityKind::IamRole, ActorType::Nhi).because(&["AWS-5"]);
    draft.word.confidence = Confidence::Probable;
    draft
}

/// AWS-6: who asked for the federation token stands in the record itself.
fn federated_user(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let fallback = principal.arn.as_deref().unwrap_or("unknown");
    let id = principal.principal_id.as_deref().unwrap_or(fallback);
    let uid = names.join(&["aws:fed:", id]);
    let mut draft =
        Draft::direct(uid, IdentityKind::FederatedSession, ActorType::Unknown).because(&["AWS-6"]);
    let Some(issuer) = &principal.issuer else {
        return draft;
    };
    let root = issuer.issuer_type.as_deref() == Some("Root");
    let (uid, kind) = match (&issuer.principal_id, root) {
        (Some(id), true) => (names.join(&["aws:root:", id]), IdentityKind::AccountRoot),
        (Some(id), false) => (names.join(&["aws:user:", id]), IdentityKind::IamUser),
        (None, _) => {
            let arn = issuer.arn.as_deref().unwrap_or("unknown");
            (names.join(&["aws:user-arn:", arn]), IdentityKind::IamUser)
        }
    };
    draft.word.actor_type = if root {
        ActorType::Human
    } else {
        ActorType::Nhi
    };
    draft.behind(uid, kind);
    if root {
        draft
    } else {
        draft.because(&["HM-16"])
    }
}

/// AWS-7.
fn directory(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let id = principal.principal_id.as_deref().unwrap_or("unknown");
    let uid = names.join(&["aws:dir:", account(principal), ":", id]);
    let mut draft =
        Draft::direct(uid, IdentityKind::DirectoryUser, ActorType::Human).because(&["AWS-7"]);
    draft.word.confidence = Confidence::Probable;
    draft
}

/// AWS-8, L-2: the called account's copy of a call from another account names the caller by unique id at best, and only
/// there does the id's prefix say what the caller is (ID-5). The caller's own account tells more, if its log is read too.
fn foreign_account(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    names: &mut Names,
) -> Draft {
    let id = principal.principal_id.as_deref().unwrap_or_default();
    let head = id.split(':').next().unwrap_or_default();
    if principal.account_id.as_deref() == Some("ANONYMOUS_PRINCIPAL") {
        let uid = names.intern("aws:anon");
        return Draft::direct(uid, IdentityKind::Anonymous, ActorType::Anonymous)
            .because(&["AWS-8"]);
    }
    let (uid, kind, confidence) = if head.starts_with("AROA") {
        let uid = names.join(&["aws:role:", head]);
        (uid, IdentityKind::IamRole, Confidence::Strong)
    } else if head.starts_with("AIDA") {
        let uid = names.join(&["aws:user:", head]);
        (uid, IdentityKind::IamUser, Confidence::Strong)
    } else {
        let uid = names.join(&["aws:acct:", account(principal)]);
        (uid, IdentityKind::ExternalAccount, Confidence::Exact)
    };
    let mut draft = Draft::direct(uid, kind, ActorType::External).because(&["AWS-8"]);
    draft.word.confidence = confidence;
    if let Some(shared) = &event.shared_event_uid {
        draft.seek = Some(Seek {
            shared: Some(names.intern(shared)),
            ..Seek::default()
        });
    }
    draft
}

/// AWS-9, AWS-10, HM-1; and rule 0.5: a service that obtains a role for something is not the actor, the role is. Whatever
/// else its row names, in the request or among the resources, is no caller (FAS-6). DD-2: the other copy of a service's
/// own call stands in an account of AWS and is not waited for.
fn service(event: &AuditEvent<'_>, principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let service = principal.invoked_by.as_deref().unwrap_or(&event.service);
    if event.service == "rolesanywhere.amazonaws.com"
        && let Some(draft) = certificate(event, names)
    {
        return draft;
    }
    if event.operation == "AssumeRole"
        && let Some(draft) = delivery(event, service, names)
    {
        return draft;
    }
    let uid = names.join(&["aws:svc:", service]);
    let mut draft = Draft::direct(uid, IdentityKind::AwsService, ActorType::Provider);
    draft.word.method = Method::Service;
    let rule = if principal.principal_type == PrincipalType::Absent {
        "AWS-10"
    } else {
        "AWS-9"
    };
    draft.because(&[rule, "HM-1"])
}

/// L-3: `service` obtains a role. The answer often names the role by its ARN only (LIN-4).
fn delivery(event: &AuditEvent<'_>, service: &str, names: &mut Names) -> Option<Draft> {
    let issued = event.issued.as_ref()?;
    let arn = issued.role_arn.as_deref()?;
    let unique = issued
        .session_principal_id
        .as_deref()
        .and_then(|id| id.split(':').next());
    let uid = match unique {
        Some(unique) => names.join(&["aws:role:", unique]),
        None => names.join(&["aws:role-arn:", arn]),
    };
    let kind = workload::delivered_kind(service, arn);
    let (actor, rule) = match kind {
        IdentityKind::WorkloadRole => (ActorType::Nhi, "HM-4"),
        IdentityKind::ServiceLinkedRole => (ActorType::Provider, "HM-2"),
        _ => (ActorType::Provider, "HM-1"),
    };
    let mut draft = Draft::direct(uid, kind, actor).because(&["AWS-9", "L-3", rule]);
    draft.word.method = Method::Delivered;
    draft.word.via.push(names.join(&["aws:svc:", service]));
    if kind == IdentityKind::WorkloadRole
        && let Some(name) = issued.session_name.as_deref()
    {
        draft.word.workload_uid = workload::delivered_to(event, service, arn, name, names);
    }
    if unique.is_none() {
        draft.seek = Some(Seek {
            named_role: Some(names.intern(arn)),
            ..Seek::default()
        });
    }
    Some(draft)
}

/// L-11, HM-5: a host changes its certificate for a role.
fn certificate(event: &AuditEvent<'_>, names: &mut Names) -> Option<Draft> {
    let issued = event.issued.as_ref()?;
    let anchor = issued.issuer.as_deref()?;
    let session = issued.session_principal_id.as_deref();
    let serial = session
        .and_then(|id| id.split_once(':'))
        .map(|(_, serial)| serial)
        .or(issued.session_name.as_deref())?
        .to_ascii_lowercase();
    let uid = names.join(&["x509:", anchor, ":", &serial]);
    let mut draft = Draft::direct(uid.clone(), IdentityKind::X509Workload, ActorType::Nhi)
        .because(&["L-11", "HM-5"]);
    draft.credential(Some(uid), CredentialKind::X509Certificate);
    Some(draft)
}

/// AWS-11, HM-8.
fn identity_center(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let uid = match &principal.on_behalf_of_user {
        Some(user) => identity_center_uid(principal, user, names),
        None => {
            let name = principal.user_name.as_deref().unwrap_or("unknown");
            names.join(&["aws:idc-name:", account(principal), ":", name])
        }
    };
    Draft::direct(uid, IdentityKind::IdentityCenterUser, ActorType::Human)
        .because(&["AWS-11", "HM-8"])
}

fn identity_center_uid(principal: &AwsPrincipal<'_>, user: &str, names: &mut Names) -> Uid {
    let store = principal.identity_store.as_deref().unwrap_or("");
    names.join(&["aws:idc:", store, ":", user])
}

/// AWS-12, HM-13.
fn saml(event: &AuditEvent<'_>, principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let issued = event.issued.as_ref();
    let subject = issued
        .and_then(|issued| issued.subject.as_deref())
        .or(principal.user_name.as_deref())
        .unwrap_or("unknown");
    let provider = issued
        .and_then(|issued| issued.issuer.as_deref())
        .or(principal.identity_provider.as_deref())
        .unwrap_or("unknown");
    let uid = names.join(&["saml:", provider, "|", subject]);
    let mut draft = Draft::direct(uid, IdentityKind::SamlSubject, ActorType::Human)
        .because(&["AWS-12", "HM-13"]);
    draft.credential(None, CredentialKind::SamlAssertion);
    draft.word.confidence = Confidence::Strong;
    draft
}

/// AWS-13 and C.1: a workload that proves itself with an OpenID Connect token.
fn web_user(event: &AuditEvent<'_>, principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    let issued = event.issued.as_ref();
    let provider = issued
        .and_then(|issued| issued.issuer.as_deref())
        .or(principal.identity_provider.as_deref())
        .unwrap_or("unknown");
    // Provider, audience and subject all hold colons: only a known prefix may be taken off their concatenation.
    let joined = principal
        .principal_id
        .as_deref()
        .and_then(|id| id.strip_prefix(provider)?.strip_prefix(':'));
    let audience = issued
        .and_then(|issued| issued.audience.as_deref())
        .or_else(|| {
            let subject = principal.user_name.as_deref()?;
            joined?.strip_suffix(subject)?.strip_suffix(':')
        });
    let subject = issued
        .and_then(|issued| issued.subject.as_deref())
        .or(principal.user_name.as_deref())
        .or_else(|| {
            let known = "sts.amazonaws.com:";
            joined.map(|text| text.strip_prefix(known).unwrap_or(text))
        })
        .unwrap_or("unknown");
    let issuer = web_identity::issuer_of(provider);
    let mut draft = web_identity::subject(issuer, subject, audience, names).because(&["AWS-13"]);
    draft.credential(None, CredentialKind::WebIdentityToken);
    draft
}

/// AWS-14: the best that a record of unknown type offers. Whose the name in an ARN was then, other records may know.
fn unknown(principal: &AwsPrincipal<'_>, names: &mut Names) -> Draft {
    if principal.on_behalf_of_user.is_some() {
        return identity_center(principal, names).because(&["AWS-14"]);
    }
    let arn = principal.arn.as_deref().unwrap_or_default();
    let id = principal.principal_id.as_deref().unwrap_or_default();
    let name = principal.user_name.as_deref().unwrap_or_default();
    let directory = [id, name].into_iter().find(|text| text.contains("S-1-5-"));
    let (uid, kind) = if arn.contains(":user/") {
        (names.join(&["aws:user-arn:", arn]), IdentityKind::IamUser)
    } else if arn.contains(":role/") {
        (names.join(&["aws:role-arn:", arn]), IdentityKind::IamRole)
    } else if let Some(user) = directory {
        let uid = names.join(&["aws:dir:", account(principal), ":", user]);
        (uid, IdentityKind::DirectoryUser)
    } else {
        let uid = names.join(&["unknown:", account(principal)]);
        (uid, IdentityKind::Unknown)
    };
    let mut draft = Draft::direct(uid, kind, ActorType::Unknown).because(&["AWS-14"]);
    draft.word.confidence = if kind == IdentityKind::Unknown {
        Confidence::None
    } else {
        Confidence::Probable
    };
    draft.word.method = Method::None;
    if matches!(kind, IdentityKind::IamRole | IdentityKind::IamUser) {
        draft.seek = Some(Seek {
            named_role: Some(names.intern(arn)),
            ..Seek::default()
        });
    }
    draft
}

pub(super) fn issuer_arn<'a>(principal: &'a AwsPrincipal<'_>) -> Option<&'a str> {
    principal.issuer.as_ref()?.arn.as_deref()
}

fn long_term_key(principal: &AwsPrincipal<'_>) -> bool {
    principal
        .access_key_id
        .as_deref()
        .is_some_and(|key| key.starts_with("AKIA"))
}

fn account<'a>(principal: &'a AwsPrincipal<'_>) -> &'a str {
    principal.account_id.as_deref().unwrap_or("unknown")
}

/// The part of `AROA…:session` after the colon: chosen by the caller, or the instance's id for deliveries.
pub(super) fn session_name<'a>(principal: &'a AwsPrincipal<'_>) -> Option<&'a str> {
    if principal.principal_type != PrincipalType::AssumedRole {
        return None;
    }
    principal
        .principal_id
        .as_deref()
        .and_then(|id| id.split_once(':'))
        .map(|(_, name)| name)
}
