//! How much a policy, role or permission allows, and how much the use of an operation shows.
//!
//! Tiers: 0 nothing known, 1 ordinary, 2 can read secrets, let data out, blind the log or write widely, 3 can give
//! itself or others any permission. Read from what one event says: what several grants allow together is not computed,
//! conditions are not weighed, and denials are not subtracted, so a tier may be too high and seldom too low.

mod operations;

use serde_json::Value;

use operations::OPERATIONS;
pub(crate) use operations::of_operation;

/// A tier and why.
type Tier = (u8, String);

/// Tier of an AWS managed policy or a cluster access policy, by its name (AWS managed policy reference; Amazon EKS user
/// guide, "Access policy permissions"). What a customer's own policy allows does not stand in its ARN.
pub(crate) fn of_policy_arn(arn: &str) -> Tier {
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let cluster = arn.contains(":cluster-access-policy/");
    if !cluster && !arn.contains(":iam::aws:policy/") {
        return (
            1,
            format!("policy {name}, whose content is not in the event"),
        );
    }
    let tier = match name {
        "AdministratorAccess"
        | "IAMFullAccess"
        | "AWSSSOMasterAccountAdministrator"
        | "AmazonEKSClusterAdminPolicy" => 3,
        "PowerUserAccess"
        | "SystemAdministrator"
        | "NetworkAdministrator"
        | "DatabaseAdministrator"
        | "SecretsManagerReadWrite"
        | "AmazonEKSAdminPolicy"
        | "AmazonEKSAdminViewPolicy" => 2,
        _ if name.ends_with("FullAccess") || name.starts_with("AdministratorAccess-") => 2,
        _ => 1,
    };
    (tier, format!("policy {name}"))
}

/// Tier of an IAM policy document: that of its widest statement that allows something. A document that cannot be read
/// allows something all the same.
pub(crate) fn of_policy_document(json: &str) -> Tier {
    let Ok(document) = serde_json::from_str::<Value>(json) else {
        return (1, "policy that cannot be read".to_owned());
    };
    statements(&document)
        .into_iter()
        .map(of_statement)
        .reduce(wider)
        .unwrap_or_else(|| (1, "policy that allows nothing by itself".to_owned()))
}

/// Tier of an Azure role, by its name or the GUID that ends its id (Azure RBAC, "Azure built-in roles").
pub(crate) fn of_role_definition(role: &str) -> Tier {
    let last = role.rsplit('/').next().unwrap_or(role);
    let known = ROLES
        .iter()
        .find(|(guid, name, _)| last.eq_ignore_ascii_case(guid) || last.eq_ignore_ascii_case(name));
    match known {
        Some((_, name, tier)) => (*tier, format!("role {name}")),
        None => (1, format!("role {last}, which is not among the known ones")),
    }
}

const ROLES: [(&str, &str, u8); 16] = [
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", 3),
    (
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        3,
    ),
    (
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "Role Based Access Control Administrator",
        3,
    ),
    ("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", 2),
    (
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        2,
    ),
    (
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        2,
    ),
    (
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        2,
    ),
    (
        "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        "Virtual Machine Contributor",
        2,
    ),
    (
        "17d1049b-9a84-46fb-8f53-869881c3d3ab",
        "Storage Account Contributor",
        2,
    ),
    (
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "Storage Blob Data Owner",
        2,
    ),
    (
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
        "Storage Blob Data Contributor",
        2,
    ),
    (
        "f1a07417-d97a-45cb-824c-7a7467783830",
        "Managed Identity Operator",
        2,
    ),
    (
        "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59",
        "Managed Identity Contributor",
        2,
    ),
    ("fb1c8493-542b-48eb-b624-b4c8fea62acd", "Security Admin", 2),
    (
        "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
        "Storage Blob Data Reader",
        1,
    ),
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", 1),
];

