//! What goes, what stays, and what holds for any text. Lists of names and shapes are tested through [`redact`] only.

use serde_json::{Value, json};

use super::*;

/// 64 bytes that occur in no other text here.
const CANARY: &str = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4ryc4n4";

fn check(text: &str, expected: &str) {
    let clean = redact(text, &RedactionKey::none());
    assert_eq!(clean, expected);
    assert_eq!(
        matches!(clean, Cow::Borrowed(_)),
        text == expected,
        "borrowed exactly when nothing was found: {text}"
    );
    assert_eq!(redact(&clean, &RedactionKey::none()), clean, "twice");
    let valid = |text: &str| serde_json::from_str::<Value>(text).is_ok();
    assert!(!valid(text) || valid(&clean), "valid before only: {clean}");
}

fn check_gone(value: &Value) {
    for text in [
        value.to_string(),
        json!({"Message": value.to_string()}).to_string(),
    ] {
        for key in [RedactionKey::none(), RedactionKey::new([7; 32])] {
            let clean = redact(&text, &key);
            assert!(!clean.contains("c4n4ry"), "{clean}");
            assert!(clean.contains("redacted"), "{clean}");
            serde_json::from_str::<Value>(&clean).unwrap();
            assert_eq!(redact(&clean, &key), clean, "twice");
        }
    }
    // Cut anywhere inside the secret, as log shippers do.
    let text = value.to_string();
    let cut = &text[..text.find(CANARY).unwrap() + 40];
    let clean = redact(cut, &RedactionKey::none());
    assert!(!clean.contains("c4n4ry"), "{clean}");
}

#[test]
fn planted_secrets_never_survive() {
    for name in [
        "sessionToken",
        "secretAccessKey",
        "SecretString",
        "masterUserPassword",
        "PASSWORD",
        "plaintext",
        "privateKey",
        "webIdentityToken",
        "sAMLAssertion",
        "clientSecret",
        "refresh_token",
        "userData",
        "streamUrl",
        "tokenValue",
        "primaryConnectionString",
        "X-Amz-Security-Token",
    ] {
        check_gone(&json!({"responseElements": {"credentials": {name: CANARY}}, "z": 1}));
        check_gone(&json!({name: {"a": [CANARY]}}));
        check_gone(&json!([{name: [CANARY, 1]}]));
    }
    check_gone(&json!({"environment": {"variables": {"DB": CANARY, "n": [CANARY]}}}));
    check_gone(&json!({"environment": [{"name": "DB", "value": CANARY}]}));
    check_gone(&json!({"environmentVariables": [{"name": "DB", "value": CANARY}]}));
    check_gone(&json!({"logins": {"accounts.example.com": CANARY}}));
    check_gone(&json!({"eventName": "PutParameter", "requestParameters": {"value": CANARY}}));
    check_gone(
        &json!({"requestParameters": {"parameters": {"commands": [CANARY]}}, "eventName": "SendCommand"}),
    );
    let keys = json!({"keys": [{"keyName": "key1", "value": CANARY}]}).to_string();
    check_gone(&json!({"properties": {"responseBody": keys}}));
    let body =
        json!({"properties": {"adminPassword": CANARY, "sshKeys": [CANARY], "sasToken": CANARY}});
    check_gone(&json!({"properties": {"requestbody": body.to_string()}}));
    check_gone(&json!({"properties": {"requestbody": body}}));
}

#[test]
fn shapes_are_masked_wherever_they_stand() {
    for text in [
        format!("before eyJhbGciOi.eyJzdWIi.{CANARY} after"),
        format!("IQoJb3JpZ2luX2Vj{CANARY}"),
        format!("x FwoGZXIvYXdzE{CANARY}"),
        format!("bedrock-api-key-{CANARY}"),
        format!("https://a.example/b?sv=1&sig={CANARY}&se=2"),
        format!("https://a.example/?code={CANARY}"),
        format!("X-Amz-Credential=AKIAEXAMPLE&X-Amz-Security-Token={CANARY}"),
        format!("AccountName=a;AccountKey={CANARY}==;EndpointSuffix=b"),
        format!("line\npassword={CANARY}"),
        format!("-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----\n"),
    ] {
        check_gone(&json!({"userAgent": text, "list": [text]}));
    }
    check(
        r#"{"u":"a?x=1\u0026sig\u003dabcdefgh\u003d\u0026y=2"}"#,
        r#"{"u":"a?x=1\u0026sig\u003dredacted\u0026y=2"}"#,
    );
    check(
        r#"{"u":"AccountKey=ab\/cd+ef==;Suffix=x"}"#,
        r#"{"u":"AccountKey=redacted;Suffix=x"}"#,
    );
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        r#"{"accessKeyId":"ASIAEXAMPLE","principalId":"AROAEXAMPLE:s","arn":"arn:aws:iam::1:user/u"}"#,
        r#"{"passwordResetRequired":true,"password":false,"secretId":"name","tokenIssuerType":"AzureAD"}"#,
        r#"{"sAMLAssertionID":"_1","keyId":"5b1c","KeyDescription":"[KeyType=Password]","uti":"x"}"#,
        r#"{"secret":"arn:aws:secretsmanager:eu-west-1:1:secret:a","sessionToken":null,"userData":{}}"#,
        r#"{"password":"HIDDEN_DUE_TO_SECURITY_REASONS","userData":"<sensitiveDataRemoved>","tokenValue":""}"#,
        r#"{"secretString":"***OMITTED***","plaintext":"redacted","privateKey":"redacted:0123456789abcdef"}"#,
        r#"{"tags":[{"key":"a","value":"b"}],"parameters":{"a":"b"},"nextToken":"eyJ2IjoxfQ"}"#,
        r#"{"environment":{"type":"LINUX"},"environment2":"production","delimiter":","}"#,
        r#"{"properties":{"requestbody":"{\"properties\":{\"keyName\":\"k\",\"keyVaultUri\":\"u\"}}"}}"#,
        r#"{"userAgent":"exit code=1 statuscode=1234567890123456789 [a=b]","errorMessage":"no password"}"#,
        "",
        "\"",
        "{\"sessionToken\":",
    ] {
        check(text, text);
    }
}

