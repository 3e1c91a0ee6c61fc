//! Tools that people have: psql where it is installed, psycopg and SQLAlchemy where `KEYTRAIL_TEST_PYTHON` names a Python that
//! has them, and what Grafana and DBeaver say when they begin.

use std::process::Command;

use super::super::investigate::lake;
use super::super::skip;
use super::{PASSWORD, Served, serve, text};

/// What psql prints, or nothing where there is no psql.
fn psql(served: &Served, host: &str, more: &str, command: &str) -> Option<(String, String)> {
    let address = format!(
        "host={host} port={} dbname=keytrail user=iris {more}",
        served.port
    );
    let output = Command::new("psql")
        .args(["--no-psqlrc", &address, "-c", command])
        .env("PGPASSWORD", PASSWORD)
        .output();
    match output {
        Ok(output) => Some((
            text(&output.stdout).to_owned(),
            text(&output.stderr).to_owned(),
        )),
        Err(error) => {
            skip(&format!("psql: {error}"));
            None
        }
    }
}

#[test]
fn psql_is_at_home() {
    let served = Served::start("");
    for (command, expected) in [
        ("\\dt", &["| activity ", "| findings "][..]),
        ("\\d events", &["event_time", "timestamp with time zone"]),
        (
            "SELECT i.kind, count(*) FROM events e JOIN identity i ON i.identity_uid = e.identity_uid GROUP BY 1",
            &["kind", " row"],
        ),
        (
            "COPY activity TO '/tmp/keytrail-copied'",
            &["COPY is refused"],
        ),
        (
            "SET statement_timeout = '300ms'; SELECT count(*) FROM events a, events b, events c WHERE a.event_time < c.event_time",
            &["statement timeout"],
        ),
    ] {
        let Some((shown, told)) = psql(&served, "127.0.0.1", "", command) else {
            return;
        };
        for expected in expected {
            assert!(
                shown.contains(expected) || told.contains(expected),
                "{command}: {shown}{told}"
            );
        }
    }
}

#[test]
fn nothing_is_served_in_clear_for_want_of_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake();
    let tls = |certificate: &str, key: &str| {
        format!("tls_certificate = \"{certificate}\"\ntls_key = \"{key}\"")
    };
    let [certificate, key] =
        ["certificate", "key"].map(|name| dir.path().join(name).display().to_string());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args([
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", &key, "-out", &certificate])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return skip("TLS: openssl makes no certificate here");
    }
    let (open, own) = ("0.0.0.0:0", "127.0.0.1:0");
    for (more, address, expected) in [
        (String::new(), open, "can be reached from other machines"),
        (tls("/nowhere", &key), own, "/nowhere"),
        (tls(&key, &key), own, "holds no certificate"),
        (tls(&certificate, &certificate), own, "serve.tls_key"),
        (format!("tls_key = \"{key}\""), own, "go together"),
    ] {
        let output = serve(&data, dir.path(), &more, address).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(expected), "{told}");
    }
    let served = Served::start_in(dir, &tls(&certificate, &key));
    let clear = served.login("iris", PASSWORD).err().unwrap();
    assert!(clear.message.contains("TLS"), "{clear:?}");
    let more = format!("sslmode=verify-full sslrootcert={certificate}");
    if let Some((shown, told)) = psql(&served, "localhost", &more, "SELECT 40 + 2") {
        assert!(shown.contains("42"), "{shown}{told}");
    }
}

/// What Grafana asks before anybody sees a panel: its version, its tables, the columns of one, and a panel's own query; and what
/// DBeaver asks for its tree.
#[test]
fn grafana_and_dbeaver_find_their_way() {
    let served = Served::start("");
    let mut client = served.client("vera");
    for sql in [
        "SELECT quote_ident(table_name) AS \"table\" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN ('information_schema', 'pg_catalog') ORDER BY 1",
        "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns WHERE quote_ident(table_name) = 'events'",
        "SELECT date_trunc('hour', event_time) AS \"time\", count(*) FROM events WHERE event_time BETWEEN '2020-01-01T00:00:00Z' AND '2030-01-01T00:00:00Z' GROUP BY 1 ORDER BY 1",
        "SELECT version()",
        "SELECT current_schema(), session_user",
        "SELECT n.oid, n.* FROM pg_catalog.pg_namespace n ORDER BY nspname",
        "SELECT db.oid, db.* FROM pg_catalog.pg_database db",
        "SELECT * FROM pg_catalog.pg_settings WHERE name = 'standard_conforming_strings'",
        "SELECT c.oid, c.relname FROM pg_catalog.pg_class c WHERE c.relkind NOT IN ('i', 'I', 'c')",
    ] {
        let rows = client.rows(sql);
        let rows = rows.unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
        assert!(!rows.is_empty(), "{sql}");
        let prepared = client.ask(sql, &[]);
        let prepared = prepared.unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
        assert_eq!(prepared.len(), rows.len(), "{sql}");
    }
    for sql in [
        "SET extra_float_digits = 3",
        "SET application_name = 'Grafana'",
        "SHOW search_path",
    ] {
        client.rows(sql).unwrap();
    }
}

#[test]
fn psycopg_and_sqlalchemy_are_at_home() {
    let Some(python) = std::env::var_os("KEYTRAIL_TEST_PYTHON") else {
        let why = "KEYTRAIL_TEST_PYTHON names no Python that has them";
        return skip(&format!("psycopg and SQLAlchemy: {why}"));
    };
    let served = Served::start("");
    let output = Command::new(python)
        .arg("tests/support/clients.py")
        .env("PGPASSWORD", PASSWORD)
        .env("PGPORT", served.port.to_string())
        .output()
        .unwrap();
    let told = [text(&output.stdout), text(&output.stderr)].concat();
    assert!(output.status.success(), "{told}");
}
