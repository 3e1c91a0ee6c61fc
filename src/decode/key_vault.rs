//! Key Vault audit events: who read, wrote or used a secret, key or certificate, as the diagnostic export and both
//! Log Analytics tables write them.
//!
//! Columns: Azure Key Vault, "Key Vault logging". The secret's value is never in this log. Managing a vault is an Azure
//! activity and not decoded here.

use std::borrow::Cow;

use super::azure::{self, Claims, Layers, RowKey};
use super::json::Members;
use super::{Element, Source};
use crate::model::{
    AuditEvent, AzurePrincipal, Details, LogSource, Network, Outcome, Principal, Reject, RejectCode,
};

pub(super) const SOURCE: Source = Source {
    source: LogSource::KeyVault,
    recognises,
    decode,
};

/// Members that name the actor, flattened columns of Log Analytics included.
const ACTOR: [&str; 6] = [
    "properties",
    "identity",
    "tenantId",
    "identity_claim_oid_g",
    "identity_claim_appid_g",
    FLAT_OBJECT_ID,
];

/// Log Analytics flattens a claim's URI into the name of a column.
const FLAT_OBJECT_ID: &str =
    "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g";
const FLAT_UPN: &str = "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s";
const FLAT_SCOPE: &str = "identity_claim_http_schemas_microsoft_com_identity_claims_scope_s";

/// `AuditEvent` is the category of several services' logs; the resource or the secret's address tells this one.
fn recognises(members: &Members<'_>) -> bool {
    let table = members.text("Type");
    if azure::is(table.as_deref(), &["AZKVAuditLogs"]) {
        return true;
    }
    let category = azure::category(members);
    azure::is(category.as_deref(), &["AuditEvent"]) && about_a_vault(members)
}

fn about_a_vault(members: &Members<'_>) -> bool {
    let provider = members.text("resourceProvider");
    let resource = members.first_text(&["resourceId", "_resourceId"]);
    let under = resource
        .is_some_and(|id| azure::is(azure::part_after(&id, "providers"), &["Microsoft.KeyVault"]));
    under
        || azure::is(provider.as_deref(), &["Microsoft.KeyVault"])
        || members
            .object("properties")
            .and_then(|properties| properties.text("id"))
            .or_else(|| members.text("id_s"))
            .is_some_and(|id| id.contains(".vault.") || id.contains(".managedhsm."))
}

fn decode<'a>(element: &Element<'a>, members: &Members<'a>) -> Result<AuditEvent<'a>, Reject> {
    let mut flags = element.flags;
    let layers = Layers::read(members, &ACTOR)?;
    let operation = members.text("operationName").ok_or_else(|| {
        Reject::new(
            RejectCode::MissingField,
            "operationName: a vault event without an operation says nothing",
        )
    })?;
    let principal = principal(members)?;
    let when = azure::event_time(
        element,
        &["time", "timeGenerated", "@timestamp"].map(|name| members.text(name)),
        &mut flags,
    )?;
    let vault = members
        .first_text(&["resourceId", "_resourceId"])
        .map(azure::lower);
    let secret = layers
        .first_text(&["id", "id_s"])
        .filter(|id| id.contains("://"))
        .map(|id| without_version(&id));
    let correlation = members.text("correlationId").map(azure::lower);
    let result = members.text("resultType");
    let key = RowKey {
        correlation: correlation.as_deref(),
        operation: &operation,
        result: result.as_deref().unwrap_or_default(),
        when,
        resource: vault.as_deref().unwrap_or_default(),
    };
    let event_uid = azure::row_uid("vault", key, element, &mut flags);
    // `resultType` says `Success` of a request that was answered, also where the answer was 403.
    let status = layers.first_text(&["httpStatusCode", "httpStatusCode_d"]);
    let signature = members.text("resultSignature");
    let outcome = azure::outcome(&[status.clone(), signature.clone(), result]);
    let failed = outcome == Outcome::Failure;
    Ok(AuditEvent {
        source: LogSource::KeyVault,
        action_uid: event_uid.clone(),
        event_uid,
        shared_event_uid: None,
        event_time: when.time,
        tenant_uid: subscription(members, vault.as_deref()),
        request_uid: correlation,
        region: members.text("location").map(azure::lower),
        service: Cow::Borrowed("vault.azure.net"),
        read_only: Some(reads(&operation)),
        operation,
        outcome,
        error_code: signature.or(status).filter(|_| failed),
        error_message: members.text("resultDescription").filter(|_| failed),
        principal: Principal::Azure(principal),
        network: Network {
            source_raw: members.text("callerIpAddress").map(azure::address),
            user_agent: layers.first_text(&["clientInfo", "clientInfo_s"]),
            ..Network::default()
        },
        resources: secret.or(vault).into_iter().collect(),
        params_json: azure::params(members),
        issued: None,
        details: Details::default(),
        addendum: None,
        flags,
    })
}

