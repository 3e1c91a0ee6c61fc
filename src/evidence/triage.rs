//! `triage`: what people decided about findings.

use super::column::{Date, Int, Optional, Required, Text, TextList, Time};
use super::table::table;

table! {
    /// One decision of one person about one finding; the last one of a finding counts.
    Triages, TriageRow, "triage", partition_by: [],
    {
        /// Names the statement that said so.
        statement_uid: Required<Text>,
        /// When it was decided.
        decided_time: Required<Time>,
        /// The finding.
        finding_uid: Required<Text>,
        /// The revision that was decided about.
        revision: Required<Int>,
        /// The detector that made the finding.
        detector: Required<Text>,
        /// The identity that the finding is about.
        identity_uid: Required<Text>,
        /// `true_positive`, `benign`, `false_positive`, `in_progress` or `reopened`.
        decision: Required<Text>,
        /// Why.
        reason: Required<Text>,
        /// By whom, as the command was told or the system names its user: said, not proven.
        author: Required<Text>,
        /// What the finding is about, as its row says.
        about: Optional<Text>,
        /// What the finding had seen, as `dimension=value`.
        observed: Required<TextList>,
        /// Those of them that became normal for the identity by this decision.
        joined: Required<TextList>,
        /// The first day on which others like it are told again; null if they are told all the time.
        suppress_until: Optional<Date>,
    }
}
