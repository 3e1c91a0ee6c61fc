//! Who did this, with which credential, and should it still be able to?
//!
//! Keytrail reads CloudTrail, Azure activity and Entra logs, attributes every action to one identity, notices machine
//! identities that wake, behave unlike themselves or turn up on a second system, and writes all of it as Delta tables.
//!
//! The modules stand in the order in which an event travels, and import only what stands above them; `tests/tidy.rs`
//! holds the table. Everything down to [`simulate`] is pure: a function of its recorded inputs, without clock, I/O,
//! threads or chance. Below it, behind the feature `shell`, is the world.
//!
//! ```text
//! Kafka, files ─▶ ingest ─▶ decode ─▶ attribute ─▶ correlate ─▶ detect ─▶ evidence ─▶ lake ─▶ query
//!                           └──────────────── engine, one epoch at a time ───────────┘
//! ```
//!
//! Start reading at [`model`] for the words, [`engine`] for the order of things, `pipeline` for how it is driven, and
//! [`docs`] for why it is so.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod model;

pub mod decode;

pub mod attribute;

pub mod correlate;

pub mod detect;

#[cfg(feature = "sigma")]
pub mod rules;

pub mod evidence;

pub mod engine;

pub mod simulate;

#[cfg(feature = "shell")]
pub mod failpoint;

#[cfg(feature = "shell")]
pub mod telemetry;

#[cfg(feature = "shell")]
pub mod enrich;

#[cfg(feature = "shell")]
pub mod config;

#[cfg(feature = "shell")]
pub mod ingest;

#[cfg(feature = "shell")]
pub mod inventory;

#[cfg(feature = "shell")]
pub mod lake;

#[cfg(feature = "shell")]
pub mod live;

#[cfg(feature = "shell")]
pub mod pipeline;

#[cfg(feature = "shell")]
pub mod query;

#[cfg(feature = "shell")]
pub mod report;

#[cfg(feature = "postgres")]
pub mod serve;

#[cfg(feature = "shell")]
pub mod cli;

pub mod docs;
