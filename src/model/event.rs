//! One decoded action, as the log tells it: who, with what, on what, from where, when, and how it ended.
//!
//! An event borrows from the record it was decoded from; the few values that had to be rebuilt (escapes, lower-cased
//! GUIDs) are owned. Nothing here says who the actor *is*: that is an [`Attribution`](super::Attribution).

use std::borrow::Cow;
use std::fmt;

use super::{CredentialKind, Micros};

/// Text that is borrowed where the record allows it.
pub(crate) type Text<'a> = Cow<'a, str>;

/// Whose cloud an event is about.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Provider {
    Aws,
    Azure,
    Entra,
}

impl Provider {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Entra => "entra",
        }
    }
}

/// Which log an event was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogSource {
    AzureActivity,
    CloudTrail,
    EntraAudit,
    EntraSignin,
    GraphActivity,
    KeyVault,
}

impl LogSource {
    /// The name as rows, configuration and schemas spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AzureActivity => "azure_activity",
            Self::CloudTrail => "cloudtrail",
            Self::EntraAudit => "entra_audit",
            Self::EntraSignin => "entra_signin",
            Self::GraphActivity => "graph_activity",
            Self::KeyVault => "key_vault",
        }
    }

    /// Whose cloud this log is about.
    pub const fn provider(self) -> Provider {
        match self {
            Self::CloudTrail => Provider::Aws,
            Self::AzureActivity | Self::KeyVault => Provider::Azure,
            Self::EntraAudit | Self::EntraSignin | Self::GraphActivity => Provider::Entra,
        }
    }
}

/// How the action ended. Only success counts as use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    Unknown,
}

impl Outcome {
    /// The name as rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        }
    }
}

/// Things worth knowing about how a record was read, each shown in the row's `flags`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::REPAIRED, "repaired"),
        (Self::TIME_GUESSED, "time_guessed"),
        (Self::TRUNCATED, "truncated"),
        (Self::FUTURE, "future"),
        (Self::LATE, "late"),
        (Self::ID_DERIVED, "id_derived"),
        (Self::REDACTED, "redacted"),
        (Self::UNKNOWN_VERSION, "unknown_version"),
        (Self::ID_CONFLICT, "id_conflict"),
    ];

    /// The record's JSON was repaired in a documented way before it could be read.
    pub const REPAIRED: Self = Self(1);
    /// The time has no zone, an ambiguous form, or was taken from the message instead of the record.
    pub const TIME_GUESSED: Self = Self(1 << 1);
    /// A text was longer than the limit and was cut.
    pub const TRUNCATED: Self = Self(1 << 2);
    /// The event is dated after the epoch that brought it; it does not move the watermark.
    pub const FUTURE: Self = Self(1 << 3);
    /// The event came after the watermark had passed it; detectors did not judge it.
    pub const LATE: Self = Self(1 << 4);
    /// The record has no id of its own; the event's id is derived from its bytes.
    pub const ID_DERIVED: Self = Self(1 << 5);
    /// A secret was taken out of the record before anything else saw it.
    pub const REDACTED: Self = Self(1 << 6);
    /// The record names a major version that this decoder was not written for.
    pub const UNKNOWN_VERSION: Self = Self(1 << 7);
    /// Another record with the same id says something else. Both are kept; the later one's id is made unique.
    pub const ID_CONFLICT: Self = Self(1 << 8);

    /// No flag at all.
    pub const fn none() -> Self {
        Self(0)
    }

    /// Raises `flag`.
    pub const fn raise(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    /// Whether `flag` is raised.
    pub const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// The names of the raised flags, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// One decoded action.
#[derive(Clone, Debug)]
pub struct AuditEvent<'a> {
    pub source: LogSource,
    /// Identifies the event: the log's own id, or `raw:` and the start of the record's SHA-256.
    pub event_uid: Text<'a>,
    /// The action: the same for its copies in several accounts (`sharedEventID`), else the event's id.
    pub action_uid: Text<'a>,
    pub shared_event_uid: Option<Text<'a>>,
    pub request_uid: Option<Text<'a>>,
    pub event_time: Micros,
    /// AWS account, Azure subscription or Entra tenant in whose log this stands, lower case.
    pub tenant_uid: Option<Text<'a>>,
    pub region: Option<Text<'a>>,
    /// `s3.amazonaws.com`, `microsoft.compute`, `graph.microsoft.com` …
    pub service: Text<'a>,
    /// The operation without API-version suffix, in the log's own case for AWS and lower case for ARM.
    pub operation: Text<'a>,
    pub read_only: Option<bool>,
    pub outcome: Outcome,
    pub error_code: Option<Text<'a>>,
    pub error_message: Option<Text<'a>>,
    pub principal: Principal<'a>,
    pub network: Network<'a>,
    /// What was acted on: ARNs, resource ids, directory object ids.
    pub resources: Vec<Text<'a>>,
    /// The request as JSON text, already redacted.
    pub params_json: Option<&'a str>,
    /// The temporary credential that this action issued, if it did.
    pub issued: Option<Issued<'a>>,
    /// What only some rules read.
    pub details: Details<'a>,
    /// The event that this record adds to.
    pub addendum: Option<Addendum<'a>>,
    pub flags: Flags,
}

