//! Operations that give, take or show privilege, by group: A.8 for AWS, B.5 for Azure and Entra.
//!
//! PE-self raises permissions, PE-cred makes a credential, PE-pass runs code as somebody else, SEC-read reads secrets,
//! EXF lets data out, DEF blinds the log or locks out.

/// Tier that the successful use of an operation shows, and the group of operations it belongs to (A.8, B.5).
pub(crate) fn of_operation(service: &str, operation: &str) -> Option<(u8, &'static str)> {
    let service = service.strip_suffix(".amazonaws.com").unwrap_or(service);
    let first = OPERATIONS.partition_point(|(known, ..)| *known < operation);
    OPERATIONS[first..]
        .iter()
        .take_while(|(known, ..)| *known == operation)
        .find(|(_, of, ..)| of.is_empty() || *of == service)
        .map(|(_, _, tier, group)| (*tier, *group))
}

/// Operation, service (empty: the name is the service's own), tier, group. Sorted by operation, then service.
///
/// `GetCallerIdentity` and `GetSessionToken` need no permission, so their use shows none. Whether a parameter was
/// decrypted, or an instance was started with a role, the operation alone does not tell: it counts as if it was. `SecretGet`
/// is Key Vault's (Azure Key Vault, "Logging").
#[rustfmt::skip]
pub(super) static OPERATIONS: [(&str, &str, u8, &str); 135] = [
    ("AddClientIDToOpenIDConnectProvider", "iam", 3, "PE-cred"),
    ("AddPermission", "lambda", 2, "EXF"),
    ("AddPermission", "sns", 2, "EXF"),
    ("AddPermission", "sqs", 2, "EXF"),
    ("AddUserToGroup", "iam", 3, "PE-self"),
    ("AssociateAccessPolicy", "eks", 3, "PE-cred"),
    ("AssociateIamInstanceProfile", "ec2", 3, "PE-pass"),
    ("AssumeRoot", "sts", 3, "PE-cred"),
    ("AttachGroupPolicy", "iam", 3, "PE-self"),
    ("AttachRolePolicy", "iam", 3, "PE-self"),
    ("AttachUserPolicy", "iam", 3, "PE-self"),
    ("BatchGetSecretValue", "secretsmanager", 2, "SEC-read"),
    ("CreateAccessEntry", "eks", 3, "PE-cred"),
    ("CreateAccessKey", "iam", 3, "PE-cred"),
    ("CreateAccountAssignment", "sso", 3, "PE-cred"),
    ("CreateChangeSet", "cloudformation", 3, "PE-pass"),
    ("CreateDevEndpoint", "glue", 3, "PE-pass"),
    ("CreateFunction", "lambda", 3, "PE-pass"),
    ("CreateFunctionUrlConfig", "lambda", 2, "EXF"),
    ("CreateGrant", "kms", 2, "EXF"),
    ("CreateJob", "glue", 3, "PE-pass"),
    ("CreateLoginProfile", "iam", 3, "PE-cred"),
    ("CreateNotebookInstance", "sagemaker", 3, "PE-pass"),
    ("CreateOpenIDConnectProvider", "iam", 3, "PE-cred"),
    ("CreatePipeline", "datapipeline", 3, "PE-pass"),
    ("CreatePodIdentityAssociation", "eks", 3, "PE-cred"),
    ("CreatePolicyVersion", "iam", 3, "PE-self"),
    ("CreatePresignedNotebookInstanceUrl", "sagemaker", 3, "PE-pass"),
    ("CreateProfile", "rolesanywhere", 3, "PE-cred"),
    ("CreateProject", "codebuild", 3, "PE-pass"),
    ("CreateResourceShare", "ram", 2, "EXF"),
    ("CreateSAMLProvider", "iam", 3, "PE-cred"),
    ("CreateServiceSpecificCredential", "iam", 3, "PE-cred"),
    ("CreateStack", "cloudformation", 3, "PE-pass"),
    ("CreateTrustAnchor", "rolesanywhere", 3, "PE-cred"),
    ("CreateVirtualMFADevice", "iam", 3, "PE-cred"),
    ("DeactivateMFADevice", "iam", 3, "PE-cred"),
    ("Decrypt", "kms", 2, "SEC-read"),
    ("DeleteBucketLifecycle", "s3", 2, "DEF"),
    ("DeleteDetector", "guardduty", 2, "DEF"),
    ("DeleteFlowLogs", "ec2", 2, "DEF"),
    ("DeleteRolePermissionsBoundary", "iam", 3, "PE-self"),
    ("DeleteTrail", "cloudtrail", 2, "DEF"),
    ("DeleteUserPermissionsBoundary", "iam", 3, "PE-self"),
    ("DisableKey", "kms", 2, "DEF"),
    ("ExecuteCommand", "ecs", 3, "PE-pass"),
    ("GetAuthorizationToken", "codeartifact", 2, "SEC-read"),
    ("GetAuthorizationToken", "ecr", 2, "SEC-read"),
    ("GetCallerIdentity", "sts", 1, "SEC-read"),
    ("GetFederationToken", "sts", 3, "PE-cred"),
    ("GetParameter", "ssm", 2, "SEC-read"),
    ("GetParameters", "ssm", 2, "SEC-read"),
    ("GetParametersByPath", "ssm", 2, "SEC-read"),
    ("GetPasswordData", "ec2", 2, "SEC-read"),
    ("GetSecretValue", "secretsmanager", 2, "SEC-read"),
    ("GetSessionToken", "sts", 1, "PE-cred"),
    ("GetSigninToken", "signin", 2, "SEC-read"),
    ("GetWebIdentityToken", "sts", 3, "PE-cred"),
    ("LeaveOrganization", "organizations", 2, "DEF"),
    ("ModifyDBSnapshotAttribute", "rds", 2, "EXF"),
    ("ModifyImageAttribute", "ec2", 2, "EXF"),
    ("ModifyInstanceAttribute", "ec2", 3, "PE-pass"),
    ("ModifySnapshotAttribute", "ec2", 2, "EXF"),
    ("PutBucketAcl", "s3", 2, "EXF"),
    ("PutBucketLifecycle", "s3", 2, "DEF"),
    ("PutBucketPolicy", "s3", 2, "EXF"),
    ("PutEventSelectors", "cloudtrail", 2, "DEF"),
    ("PutGroupPolicy", "iam", 3, "PE-self"),
    ("PutKeyPolicy", "kms", 2, "EXF"),
    ("PutRolePolicy", "iam", 3, "PE-self"),
    ("PutUserPolicy", "iam", 3, "PE-self"),
    ("RegisterTaskDefinition", "ecs", 3, "PE-pass"),
    ("ReplaceIamInstanceProfileAssociation", "ec2", 3, "PE-pass"),
    ("ResetServiceSpecificCredential", "iam", 3, "PE-cred"),
    ("RunInstances", "ec2", 3, "PE-pass"),
    ("RunTask", "ecs", 3, "PE-pass"),
    ("ScheduleKeyDeletion", "kms", 2, "DEF"),
    ("SecretGet", "", 2, "SEC-read"),
    ("SendCommand", "ssm", 3, "PE-pass"),
    ("SetDefaultPolicyVersion", "iam", 3, "PE-self"),
    ("StartSession", "ssm", 3, "PE-pass"),
    ("StopLogging", "cloudtrail", 2, "DEF"),
    ("UpdateAccessKey", "iam", 3, "PE-cred"),
    ("UpdateAssumeRolePolicy", "iam", 3, "PE-self"),
    ("UpdateDetector", "guardduty", 2, "DEF"),
    ("UpdateFunctionCode", "lambda", 3, "PE-pass"),
    ("UpdateFunctionConfiguration", "lambda", 3, "PE-pass"),
    ("UpdateJob", "glue", 3, "PE-pass"),
    ("UpdateLoginProfile", "iam", 3, "PE-cred"),
    ("UpdateOpenIDConnectProviderThumbprint", "iam", 3, "PE-cred"),
    ("UpdateProject", "codebuild", 3, "PE-pass"),
    ("UpdateSAMLProvider", "iam", 3, "PE-cred"),
    ("UpdateStack", "cloudformation", 3, "PE-pass"),
    ("UpdateTrail", "cloudtrail", 2, "DEF"),
    ("UploadSSHPublicKey", "iam", 3, "PE-cred"),
    ("UploadSigningCertificate", "iam", 3, "PE-cred"),
    ("add app role assignment to service principal", "", 3, "PE-self"),
    ("add delegated permission grant", "", 3, "PE-self"),
    ("add eligible member to role", "", 3, "PE-self"),
    ("add member to role", "", 3, "PE-self"),
    ("add owner to application", "", 3, "PE-cred"),
    ("add owner to service principal", "", 3, "PE-cred"),
    ("add service principal credentials", "", 3, "PE-cred"),
    ("consent to application", "", 3, "PE-self"),
    ("create application - certificates and secrets management", "", 3, "PE-cred"),
    ("microsoft.authorization/elevateaccess/action", "", 3, "PE-self"),
    ("microsoft.authorization/roleassignments/write", "", 3, "PE-self"),
    ("microsoft.authorization/roledefinitions/write", "", 3, "PE-self"),
    ("microsoft.automation/automationaccounts/listkeys/action", "", 2, "SEC-read"),
    ("microsoft.automation/automationaccounts/runbooks/draft/write", "", 3, "PE-pass"),
    ("microsoft.automation/automationaccounts/runbooks/publish/action", "", 3, "PE-pass"),
    ("microsoft.automation/automationaccounts/runbooks/write", "", 3, "PE-pass"),
    ("microsoft.compute/virtualmachines/extensions/write", "", 3, "PE-pass"),
    ("microsoft.compute/virtualmachines/runcommand/action", "", 3, "PE-pass"),
    ("microsoft.containerinstance/containergroups/write", "", 3, "PE-pass"),
    ("microsoft.containerregistry/registries/listcredentials/action", "", 2, "SEC-read"),
    ("microsoft.containerservice/managedclusters/listclusteradmincredential/action", "", 2, "SEC-read"),
    ("microsoft.containerservice/managedclusters/listclusterusercredential/action", "", 2, "SEC-read"),
    ("microsoft.documentdb/databaseaccounts/listkeys/action", "", 2, "SEC-read"),
    ("microsoft.hybridcompute/machines/extensions/write", "", 3, "PE-pass"),
    ("microsoft.insights/diagnosticsettings/delete", "", 2, "DEF"),
    ("microsoft.keyvault/vaults/accesspolicies/write", "", 2, "EXF"),
    ("microsoft.keyvault/vaults/write", "", 2, "EXF"),
    ("microsoft.logic/workflows/triggers/listcallbackurl/action", "", 2, "SEC-read"),
    ("microsoft.logic/workflows/write", "", 3, "PE-pass"),
    ("microsoft.managedidentity/userassignedidentities/assign/action", "", 3, "PE-pass"),
    ("microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write", "", 3, "PE-cred"),
    ("microsoft.resources/deployments/write", "", 3, "PE-pass"),
    ("microsoft.storage/storageaccounts/listaccountsas/action", "", 2, "SEC-read"),
    ("microsoft.storage/storageaccounts/listkeys/action", "", 2, "SEC-read"),
    ("microsoft.storage/storageaccounts/regeneratekey/action", "", 2, "SEC-read"),
    ("microsoft.web/sites/config/list/action", "", 2, "SEC-read"),
    ("microsoft.web/sites/publishxml/action", "", 2, "SEC-read"),
    ("microsoft.web/sites/write", "", 3, "PE-pass"),
    ("update application - certificates and secrets management", "", 3, "PE-cred"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        let pair = |row: &(&'static str, &'static str, u8, &'static str)| (row.0, row.1);
        assert!(OPERATIONS.is_sorted_by(|one, next| pair(one) < pair(next)));
    }

    #[test]
    fn operations_are_found_by_service_and_name() {
        for (service, operation, expected) in [
            (
                "iam.amazonaws.com",
                "AttachRolePolicy",
                Some((3, "PE-self")),
            ),
            (
                "ecr.amazonaws.com",
                "GetAuthorizationToken",
                Some((2, "SEC-read")),
            ),
            (
                "codeartifact.amazonaws.com",
                "GetAuthorizationToken",
                Some((2, "SEC-read")),
            ),
            ("s3.amazonaws.com", "GetAuthorizationToken", None),
            ("cloudfront.amazonaws.com", "CreateFunction", None),
            ("s3.amazonaws.com", "GetObject", None),
            (
                "microsoft.authorization",
                "microsoft.authorization/roleassignments/write",
                Some((3, "PE-self")),
            ),
            ("core directory", "add member to role", Some((3, "PE-self"))),
        ] {
            assert_eq!(
                of_operation(service, operation),
                expected,
                "{service} {operation}"
            );
        }
    }
}
