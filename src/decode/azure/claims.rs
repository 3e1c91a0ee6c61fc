//! Claims of a token and the decision who the caller is: a user, an application, a managed identity or Microsoft.
//!
//! Claim names and their meaning: Microsoft identity platform, "Access token claims reference" and "Optional claims
//! reference". `authorization.evidence` names the role assignment that allowed a call, not the caller (AZ-18), so it
//! never names anybody here. Whether the caller is known or owned is not decided here; see `attribute::azure`.

use std::borrow::Cow;

use super::{guid, is, is_guid, lower, token};
use crate::decode::json::Members;
use crate::model::{AzurePrincipal, AzureSubject, CredentialKind};

/// Tenants in which Microsoft registers its own applications (AZ-13).
const MICROSOFT_TENANTS: [&str; 2] = [
    "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
    "72f988bf-86f1-41af-91ab-2d7cd011db47",
];

/// The claims that say who a caller is, from a claims object or from flattened columns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims<'a> {
    pub(crate) object_id: Option<Cow<'a, str>>,
    pub(crate) tenant_id: Option<Cow<'a, str>>,
    pub(crate) app_id: Option<Cow<'a, str>>,
    /// `app` or `user`. An optional claim: absence says nothing.
    pub(crate) id_type: Option<Cow<'a, str>>,
    /// Only delegated tokens have scopes.
    pub(crate) scope: Option<Cow<'a, str>>,
    /// User principal name, else the display name: tokens of applications have neither.
    pub(crate) user_name: Option<Cow<'a, str>>,
    pub(crate) email: Option<Cow<'a, str>>,
    pub(crate) identity_resource: Option<Cow<'a, str>>,
    pub(crate) workload_resource: Option<Cow<'a, str>>,
    pub(crate) token: Option<Cow<'a, str>>,
    /// `0` public client, `1` secret, `2` certificate, federated credential or managed identity.
    pub(crate) client_auth: Option<Cow<'a, str>>,
    /// Sets of integers separated by spaces: what the actor, the subject and their relation are.
    pub(crate) actor_facets: Option<Cow<'a, str>>,
    pub(crate) subject_facets: Option<Cow<'a, str>>,
    pub(crate) relations: Option<Cow<'a, str>>,
}

impl<'a> Claims<'a> {
    /// Reads claims under their short and their URI names; both occur, often in one object.
    pub(crate) fn read(claims: &Members<'a>) -> Self {
        let tenant_id = claims
            .first_text(&[
                "http://schemas.microsoft.com/identity/claims/tenantid",
                "tid",
            ])
            .or_else(|| claims.text("iss").and_then(|issuer| tenant_of(&issuer)));
        Self {
            object_id: claims.first_text(&[
                "http://schemas.microsoft.com/identity/claims/objectidentifier",
                "oid",
            ]),
            tenant_id,
            app_id: claims.first_text(&["appid", "azp"]),
            id_type: claims.text("idtyp"),
            scope: claims
                .first_text(&["http://schemas.microsoft.com/identity/claims/scope", "scp"]),
            user_name: claims.first_text(&[
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
                "upn",
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
                "unique_name",
                "preferred_username",
                "name",
            ]),
            email: claims.first_text(&[
                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
                "email",
            ]),
            identity_resource: claims.text("xms_mirid"),
            workload_resource: claims.text("xms_az_rid"),
            token: claims.text("uti"),
            client_auth: claims.first_text(&["appidacr", "azpacr"]),
            actor_facets: claims.text("xms_act_fct"),
            subject_facets: claims.text("xms_sub_fct"),
            relations: claims.text("xms_idrel"),
        }
    }

    fn delegated(&self) -> bool {
        self.scope.is_some() || self.user_name.is_some() || self.typed("user")
    }

    fn typed(&self, name: &str) -> bool {
        is(self.id_type.as_deref(), &[name])
    }
}

/// `https://sts.windows.net/<tenant>/` → the tenant.
fn tenant_of<'a>(issuer: &str) -> Option<Cow<'a, str>> {
    let tenant = issuer.split('/').find(|part| is_guid(part))?;
    Some(Cow::Owned(tenant.to_ascii_lowercase()))
}

