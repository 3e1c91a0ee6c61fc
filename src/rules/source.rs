//! Which of our logs a rule's `logsource` means, and which fields each has.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rsigma_parser::LogSource as Wanted;

use crate::model::LogSource;

/// Fields of each log: its members, or the first part of their paths.
static FIELDS: LazyLock<BTreeSet<(&'static str, &'static str)>> = LazyLock::new(|| {
    let rows = include_str!("fields.tsv").lines();
    rows.filter(|row| !row.starts_with('#'))
        .filter_map(|row| row.split_once('\t'))
        .flat_map(|(source, fields)| fields.split(' ').map(move |field| (source, field)))
        .collect()
});

const AZURE: [LogSource; 5] = [
    LogSource::AzureActivity,
    LogSource::EntraAudit,
    LogSource::EntraSignin,
    LogSource::GraphActivity,
    LogSource::KeyVault,
];

/// The logs that `wanted` means, by the names that Sigma's taxonomy gives them ("Log Sources": AWS and Azure). The two
/// that it does not name are called as Azure calls their category.
pub(super) fn meant(wanted: &Wanted) -> Result<Vec<LogSource>, String> {
    let product = wanted.product.as_deref().unwrap_or_default();
    let service = wanted.service.as_deref();
    if let Some(category) = &wanted.category {
        return Err(format!("category {category:?} is of no log that is read"));
    }
    match (product, service) {
        ("aws", None | Some("cloudtrail")) => Ok(vec![LogSource::CloudTrail]),
        ("azure", None) => Ok(AZURE.to_vec()),
        ("azure", Some("activitylogs" | "azureactivity")) => Ok(vec![LogSource::AzureActivity]),
        ("azure", Some("auditlogs")) => Ok(vec![LogSource::EntraAudit]),
        ("azure", Some("signinlogs")) => Ok(vec![LogSource::EntraSignin]),
        ("azure", Some("microsoftgraphactivitylogs")) => Ok(vec![LogSource::GraphActivity]),
        ("azure", Some("auditevent" | "keyvault")) => Ok(vec![LogSource::KeyVault]),
        ("aws" | "azure", Some(service)) => {
            Err(format!("service {service:?} of {product} is not read"))
        }
        ("", _) => Err("it names no product".to_owned()),
        (product, _) => Err(format!("another product: {product}")),
    }
}

/// Whether records of `source` can have `path`.
pub(super) fn has(source: LogSource, path: &str) -> bool {
    let first = path.split(['.', '[']).next().unwrap_or_default();
    let known = |name: &str| FIELDS.contains(&(source.name(), name));
    known(first) || column(source, path).is_some_and(|name| known(&name))
}

/// Where else a record of Azure may have what `path` names: in `properties`, under the name of a column, or under what a
/// table or public rules call it.
pub(super) fn elsewhere(source: LogSource, path: &str) -> Vec<String> {
    let mut paths = vec![format!("properties.{path}")];
    if let Some(column) = column(source, path) {
        paths.push(format!("properties.{column}"));
        paths.push(column);
    }
    // Azure Monitor Logs table reference: AzureActivity, AuditLogs, SigninLogs. `properties.message` is what the schema of
    // Elastic's integration calls the activity of the audit log, and many public rules with it.
    paths.extend(
        match (source, path) {
            (LogSource::AzureActivity, "OperationNameValue")
            | (LogSource::AzureActivity | LogSource::EntraAudit, "properties.message") => {
                Some("operationName")
            }
            (LogSource::AzureActivity, "CategoryValue") => Some("category"),
            (LogSource::AzureActivity, "ActivityStatusValue" | "ActivityStatus") => {
                Some("resultType")
            }
            (_, "_ResourceId") => Some("resourceId"),
            (_, "TimeGenerated") => Some("time"),
            (_, "AADTenantId" | "AadTenantId") => Some("tenantId"),
            _ => None,
        }
        .map(str::to_owned),
    );
    paths
}

/// Log Analytics begins the names of its columns with a capital and lifts what is in `properties` to their side
/// (Azure Monitor Logs table reference); rules are often written in those names. Where the record has the member itself.
fn column(source: LogSource, path: &str) -> Option<String> {
    let first = path.chars().next()?;
    let capital = source != LogSource::CloudTrail && first.is_ascii_uppercase();
    capital.then(|| format!("{}{}", first.to_ascii_lowercase(), &path[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(product: Option<&str>, service: Option<&str>) -> Wanted {
        Wanted {
            product: product.map(str::to_owned),
            service: service.map(str::to_owned),
            ..Wanted::default()
        }
    }

    #[test]
    fn log_sources_are_those_of_the_taxonomy() {
        let of = |product, service| meant(&wanted(product, service));
        assert_eq!(
            of(Some("aws"), Some("cloudtrail")),
            Ok(vec![LogSource::CloudTrail])
        );
        assert_eq!(
            of(Some("azure"), Some("signinlogs")),
            Ok(vec![LogSource::EntraSignin])
        );
        assert_eq!(of(Some("azure"), None).map(|all| all.len()), Ok(5));
        assert!(of(Some("azure"), Some("riskdetection")).is_err());
        assert!(of(Some("windows"), None).is_err());
        assert!(of(None, Some("cloudtrail")).is_err());
    }

    #[test]
    fn fields_are_known_by_their_first_part_and_as_columns() {
        assert!(has(
            LogSource::CloudTrail,
            "requestParameters.ipPermissions.items"
        ));
        assert!(!has(LogSource::CloudTrail, "CommandLine"));
        assert!(has(LogSource::EntraAudit, "OperationName"));
        assert!(has(LogSource::EntraSignin, "AppDisplayName"));
        assert!(!has(LogSource::CloudTrail, "EventName"));
    }

    #[test]
    fn every_row_names_a_log() {
        let sources: BTreeSet<_> = FIELDS.iter().map(|(source, _)| *source).collect();
        let mut known: Vec<_> = AZURE.iter().map(|source| source.name()).collect();
        known.push(LogSource::CloudTrail.name());
        known.sort_unstable();
        assert_eq!(sources.into_iter().collect::<Vec<_>>(), known);
    }
}
