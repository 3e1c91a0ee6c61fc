//! The rows that Entra writes: sign-ins, audit, and what was asked of Microsoft Graph.
//!
//! A sign-in's row bears two times: when it happened, and a later one when it was logged.

use super::azure::Token;
use super::deliver;
use super::estate::{Body, Entra, ISSUER, Kind, subject};
use super::operations::GRAPH;
use super::text::{compose, fine};
use super::{Stage, Who};
use crate::model::Micros;

/// Time, tenant, tenant.
const BEGIN: &str =
    r#"{"time":"%","resourceId":"/tenants/%/providers/Microsoft.aadiam","tenantId":"%","#;
/// Category, address member, correlation, id, time.
const SIGN_IN: &str = r#""operationName":"Sign-in activity","operationVersion":"1.0","category":"%","resultType":"0","resultSignature":"SUCCESS","durationMs":0,%"correlationId":"%","Level":4,"properties":{"id":"%","createdDateTime":"%","#;
/// Name, name, domain, object, application.
const SIGN_IN_PERSON: &str = r#""userDisplayName":"%","userPrincipalName":"%@%","userId":"%","appId":"%","appDisplayName":"Azure Portal","clientAppUsed":"Browser","isInteractive":true,"clientCredentialType":"none","servicePrincipalId":"","#;
/// Application, credential, name, object, federated credential.
const SIGN_IN_MACHINE: &str = r#""userId":null,"appId":"%","isInteractive":false,"clientCredentialType":"%","servicePrincipalName":"%","servicePrincipalId":"%","federatedCredentialId":"%","#;
/// Address, correlation, token.
const SIGN_IN_END: &str = r#""ipAddress":"%","status":{"errorCode":0},"location":{"city":"","state":"","countryOrRegion":"","geoCoordinates":{"latitude":0.0,"longitude":0.0}},"correlationId":"%","conditionalAccessStatus":"notApplied","appliedConditionalAccessPolicies":[],"tokenIssuerType":"AzureAD","authenticationProcessingDetails":[],"processingTimeInMilliseconds":0,"riskDetail":"none","riskLevelAggregated":"none","riskLevelDuringSignIn":"none","riskState":"none","resourceDisplayName":"Azure Resource Manager","resourceId":"797f4846-ba00-4fd7-ba43-dac1f8f63013","flaggedForReview":false,"isTenantRestricted":false,"crossTenantAccessType":"none","uniqueTokenIdentifier":"%","incomingTokenType":"none","authenticationProtocol":"none","appServicePrincipalId":null,"signInTokenProtectionStatus":"none","originalTransferMethod":"none","isThroughGlobalSecureAccess":false}}"#;
/// Address, request, time, request, request, client request, method, tenant, token, application, object.
const GRAPH_ROW: &str = r#""operationName":"Microsoft Graph Activity","operationVersion":"v1.0","category":"MicrosoftGraphActivityLogs","resultSignature":"200","durationMs":"86618","callerIpAddress":"%","correlationId":"%","level":"Informational","location":"West Europe","properties":{"timeGenerated":"%","location":"West Europe","requestId":"%","operationId":"%","clientRequestId":"%","apiVersion":"v1.0","requestMethod":"%","responseStatusCode":200,"tenantId":"%","durationMs":86618,"responseSizeBytes":18058,"signInActivityId":"%","appId":"%","UserPrincipalObjectID":"%","#;
/// Strength, object, tenant, address, path, time.
const GRAPH_END: &str = r#""wids":"","clientAuthMethod":"%",%"identityProvider":"https://sts.windows.net/%/","ipAddress":"%","userAgent":"python/3.11.8 (Linux-5.15.0-x86_64) msgraph-sdk/1.2.0","requestUri":"https://graph.microsoft.com/v1.0/%","tokenIssuedAt":"%"}}"#;
/// Activity, correlation, id, category, correlation, activity, time, initiator, targets, details.
const AUDIT: &str = r#""operationName":"%","operationVersion":"1.0","category":"AuditLogs","resultSignature":"None","durationMs":0,"correlationId":"%","Level":4,"properties":{"id":"%","category":"%","correlationId":"%","result":"success","resultReason":"","activityDisplayName":"%","activityDateTime":"%","loggedByService":"Core Directory","operationType":"Update","userAgent":null,"initiatedBy":{%},"targetResources":[%],"additionalDetails":[%]}}"#;
/// Id, name, the value as JSON within JSON.
const TRUST_TARGET: &str = r#"{"id":"%","displayName":"%","type":"Application","modifiedProperties":[{"displayName":"FederatedIdentityCredentials","oldValue":"[]","newValue":"%"},{"displayName":"Included Updated Properties","oldValue":null,"newValue":"\"FederatedIdentityCredentials\""}],"administrativeUnits":[]}"#;
/// Name, issuer, subject, id: the value before it is put into a text.
const TRUST: &str = r#"[{"Name":"%","Issuer":"https://%","Subject":"%","Id":"%","Description":null,"Audiences":["api://AzureADTokenExchange"]}]"#;
/// Id, name, the new list; the mark `#` stands for the old one.
const SECRET_TARGET: &str = r#"{"id":"%","displayName":"%","type":"Application","modifiedProperties":[{"displayName":"KeyDescription","oldValue":"[#]","newValue":"[%]"},{"displayName":"Included Updated Properties","oldValue":null,"newValue":"\"KeyDescription\""}],"administrativeUnits":[]}"#;
/// Resource, permission, object, application, object.
const GRANT_TARGETS: &str = r#"{"id":"%","displayName":"Microsoft Graph","type":"ServicePrincipal","modifiedProperties":[{"displayName":"AppRole.Value","oldValue":null,"newValue":"\"%\""},{"displayName":"ServicePrincipal.ObjectID","oldValue":null,"newValue":"\"%\""},{"displayName":"ServicePrincipal.AppId","oldValue":null,"newValue":"\"%\""}],"administrativeUnits":[]},{"id":"%","displayName":null,"type":"ServicePrincipal","modifiedProperties":[],"administrativeUnits":[]}"#;
/// Group, name, name.
const GROUP_TARGET: &str = r#"{"id":"%","displayName":"%-members","type":"Group","modifiedProperties":[{"displayName":"Group.DisplayName","oldValue":null,"newValue":"\"%-members\""}],"administrativeUnits":[]}"#;

