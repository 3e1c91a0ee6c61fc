//! What an object is, by its members: a record, something to be ignored, or an envelope and what it holds.
//!
//! A record stays a record even if it has a member that some envelope also has (`message`, `data`, `detail`, `log`):
//! such a member is what a caller sent, and opening it would let the caller write events. Nothing is opened here.

use serde_json::value::RawValue;

use super::split;
use crate::decode::json::{self, Members};
use crate::model::{Ignored, RejectCode};

/// What an object turned out to be.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    /// A record, or at least nothing that wraps one.
    Record,
    Ignored(Ignored),
    /// A known envelope that cannot hold an audit record, or that two readers could read differently.
    Reject(RejectCode, String),
    /// The name of the layer, and what is inside.
    Holds(&'static str, Held<'a>),
}

/// How an envelope holds what it holds.
#[derive(Debug)]
pub(super) enum Held<'a> {
    /// Elements of a list.
    Elements(Vec<&'a RawValue>),
    /// JSON, as it is or in a string.
    Carried(Vec<&'a RawValue>),
    /// Bytes in base64 in a string.
    Encoded(Vec<&'a RawValue>),
}

/// The members that are opened. Twice in one object, they could hold one thing for us and another for the next reader.
const OPENED: [&str; 14] = [
    "_raw",
    "body",
    "CloudTrailEvent",
    "data",
    "detail",
    "event",
    "kinesis",
    "log",
    "logEvents",
    "message",
    "payload",
    "records",
    "Sns",
    "value",
];

/// Decides what the object with these `members` is. Lists are read up to one element more than `max`.
pub(super) fn of<'a>(members: &Members<'a>, max: usize) -> Shape<'a> {
    let shape = notice(members)
        .or_else(|| lambda_event(members, max))
        .or_else(|| looked_up(members))
        .or_else(|| record(members))
        .or_else(|| list(members, max))
        .or_else(|| aws_transport(members, max))
        .or_else(|| event_envelope(members))
        .or_else(|| collector(members))
        .unwrap_or(Shape::Record);
    if matches!(shape, Shape::Holds(..))
        && let Some(name) = opened_twice(members)
    {
        let detail = format!("the envelope has the member {name} twice");
        return Shape::Reject(RejectCode::DuplicateKey, detail);
    }
    shape
}

fn opened_twice(members: &Members<'_>) -> Option<&'static str> {
    members.duplicate.as_ref()?;
    OPENED.into_iter().find(|opened| {
        let same = |(name, _): &(&str, &RawValue)| name.eq_ignore_ascii_case(opened);
        members.iter().filter(same).count() > 1
    })
}

/// Objects that say something about logs and are none.
fn notice<'a>(members: &Members<'a>) -> Option<Shape<'a>> {
    let says = |name: &str, value: &str| members.text(name).is_some_and(|text| text == value);
    let digest = members.has("digestS3Object")
        || (members.has("logFiles") && members.has("digestStartTime"));
    let insight = says("eventType", "AwsCloudTrailInsight") || says("eventCategory", "Insight");
    let object =
        says("Event", "s3:TestEvent") || (members.has("s3Bucket") && members.has("s3ObjectKey"));
    if digest {
        Some(Shape::Ignored(Ignored::Digest))
    } else if insight {
        Some(Shape::Ignored(Ignored::Insight))
    } else if object && !members.has("eventName") {
        Some(Shape::Ignored(Ignored::ObjectNotification))
    } else {
        None
    }
}

/// What AWS hands to functions: these have an `eventSource` like CloudTrail records, but it starts with `aws:`.
fn lambda_event<'a>(members: &Members<'a>, max: usize) -> Option<Shape<'a>> {
    let source = members.text("eventSource")?;
    let shape = match &*source {
        "aws:s3" => Shape::Ignored(Ignored::ObjectNotification),
        "aws:sqs" => carried("sqs", members.get("body")),
        "aws:sns" => carried("sns", inside(members, "Sns", "Message")),
        "aws:kinesis" => encoded("kinesis", inside(members, "kinesis", "data")),
        "aws:kafka" | "SelfManagedKafka" => kafka(members, max),
        foreign if foreign.starts_with("aws:") => Shape::Reject(
            RejectCode::ForeignPayload,
            format!("a function's event from {foreign:.40}"),
        ),
        _ => return None,
    };
    Some(shape)
}

