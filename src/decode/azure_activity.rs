//! The Azure activity log: what was done to resources through Azure Resource Manager, as the diagnostic export, the
//! management API and Log Analytics write it.
//!
//! Columns: Azure Monitor, "Azure activity log event schema" and the `AzureActivity` table. Resource logs (storage,
//! functions, Kubernetes) share the envelope and are not decoded here: their `identity` has other shapes. Reads of
//! secrets are `key_vault`.

use std::borrow::Cow;

use super::azure::{self, Claims, RowKey, When};
use super::json::{self, Members};
use super::{Element, Source};
use crate::model::{
    AuditEvent, AzurePrincipal, Details, Flags, LogSource, Micros, Network, Outcome, Principal,
    Reject, RejectCode,
};

pub(super) const SOURCE: Source = Source {
    source: LogSource::AzureActivity,
    recognises,
    decode,
};

/// The categories of the activity log; the last three are verbs that exports wrote before 2018.
const CATEGORIES: [&str; 11] = [
    "Administrative",
    "Security",
    "ServiceHealth",
    "Alert",
    "Recommendation",
    "Policy",
    "Autoscale",
    "ResourceHealth",
    "Write",
    "Action",
    "Delete",
];

/// .NET ticks (100 ns since year 1) at 1970-01-01.
const TICKS_AT_1970: i64 = 621_355_968_000_000_000;

fn recognises(members: &Members<'_>) -> bool {
    if azure::is(members.text("Type").as_deref(), &["AzureActivity"]) {
        return true;
    }
    let named = members.has("operationName") || members.has("operationNameValue");
    let claimed = match azure::category(members) {
        Some(category) if azure::is(Some(&category), &CATEGORIES) => {
            named || (members.has("resourceId") && members.has("correlationId"))
        }
        // Key Vault's own category, whatever else the record looks like.
        Some(category) if category.eq_ignore_ascii_case("AuditEvent") => false,
        // A new category of the activity log would still carry the claims of Resource Manager; resource logs do not.
        Some(_) => resource_manager_call(members) && signed(members),
        None => pair_shaped(members) || table_shaped(members) || unlabelled(members),
    };
    claimed && !azure::directory_entry(members)
}

/// The management API writes names as `{value, localizedValue}`.
fn pair_shaped(members: &Members<'_>) -> bool {
    members.object("operationName").is_some()
        && [
            "resourceId",
            "caller",
            "claims",
            "eventDataId",
            "authorization",
        ]
        .iter()
        .any(|name| members.has(name))
}

/// Rows of Log Analytics whose table name was dropped.
fn table_shaped(members: &Members<'_>) -> bool {
    members.has("operationNameValue")
        && ["activityStatusValue", "caller", "correlationId"]
            .iter()
            .any(|name| members.has(name))
}

/// A call without a category: its operation is one of Resource Manager's and it says who called or how it ended.
fn unlabelled(members: &Members<'_>) -> bool {
    resource_manager_call(members)
        && ["identity", "caller", "claims", "resultType", "status"]
            .iter()
            .any(|name| members.has(name))
}

fn resource_manager_call(members: &Members<'_>) -> bool {
    let operation = operation_text(members).unwrap_or_default();
    let provider = operation.split('/').next().unwrap_or_default();
    let resource = members.text("resourceId").unwrap_or_default();
    provider.len() < operation.len()
        && provider.contains('.')
        && azure::part_after(&resource, "subscriptions").is_some()
}

/// Whether the record carries a token's claims or the check of a permission, as only Resource Manager writes them.
fn signed(members: &Members<'_>) -> bool {
    let identity = members.object("identity").unwrap_or_default();
    [&identity, members]
        .iter()
        .any(|object| object.object("claims").is_some() || object.object("authorization").is_some())
}

fn decode<'a>(element: &Element<'a>, members: &Members<'a>) -> Result<AuditEvent<'a>, Reject> {
    let mut flags = element.flags;
    let operation = operation_text(members).map(azure::lower).ok_or_else(|| {
        Reject::new(
            RejectCode::MissingField,
            "operationName: an activity without an operation says nothing",
        )
    })?;
    let principal = principal(members)?;
    let when = event_time(element, members, &mut flags)?;
    let properties = members.object("properties").unwrap_or_default();
    let resource = resource(members, &properties);
    let correlation = members.text("correlationId").map(azure::lower);
    let result = result(members);
    let key = RowKey {
        correlation: correlation.as_deref(),
        operation: &operation,
        result: result.as_deref().unwrap_or_default(),
        when,
        resource: resource.as_deref().unwrap_or_default(),
    };
    let event_uid = match stated_uid(members, &properties) {
        Some(id) => azure::guid(id),
        None => azure::row_uid("activity", key, element, &mut flags),
    };
    let action_uid = match &correlation {
        // AZ-1: the rows of one action differ in their result only.
        Some(correlation) => Cow::Owned(format!("{correlation}|{operation}|{}", key.resource)),
        None => event_uid.clone(),
    };
    let detail = azure::value(members, "resultSignature")
        .or_else(|| azure::value(members, "subStatus"))
        .or_else(|| azure::value(members, "activitySubstatusValue"));
    let outcome = azure::outcome(&[result, detail.clone()]);
    let failed = outcome == Outcome::Failure;
    let failure = failed.then(|| error(members, &properties, detail));
    let (error_code, error_message) = failure.unwrap_or_default();
    Ok(AuditEvent {
        source: LogSource::AzureActivity,
        event_uid,
        action_uid,
        shared_event_uid: None,
        request_uid: correlation,
        event_time: when.time,
        tenant_uid: tenant(members, resource.as_deref()),
        region: members.text("location").map(azure::lower),
        service: service(members, &operation),
        read_only: Some(operation.ends_with("/read")),
        operation,
        outcome,
        error_code,
        error_message,
        principal: Principal::Azure(principal),
        network: Network {
            source_raw: source_address(members),
            ..Network::default()
        },
        resources: resource.into_iter().collect(),
        params_json: azure::params(members),
        issued: None,
        details: Details {
            request: properties.json("requestbody"),
            response: properties.json("responseBody"),
            ..Details::default()
        },
        addendum: None,
        flags,
    })
}

