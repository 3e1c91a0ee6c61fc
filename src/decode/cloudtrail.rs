//! CloudTrail records: management, data and network-activity events in every shape that trails, EventBridge, Lake and
//! log shippers give them.
//!
//! Members and their meaning: AWS CloudTrail user guide, "CloudTrail record contents" and "userIdentity element".
//! Who the caller *is* is not decided here; see `attribute::aws`.

mod caller;
mod issued;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{self, Branch, Text, Tree};
use super::{Element, time};
use crate::model::{
    Addendum, AuditEvent, Details, Flags, LogSource, Micros, Network, Outcome, Principal, Reject,
    RejectCode,
};

/// Requests and answers beyond this length are left out of `params_json`; the raw row keeps them. CloudTrail itself
/// omits what is over 100 KB.
const PARAMS_BYTES_MAX: usize = 16 * 1024;

/// The members of a record that are read. Unknown members are skipped unparsed: those of newer versions, devices at the
/// edge, and `eventContext`, which no trail delivers (AWS-37).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(borrow, default)]
    event_version: Text<'a>,
    #[serde(borrow, default)]
    user_identity: Tree<'a>,
    #[serde(borrow, default)]
    event_time: Text<'a>,
    /// Logstash moves the time here and drops `eventTime`.
    #[serde(borrow, default, rename = "@timestamp")]
    timestamp: Text<'a>,
    #[serde(borrow, default)]
    event_source: Text<'a>,
    #[serde(borrow, default)]
    event_name: Text<'a>,
    #[serde(borrow, default)]
    aws_region: Text<'a>,
    #[serde(borrow, default, rename = "sourceIPAddress")]
    source_ip_address: Text<'a>,
    #[serde(borrow, default)]
    user_agent: Text<'a>,
    #[serde(borrow, default)]
    error_code: Text<'a>,
    #[serde(borrow, default)]
    error_message: Text<'a>,
    #[serde(borrow, default)]
    request_parameters: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response_elements: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "requestID")]
    request_id: Text<'a>,
    #[serde(borrow, default, rename = "eventID")]
    event_id: Text<'a>,
    #[serde(borrow, default, rename = "sharedEventID")]
    shared_event_id: Text<'a>,
    #[serde(borrow, default)]
    read_only: Text<'a>,
    #[serde(borrow, default)]
    resources: Option<&'a RawValue>,
    #[serde(borrow, default)]
    recipient_account_id: Text<'a>,
    #[serde(borrow, default)]
    vpc_endpoint_id: Text<'a>,
    #[serde(borrow, default)]
    tls_details: Tree<'a>,
    #[serde(borrow, default)]
    session_credential_from_console: Text<'a>,
    #[serde(borrow, default)]
    event_category: Text<'a>,
    #[serde(borrow, default)]
    event_type: Text<'a>,
    #[serde(borrow, default)]
    additional_event_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    service_event_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    addendum: Tree<'a>,
}

/// What is searched for in every record, prepared once.
struct Finders {
    event_source: Finder<'static>,
    user_identity: Finder<'static>,
    lambda_source: Finder<'static>,
    insight: Finder<'static>,
}

static FINDERS: LazyLock<Finders> = LazyLock::new(|| Finders {
    event_source: Finder::new(b"\"eventSource\""),
    user_identity: Finder::new(b"\"userIdentity\""),
    lambda_source: Finder::new(b"\"aws:"),
    insight: Finder::new(b"Insight"),
});

/// Whether `text` can be a CloudTrail record at all: a search, not a parse.
pub(super) fn looks_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    FINDERS.event_source.find(bytes).is_some() || FINDERS.user_identity.find(bytes).is_some()
}

/// Whether `text` is a record as AWS writes it, seen without reading its members.
///
/// Anything that only resembles one answers no and is read properly, so this may be strict: the record begins with its
/// version, and a notification or an Insight would have to hold one of the other two texts.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    text.starts_with("{\"eventVersion\":")
        && FINDERS.event_source.find(bytes).is_some()
        && FINDERS.lambda_source.find(bytes).is_none()
        && FINDERS.insight.find(bytes).is_none()
}