#[test]
fn replacements_fit_where_they_stand() {
    check(
        r#"{"password" : 1234, "privateKey": {"a":"}"}, "z":"\\"}"#,
        r#"{"password" : "redacted", "privateKey": "redacted", "z":"\\"}"#,
    );
    check(
        r#"{"m":"{\"password\":12,\"n\":\"{\\\"secretKey\\\":[\\\"a\\\"]}\",\"z\":\"\\\\\"}","clientSecret":"x\"y"}"#,
        r#"{"m":"{\"password\":\"redacted\",\"n\":\"{\\\"secretKey\\\":\\\"redacted\\\"}\",\"z\":\"\\\\\"}","clientSecret":"redacted"}"#,
    );
    check(
        r#"{"p":"{\n  \"password\" :\n \"x\"\n}"}"#,
        r#"{"p":"{\n  \"password\" :\n \"redacted\"\n}"}"#,
    );
    check(
        r#"{"pass\u0077ord":"x"}"#,
        r#"{"pass\u0077ord":"redacted"}"#,
    );
    check(
        r#"{"variables":{"password":"x","arn":"arn:a"}}"#,
        r#"{"variables":{"password":"redacted","arn":"arn:a"}}"#,
    );
}

#[test]
fn broken_text_is_cleaned_too() {
    check(
        r#"{"a:"x","password":"secret"}"#,
        r#"{"a:"x","password":"redacted"}"#,
    );
    check(
        r#"{"password":hunter2,"b":1"#,
        r#"{"password":"redacted","b":1"#,
    );
    check(r#"{"privateKey":{"a":["x"#, r#"{"privateKey":"redacted""#);
    check(
        r#""m":"{\"password\":\"x"#,
        r#""m":"{\"password\":\"redacted"#,
    );
}

#[test]
fn a_key_shows_reuse_and_is_not_shown() {
    let key = RedactionKey::new([1; 32]);
    let clean = redact(r#"{"password":"x","secretKey":"x","plaintext":"y"}"#, &key);
    let values: Value = serde_json::from_str(&clean).unwrap();
    assert_eq!(values["password"], values["secretKey"]);
    assert_ne!(values["password"], values["plaintext"]);
    assert_eq!(
        values["password"].as_str().map(str::len),
        Some("redacted:".len() + 16)
    );
    assert_eq!(format!("{key:?}"), "RedactionKey(set)");
    assert_eq!(format!("{:?}", RedactionKey::none()), "RedactionKey(none)");
}

#[test]
fn arbitrary_damage_is_survived() {
    let seed = json!({
        "eventName": "PutParameter",
        "é": "ü=ö password=ä; eyJh.eyJi.c IQoJb3JpZ2luü",
        "requestParameters": {"value": "é", "environment": {"variables": {"a": "ü"}}, "password": 1},
        "responseBody": json!({"keys": [{"value": "é"}], "m": json!({"password": "ü"}).to_string()}).to_string(),
        "pem": "-----BEGIN PRIVATE KEY-----\né\n-----END PRIVATE KEY-----",
    })
    .to_string();
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..5000 {
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..=random(5) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = ['"', '\\', '{', '}', '[', ']', ':', ',', '=', 'é'][random(10)],
                1 => text.truncate(at.max(1)),
                _ => text.insert(at, ['"', '\\', '{', ']'][random(4)]),
            }
        }
        let text: String = text.into_iter().collect();
        let clean = redact(&text, &RedactionKey::new([3; 32]));
        if serde_json::from_str::<Value>(&text).is_ok() {
            let again: Result<Value, _> = serde_json::from_str(&clean);
            assert!(again.is_ok(), "{text}\n{clean}");
        }
    }
}
