//! Operations that give, take or show privilege, by group: A.8 for AWS, B.5 for Azure and Entra. The list is data, and
//! says what its groups are: `operations.tsv`.

use std::sync::LazyLock;

/// Tier that the successful use of an operation shows, and the group of operations it belongs to (A.8, B.5).
pub(crate) fn of_operation(service: &str, operation: &str) -> Option<(u8, &'static str)> {
    let service = service.strip_suffix(".amazonaws.com").unwrap_or(service);
    let first = OPERATIONS.partition_point(|(known, ..)| *known < operation);
    OPERATIONS[first..]
        .iter()
        .take_while(|(known, ..)| *known == operation)
        .find(|(_, of, ..)| of.is_empty() || *of == service)
        .map(|(_, _, tier, group)| (*tier, *group))
}

/// Operation, service (empty: the name is the service's own), tier, group.
type Row = (&'static str, &'static str, u8, &'static str);

/// The rows of `operations.tsv`, which names the document behind each.
pub(super) static OPERATIONS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let lines = include_str!("operations.tsv").lines();
    let rows = lines.filter(|line| !line.starts_with('#'));
    rows.map(|line| row(line).unwrap_or_else(|| unreachable!("{line:?} is no row")))
        .collect()
});

fn row(line: &'static str) -> Option<Row> {
    let mut cells = line.split('\t');
    let (operation, service) = (cells.next()?, cells.next()?);
    let tier = cells.next()?.parse().ok()?;
    Some((operation, service, tier, cells.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        let pair = |row: &Row| (row.0, row.1);
        assert!(OPERATIONS.is_sorted_by(|one, next| pair(one) < pair(next)));
    }

    #[test]
    fn every_row_has_a_tier_a_group_and_a_source() {
        let groups = ["PE-self", "PE-cred", "PE-pass", "SEC-read", "EXF", "DEF"];
        for line in include_str!("operations.tsv").lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            if line.starts_with('#') {
                continue;
            }
            assert_eq!(cells.len(), 5, "{line}");
            assert!(["1", "2", "3"].contains(&cells[2]), "{line}");
            assert!(groups.contains(&cells[3]), "{line}");
            assert!(cells[4].len() > 10, "{line}");
        }
        assert!(OPERATIONS.len() > 100);
    }

    #[test]
    fn operations_are_found_by_service_and_name() {
        for (service, operation, expected) in [
            (
                "iam.amazonaws.com",
                "AttachRolePolicy",
                Some((3, "PE-self")),
            ),
            (
                "ecr.amazonaws.com",
                "GetAuthorizationToken",
                Some((2, "SEC-read")),
            ),
            (
                "codeartifact.amazonaws.com",
                "GetAuthorizationToken",
                Some((2, "SEC-read")),
            ),
            ("s3.amazonaws.com", "GetAuthorizationToken", None),
            ("cloudfront.amazonaws.com", "CreateFunction", None),
            ("s3.amazonaws.com", "GetObject", None),
            (
                "microsoft.authorization",
                "microsoft.authorization/roleassignments/write",
                Some((3, "PE-self")),
            ),
            ("core directory", "add member to role", Some((3, "PE-self"))),
        ] {
            assert_eq!(
                of_operation(service, operation),
                expected,
                "{service} {operation}"
            );
        }
    }
}
