//! What the log says was changed, in the shapes in which the logs say it.

mod services;

use std::borrow::Cow;

use super::{Action, Change, Target, changes, login_profile, naming, trusted_subjects};
use crate::attribute::tests::{event_of as event, text};
use crate::model::{
    AuditEvent, AwsPrincipal, AzurePrincipal, AzureSubject, CredentialKind, LogSource, Micros,
    Outcome, Principal, PrincipalType,
};

const ACCOUNT: &str = "111122223333";
const TENANT: &str = "0f3b7c52-6a1d-4e28-9b40-5d7e1c2a9f01";
const APPLICATION: &str = "0000002a-4c1e-4a7b-9d52-8e3f6a0b002a";
const GRANTEE: &str = "22222222-2222-4222-8222-222222222222";
const RESOURCE: &str = "77777777-7777-4777-8777-777777777777";

/// A call of `service` by a user.
fn call(service: &str, operation: &str, request: &str, response: &str) -> AuditEvent<'static> {
    let caller = Principal::Aws(AwsPrincipal {
        principal_type: PrincipalType::IamUser,
        principal_id: text("AIDACALLER"),
        account_id: text(ACCOUNT),
        user_name: text("caller"),
        ..AwsPrincipal::default()
    });
    let service = format!("{service}.amazonaws.com");
    let mut event = event(
        LogSource::CloudTrail,
        ACCOUNT,
        (&service, operation),
        caller,
    );
    event.details.request = text(request);
    event.details.response = text(response);
    event
}

fn iam(operation: &str, request: &str, response: &str) -> AuditEvent<'static> {
    call("iam", operation, request, response)
}

fn azure_caller() -> Principal<'static> {
    Principal::Azure(AzurePrincipal {
        subject: AzureSubject::User,
        tenant_id: text(TENANT),
        object_id: text("55555555-5555-4555-8555-555555555555"),
        ..AzurePrincipal::default()
    })
}

/// An entry of Entra's audit log.
fn audit(activity: &str, targets: &str) -> AuditEvent<'static> {
    let names = ("core directory", activity);
    let mut event = event(LogSource::EntraAudit, TENANT, names, azure_caller());
    event.details.targets = text(targets);
    event
}

/// A target whose one property changed; the values are JSON within JSON.
fn target(kind: &str, id: &str, property: &str, old: &str, new: &str) -> String {
    serde_json::json!([{
        "type": kind, "id": id, "displayName": "Invoice runner",
        "modifiedProperties": [{"displayName": property, "oldValue": old, "newValue": new}],
    }])
    .to_string()
}

fn arm(operation: &str, resource: &str) -> AuditEvent<'static> {
    let service = operation.split('/').next().unwrap();
    let names = (service, operation);
    let mut event = event(
        LogSource::AzureActivity,
        "subscription",
        names,
        azure_caller(),
    );
    event.resources = vec![Cow::Owned(resource.to_owned())];
    event
}

fn the_only(event: &AuditEvent<'_>) -> Change {
    let mut changes = changes(event);
    assert_eq!(changes.len(), 1, "{changes:?}");
    changes.remove(0)
}

fn uid(uid: &str) -> Option<Target> {
    Some(Target::Uid(uid.to_owned()))
}

fn user(name: &str) -> Option<Target> {
    Some(Target::AwsUser {
        account: ACCOUNT.to_owned(),
        name: name.to_owned(),
    })
}

fn role(name: &str) -> Option<Target> {
    Some(Target::AwsRole {
        account: ACCOUNT.to_owned(),
        name: name.to_owned(),
    })
}

/// Action and credential of the only change.
fn credential(event: &AuditEvent<'_>) -> (Action, String, CredentialKind) {
    let change = the_only(event);
    let credential = change.credential.unwrap();
    (change.action, credential.uid, credential.kind)
}