/// The sign-in that issued `token`.
pub(super) fn sign_in(stage: &mut Stage<'_>, token: &Token<'_>) {
    let category = match token.kind {
        Kind::EntraUser => "SignInLogs",
        Kind::ManagedIdentity => "ManagedIdentitySignInLogs",
        _ => "ServicePrincipalSignInLogs",
    };
    // Sign-ins of managed identities show no address.
    let (address, member) = if token.kind == Kind::ManagedIdentity {
        ("", String::new())
    } else {
        let member = format!(r#""callerIpAddress":"{}","#, token.address);
        (token.address.as_str(), member)
    };
    let correlation = stage.random.guid().text();
    let lag = 34 + stage.random.below(40) as i64;
    let logged = token.created.plus(lag * Micros::SECOND);
    let mut out = begun(stage, &token.tenant.id, logged);
    compose(
        &mut out,
        SIGN_IN,
        &[
            category,
            &member,
            &correlation,
            &token.sign_in.text(),
            &fine(token.created, "+00:00"),
        ],
    );
    push_subject(&mut out, token);
    compose(
        &mut out,
        SIGN_IN_END,
        &[address, &correlation, &token.sign_in.token_text()],
    );
    token.send(stage, deliver::ENTRA, token.created, out);
    stage.label(token.sign_in.text(), &token.who);
}

/// Who signed in, and with what.
fn push_subject(out: &mut String, token: &Token<'_>) {
    let body = token.body;
    if token.person() {
        let domain = &token.tenant.domain;
        let parts: [&str; 5] = [&body.name, &body.name, domain, &body.object, token.app()];
        compose(out, SIGN_IN_PERSON, &parts);
        return;
    }
    let (credential, federated) = match token.kind {
        Kind::Secret => ("clientSecret", ""),
        Kind::Certificate => ("certificate", ""),
        Kind::Workload => ("federatedIdentityCredential", body.key.as_str()),
        _ => ("none", ""),
    };
    let parts: [&str; 5] = [&body.app, credential, &body.name, &body.object, federated];
    compose(out, SIGN_IN_MACHINE, &parts);
    if matches!(token.kind, Kind::Secret | Kind::Certificate) {
        let key = r#""servicePrincipalCredentialKeyId":"%","#;
        compose(out, key, &[&body.key]);
    }
    if token.kind == Kind::Certificate {
        // A thumbprint has 40 digits; these are the key's and the first of the object's.
        let digits = format!("{}{}", body.key, body.object).replace('-', "");
        let thumbprint = digits[..40].to_ascii_uppercase();
        let member = r#""servicePrincipalCredentialThumbprint":"%","#;
        compose(out, member, &[&thumbprint]);
    }
}

/// A request to Microsoft Graph.
pub(super) fn graph(stage: &mut Stage<'_>, token: &Token<'_>, at: Micros) {
    let body = token.body;
    let tenant = &token.tenant.id;
    let (method, path) = stage.random.pick(&GRAPH);
    let request = stage.random.guid().text();
    let client_request = stage.random.guid().text();
    let subject = if token.person() {
        format!(
            r#""scopes":"Directory.Read.All User.Read","roles":"","C_Idtyp":"user","userId":"{}","#,
            body.object
        )
    } else {
        format!(
            r#""scopes":"","roles":"Application.Read.All Directory.Read.All","C_Idtyp":"app","servicePrincipalId":"{}","#,
            body.object
        )
    };
    let issued = fine(token.created.plus(-5 * Micros::MINUTE), "Z");
    let mut out = begun(stage, tenant, at);
    compose(
        &mut out,
        GRAPH_ROW,
        &[
            &token.address,
            &request,
            &fine(at, "Z"),
            &request,
            &request,
            &client_request,
            method,
            tenant,
            &token.sign_in.token_text(),
            token.app(),
            &body.object,
        ],
    );
    compose(
        &mut out,
        GRAPH_END,
        &[
            token.strength(),
            &subject,
            tenant,
            &token.address,
            path,
            &issued,
        ],
    );
    token.send(stage, deliver::ENTRA, at, out);
    stage.label(request, &token.who);
}

/// A change of a group's members.
pub(super) fn audit(stage: &mut Stage<'_>, token: &Token<'_>, at: Micros) {
    let body = token.body;
    let group = stage.random.guid().text();
    let mut targets = String::with_capacity(256);
    compose(
        &mut targets,
        GROUP_TARGET,
        &[&group, &body.resource, &body.resource],
    );
    let names = ("Add member to group", "GroupManagement");
    audit_by(stage, token, names, &targets, at);
}

/// The holder of `token` gives itself the application permission `role` of Microsoft Graph.
pub(super) fn grant(stage: &mut Stage<'_>, token: &Token<'_>, role: &str, at: Micros) {
    let body = token.body;
    let resource = stage.random.guid().text();
    let mut targets = String::with_capacity(512);
    compose(
        &mut targets,
        GRANT_TARGETS,
        &[&resource, role, &body.object, &body.app, &body.object],
    );
    let names = (
        "Add app role assignment to service principal",
        "ApplicationManagement",
    );
    audit_by(stage, token, names, &targets, at);
}

/// The row of what the holder of `token` did to `targets`, by its activity and category.
fn audit_by(
    stage: &mut Stage<'_>,
    token: &Token<'_>,
    (activity, category): (&str, &str),
    targets: &str,
    at: Micros,
) {
    let row = Audit {
        activity,
        category,
        initiator: &initiator(token),
        targets,
        details: "",
    };
    audit_row(stage, token.body.tenant, &row, at, &token.who);
}

/// Who did what an audit row tells.
fn initiator(token: &Token<'_>) -> String {
    let body = token.body;
    if token.person() {
        format!(
            r#""user":{{"id":"{}","displayName":null,"userPrincipalName":"{}@{}","ipAddress":"{}","roles":[]}}"#,
            body.object, body.name, token.tenant.domain, token.address
        )
    } else {
        format!(
            r#""app":{{"appId":"{}","displayName":"{}","servicePrincipalId":"{}","servicePrincipalName":null}}"#,
            body.app, body.name, body.object
        )
    }
}

/// The rows that say which workflow each federated credential trusts: without them nobody could know whose sign-ins
/// these are.
pub(super) fn trust_workflows(stage: &mut Stage<'_>, at: Micros) {
    let estate = stage.estate;
    for actor in &estate.actors {
        if let (Kind::Workload, Body::Entra(body)) = (actor.kind, &actor.body) {
            trust(stage, body, at);
        }
    }
}

fn trust(stage: &mut Stage<'_>, body: &Entra, at: Micros) {
    let workflow = subject(&body.name);
    trust_subject(stage, body, &body.key, &workflow, at);
}

/// The tenant's administrator lets GitHub's `subject` sign in as the application, by the federated credential `key`.
pub(super) fn trust_subject(
    stage: &mut Stage<'_>,
    body: &Entra,
    key: &str,
    subject: &str,
    at: Micros,
) {
    let mut value = String::with_capacity(320);
    compose(&mut value, TRUST, &[&body.name, ISSUER, subject, key]);
    let value = value.replace('"', "\\\"");
    administrate(stage, body, "Update application", TRUST_TARGET, &value, at);
}

/// The tenant's administrator adds the secret `key` to those that the application has.
pub(super) fn add_secret(stage: &mut Stage<'_>, body: &Entra, key: &str, at: Micros) {
    let known = &body.key;
    let one = |key: &str| {
        format!(r#"\"[KeyIdentifier={key},KeyType=Password,KeyUsage=Verify,DisplayName=deploy]\""#)
    };
    let value = format!("{},{}", one(known), one(key));
    let activity = "Update application \u{2013} Certificates and secrets management ";
    let template = SECRET_TARGET.replace('#', &one(known));
    administrate(stage, body, activity, &template, &value, at);
}

/// A change of an application by the tenant's administrator. `template` takes an id, a name and `value`.
fn administrate(
    stage: &mut Stage<'_>,
    body: &Entra,
    activity: &str,
    template: &str,
    value: &str,
    at: Micros,
) {
    let estate = stage.estate;
    let tenant = &estate.tenants[body.tenant];
    let initiator = format!(
        r#""user":{{"id":"{}","displayName":null,"userPrincipalName":"setup@{}","ipAddress":null,"roles":[]}}"#,
        tenant.administrator, tenant.domain
    );
    let application = stage.random.guid().text();
    let mut targets = String::with_capacity(640);
    compose(&mut targets, template, &[&application, &body.name, value]);
    let details = format!(r#"{{"key":"AppId","value":"{}"}}"#, body.app);
    let row = Audit {
        activity,
        category: "ApplicationManagement",
        initiator: &initiator,
        targets: &targets,
        details: &details,
    };
    let who = Who::other(&format!(
        "entra:user:{}/{}",
        tenant.id, tenant.administrator
    ));
    audit_row(stage, body.tenant, &row, at, &who);
}

/// What differs between audit rows; all but the first two are JSON.
struct Audit<'a> {
    activity: &'a str,
    category: &'a str,
    initiator: &'a str,
    targets: &'a str,
    details: &'a str,
}

fn audit_row(stage: &mut Stage<'_>, tenant: usize, row: &Audit<'_>, at: Micros, who: &Who) {
    let estate = stage.estate;
    let correlation = stage.random.guid().text();
    let number = stage.random.below(90_000_000);
    let id = format!("Directory_{correlation}_SIM01_{number}");
    let mut out = begun(stage, &estate.tenants[tenant].id, at);
    compose(
        &mut out,
        AUDIT,
        &[
            row.activity,
            &correlation,
            &id,
            row.category,
            &correlation,
            row.activity,
            &fine(at, "+00:00"),
            row.initiator,
            row.targets,
            row.details,
        ],
    );
    stage
        .delivery
        .put(stage.random, deliver::ENTRA, tenant, at, &out);
    stage.record = out;
    stage.label(id, who);
}

/// The members with which every row of Entra begins, in the stage's buffer.
fn begun(stage: &mut Stage<'_>, tenant: &str, at: Micros) -> String {
    let mut out = stage.buffer();
    compose(&mut out, BEGIN, &[&fine(at, "Z"), tenant, tenant]);
    out
}
