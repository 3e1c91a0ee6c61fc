//! Ties that one call shows between its caller and somebody who stands in no chain: parties outside for whom AWS issues
//! a token, and workloads that were given code or commands (the influence edges after A.7).
//!
//! Only what a request or its answer names plainly is tied, and nothing is attributed anew by it: that a workload's next
//! act is the doing of whoever gave it code is probable and no more.

use serde_json::Value;

use super::super::names::Names;
use super::super::workload;
use super::{Fields, aws, member, scalar, text};
use crate::model::{AuditEvent, LinkKind, LogSource, Outcome, Reason, Target, Tie};

/// More than one call can name: fifty instances (SSM API reference, `SendCommand`). What is beyond it is left out.
const TIES_MAX: usize = 50;

/// Every tie that `event` shows. Empty for nearly all events, at the cost of comparing names.
pub(crate) fn ties(event: &AuditEvent<'_>) -> Vec<Tie> {
    if event.outcome != Outcome::Success {
        return Vec::new();
    }
    match event.source {
        LogSource::CloudTrail if !event.foreign_copy() => of_aws(event),
        LogSource::AzureActivity => of_arm(event),
        _ => Vec::new(),
    }
}

fn of_aws(event: &AuditEvent<'_>) -> Vec<Tie> {
    let influenced = match (&*event.service, &*event.operation) {
        ("sts.amazonaws.com", "GetWebIdentityToken") => return outside(event),
        ("ec2.amazonaws.com", "ModifyInstanceAttribute") => rewritten_instance(event),
        ("ecs.amazonaws.com", "ExecuteCommand") => task(event),
        ("lambda.amazonaws.com", "UpdateFunctionCode" | "UpdateFunctionConfiguration") => {
            function(event)
        }
        ("ssm.amazonaws.com", "SendCommand" | "StartSession") => instances(event),
        _ => return Vec::new(),
    };
    tied(LinkKind::Influences, "A.7", influenced)
}

fn tied(kind: LinkKind, rule: &'static str, targets: Vec<Target>) -> Vec<Tie> {
    let mut ties: Vec<Tie> = Vec::new();
    for to in targets {
        let again = ties.iter().any(|tie| tie.to == to);
        if !again && ties.len() < TIES_MAX {
            ties.push(Tie {
                kind,
                to,
                rule: Reason::Borrowed(rule),
            });
        }
    }
    ties
}

/// L-20, X-5: the caller gets a token by which it proves to its audience who it is. That the token was issued is certain;
/// who receives it, and whether anybody does, no log shows, so the tie is to the audience as a name.
fn outside(event: &AuditEvent<'_>) -> Vec<Tie> {
    let fields = Fields::of(event);
    let mut audiences = fields.texts("rq.audience");
    audiences.extend(fields.text("rq.audience"));
    let audiences = audiences.iter();
    let audiences = audiences.map(|audience| Target::Uid(format!("oidc-audience:{audience}")));
    tied(LinkKind::FederatesTo, "X-5", audiences.collect())
}

/// A function whose code was replaced, or the layers that run before it; and the role that it acts as, which the answer
/// names.
fn function(event: &AuditEvent<'_>) -> Vec<Target> {
    let fields = Fields::of(event);
    if event.operation == "UpdateFunctionConfiguration" && fields.value("rq.layers").is_none() {
        return Vec::new();
    }
    let named = fields.text("re.functionArn|rq.functionName");
    let function = named.and_then(|named| function_arn(event, &named));
    let function = function.map(|arn| Target::Uid(format!("wl:{arn}")));
    let role = fields.text("re.role").filter(|arn| arn.contains(":role/"));
    function.into_iter().chain(role.map(Target::Arn)).collect()
}

/// The function's ARN without a version, from an ARN, a part of one (`<account>:function:<name>`) or the name: as AWS
/// names the function to which it delivers credentials (AWS-30).
fn function_arn(event: &AuditEvent<'_>, named: &str) -> Option<String> {
    if named.starts_with("arn:") {
        let parts: Vec<&str> = named.split(':').take(7).collect();
        return (parts.len() == 7).then(|| parts.join(":"));
    }
    let region = event.region.as_deref()?;
    let partition = match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let own = aws::account(event);
    let (account, name) = named
        .split_once(":function:")
        .unwrap_or((own.as_str(), named));
    let name = name.split(':').next()?;
    Some(format!(
        "arn:{partition}:lambda:{region}:{account}:function:{name}"
    ))
}

/// Instances that got a command or a session. Those that are named by tags or groups are not named.
fn instances(event: &AuditEvent<'_>) -> Vec<Target> {
    let fields = Fields::of(event);
    let mut ids = fields.texts("rq.instanceIds");
    ids.extend(fields.text("rq.target"));
    let targets = fields.value("rq.targets").and_then(Value::as_array);
    for target in targets.into_iter().flatten() {
        if text(target, "key").is_some_and(|key| key.eq_ignore_ascii_case("InstanceIds")) {
            let values = member(target, "values").and_then(Value::as_array);
            ids.extend(values.into_iter().flatten().filter_map(scalar));
        }
    }
    let ids = ids.iter();
    ids.filter_map(|id| instance(event, id)).collect()
}

/// An instance that runs another script when it starts.
fn rewritten_instance(event: &AuditEvent<'_>) -> Vec<Target> {
    let fields = Fields::of(event);
    // The script itself was taken out of the record; that there was one is enough.
    if fields.value("rq.userData").is_none() {
        return Vec::new();
    }
    let id = fields.text("rq.instanceId");
    id.and_then(|id| instance(event, &id)).into_iter().collect()
}

/// A task in one of whose containers a command was run.
fn task(event: &AuditEvent<'_>) -> Vec<Target> {
    let fields = Fields::of(event);
    let named = fields.text("re.taskArn|rq.task");
    let id = named.as_deref().and_then(|task| task.rsplit('/').next());
    let account = aws::account(event);
    id.zip(event.region.as_deref())
        .map(|(id, region)| Target::Uid(format!("wl:ecs-task:{account}:{region}:{id}")))
        .into_iter()
        .collect()
}

fn instance(event: &AuditEvent<'_>, id: &str) -> Option<Target> {
    let uid = workload::instance(&aws::account(event), id, &mut Names::default())?;
    Some(Target::Uid(uid.to_string()))
}

/// Machines on which somebody ran a command or put an extension. Their managed identity is known by this path (AZ-11).
fn of_arm(event: &AuditEvent<'_>) -> Vec<Tie> {
    /// `/subscriptions/<id>/resourcegroups/<name>/providers/<provider>/<type>/<name>`.
    const PARTS: usize = 9;
    let runs = matches!(
        &*event.operation,
        "microsoft.compute/virtualmachines/extensions/write"
            | "microsoft.compute/virtualmachines/runcommand/action"
            | "microsoft.compute/virtualmachines/runcommands/write"
            | "microsoft.hybridcompute/machines/extensions/write"
            | "microsoft.hybridcompute/machines/runcommands/write"
    );
    let Some(path) = event.resources.first().filter(|_| runs) else {
        return Vec::new();
    };
    let path = path.to_ascii_lowercase();
    // What was put on the machine stands below it.
    let parts: Vec<&str> = path.split('/').take(PARTS).collect();
    if parts.len() < PARTS {
        return Vec::new();
    }
    let machine = Target::Uid(format!("wl:{}", parts.join("/")));
    tied(LinkKind::Influences, "A.7", vec![machine])
}
