//! Tickets that allowed changes, as a service desk exports them.

use std::path::Path;

use super::form::{Form, cell, one_of};
use super::{InventoryError, time, whole};
use crate::model::{Action, Approval, Micros};

/// The columns of a file, with their meaning.
pub const COLUMNS: [(&str, &str); 9] = [
    ("ticket", "the ticket"),
    ("approver", "who approved it"),
    ("approved", "when, a day or a time"),
    (
        "identity",
        "whose change it allows, named as in an inventory; needed unless `event_uid` names the change",
    ),
    (
        "action",
        "what it allows: create, enable, disable, delete, rotate, grant, revoke or trust_change; anything if empty",
    ),
    (
        "event_uid",
        "the log's id of the change, where the ticket knows it",
    ),
    (
        "from",
        "from when on it may be made; from the approval if empty",
    ),
    (
        "until",
        "until when it may be made; any time after if empty",
    ),
    ("summary", "what the ticket says"),
];

const TICKETS: Form<Approval> = Form {
    known: |name| one_of(name, &COLUMNS),
    needed: &["ticket", "approver", "approved"],
    row,
};

/// What the files at `paths` say.
///
/// # Errors
///
/// A file that cannot be read, or every row that cannot be taken.
pub fn approvals(paths: &[impl AsRef<Path>]) -> Result<Vec<Approval>, InventoryError> {
    let (rows, faults) = TICKETS.read(paths)?;
    whole(rows.into_iter().map(|row| row.told).collect(), faults)
}

fn row(cells: &[(String, String)]) -> Result<Approval, String> {
    let needed = |name: &str| cell(cells, name).ok_or_else(|| format!("`{name}` is empty"));
    let maybe = |name: &str| cell(cells, name).map(str::to_owned);
    let moment = |name: &str, text: &str| -> Result<Micros, String> {
        time(text).ok_or_else(|| {
            format!(
                "`{name}` is no day like 2027-01-31 and no time like 2027-01-31T09:00:00Z: {text:?}"
            )
        })
    };
    let optional = |name: &str| cell(cells, name).map(|text| moment(name, text)).transpose();
    let action = cell(cells, "action").map(action).transpose()?;
    let approval = Approval {
        ticket: needed("ticket")?.to_owned(),
        identity: maybe("identity"),
        event_uid: maybe("event_uid"),
        action,
        summary: maybe("summary"),
        approver: needed("approver")?.to_owned(),
        approved_at: moment("approved", needed("approved")?)?,
        from: optional("from")?,
        until: optional("until")?,
    };
    if approval.identity.is_none() && approval.event_uid.is_none() {
        return Err("a ticket names an identity or an event, or it allows everything".to_owned());
    }
    Ok(approval)
}

fn action(text: &str) -> Result<Action, String> {
    let known = Action::ALL.into_iter().find(|one| one.name() == text);
    known.ok_or_else(|| {
        let names = Action::ALL.map(Action::name);
        format!("`action` is none of {}: {text:?}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Approval>, Vec<String>) {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        TICKETS.read_text("file", text, &mut rows, &mut faults);
        (rows.into_iter().map(|row| row.told).collect(), faults)
    }

    #[test]
    fn tickets_say_what_they_allow() {
        let (tickets, faults) = read(
            "ticket,approver,approved,identity,action,until\n\
             CHG-7,ines,2026-11-01,aws:user:AIDA,rotate,2026-11-03\n",
        );
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(tickets[0].action, Some(Action::Rotate));
        assert_eq!(tickets[0].from, None);
        for (row, fault) in [
            ("CHG-7,,2026-11-01,a,,", "file:2: `approver` is empty"),
            (
                "CHG-7,ines,2026-11-01,,,",
                "file:2: a ticket names an identity or an event, or it allows everything",
            ),
            (
                "CHG-7,ines,soon,a,,",
                "file:2: `approved` is no day like 2027-01-31 and no time like 2027-01-31T09:00:00Z: \"soon\"",
            ),
        ] {
            let (_, faults) = read(&format!(
                "ticket,approver,approved,identity,action,until\n{row}\n"
            ));
            assert_eq!(faults, [fault]);
        }
    }
}
