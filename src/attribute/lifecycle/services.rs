//! CloudTrail's other services → who else may act from now on, and which role a workload got (A.7).
//!
//! Secrets, key pairs and resource policies are about no single identity: their rows have no target and say in their
//! facts what was changed. Reading a secret changes nothing and is not here.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::privilege;
use super::aws::{account, principals};
use super::{Action, Change, Detail, Fields, Target, change, text};
use crate::model::{AuditEvent, hex, sha256};

pub(super) fn changes(event: &AuditEvent<'_>) -> Vec<Change> {
    let Some(service) = event.service.strip_suffix(".amazonaws.com") else {
        return Vec::new();
    };
    if binds(service, &event.operation) {
        return bound(event);
    }
    if shares(service, &event.operation) {
        return shared(event);
    }
    match elsewhere(service, &event.operation) {
        Some(action) => other(event, action).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Operations outside IAM that change who may act, or a container of secrets.
fn elsewhere(service: &str, operation: &str) -> Option<Action> {
    use Action::{Create, Delete, Disable, Enable, Grant, Revoke, Rotate, TrustChange};
    Some(match (service, operation) {
        ("rolesanywhere", "CreateTrustAnchor" | "CreateProfile") => Create,
        ("rolesanywhere", "UpdateTrustAnchor" | "UpdateProfile") => TrustChange,
        ("rolesanywhere", "PutAttributeMapping" | "DeleteAttributeMapping") => TrustChange,
        ("rolesanywhere", "ImportCrl" | "UpdateCrl" | "DeleteCrl") => TrustChange,
        ("rolesanywhere", "EnableCrl" | "DisableCrl") => TrustChange,
        ("rolesanywhere", "EnableTrustAnchor" | "EnableProfile") => Enable,
        ("rolesanywhere", "DisableTrustAnchor" | "DisableProfile") => Disable,
        ("rolesanywhere", "DeleteTrustAnchor" | "DeleteProfile") => Delete,
        ("sso", "CreatePermissionSet" | "CreateApplication") => Create,
        ("sso", "DeletePermissionSet" | "DeleteApplication") => Delete,
        (
            "sso",
            "CreateAccountAssignment"
            | "CreateApplicationAssignment"
            | "AttachManagedPolicyToPermissionSet"
            | "PutInlinePolicyToPermissionSet"
            | "ProvisionPermissionSet",
        ) => Grant,
        (
            "sso",
            "DeleteAccountAssignment"
            | "DeleteApplicationAssignment"
            | "DetachManagedPolicyFromPermissionSet"
            | "DeleteInlinePolicyFromPermissionSet",
        ) => Revoke,
        ("identitystore" | "sso-directory", "CreateUser") => Create,
        ("identitystore" | "sso-directory", "DeleteUser") => Delete,
        ("identitystore" | "sso-directory", "CreateGroupMembership") => Grant,
        ("identitystore" | "sso-directory", "DeleteGroupMembership") => Revoke,
        ("eks", "CreatePodIdentityAssociation" | "UpdatePodIdentityAssociation") => Grant,
        ("eks", "CreateAccessEntry" | "UpdateAccessEntry" | "AssociateAccessPolicy") => Grant,
        ("eks", "DeletePodIdentityAssociation" | "DeleteAccessEntry") => Revoke,
        ("eks", "DisassociateAccessPolicy") => Revoke,
        ("secretsmanager", "CreateSecret") => Create,
        ("secretsmanager", "PutSecretValue" | "UpdateSecret" | "RotateSecret") => Rotate,
        ("secretsmanager", "UpdateSecretVersionStage" | "RotationSucceeded") => Rotate,
        ("secretsmanager", "RestoreSecret") => Enable,
        ("secretsmanager", "DeleteSecret" | "EndSecretVersionDelete") => Delete,
        ("kms", "CreateGrant") => Grant,
        ("kms", "RetireGrant" | "RevokeGrant") => Revoke,
        ("kms", "PutKeyPolicy") | ("secretsmanager", "PutResourcePolicy") => Grant,
        ("s3", "PutBucketPolicy") | ("ecr", "SetRepositoryPolicy") => Grant,
        ("sqs", "SetQueueAttributes") | ("sns", "SetTopicAttributes") => Grant,
        ("lambda", "AddPermission" | "CreateFunctionUrlConfig") => Grant,
        ("ram", "CreateResourceShare") => Grant,
        ("ec2", "ModifyInstanceMetadataOptions") => TrustChange,
        ("ec2", "CreateKeyPair" | "ImportKeyPair") => Create,
        ("ec2-instance-connect", "SendSSHPublicKey" | "SendSerialConsoleSSHPublicKey") => Create,
        ("organizations", "CreateAccount") => Create,
        ("organizations", "InviteAccountToOrganization" | "LeaveOrganization") => TrustChange,
        ("organizations", "AttachPolicy" | "EnablePolicyType") => TrustChange,
        _ => return None,
    })
}

const FACTS: [(&str, &str); 17] = [
    ("account", "rq.targetId|rq.accountId|rq.target.id"),
    ("cluster", "rq.clusterName|re.association.clusterName"),
    ("grant", "re.grantId|rq.grantId"),
    ("group", "rq.groupId"),
    (
        "http_tokens",
        "rq.httpTokens|rq.ModifyInstanceMetadataOptionsRequest.HttpTokens",
    ),
    (
        "instance",
        "rq.instanceId|rq.ModifyInstanceMetadataOptionsRequest.InstanceId",
    ),
    ("key_pair", "re.keyPairId|rq.keyName"),
    ("name", "rq.name"),
    ("namespace", "rq.namespace|re.association.namespace"),
    (
        "permission_set",
        "rq.permissionSetArn|re.permissionSet.permissionSetArn",
    ),
    (
        "policy",
        "rq.managedPolicyArn|rq.policyArn|rq.policyId|rq.policyType",
    ),
    (
        "principal",
        "rq.principalId|rq.granteePrincipal|rq.principalArn|rq.principal",
    ),
    ("principal_type", "rq.principalType"),
    ("profile", "re.profile.profileArn|rq.profileId"),
    (
        "resource",
        "rq.bucketName|rq.queueUrl|rq.topicArn|rq.functionName|rq.repositoryName|rq.keyId\
         |rq.snapshotId|rq.imageId|rq.dBSnapshotIdentifier|re.resourceShare.resourceShareArn",
    ),
    (
        "service_account",
        "rq.serviceAccount|re.association.serviceAccount",
    ),
    (
        "trust_anchor",
        "re.trustAnchor.trustAnchorArn|rq.trustAnchorId",
    ),
];

/// The identity of a change outside IAM, if it is about one.
fn subject(event: &AuditEvent<'_>, fields: &Fields) -> Option<Target> {
    let arn = fields.text(
        "rq.principalArn|rq.roleArn|re.association.roleArn|re.accessEntry.principalArn|rq.granteePrincipal",
    );
    // A grantee may be a service or an account, which are nobody's machine identities.
    let arn = arn.filter(|arn| arn.contains(":role/") || arn.contains(":user/"));
    if arn.is_some() {
        return arn.map(Target::Arn);
    }
    if !matches!(
        &*event.service,
        "identitystore.amazonaws.com" | "sso-directory.amazonaws.com"
    ) {
        return None;
    }
    let store = fields.text("rq.identityStoreId|re.identityStoreId")?;
    let user = fields.text("re.userId|re.user.userId|rq.memberId.userId|rq.userId")?;
    Some(Target::Uid(format!("aws:idc:{store}:{user}")))
}

fn other(event: &AuditEvent<'_>, action: Action) -> Option<Change> {
    let fields = Fields::of(event);
    let of_topic = fields.text("rq.attributeName").as_deref() == Some("Policy");
    let document = fields
        .value("rq.bucketPolicy|rq.policyText|rq.resourcePolicy|rq.attributes.Policy|rq.policy")
        .or_else(|| fields.value("rq.attributeValue").filter(|_| of_topic));
    let mut detail = Detail::default();
    fields.tell(&mut detail, &FACTS);
    let about_trust = match &*event.operation {
        // Queues and topics have many attributes; only the policy says who may use them.
        "SetQueueAttributes" | "SetTopicAttributes" => document.is_some(),
        // So has the metadata service: whoever makes the instance fetch a page gets its role without a token (IMDSv1).
        "ModifyInstanceMetadataOptions" => detail.has("http_tokens"),
        _ => true,
    };
    if !about_trust {
        return None;
    }
    let mut admitted = document.map(principals).unwrap_or_default();
    admitted.extend(fields.texts("rq.principals"));
    if event.service == "secretsmanager.amazonaws.com" {
        let secret = fields.text("re.arn|rq.secretId|ex.secretId|se.secretId|rq.name");
        detail.put("secret", secret);
        let version = "re.versionId|rq.moveToVersionId|rq.clientRequestToken\
             |ex.secretVersionId|se.secretVersionId";
        detail.put("secret_version", fields.text(version));
    }
    detail.list("authorities", authorities(&fields));
    detail.list("principals", admitted);
    detail.list("roles", fields.texts("re.profile.roleArns|rq.roleArns"));
    let policy = fields.text("rq.managedPolicyArn|rq.policyArn");
    Some(Change {
        privilege: policy.map(|arn| privilege::of_policy_arn(&arn)),
        ..change(action, subject(event, &fields), detail)
    })
}

/// SHA-256 of each certificate in a trust anchor, by its DER form as tools show it: whoever holds one below them may now
/// become a role.
fn authorities(fields: &Fields) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let bundle = fields.text("rq.source.sourceData.x509CertificateData");
    let bundle = bundle.unwrap_or_default();
    let bodies = bundle.split(BEGIN).skip(1).filter_map(|rest| {
        let (body, _) = rest.split_once("-----END")?;
        let base64: String = body.split_whitespace().collect();
        STANDARD.decode(base64).ok()
    });
    bodies.map(|der| hex(&sha256(&der))).collect()
}

/// Operations that share a snapshot or an image with other accounts, or cease to.
fn shares(service: &str, operation: &str) -> bool {
    matches!(
        (service, operation),
        ("ec2", "ModifySnapshotAttribute" | "ModifyImageAttribute")
            | ("rds", "ModifyDBSnapshotAttribute")
    )
}

/// One change for those who are let in and one for those who no longer are. None for any other attribute.
fn shared(event: &AuditEvent<'_>) -> Vec<Change> {
    let fields = Fields::of(event);
    let sides = [
        (Action::Grant, "add", "rq.valuesToAdd"),
        (Action::Revoke, "remove", "rq.valuesToRemove"),
    ];
    let mut rows = Vec::new();
    for (action, side, values) in sides {
        let mut who = fields.texts(values);
        for attribute in ["createVolumePermission", "launchPermission"] {
            let entries = fields.value(&format!("rq.{attribute}.{side}.items"));
            let entries = entries.and_then(Value::as_array).into_iter().flatten();
            who.extend(entries.filter_map(|entry| {
                let names = ["userId", "group", "organizationArn"];
                names.iter().find_map(|name| text(entry, name))
            }));
        }
        if !who.is_empty() {
            let mut detail = Detail::default();
            fields.tell(&mut detail, &FACTS);
            detail.list("principals", who);
            rows.push(change(action, None, detail));
        }
    }
    rows
}

/// Operations that hand a role to a workload. `iam:PassRole` is a permission and never an event (IAM user guide,
/// "Grant a user permissions to pass a role to an AWS service"), so these are all there is to see of it.
fn binds(service: &str, operation: &str) -> bool {
    matches!(
        (service, operation),
        ("ec2", "RunInstances" | "AssociateIamInstanceProfile")
            | (
                "ec2",
                "ReplaceIamInstanceProfileAssociation" | "DisassociateIamInstanceProfile"
            )
            | ("lambda", "CreateFunction" | "UpdateFunctionConfiguration")
            | ("ecs", "RegisterTaskDefinition" | "RunTask")
            | ("codebuild", "CreateProject" | "UpdateProject")
            | (
                "glue",
                "CreateJob" | "UpdateJob" | "CreateDevEndpoint" | "CreateSession"
            )
            | (
                "sagemaker",
                "CreateNotebookInstance" | "CreateTrainingJob" | "CreateProcessingJob"
            )
            | (
                "cloudformation",
                "CreateStack" | "UpdateStack" | "CreateChangeSet"
            )
            | ("ssm", "CreateActivation" | "UpdateManagedInstanceRole")
            | ("eks", "CreateNodegroup")
    )
}

const WORKLOAD_FACTS: [(&str, &str); 3] = [
    (
        "association",
        "rq.associationId|rq.DisassociateIamInstanceProfileRequest.AssociationId\
         |rq.ReplaceIamInstanceProfileAssociationRequest.AssociationId",
    ),
    (
        "instance",
        "rq.instanceId|rq.AssociateIamInstanceProfileRequest.InstanceId",
    ),
    (
        "workload",
        "re.functionArn|re.taskDefinition.taskDefinitionArn|re.project.arn|re.stackId\
         |re.nodegroup.nodegroupArn|rq.functionName|rq.taskDefinition|rq.family|rq.stackName\
         |rq.notebookInstanceName|rq.trainingJobName|rq.processingJobName|rq.jobName\
         |rq.nodegroupName|rq.endpointName|rq.name|rq.id",
    ),
];

/// One change for each role that the workload gets, or one for its instance profile, whose role is not named.
fn bound(event: &AuditEvent<'_>) -> Vec<Change> {
    let fields = Fields::of(event);
    let mut roles = BTreeSet::new();
    for places in [
        "rq.role|rq.serviceRole|rq.roleArn|rq.iamRole|rq.nodeRole|rq.jobUpdate.role",
        "rq.taskRoleArn|rq.overrides.taskRoleArn",
        "rq.executionRoleArn|rq.overrides.executionRoleArn",
    ] {
        roles.extend(fields.text(places));
    }
    let profile = fields.text(
        "rq.iamInstanceProfile.arn|rq.iamInstanceProfile.name\
         |rq.AssociateIamInstanceProfileRequest.IamInstanceProfile.Arn\
         |rq.AssociateIamInstanceProfileRequest.IamInstanceProfile.Name\
         |rq.ReplaceIamInstanceProfileAssociationRequest.IamInstanceProfile.Arn\
         |rq.ReplaceIamInstanceProfileAssociationRequest.IamInstanceProfile.Name",
    );
    let taken = event.operation == "DisassociateIamInstanceProfile";
    let action = if taken { Action::Revoke } else { Action::Grant };
    let bound = |target: Option<Target>| {
        let mut detail = Detail::default();
        fields.tell(&mut detail, &WORKLOAD_FACTS);
        detail.put("instance_profile", profile.clone());
        if let Some(Value::Array(instances)) = fields.value("re.instancesSet.items") {
            let ids = instances.iter().filter_map(|one| text(one, "instanceId"));
            detail.list("instances", ids.collect());
        }
        change(action, target, detail)
    };
    if roles.is_empty() && (taken || profile.is_some()) {
        return vec![bound(None)];
    }
    let targets = roles.into_iter().map(|role| {
        if role.starts_with("arn:") {
            return Target::Arn(role);
        }
        let name = role.rsplit('/').next().unwrap_or(&role).to_owned();
        Target::AwsRole {
            account: account(event),
            name,
        }
    });
    targets.map(|target| bound(Some(target))).collect()
}
