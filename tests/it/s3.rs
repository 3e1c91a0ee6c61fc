//! Lakes behind the protocol of S3: a server in this process that can also misbehave, and another's server where
//! `KEYTRAIL_TEST_S3` names one; `tests/support/s3.sh start` prints that variable.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use super::{estate, write_estate};

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Good,
    /// Puts that may only create replace.
    IgnoresConditions,
    /// The first put of a manifest and of each table's third commit is done, and answered with 503.
    BusyAfterwards,
}

/// A bucket, and what it has done.
#[derive(Debug, Default)]
struct Bucket {
    files: BTreeMap<String, Vec<u8>>,
    /// Names whose put was answered with 503, and those that met themselves afterwards.
    busy: Vec<String>,
    refused: Vec<String>,
}

/// A request, as far as this server cares.
struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Starts a server and gives its address. It ends with the process.
fn server(habit: Habit) -> (String, Arc<Mutex<Bucket>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    let shared = Arc::clone(&bucket);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bucket = Arc::clone(&shared);
            // A client that goes away ends its thread and nothing else.
            std::thread::spawn(move || while serve(&stream, habit, &bucket).is_some() {});
        }
    });
    (address, bucket)
}

/// Answers one request; nothing when the client has gone.
fn serve(mut stream: &TcpStream, habit: Habit, bucket: &Mutex<Bucket>) -> Option<()> {
    let request = read_request(stream)?;
    let (status, headers, body) = answer(&request, habit, &mut bucket.lock().unwrap());
    let mut head = format!("HTTP/1.1 {status} x\r\n");
    // A question for the head alone has no body in its answer, an error's neither.
    let body = if request.method == "HEAD" {
        Vec::new()
    } else {
        body
    };
    let length = body.len();
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    // Of a file that was asked for by its head alone, the length is the file's.
    if !head.contains("Content-Length") {
        write!(head, "Content-Length: {length}\r\n").unwrap();
    }
    head.push_str("\r\n");
    // In one piece: a second one would wait until the first is acknowledged.
    let answer = [head.into_bytes(), body].concat();
    stream.write_all(&answer).ok()
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim().split_once(": ") {
            None => break,
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
        };
    }
    let length = headers
        .get("content-length")
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let url = url::Url::parse(&format!("http://server{target}")).unwrap();
    let query = url.query_pairs().into_owned().collect();
    let path = percent_decoded(url.path());
    let key = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, key)| key);
    Some(Request {
        method,
        key: key.to_owned(),
        query,
        headers,
        body,
    })
}

fn percent_decoded(text: &str) -> String {
    let mut query = url::form_urlencoded::parse(text.as_bytes()).into_owned();
    query.next().map_or_else(String::new, |(name, value)| {
        // A path with = in it reads as a pair.
        if text.contains('=') {
            format!("{name}={value}")
        } else {
            name
        }
    })
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

fn answer(request: &Request, habit: Habit, bucket: &mut Bucket) -> Answer {
    match request.method.as_str() {
        "PUT" => put(request, habit, bucket),
        "GET" if request.query.contains_key("list-type") => list(request, bucket),
        "GET" | "HEAD" => get(request, bucket),
        "POST" if request.query.contains_key("delete") => delete(request, bucket),
        "DELETE" => {
            bucket.files.remove(&request.key);
            (204, Vec::new(), Vec::new())
        }
        other => panic!("{other} {} {:?}", request.key, request.query),
    }
}

fn put(request: &Request, habit: Habit, bucket: &mut Bucket) -> Answer {
    let key = &request.key;
    let conditional = request
        .headers
        .get("if-none-match")
        .is_some_and(|tag| tag == "*");
    if conditional && habit != Habit::IgnoresConditions && bucket.files.contains_key(key) {
        bucket.refused.push(key.clone());
        return error(412, "PreconditionFailed");
    }
    bucket.files.insert(key.clone(), request.body.clone());
    let hurts = key.contains("/ledger/epoch-") || key.ends_with("/00000000000000000002.json");
    if habit == Habit::BusyAfterwards && hurts && !bucket.busy.contains(key) {
        bucket.busy.push(key.clone());
        return error(503, "SlowDown");
    }
    (200, vec![("ETag", tag(&request.body))], Vec::new())
}

fn get(request: &Request, bucket: &Bucket) -> Answer {
    let Some(content) = bucket.files.get(&request.key) else {
        return error(404, "NoSuchKey");
    };
    let mut headers = vec![
        ("ETag", tag(content)),
        ("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT".to_owned()),
    ];
    if request.method == "HEAD" {
        headers.push(("Content-Length", content.len().to_string()));
        return (200, headers, Vec::new());
    }
    let Some(range) = request.headers.get("range") else {
        return (200, headers, content.clone());
    };
    let range = range.strip_prefix("bytes=").unwrap();
    let (begin, end) = range.split_once('-').unwrap();
    let size = content.len();
    let (begin, end) = match (begin.parse::<usize>(), end.parse::<usize>()) {
        (Ok(begin), Ok(end)) => (begin, (end + 1).min(size)),
        (Ok(begin), Err(_)) => (begin, size),
        (Err(_), Ok(last)) => (size.saturating_sub(last), size),
        (Err(_), Err(_)) => panic!("{range}"),
    };
    headers.push(("Content-Range", format!("bytes {begin}-{}/{size}", end - 1)));
    (206, headers, content[begin..end].to_vec())
}

fn list(request: &Request, bucket: &Bucket) -> Answer {
    let of = |name: &str| request.query.get(name).map_or("", String::as_str);
    let (prefix, after, delimiter) = (of("prefix"), of("start-after"), of("delimiter"));
    let mut folders = std::collections::BTreeSet::new();
    let mut body = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (key, content) in &bucket.files {
        let Some(below) = key.strip_prefix(prefix).filter(|_| key.as_str() > after) else {
            continue;
        };
        match below.split_once('/').filter(|_| !delimiter.is_empty()) {
            Some((folder, _)) => {
                folders.insert(format!("{prefix}{folder}/"));
            }
            None => write!(
                body,
                "<Contents><Key>{key}</Key><LastModified>2026-11-26T00:00:00.000Z</LastModified>\
                 <ETag>{}</ETag><Size>{}</Size></Contents>",
                tag(content).replace('"', "&quot;"),
                content.len()
            )
            .unwrap(),
        }
    }
    for folder in folders {
        write!(
            body,
            "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"
        )
        .unwrap();
    }
    body.push_str("</ListBucketResult>");
    (200, Vec::new(), body.into_bytes())
}

fn delete(request: &Request, bucket: &mut Bucket) -> Answer {
    let asked = std::str::from_utf8(&request.body).unwrap();
    let mut body = "<DeleteResult>".to_owned();
    for part in asked.split("<Key>").skip(1) {
        let key = part.split("</Key>").next().unwrap();
        bucket.files.remove(key);
        write!(body, "<Deleted><Key>{key}</Key></Deleted>").unwrap();
    }
    body.push_str("</DeleteResult>");
    (200, Vec::new(), body.into_bytes())
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, Vec::new(), body.into_bytes())
}

