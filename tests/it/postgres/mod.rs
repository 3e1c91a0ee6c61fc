//! `keytrail serve`, asked by a client that speaks the protocol and by tools that people have.

mod client;
mod tools;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postgres_protocol::message::frontend;
use tempfile::TempDir;

use super::investigate::text;
use super::keytrail;
use super::statements::{done, own_lake, rows};
use client::{Client, Refusal};

const PASSWORD: &str = "a password of the tests";

/// Queries that would take years, and that read nothing while they do.
const ENDLESS: [&str; 4] = [
    "SELECT count(*) FROM events a, events b, events c, events d WHERE a.event_time < d.event_time",
    "WITH v AS (SELECT length(provider) - length(provider) AS k FROM events) \
     SELECT count(*) FROM v a JOIN v b ON a.k = b.k JOIN v c ON b.k = c.k JOIN v d ON c.k = d.k",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 0 FROM t) SELECT count(*) FROM t",
    "SELECT count(*) FROM generate_series(1, 1000000000000) a WHERE value % 7 = 8",
];

/// SQLSTATE of what may not be done, of a limit of the server, of a query that was ended, and of a password (the
/// documentation of PostgreSQL, appendix A).
const FORBIDDEN: &str = "42501";
const LIMIT: &str = "54000";
const ENDED: &str = "57014";
const NO_LOGIN: &str = "28P01";

/// A server of a lake of its own, which is stopped when it is dropped.
struct Served {
    process: Child,
    port: u16,
    data: String,
    dir: TempDir,
}

