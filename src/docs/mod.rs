//! The documents that belong to the code: read here by rustdoc, so that their links are checked with it.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("decisions.md")]
pub mod decisions {}

#[doc = include_str!("detectors.md")]
pub mod detectors {}

#[doc = include_str!("faults.md")]
pub mod faults {}

#[doc = include_str!("invariants.md")]
pub mod invariants {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("quality.md")]
pub mod quality {}

#[doc = include_str!("rules.md")]
pub mod rules {}

#[doc = include_str!("style.md")]
pub mod style {}

#[doc = include_str!("changes.md")]
pub mod changes {}
