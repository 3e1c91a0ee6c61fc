//! The session that an event began, as lineage remembers it (issue events L-1 to L-19).

use std::borrow::Cow;

use serde_json::Value;

use super::facts::{SESSION_LIFE_MAX, Session};
use super::names::Names;
use super::parent::Parent;
use super::web_identity;
use crate::model::{
    ActorType, Attribution, AuditEvent, AwsPrincipal, IdentityKind, Issued, LogSource, Micros,
    Outcome, Principal, PrincipalType, SessionMethod, Uid,
};

/// Longest life of a role session (IAM user guide, "Maximum session duration"), when the answer names no expiry.
const ROLE_LIFE_MAX: i64 = 12 * Micros::HOUR;

/// A token of a managed identity lives for about a day, so its sign-in is remembered for two (B.3).
const TOKEN_LIFE_MAX: i64 = 48 * Micros::HOUR;

/// The session that `event` began. `open`: who began it may still become better known.
pub(super) fn session(
    event: &AuditEvent<'_>,
    by: &Attribution,
    open: bool,
    names: &mut Names,
) -> Option<Session> {
    match (&event.principal, &event.issued) {
        (Principal::Aws(principal), Some(issued)) => {
            issued_key(event, principal.principal_type, issued, (by, open), names)
        }
        (Principal::Aws(principal), None) => console_sign_in(event, principal, (by, open), names),
        (Principal::Azure(principal), _) => {
            let sign_in =
                event.source == LogSource::EntraSignin && event.outcome == Outcome::Success;
            let token = principal.token_id.as_deref().filter(|_| sign_in)?;
            let mut session = base(
                event,
                by,
                names.intern(token),
                SessionMethod::EntraSignIn,
                names,
            );
            session.expires_at = event.event_time.plus(TOKEN_LIFE_MAX);
            session.principal = Some(by.acting_uid.clone());
            session.issued_by = Some(Parent::of(by, open));
            Some(session)
        }
    }
}

/// A session with what every one has, acting as the caller itself.
fn base(
    event: &AuditEvent<'_>,
    by: &Attribution,
    session_uid: Uid,
    method: SessionMethod,
    names: &mut Names,
) -> Session {
    Session {
        session_uid,
        key: None,
        principal: None,
        identity_uid: by.acting_uid.clone(),
        role_arn: None,
        issued_by: None,
        delivered_by: None,
        kind: by.acting_kind,
        method,
        workload_uid: by.workload_uid.clone(),
        issued_at: event.event_time,
        expires_at: event.event_time.plus(ROLE_LIFE_MAX),
        source_identity: None,
        session_name: None,
        federation_issuer: None,
        federation_subject: None,
        federation_audience: None,
        sign_in_session: None,
        issue_event_uid: names.intern(&event.event_uid),
        foreign_copy: false,
        revision: 0,
    }
}

fn issued_key(
    event: &AuditEvent<'_>,
    caller: PrincipalType,
    issued: &Issued<'_>,
    (by, open): (&Attribution, bool),
    names: &mut Names,
) -> Option<Session> {
    let delivery = matches!(caller, PrincipalType::AwsService | PrincipalType::Absent)
        && by.identity_kind != IdentityKind::X509Workload;
    let method = method(event, delivery, by);
    let identity_uid = identity(method, issued, by, names)?;
    let key = intern(names, issued.key_id.as_ref());
    let principal = issued
        .session_principal_id
        .as_deref()
        .map(|id| names.intern(id))
        .or_else(|| own_principal(event, method, &identity_uid, names));
    // A session whose key is left out is known by its beginning (LIN-12).
    let session_uid = key
        .clone()
        .unwrap_or_else(|| names.join(&["issued-by:", &event.event_uid]));
    let mut session = base(event, by, session_uid, method, names);
    session.expires_at = issued
        .expires_at
        .unwrap_or(session.expires_at)
        .clamp(event.event_time, event.event_time.plus(SESSION_LIFE_MAX));
    if identity_uid != by.acting_uid {
        session.kind = IdentityKind::IamRole;
    }
    session.key = key;
    session.principal = principal;
    session.identity_uid = identity_uid;
    session.role_arn = intern(names, issued.role_arn.as_ref());
    session.issued_by = (!delivery).then(|| Parent::of(by, open));
    session.delivered_by = by.via.first().cloned().filter(|_| delivery);
    session.foreign_copy = caller == PrincipalType::AwsAccount;
    session.source_identity = intern(names, issued.source_identity.as_ref());
    session.session_name = intern(names, issued.session_name.as_ref());
    let issuer = issued.issuer.as_deref().map(web_identity::issuer_of);
    session.federation_issuer = issuer.map(|issuer| names.intern(issuer));
    session.federation_subject = intern(names, issued.subject.as_ref());
    session.federation_audience = intern(names, issued.audience.as_ref());
    Some(session)
}