/// Reads one record. `Ok(None)` when the members show that it is not CloudTrail after all.
pub(super) fn decode<'a>(element: &Element<'a>) -> Result<Option<AuditEvent<'a>>, Reject> {
    let record: Record<'a> = match serde_json::from_str(element.text) {
        Ok(record) => record,
        Err(error) => return Err(unreadable(&error)),
    };
    let Some(service) = record.event_source.known() else {
        return Ok(None);
    };
    let Some(name) = record.event_name.known() else {
        return Ok(None);
    };
    if !service.contains('.') || service.starts_with("aws:") {
        return Ok(None);
    }
    let mut flags = element.flags;
    // AWS-40: any 1.x is read, and another major version as far as it goes.
    if record
        .event_version
        .0
        .as_deref()
        .is_some_and(|version| !version.starts_with("1."))
    {
        flags.raise(Flags::UNKNOWN_VERSION);
    }
    let event_time = event_time(record.event_time, record.timestamp, element, &mut flags)?;
    // DD-2: in pairs of insights the shared id ties a start to its end, and not two accounts' copies.
    let insight = record.event_category.0.as_deref() == Some("Insight");
    let principal = caller::principal(
        record.user_identity.root(),
        &record.session_credential_from_console,
    )?;
    if !insight {
        caller::named(&principal, record.event_type.0.as_deref())?;
    }
    let recipient = record.recipient_account_id.known();
    let event_uid = record.event_id.known().unwrap_or_else(|| {
        flags.raise(Flags::ID_DERIVED);
        element.derived_uid()
    });
    let shared_event_uid = record.shared_event_id.known();
    let error_code = record.error_code.known();
    let error_message = record.error_message.known();
    let outcome = if error_code.is_some() || error_message.is_some() {
        Outcome::Failure
    } else {
        Outcome::Success
    };
    let outcome = console_outcome(&name, record.response_elements, outcome);
    let issued = issued::issued(
        &name,
        outcome,
        record.request_parameters,
        record.response_elements,
    );
    let addendum = addendum(record.addendum.root());
    let original = addendum
        .as_ref()
        .and_then(|addendum| addendum.original_event_uid.clone());
    Ok(Some(AuditEvent {
        source: LogSource::CloudTrail,
        action_uid: shared_event_uid
            .clone()
            .filter(|_| !insight)
            .or(original)
            .unwrap_or_else(|| event_uid.clone()),
        event_uid,
        shared_event_uid,
        request_uid: record.request_id.known(),
        event_time,
        // AWS-38: the account that received this copy, which is not always the caller's.
        tenant_uid: recipient.or_else(|| principal.account_id.clone()),
        region: record.aws_region.known(),
        service,
        operation: without_version(name.clone()),
        read_only: record.read_only.truth(),
        outcome,
        error_code,
        error_message,
        network: Network {
            source_raw: record.source_ip_address.known(),
            user_agent: record.user_agent.known(),
            tls_version: record.tls_details.root().text("tlsVersion"),
            vpc_endpoint: record.vpc_endpoint_id.known(),
        },
        principal: Principal::Aws(principal),
        resources: resources(record.resources),
        params_json: record.request_parameters.map(RawValue::get).filter(|text| {
            text.starts_with('{') && text.len() > 2 && text.len() <= PARAMS_BYTES_MAX
        }),
        issued,
        details: Details {
            request: record.request_parameters.and_then(object_text),
            response: record.response_elements.and_then(object_text),
            extra: record.additional_event_data.and_then(object_text),
            service_event: record.service_event_details.and_then(object_text),
            targets: None,
            event_type: record.event_type.known(),
            event_name: Some(name),
        },
        addendum,
        flags,
    }))
}

/// The text of an object; anything else says nothing. Long requests and answers are left out of records (AWS-39), so an
/// absent one is no empty one.
fn object_text(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    text.starts_with('{').then_some(Cow::Borrowed(text))
}

/// DD-5.
fn addendum<'a>(members: Branch<'_, 'a>) -> Option<Addendum<'a>> {
    Some(Addendum {
        reason: members.text("reason")?,
        original_event_uid: members.text("originalEventID"),
    })
}

fn unreadable(error: &serde_json::Error) -> Reject {
    let text = error.to_string();
    if text.contains("duplicate field") {
        Reject::new(
            RejectCode::DuplicateKey,
            format!("CloudTrail record: {text}"),
        )
    } else {
        Reject::new(RejectCode::BadField, format!("CloudTrail record: {text}"))
    }
}

/// `eventTime`, else Logstash's `@timestamp`, else the broker's time of the message.
fn event_time(
    event_time: Text<'_>,
    timestamp: Text<'_>,
    element: &Element<'_>,
    flags: &mut Flags,
) -> Result<Micros, Reject> {
    let stated = event_time.known().or_else(|| timestamp.known());
    if let Some(text) = stated {
        let Some(parsed) = time::parse(&text) else {
            return Err(Reject::new(
                RejectCode::BadField,
                format!("eventTime: {:.40} is not a time", text),
            ));
        };
        if parsed.guessed {
            flags.raise(Flags::TIME_GUESSED);
        }
        return Ok(parsed.time);
    }
    element
        .appended_at
        .inspect(|_| flags.raise(Flags::TIME_GUESSED))
        .ok_or_else(|| {
            Reject::new(
                RejectCode::NoTime,
                "neither eventTime nor @timestamp, and the message has no time of its own",
            )
        })
}