/// Whether an operation only reads: `Get` or `List` stands in its name as a word, `SecretGet`, `KeyListVersions`.
fn reads(operation: &str) -> bool {
    ["Get", "List"].iter().any(|verb| {
        operation.match_indices(verb).any(|(at, _)| {
            operation[at + verb.len()..]
                .bytes()
                .next()
                .is_none_or(|next| next.is_ascii_uppercase())
        })
    })
}

/// `https://v.vault.azure.net/secrets/name/<version>?api-version=…` → the same up to the name, in lower case.
fn without_version<'a>(id: &str) -> Cow<'a, str> {
    let bare = id.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = bare.trim_end_matches('/').splitn(6, '/').take(5).collect();
    Cow::Owned(parts.join("/").to_ascii_lowercase())
}

fn subscription<'a>(members: &Members<'a>, vault: Option<&str>) -> Option<Cow<'a, str>> {
    match vault.and_then(|id| azure::part_after(id, "subscriptions")) {
        Some(id) => Some(Cow::Owned(id.to_owned())),
        None => members
            .text("subscriptionId")
            .map(azure::guid)
            .or_else(|| azure::tenant(members)),
    }
}

/// The caller by its claims. They name no tenant; a vault accepts tokens of its own tenant only.
fn principal<'a>(members: &Members<'a>) -> Result<AzurePrincipal<'a>, Reject> {
    let identity = members.object("identity").unwrap_or_default();
    azure::no_duplicate("identity", &identity)?;
    let claims = identity
        .object("claim")
        .or_else(|| identity.object("claims"))
        .unwrap_or_default();
    azure::no_duplicate("identity.claim", &claims)?;
    let mut claims = match claims.iter().next() {
        Some(_) => Claims::read(&claims),
        None => flat_claims(members),
    };
    claims.tenant_id = claims.tenant_id.or_else(|| azure::tenant(members));
    let caller = members.text("identity");
    Ok(azure::decide(claims, caller, &Members::default()))
}

fn flat_claims<'a>(members: &Members<'a>) -> Claims<'a> {
    Claims {
        object_id: members.first_text(&[FLAT_OBJECT_ID, "identity_claim_oid_g"]),
        app_id: members.text("identity_claim_appid_g"),
        user_name: members.first_text(&[
            FLAT_UPN,
            "identity_claim_upn_s",
            "identity_claim_unique_name_s",
        ]),
        id_type: members.text("identity_claim_idtyp_s"),
        scope: members.first_text(&[FLAT_SCOPE, "identity_claim_scp_s"]),
        identity_resource: members.text("identity_claim_xms_mirid_s"),
        workload_resource: members.text("identity_claim_xms_az_rid_s"),
        client_auth: members.text("identity_claim_appidacr_s"),
        ..Claims::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AzureSubject, Flags};

    fn check(record: &str, subject: AzureSubject, outcome: Outcome, resource: &str) {
        let element = Element {
            text: record,
            appended_at: None,
            raw_sha256: [7; 32],
            flags: Flags::none(),
        };
        let members = Members::parse(record).unwrap();
        let event = decode(&element, &members).unwrap();
        let Principal::Azure(principal) = &event.principal else {
            panic!("a vault event has an Entra actor");
        };
        assert_eq!(principal.subject, subject, "{record}");
        assert_eq!(event.outcome, outcome, "{record}");
        assert_eq!(event.resources, [resource], "{record}");
        assert_eq!(event.tenant_uid.as_deref(), Some("s1"), "{record}");
    }

    #[test]
    fn a_refusal_is_a_failure_whatever_the_result_type_says() {
        check(
            r#"{"time":"2026-03-01T10:00:00Z","operationName":"SecretGet","resourceId":"/SUBSCRIPTIONS/S1/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V","resultType":"Success","resultSignature":"Forbidden","identity":{"claim":{"oid":"o","appid":"a"}},"properties":{"id":"https://V.vault.azure.net/secrets/Pass/0123?api-version=7.4","httpStatusCode":403}}"#,
            AzureSubject::ServicePrincipal,
            Outcome::Failure,
            "https://v.vault.azure.net/secrets/pass",
        );
    }

    #[test]
    fn flattened_columns_name_the_caller() {
        check(
            r#"{"TimeGenerated":"2026-03-01T10:00:00Z","OperationName":"VaultGet","SubscriptionId":"S1","ResourceId":"/x","ResultType":"Success","ResultSignature":"OK","identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s":"a@b.example"}"#,
            AzureSubject::User,
            Outcome::Success,
            "/x",
        );
    }

    #[test]
    fn only_get_and_list_read() {
        for (operation, expected) in [
            ("SecretGet", true),
            ("SecretListVersions", true),
            ("CertificateGetDeleted", true),
            ("KeyGetRotationPolicy", true),
            ("SecretSet", false),
            ("KeyDecrypt", false),
            ("VaultTargetedPatch", false),
        ] {
            assert_eq!(reads(operation), expected, "{operation}");
        }
    }
}
