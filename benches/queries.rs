//! How long a person waits for ten questions that a page about machine identities asks, over a lake of any size.
//!
//! `cargo bench --bench queries -- LAKE 20` (a lake that is there, and rounds; 20 unless given). Every round asks about another
//! identity, event, session and finding, each question as often as there are rounds, and one after the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keytrail::query::{Session, bind, formatted, question};

/// The questions, each with what it is asked about and the statement that says which there are.
const QUESTIONS: [(&str, &str, &str); 10] = [
    ("findings", "", ""),
    ("finding-evidence", "finding", FINDINGS),
    ("who-did", "event_uid", EVENTS),
    ("activity-of-identity", "identity", IDENTITIES),
    ("operations-used", "identity", IDENTITIES),
    ("blast-radius", "identity", IDENTITIES),
    ("lifecycle-of-identity", "identity", IDENTITIES),
    ("session-descendants", "start", SESSIONS),
    ("dormancy", "", ""),
    ("coverage-gaps", "", ""),
];

const FINDINGS: &str = "SELECT finding_uid FROM finding ORDER BY md5(finding_uid)";
const EVENTS: &str =
    "SELECT event_uid FROM activity WHERE _leaf % 9973 = 0 ORDER BY md5(event_uid)";
const IDENTITIES: &str =
    "SELECT identity_uid FROM identity_usage WHERE successes > 0 ORDER BY md5(identity_uid)";
const SESSIONS: &str = "SELECT session_uid FROM session WHERE issued_by_session_uid IS NOT NULL ORDER BY md5(session_uid)";

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    let lake = arguments.next().expect("the first argument is a lake");
    let rounds: usize = arguments
        .next()
        .map_or(20, |text| text.parse().expect("a number of rounds"));
    let begun = Instant::now();
    let session = Session::open(lake.as_ref()).await.expect("a lake");
    let opened = begun.elapsed();
    let rows = asked(&session, "SELECT count(*) FROM activity").await;
    println!(
        "{} rows of activity; opened in {} ms",
        rows[0],
        opened.as_millis()
    );
    println!(
        "{:<24}{:>8}{:>10}{:>10}{:>10}",
        "question", "rows", "p50 ms", "p95 ms", "most ms"
    );
    for (name, param, candidates) in QUESTIONS {
        let question = question(name).expect("a question of queries/");
        let about = match candidates {
            "" => vec![String::new()],
            sql => asked(&session, &format!("{sql} LIMIT {rounds}")).await,
        };
        let mut times = Vec::new();
        let mut rows = 0;
        for round in 0..rounds {
            let mut given = BTreeMap::new();
            if !param.is_empty() {
                given.insert(param.to_owned(), about[round % about.len()].clone());
            }
            let sql = bind(&question, &given).expect("the question takes it");
            let begun = Instant::now();
            let (_, batches) = session.sql(&sql).await.expect("an answer");
            times.push(begun.elapsed());
            rows += batches.iter().map(|batch| batch.num_rows()).sum::<usize>();
        }
        times.sort();
        println!(
            "{name:<24}{:>8}{:>10}{:>10}{:>10}",
            rows / rounds,
            share(&times, 0.5),
            share(&times, 0.95),
            share(&times, 1.0),
        );
    }
}

/// The first column of an answer, as text.
async fn asked(session: &Session, sql: &str) -> Vec<String> {
    let (_, batches) = session.sql(sql).await.expect("an answer");
    let rows = formatted(&batches).expect("values have a text");
    rows.into_iter().map(|mut row| row.swap_remove(0)).collect()
}

/// The time that a share of the sorted `times` did not exceed, in milliseconds.
fn share(times: &[Duration], share: f64) -> u128 {
    let rank = (share * times.len() as f64).ceil() as usize;
    times[rank.saturating_sub(1)].as_millis()
}
