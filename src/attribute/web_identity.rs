//! Subjects of OpenID Connect and SAML: who outside AWS or Entra proves itself with a token (attribution C.1).
//!
//! Subjects have the forms that their issuers document: GitHub "About security hardening with OpenID Connect", EKS
//! "IAM roles for service accounts", Google Cloud "Federate with AWS". Which of them are people is the issuer's nature.

use super::draft::Draft;
use super::names::Names;
use crate::model::{ActorType, Confidence, IdentityKind};

const GITHUB: &str = "token.actions.githubusercontent.com";

/// How the issuers end that AWS gives its accounts for tokens to parties outside, each after a GUID. Seen in the
/// configuration of receivers; AWS documents only that the issuer is the account's own.
const AWS_ACCOUNTS: &str = ".tokens.sts.global.api.aws";

/// The draft of a subject that `issuer` vouches for. `issuer` has no scheme.
pub(super) fn subject(
    issuer: &str,
    subject: &str,
    audience: Option<&str>,
    names: &mut Names,
) -> Draft {
    // the subject of an Entra token is the object id of the service principal itself.
    if let Some(tenant) = entra_tenant(issuer) {
        let (tenant, object) = (tenant.to_ascii_lowercase(), subject.to_ascii_lowercase());
        let uid = names.join(&["entra:sp:", &tenant, "/", &object]);
        return Draft::direct(uid, IdentityKind::ServicePrincipal, ActorType::Nhi)
            .because(&["X-2", "HM-6"]);
    }
    if let Some(repository) = github_repository_id(issuer, subject) {
        let uid = names.join(&["oidc:", GITHUB, "|repo-id:", repository]);
        return Draft::direct(uid, IdentityKind::OidcCi, ActorType::Nhi).because(&["C-1", "HM-6"]);
    }
    let uid = names.join(&["oidc:", issuer, "|", subject]);
    let (kind, actor) = kind(issuer, subject, audience);
    let mut draft = Draft::direct(uid, kind, actor);
    if kind == IdentityKind::EndUser {
        draft.word.confidence = Confidence::Strong;
        return draft.because(&["HM-7"]);
    }
    draft.because(&["HM-6"])
}

/// whether `issuer` vouches for the roles and users of one AWS account.
pub(super) fn of_aws(issuer: &str) -> bool {
    issuer.trim_end_matches('/').ends_with(AWS_ACCOUNTS)
}

/// The issuer's class: build services, clusters, other clouds, people.
fn kind(issuer: &str, subject: &str, audience: Option<&str>) -> (IdentityKind, ActorType) {
    let build = issuer == GITHUB
        || issuer == "gitlab.com"
        || issuer == "agent.buildkite.com"
        || issuer == "app.terraform.io"
        || issuer.starts_with("oidc.circleci.com/org/")
        || issuer.starts_with("api.bitbucket.org/2.0/workspaces/")
        || subject.starts_with("project_path:");
    if build {
        return (IdentityKind::OidcCi, ActorType::Nhi);
    }
    if issuer.starts_with("oidc.eks.") || subject.starts_with("system:serviceaccount:") {
        return (IdentityKind::K8sServiceAccount, ActorType::Nhi);
    }
    match issuer {
        // Google's field for the audience holds the client's id, which for a service account is the subject itself.
        "accounts.google.com" if audience == Some(subject) && numeric(subject) => {
            (IdentityKind::GcpServiceAccount, ActorType::Nhi)
        }
        "accounts.google.com"
        | "cognito-identity.amazonaws.com"
        | "graph.facebook.com"
        | "www.amazon.com" => (IdentityKind::EndUser, ActorType::External),
        _ => (IdentityKind::OidcWorkload, ActorType::Nhi),
    }
}

fn numeric(text: &str) -> bool {
    text.len() == 21 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The repository's id in a subject of the immutable form `repo:OWNER@1/NAME@2:…`. Names can be given to others.
fn github_repository_id<'a>(issuer: &str, subject: &'a str) -> Option<&'a str> {
    if issuer != GITHUB {
        return None;
    }
    let (owner, rest) = subject.strip_prefix("repo:")?.split_once('/')?;
    let (_, owner_id) = owner.split_once('@')?;
    let (repository, _) = rest.split_once(':')?;
    let (_, id) = repository.split_once('@')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(owner_id) && digits(id)).then_some(id)
}

/// The tenant of an Entra issuer, v1 (`sts.windows.net/<tenant>/`) or v2 (`login.microsoftonline.com/<tenant>/v2.0`).
fn entra_tenant(issuer: &str) -> Option<&str> {
    let rest = issuer
        .strip_prefix("sts.windows.net/")
        .or_else(|| issuer.strip_prefix("login.microsoftonline.com/"))?;
    rest.split('/').next().filter(|tenant| !tenant.is_empty())
}

/// The issuer in a provider's ARN or URL, without scheme; a trailing slash is part of it.
pub(super) fn issuer_of(provider: &str) -> &str {
    let issuer = provider
        .split_once("oidc-provider/")
        .map_or(provider, |(_, issuer)| issuer);
    issuer.strip_prefix("https://").unwrap_or(issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_of_aws_accounts_are_known_by_their_end() {
        //
        let id = "5e1b6a0c-0000-4000-8000-000000000000";
        assert!(of_aws(&format!("{id}.tokens.sts.global.api.aws")));
        assert!(of_aws(&format!("{id}.tokens.sts.global.api.aws/")));
        assert!(!of_aws("tokens.sts.global.api.aws.example.org"));
        assert!(!of_aws(GITHUB));
    }

    #[test]
    fn subjects_become_what_their_issuer_means() {
        let check = |issuer: &str, text: &str, audience: &str, uid: &str, kind: IdentityKind| {
            let draft = subject(issuer, text, Some(audience), &mut Names::default());
            assert_eq!(&*draft.word.identity_uid, uid);
            assert_eq!(draft.word.identity_kind, kind, "{uid}");
        };
        check(
            GITHUB,
            "repo:o/r:ref:refs/heads/main",
            "sts.amazonaws.com",
            "oidc:token.actions.githubusercontent.com|repo:o/r:ref:refs/heads/main",
            IdentityKind::OidcCi,
        );
        // V-43: owner and repository by number, so a new owner of the name is another identity.
        check(
            GITHUB,
            "repo:o@123/r@456:ref:refs/heads/main",
            "sts.amazonaws.com",
            "oidc:token.actions.githubusercontent.com|repo-id:456",
            IdentityKind::OidcCi,
        );
        check(
            "sts.windows.net/0A1B/",
            "C2D3",
            "api://x",
            "entra:sp:0a1b/c2d3",
            IdentityKind::ServicePrincipal,
        );
        check(
            "oidc.eks.us-east-1.amazonaws.com/id/AB",
            "system:serviceaccount:prod:api",
            "sts.amazonaws.com",
            "oidc:oidc.eks.us-east-1.amazonaws.com/id/AB|system:serviceaccount:prod:api",
            IdentityKind::K8sServiceAccount,
        );
        let account = "104029292292292292292";
        check(
            "accounts.google.com",
            account,
            account,
            "oidc:accounts.google.com|104029292292292292292",
            IdentityKind::GcpServiceAccount,
        );
        check(
            "accounts.google.com",
            account,
            "app.apps.googleusercontent.com",
            "oidc:accounts.google.com|104029292292292292292",
            IdentityKind::EndUser,
        );
    }
}
