//! Statements are taken by the service that runs, and count once whenever their writer dies.

use super::super::estate;
use super::super::statements::{done, own_lake, rows};
use super::broker::Broker;
use super::*;

#[test]
fn a_service_takes_what_is_stated_with_its_next_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::embedded("statements");
    broker.fill(estate::estate(9, 8, 3, 600), |_| ());
    let data = dir.path().join("lake");
    let mut child = start(broker.source.service(&data), "");
    let shown = data.display().to_string();
    until("it commits", || last_epoch(&data) > 0);
    let file = dir.path().join("owners.json");
    fs::write(
        &file,
        r#"[{"identity":"aws:user:AIDANOBODYSAWTHIS001","owner":"ute.falk"}]"#,
    )
    .unwrap();
    let told = done(&[
        "inventory",
        "import",
        &file.display().to_string(),
        "--data",
        &shown,
    ]);
    assert!(told.contains("1 identities of the inventory"), "{told}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let told = rows(
        &shown,
        "SELECT owner FROM identities WHERE source = 'inventory'",
    );
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(wait(verify(&data)).unwrap().problems, []);
}

/// Whoever dies between the commit and the inbox leaves a statement that counts already.
#[test]
fn a_statement_counts_once_whenever_its_writer_dies() {
    let dir = tempfile::tempdir().unwrap();
    let data = own_lake(dir.path());
    let file = dir.path().join("owners.json");
    fs::write(
        &file,
        r#"[{"identity":"aws:user:AIDANOBODYSAWTHIS001","owner":"ute.falk"}]"#,
    )
    .unwrap();
    for (point, there) in [("ledger.before-put", 1), ("epoch.published", 2)] {
        let mut command = program();
        command
            .args(["inventory", "import"])
            .arg(&file)
            .args(["--data", &data, "--as-of", "2026-01-01"])
            .env("KEYTRAIL_LAKE__LEASE", "1s");
        let fault = format!("{point}@1=exit");
        died(run(command, &fault), &fault);
        let waiting = fs::read_dir(Path::new(&data).join("inbox")).unwrap();
        assert_eq!(waiting.count(), there, "{point}");
    }
    // The next statement of anybody brings in what waits, and only that.
    fs::write(
        &file,
        r#"[{"identity":"aws:user:AIDANOBODYSAWTHIS002","owner":"tom"}]"#,
    )
    .unwrap();
    let mut command = program();
    command
        .args(["inventory", "import"])
        .arg(&file)
        .args(["--data", &data])
        .env("KEYTRAIL_LAKE__LEASE", "1s");
    let output = run(command, "");
    assert!(output.status.success(), "{}", said(&output));
    let told = rows(
        &data,
        "SELECT identity_uid, version FROM identities WHERE source = 'inventory' ORDER BY 1, 2",
    );
    assert_eq!(told.len(), 2, "{told:?}");
    let waiting = fs::read_dir(Path::new(&data).join("inbox")).unwrap();
    assert_eq!(waiting.count(), 0);
    assert_eq!(wait(verify(Path::new(&data))).unwrap().problems, []);
}