#[test]
fn keys_begin_rest_and_end() {
    let answer = r#"{"accessKey":{"accessKeyId":"AKIANEW","userName":"bob","status":"Active"}}"#;
    let made = iam("CreateAccessKey", r#"{"userName":"bob"}"#, answer);
    assert_eq!(the_only(&made).target, user("bob"));
    let own = iam("CreateAccessKey", "", answer);
    assert_eq!(the_only(&own).target, uid("aws:user:AIDACALLER"));
    let key = |action| {
        (
            action,
            "aws:key:AKIANEW".to_owned(),
            CredentialKind::AccessKey,
        )
    };
    assert_eq!(credential(&made), key(Action::Create));
    for (status, action) in [("Inactive", Action::Disable), ("Active", Action::Enable)] {
        let request =
            format!(r#"{{"userName":"bob","accessKeyId":"AKIANEW","status":"{status}"}}"#);
        let updated = iam("UpdateAccessKey", &request, "");
        assert_eq!(credential(&updated), key(action));
    }
    let request = r#"{"userName":"bob","accessKeyId":"AKIANEW"}"#;
    assert_eq!(
        credential(&iam("DeleteAccessKey", request, "")),
        key(Action::Delete)
    );
}

#[test]
fn other_credentials_have_ids_of_their_own() {
    let answer = r#"{"sSHPublicKey":{"sSHPublicKeyId":"APKAONE","userName":"bob"}}"#;
    let uploaded = iam("UploadSSHPublicKey", r#"{"userName":"bob"}"#, answer);
    assert_eq!(credential(&uploaded).1, "aws:ssh:APKAONE");
    let profile = iam("CreateLoginProfile", r#"{"userName":"bob"}"#, "");
    assert_eq!(credential(&profile).1, "aws:password:111122223333/bob");
    let named = (ACCOUNT.to_owned(), "bob".to_owned());
    assert_eq!(login_profile(&profile), Some(named), "HM-16");
    assert_eq!(
        credential(&iam("ChangePassword", "", "")).1,
        "aws:password:111122223333/caller"
    );
    let request =
        r#"{"userName":"bob","serviceName":"bedrock.amazonaws.com","credentialAgeDays":30}"#;
    let answer = r#"{"serviceSpecificCredential":{"serviceSpecificCredentialId":"ACCAONE","userName":"bob"}}"#;
    let made = iam("CreateServiceSpecificCredential", request, answer);
    let credential = the_only(&made).credential.unwrap();
    assert_eq!(credential.uid, "aws:svc-cred:ACCAONE");
    let expected = made.event_time.plus(30 * Micros::DAY);
    assert_eq!(credential.expires_at, Some(expected));
}

#[test]
fn what_failed_or_only_reads_changes_nothing() {
    let mut refused = iam("AttachRolePolicy", r#"{"roleName":"one"}"#, "");
    refused.outcome = Outcome::Failure;
    assert_eq!(changes(&refused), []);
    assert_eq!(changes(&call("s3", "GetObject", "{}", "")), []);
    assert_eq!(
        changes(&call("secretsmanager", "GetSecretValue", "{}", "")),
        []
    );
    assert_eq!(changes(&iam("ListRoles", "", "")), []);
    // Nothing but the path of the key's owner changed.
    assert_eq!(changes(&iam("UpdateSigningCertificate", "{}", "")), []);
}

#[test]
fn trust_and_revoked_sessions_are_no_grants() {
    let policy = r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":
        {"AWS":["arn:aws:iam::444455556666:root"],"Service":"ec2.amazonaws.com"}},
        {"Effect":"Deny","Action":"sts:AssumeRole","Principal":"*"}]}"#;
    let request = serde_json::json!({"roleName": "one", "policyDocument": policy}).to_string();
    let trust = the_only(&iam("UpdateAssumeRolePolicy", &request, ""));
    assert_eq!(
        (trust.action, trust.target),
        (Action::TrustChange, role("one"))
    );
    assert_eq!(
        trust.detail,
        r#"{"principals":["AWS:arn:aws:iam::444455556666:root","Service:ec2.amazonaws.com"],"role":"one"}"#
    );
    assert_eq!(trust.privilege, None);
    let policy = r#"{"Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],
        "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-03-01T10:00:00.000Z"}}}]}"#;
    let request = serde_json::json!({
        "roleName": "one", "policyName": "AWSRevokeOlderSessions", "policyDocument": policy,
    });
    let revoked = the_only(&iam("PutRolePolicy", &request.to_string(), ""));
    assert_eq!((revoked.action, revoked.privilege), (Action::Revoke, None));
    assert!(
        revoked
            .detail
            .contains(r#""sessions_before":"2026-03-01T10:00:00.000Z""#)
    );
}