/// One result of CloudTrail's event history: a summary with the names of a record, and the record in a string.
fn looked_up<'a>(members: &Members<'a>) -> Option<Shape<'a>> {
    let record = members.get("CloudTrailEvent")?;
    Some(carried("lookup_events", Some(record)))
}

/// Whether these are the members of a record of any log.
fn record<'a>(members: &Members<'a>) -> Option<Shape<'a>> {
    let cloudtrail =
        members.has("eventName") && (members.has("eventSource") || members.has("userIdentity"));
    let azure = ["operationName", "operationNameValue", "activityDisplayName"]
        .iter()
        .any(|name| members.has(name));
    (cloudtrail || azure).then_some(Shape::Record)
}

/// Objects that are nothing but a list: of records, of results of an interface, of events.
fn list<'a>(members: &Members<'a>, max: usize) -> Option<Shape<'a>> {
    let array = |name: &str| {
        let value = members.get(name)?;
        value
            .get()
            .starts_with('[')
            .then(|| split::elements(value.get(), max))
    };
    if let Some(elements) = array("records") {
        return Some(Shape::Holds(split::RECORDS, Held::Elements(elements)));
    }
    if members.object("records").is_some() {
        return Some(kafka(members, max));
    }
    if let Some(elements) = array("value") {
        return Some(Shape::Holds("value", Held::Elements(elements)));
    }
    let events = array("Events")?;
    let looked_up = events
        .iter()
        .all(|event| json::object(event).is_some_and(|event| event.has("CloudTrailEvent")));
    looked_up.then_some(Shape::Holds("events", Held::Elements(events)))
}

/// Every value of every partition that a function was handed from Kafka.
fn kafka<'a>(members: &Members<'a>, max: usize) -> Shape<'a> {
    let mut values = Vec::new();
    if let Some(partitions) = members.object("records") {
        for (_, records) in partitions.iter() {
            for record in split::elements(records.get(), max) {
                let value = json::object(record).and_then(|record| record.get("value"));
                values.push(value.unwrap_or(record));
            }
        }
    }
    Shape::Holds("kafka_lambda", Held::Encoded(values))
}

/// CloudWatch Logs, queues, topics and streams of AWS.
fn aws_transport<'a>(members: &Members<'a>, max: usize) -> Option<Shape<'a>> {
    if let Some(logs) = members.object("awslogs") {
        return Some(encoded("awslogs", logs.get("data")));
    }
    if members.has("logEvents") && members.has("messageType") {
        return Some(cloudwatch_logs(members, max));
    }
    if members.has("TopicArn") && members.has("Message") {
        return Some(carried("sns", members.get("Message")));
    }
    if let Some(message) = inside(members, "Sns", "Message") {
        return Some(carried("sns", Some(message)));
    }
    if members.has("body") && (members.has("messageId") || members.has("receiptHandle")) {
        return Some(carried("sqs", members.get("body")));
    }
    if let Some(data) = inside(members, "kinesis", "data") {
        return Some(encoded("kinesis", Some(data)));
    }
    let data = members
        .get("data")
        .filter(|data| data.get().starts_with('"'))?;
    if members.has("recordId") {
        Some(encoded("firehose", Some(data)))
    } else if members.has("partitionKey") {
        Some(encoded("kinesis", Some(data)))
    } else {
        None
    }
}

fn cloudwatch_logs<'a>(members: &Members<'a>, max: usize) -> Shape<'a> {
    match members.text("messageType").as_deref() {
        Some("CONTROL_MESSAGE") => Shape::Ignored(Ignored::ControlMessage),
        Some("DATA_MESSAGE") => {
            let events = members
                .get("logEvents")
                .map(|events| split::elements(events.get(), max));
            let messages = events
                .unwrap_or_default()
                .into_iter()
                .map(|event| {
                    json::object(event)
                        .and_then(|event| event.get("message"))
                        .unwrap_or(event)
                })
                .collect();
            Shape::Holds("cloudwatch_logs", Held::Carried(messages))
        }
        _ => Shape::Reject(
            RejectCode::ForeignPayload,
            "a CloudWatch Logs message that is neither data nor control".to_owned(),
        ),
    }
}

