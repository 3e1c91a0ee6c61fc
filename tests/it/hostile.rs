//! Text that attackers write, and secrets that nobody should have logged: through the program itself, and looked for in
//! everything that it leaves behind.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::keytrail;

/// A member of every text that a caller can choose, with `text` in it.
fn record(number: usize, text: &str) -> Value {
    let name = |what: &str| format!("{text}{what}");
    json!({
        "eventVersion": "1.08",
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "eventTime": "2026-08-01T10:00:00Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": name("Run"),
        "awsRegion": "eu-central-1",
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("AROAEXAMPLEEXAMPLE00:{text}session"),
            "arn": format!("arn:aws:sts::111122223333:assumed-role/build/{text}session"),
            "accountId": "111122223333",
            "accessKeyId": "ASIAEXAMPLEEXAMPLE01",
            "sessionContext": {"sessionIssuer": {
                "type": "Role",
                "principalId": "AROAEXAMPLEEXAMPLE00",
                "arn": "arn:aws:iam::111122223333:role/build",
                "accountId": "111122223333",
                "userName": name("build"),
            }},
        },
        "sourceIPAddress": name("host"),
        "userAgent": name("agent"),
        "errorCode": name("Denied"),
        "errorMessage": name("message"),
        "requestParameters": {"name": name("instance"), text: text},
        "resources": [{"ARN": name("arn:aws:ec2:x"), "accountId": "111122223333", "type": "AWS::EC2::Instance"}],
    })
}