fn tag(content: &[u8]) -> String {
    let sha256 = keytrail::model::sha256(content);
    format!("\"{}\"", keytrail::model::hex(&sha256[..16]))
}

/// Runs the program against the server at `endpoint`.
fn keytrail(endpoint: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keytrail"))
        .args(arguments)
        .env_remove("KEYTRAIL_DATA")
        .env_remove("KEYTRAIL_CONFIG")
        .env("AWS_ENDPOINT", endpoint)
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("KEYTRAIL_INTEGRITY__SIGNING_KEY", "env:SIGNING_KEY")
        .env("SIGNING_KEY", "ab".repeat(32))
        .output()
        .unwrap()
}

fn succeeds(endpoint: &str, arguments: &[&str]) -> String {
    let output = keytrail(endpoint, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Replays an estate in two goes into `lake`, verifies it and asks it.
fn a_lake(endpoint: &str, lake: &str) {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let totals = write_estate(estate::estate(61, 8, 3, 120), &logs);
    let from = logs.to_str().unwrap();
    let replay = [
        "replay",
        "--from",
        from,
        "--data",
        lake,
        "--epoch-bytes",
        "25000",
    ];
    succeeds(endpoint, &replay);
    let again = keytrail(endpoint, &replay);
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(told.contains("0 messages, 0 elements"), "{told}");
    let verdict = succeeds(endpoint, &["verify", "--data", lake, "--json"]);
    assert!(verdict.contains("\"problems\": []"), "{verdict}");
    let sql = "SELECT count(*) AS events, max(_epoch) AS epoch FROM activity";
    let answer = succeeds(endpoint, &["sql", "--data", lake, "-o", "ndjson", sql]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["events"], totals.distinct);
    assert!(answer["epoch"].as_i64().unwrap() >= 2, "{answer}");
}

#[test]
fn a_lake_in_a_bucket_is_written_verified_and_asked() {
    let (endpoint, bucket) = server(Habit::Good);
    a_lake(&endpoint, "s3://bucket/some/lake");
    let bucket = bucket.lock().unwrap();
    assert!(bucket.files.keys().all(|key| key.starts_with("some/lake/")));
    let probes = bucket.files.keys().filter(|key| key.contains("/probe/"));
    assert_eq!(probes.count(), 0, "the self-test leaves nothing");
}

#[test]
fn b2_s3_503_then_412_on_our_own_put_is_one_epoch_and_no_row_twice() {
    let (endpoint, bucket) = server(Habit::BusyAfterwards);
    a_lake(&endpoint, "s3://bucket/lake");
    let bucket = bucket.lock().unwrap();
    let manifest = "lake/ledger/epoch-000000000002.json".to_owned();
    let commit = "lake/tables/activity/_delta_log/00000000000000000002.json".to_owned();
    for put in [manifest, commit] {
        assert!(bucket.busy.contains(&put), "{put} was never busy");
        assert!(bucket.refused.contains(&put), "{put} never met itself");
    }
}

#[test]
fn b10_s3_that_ignores_if_none_match_is_refused() {
    let (endpoint, bucket) = server(Habit::IgnoresConditions);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("a.ndjson");
    std::fs::write(&log, "{}\n").unwrap();
    let from = log.to_str().unwrap();
    let output = keytrail(
        &endpoint,
        &["replay", "--from", from, "--data", "s3://bucket/lake"],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("If-None-Match"), "{told}");
    assert!(bucket.lock().unwrap().files.is_empty());
}

#[test]
fn a_lake_in_anothers_s3_server() {
    let Ok(endpoint) = std::env::var("KEYTRAIL_TEST_S3") else {
        eprintln!("SKIPPED: KEYTRAIL_TEST_S3 names no server; tests/support/s3.sh start makes one");
        return;
    };
    // A name of its own, so that the test can be run again against the same server.
    let unique = tempfile::tempdir().unwrap();
    let name = unique.path().file_name().map(Path::new).unwrap();
    a_lake(&endpoint, &format!("s3://keytrail/{}", name.display()));
}