impl Served {
    /// Serves with three users and what `more` sets.
    fn start(more: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), more)
    }

    /// The same in a folder in which something lies already.
    fn start_in(dir: TempDir, more: &str) -> Self {
        let data = own_lake(dir.path());
        let process = serve(&data, dir.path(), more, "127.0.0.1:0").spawn();
        let mut served = Self {
            process: process.unwrap(),
            port: 0,
            data,
            dir,
        };
        let talk = served.process.stderr.take().unwrap();
        let mut lines = BufReader::new(talk).lines();
        served.port = lines
            .by_ref()
            .map(|line| line.unwrap())
            .find_map(|line| line.split("port=").nth(1)?.split(' ').next()?.parse().ok())
            .expect("the server says where it listens");
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        served
    }

    fn client(&self, user: &str) -> Client {
        let client = self.login(user, PASSWORD);
        client.unwrap_or_else(|refusal| panic!("{user}: {refusal:?}"))
    }

    fn login(&self, user: &str, password: &str) -> Result<Client, Refusal> {
        Client::login(self.port, user, password)
    }

    fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(data: &str, dir: &Path, more: &str, address: &str) -> Command {
    let config = dir.join("serve.toml");
    let roles = [("iris", "analyst"), ("vera", "viewer"), ("otto", "auditor")];
    let users = roles.map(|(name, role)| {
        format!(
            "[serve.users.{name}]\npassword = \"env:KEYTRAIL_TEST_PASSWORD\"\nrole = \"{role}\"\n"
        )
    });
    fs::write(&config, format!("[serve]\n{more}\n{}", users.concat())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keytrail"));
    command
        .args(["serve", "--data", data, "--postgres", address, "--config"])
        .arg(config)
        .env("KEYTRAIL_TEST_PASSWORD", PASSWORD)
        .stderr(Stdio::piped());
    command
}

#[test]
fn questions_are_answered_with_parameters_and_types() {
    let served = Served::start("");
    let counted = "SELECT count(*) AS n FROM events WHERE provider = ";
    let expected = rows(&served.data, &format!("{counted}'aws'"));
    let mut client = served.client("iris");
    let sql = "SELECT count(*) AS n, min(event_time) AS first, max(read_only) AS reads, max(event_date) AS day FROM events \
               WHERE provider = $1 AND event_date >= $2";
    let described = client.prepare(sql).unwrap();
    // text, date → int8, timestamptz, bool, date (`pg_type.oid`).
    assert_eq!(described.params[1], 1082, "{described:?}");
    let columns = ["n", "first", "reads", "day"].map(str::to_owned);
    let types = [20, 1184, 16, 1082];
    assert!(
        described
            .columns
            .into_iter()
            .eq(columns.into_iter().zip(types))
    );
    let found = client.ask(&format!("{counted}$1"), &["aws"]).unwrap();
    assert_eq!(found[0][0], Some(expected[0]["n"].to_string()));
    // Lists, nulls and views.
    let sql =
        "SELECT chain, CAST(NULL AS VARCHAR) FROM events WHERE cardinality(chain) > 1 LIMIT 1";
    let found = client.ask(sql, &[]).unwrap();
    let chain = found[0][0].as_deref().unwrap();
    assert!(chain.starts_with('{') && chain.contains(','), "{chain}");
    assert_eq!(found[0][1], None);
    let sql =
        "SELECT f.finding_uid FROM finding f JOIN identity i ON i.identity_uid = f.identity_uid";
    assert!(!client.rows(sql).unwrap().is_empty());
}

/// Tools ask for the catalog in ways that the library rewrites; what asks the lake must not be.
#[test]
fn answers_are_those_of_the_command_line() {
    let served = Served::start("");
    let mut client = served.client("iris");
    for sql in [
        "SELECT i.identity_uid, (SELECT count(*) FROM finding f WHERE f.identity_uid = i.identity_uid) AS n FROM identity i ORDER BY 1",
        "SELECT (SELECT count(*) FROM finding WHERE finding.severity = 'high') AS a, (SELECT count(*) FROM events) AS b",
    ] {
        let expected = rows(&served.data, sql);
        let expected: Vec<Vec<String>> = expected
            .iter()
            .map(|row| row.as_object().unwrap().values())
            .map(|cells| {
                cells
                    .map(|cell| cell.as_str().map_or(cell.to_string(), str::to_owned))
                    .collect()
            })
            .collect();
        for found in [client.rows(sql), client.ask(sql, &[])] {
            let found = found.unwrap().into_iter();
            let found: Vec<Vec<String>> = found
                .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
                .collect();
            assert_eq!(found, expected, "{sql}");
        }
    }
    let sql = "SELECT (SELECT count(*) FROM events WHERE provider = $1) AS n";
    let found = client.ask(sql, &["aws"]).unwrap();
    let expected = rows(
        &served.data,
        "SELECT count(*) AS n FROM events WHERE provider = 'aws'",
    );
    assert_eq!(found[0][0], Some(expected[0]["n"].to_string()));
}

/// Small texts that are very large when they are understood.
#[test]
fn statements_that_are_too_large_are_refused() {
    let served = Served::start("");
    let mut client = served.client("vera");
    let doubled: Vec<String> = (1..40)
        .map(|at| format!("t{at} AS (SELECT l.n FROM t{} l, t{} r)", at - 1, at - 1))
        .collect();
    let tree = format!(
        "WITH t0 AS (SELECT 1 AS n), {} SELECT count(*) FROM t39",
        doubled.join(", ")
    );
    let long = format!("SELECT 1{}", " + 1".repeat(20_000));
    for sql in [&tree, &long] {
        assert_eq!(client.refused(sql).code, "54001");
        assert_eq!(client.prepare(sql).err().unwrap().code, "54001");
    }
    // As deep as a statement may be: it is answered or refused, and others are answered.
    let deep = format!("SELECT 1 WHERE 1 = 1{}", " OR 1 = 2".repeat(2_400));
    drop(client.rows(&deep));
    assert_eq!(served.client("iris").one("SELECT 1"), "1");
    assert_eq!(client.refused("SELECT 1; SELECT 2").code, "0A000");
}

/// One of each sort; `serve::rules` has every other. Nothing reaches a file.
#[test]
fn nothing_but_reading_is_allowed() {
    let served = Served::start("");
    let aim = served.dir.path().join("out");
    let mut client = served.client("otto");
    for sql in [
        "INSERT INTO activity SELECT * FROM activity",
        "DELETE FROM activity",
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE activity",
        &format!("COPY activity TO '{}'", aim.display()),
        "COPY activity FROM '/etc/passwd'",
        "SET datafusion.runtime.memory_limit = '100G'",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT 1; DROP TABLE activity",
    ] {
        let refusal = client.refused(sql);
        let known = [FORBIDDEN, "42601"];
        assert!(known.contains(&refusal.code.as_str()), "{sql}: {refusal:?}");
        assert!(client.prepare(sql).is_err(), "{sql}");
    }
    client.refused("SELECT * FROM '/etc/passwd'");
    assert_eq!(client.one("SELECT 1"), "1");
    assert!(!aim.exists());
}

#[test]
fn roles_see_what_is_theirs() {
    let served = Served::start("");
    for (user, hidden) in [
        ("vera", &["raw_events", "rejects", "query_audit"][..]),
        ("iris", &["query_audit"]),
        ("otto", &[]),
    ] {
        let mut client = served.client(user);
        for table in ["activity", "raw_events", "rejects", "query_audit"] {
            let sql = format!("SELECT count(*) FROM {table}");
            if hidden.contains(&table) {
                let refusal = client.refused(&sql);
                assert_eq!(refusal.code, FORBIDDEN, "{refusal:?}");
                assert!(refusal.message.contains("may not read"), "{refusal:?}");
            } else {
                client.one(&sql);
            }
        }
    }
    for (user, password) in [("iris", "wrong"), ("nobody", PASSWORD), ("iris", "")] {
        let refusal = served.login(user, password).err().unwrap();
        assert_eq!(refusal.code, NO_LOGIN, "{user}: {refusal:?}");
    }
}

/// The library answers a failed login, closes its half of the connection and goes on to read. What comes then is not run.
#[test]
fn who_has_not_logged_in_is_not_answered() {
    let served = Served::start("");
    let mut socket = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    let patience = Some(Duration::from_secs(10));
    socket.set_read_timeout(patience).unwrap();
    let mut out = bytes::BytesMut::new();
    frontend::startup_message([("user", "otto"), ("database", "keytrail")], &mut out).unwrap();
    // A mechanism that there is not, and queries right behind it.
    frontend::sasl_initial_response("NONE", b"", &mut out).unwrap();
    socket.write_all(&out).unwrap();
    out.clear();
    frontend::query("SELECT 'kt' || 'marked'", &mut out).unwrap();
    // The library closes its half only. The server closes the other before long.
    let until = Instant::now() + Duration::from_secs(50);
    while socket.write_all(&out).is_ok() {
        assert!(Instant::now() < until, "who has not logged in is kept");
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut answered = Vec::new();
    drop(socket.read_to_end(&mut answered));
    let answered = String::from_utf8_lossy(&answered).into_owned();
    assert!(!answered.contains("ktmarked"), "{answered}");
    let asked = fs::read_dir(Path::new(&served.data).join("inbox")).map_or(0, Iterator::count);
    assert_eq!(asked, 0, "something was asked");
    assert!(rows(&served.data, "SELECT sql FROM query_audit").is_empty());
}

#[test]
fn a_query_that_never_ends_is_ended_and_others_are_served() {
    let more = "query_time_max = \"8s\"\nqueries_max = 2";
    let served = Served::start(more);
    let (mut client, mut other) = (served.client("iris"), served.client("otto"));
    let timed = |client: &mut Client, sql: &str| {
        let begun = Instant::now();
        let refusal = client.refused(sql);
        assert_eq!(refusal.code, ENDED, "{refusal:?}");
        begun.elapsed()
    };
    // It takes one of two places; others are answered meanwhile.
    for sql in ENDLESS {
        std::thread::scope(|scope| {
            let late = scope.spawn(|| timed(&mut client, sql));
            other.one("SELECT count(*) FROM findings");
            assert!(!late.is_finished(), "{sql}: nobody was answered meanwhile");
            assert!(late.join().unwrap() < Duration::from_secs(20), "{sql}");
        });
    }
    // A client may ask for less time, and gets no more.
    for (own, most) in [("300", 7), ("600000", 20)] {
        client
            .rows(&format!("SET statement_timeout = {own}"))
            .unwrap();
        assert!(
            timed(&mut client, ENDLESS[0]) < Duration::from_secs(most),
            "{own}"
        );
    }
    // Places of clients that leave are given back when their time is over, and so are those of clients that do not take what
    // they asked for; they are not told that it was all.
    for _ in 0..3 {
        served.client("iris").begin(ENDLESS[0]);
    }
    answered(&mut other);
    let large = "SELECT repeat('x', 2000) FROM events, generate_series(1, 1000)";
    let mut slow = [served.client("iris"), served.client("vera")];
    slow.iter_mut().for_each(|client| client.begin(large));
    // Both have begun, so both places are theirs.
    slow.iter_mut()
        .for_each(|client| drop(client.hear().unwrap()));
    answered(&mut other);
    for client in &mut slow {
        assert_eq!(client.answer().err().unwrap().code, ENDED);
    }
    client.rows("SET statement_timeout = 0").unwrap();
    let cancel = client.canceller();
    // Again and again: one that comes before the query cancels nothing.
    let cancelling = std::thread::spawn(move || {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(300));
            cancel();
        }
    });
    assert!(timed(&mut client, ENDLESS[0]) < Duration::from_millis(7_500));
    cancelling.join().unwrap();
    // Nothing goes on behind the clients' backs, so the server ends when it is asked to.
    client.begin(ENDLESS[0]);
    std::thread::sleep(Duration::from_millis(200));
    end(served);
}

