//! Whole messages in, parts out. What one layer does alone is tested in that layer's file.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use serde_json::value::RawValue;

use super::*;

const RECORD: &str =
    r#"{"eventVersion":"1.08","eventSource":"iam.amazonaws.com","eventName":"CreateUser"}"#;
const AZURE: &str = r#"{"time":"2024-01-01T00:00:00Z","operationName":"READ"}"#;

fn limits() -> Limits {
    Limits {
        message_bytes_max: 1 << 20,
        decompressed_bytes_max: 4 << 20,
        ratio_max: 200,
        depth_max: 64,
        elements_max: 50,
        layers_max: 6,
    }
}

/// One line for each part: the layers, what it is, and the text or the reason.
fn shown(payload: &[u8]) -> Vec<String> {
    let show = |part: Part<'_>| match part {
        Part::Element {
            text,
            layers,
            flags,
        } => {
            let repaired = if flags.has(Flags::REPAIRED) { "!" } else { "" };
            format!("{layers}{repaired} {text}")
        }
        Part::Ignored { reason, layers } => format!("{layers} ignored {}", reason.reason()),
        Part::Reject { reject, layers, .. } => format!("{layers} reject {}", reject.code),
    };
    open(payload, &limits()).into_iter().map(show).collect()
}

fn check(payload: impl AsRef<[u8]>, expected: &[&str]) {
    let payload = payload.as_ref();
    let name = String::from_utf8_lossy(&payload[..payload.len().min(300)]);
    assert_eq!(shown(payload), expected, "{name}");
}