/// Who the caller is: the first of AZ-10 to AZ-17 that fits.
pub(crate) fn decide<'a>(
    claims: Claims<'a>,
    caller: Option<Cow<'a, str>>,
    evidence: &Members<'_>,
) -> AzurePrincipal<'a> {
    let subject_is = |facet: &str| holds(claims.subject_facets.as_deref(), facet);
    let actor_is = |facet: &str| holds(claims.actor_facets.as_deref(), facet);
    // 11 is an agent identity, 13 the user account of an agent: both are machines, whatever `idtyp` says.
    let agent_itself = subject_is("11") || subject_is("13");
    let agent_for_user = !agent_itself && (actor_is("11") || actor_is("13"));
    let related = |relation: &str| holds(claims.relations.as_deref(), relation);
    let (subject, inferred) = if subject_is("13") {
        (AzureSubject::AgentUser, false)
    } else if agent_itself || agent_for_user {
        (AzureSubject::Agent, false)
    } else if claims.identity_resource.is_some() || related("33") {
        (AzureSubject::ManagedIdentity, false)
    } else if claims.typed("app") || related("7") {
        (AzureSubject::ServicePrincipal, false)
    } else if claims.delegated() {
        (AzureSubject::User, false)
    } else if claims.object_id.is_some() && claims.app_id.is_some() {
        (AzureSubject::ServicePrincipal, true)
    } else {
        return without_claims(claims, caller);
    };
    let mut principal = AzurePrincipal {
        subject,
        inferred,
        credential_kind: credential_kind(subject, claims.client_auth.as_deref()),
        tenant_id: claims.tenant_id.map(guid),
        object_id: claims.object_id.map(guid),
        app_id: claims.app_id.map(guid),
        name: claims
            .user_name
            .or_else(|| caller.filter(|caller| caller.contains('@'))),
        managed_identity_resource: claims.identity_resource.map(lower),
        workload_resource: claims.workload_resource.map(lower),
        token_id: token(claims.token),
        ..AzurePrincipal::default()
    };
    if agent_for_user {
        principal.on_behalf_of = principal.object_id.take();
    }
    if subject == AzureSubject::ServicePrincipal && built_in(&principal, evidence) {
        principal.subject = AzureSubject::Service;
        principal.inferred = true;
    }
    principal
}

/// AZ-15 to AZ-17: no claim says what the caller is, so the form of its name has to.
fn without_claims<'a>(claims: Claims<'a>, caller: Option<Cow<'a, str>>) -> AzurePrincipal<'a> {
    let name = caller.or(claims.email);
    let subject = match name.as_deref() {
        Some(name) if name.contains('@') => AzureSubject::User,
        Some(name) if starts_with(name, "microsoft.") => AzureSubject::Service,
        Some(_) => AzureSubject::Unknown,
        None if claims.object_id.is_some() || claims.app_id.is_some() => AzureSubject::Unknown,
        None => AzureSubject::Service,
    };
    let (object_id, name) = match name {
        Some(name) if is_guid(&name) => (Some(lower(name)), None),
        name => (None, name),
    };
    AzurePrincipal {
        subject,
        inferred: true,
        tenant_id: claims.tenant_id.map(guid),
        object_id: claims.object_id.map(guid).or(object_id),
        app_id: claims.app_id.map(guid),
        name,
        token_id: token(claims.token),
        ..AzurePrincipal::default()
    }
}

/// AZ-13: Microsoft's services act through built-in roles that are assigned to themselves.
fn built_in(principal: &AzurePrincipal<'_>, evidence: &Members<'_>) -> bool {
    let role = evidence.text("role").unwrap_or_default();
    let own = evidence.text("principalId").map(guid) == principal.object_id;
    own && principal.object_id.is_some()
        && (role.ends_with("Service Role") || role.ends_with("BuiltIn Role"))
}

/// Whether an application registered in `tenant` is Microsoft's own.
pub(crate) fn microsoft_owned(tenant: Option<&str>) -> bool {
    is(tenant, &MICROSOFT_TENANTS)
}

