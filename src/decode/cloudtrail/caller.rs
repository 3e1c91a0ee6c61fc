//! `userIdentity`: who called, in the record's own words.
//!
//! Members and their meaning: AWS CloudTrail user guide, "userIdentity element". What follows from them is decided in
//! `attribute::aws`.

use std::borrow::Cow;

use crate::decode::json::{Branch, Text};
use crate::decode::time;
use crate::model::{AwsPrincipal, PrincipalType, Reject, RejectCode, SessionIssuer};

/// `userIdentity`, with the console mark that stands beside it in the record.
pub(super) fn principal<'a>(
    members: Branch<'_, 'a>,
    from_console: &Text<'a>,
) -> Result<AwsPrincipal<'a>, Reject> {
    no_duplicate("userIdentity", members)?;
    let context = members.object("sessionContext");
    no_duplicate("userIdentity.sessionContext", context)?;
    let attributes = context.object("attributes");
    let issuer = context.object("sessionIssuer");
    no_duplicate("userIdentity.sessionContext.sessionIssuer", issuer)?;
    let behalf = members
        .object("onBehalfOf")
        .or(context.object("onBehalfOf"));
    let scope = members.object("inScopeOf").or(context.object("inScopeOf"));
    Ok(AwsPrincipal {
        principal_type: principal_type(members.text("type").as_deref())?,
        principal_id: members.text("principalId"),
        arn: members.text("arn"),
        account_id: members.text("accountId"),
        user_name: members.text("userName"),
        access_key_id: members.text("accessKeyId").filter(|key| key != "Unknown"),
        issuer: session_issuer(issuer),
        session_created_at: attributes
            .text("creationDate")
            .and_then(|text| time::parse(&text))
            .map(|parsed| parsed.time),
        mfa: attributes
            .text("mfaAuthenticated")
            .map(|text| text.eq_ignore_ascii_case("true")),
        source_identity: context.text("sourceIdentity"),
        federated_provider: context
            .object("webIdFederationData")
            .text("federatedProvider"),
        assumed_root: context
            .text("assumedRoot")
            .is_some_and(|text| text.eq_ignore_ascii_case("true")),
        ec2_role_delivery: context.text("ec2RoleDelivery"),
        credentials_issued_to: scope.text("credentialsIssuedTo"),
        invoked_by: members.text("invokedBy"),
        delegate_account: members.object("invokedByDelegate").text("accountId"),
        on_behalf_of_user: behalf.text("userId"),
        identity_store: behalf.text("identityStoreArn").map(last_part),
        bearer_id: members.text("credentialId"),
        identity_provider: members.text("identityProvider"),
        sign_in_session_arn: context
            .text("signInSessionArn")
            .or_else(|| members.text("signInSessionArn")),
        from_console: from_console.truth() == Some(true),
    })
}

/// An empty `sessionIssuer: {}` stands on plain users: its content decides, not its presence.
fn session_issuer<'a>(issuer: Branch<'_, 'a>) -> Option<SessionIssuer<'a>> {
    let issuer = SessionIssuer {
        principal_id: issuer.text("principalId"),
        arn: issuer.text("arn"),
        account_id: issuer.text("accountId"),
        user_name: issuer.text("userName"),
        issuer_type: issuer.text("type"),
    };
    (issuer.principal_id.is_some() || issuer.arn.is_some()).then_some(issuer)
}

fn principal_type(text: Option<&str>) -> Result<PrincipalType, Reject> {
    Ok(match text {
        None => PrincipalType::Absent,
        Some("Root") => PrincipalType::Root,
        Some("IAMUser") => PrincipalType::IamUser,
        Some("AssumedRole") => PrincipalType::AssumedRole,
        Some("Role") => PrincipalType::Role,
        Some("FederatedUser") => PrincipalType::FederatedUser,
        Some("Directory") => PrincipalType::Directory,
        Some("AWSAccount") => PrincipalType::AwsAccount,
        Some("AWSService") => PrincipalType::AwsService,
        Some("IdentityCenterUser") => PrincipalType::IdentityCenterUser,
        Some("SAMLUser") => PrincipalType::SamlUser,
        Some("WebIdentityUser") => PrincipalType::WebIdentityUser,
        Some("Unknown") => PrincipalType::Unknown,
        Some(other) => {
            return Err(Reject::new(
                RejectCode::BadField,
                format!(
                    "userIdentity.type: {other:.40} is no type that CloudTrail writes (AWS-15)"
                ),
            ));
        }
    })
}

/// AWS-10, AWS-15: a record without a type is a service's own event, or it names nobody and is none of CloudTrail's.
pub(super) fn named(principal: &AwsPrincipal<'_>, event_type: Option<&str>) -> Result<(), Reject> {
    let typed = principal.principal_type != PrincipalType::Absent;
    if typed || principal.invoked_by.is_some() || event_type == Some("AwsServiceEvent") {
        return Ok(());
    }
    Err(Reject::new(
        RejectCode::MissingField,
        "userIdentity: neither type nor invokedBy, so nobody is named (AWS-15)",
    ))
}

/// Two readers of one object could see two actors, so an object that names the actor may not repeat a member.
fn no_duplicate(what: &str, members: Branch<'_, '_>) -> Result<(), Reject> {
    match members.duplicate {
        Some(name) => Err(Reject::new(
            RejectCode::DuplicateKey,
            format!("{what} holds {name:.60} twice"),
        )),
        None => Ok(()),
    }
}

/// The part of an ARN after the last slash: `…:identitystore/d-123` → `d-123`.
fn last_part(arn: Cow<'_, str>) -> Cow<'_, str> {
    match arn.rfind('/') {
        Some(at) => Cow::Owned(arn[at + 1..].to_owned()),
        None => arn,
    }
}