/// Tier of an application permission or delegated scope (Microsoft Graph permissions reference).
pub(crate) fn of_app_role(name: &str) -> Tier {
    const ADMIN: [&str; 11] = [
        "AppRoleAssignment.ReadWrite.All",
        "Application.ReadWrite.All",
        "DelegatedPermissionGrant.ReadWrite.All",
        "Directory.ReadWrite.All",
        "Domain.ReadWrite.All",
        "PrivilegedAccess.ReadWrite.AzureADGroup",
        "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
        "RoleAssignmentSchedule.ReadWrite.Directory",
        "RoleEligibilitySchedule.ReadWrite.Directory",
        "RoleManagement.ReadWrite.Directory",
        "UserAuthenticationMethod.ReadWrite.All",
    ];
    let writes = name.contains(".ReadWrite") || name.contains(".FullControl");
    let tier = if ADMIN.contains(&name) {
        3
    } else if writes || name == "full_access_as_app" || name == "Directory.AccessAsUser.All" {
        2
    } else {
        1
    };
    (tier, format!("permission {name}"))
}

/// Tier of an Entra role, by its name or the GUID of its template (Microsoft Entra, "Built-in roles").
pub(crate) fn of_directory_role(name: &str) -> Tier {
    const ADMIN: [(&str, &str); 5] = [
        (
            "62e90394-69f5-4237-9190-012177145e10",
            "Global Administrator",
        ),
        (
            "e8611ab8-c189-46e8-94e1-60213ab1f814",
            "Privileged Role Administrator",
        ),
        (
            "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
            "Privileged Authentication Administrator",
        ),
        // Both can add credentials to applications that hold more than they do.
        (
            "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
            "Application Administrator",
        ),
        (
            "158c047a-c907-4556-b7ef-446551a6b5f7",
            "Cloud Application Administrator",
        ),
    ];
    let admin = ADMIN.iter().find(|(template, role)| {
        name.eq_ignore_ascii_case(template) || name.eq_ignore_ascii_case(role)
    });
    if let Some((_, role)) = admin {
        return (3, format!("directory role {role}"));
    }
    // What the role is called in older exports and in the directory's own interface.
    if name.eq_ignore_ascii_case("Company Administrator") {
        return (3, "directory role Global Administrator".to_owned());
    }
    let writes = name.to_ascii_lowercase().ends_with("administrator");
    (if writes { 2 } else { 1 }, format!("directory role {name}"))
}

/// The statements of a policy that allow something.
pub(super) fn statements(document: &Value) -> Vec<&Value> {
    let all = match member(document, "Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let allows = |statement: &&Value| {
        let effect = member(statement, "Effect").and_then(Value::as_str);
        effect.is_some_and(|effect| effect.eq_ignore_ascii_case("Allow"))
    };
    all.into_iter().filter(allows).collect()
}

/// The texts of an element that may be one text or a list of them.
pub(super) fn listed(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        Some(one) => one.as_str().into_iter().collect(),
        None => Vec::new(),
    }
}

/// The grammar of policies fixes the case of names, except where an exporter lower-cased the first letter.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?;
    members
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn wider(one: Tier, other: Tier) -> Tier {
    if other.0 > one.0 { other } else { one }
}

fn of_statement(statement: &Value) -> Tier {
    let resources = listed(member(statement, "Resource"));
    let everywhere = member(statement, "NotResource").is_some()
        || resources.iter().any(|resource| wide(resource));
    if member(statement, "NotAction").is_some() {
        let spared = listed(member(statement, "NotAction"));
        let spares_iam = spared.iter().any(|action| matches!(*action, "*" | "iam:*"));
        let tier = if everywhere && !spares_iam { 3 } else { 2 };
        return (tier, format!("allows all but {}", spared.join(", ")));
    }
    listed(member(statement, "Action"))
        .into_iter()
        .map(|action| of_action(action, everywhere))
        .reduce(wider)
        .unwrap_or_else(|| (1, "statement without actions".to_owned()))
}

/// Whether a resource stands for all of its kind: `*`, or every role or user of an account.
fn wide(resource: &str) -> bool {
    resource == "*"
        || [":*", ":role/*", ":user/*"]
            .iter()
            .any(|end| resource.ends_with(end))
}

