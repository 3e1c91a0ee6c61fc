//! To what a credential was delivered: services that hand roles to code, and the ids of what they hand them to
//! (attribution 0.5 and A.5).

use super::names::Names;
use crate::model::{AuditEvent, IdentityKind, Uid};

/// Services that hand a role to customer code. Everything else that assumes a role is AWS's own code. `ec2`, `lambda`,
/// `ecs-tasks` and `pods.eks` were seen in real logs; the others follow the names of AWS's list of service principals.
const COMPUTE_SERVICES: [&str; 15] = [
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
    "ssm.amazonaws.com",
    "tasks.apprunner.amazonaws.com",
];

/// What kind of role a service obtains: AWS's own, one that runs customer code, or one that AWS's code uses in the
/// customer's name.
pub(super) fn delivered_kind(service: &str, role_arn: &str) -> IdentityKind {
    if role_arn.contains(":role/aws-service-role/") {
        IdentityKind::ServiceLinkedRole
    } else if COMPUTE_SERVICES.contains(&service) {
        IdentityKind::WorkloadRole
    } else {
        IdentityKind::ServiceRole
    }
}

/// The workload that `service` names by the role session's name. Only a delivery confirms it: alone, the name is what
/// a caller chose.
pub(super) fn delivered_to(
    event: &AuditEvent<'_>,
    service: &str,
    role_arn: &str,
    session_name: &str,
    names: &mut Names,
) -> Option<Uid> {
    let account = account_of(role_arn)?;
    let region = event.region.as_deref().unwrap_or("unknown");
    match service {
        "ec2.amazonaws.com" => instance(account, session_name, names),
        "ecs-tasks.amazonaws.com" => {
            Some(names.join(&["wl:ecs-task:", account, ":", region, ":", session_name]))
        }
        // The control plane fetches a function's role under a name of its own; that is not the function (A.5).
        "lambda.amazonaws.com" if session_name.starts_with("awslambda_") => None,
        "lambda.amazonaws.com" => {
            Some(names.join(&["wl:lambda:", account, ":", region, ":", session_name]))
        }
        "pods.eks.amazonaws.com" => pod(event, names),
        _ => None,
    }
}

/// An EC2 instance, without the region: the same instance calls into many.
pub(super) fn instance(account: &str, session_name: &str, names: &mut Names) -> Option<Uid> {
    let hex = session_name.strip_prefix("i-")?;
    let known_length = matches!(hex.len(), 8 | 17);
    (known_length && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| names.join(&["wl:ec2-instance:", account, ":", session_name]))
}

/// A pod's service account, from the session tags that EKS Pod Identity sets (L-10).
fn pod(event: &AuditEvent<'_>, names: &mut Names) -> Option<Uid> {
    let request: serde_json::Value =
        serde_json::from_str(event.details.request.as_deref()?).ok()?;
    let tag = |name: &str| -> Option<String> {
        let listed = request.get("tags").and_then(|tags| tags.as_array());
        let found = listed.into_iter().flatten().find_map(|tag| {
            let key = tag.get("key").or_else(|| tag.get("Key"))?;
            (key.as_str()? == name).then(|| tag.get("value").or_else(|| tag.get("Value")))?
        });
        let value = found.or_else(|| request.get("principalTags")?.get(name))?;
        value.as_str().map(str::to_owned)
    };
    let cluster = tag("eks-cluster-arn")?;
    let namespace = tag("kubernetes-namespace")?;
    let account = tag("kubernetes-service-account")?;
    Some(names.join(&["wl:k8s:", &cluster, "/", &namespace, "/", &account]))
}

/// The account in an ARN.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}