/// A failed console login has no `errorCode`: the answer says `{"ConsoleLogin":"Failure"}`.
fn console_outcome(name: &str, response: Option<&RawValue>, outcome: Outcome) -> Outcome {
    if name != "ConsoleLogin" {
        return outcome;
    }
    match response
        .and_then(json::object)
        .and_then(|members| members.text("ConsoleLogin"))
        .as_deref()
    {
        Some("Failure") => Outcome::Failure,
        _ => outcome,
    }
}

/// ARNs of `resources[]`; entries without one (older S3 data events carry a prefix) are left out.
fn resources(list: Option<&RawValue>) -> Vec<Cow<'_, str>> {
    let list = list.and_then(|list| serde_json::from_str::<Vec<Tree<'_>>>(list.get()).ok());
    list.unwrap_or_default()
        .iter()
        .filter_map(|resource| resource.root().first_text(&["ARN", "resourceName"]))
        .collect()
}

/// `UpdateFunctionCode20150331v2` → `UpdateFunctionCode`: Lambda and CloudFront put the API's version into the name.
fn without_version(name: Cow<'_, str>) -> Cow<'_, str> {
    let mut stem = name.as_ref();
    if let Some(at) = stem.rfind('v') {
        let digits = &stem[at + 1..];
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            stem = &stem[..at];
        }
    }
    let head = stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    let version = &stem[head.len()..];
    let digits = version.bytes().filter(u8::is_ascii_digit).count();
    if digits != 8 || head.is_empty() {
        return name;
    }
    let length = head.len();
    match name {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
        Cow::Owned(mut text) => {
            text.truncate(length);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(text: &str) -> Element<'_> {
        Element {
            text,
            appended_at: None,
            raw_sha256: [7; 32],
            flags: Flags::none(),
        }
    }

    #[test]
    fn api_versions_leave_the_operation() {
        for (name, expected) in [
            ("CreateFunction20150331", "CreateFunction"),
            ("UpdateFunctionCode20150331v2", "UpdateFunctionCode"),
            ("CreateDistribution2020_05_31", "CreateDistribution"),
            ("GetObject", "GetObject"),
            ("ListBuckets2", "ListBuckets2"),
            ("Decrypt", "Decrypt"),
        ] {
            assert_eq!(without_version(Cow::Borrowed(name)), expected);
        }
    }

    #[test]
    fn a_record_without_event_time_takes_logstash_time() {
        let text = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","@timestamp":"2026-03-01T10:00:00.000Z","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE"}}"#;
        let event = decode(&element(text)).unwrap().unwrap();
        assert_eq!(event.event_time.to_string(), "2026-03-01T10:00:00Z");
        assert!(event.flags.has(Flags::ID_DERIVED));
        assert_eq!(event.event_uid, "raw:07070707070707070707070707070707");
    }

    #[test]
    fn a_repeated_principal_is_refused() {
        let text = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2026-03-01T10:00:00Z","userIdentity":{"type":"IAMUser","principalId":"AIDAONE","principalId":"AIDATWO"}}"#;
        assert_eq!(
            decode(&element(text)).unwrap_err().code,
            RejectCode::DuplicateKey
        );
    }

    /// AWS-40: any minor version is read; so is a first digit that is not known yet, as well as it can be.
    #[test]
    fn versions_of_another_first_digit_are_flagged() {
        for (version, flagged) in [
            ("1.0", false),
            ("1.08", false),
            ("1.11", false),
            ("2.0", true),
        ] {
            let text = format!(
                r#"{{"eventVersion":"{version}","eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"2026-03-01T10:00:00Z","userIdentity":{{"type":"IAMUser"}}}}"#
            );
            let event = decode(&element(&text)).unwrap().unwrap();
            assert_eq!(
                event.flags.has(Flags::UNKNOWN_VERSION),
                flagged,
                "{version}"
            );
        }
    }

    #[test]
    fn a_record_without_any_time_says_so() {
        let text = r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject"}"#;
        assert_eq!(decode(&element(text)).unwrap_err().code, RejectCode::NoTime);
    }

    #[test]
    fn the_issued_key_of_a_service_delivery_is_read_without_assumed_role_user() {
        let text = r#"{"eventSource":"sts.amazonaws.com","eventName":"AssumeRole","eventTime":"2026-03-01T10:00:00Z","userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},"requestParameters":{"roleArn":"arn:aws:iam::111122223333:role/app/web","roleSessionName":"i-0123456789abcdef0"},"responseElements":{"credentials":{"accessKeyId":"ASIAEXAMPLE","expiration":"Mar 1, 2026, 4:10:11 PM"}}}"#;
        let event = decode(&element(text)).unwrap().unwrap();
        let issued = event.issued.unwrap();
        assert_eq!(issued.key_id.as_deref(), Some("ASIAEXAMPLE"));
        assert_eq!(issued.session_principal_id, None);
        assert_eq!(
            issued.expires_at.unwrap().to_string(),
            "2026-03-01T16:10:11Z"
        );
    }
}
