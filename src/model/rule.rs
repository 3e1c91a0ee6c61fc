//! What one record says to a rule that users bring.

use serde::{Deserialize, Serialize};

use super::Uid;

/// A rule that a record satisfies, or may satisfy: some of what a rule asks is known only when the event's turn comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// The rule's id and the beginning of its text's hash: a rule that was changed is another rule.
    pub rule: Uid,
    /// Bit `n` says whether the rule matches when the answers to its questions are the bits of `n`. A rule without
    /// questions has the first bit alone.
    pub truth: u16,
    /// What the record has in fields that the rule names: each with its number in the rule.
    pub seen: Vec<(u16, String)>,
}
