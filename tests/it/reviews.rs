//! Reviews of access: a sheet goes out, comes back filled in, and what was decided is asked for until it is done. Tickets: what
//! none of them allows is a question with an answer.

use std::fs;

use serde_json::Value;

use super::investigate::{lines, text, word};
use super::keytrail;
use super::statements::{done, own_lake, rows};

fn query(data: &str, name: &str, params: &[&str]) -> Vec<Value> {
    let mut args = vec!["query", name, "--data", data];
    params.iter().for_each(|param| args.extend(["-p", param]));
    lines(&args).0
}

#[test]
fn a_sheet_comes_back_filled_in() {
    let dir = tempfile::tempdir().unwrap();
    let data = own_lake(dir.path());
    let sheet = dir.path().join("sheet.csv").display().to_string();
    done(&["report", "access-review", "--data", &data, "-o", &sheet]);
    let never = query(&data, "reviews", &[]);
    assert!(never.len() > 3 && never.iter().all(|row| row["state"] == "never reviewed"));
    assert_eq!(
        keytrail(&["review", "import", &sheet, "--data", &data])
            .status
            .code(),
        Some(2)
    );

    // Three rows are decided about, as a reviewer does in a spreadsheet.
    let text_of = fs::read_to_string(&sheet).unwrap();
    let (head, table) = text_of.split_at(text_of.find("recommendation,").unwrap());
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers().unwrap().clone();
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let decisions = [
        ("keep", "", "2020-01-01"),
        ("revoke", "nobody knows it", ""),
        ("exception", "until the move", "2999-01-01"),
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&header).unwrap();
    let mut decided = Vec::new();
    for (number, row) in reader.records().map(Result::unwrap).enumerate() {
        let mut cells: Vec<String> = row.iter().map(str::to_owned).collect();
        if let Some((decision, reason, until)) = decisions.get(number) {
            cells[place("decision")] = (*decision).to_owned();
            cells[place("reason")] = (*reason).to_owned();
            cells[place("until")] = (*until).to_owned();
            decided.push(cells[place("identity_uid")].clone());
        }
        writer.write_record(&cells).unwrap();
    }
    let filled = [head.as_bytes(), &writer.into_inner().unwrap()].concat();
    fs::write(&sheet, filled).unwrap();
    let told = done(&[
        "review",
        "import",
        &sheet,
        "--data",
        &data,
        "--by",
        "ines.kram",
    ]);
    assert!(told.contains("3 decisions about access"), "{told}");

    let attested = rows(&data, "SELECT * FROM attestations ORDER BY decision");
    assert_eq!(attested.len(), 3);
    assert!(attested.iter().all(|row| row["author"] == "ines.kram"));
    let state = |identity: &str| {
        let all = query(&data, "reviews", &["all=yes"]);
        let row = all.into_iter().find(|row| row["identity_uid"] == identity);
        word(&row.unwrap(), "state").to_owned()
    };
    let states: Vec<String> = decided.iter().map(|identity| state(identity)).collect();
    assert_eq!(states, ["due", "not carried out", "holds"]);
    let open = lines(&["review", "list", "--data", &data]).0;
    assert_eq!(open.len(), never.len() - 1);

    // Decided again, and named as its account names it.
    let sql = format!(
        "SELECT arn_or_app_id FROM identity WHERE identity_uid = '{}'",
        decided[0]
    );
    let name = rows(&data, &sql)[0]["arn_or_app_id"]
        .as_str()
        .map(str::to_owned);
    let name = name.unwrap_or_else(|| decided[0].clone());
    let refused = keytrail(&[
        "review",
        "decide",
        &name,
        "--decision",
        "revoke",
        "--data",
        &data,
    ]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("--why is needed for revoke"),
        "{}",
        text(&refused.stderr)
    );
    done(&[
        "review",
        "decide",
        &name,
        "--decision",
        "keep",
        "--data",
        &data,
    ]);
    assert_eq!(state(&decided[0]), "holds");
    let again = query(&data, "access-review", &[]);
    let row = again
        .iter()
        .find(|row| row["identity_uid"] == *decided[1])
        .unwrap();
    assert_eq!(
        (word(row, "last_decision"), word(row, "decision")),
        ("revoke", "")
    );
    assert_eq!(word(row, "decided_by"), "ines.kram");
    let verified = keytrail(&["verify", "--data", &data]);
    assert!(verified.status.success(), "{}", text(&verified.stderr));
}

#[test]
fn a_change_that_no_ticket_allows_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = own_lake(dir.path());
    let all = query(&data, "unapproved-changes", &["days=4000"]);
    let changes = rows(&data, "SELECT event_uid FROM lifecycle").len();
    assert!(changes > 0 && all.len() == changes, "{all:?}");
    let change = all
        .iter()
        .find(|row| row["target_identity_uid"].is_string())
        .unwrap();
    let (identity, action) = (word(change, "target_identity_uid"), word(change, "action"));
    let event = word(change, "event_uid");
    let file = dir.path().join("tickets.csv");
    let header = "ticket,approver,approved,identity,action,event_uid,until";
    let take = |data: &str, rows: &str| {
        fs::write(&file, format!("{header}\n{rows}")).unwrap();
        let shown = file.display().to_string();
        done(&["inventory", "tickets", &shown, "--data", data])
    };
    let ticket = |data: &str| {
        let shown = query(data, "unapproved-changes", &["days=4000", "approved=yes"]);
        assert_eq!(shown.len(), changes);
        let row = shown.into_iter().find(|row| row["event_uid"] == *event);
        let row = row.unwrap();
        (row["ticket"].clone(), row["approver"].clone())
    };
    let none = (Value::Null, Value::Null);
    let by = |ticket: &str, approver: &str| (Value::from(ticket), Value::from(approver));
    // Another action, a time that was over, and one that had not begun.
    let other = if action == "rotate" {
        "delete"
    } else {
        "rotate"
    };
    let told = take(
        &data,
        &format!(
            "CHG-1,ines,2020-01-01,{identity},{other},,\n\
             CHG-2,ines,2020-01-01,{identity},{action},,2020-01-02\n\
             CHG-3,ines,2999-01-01,{identity},{action},,\n"
        ),
    );
    assert!(told.contains("3 tickets"), "{told}");
    assert_eq!(ticket(&data), none);
    // Of two that allow it, the one that was approved first is named, and who approved that.
    let two = |until: &str| {
        format!(
            "CHG-4,ines,2020-01-01,{identity},{action},,{until}\n\
             CHG-9,aaron,2020-01-02,{identity},{action},,{until}\n"
        )
    };
    take(&data, &two(""));
    assert_eq!(ticket(&data), by("CHG-4", "ines"));
    let left = query(&data, "unapproved-changes", &["days=4000"]);
    assert!(left.iter().all(|row| row["event_uid"] != *event));
    // What is said of a ticket later takes the place of what was said before.
    take(&data, &two("2020-01-03"));
    assert_eq!(ticket(&data), none);

    // One that names the change itself.
    let named = tempfile::tempdir().unwrap();
    let data = own_lake(named.path());
    take(&data, &format!("CHG-5,tom,2020-01-01,,,{event},\n"));
    assert_eq!(ticket(&data), by("CHG-5", "tom"));
}
