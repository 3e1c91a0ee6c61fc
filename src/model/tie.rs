//! What an event ties its caller to besides the chain of its answer: parties outside, and workloads that it made do
//! something. No chain crosses such a tie.

use serde::{Deserialize, Serialize};

use super::{Reason, Target};

/// What ties two identities or systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LinkKind {
    /// One made the other.
    Created,
    /// Whoever is the one obtains sessions of the other, or can prove to it who it is.
    FederatesTo,
    /// One could make the other act, or act as it. That it did is not said.
    Influences,
    /// One workload in two clouds.
    SameWorkload,
}

impl LinkKind {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::FederatesTo => "federates_to",
            Self::Influences => "influences",
            Self::SameWorkload => "same_workload",
        }
    }
}

/// A tie from whoever acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    pub kind: LinkKind,
    pub to: Target,
    /// The rule by which the two are tied.
    pub rule: Reason,
}
