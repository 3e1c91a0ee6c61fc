//! The temporary credential in the answer of an event that issues one.
//!
//! Members and their places: AWS STS API reference; botocore's service models for the other operations whose answers
//! hold a key. Who obtained it, and what it is worth, is decided in `attribute`.

use serde_json::value::RawValue;

use crate::decode::json::{self, Members};
use crate::decode::time;
use crate::model::{Issued, Micros, Outcome};

/// How deep an answer is searched for a key: the deepest known place is `credentialSet[0].credentials.accessKeyId`.
const SEARCH_DEPTH_MAX: usize = 5;

/// The credential that a successful call issued (L-1 to L-8, L-11, L-19). LIN-5: whether the log calls the call a read
/// says nothing, most calls that issue a credential are called one.
pub(super) fn issued<'a>(
    name: &str,
    outcome: Outcome,
    request: Option<&'a RawValue>,
    response: Option<&'a RawValue>,
) -> Option<Issued<'a>> {
    if outcome != Outcome::Success {
        return None;
    }
    let sts = name.starts_with("AssumeRo")
        || name.starts_with("GetSessionToken")
        || name.starts_with("GetFederationToken");
    if sts && name != "AssumeRoleForPodIdentity" {
        return by_token_service(name, request, response);
    }
    // A key in the answer of CreateAccessKey is no session but a credential of its own (L-18).
    let response = response.filter(|response| response.get().contains("\"ASIA"))?;
    let response = json::object(response)?;
    if name == "CreateSession" && request.is_some_and(|text| text.get().contains("trustAnchorArn"))
    {
        return by_certificate(request, &response);
    }
    let credentials = holder_of_key(&response, 0)?;
    Some(Issued {
        key_id: credentials.text("accessKeyId"),
        expires_at: expiry(&credentials),
        ..Issued::default()
    })
}

fn by_token_service<'a>(
    name: &str,
    request: Option<&'a RawValue>,
    response: Option<&'a RawValue>,
) -> Option<Issued<'a>> {
    let response = response.and_then(json::object).unwrap_or_default();
    let request = request.and_then(json::object).unwrap_or_default();
    let credentials = response.object("credentials").unwrap_or_default();
    let assumed = response.object("assumedRoleUser").unwrap_or_default();
    let federated = response.object("federatedUser").unwrap_or_default();
    let issued = Issued {
        key_id: credentials.text("accessKeyId"),
        session_principal_id: assumed
            .text("assumedRoleId")
            .or_else(|| federated.text("federatedUserId")),
        role_arn: request.text("roleArn"),
        target: request.text("targetPrincipal"),
        session_name: request
            .text("roleSessionName")
            .or_else(|| request.text("name")),
        source_identity: response
            .text("sourceIdentity")
            .or_else(|| request.text("sourceIdentity")),
        expires_at: expiry(&credentials),
        subject: response
            .text("subjectFromWebIdentityToken")
            .or_else(|| response.text("subject")),
        audience: response.text("audience"),
        issuer: response
            .text("provider")
            .or_else(|| request.text("principalArn"))
            .or_else(|| response.text("issuer")),
    };
    // LIN-12: answers are left out of long records and by redacting pipelines. The session is then known by its role
    // and name alone, or by whose it is and when it began.
    let findable = issued.key_id.is_some()
        || issued.session_principal_id.is_some()
        || (name.starts_with("AssumeRole") && issued.role_arn.is_some())
        || (name == "AssumeRoot" && issued.target.is_some())
        || name == "GetSessionToken";
    findable.then_some(issued)
}

/// L-11: IAM Roles Anywhere. The session's name is the certificate's serial unless the profile says otherwise.
fn by_certificate<'a>(request: Option<&'a RawValue>, response: &Members<'a>) -> Option<Issued<'a>> {
    let request = request.and_then(json::object)?;
    let set = response.array("credentialSet");
    let first = set.first().copied().and_then(json::object)?;
    let credentials = first.object("credentials")?;
    let assumed = first.object("assumedRoleUser").unwrap_or_default();
    let session = assumed.text("assumedRoleId");
    let serial = request
        .text("roleSessionName")
        .or_else(|| request.text("serialNumber"));
    Some(Issued {
        key_id: credentials.text("accessKeyId"),
        session_principal_id: session,
        role_arn: first.text("roleArn").or_else(|| request.text("roleArn")),
        session_name: serial,
        source_identity: first.text("sourceIdentity"),
        expires_at: expiry(&credentials),
        issuer: request.text("trustAnchorArn"),
        ..Issued::default()
    })
}

/// The object that holds a member `accessKeyId` with a temporary key.
fn holder_of_key<'a>(members: &Members<'a>, depth: usize) -> Option<Members<'a>> {
    let own = members.text("accessKeyId");
    if own.is_some_and(|key| key.starts_with("ASIA")) {
        return Some(members.clone());
    }
    if depth >= SEARCH_DEPTH_MAX {
        return None;
    }
    members.iter().find_map(|(_, value)| {
        let elements = json::array(value);
        std::iter::once(value)
            .chain(elements)
            .filter_map(json::object)
            .find_map(|object| holder_of_key(&object, depth + 1))
    })
}

/// The expiry, as the locale's text of the service that wrote it; some documented texts cannot be read, and then the
/// longest possible life counts.
fn expiry(credentials: &Members<'_>) -> Option<Micros> {
    credentials
        .text("expiration")
        .and_then(|text| time::parse(&text))
        .map(|parsed| parsed.time)
}