/// A message that holds exactly [`RECORD`] inside `layers`.
fn check_record(payload: impl AsRef<[u8]>, layers: &str) {
    check(payload, &[&format!("{layers} {RECORD}")]);
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn base64(plain: impl AsRef<[u8]>) -> String {
    STANDARD.encode(plain)
}

#[test]
fn encodings_and_lists() {
    check_record(RECORD, "");
    check_record(format!(" \r\n{RECORD}\n\0\0"), "");
    check_record(format!("\u{feff}{RECORD}"), "bom");
    check_record(format!("\0\0\0\0\u{7}{RECORD}"), "confluent");
    check_record(json!(RECORD).to_string(), "json_string");
    check_record(base64(RECORD), "base64");
    check_record(base64(gzip(RECORD.as_bytes())), "base64>gzip");
    check_record(format!("[{RECORD}]"), "array");
    check_record(
        format!(r#"{{"Records": [{RECORD}], "other": 1}}"#),
        "records",
    );
    check_record(
        format!(r#"{{"other": 1, "records": [{RECORD}]}}"#),
        "records",
    );
    check_record(format!(r#"{{"value":[{RECORD}],"nextLink":"x"}}"#), "value");
    let utf16: Vec<u8> = format!("\u{feff}{RECORD}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    check_record(utf16, "bom");
    let twice = format!("ndjson {RECORD}");
    for between in ["", "\n", "\r\n", " "] {
        check(format!("{RECORD}{between}{RECORD}\n"), &[&twice, &twice]);
    }
    let list = format!(r#"{{"Records":[{RECORD}]}}"#);
    check_record(gzip(list.as_bytes()), "gzip>records");
    check_record(
        zstd::stream::encode_all(list.as_bytes(), 1).unwrap(),
        "zstd>records",
    );
}

#[test]
fn transports_of_aws() {
    let list = format!(r#"{{"Records":[{RECORD}]}}"#);
    let sns = json!({"Type": "Notification", "TopicArn": "t", "Message": list.clone()});
    check_record(sns.to_string(), "sns>records");
    let sqs =
        json!({"Records": [{"messageId": "m", "body": sns.to_string(), "eventSource": "aws:sqs"}]});
    check_record(sqs.to_string(), "records>sqs>sns>records");
    let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": RECORD}}]});
    check_record(sns.to_string(), "records>sns");
    let kinesis =
        json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": base64(RECORD)}}]});
    check_record(kinesis.to_string(), "records>kinesis");
    let firehose =
        json!({"invocationId": "i", "records": [{"recordId": "r", "data": base64(RECORD)}]});
    check_record(firehose.to_string(), "records>firehose");
    let kafka =
        json!({"eventSource": "aws:kafka", "records": {"t-0": [{"value": base64(RECORD)}]}});
    check_record(kafka.to_string(), "kafka_lambda");
    let logs =
        json!({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": RECORD}]});
    check_record(gzip(logs.to_string().as_bytes()), "gzip>cloudwatch_logs");
    let lambda = json!({"awslogs": {"data": base64(gzip(logs.to_string().as_bytes()))}});
    check_record(lambda.to_string(), "awslogs>gzip>cloudwatch_logs");
    let history = json!({"Events": [{"EventName": "CreateUser", "EventSource": "iam", "CloudTrailEvent": RECORD}]});
    check_record(history.to_string(), "events>lookup_events");
}

#[test]
fn envelopes_of_buses_and_shippers() {
    check_record(
        format!(r#"{{"detail-type":"AWS API Call via CloudTrail","detail":{RECORD}}}"#),
        "eventbridge",
    );
    check_record(
        format!(r#"{{"specversion":"1.0","data":{RECORD}}}"#),
        "cloudevents",
    );
    check_record(
        format!(
            r#"{{"specversion":"1.0","data_base64":"{}"}}"#,
            base64(RECORD)
        ),
        "cloudevents",
    );
    check_record(
        format!(r#"{{"schema":null,"payload":{RECORD}}}"#),
        "connect",
    );
    check_record(
        format!(r#"{{"payload":{{"op":"c","after":{RECORD}}}}}"#),
        "connect",
    );
    check_record(
        format!(r#"[{{"data":{{"Records":[{RECORD}]}}}}]"#),
        "array>data>records",
    );
    check_record(
        json!({"event": {"original": RECORD}, "message": "x"}).to_string(),
        "elastic",
    );
    check_record(json!({"ecs": {}, "message": RECORD}).to_string(), "elastic");
    check_record(
        json!({"@version": "1", "message": RECORD}).to_string(),
        "logstash",
    );
    check_record(
        json!({"source_type": "file", "message": RECORD}).to_string(),
        "vector",
    );
    check_record(json!({"_raw": RECORD, "_time": 1}).to_string(), "raw");
    check_record(json!({"log": RECORD}).to_string(), "fluent_bit");
    check_record(
        json!({"sourcetype": "aws", "event": RECORD}).to_string(),
        "hec",
    );
}

#[test]
fn a_record_is_not_an_envelope_whatever_its_members_are_called() {
    for text in [
        r#"{"eventSource":"a.b","eventName":"c","message":"{\"eventName\":\"forged\"}"}"#,
        r#"{"operationName":"a","data":{"operationName":"forged"}}"#,
        r#"{"activityDisplayName":"a","log":[{"operationName":"forged"}],"detail":{}}"#,
    ] {
        check(text, &[&format!(" {text}")]);
    }
    let twice = format!(r#"{{"records":[{AZURE}],"other":1,"Records":[]}}"#);
    check(&twice, &[&format!("records {AZURE}")]);
    check(
        format!(r#"{{"x":1,"data":{AZURE},"Data":{AZURE}}}"#),
        &[" reject duplicate_key"],
    );
}

#[test]
fn what_is_understood_and_holds_no_event() {
    for empty in [
        r#"{"Records":[]}"#,
        r#"{"records": []}"#,
        r#"{"value":[]}"#,
        "[]",
    ] {
        let parts = shown(empty.as_bytes());
        assert_eq!(parts.len(), 1, "{empty}");
        assert!(parts[0].ends_with(" ignored empty_envelope"), "{parts:?}");
    }
    let notice =
        r#"{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{}}"#;
    check(
        format!(r#"{{"Records":[{notice},{RECORD}]}}"#),
        &[
            "records ignored object_notification",
            &format!("records {RECORD}"),
        ],
    );
    check(
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#,
        &[" ignored object_notification"],
    );
    check(
        r#"{"s3Bucket":"b","s3ObjectKey":["k"]}"#,
        &[" ignored object_notification"],
    );
    check(
        r#"{"eventVersion":"1.07","eventType":"AwsCloudTrailInsight"}"#,
        &[" ignored insight"],
    );
    check(
        r#"{"eventVersion":"1.08","eventSource":"a.b","eventCategory":"Insight"}"#,
        &[" ignored insight"],
    );
    check(
        r#"{"digestS3Object":"k","logFiles":[]}"#,
        &[" ignored digest"],
    );
    check(
        r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"x"}]}"#,
        &[" ignored control_message"],
    );
}

#[test]
fn what_is_rejected_and_why() {
    check("", &[" reject empty"]);
    check(" \n\0", &[" reject empty"]);
    check("plain words", &[" reject not_json"]);
    check("12", &[" reject not_json"]);
    check(b"{\"a\":\"\xff\"}", &[" reject not_utf8"]);
    check(b"\x1f\x8b\x08rubbish", &["gzip reject bad_compression"]);
    check(
        r#"{"eventSource":"aws:dynamodb"}"#,
        &[" reject foreign_payload"],
    );
    check(
        r#"{"detail-type":"EC2 State Change","detail":{"state":"on"}}"#,
        &[" reject foreign_payload"],
    );
    let words = json!({"records": [{"recordId": "r", "data": base64("Good morning.")}]});
    check(
        words.to_string(),
        &["records>firehose reject foreign_payload"],
    );
    let logs = json!({"messageType": "DATA_MESSAGE", "logEvents": [
        {"message": "[ERROR] out of memory"}, {"message": &RECORD[..40]}, {"message": RECORD},
    ]});
    check(
        logs.to_string(),
        &[
            "cloudwatch_logs reject foreign_payload",
            "cloudwatch_logs reject truncated",
            &format!("cloudwatch_logs {RECORD}"),
        ],
    );
}

#[test]
fn what_stands_before_a_break_is_kept() {
    let record = format!("records {RECORD}");
    check(
        format!(r#"{{"Records":[{RECORD},{{"eventVer"#),
        &[&record, "records reject truncated"],
    );
    check(
        format!(r#"{{"Records":[{RECORD}"#),
        &[&record, "records reject truncated"],
    );
    check(
        format!(r#"{{"Records":[{RECORD},{{"a":oops}},{RECORD}]}}"#),
        &[&record, "records reject not_json"],
    );
    let line = format!("ndjson {RECORD}");
    check(
        format!("{RECORD}\n{{\"a\"\n"),
        &[&line, "ndjson reject truncated"],
    );
    check(
        format!("{RECORD}\n<xml/>\n"),
        &[&line, "ndjson reject not_json"],
    );
    let parts = open(b"{\"a\":1}\n  {\"b\":", &limits());
    let Some(Part::Reject { reject, raw, .. }) = parts.last() else {
        panic!("{parts:?}");
    };
    assert_eq!(&**raw, b"{\"b\":");
    assert!(reject.detail.contains("byte 10"), "{}", reject.detail);
}

#[test]
fn azure_text_is_repaired_and_flagged() {
    check(
        "{'operationName':'READ'}",
        &[r#"repaired! {"operationName":"READ"}"#],
    );
    check(
        "{\"records\":[{\"operationName\":\"RE\nAD\"}]}",
        &[r#"repaired>records! {"operationName":"READ"}"#],
    );
    check("{'eventSource':'a.b'}", &[" reject not_json"]);
}

#[test]
fn limits_are_rejects() {
    check(vec![b' '; (1 << 20) + 1], &[" reject too_large"]);
    check(
        format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64)),
        &[" reject too_large"],
    );
    check(
        format!("{}{}", "[".repeat(9), "]".repeat(9)),
        &["array>array>array>array>array>array reject too_large"],
    );
    let bombs = gzip(&vec![b' '; 3 << 20]);
    let two = json!([{"recordId": "r", "data": base64(&bombs)}, {"recordId": "r", "data": base64(&bombs)}]);
    let limited = Limits {
        ratio_max: 100_000,
        layers_max: 6,
        ..limits()
    };
    let codes: Vec<_> = open(two.to_string().as_bytes(), &limited)
        .iter()
        .map(|part| match part {
            Part::Reject { reject, .. } => reject.code,
            _ => panic!("{part:?}"),
        })
        .collect();
    assert_eq!(codes, [RejectCode::Empty, RejectCode::TooLarge]);
    let thrice = gzip(&gzip(&gzip(RECORD.as_bytes())));
    check(thrice, &["gzip>gzip>gzip reject too_large"]);
    let many = vec![RECORD; 60].join(",");
    let parts = shown(format!("{{\"Records\":[{many}]}}").as_bytes());
    assert_eq!(parts.len(), 51);
    assert_eq!(parts[50], "records reject too_large");
}

#[test]
fn elements_borrow_from_a_plain_message() {
    let message = format!(r#"{{"Records":[{RECORD},{AZURE}]}}"#);
    for part in open(message.as_bytes(), &limits()) {
        assert!(
            matches!(
                part,
                Part::Element {
                    text: Cow::Borrowed(_),
                    ..
                }
            ),
            "{part:?}"
        );
    }
}

/// Whatever the bytes are: no panic, at least one part, and every element is one JSON value.
#[test]
fn arbitrary_damage_is_survived() {
    let list = format!(r#"{{"Records":[{RECORD},{RECORD}]}}"#);
    let logs =
        json!({"messageType": "DATA_MESSAGE", "logEvents": [{"message": RECORD}]}).to_string();
    let seeds = [
        list.clone().into_bytes(),
        gzip(list.as_bytes()),
        zstd::stream::encode_all(list.as_bytes(), 1).unwrap(),
        base64(gzip(list.as_bytes())).into_bytes(),
        json!({"awslogs": {"data": base64(gzip(logs.as_bytes()))}})
            .to_string()
            .into_bytes(),
        format!("[{AZURE}]\n{{'operationName':'\n'}}\n{AZURE}").into_bytes(),
        json!({"TopicArn": "t", "Message": format!("\u{feff}{AZURE}")})
            .to_string()
            .into_bytes(),
    ];
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for round in 0..2000 {
        let mut payload = seeds[round % seeds.len()].clone();
        for _ in 0..=random(4) {
            let at = random(payload.len());
            match random(4) {
                0 => payload[at] = b"\"\\{}[]:,'\n\0\xff"[random(12)],
                1 => payload[at] ^= 1 << random(8),
                2 => payload.truncate(at.max(1)),
                _ => payload.insert(at, b"\"{[}]"[random(5)]),
            }
        }
        let parts = open(&payload, &limits());
        assert!(!parts.is_empty(), "{payload:?}");
        for part in parts {
            if let Part::Element { text, .. } = part {
                assert!(serde_json::from_str::<&RawValue>(&text).is_ok(), "{text}");
            }
        }
    }
}
