//! What somebody does in Azure: sign in, manage resources, ask Microsoft Graph.
//!
//! Every run signs in anew, and every row that follows carries the identifier of that sign-in's token, as in real
//! logs. Of the two to four rows that Azure writes for one action only the last is written, so that no two rows share
//! a correlation id. The rows of Entra itself are written in `entra`.

use super::deliver;
use super::entra;
use super::estate::{Actor, Entra, Kind, Network, Tenant};
use super::names::RUNNERS;
use super::random::Guid;
use super::schedule::Run;
use super::text::{compose, dotted, fine};
use super::{Stage, Who};
use crate::model::Micros;

/// The portal, when a person works.
pub(super) const PORTAL: &str = "c44b4083-3bb0-49c1-b47d-974e53cbdf3c";

/// How many of a thousand rows are Azure activity; the rest is Entra's.
const ACTIVITY_PER_MILLE: u32 = 600;
/// How many of a thousand rows of Entra, sign-ins apart, are audit rows.
const AUDIT_PER_MILLE: u32 = 150;

/// Time, resource, operation, duration, address, correlation.
const ACTIVITY: &str = r#"{"RoleLocation":"West Europe","time":"%","resourceId":"%","operationName":"%","category":"Administrative","resultType":"Success","resultSignature":"Succeeded.","durationMs":"%","callerIpAddress":"%","correlationId":"%","identity":{"#;
/// Scope, action, subscription, principal, type.
const AUTHORIZATION: &str = r#""authorization":{"scope":"%","action":"%","evidence":{"role":"Contributor","roleAssignmentScope":"/subscriptions/%","roleDefinitionId":"b24988ac618042a0ab8820f7382dd24c","principalId":"%","principalType":"%"}},"#;
/// Tenant, issued, not before, expires, application, strength, tenant, subject kind, object twice, tenant, token.
const CLAIMS: &str = r#""claims":{"aud":"https://management.core.windows.net/","iss":"https://sts.windows.net/%/","iat":"%","nbf":"%","exp":"%","appid":"%","appidacr":"%","http://schemas.microsoft.com/identity/claims/identityprovider":"https://sts.windows.net/%/","idtyp":"%","http://schemas.microsoft.com/identity/claims/objectidentifier":"%","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier":"%","http://schemas.microsoft.com/identity/claims/tenantid":"%","uti":"%","ver":"1.0","xms_tcdt":"1514764800""#;
/// Name, name, domain.
const PERSON_CLAIMS: &str = r#","http://schemas.microsoft.com/identity/claims/scope":"user_impersonation","http://schemas.microsoft.com/claims/authnmethodsreferences":"pwd,mfa","name":"%","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"%@%""#;
/// Subscription, group, machine.
const MACHINE_CLAIMS: &str = r#","xms_mirid":"/subscriptions/%/resourcegroups/%/providers/Microsoft.Compute/virtualMachines/%""#;
/// Scope, action, tenant, subscription, tenant.
const ACTIVITY_END: &str = r#"}},"level":"Information","properties":{"eventCategory":"Administrative","entity":"%","message":"%","hierarchy":"%/%"},"tenantId":"%"}"#;

/// A token in somebody's hand.
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) body: &'a Entra,
    pub(super) tenant: &'a Tenant,
    /// Id of the sign-in that issued it.
    pub(super) sign_in: Guid,
    pub(super) created: Micros,
    pub(super) address: String,
    pub(super) who: Who,
}

/// One run of `actor` in the hour that begins at `hour`.
pub(super) fn act(stage: &mut Stage<'_>, actor: &Actor, body: &Entra, run: &Run, hour: Micros) {
    let address = match body.network {
        Network::Fixed(address) => address,
        _ => stage.random.address(RUNNERS),
    };
    let mut who = if actor.kind == Kind::EntraUser {
        Who::other(&actor.uid)
    } else {
        Who::machine(&actor.uid)
    };
    if actor.kind == Kind::Workload {
        who.acting = principal(stage, body);
    }
    let event = stage.random.guid();
    let at = run.at(hour, 0);
    let token = signed_in(stage, actor.kind, body, address, who, (at, event));
    work(stage, &token, run, hour);
}

/// The service principal as labels name it.
pub(super) fn principal(stage: &Stage<'_>, body: &Entra) -> String {
    format!(
        "entra:sp:{}/{}",
        stage.estate.tenants[body.tenant].id, body.object
    )
}