/// Log Analytics puts a sentence into `OperationName` and the name into `OperationNameValue`.
fn operation_text<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    azure::value(members, "operationNameValue").or_else(|| azure::value(members, "operationName"))
}

/// What the row says about its action: begun, accepted, done.
fn result<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    [
        "resultType",
        "status",
        "activityStatusValue",
        "activityStatus",
    ]
    .iter()
    .find_map(|name| azure::value(members, name))
}

/// The record's own time, else the ticks at the end of the management API's `id`.
fn event_time(
    element: &Element<'_>,
    members: &Members<'_>,
    flags: &mut Flags,
) -> Result<When, Reject> {
    let stated = [
        "time",
        "eventTimestamp",
        "timeGenerated",
        "eventSubmissionTimestamp",
        "submissionTimestamp",
        "@timestamp",
    ]
    .map(|name| members.text(name));
    let silent = stated.iter().all(Option::is_none);
    if silent && let Some(time) = members.text("id").and_then(|id| ticks(&id)) {
        flags.raise(Flags::TIME_GUESSED);
        return Ok(When { time, stated: true });
    }
    azure::event_time(element, &stated, flags)
}

/// `…/ticks/637896803756986539` → the time. Ticks outside 1970 to 2200 are masked or broken.
fn ticks(id: &str) -> Option<Micros> {
    let ticks: i64 = azure::part_after(id, "ticks")?.parse().ok()?;
    let micros = ticks.checked_sub(TICKS_AT_1970)? / 10;
    let end = 230 * 366 * Micros::DAY;
    (0..end).contains(&micros).then_some(Micros(micros))
}

/// `eventDataId`, wherever an export put it; not the one below `eventProperties`, which is that of another event.
fn stated_uid<'a>(members: &Members<'a>, properties: &Members<'a>) -> Option<Cow<'a, str>> {
    members
        .text("eventDataId")
        .or_else(|| properties.text("eventDataId"))
        .or_else(|| {
            let id = members.text("id")?;
            azure::part_after(&id, "ticks")?;
            azure::part_after(&id, "events").map(|event| Cow::Owned(event.to_owned()))
        })
}

/// The resource that was acted on, in lower case.
fn resource<'a>(members: &Members<'a>, properties: &Members<'a>) -> Option<Cow<'a, str>> {
    members
        .first_text(&["resourceId", "_resourceId", "resourceUri"])
        .or_else(|| properties.text("entity"))
        .or_else(|| members.object("authorization")?.text("scope"))
        .map(azure::lower)
}

/// The subscription; for what stands above all subscriptions, the tenant.
fn tenant<'a>(members: &Members<'a>, resource: Option<&str>) -> Option<Cow<'a, str>> {
    let subscription = resource.and_then(|id| azure::part_after(id, "subscriptions"));
    match subscription {
        Some(id) => Some(Cow::Owned(id.to_owned())),
        None => members
            .text("subscriptionId")
            .map(azure::guid)
            .or_else(|| azure::tenant(members)),
    }
}

/// The provider's namespace, `microsoft.compute`.
fn service<'a>(members: &Members<'a>, operation: &str) -> Cow<'a, str> {
    match operation.split_once('/') {
        Some((provider, _)) => Cow::Owned(provider.to_owned()),
        None => [
            "resourceProviderName",
            "resourceProviderValue",
            "resourceProvider",
        ]
        .iter()
        .find_map(|name| azure::value(members, name))
        .map_or(Cow::Borrowed("azure"), azure::lower),
    }
}

fn source_address<'a>(members: &Members<'a>) -> Option<Cow<'a, str>> {
    members
        .text("callerIpAddress")
        .or_else(|| members.object("httpRequest")?.text("clientIpAddress"))
        .map(azure::address)
}

