//! What one record says about its caller, before any other is looked at.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{
    ActorType, Attribution, Confidence, CredentialKind, IdentityKind, Method, Micros, Status, Uid,
};

/// The record's own answer, and by what another record may be found that says more.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) word: Attribution,
    /// `None` when no other record can change the answer.
    pub(super) seek: Option<Seek>,
}

/// What a record tells of the credential that was used: the ways in which lineage looks for the event behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seek {
    /// The temporary key that was used.
    pub(super) key: Option<Uid>,
    /// `userIdentity.principalId` as it stands: `AROA…:session`, `AIDA…`, the account for root.
    pub(super) principal: Option<Uid>,
    /// The acting role's ARN and the session's name: a service delivery is known by them alone (LIN-4).
    pub(super) role_arn: Option<Uid>,
    pub(super) session_name: Option<Uid>,
    /// When the session began, to the second (AWS-26).
    pub(super) created_at: Option<Micros>,
    /// The record does not state that start: another record with the same key does (LIN-6).
    pub(super) taught: bool,
    /// The account of which the record says that the caller is in it (AWS-38).
    pub(super) account: Option<Uid>,
    /// `signInSessionArn`: names the sign-in more closely than the principal does (AWS-33).
    pub(super) sign_in_session: Option<Uid>,
    /// An Entra token.
    pub(super) token: Option<Uid>,
    /// An application whose record names no token: its sign-ins before it (B.3).
    pub(super) signed_in: Option<Uid>,
    /// A federated credential of an Entra application.
    pub(super) federated_credential: Option<Uid>,
    /// `sharedEventID`, where this is another account's copy of somebody's call.
    pub(super) shared: Option<Uid>,
    /// Calls of the same principal that may have caused this forwarded one, surest first.
    pub(super) calls: Vec<Call>,
    /// A role that is known by its ARN only.
    pub(super) named_role: Option<Uid>,
    /// A service made the call for somebody (FAS-1).
    pub(super) forwarded: bool,
    /// Somebody must stand behind the acting identity: until they are found the answer is no final one.
    pub(super) expected: bool,
}

impl Seek {
    /// When the session began, if the record itself says so.
    pub(super) fn stated_start(&self) -> Option<Micros> {
        self.created_at.filter(|_| !self.taught)
    }
}

/// A call by which a forwarded one can be explained, and how much that proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) handle: Uid,
    pub(super) proof: Proof,
    pub(super) rule: Cow<'static, str>,
}

/// What a call proves that could have caused a forwarded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Proof {
    /// One match is proof (FAS-3a, FAS-3b).
    Alone,
    /// Only matches that all agree prove anything (FAS-3c, FAS-3d).
    Agreeing,
    /// Probable at best: it is said among the reasons, and no chain crosses it (FAS-3e, HM-9).
    Hint,
}

impl Draft {
    /// A draft with nobody behind the acting identity.
    pub(super) fn direct(
        acting_uid: Uid,
        acting_kind: IdentityKind,
        actor_type: ActorType,
    ) -> Self {
        Self {
            word: Attribution {
                revision: 0,
                identity_uid: acting_uid.clone(),
                identity_kind: acting_kind,
                nhi_uid: None,
                actor_type,
                acting_uid: acting_uid.clone(),
                acting_kind,
                credential_uid: None,
                credential_kind: None,
                session_uid: None,
                workload_uid: None,
                origin_uid: acting_uid.clone(),
                chain: vec![acting_uid],
                via: Vec::new(),
                method: Method::Direct,
                confidence: Confidence::Exact,
                status: Status::Final,
                reasons: Vec::new(),
                claimed_origin: None,
                on_behalf_of: None,
                invoked_by: None,
            },
            seek: None,
        }
    }

    /// Adds the rules that fired.
    pub(super) fn because(mut self, rules: &[&'static str]) -> Self {
        for rule in rules {
            self.word.because(rule);
        }
        self
    }

    /// The record itself says that `origin` stands behind the acting identity.
    pub(super) fn behind(&mut self, origin: Uid, kind: IdentityKind) {
        self.word.chain = vec![origin.clone(), self.word.acting_uid.clone()];
        self.word.origin_uid = origin.clone();
        self.word.identity_uid = origin;
        self.word.identity_kind = kind;
        self.word.method = Method::SessionIssuer;
    }

    pub(super) fn credential(&mut self, uid: Option<Uid>, kind: CredentialKind) {
        self.word.credential_uid = uid;
        self.word.credential_kind = Some(kind);
    }
}