/// `who` signs in from `address`; the row of it is the event given beside the time.
pub(super) fn signed_in<'a, 'estate: 'a>(
    stage: &mut Stage<'estate>,
    kind: Kind,
    body: &'a Entra,
    address: [u8; 4],
    who: Who,
    (at, event): (Micros, Guid),
) -> Token<'a> {
    let token = Token {
        kind,
        body,
        tenant: &stage.estate.tenants[body.tenant],
        sign_in: event,
        created: moment(stage, at),
        address: dotted(address),
        who,
    };
    entra::sign_in(stage, &token);
    token
}

/// What is done with `token` in the rest of a run that began with the sign-in.
pub(super) fn work(stage: &mut Stage<'_>, token: &Token<'_>, run: &Run, hour: Micros) {
    // The sign-in is Entra's already, so the other rows make up for it.
    let others = run.events.saturating_sub(1).clamp(1, 1_000);
    let activity_per_mille = ACTIVITY_PER_MILLE * (others + 1) / others;
    for index in 1..run.events {
        let at = moment(stage, run.at(hour, index)).max(token.created.plus(1));
        if stage.random.chance(activity_per_mille) {
            activity(stage, token, at);
        } else if stage.random.chance(AUDIT_PER_MILLE) {
            entra::audit(stage, token, at);
        } else {
            entra::graph(stage, token, at);
        }
    }
}

impl Token<'_> {
    /// Whether a person holds it.
    pub(super) fn person(&self) -> bool {
        self.kind == Kind::EntraUser
    }

    /// The application through which it was obtained.
    pub(super) fn app(&self) -> &str {
        if self.person() {
            PORTAL
        } else {
            &self.body.app
        }
    }

    /// How the application proved itself, as claims and Graph count it: not at all, by a secret, by anything better.
    pub(super) fn strength(&self) -> &'static str {
        match self.kind {
            Kind::EntraUser => "0",
            Kind::Secret => "1",
            _ => "2",
        }
    }

    /// Sends `record` of `at` and gives its buffer back to the stage.
    pub(super) fn send(&self, stage: &mut Stage<'_>, topic: usize, at: Micros, record: String) {
        stage
            .delivery
            .put(stage.random, topic, self.body.tenant, at, &record);
        stage.record = record;
    }
}

/// A time within the second of `at`: Azure counts finer than seconds.
fn moment(stage: &mut Stage<'_>, at: Micros) -> Micros {
    at.plus(stage.random.below(1_000_000) as i64)
}

fn activity(stage: &mut Stage<'_>, token: &Token<'_>, at: Micros) {
    let body = token.body;
    let tenant = token.tenant;
    let operation = stage.random.pick(body.operations);
    let correlation = stage.random.guid().text();
    let duration = (20 + stage.random.below(900)).to_string();
    let scope = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{}/{}",
        tenant.subscription, tenant.group, operation.resource, body.resource
    );
    let principal_type = if token.person() {
        "User"
    } else {
        "ServicePrincipal"
    };
    let mut out = stage.buffer();
    compose(
        &mut out,
        ACTIVITY,
        &[
            &fine(at, "Z"),
            &scope.to_ascii_uppercase(),
            &operation.name.to_ascii_uppercase(),
            &duration,
            &token.address,
            &correlation,
        ],
    );
    compose(
        &mut out,
        AUTHORIZATION,
        &[
            &scope,
            operation.name,
            &tenant.subscription,
            &body.object.replace('-', ""),
            principal_type,
        ],
    );
    push_claims(&mut out, token);
    compose(
        &mut out,
        ACTIVITY_END,
        &[
            &scope,
            operation.name,
            &tenant.id,
            &tenant.subscription,
            &tenant.id,
        ],
    );
    token.send(stage, deliver::ACTIVITY, at, out);
    stage.label(correlation, &token.who);
}

/// The claims of the token, as Azure Resource Manager logs them.
fn push_claims(out: &mut String, token: &Token<'_>) {
    let body = token.body;
    let tenant = token.tenant;
    let second = token.created.second();
    let issued = (second - 300).to_string();
    compose(
        out,
        CLAIMS,
        &[
            &tenant.id,
            &issued,
            &issued,
            &(second + 3_600).to_string(),
            token.app(),
            token.strength(),
            &tenant.id,
            if token.person() { "user" } else { "app" },
            &body.object,
            &body.object,
            &tenant.id,
            &token.sign_in.token_text(),
        ],
    );
    if token.person() {
        compose(
            out,
            PERSON_CLAIMS,
            &[&body.name, &body.name, &tenant.domain],
        );
    }
    if token.kind == Kind::ManagedIdentity {
        compose(
            out,
            MACHINE_CLAIMS,
            &[&tenant.subscription, &tenant.group, &body.resource],
        );
    }
}