/// Parts of the record that only some rules read: JSON text, already redacted, parsed by whoever needs it.
#[derive(Clone, Debug, Default)]
pub struct Details<'a> {
    /// CloudTrail's `requestParameters`; the body of a request to Azure Resource Manager (`properties.requestbody`).
    pub request: Option<Text<'a>>,
    /// CloudTrail's `responseElements`; Resource Manager's `properties.responseBody`.
    pub response: Option<Text<'a>>,
    /// CloudTrail's `additionalEventData`; `additionalDetails` of Entra's audit log.
    pub extra: Option<Text<'a>>,
    /// CloudTrail's `serviceEventDetails`.
    pub service_event: Option<Text<'a>>,
    /// `targetResources` of Entra's audit log, with what was modified.
    pub targets: Option<Text<'a>>,
    /// CloudTrail's `eventType`, as text and not JSON.
    pub event_type: Option<Text<'a>>,
    /// CloudTrail's `eventName` as it stands, with the version of an API that the operation leaves out.
    pub event_name: Option<Text<'a>>,
}

/// CloudTrail's `addendum`: why a record came late or comes again with more in it (DD-5).
#[derive(Clone, Debug)]
pub struct Addendum<'a> {
    /// `DELIVERY_DELAY`, `UPDATED_DATA` or `SERVICE_OUTAGE`.
    pub reason: Text<'a>,
    pub original_event_uid: Option<Text<'a>>,
}

impl AuditEvent<'_> {
    /// Whether this is another account's copy of an action: the account that was called tells it too (DD-1).
    pub fn foreign_copy(&self) -> bool {
        let foreign = matches!(
            &self.principal,
            Principal::Aws(aws) if aws.principal_type == PrincipalType::AwsAccount
        );
        foreign && self.shared_event_uid.is_some()
    }

    /// OCSF class: 3002 Authentication for sign-ins, 3001 Account Change for the directory's audit, else 6003 API
    /// Activity (OCSF 1.x schema browser, classes of categories 3 and 6).
    pub const fn class_uid(&self) -> i32 {
        match self.source {
            LogSource::EntraSignin => 3002,
            LogSource::EntraAudit => 3001,
            _ => 6003,
        }
    }

    /// OCSF activity of the class: for API Activity 1 create, 2 read, 3 update, 4 delete, 99 other; 1 for sign-ins.
    pub fn activity_id(&self) -> i32 {
        if self.source == LogSource::EntraSignin {
            return 1;
        }
        if self.read_only == Some(true) {
            return 2;
        }
        let verb = self.operation.rsplit('/').next().unwrap_or_default();
        let starts = |prefixes: &[&str]| {
            prefixes.iter().any(|prefix| {
                verb.get(..prefix.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            })
        };
        if starts(&["create", "run", "add", "put"]) {
            1
        } else if starts(&["get", "list", "describe", "read", "head", "lookup"]) {
            2
        } else if starts(&["update", "modify", "write", "set", "attach", "change"]) {
            3
        } else if starts(&["delete", "remove", "terminate"]) {
            4
        } else {
            99
        }
    }
}

/// Where a request came from, as the log says.
#[derive(Clone, Debug, Default)]
pub struct Network<'a> {
    /// The source address field, verbatim: an address, a service's name, `AWS Internal`.
    pub source_raw: Option<Text<'a>>,
    /// What the caller chose to say of its software (AWS-22).
    pub user_agent: Option<Text<'a>>,
    pub tls_version: Option<Text<'a>>,
    pub vpc_endpoint: Option<Text<'a>>,
}

/// The actor **as the log names it**.
// Nearly every event is AWS, so boxing the larger variant would only add an allocation per event.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum Principal<'a> {
    Aws(AwsPrincipal<'a>),
    Azure(AzurePrincipal<'a>),
}

/// `userIdentity.type` (CloudTrail record reference, "userIdentity element"; rules AWS-1 to AWS-15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrincipalType {
    Root,
    IamUser,
    AssumedRole,
    Role,
    FederatedUser,
    Directory,
    AwsAccount,
    AwsService,
    IdentityCenterUser,
    SamlUser,
    WebIdentityUser,
    Unknown,
    /// The member is missing: service events, AWS-10.
    #[default]
    Absent,
}

/// `sessionContext.sessionIssuer`: the role or user behind a session. Empty objects are not kept.
#[derive(Clone, Debug, Default)]
pub struct SessionIssuer<'a> {
    pub principal_id: Option<Text<'a>>,
    pub arn: Option<Text<'a>>,
    pub account_id: Option<Text<'a>>,
    pub user_name: Option<Text<'a>>,
    /// `Role`, `IAMUser` or `Root`.
    pub issuer_type: Option<Text<'a>>,
}