fn of_action(action: &str, everywhere: bool) -> Tier {
    let place = if everywhere {
        "everywhere"
    } else {
        "on named resources"
    };
    let reason = format!("allows {action} {place}");
    if action == "*" || action == "*:*" {
        return (if everywhere { 3 } else { 2 }, reason);
    }
    let Some((service, pattern)) = action.split_once(':') else {
        return (1, reason);
    };
    let (service, pattern) = (service.to_ascii_lowercase(), pattern.to_ascii_lowercase());
    let matching = OPERATIONS.iter().filter(|(name, of, ..)| {
        *of == service && glob(pattern.as_bytes(), name.to_ascii_lowercase().as_bytes())
    });
    let widest = matching.map(|(_, _, tier, _)| *tier).max().unwrap_or(1);
    let wildcard = pattern.contains(['*', '?']);
    let identities = matches!(service.as_str(), "iam" | "sts");
    // Passing any role, or becoming any role, is worth whatever the strongest role is worth.
    let roles = ["passrole", "assumerole"]
        .iter()
        .any(|name| identities && glob(pattern.as_bytes(), name.as_bytes()));
    let escalates = roles || (widest == 3 && (identities || !wildcard));
    let tier = if escalates && everywhere {
        3
    } else if escalates || widest >= 2 || (wildcard && !reads(&pattern)) {
        2
    } else {
        1
    };
    (tier, reason)
}

/// Whether every operation that the lower-case `pattern` stands for only reads.
fn reads(pattern: &str) -> bool {
    const VERBS: [&str; 8] = [
        "batchget", "describe", "get", "head", "list", "lookup", "query", "search",
    ];
    VERBS.iter().any(|verb| pattern.starts_with(verb))
}

/// Whether `text` is what `pattern` stands for: `*` any bytes, `?` any one (IAM user guide, "Action" element).
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // Where the last star stands and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((star_at, swallowed)) = star else {
                    return false;
                };
                star = Some((star_at, swallowed + 1));
                at = star_at + 1;
                seen = swallowed + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_document(statement: &str, tier: u8) {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
        assert_eq!(of_policy_document(&document).0, tier, "{statement}");
    }

    #[test]
    fn documents_are_as_wide_as_their_widest_statement() {
        check_document(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, 3);
        check_document(
            r#"[{"Effect":"Allow","Action":["s3:GetObject","iam:*"],"Resource":["*"]}]"#,
            3,
        );
        check_document(
            r#"{"Effect":"Allow","Action":"iam:PassRole","Resource":"*"}"#,
            3,
        );
        check_document(
            r#"{"Effect":"Allow","Action":"iam:Put*","Resource":"*"}"#,
            3,
        );
        check_document(
            r#"{"Effect":"Allow","Action":"IAM:createaccesskey","Resource":"*"}"#,
            3,
        );
        check_document(r#"{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}"#, 3);
        check_document(
            r#"{"Effect":"Allow","NotAction":["iam:*"],"Resource":"*"}"#,
            2,
        );
        check_document(
            r#"{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::111122223333:role/one"}"#,
            2,
        );
        check_document(r#"{"Effect":"Allow","Action":"s3:*","Resource":"*"}"#, 2);
        check_document(
            r#"{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*"}"#,
            2,
        );
        check_document(
            r#"{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}"#,
            1,
        );
        check_document(
            r#"{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}"#,
            1,
        );
        check_document(r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#, 1);
        assert_eq!(of_policy_document("{").0, 1);
    }

    #[test]
    fn names_of_roles_and_policies_are_known() {
        assert_eq!(
            of_policy_arn("arn:aws:iam::aws:policy/AdministratorAccess").0,
            3
        );
        assert_eq!(
            of_policy_arn("arn:aws:iam::aws:policy/AmazonS3FullAccess").0,
            2
        );
        assert_eq!(of_policy_arn("arn:aws:iam::aws:policy/ReadOnlyAccess").0, 1);
        // A customer may call a policy what it likes.
        assert_eq!(
            of_policy_arn("arn:aws:iam::111122223333:policy/AdministratorAccess").0,
            1
        );
        let owner = "/providers/Microsoft.Authorization/roleDefinitions/8E3AF657-A8FF-443C-A75C-2FE8C4BCB635";
        assert_eq!(of_role_definition(owner), (3, "role Owner".to_owned()));
        assert_eq!(of_role_definition("contributor").0, 2);
        assert_eq!(of_app_role("RoleManagement.ReadWrite.Directory").0, 3);
        assert_eq!(of_app_role("Sites.ReadWrite.All").0, 2);
        assert_eq!(of_app_role("SMTP.SendAsApp").0, 1);
        assert_eq!(of_directory_role("Global Administrator").0, 3);
        assert_eq!(of_directory_role("Directory Readers").0, 1);
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("put*policy", "putrolepolicy", true),
            ("put*policy", "putrolepolicyx", false),
            ("p?t*", "putx", true),
            ("", "a", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern}"
            );
        }
    }
}
