//! Who can act: identity kinds, credential kinds, and the names under which identities are known.

use std::sync::Arc;

/// A canonical id: `aws:role:AROA…`, `entra:sp:<tenant>/<object>`, `oidc:<issuer>|<subject>` …
///
/// Built from the strongest stable name the log gives, never from a display name. Shared, because the same few
/// thousand ids stand in millions of rows.
pub type Uid = Arc<str>;

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// The name as rows spell it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value that rows spell so.
            ///
            /// # Errors
            ///
            /// A sentence with every spelling that there is.
            pub fn parse(text: &str) -> Result<Self, String> {
                let known = Self::ALL.iter().find(|one| one.name() == text);
                known.copied().ok_or_else(|| {
                    let names: Vec<&str> = Self::ALL.iter().map(|one| one.name()).collect();
                    format!("one of {} is needed", names.join(", "))
                })
            }
        }
    };
}

pub(crate) use named;

named! {
    /// What an identity is.
    IdentityKind {
        /// Root of an AWS account.
        AccountRoot = "account_root",
        IamUser = "iam_user",
        IamRole = "iam_role",
        /// A role handed to customer code by a compute service (attribution rule 0.5).
        WorkloadRole = "workload_role",
        /// A role that AWS's own code uses in the customer's name.
        ServiceRole = "service_role",
        ServiceLinkedRole = "service_linked_role",
        Ec2InstanceIdentity = "ec2_instance_identity",
        FederatedSession = "federated_session",
        DirectoryUser = "directory_user",
        IdentityCenterUser = "idc_user",
        SamlSubject = "saml_subject",
        /// A build, pod or workload that proves itself with an OpenID Connect token.
        OidcWorkload = "oidc_workload",
        /// A job of a build service (attribution C.1, class ci).
        OidcCi = "oidc_ci",
        /// A Kubernetes service account that proves itself with its cluster's token.
        K8sServiceAccount = "k8s_sa",
        GcpServiceAccount = "gcp_sa",
        /// A host with a certificate (IAM Roles Anywhere).
        X509Workload = "x509_workload",
        EndUser = "end_user",
        AwsService = "aws_service",
        ExternalAccount = "external_account",
        Anonymous = "anonymous",
        ServicePrincipal = "service_principal",
        ManagedIdentity = "managed_identity",
        FirstPartyService = "first_party_sp",
        /// An agent identity of Entra.
        Agent = "agent",
        /// The user account of an agent.
        AgentUser = "agent_user",
        EntraUser = "entra_user",
        MicrosoftService = "ms_service",
        Unknown = "unknown",
    }
}

impl IdentityKind {
    /// Whether this is a non-human identity that a customer owns: what `nhi_uid` may name.
    pub const fn non_human(self) -> bool {
        matches!(
            self,
            Self::IamUser
                | Self::IamRole
                | Self::WorkloadRole
                | Self::ServiceRole
                | Self::Ec2InstanceIdentity
                | Self::FederatedSession
                | Self::OidcWorkload
                | Self::OidcCi
                | Self::K8sServiceAccount
                | Self::GcpServiceAccount
                | Self::X509Workload
                | Self::ServicePrincipal
                | Self::ManagedIdentity
                | Self::Agent
                | Self::AgentUser
        )
    }
}

named! {
    /// What was presented to prove the identity.
    CredentialKind {
        AccessKey = "access_key",
        /// A temporary AWS key.
        SessionKey = "session_key",
        ConsolePassword = "console_password",
        /// A session of the console: one sign-in, many short-lived keys (LIN-2).
        ConsoleSession = "console_session",
        /// A key AWS minted for a forward access session; it is nobody's credential (FAS-1).
        ForwardAccess = "forward_access",
        BearerToken = "bearer_token",
        /// A key of Bedrock's that is sent as a bearer token (AWS-36).
        BearerApiKey = "bearer_api_key",
        /// A credential of one service: CodeCommit, Keyspaces, Bedrock …
        ServiceSpecific = "service_specific",
        SigningCertificate = "signing_certificate",
        ServerCertificate = "server_certificate",
        SshPublicKey = "ssh_public_key",
        MfaDevice = "mfa_device",
        /// The certificate with which a host obtains a role (IAM Roles Anywhere).
        X509Certificate = "x509_certificate",
        WebIdentityToken = "web_identity_token",
        SamlAssertion = "saml_assertion",
        SpSecret = "sp_secret",
        SpCertificate = "sp_certificate",
        FederatedCredential = "federated_credential",
        ManagedIdentity = "managed_identity",
        /// An Entra access token whose sign-in was not seen.
        EntraToken = "entra_token",
    }
}

named! {
    /// Whose doing an event is.
    ActorType {
        /// A non-human identity of the customer.
        Nhi = "nhi",
        Human = "human",
        /// The cloud provider's own code.
        Provider = "provider",
        /// Somebody of another organisation.
        External = "external",
        Anonymous = "anonymous",
        Unknown = "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own() {
        let mut names: Vec<_> = IdentityKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), IdentityKind::ALL.len());
    }
}