/// Envelopes around one event: EventBridge, CloudEvents, Kafka Connect.
fn event_envelope<'a>(members: &Members<'a>) -> Option<Shape<'a>> {
    if let Some(kind) = members.text("detail-type") {
        return Some(eventbridge(&kind, members));
    }
    if members.has("specversion") {
        if members.has("data_base64") {
            return Some(encoded("cloudevents", members.get("data_base64")));
        }
        return Some(carried("cloudevents", members.get("data")));
    }
    let payload = members.get("payload")?;
    if let Some(after) = json::object(payload).and_then(|payload| payload.get("after")) {
        return Some(carried("connect", Some(after)));
    }
    members
        .get("schema")
        .map(|_| carried("connect", Some(payload)))
}

fn eventbridge<'a>(kind: &str, members: &Members<'a>) -> Shape<'a> {
    let from_s3 = members.text("source").as_deref() == Some("aws.s3");
    if from_s3 && kind.starts_with("Object ") {
        return Shape::Ignored(Ignored::ObjectNotification);
    }
    let audit = members.object("detail").is_some_and(|detail| {
        let insight = notice(&detail).is_some();
        insight || (detail.has("eventSource") && detail.has("eventName"))
    });
    if audit || kind.ends_with("via CloudTrail") {
        return carried("eventbridge", members.get("detail"));
    }
    Shape::Reject(
        RejectCode::ForeignPayload,
        format!("an EventBridge event of type {kind:.60} without a CloudTrail record"),
    )
}

/// What log shippers put around a line: the line is a string in one member, or was parsed into it.
fn collector<'a>(members: &Members<'a>) -> Option<Shape<'a>> {
    let member = |name: &str| members.get(name).filter(|value| holds_json(value));
    if let Some(original) = inside(members, "event", "original").filter(|value| holds_json(value)) {
        return Some(carried("elastic", Some(original)));
    }
    if let Some(original) = member("event.original") {
        return Some(carried("elastic", Some(original)));
    }
    if let Some(raw) = member("_raw") {
        return Some(carried("raw", Some(raw)));
    }
    if let Some(message) = member("message") {
        return Some(carried(shipper(members), Some(message)));
    }
    if let Some(log) = member("log") {
        return Some(carried("fluent_bit", Some(log)));
    }
    if let Some(event) = member("event").filter(|_| members.has("sourcetype")) {
        return Some(carried("hec", Some(event)));
    }
    member("data").map(|data| carried("data", Some(data)))
}

/// Which shipper wrote a `message`, by the member that only it adds.
fn shipper(members: &Members<'_>) -> &'static str {
    if members.has("@version") {
        "logstash"
    } else if ["@metadata", "agent", "ecs"]
        .iter()
        .any(|name| members.has(name))
    {
        "elastic"
    } else if members.has("source_type") {
        "vector"
    } else {
        "message"
    }
}

/// Whether `value` is an object or an array, or a string that begins like one.
fn holds_json(value: &RawValue) -> bool {
    if value.get().starts_with('"') {
        json::scalar(value).is_some_and(|text| text.trim_start().starts_with(['{', '[']))
    } else {
        value.get().starts_with(['{', '['])
    }
}

/// The member `name` of the object in the member `outer`.
fn inside<'a>(members: &Members<'a>, outer: &str, name: &str) -> Option<&'a RawValue> {
    members.object(outer)?.get(name)
}

fn carried<'a>(name: &'static str, value: Option<&'a RawValue>) -> Shape<'a> {
    match value {
        Some(value) => Shape::Holds(name, Held::Carried(vec![value])),
        None => without_content(name),
    }
}

fn encoded<'a>(name: &'static str, value: Option<&'a RawValue>) -> Shape<'a> {
    match value {
        Some(value) => Shape::Holds(name, Held::Encoded(vec![value])),
        None => without_content(name),
    }
}

fn without_content(name: &str) -> Shape<'static> {
    let detail = format!("an envelope of the kind {name} without its content");
    Shape::Reject(RejectCode::ForeignPayload, detail)
}
