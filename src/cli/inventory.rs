//! `keytrail inventory import|list|lint`: what people know of identities.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::state::{Said, listed};
use super::{Exit, Global, Lake, Output, block_on, print_sql};
use crate::inventory::{self, APPROVAL_COLUMNS, InventoryError};
use crate::model::{Asset, Micros, Stated};

#[derive(Debug, Args)]
pub(super) struct Inventory {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Take over what files say: CSV with a header, or JSON objects with the same names
    #[command(after_help = columns())]
    Import(Import),
    /// Take over tickets that allowed changes: CSV with a header, or JSON objects with the same names
    #[command(after_help = format!("Columns:\n{}", listed(&APPROVAL_COLUMNS)))]
    Tickets(Import),
    /// Every identity that the inventory knows, with what it says
    List(Asked),
    /// What is wrong with it: identities without an owner, entries for which nobody ever acted, entries that have expired
    Lint(Asked),
}

#[derive(Debug, Args)]
struct Import {
    /// Files to read
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, Args)]
struct Asked {
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

/// The columns of a file, for the help.
fn columns() -> String {
    let columns = listed(&inventory::columns());
    format!("Columns:\n{columns}\nAn empty cell says nothing: what an earlier import said stays.")
}

/// Why files are not taken, with the exit code.
pub(super) fn told(error: InventoryError) -> anyhow::Error {
    let code = match error {
        InventoryError::Io { .. } => 4,
        InventoryError::Faults(_) => 2,
    };
    Exit(code, error.to_string()).into()
}

/// A day or a time.
pub(super) fn time(text: &str) -> Result<Micros, String> {
    inventory::time(text).ok_or_else(|| {
        "a day like 2026-11-01 or a time like 2026-11-01T09:00:00Z is needed".to_owned()
    })
}

/// What `files` say.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Asset>> {
    inventory::read(files).map_err(told)
}

/// Whether an inventory says anything of an identity.
const LISTED: &str = "(coalesce(owner, backup_owner, purpose, criticality, environment, vendor, contract_scope) IS NOT NULL \
    OR expires_time IS NOT NULL OR review_days IS NOT NULL)";

fn list() -> String {
    format!(
        "SELECT identity_uid, display_name, owner, backup_owner, purpose, criticality, environment, vendor, \
         contract_scope, expires_time, review_days, risk_tier, privilege_tier, valid_from FROM identity \
         WHERE {LISTED} ORDER BY identity_uid"
    )
}

/// Machines that can be used, and what their entries lack. A person or a service needs no owner.
fn lint() -> String {
    format!(
        "WITH used AS (SELECT identity_uid, max(last_success_time) AS last_success_time FROM usage GROUP BY 1), \
         told AS (SELECT m.*, u.last_success_time, {LISTED} AS listed FROM machine m \
         LEFT JOIN used u ON u.identity_uid = m.identity_uid) \
         SELECT CASE WHEN expires_time < now() AND last_success_time > expires_time THEN 'used after it expired' \
         WHEN expires_time < now() THEN 'expired' WHEN listed AND last_success_time IS NULL THEN 'never seen to act' \
         WHEN listed AND owner IS NULL THEN 'listed without an owner' ELSE 'not listed' END AS problem, \
         identity_uid, display_name, kind, privilege_tier, owner, expires_time, last_success_time FROM told \
         WHERE owner IS NULL OR expires_time < now() OR (listed AND last_success_time IS NULL) \
         ORDER BY problem, privilege_tier DESC NULLS LAST, identity_uid"
    )
}

impl Inventory {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        match self.what {
            What::Import(import) => {
                let assets = read(&import.files)?;
                let count = format!("{} identities of the inventory", assets.len());
                import.said.state(global, Stated::Inventory(assets), &count)
            }
            What::Tickets(import) => {
                let tickets = inventory::approvals(&import.files).map_err(told)?;
                let count = format!("{} tickets", tickets.len());
                import
                    .said
                    .state(global, Stated::Approvals(tickets), &count)
            }
            What::List(asked) => asked.run(&list()),
            What::Lint(asked) => asked.run(&lint()),
        }
    }
}

impl Asked {
    fn run(self, sql: &str) -> Result<()> {
        block_on(print_sql(&self.lake.data, sql, self.output.format()))
    }
}
