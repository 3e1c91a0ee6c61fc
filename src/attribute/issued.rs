//! The temporary credential that an event issued, as lineage remembers it (issue events L-1 to L-8).

use std::borrow::Cow;

use super::Session;
use super::names::Names;
use super::sessions::Parent;
use crate::model::{
    Attribution, AuditEvent, IdentityKind, Micros, Principal, PrincipalType, SessionMethod, Uid,
};

/// Services that hand a role to customer code (rule 0.5). Everything else that assumes a role is AWS's own code.
const COMPUTE_SERVICES: [&str; 14] = [
    "airflow-env.amazonaws.com",
    "batch.amazonaws.com",
    "build.apprunner.amazonaws.com",
    "codebuild.amazonaws.com",
    "credentials.iot.amazonaws.com",
    "ec2.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "edgelambda.amazonaws.com",
    "elasticmapreduce.amazonaws.com",
    "glue.amazonaws.com",
    "lambda.amazonaws.com",
    "pods.eks.amazonaws.com",
    "sagemaker.amazonaws.com",
    "tasks.apprunner.amazonaws.com",
];

/// Longest life of a role session (IAM user guide, "Maximum session duration"), when the answer names no expiry.
const ROLE_LIFE_MAX: i64 = 12 * Micros::HOUR;

/// Longest life of any temporary credential (STS API reference, `GetSessionToken`): an answer that says more is wrong.
const SESSION_LIFE_MAX: i64 = 36 * Micros::HOUR;

/// The credential that `event` issued, as lineage remembers it.
pub(super) fn session(
    event: &AuditEvent<'_>,
    by: &Attribution,
    names: &mut Names,
) -> Option<Session> {
    let issued = event.issued.as_ref()?;
    let foreign_copy = matches!(
        &event.principal,
        Principal::Aws(aws) if aws.principal_type == PrincipalType::AwsAccount
    );
    let unique = issued
        .session_principal_id
        .as_deref()
        .and_then(|id| id.split(':').next());
    let identity_uid = match (event.operation.as_ref(), unique, issued.role_arn.as_deref()) {
        ("GetSessionToken", _, _) => by.acting_uid.clone(),
        ("GetFederationToken", _, _) => {
            names.join(&["aws:fed:", issued.session_principal_id.as_deref()?])
        }
        ("AssumeRoot", _, _) => {
            let target = issued.target.as_deref()?;
            names.join(&["aws:root:", target.split(':').nth(4).unwrap_or(target)])
        }
        (_, Some(unique), _) => names.join(&["aws:role:", unique]),
        (_, None, Some(arn)) => names.join(&["aws:role-arn:", arn]),
        (_, None, None) => return None,
    };
    let delivery = by.acting_kind == IdentityKind::AwsService;
    let service = by.invoked_by.as_deref().unwrap_or_default();
    let compute = delivery && COMPUTE_SERVICES.contains(&service);
    let slr = issued
        .role_arn
        .as_deref()
        .is_some_and(|arn| arn.contains(":role/aws-service-role/"));
    let session_name = issued
        .session_name
        .as_deref()
        .map(|name| names.intern(name));
    let workload_uid = match &session_name {
        Some(name) if compute => Some(names.join(&["wl:", service, ":", name])),
        _ => None,
    };
    Some(Session {
        session_uid: names.intern(&issued.key_id),
        identity_uid,
        role_arn: issued.role_arn.as_deref().map(|arn| names.intern(arn)),
        issued_by: (!delivery).then(|| {
            let mut parent = Parent::from(by.clone());
            // Who a caller of another account was in the end, its own account's copy says (L-2).
            parent.pending |= foreign_copy;
            parent
        }),
        foreign_copy,
        delivered_by: delivery.then(|| names.intern(service)),
        kind: match (delivery, slr, compute) {
            (_, true, _) => IdentityKind::ServiceLinkedRole,
            (true, _, true) => IdentityKind::WorkloadRole,
            (true, _, false) => IdentityKind::ServiceRole,
            (false, ..) => IdentityKind::IamRole,
        },
        method: method(&event.operation, delivery),
        workload_uid,
        issued_at: event.event_time,
        expires_at: issued
            .expires_at
            .unwrap_or(event.event_time.plus(ROLE_LIFE_MAX))
            .clamp(event.event_time, event.event_time.plus(SESSION_LIFE_MAX)),
        source_identity: intern(names, issued.source_identity.as_ref()),
        session_name,
        federation_issuer: intern(names, issued.issuer.as_ref()),
        federation_subject: intern(names, issued.subject.as_ref()),
        federation_audience: intern(names, issued.audience.as_ref()),
        issue_event_uid: names.intern(&event.event_uid),
    })
}

fn method(operation: &str, delivery: bool) -> SessionMethod {
    match operation {
        _ if delivery => SessionMethod::RoleForService,
        "AssumeRoleWithWebIdentity" => SessionMethod::WebIdentity,
        "AssumeRoleWithSAML" => SessionMethod::Saml,
        "AssumeRoot" => SessionMethod::AssumeRoot,
        "GetSessionToken" => SessionMethod::GetSessionToken,
        "GetFederationToken" => SessionMethod::FederationToken,
        _ => SessionMethod::AssumeRole,
    }
}

fn intern(names: &mut Names, text: Option<&Cow<'_, str>>) -> Option<Uid> {
    text.map(|text| names.intern(text))
}