/// What `appidacr` proves. 2 does not tell a certificate from a federated credential, so it proves nothing.
pub(crate) fn credential_kind(
    subject: AzureSubject,
    client_auth: Option<&str>,
) -> Option<CredentialKind> {
    match (subject, client_auth) {
        (AzureSubject::ManagedIdentity, _) => Some(CredentialKind::ManagedIdentity),
        (AzureSubject::ServicePrincipal, Some("1")) => Some(CredentialKind::SpSecret),
        _ => None,
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

fn holds(set: Option<&str>, item: &str) -> bool {
    set.is_some_and(|set| set.split_whitespace().any(|held| held == item))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
    const OBJECT: &str = "22222222-aaaa-4bbb-8ccc-000000000002";

    /// Decides over `claims`, in which `APP` and `OBJECT` stand for ids, and `caller`.
    fn check(claims: &str, caller: &str, subject: AzureSubject, inferred: bool) {
        let text = claims.replace("APP", APP).replace("OBJECT", OBJECT);
        let claims = Claims::read(&Members::parse(&text).unwrap());
        let caller = (!caller.is_empty()).then_some(Cow::Borrowed(caller));
        let principal = decide(claims, caller, &Members::default());
        assert_eq!(principal.subject, subject, "{text}");
        assert_eq!(principal.inferred, inferred, "{text}");
    }

    #[test]
    fn the_first_rule_that_fits_names_the_subject() {
        use AzureSubject::{ManagedIdentity, Service, ServicePrincipal, Unknown, User};
        let ids = r#""oid":"OBJECT","appid":"APP""#;
        let with = |more: &str| format!("{{{ids}{more}}}");
        let mirid = r#","idtyp":"app","xms_mirid":"/subscriptions/s/providers/Microsoft.Compute/virtualMachines/m""#;
        let upn = r#","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"a@b.example""#;
        check(&with(mirid), "", ManagedIdentity, false);
        check(&with(r#","xms_idrel":"1 33""#), "", ManagedIdentity, false);
        check(&with(r#","idtyp":"app""#), "", ServicePrincipal, false);
        check(&with(r#","xms_idrel":"7""#), "", ServicePrincipal, false);
        check(&with(""), OBJECT, ServicePrincipal, true);
        check(&with(r#","idtyp":"user""#), "", User, false);
        check(&with(r#","scp":"user_impersonation""#), "", User, false);
        check(&with(upn), "", User, false);
        check(r#"{"aud":"x","ver":"1.0"}"#, "a@b.example", User, true);
        check("{}", OBJECT, Unknown, true);
        check(r#"{"appid":"APP"}"#, "", Unknown, true);
        check("{}", "Microsoft.Advisor", Service, true);
        check("{}", "", Service, true);
    }

    #[test]
    fn an_agent_that_acts_for_a_user_is_its_application_and_names_the_user() {
        let text = format!(
            r#"{{"oid":"{OBJECT}","azp":"{APP}","idtyp":"user","scp":"User.Read","xms_act_fct":"3 9 11"}}"#
        );
        let claims = Claims::read(&Members::parse(&text).unwrap());
        let principal = decide(claims, None, &Members::default());
        assert_eq!(principal.subject, AzureSubject::Agent);
        assert_eq!(principal.object_id, None);
        assert_eq!(principal.app_id.as_deref(), Some(APP));
        assert_eq!(principal.on_behalf_of.as_deref(), Some(OBJECT));
    }

    #[test]
    fn the_user_account_of_an_agent_is_a_machine() {
        check(
            r#"{"oid":"OBJECT","azp":"APP","idtyp":"user","xms_act_fct":"3 9 11","xms_sub_fct":"9 3 13"}"#,
            "",
            AzureSubject::AgentUser,
            false,
        );
    }

    #[test]
    fn a_built_in_role_makes_microsoft_only_of_its_own_principal() {
        let claims = format!(r#"{{"oid":"{OBJECT}","appid":"{APP}"}}"#);
        for (principal_id, expected) in [
            ("22222222aaaa4bbb8ccc000000000002", AzureSubject::Service),
            (APP, AzureSubject::ServicePrincipal),
        ] {
            let evidence = format!(
                r#"{{"role":"Azure Example Service Role","principalId":"{principal_id}"}}"#
            );
            let principal = decide(
                Claims::read(&Members::parse(&claims).unwrap()),
                None,
                &Members::parse(&evidence).unwrap(),
            );
            assert_eq!(principal.subject, expected, "{principal_id}");
            assert_eq!(principal.object_id.as_deref(), Some(OBJECT));
        }
    }

    #[test]
    fn the_tenant_is_read_from_the_issuer_where_no_claim_names_it() {
        let text = format!(r#"{{"oid":"{OBJECT}","iss":"https://sts.windows.net/{APP}/"}}"#);
        let claims = Claims::read(&Members::parse(&text).unwrap());
        assert_eq!(claims.tenant_id.as_deref(), Some(APP));
    }
}