/// Whom the session acts as.
fn identity(
    method: SessionMethod,
    issued: &Issued<'_>,
    by: &Attribution,
    names: &mut Names,
) -> Option<Uid> {
    let unique = issued
        .session_principal_id
        .as_deref()
        .and_then(|id| id.split(':').next());
    Some(match (method, unique, issued.role_arn.as_deref()) {
        (SessionMethod::GetSessionToken | SessionMethod::IssuedKey, _, _) => by.acting_uid.clone(),
        (SessionMethod::FederationToken, _, _) => {
            names.join(&["aws:fed:", issued.session_principal_id.as_deref()?])
        }
        (SessionMethod::AssumeRoot, _, _) => {
            let target = issued.target.as_deref()?;
            names.join(&["aws:root:", target.split(':').nth(4).unwrap_or(target)])
        }
        (_, Some(unique), _) => names.join(&["aws:role:", unique]),
        // LIN-4: the answer to a service names the role only by its ARN; the caller's row may know better.
        (_, None, Some(_))
            if by.acting_uid.starts_with("aws:role:")
                && method == SessionMethod::RoleForService =>
        {
            by.acting_uid.clone()
        }
        (_, None, Some(arn)) => names.join(&["aws:role-arn:", arn]),
        (_, None, None) => return None,
    })
}

/// Whom the records of a session will name that acts as its own caller, or as root.
fn own_principal(
    event: &AuditEvent<'_>,
    method: SessionMethod,
    identity: &Uid,
    names: &mut Names,
) -> Option<Uid> {
    let Principal::Aws(caller) = &event.principal else {
        return None;
    };
    match method {
        SessionMethod::GetSessionToken => caller.principal_id.as_deref().map(|id| names.intern(id)),
        SessionMethod::AssumeRoot => identity
            .strip_prefix("aws:root:")
            .map(|id| names.intern(id)),
        _ => None,
    }
}

fn method(event: &AuditEvent<'_>, delivery: bool, by: &Attribution) -> SessionMethod {
    match event.operation.as_ref() {
        "AssumeRole"
            if by
                .via
                .iter()
                .any(|via| &**via == "aws:svc:pods.eks.amazonaws.com") =>
        {
            SessionMethod::PodIdentity
        }
        "AssumeRole" if delivery => SessionMethod::RoleForService,
        "AssumeRole" => SessionMethod::AssumeRole,
        "AssumeRoleWithWebIdentity" => SessionMethod::WebIdentity,
        "AssumeRoleWithSAML" => SessionMethod::Saml,
        "AssumeRoot" => SessionMethod::AssumeRoot,
        "GetSessionToken" => SessionMethod::GetSessionToken,
        "GetFederationToken" => SessionMethod::FederationToken,
        "CreateSession" if by.identity_kind == IdentityKind::X509Workload => {
            SessionMethod::RolesAnywhere
        }
        _ => SessionMethod::IssuedKey,
    }
}

/// L-14 to L-17: a sign-in begins a session under whose start all of the console's keys run.
fn console_sign_in(
    event: &AuditEvent<'_>,
    principal: &AwsPrincipal<'_>,
    (by, open): (&Attribution, bool),
    names: &mut Names,
) -> Option<Session> {
    if event.service != "signin.amazonaws.com" || event.outcome != Outcome::Success {
        return None;
    }
    let method = match event.operation.as_ref() {
        "ConsoleLogin" | "GetSigninToken" => SessionMethod::ConsoleSignIn,
        "AuthorizeOAuth2Access" => SessionMethod::OauthCode,
        // A refreshed token is one more of a session that another call began.
        "CreateOAuth2Token" if said(event, GRANT).as_deref() == Some("refresh_token") => {
            return None;
        }
        "CreateOAuth2Token" => SessionMethod::OauthCode,
        "CreateOAuth2TokenWithIAM" => SessionMethod::OauthWithIam,
        _ => return None,
    };
    let id = principal.principal_id.as_deref()?;
    let start = event.event_time.to_string();
    let session_uid = names.join(&["aws:sess:", id, "@", &start]);
    let mut session = base(event, by, session_uid, method, names);
    session.principal = Some(names.intern(id));
    // A step of a sign-in names the session that it leads to beside the caller; the caller's own is another one.
    session.sign_in_session = said(event, "signInSessionArn")
        .or(principal.sign_in_session_arn.as_deref().map(str::to_owned))
        .map(|arn| names.intern(&arn));
    session.issued_by = Some(Parent::of(by, open));
    Some(session)
}

/// HM-11: whose doing an OAuth step of the sign-in service is. A code is given to somebody at a browser; a token that is
/// asked for with IAM's permissions is a program's.
pub(super) fn oauth_actor(event: &AuditEvent<'_>) -> Option<ActorType> {
    if event.service != "signin.amazonaws.com" {
        return None;
    }
    match event.operation.as_ref() {
        "CreateOAuth2TokenWithIAM" => Some(ActorType::Nhi),
        "CreateOAuth2Token" => said(event, GRANT)
            .filter(|grant| grant == "authorization_code")
            .map(|_| ActorType::Human),
        _ => None,
    }
}

/// For what an OAuth client got its token (L-14).
const GRANT: &str = "grant_type";

/// A member of `additionalEventData`.
fn said(event: &AuditEvent<'_>, name: &str) -> Option<String> {
    let extra: Value = serde_json::from_str(event.details.extra.as_deref()?).ok()?;
    Some(extra.get(name)?.as_str()?.to_owned())
}

fn intern(names: &mut Names, text: Option<&Cow<'_, str>>) -> Option<Uid> {
    text.map(|text| names.intern(text))
}
