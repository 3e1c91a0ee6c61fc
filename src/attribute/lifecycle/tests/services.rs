//! What CloudTrail's other services say was changed (A.7).

use super::{Action, Target, call, changes, role, the_only};

#[test]
fn workloads_get_roles_only_where_one_is_named() {
    assert_eq!(changes(&call("ec2", "RunInstances", "{}", "{}")), []);
    let request = r#"{"iamInstanceProfile":{"name":"web"}}"#;
    let answer = r#"{"instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"}]}}"#;
    let started = the_only(&call("ec2", "RunInstances", request, answer));
    assert_eq!((started.action, started.target), (Action::Grant, None));
    assert_eq!(
        started.detail,
        r#"{"instance_profile":"web","instances":["i-1","i-2"]}"#
    );
    let request = r#"{"family":"f","taskRoleArn":"arn:aws:iam::1:role/task","executionRoleArn":"arn:aws:iam::1:role/pull"}"#;
    let targets: Vec<_> = changes(&call("ecs", "RegisterTaskDefinition", request, ""))
        .into_iter()
        .filter_map(|change| change.target)
        .collect();
    let arn = |name: &str| Target::Arn(format!("arn:aws:iam::1:role/{name}"));
    assert_eq!(targets, [arn("pull"), arn("task")]);
    let job = call(
        "glue",
        "CreateJob",
        r#"{"name":"j","role":"service-role/etl"}"#,
        "",
    );
    assert_eq!(the_only(&job).target, role("etl"));
}

#[test]
fn resource_policies_say_whom_they_admit() {
    let request = r#"{"bucketName":"b","bucketPolicy":{"Statement":[{"Effect":"Allow","Principal":{"AWS":"444455556666"}}]}}"#;
    let opened = the_only(&call("s3", "PutBucketPolicy", request, ""));
    assert_eq!(
        opened.detail,
        r#"{"principals":["AWS:444455556666"],"resource":"b"}"#
    );
    let request = r#"{"queueUrl":"q","attributes":{"DelaySeconds":"5"}}"#;
    assert_eq!(changes(&call("sqs", "SetQueueAttributes", request, "")), []);
    let request = r#"{"snapshotId":"s","createVolumePermission":{"add":{"items":[{"userId":"444455556666"},{"group":"all"}]}}}"#;
    let shared = the_only(&call("ec2", "ModifySnapshotAttribute", request, ""));
    assert_eq!(
        shared.detail,
        r#"{"principals":["444455556666","all"],"resource":"s"}"#
    );
    assert_eq!(shared.action, Action::Grant);
}

/// A.7: sharing that ends is no grant, and an attribute that shares nothing is no change.
#[test]
fn a_snapshot_can_cease_to_be_shared() {
    let request = r#"{"imageId":"ami-1","launchPermission":{"add":{"items":[{"organizationArn":"arn:aws:organizations::1:organization/o"}]},
        "remove":{"items":[{"userId":"444455556666"}]}}}"#;
    let rows = changes(&call("ec2", "ModifyImageAttribute", request, ""));
    let actions: Vec<_> = rows.iter().map(|row| row.action).collect();
    assert_eq!(actions, [Action::Grant, Action::Revoke]);
    assert_eq!(
        rows[1].detail,
        r#"{"principals":["444455556666"],"resource":"ami-1"}"#
    );
    let request =
        r#"{"dBSnapshotIdentifier":"d","attributeName":"restore","valuesToRemove":["all"]}"#;
    let closed = the_only(&call("rds", "ModifyDBSnapshotAttribute", request, ""));
    assert_eq!(closed.action, Action::Revoke);
    assert_eq!(closed.detail, r#"{"principals":["all"],"resource":"d"}"#);
    let described = r#"{"imageId":"ami-1","description":{"value":"base"}}"#;
    assert_eq!(
        changes(&call("ec2", "ModifyImageAttribute", described, "")),
        []
    );
}

/// A.7: who can ask the metadata service may become the instance's role.
#[test]
fn the_metadata_service_is_told_where_tokens_are_at_stake() {
    for request in [
        r#"{"ModifyInstanceMetadataOptionsRequest":{"InstanceId":"i-1","HttpTokens":"optional"}}"#,
        r#"{"instanceId":"i-1","httpTokens":"optional"}"#,
    ] {
        let opened = the_only(&call("ec2", "ModifyInstanceMetadataOptions", request, ""));
        assert_eq!(opened.action, Action::TrustChange);
        assert_eq!(
            opened.detail,
            r#"{"http_tokens":"optional","instance":"i-1"}"#
        );
    }
    let hops = r#"{"instanceId":"i-1","httpPutResponseHopLimit":2}"#;
    assert_eq!(
        changes(&call("ec2", "ModifyInstanceMetadataOptions", hops, "")),
        []
    );
}

/// A.7, V-27: the certificates that are trusted are known by their digest, those of a bundle each by its own.
#[test]
fn a_trust_anchor_is_known_by_its_certificates() {
    let pem =
        |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    let bundle = pem("YWJj") + &pem("");
    let request = serde_json::json!({
        "name": "a", "source": {"sourceData": {"x509CertificateData": bundle}},
    });
    let answer =
        r#"{"trustAnchor":{"trustAnchorArn":"arn:aws:rolesanywhere:eu-west-1:1:trust-anchor/t"}}"#;
    let made = the_only(&call(
        "rolesanywhere",
        "CreateTrustAnchor",
        &request.to_string(),
        answer,
    ));
    assert_eq!(made.action, Action::Create);
    // The published digests of `abc` and of nothing (FIPS 180-4).
    assert_eq!(
        made.detail,
        r#"{"authorities":["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],"name":"a","trust_anchor":"arn:aws:rolesanywhere:eu-west-1:1:trust-anchor/t"}"#
    );
    for operation in ["EnableCrl", "DisableCrl", "DeleteAttributeMapping"] {
        let changed = the_only(&call("rolesanywhere", operation, "{}", ""));
        assert_eq!(changed.action, Action::TrustChange, "{operation}");
    }
}

/// A.7: a secret is a container; which version of it is meant, the request says.
#[test]
fn secrets_are_told_with_their_version() {
    let request = r#"{"secretId":"db","clientRequestToken":"v-2","versionStages":["AWSCURRENT"]}"#;
    let answer = r#"{"arn":"arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf"}"#;
    let put = the_only(&call("secretsmanager", "PutSecretValue", request, answer));
    assert_eq!((put.action, put.target), (Action::Rotate, None));
    assert_eq!(
        put.detail,
        r#"{"secret":"arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf","secret_version":"v-2"}"#
    );
    for operation in [
        "RotationStarted",
        "RotationFailed",
        "StartSecretVersionDelete",
    ] {
        let begun = call("secretsmanager", operation, "{}", "");
        assert_eq!(changes(&begun), [], "{operation}: nothing has changed yet");
    }
}