/// Replays `payloads`, a message each, and gives what the program said on stderr.
fn replay(payloads: &[String], dir: &Path) -> String {
    let logs = dir.join("logs");
    fs::create_dir_all(&logs).unwrap();
    for (number, payload) in payloads.iter().enumerate() {
        fs::write(logs.join(format!("{number:03}.json")), payload).unwrap();
    }
    let output = keytrail(&[
        "replay",
        "--from",
        &logs.display().to_string(),
        "--data",
        &dir.join("lake").display().to_string(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn sql(dir: &Path, format: &str, query: &str) -> String {
    let lake = dir.join("lake").display().to_string();
    let output = keytrail(&["sql", "--data", &lake, "-o", format, query]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{query}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

const ACTIVE: [&str; 8] = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1)",
    "-2+3",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "a\u{202e}b\u{2066}c",
    "a\nb\r{\"level\":\"ERROR\"}\u{85}",
    "<script>alert(1)</script>|x",
];

/// G5, as far as there is a surface: terminal, spreadsheet, Markdown and log.
#[test]
fn g5_texts_of_attackers_stay_texts() {
    let plain = tempfile::tempdir().unwrap();
    let quiet = replay(&[record(0, "plain").to_string()], plain.path());
    for (number, text) in ACTIVE.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let said = replay(&[record(number, text).to_string()], dir.path());
        assert_eq!(said.lines().count(), quiet.lines().count(), "{said}");
        assert!(!steers(&said), "{said:?}");
        let query = "SELECT * FROM activity";
        let json = sql(dir.path(), "ndjson", query);
        let row: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            row["user_agent"].as_str(),
            Some(&*format!("{text}agent")),
            "evidence keeps what was said"
        );
        for format in ["table", "markdown"] {
            let shown = sql(dir.path(), format, query);
            assert!(!steers(&shown), "{format}: {shown:?}");
        }
        let markdown = sql(dir.path(), "markdown", query);
        assert_eq!(markdown.lines().count(), 3, "{markdown}");
        let csv = sql(
            dir.path(),
            "csv",
            "SELECT user_agent, error_message FROM activity",
        );
        let cells = csv.split_once('\n').unwrap().1;
        for cell in [cells, cells.trim_start_matches('"')] {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{csv}");
        }
    }
}

/// Whether `text` would move a cursor or turn the order of what is read.
fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// Places in which logs are known to have had secrets, each with one of its own.
fn leaks(secret: &mut dyn FnMut() -> String) -> Vec<Value> {
    let aws = |number: usize, source: &str, name: &str, request: Value, response: Value| {
        let mut record = record(number, "");
        record["eventSource"] = json!(source);
        record["eventName"] = json!(name);
        record["requestParameters"] = request;
        record["responseElements"] = response;
        record
    };
    let azure = |number: usize, operation: &str, response: Value| {
        json!({
            "time": "2026-08-01T10:00:00.0000000Z",
            "resourceId": "/SUBSCRIPTIONS/00000000-0000-4000-8000-0000000000AA/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.STORAGE/STORAGEACCOUNTS/S",
            "operationName": operation,
            "category": "Administrative",
            "resultType": "Success",
            "correlationId": format!("00000000-0000-4000-8000-{number:012}"),
            "eventDataId": format!("00000000-0000-4000-9000-{number:012}"),
            "identity": {"claims": {"appid": "00000000-0000-4000-8000-0000000000bb", "idtyp": "app"}},
            "properties": {"responseBody": response.to_string(), "eventCategory": "Administrative"},
        })
    };
    vec![
        aws(
            1,
            "sts.amazonaws.com",
            "AssumeRole",
            json!({"roleArn": "arn:aws:iam::111122223333:role/next"}),
            json!({
                "credentials": {"accessKeyId": "ASIAEXAMPLEEXAMPLE02", "secretAccessKey": secret(), "sessionToken": secret(),
                    "expiration": "Aug 1, 2026, 11:00:00 AM"},
            }),
        ),
        aws(
            2,
            "iam.amazonaws.com",
            "CreateAccessKey",
            json!({"userName": "x"}),
            json!({"accessKey": {"accessKeyId": "AKIAEXAMPLEEXAMPLE03", "secretAccessKey": secret()}}),
        ),
        aws(
            3,
            "iam.amazonaws.com",
            "CreateLoginProfile",
            json!({"userName": "x", "password": secret()}),
            Value::Null,
        ),
        aws(
            4,
            "ec2.amazonaws.com",
            "RunInstances",
            json!({"userData": secret()}),
            Value::Null,
        ),
        aws(
            5,
            "lambda.amazonaws.com",
            "UpdateFunctionConfiguration20150331v2",
            json!({"environment": {"variables": {"TOKEN": secret()}}}),
            Value::Null,
        ),
        aws(
            6,
            "ssm.amazonaws.com",
            "PutParameter",
            json!({"name": "/x", "value": secret()}),
            Value::Null,
        ),
        aws(
            7,
            "rds.amazonaws.com",
            "CreateDBInstance",
            json!({"masterUserPassword": secret()}),
            Value::Null,
        ),
        aws(
            8,
            "secretsmanager.amazonaws.com",
            "PutSecretValue",
            json!({"secretString": secret()}),
            Value::Null,
        ),
        aws(
            9,
            "s3.amazonaws.com",
            "GetObject",
            json!({"url": format!("https://b.example/o?sig={}&x=1", secret())}),
            Value::Null,
        ),
        azure(
            10,
            "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTKEYS/ACTION",
            json!({"keys": [{"keyName": "key1", "value": secret()}]}),
        ),
        azure(
            11,
            "MICROSOFT.STORAGE/STORAGEACCOUNTS/REGENERATEKEY/ACTION",
            json!({"keys": [{"keyName": "key1", "value": secret()}]}),
        ),
        azure(
            12,
            "MICROSOFT.DOCUMENTDB/DATABASEACCOUNTS/LISTCONNECTIONSTRINGS/ACTION",
            json!({"connectionStrings": [{"connectionString": format!("AccountEndpoint=https://x.example/;AccountKey={};", secret())}]}),
        ),
        azure(
            13,
            "MICROSOFT.STORAGE/STORAGEACCOUNTS/LISTACCOUNTSAS/ACTION",
            json!({"accountSasToken": format!("sv=2026&sig={}", secret())}),
        ),
    ]
}

/// G6: what is secret in a log stands in no file, table, output or log line.
#[test]
fn g6_no_secret_is_kept_anywhere() {
    let mut secrets = Vec::new();
    let mut secret = || {
        // Letters and digits as keys have them, without a shape that would give them away by itself.
        let number = secrets.len();
        let text = format!("Canary{number:02}zQ7kP2mX9vB4nL8wR5tY1uC6dF3gH0");
        secrets.push(text.clone());
        text
    };
    let records = leaks(&mut secret);
    // The same once more as rejects: cut in the middle, and under a name that is no log.
    let mut payloads: Vec<String> = records.iter().map(Value::to_string).collect();
    payloads.extend(records.iter().map(|record| {
        let mut text = record.to_string();
        text.truncate(text.len() - 2);
        text
    }));
    payloads.extend(
        records
            .iter()
            .map(|record| json!({"stranger": record}).to_string()),
    );
    let dir = tempfile::tempdir().unwrap();
    let mut left = vec![(
        "stderr".to_owned(),
        replay(&payloads, dir.path()).into_bytes(),
    )];
    let count =
        |query: &str| -> Value { serde_json::from_str(&sql(dir.path(), "ndjson", query)).unwrap() };
    let events = count("SELECT count(*) AS n FROM activity")["n"].clone();
    let rejects = count("SELECT count(*) AS n FROM rejects")["n"].clone();
    assert!(
        events.as_u64() >= Some(13) && rejects.as_u64() >= Some(13),
        "{events} {rejects}"
    );
    for table in keytrail::evidence::TABLES {
        let rows = sql(
            dir.path(),
            "ndjson",
            &format!("SELECT * FROM {}", table.name),
        );
        left.push((table.name.to_owned(), rows.into_bytes()));
    }
    let logs = dir.path().join("logs").display().to_string();
    left.push(("decode".to_owned(), keytrail(&["decode", &logs]).stdout));
    files(&dir.path().join("lake"), &mut left);
    for (place, bytes) in &left {
        let text = String::from_utf8_lossy(bytes);
        for secret in &secrets {
            assert!(
                !text.contains(secret.as_str()),
                "{secret} stands in {place}"
            );
        }
    }
}

/// Every file below `folder`, with its bytes.
fn files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else {
            into.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}
