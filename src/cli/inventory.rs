//! `keytrail inventory import|list|lint`: what people know of identities.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::state::{state, statement};
use super::{Exit, Global, Lake, Output, block_on, print_sql};
use crate::inventory::{self, FIELDS, InventoryError};
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
    /// Since when it holds, a day or a time; now unless given
    #[arg(long, value_name = "TIME", value_parser = time)]
    as_of: Option<Micros>,
    /// Who says so; the user that runs this program unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    lake: Lake,
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
    let mut text = "Columns:\n  identity        canonical id, ARN, or id of an application or service principal\n"
        .to_owned();
    for field in FIELDS {
        text += &format!("  {:<15} {}\n", field.name, field.meaning);
    }
    text + "\nAn empty cell says nothing: what an earlier import said stays."
}

/// A day or a time.
pub(super) fn time(text: &str) -> Result<Micros, String> {
    inventory::time(text).ok_or_else(|| {
        "a day like 2026-11-01 or a time like 2026-11-01T09:00:00Z is needed".to_owned()
    })
}

/// What `files` say.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Asset>> {
    inventory::read(files).map_err(|error| match error {
        InventoryError::Io { .. } => Exit(4, error.to_string()).into(),
        InventoryError::Faults(_) => Exit(2, error.to_string()).into(),
    })
}

const LIST: &str = "SELECT identity_uid, display_name, owner, backup_owner, purpose, criticality, environment, vendor, \
    contract_scope, expires_time, review_days, risk_tier, privilege_tier, valid_from FROM identity \
    WHERE coalesce(owner, backup_owner, purpose, criticality, environment, vendor, contract_scope) IS NOT NULL \
    OR expires_time IS NOT NULL OR review_days IS NOT NULL ORDER BY identity_uid";

/// Machines that can be used, and what their entries lack. A person or a service needs no owner.
const LINT: &str = "WITH machine AS (SELECT i.*, u.last_success_time FROM identity i \
    LEFT JOIN (SELECT identity_uid, max(last_success_time) AS last_success_time FROM usage GROUP BY 1) u \
    ON u.identity_uid = i.identity_uid WHERE i.status = 'active' AND i.merged_into_uid IS NULL AND i.kind IN ('agent', \
    'ec2_instance_identity', 'iam_role', 'iam_user', 'managed_identity', 'oidc_ci', 'oidc_workload', 'service_principal', \
    'service_role', 'workload_role')), \
    told AS (SELECT *, coalesce(owner, backup_owner, purpose, criticality, environment, vendor, contract_scope) IS NOT NULL \
    OR expires_time IS NOT NULL OR review_days IS NOT NULL AS listed FROM machine) \
    SELECT CASE WHEN expires_time < now() AND last_success_time > expires_time THEN 'used after it expired' \
    WHEN expires_time < now() THEN 'expired' WHEN listed AND last_success_time IS NULL THEN 'never seen to act' \
    WHEN listed AND owner IS NULL THEN 'listed without an owner' ELSE 'not listed' END AS problem, \
    identity_uid, display_name, kind, privilege_tier, owner, expires_time, last_success_time FROM told \
    WHERE owner IS NULL OR expires_time < now() OR (listed AND last_success_time IS NULL) \
    ORDER BY problem, privilege_tier DESC NULLS LAST, identity_uid";

impl Inventory {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        match self.what {
            What::Import(import) => import.run(global),
            What::List(asked) => asked.run(LIST),
            What::Lint(asked) => asked.run(LINT),
        }
    }
}

impl Import {
    fn run(self, global: &Global) -> Result<()> {
        let assets = read(&self.files)?;
        let count = assets.len();
        let statement = statement(Stated::Inventory(assets), self.as_of, self.by);
        if state(global, &self.lake.data, &statement)? {
            global.say(format_args!("{count} identities of the inventory"));
        }
        Ok(())
    }
}

impl Asked {
    fn run(self, sql: &str) -> Result<()> {
        block_on(print_sql(&self.lake.data, sql, self.output.format()))
    }
}