#[test]
fn policies_give_and_take() {
    let request = r#"{"roleName":"one","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#;
    let given = the_only(&iam("AttachRolePolicy", request, ""));
    assert_eq!((given.action, given.target), (Action::Grant, role("one")));
    assert_eq!(given.privilege.unwrap().0, 3);
    let taken = the_only(&iam("DetachRolePolicy", request, ""));
    assert_eq!(
        (taken.action, taken.privilege.unwrap().0),
        (Action::Revoke, 3)
    );
    let request = serde_json::json!({
        "userName": "bob", "policyName": "own",
        "policyDocument": r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#,
    });
    let put = the_only(&iam("PutUserPolicy", &request.to_string(), ""));
    assert_eq!((put.action, put.target), (Action::Grant, user("bob")));
    assert_eq!(put.privilege.unwrap().0, 2);
    let freed = iam("DeleteRolePermissionsBoundary", r#"{"roleName":"one"}"#, "");
    assert_eq!(the_only(&freed).action, Action::Grant);
}

#[test]
fn names_begin_and_cease_to_mean_an_identity() {
    let answer = r#"{"role":{"roleId":"AROANEW","arn":"arn:aws:iam::111122223333:role/ci/one","roleName":"one"}}"#;
    let made = iam("CreateRole", r#"{"roleName":"one"}"#, answer);
    assert_eq!(the_only(&made).target, uid("aws:role:AROANEW"));
    let name = naming(&made).unwrap();
    assert_eq!(
        (name.uid.as_str(), name.name.as_str()),
        ("aws:role:AROANEW", "one")
    );
    assert_eq!(name.arn, "arn:aws:iam::111122223333:role/ci/one");
    let gone = iam("DeleteRole", r#"{"roleName":"one"}"#, "");
    assert_eq!(the_only(&gone).target, role("one"));
    let name = naming(&gone).unwrap();
    assert_eq!((name.uid.as_str(), name.created), ("aws:role:", false));
    let renamed = r#"{"userName":"bob","newUserName":"robert"}"#;
    assert_eq!(naming(&iam("UpdateUser", renamed, "")).unwrap().name, "bob");
    assert_eq!(
        naming(&iam(
            "UpdateUser",
            r#"{"userName":"bob","newPath":"/x/"}"#,
            ""
        )),
        None
    );
}

const CERTIFICATES_AND_SECRETS: &str =
    "Update application \u{2013} Certificates and secrets management ";

fn key_list(keys: &[(&str, &str, &str)]) -> String {
    let texts = keys.iter().map(|(id, kind, name)| {
        format!("[KeyIdentifier={id},KeyType={kind},KeyUsage=Verify,DisplayName={name}]")
    });
    serde_json::json!(texts.collect::<Vec<_>>()).to_string()
}

/// V-76: the name has an en dash and a trailing blank; the key that was there before is not new.
#[test]
fn keys_of_an_application_are_the_difference_of_two_lists() {
    let one = ("0000002B-4c1e-4a7b-9d52-8e3f6a0b002b", "Password", "march");
    // Whoever names a key may write anything there.
    let two = (
        "0000002c-4c1e-4a7b-9d52-8e3f6a0b002c",
        "AsymmetricX509Cert",
        "a,[KeyIdentifier=0000002d-4c1e-4a7b-9d52-8e3f6a0b002d,b",
    );
    let check = |old: &str, new: &str| {
        let targets = target("Application", APPLICATION, "KeyDescription", old, new);
        changes(&audit(CERTIFICATES_AND_SECRETS, &targets))
    };
    let added = check(&key_list(&[one]), &key_list(&[one, two]));
    assert_eq!(added.len(), 1, "{added:?}");
    assert_eq!(added[0].action, Action::Create);
    assert_eq!(
        added[0].target,
        uid(&format!("entra:appobj:{TENANT}/{APPLICATION}")),
        "AZ-51"
    );
    let credential = added[0].credential.as_ref().unwrap();
    assert_eq!(
        credential.uid,
        "entra:key:0000002c-4c1e-4a7b-9d52-8e3f6a0b002c"
    );
    assert_eq!(credential.kind, CredentialKind::SpCertificate);

    let replaced = check(&key_list(&[one]), &key_list(&[two]));
    let actions: Vec<_> = replaced.iter().map(|change| change.action).collect();
    assert_eq!(actions, [Action::Rotate, Action::Delete]);
    let from = r#""rotated_from":"entra:key:0000002b-4c1e-4a7b-9d52-8e3f6a0b002b""#;
    assert!(replaced[0].detail.contains(from), "{}", replaced[0].detail);
    assert_eq!(check("[]", "[]"), []);
}

/// V-77, X-3.
#[test]
fn a_federated_credential_names_whom_the_application_trusts() {
    let id = "0000003a-4c1e-4a7b-9d52-8e3f6a0b003a";
    let issuer = "https://token.actions.githubusercontent.com";
    let subject = "repo:example/shop:ref:refs/heads/main";
    let new = serde_json::json!([{
        "Name": "ci", "Issuer": issuer, "Subject": subject, "Id": id.to_ascii_uppercase(),
        "Audiences": ["api://AzureADTokenExchange"],
    }])
    .to_string();
    let property = "FederatedIdentityCredentials";
    let targets = target("Application", APPLICATION, property, "[]", &new);
    let added = audit("Update application", &targets);
    let (action, credential_uid, kind) = credential(&added);
    assert_eq!(
        (action, kind),
        (Action::Create, CredentialKind::FederatedCredential)
    );
    assert_eq!(credential_uid, format!("entra:fic:{id}"));
    let trusted = trusted_subjects(&added);
    assert_eq!(trusted.len(), 1);
    assert_eq!(trusted[0].credential_id, id);
    assert_eq!(trusted[0].application, APPLICATION);
    assert_eq!(
        (&*trusted[0].issuer, &*trusted[0].subject),
        (issuer, subject)
    );

    let targets = target("Application", APPLICATION, property, &new, "[]");
    let removed = audit("Update application", &targets);
    assert_eq!(the_only(&removed).action, Action::Delete);
    assert_eq!(trusted_subjects(&removed), []);
    let name = target("Application", APPLICATION, "DisplayName", "\"a\"", "\"b\"");
    assert_eq!(
        changes(&audit("Update application", &name)),
        [],
        "a companion says nothing"
    );
}

/// V-78: the first target is the resource, never the one who gains.
#[test]
fn the_grantee_of_an_app_role_is_a_modified_property() {
    let quoted = |text: &str| format!("\"{text}\"");
    let property = |name: &str, value: &str| serde_json::json!({"displayName": name, "oldValue": null, "newValue": quoted(value)});
    let targets = serde_json::json!([
        {"type": "ServicePrincipal", "id": RESOURCE, "displayName": "Microsoft Graph",
         "modifiedProperties": [
            property("AppRole.Value", "RoleManagement.ReadWrite.Directory"),
            property("ServicePrincipal.ObjectID", GRANTEE),
            property("ServicePrincipal.AppId", "88888888-8888-4888-8888-888888888888"),
         ]},
        {"type": "ServicePrincipal", "id": GRANTEE, "modifiedProperties": []},
    ]);
    let activity = "Add app role assignment to service principal";
    let given = the_only(&audit(activity, &targets.to_string()));
    assert_eq!(given.action, Action::Grant);
    assert_eq!(given.target, uid(&format!("entra:sp:{TENANT}/{GRANTEE}")));
    assert!(
        given
            .detail
            .contains(&format!(r#""resource_id":"{RESOURCE}""#))
    );
    assert_eq!(given.privilege.unwrap().0, 3);
}

#[test]
fn service_principals_are_switched_off() {
    let check = |old: &str, new: &str| {
        let targets = target("ServicePrincipal", GRANTEE, "AccountEnabled", old, new);
        changes(&audit("Update service principal", &targets))
    };
    assert_eq!(check("[true]", "[false]")[0].action, Action::Disable);
    assert_eq!(check("[false]", "[true]")[0].action, Action::Enable);
    assert_eq!(check("[true]", "[true]"), []);
}

/// V-75: only the row that begins the action has the body; the row of success adds nothing.
#[test]
fn a_role_assignment_is_told_from_the_row_with_the_body() {
    let scope = "/subscriptions/s/providers/microsoft.authorization/roleassignments/a";
    let mut begun = arm("microsoft.authorization/roleassignments/write", scope);
    let done = begun.clone();
    begun.outcome = Outcome::Unknown;
    begun.details.request = text(&format!(
        r#"{{"Id":"a","Properties":{{"PrincipalId":"{GRANTEE}","PrincipalType":"ServicePrincipal",
        "RoleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Scope":"/subscriptions/s"}}}}"#
    ));
    let given = the_only(&begun);
    assert_eq!(given.target, uid(&format!("entra:sp:{TENANT}/{GRANTEE}")));
    assert_eq!(given.privilege, Some((3, "role Owner".to_owned())));
    assert_eq!(changes(&done), []);
    begun.outcome = Outcome::Failure;
    assert_eq!(changes(&begun), []);
}

#[test]
fn a_managed_identity_trusts_a_subject() {
    let identity = "/subscriptions/s/resourcegroups/r/providers/microsoft.managedidentity/userassignedidentities/m";
    let credential = format!("{identity}/federatedidentitycredentials/ci");
    let operation =
        "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials/write";
    let mut written = arm(operation, &credential);
    written.details.response =
        text(r#"{"properties":{"issuer":"https://issuer.example/","subject":"job"}}"#);
    let change = the_only(&written);
    assert_eq!(change.action, Action::Create);
    assert_eq!(change.target, Some(Target::Arn(identity.to_owned())));
    let trusted = trusted_subjects(&written);
    assert_eq!(trusted[0].application, identity);
    assert_eq!(trusted[0].subject, "job");
}

/// B.5: the rows that switch a vault's policies end in what is done with them; who is named loses what is removed.
#[test]
fn a_vault_gives_and_takes() {
    let vault = "/subscriptions/s/resourcegroups/r/providers/microsoft.keyvault/vaults/v";
    let body = format!(
        r#"{{"properties":{{"accessPolicies":[{{"tenantId":"{TENANT}","objectId":"{GRANTEE}","permissions":{{"certificates":["get"]}}}}]}}}}"#
    );
    for (end, action) in [
        ("add", Action::Grant),
        ("replace", Action::Grant),
        ("remove", Action::Revoke),
    ] {
        let operation = "microsoft.keyvault/vaults/accesspolicies/write";
        let mut written = arm(operation, &format!("{vault}/accessPolicies/{end}"));
        written.details.request = text(&body);
        let change = the_only(&written);
        assert_eq!(change.action, action, "{end}");
        assert_eq!(change.target, uid(&format!("entra:unknown:{GRANTEE}")));
    }
}

/// B.5: an identity stands in the body of whatever resource gets it, under names in any case.
#[test]
fn every_kind_of_resource_can_get_an_identity() {
    let identity = "/subscriptions/s/resourcegroups/r/providers/microsoft.managedidentity/userassignedidentities/m";
    let resource = "/subscriptions/s/resourcegroups/r/providers/microsoft.batch/batchaccounts/b";
    let mut written = arm("microsoft.batch/batchaccounts/write", resource);
    written.outcome = Outcome::Unknown;
    let path = identity.to_ascii_uppercase();
    written.details.request = text(&format!(
        r#"{{"Identity":{{"Type":"SystemAssigned, UserAssigned","UserAssignedIdentities":{{"{path}":{{}}}}}}}}"#
    ));
    let targets: Vec<_> = changes(&written)
        .into_iter()
        .map(|change| (change.action, change.target))
        .collect();
    let grant = |path: &str| (Action::Grant, Some(Target::Arn(path.to_owned())));
    assert_eq!(targets, [grant(identity), grant(resource)]);
    written.details.request = text(r#"{"location":"westeurope"}"#);
    assert_eq!(changes(&written), []);
}

/// B.5: keys of resources are renewed under several names; only what succeeded counts, and reading a key is no change.
#[test]
fn renewed_keys_of_resources_are_told() {
    let resource = "/subscriptions/s/providers/microsoft.example/kinds/k";
    for (verb, told) in [
        ("regeneratekey", true),
        ("regeneratekeys", true),
        ("regeneratecredential", true),
        ("regenerateaccesskey", true),
        ("listkeys", false),
    ] {
        let mut event = arm(&format!("microsoft.example/kinds/{verb}/action"), resource);
        let actions: Vec<_> = changes(&event).iter().map(|row| row.action).collect();
        assert_eq!(actions, vec![Action::Rotate; usize::from(told)], "{verb}");
        event.outcome = Outcome::Unknown;
        assert_eq!(changes(&event), [], "{verb}: begun is not done");
    }
}

/// B.5: some exports write the list of keys as text of a text.
#[test]
fn lists_of_keys_are_unwrapped_however_often() {
    let one = ("0000004a-4c1e-4a7b-9d52-8e3f6a0b004a", "Password", "april");
    let twice = serde_json::json!(key_list(&[one])).to_string();
    let targets = target("Application", APPLICATION, "KeyDescription", "[]", &twice);
    let (action, uid, _) = credential(&audit(CERTIFICATES_AND_SECRETS, &targets));
    assert_eq!(
        (action, uid),
        (Action::Create, format!("entra:key:{}", one.0))
    );
}