/// The caller by its claims, else by `caller` or an `identity` that is a plain text.
fn principal<'a>(members: &Members<'a>) -> Result<AzurePrincipal<'a>, Reject> {
    azure::once(members, &["identity", "claims", "claims_d", "caller"])?;
    let identity = members.object("identity").unwrap_or_default();
    azure::no_duplicate("identity", &identity)?;
    let claims = identity
        .object("claims")
        .or_else(|| members.object("claims"))
        .or_else(|| members.object("claims_d"))
        .unwrap_or_default();
    azure::no_duplicate("claims", &claims)?;
    let evidence = identity
        .object("authorization")
        .or_else(|| members.object("authorization"))
        .and_then(|authorization| authorization.object("evidence"))
        .unwrap_or_default();
    let caller = members.first_text(&["caller", "identity"]);
    Ok(azure::decide(Claims::read(&claims), caller, &evidence))
}

/// Code and message of a failure. Resource Manager's own error stands as JSON text in `properties.statusMessage`.
fn error<'a>(
    members: &Members<'a>,
    properties: &Members<'a>,
    detail: Option<Cow<'a, str>>,
) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
    let stated = properties.get("statusMessage").and_then(|raw| {
        let text = json::scalar(raw).unwrap_or_else(|| Cow::Borrowed(raw.get()));
        let outer = Members::parse(&text).ok()?;
        let error = outer.object("error")?;
        let owned = |name: &str| error.text(name).map(|text| Cow::Owned(text.into_owned()));
        Some((owned("code"), owned("message")))
    });
    let (code, message) = stated.unwrap_or_default();
    let code = code
        .or(detail)
        .or_else(|| properties.text("statusCode"))
        .map(|code: Cow<'a, str>| match code.strip_suffix('.') {
            Some(bare) => Cow::Owned(bare.to_owned()),
            None => code,
        });
    let message = message.or_else(|| members.first_text(&["resultDescription", "description"]));
    (code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `record` and gives the event's id, time, operation, subscription and outcome, or the reject's code.
    fn check(record: &str, expected: &str) {
        let element = Element {
            text: record,
            appended_at: None,
            raw_sha256: [7; 32],
            flags: Flags::none(),
        };
        let members = Members::parse(record).unwrap();
        let read = match decode(&element, &members) {
            Ok(event) => format!(
                "{} {} {} {} {}",
                event.event_uid,
                event.event_time,
                event.operation,
                event.tenant_uid.as_deref().unwrap_or("-"),
                event.outcome.name()
            ),
            Err(reject) => reject.code.code().to_owned(),
        };
        assert_eq!(read, expected, "{record}");
    }

    #[test]
    fn the_management_api_dates_by_its_ticks_and_ids_by_its_path() {
        check(
            r#"{"id":"/subscriptions/S1/events/E1/ticks/639079560000000000","operationName":{"value":"Microsoft.Web/sites/Write"},"resourceId":"/subscriptions/S1/x","status":{"value":"Started"}}"#,
            "e1 2026-03-01T10:00:00Z microsoft.web/sites/write s1 unknown",
        );
    }

    #[test]
    fn an_export_without_correlation_gets_an_id_from_its_bytes() {
        check(
            r#"{"time":"2026-03-01T10:00:00Z","operationName":"A.B/READ","resourceId":"/SUBSCRIPTIONS/S1","resultType":"Failed","resultSignature":"403"}"#,
            "raw:07070707070707070707070707070707 2026-03-01T10:00:00Z a.b/read s1 failure",
        );
    }

    #[test]
    fn what_cannot_be_ordered_or_named_is_refused() {
        check(r#"{"operationName":"A.B/READ"}"#, "no_time");
        check(r#"{"time":"soon","operationName":"A.B/READ"}"#, "bad_field");
        check(r#"{"time":"2026-03-01T10:00:00Z"}"#, "missing_field");
        check(
            r#"{"time":"2026-03-01T10:00:00Z","operationName":"A.B/READ","identity":{"claims":{"oid":"1","oid":"2"}}}"#,
            "duplicate_key",
        );
    }

    /// DD-4: the digest is of what both exports say.
    #[test]
    fn both_copies_of_a_row_have_one_id() {
        let uid = |record: &str| {
            let element = Element {
                text: record,
                appended_at: None,
                raw_sha256: [7; 32],
                flags: Flags::none(),
            };
            let members = Members::parse(record).unwrap();
            decode(&element, &members).unwrap().event_uid.into_owned()
        };
        let first = uid(
            r#"{"time":"2026-03-01T10:00:00.0000000Z","operationName":"A.B/WRITE","resourceId":"/SUBSCRIPTIONS/S1","correlationId":"C1","resultType":"Success"}"#,
        );
        let second = uid(
            r#"{"TimeGenerated":"2026-03-01T10:00:00+00:00","OperationNameValue":"a.b/write","_ResourceId":"/subscriptions/s1","CorrelationId":"c1","ActivityStatusValue":"Success"}"#,
        );
        assert!(first.starts_with("activity:"), "{first}");
        assert_eq!(first, second);
    }
}
