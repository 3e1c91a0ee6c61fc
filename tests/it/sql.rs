//! Every prepared question over a real lake, and everything that SQL may not do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use keytrail::query::{Format, Session, bind, questions, write};

use super::{estate, replay, settings, wait, write_estate};

/// One lake for all tests of this file: sixty identities over fifty days.
pub(super) fn lake() -> PathBuf {
    static LAKE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = LAKE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        write_estate(estate::estate(11, 30, 50, 6_000), &logs);
        replay(&settings(&dir.path().join("lake"), 4 << 20), &[logs]).unwrap();
        dir
    });
    dir.path().join("lake")
}

fn text(sql: &str, format: Format) -> Result<String, String> {
    let lake = lake();
    wait(async move {
        let session = Session::open(&lake)
            .await
            .map_err(|error| error.to_string())?;
        let (schema, batches) = session.sql(sql).await.map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        write(&mut out, format, schema, &batches).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    })
}

#[test]
fn every_question_is_answered() {
    let one = |sql: &str| {
        let line = text(sql, Format::Csv).unwrap();
        line.lines().nth(1).unwrap_or_default().to_owned()
    };
    let given = BTreeMap::from([
        (
            "event_uid",
            one("SELECT event_uid FROM activity ORDER BY event_uid LIMIT 1"),
        ),
        (
            "identity",
            one("SELECT nhi_uid FROM events WHERE nhi_uid IS NOT NULL ORDER BY 1 LIMIT 1"),
        ),
        (
            "start",
            one("SELECT session_uid FROM sessions ORDER BY 1 LIMIT 1"),
        ),
        (
            "finding",
            one("SELECT finding_uid FROM findings ORDER BY 1 LIMIT 1"),
        ),
    ]);
    let mut answered = 0;
    for question in questions().unwrap() {
        let params: BTreeMap<String, String> = question
            .params
            .iter()
            .filter(|param| param.default.is_none())
            .map(|param| {
                let value = given.get(param.name.as_str());
                let value = value.unwrap_or_else(|| panic!("{}: {}", question.name, param.name));
                (param.name.clone(), value.clone())
            })
            .collect();
        let sql = bind(&question, &params).unwrap();
        let answer = text(&sql, Format::Csv);
        assert!(answer.is_ok(), "{}: {}", question.name, answer.unwrap_err());
        answered += 1;
    }
    println!("{answered}/{answered} questions");
}

#[test]
fn views_show_the_latest_word() {
    let rows = text(
        "SELECT count(*) AS n FROM events e JOIN (SELECT event_uid, max(revision) AS r FROM amendments GROUP BY 1) a \
         ON a.event_uid = e.event_uid WHERE NOT e.amended",
        Format::Csv,
    );
    assert_eq!(rows.unwrap(), "n\n0\n");
    let pending = text(
        "SELECT count(*) AS n FROM events WHERE attribution_status = 'pending'",
        Format::Csv,
    );
    assert_eq!(
        pending.unwrap(),
        "n\n0\n",
        "a sealed input leaves nothing pending"
    );
}

/// Counted anew from the events, each value of three dimensions was new once and then seen on twice as many days.
#[test]
fn baselines_are_what_the_events_say() {
    for (dimension, column) in [
        ("operation", "operation"),
        ("region", "region"),
        ("acts_as", "acting_uid"),
    ] {
        let sql = format!(
            "WITH seen AS (SELECT nhi_uid AS identity_uid, {column} AS value, event_date, count(*) AS events, \
             min(event_time) AS first FROM events WHERE nhi_uid IS NOT NULL AND {column} IS NOT NULL \
             AND actor_type NOT IN ('human', 'provider', 'anonymous') GROUP BY 1, 2, 3), \
             days AS (SELECT *, row_number() OVER one AS day, min(first) OVER one AS began FROM seen \
             WINDOW one AS (PARTITION BY identity_uid, value ORDER BY event_date)), \
             expected AS (SELECT * FROM days WHERE day IN (1, 2, 4, 8, 16, 32)), \
             told AS (SELECT * FROM profiles WHERE dimension = '{dimension}') \
             SELECT count(*) AS rows, sum(CASE WHEN t.as_of_date = e.event_date AND t.first_seen_time = e.began \
             AND t.last_seen_time = e.first THEN 0 ELSE 1 END) AS other FROM told t \
             FULL JOIN expected e ON t.identity_uid = e.identity_uid AND t.value = e.value AND t.days_seen = e.day"
        );
        let answer = text(&sql, Format::Csv).unwrap();
        let (rows, other) = answer.lines().nth(1).unwrap().split_once(',').unwrap();
        assert!(rows.parse::<u64>().unwrap() > 100, "{dimension}: {answer}");
        assert_eq!(other, "0", "{dimension}");
    }
}

#[test]
fn a_finding_names_its_events_and_its_query_finds_them() {
    let findings = text(
        "SELECT finding_uid, event_count, sql FROM finding ORDER BY 1",
        Format::Json,
    );
    let findings: serde_json::Value = serde_json::from_str(&findings.unwrap()).unwrap();
    let findings = findings.as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        let events = text(finding["sql"].as_str().unwrap(), Format::Ndjson).unwrap();
        let expected = finding["event_count"].as_i64().unwrap().min(64);
        assert_eq!(events.lines().count() as i64, expected, "{finding}");
    }
}

#[test]
fn nothing_but_one_select_is_allowed() {
    for statement in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE activity",
        "INSERT INTO activity SELECT * FROM activity",
        "DELETE FROM activity",
        "UPDATE activity SET outcome = 'success'",
        "COPY activity TO '/tmp/keytrail-copy.csv'",
        "SET datafusion.execution.batch_size = 1",
        "EXPLAIN ANALYZE COPY activity TO '/tmp/keytrail-copy.csv'",
        "SELECT 1; SELECT 2",
        "SELECT * FROM '/etc/passwd'",
        "WITH t AS (INSERT INTO activity SELECT * FROM activity) SELECT * FROM t",
        "TRUNCATE activity",
        "PREPARE p AS SELECT 1",
        "BEGIN",
    ] {
        assert!(text(statement, Format::Csv).is_err(), "{statement}");
    }
    assert!(!std::path::Path::new("/tmp/keytrail-copy.csv").exists());
}

#[test]
fn results_come_in_every_form() {
    let sql = "SELECT provider, count(*) AS n FROM activity GROUP BY 1 ORDER BY 1";
    let lines = |format| text(sql, format).unwrap();
    assert!(lines(Format::Table).contains("| provider"));
    assert!(lines(Format::Csv).starts_with("provider,n\naws,"));
    assert!(lines(Format::Markdown).starts_with("| provider | n |\n| --- | ---: |\n"));
    let json: serde_json::Value = serde_json::from_str(&lines(Format::Json)).unwrap();
    assert_eq!(
        json.as_array().unwrap().len(),
        lines(Format::Ndjson).lines().count()
    );
}
