//! Which reports there are, and of which questions they are made.

use std::collections::BTreeSet;

use crate::query::{QueryError, Question, question};

/// A report.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub name: &'static str,
    pub title: &'static str,
    /// What stands above the first part.
    heading: &'static str,
    /// The question of `queries/` whose answer it is about: the first part.
    question: &'static str,
    /// The columns that name what a row of the first part is about: rows of two reports are compared by them.
    pub(super) key: &'static [&'static str],
    /// The column of the first part whose values are counted at the top.
    pub(super) tally: &'static str,
    /// Titles and questions of the parts that follow. They are asked about the identities of the first.
    further: &'static [(&'static str, &'static str)],
    /// Whether it is about one identity, which must be named.
    pub(super) of_one: bool,
    /// What it takes unless told otherwise, where that is not what its questions do.
    pub(super) values: &'static [(&'static str, &'static str)],
    /// Who reads it, and what for.
    pub purpose: &'static str,
}

/// A report that is the answer to one question.
const ONE: Definition = Definition {
    name: "",
    title: "",
    heading: "Rows",
    question: "",
    key: &["identity_uid"],
    tally: "",
    further: &[],
    of_one: false,
    values: &[],
    purpose: "",
};

/// Every report, alphabetically.
pub const REPORTS: [Definition; 9] = [
    Definition {
        name: "access-review",
        title: "Access review of machine identities",
        question: "access-review",
        tally: "recommendation",
        purpose: "for whoever answers for an identity: should it keep what it may do?",
        ..ONE
    },
    Definition {
        name: "coverage",
        title: "Gaps of the logs",
        question: "coverage-gaps",
        key: &["log_source", "tenant_uid", "silent_from"],
        tally: "log_source",
        purpose: "for auditors: when could nothing have been seen?",
        ..ONE
    },
    Definition {
        name: "dormancy",
        title: "Machine identities that sleep",
        question: "dormancy",
        tally: "dormancy_class",
        purpose: "for identity teams, every week: what can be switched off?",
        ..ONE
    },
    Definition {
        name: "evidence-pack",
        title: "Evidence about a sample of machine identities",
        heading: "Whom it is about",
        question: "evidence-sample",
        tally: "dormancy_class",
        further: &[
            (
                "Changes, and the tickets that allow them",
                "evidence-changes",
            ),
            ("Credentials", "evidence-credentials"),
            ("Use, by month", "evidence-use"),
            (
                "Actions booked on them, drawn among all",
                "evidence-actions",
            ),
            ("Findings, and what was decided", "evidence-findings"),
            ("Decisions about access", "evidence-decisions"),
            ("Logs that could have shown it", "evidence-coverage"),
        ],
        purpose: "for auditors: what is to be tested about 25 identities that a seed draws",
        ..ONE
    },
    Definition {
        name: "identity",
        title: "One identity",
        heading: "Who it is",
        question: "evidence-sample",
        tally: "dormancy_class",
        further: &[
            ("Tickets of its changes", "evidence-changes"),
            ("Changes of it and by it", "lifecycle-of-identity"),
            ("Credentials", "evidence-credentials"),
            ("Use, by month", "evidence-use"),
            ("Operations of late", "operations-used"),
            ("What it reached of late", "blast-radius"),
            ("Findings, and what was decided", "evidence-findings"),
            ("Decisions about access", "evidence-decisions"),
            ("Logs that could have shown it", "evidence-coverage"),
        ],
        of_one: true,
        values: &[("rows", "1000000")],
        purpose: "for whoever asks about one identity: its whole history",
        ..ONE
    },
    Definition {
        name: "lifecycle",
        title: "Changes of machine identities",
        question: "lifecycle",
        key: &[
            "event_uid",
            "action",
            "target_identity_uid",
            "target_credential_uid",
            "detail_json",
        ],
        tally: "action",
        purpose: "for auditors: who created, granted, rotated and removed what?",
        ..ONE
    },
    Definition {
        name: "rotation",
        title: "Rotation of long-lived credentials",
        question: "rotation",
        key: &["credential_uid"],
        tally: "standing",
        purpose: "for identity teams and auditors: which keys are older than the policy allows?",
        ..ONE
    },
    Definition {
        name: "third-party",
        title: "Identities of third parties",
        question: "third-parties",
        tally: "vendor",
        purpose: "for supplier reviews: who outside has access, and does it fit the contract?",
        ..ONE
    },
    Definition {
        name: "unattributed",
        title: "Actions without an author",
        question: "unattributed",
        key: &[
            "provider",
            "log_source",
            "attribution_status",
            "attribution_confidence",
            "actor_type",
            "attribution_reasons",
        ],
        tally: "attribution_status",
        purpose: "for auditors: of what is it not known who did it, and why?",
        ..ONE
    },
];

impl Definition {
    /// The names of the values that it takes.
    ///
    /// # Errors
    ///
    /// A question that does not parse.
    pub fn takes(&self) -> Result<BTreeSet<String>, QueryError> {
        let parts = self.parts()?;
        let params = parts.iter().flat_map(|(_, question)| &question.params);
        Ok(params.map(|param| param.name.clone()).collect())
    }

    /// Heading and question of every part, the first being what the report is about.
    pub(crate) fn parts(&self) -> Result<Vec<(&'static str, Question)>, QueryError> {
        let first = std::iter::once((self.heading, self.question));
        first
            .chain(self.further.iter().copied())
            .map(|(title, name)| Ok((title, question(name)?)))
            .collect()
    }
}

/// The report called `name`.
pub fn report(name: &str) -> Option<Definition> {
    REPORTS.into_iter().find(|report| report.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_has_questions_that_give_what_it_needs() {
        for definition in REPORTS {
            let mut parts = definition.parts().unwrap().into_iter();
            let (_, subject) = parts.next().unwrap();
            for column in definition.key.iter().chain([&definition.tally]) {
                assert!(subject.sql.contains(column), "{} {column}", definition.name);
            }
            for (title, question) in parts {
                let asked = question.params.iter().any(|param| param.name == "identity");
                assert!(asked, "{} {title}", definition.name);
            }
        }
        assert!(REPORTS.is_sorted_by(|one, next| one.name < next.name));
    }
}