/// Asks until there is a place.
fn answered(client: &mut Client) {
    let until = Instant::now() + Duration::from_secs(30);
    while client.rows("SELECT 1").is_err() {
        assert!(Instant::now() < until, "nobody gives a place back");
    }
}

/// Asks the server to end, and waits for it a while.
fn end(mut served: Served) {
    let asked = Command::new("kill")
        .arg(served.process.id().to_string())
        .status();
    assert!(asked.unwrap().success());
    let until = Instant::now() + Duration::from_secs(20);
    while served.process.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "the server does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn limits_end_with_an_error() {
    let more = "rows_max = 2000\nconnections_max = 3\nmemory_bytes_max = 30000000";
    let served = Served::start(more);
    let mut client = served.client("iris");
    let refusal = client.refused("SELECT 1 FROM events a CROSS JOIN coverage b");
    assert_eq!(refusal.code, LIMIT, "{refusal:?}");
    let sql = "SELECT array_agg(event_uid) FROM events, generate_series(1, 1000)";
    let refusal = client.refused(sql);
    assert_eq!(refusal.code, "53200", "{refusal:?}");
    // Two more may be connected, and a fourth is turned away until one of them leaves.
    let held = [served.client("vera"), served.client("vera")];
    assert_eq!(served.login("vera", PASSWORD).err().unwrap().code, "");
    drop(held);
    let until = Instant::now() + Duration::from_secs(10);
    while served.login("vera", PASSWORD).is_err() {
        assert!(Instant::now() < until, "no place became free");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Rows some at a time, up to a limit: whoever asks on after the error does not hear that it was all.
#[test]
fn an_answer_that_failed_is_not_over() {
    let served = Served::start("rows_max = 10000");
    let mut client = served.client("iris");
    let sql = "SELECT value FROM generate_series(1, 20000)";
    let (rows, more) = client.open(sql, 5_000).unwrap();
    assert_eq!((rows.len(), more), (5_000, true));
    for code in [LIMIT, "XX000"] {
        let refusal = client.fetch(5_000).err();
        assert_eq!(refusal.map(|refusal| refusal.code).as_deref(), Some(code));
    }
    // A negative number is no large one.
    let (rows, more) = client
        .open("SELECT value FROM generate_series(1, 9)", -1)
        .unwrap();
    assert_eq!((rows.len(), more), (9, false));
}

#[test]
fn a_transaction_sees_one_epoch_and_everything_asked_is_audited() {
    let last = "SELECT max(epoch) FROM epochs";
    let mut served = Served::start("[lake]\nlease = \"1s\"");
    let data = served.data.clone();
    let mut client = served.client("otto");
    client.rows("BEGIN").unwrap();
    let before = client.one(last);
    let found = rows(&data, "SELECT finding_uid FROM finding ORDER BY 1 LIMIT 1");
    let finding = found[0]["finding_uid"].as_str().unwrap();
    let decision = [
        "--decision",
        "in_progress",
        "--why",
        "we look",
        "--data",
        &data,
    ];
    done(&[&["findings", "triage", finding], &decision[..]].concat());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(client.one(last), before);
    for sql in ["COMMIT", "BEGIN"] {
        client.rows(sql).unwrap();
    }
    // The next transaction sees what is there when it begins to read.
    let after = client.one(last);
    client.rows("COMMIT").unwrap();
    assert!(after.parse::<i64>().unwrap() > before.parse::<i64>().unwrap());
    client.refused("DROP TABLE activity");
    client.refused("SELEC 1");
    served.client("vera").refused("SELECT * FROM raw_events");
    served
        .client("vera")
        .ask("SELECT * FROM rejects", &[])
        .unwrap_err();
    // A service that was killed has left its lease.
    let lease = r#"{"writer":"dead","term":7,"beat":3,"at":"2026-11-27T00:00:00Z","process":1}"#;
    fs::write(Path::new(&data).join("lease.json"), lease).unwrap();
    // A failed transaction answers nothing until it ends.
    for sql in [
        "BEGIN",
        "SAVEPOINT s",
        "SELECT 1",
        "ROLLBACK TO SAVEPOINT s",
        "RELEASE SAVEPOINT s",
    ] {
        client.rows(sql).unwrap();
    }
    client.refused("SELECT * FROM nowhere");
    assert_eq!(client.refused("SELECT 1").code, "25P02");
    client.rows("ROLLBACK").unwrap();
    assert_eq!(client.one("SELECT 1"), "1");
    // Without a service that writes, the server has what was asked taken in.
    let answered = format!(
        "SELECT count(*) FROM query_audit WHERE sql = '{last}' AND as_of_epoch > 0 AND author = 'otto' \
         AND role = 'auditor' AND application = 'it' AND client = '127.0.0.1'"
    );
    let refused =
        "SELECT string_agg(sql, ', ' ORDER BY sql) FROM query_audit WHERE refused IS NOT NULL";
    let until = Instant::now() + Duration::from_secs(90);
    while client.one(&answered) != "3"
        || client.one(refused)
            != "DROP TABLE activity, SELEC 1, SELECT * FROM nowhere, SELECT * FROM raw_events, SELECT * FROM rejects"
    {
        assert!(Instant::now() < until, "what was asked never became rows");
        std::thread::sleep(Duration::from_secs(1));
    }
    served.kill();
    let verified = keytrail(&["verify", "--data", &data]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}