/// CloudTrail's `userIdentity`, with empty strings and placeholders already dropped.
#[derive(Clone, Debug, Default)]
pub struct AwsPrincipal<'a> {
    pub principal_type: PrincipalType,
    pub principal_id: Option<Text<'a>>,
    pub arn: Option<Text<'a>>,
    pub account_id: Option<Text<'a>>,
    pub user_name: Option<Text<'a>>,
    /// `AKIA…` long-term, `ASIA…` temporary.
    pub access_key_id: Option<Text<'a>>,
    pub issuer: Option<SessionIssuer<'a>>,
    /// `sessionContext.attributes.creationDate`: when the session began, to the second (AWS-26).
    pub session_created_at: Option<Micros>,
    /// `mfaAuthenticated`. That it is false proves nothing (AWS-27).
    pub mfa: Option<bool>,
    /// `sessionContext.assumedRoot`: root in a session that AssumeRoot began (AWS-35).
    pub assumed_root: bool,
    pub source_identity: Option<Text<'a>>,
    /// `webIdFederationData.federatedProvider`.
    pub federated_provider: Option<Text<'a>>,
    /// `1.0` or `2.0`: the key came from the instance metadata service.
    pub ec2_role_delivery: Option<Text<'a>>,
    /// `inScopeOf.credentialsIssuedTo`: the workload these credentials were issued to.
    pub credentials_issued_to: Option<Text<'a>>,
    /// The AWS service that made the request for somebody.
    pub invoked_by: Option<Text<'a>>,
    /// `invokedByDelegate.accountId`: a product provider with temporary delegated access.
    pub delegate_account: Option<Text<'a>>,
    /// `onBehalfOf.userId` and the last part of `onBehalfOf.identityStoreArn`.
    pub on_behalf_of_user: Option<Text<'a>>,
    pub identity_store: Option<Text<'a>>,
    /// `credentialId`: set for bearer-token callers only (AWS-32).
    pub bearer_id: Option<Text<'a>>,
    pub identity_provider: Option<Text<'a>>,
    pub sign_in_session_arn: Option<Text<'a>>,
    /// `sessionCredentialFromConsole`, which is a string `"true"` in most records (AWS-24).
    pub from_console: bool,
}

/// What kind of actor an Azure or Entra record says it is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AzureSubject {
    /// An application's service principal.
    ServicePrincipal,
    /// A system- or user-assigned managed identity.
    ManagedIdentity,
    User,
    /// An agent identity that acts for itself or for a user (AZ-10).
    Agent,
    /// The user account of an agent: a machine, whatever its kind of account says (AZ-10).
    AgentUser,
    /// Microsoft's own service, or nobody named at all (AZ-2, AZ-17).
    Service,
    /// Somebody is named but the record does not say what they are (AZ-15).
    #[default]
    Unknown,
}

/// The actor of an Azure activity, Entra, Graph or Key Vault record.
#[derive(Clone, Debug, Default)]
pub struct AzurePrincipal<'a> {
    pub subject: AzureSubject,
    /// Home tenant of the actor, lower case. Absent when the record does not say.
    pub tenant_id: Option<Text<'a>>,
    /// Object id of the service principal, managed identity or user, lower case with dashes.
    pub object_id: Option<Text<'a>>,
    /// Client application, lower case.
    pub app_id: Option<Text<'a>>,
    /// Display name or user principal name.
    pub name: Option<Text<'a>>,
    /// `xms_mirid`: resource id of the managed identity.
    pub managed_identity_resource: Option<Text<'a>>,
    /// `xms_az_rid`: the resource that used a user-assigned identity.
    pub workload_resource: Option<Text<'a>>,
    /// `servicePrincipalCredentialKeyId`, lower case.
    pub key_id: Option<Text<'a>>,
    /// `servicePrincipalCredentialThumbprint`.
    pub certificate_thumbprint: Option<Text<'a>>,
    pub federated_credential_id: Option<Text<'a>>,
    /// What was presented, where the record says so.
    pub credential_kind: Option<CredentialKind>,
    /// The token, normalised to the sign-in's GUID (AZ-20).
    pub token_id: Option<Text<'a>>,
    /// Set when the actor's kind was inferred from what is absent rather than stated (AZ-12).
    pub inferred: bool,
    /// The user for whom a client acted, when the record names both.
    pub on_behalf_of: Option<Text<'a>>,
}

/// A temporary credential that an event issued: the fact lineage is built from.
#[derive(Clone, Debug, Default)]
pub struct Issued<'a> {
    /// The issued access key id. Absent where the answer was left out of the record (LIN-12).
    pub key_id: Option<Text<'a>>,
    /// `assumedRoleUser.assumedRoleId` or `federatedUser.federatedUserId`: `AROA…:session`.
    pub session_principal_id: Option<Text<'a>>,
    /// Role that was assumed, with its path: `requestParameters.roleArn`.
    pub role_arn: Option<Text<'a>>,
    /// Account whose root was assumed: `requestParameters.targetPrincipal`, an ARN or the account's number.
    pub target: Option<Text<'a>>,
    pub session_name: Option<Text<'a>>,
    pub source_identity: Option<Text<'a>>,
    pub expires_at: Option<Micros>,
    /// Federation: the token's or assertion's subject and audience, and who vouched for it.
    pub subject: Option<Text<'a>>,
    pub audience: Option<Text<'a>>,
    pub issuer: Option<Text<'a>>,
}
