//! How to stop what a finding tells: steps for each credential that was used, and for what was done.
//!
//! Commands are those of the clouds' own tools. They are printed and never run, and every value in them is quoted: an
//! attacker may have chosen it.

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The account or tenant in which it is done.
    pub(super) place: Option<String>,
    /// What it does, and what it leaves or breaks.
    pub(super) what: &'static str,
    /// How, with the names of the case in it; what is not known is named in capitals.
    pub(super) how: String,
    /// Which document says so.
    pub(super) source: &'static str,
}

/// A credential that was used, and whose it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// Kind of the credential.
    pub(super) kind: String,
    /// The credential.
    pub(super) credential: String,
    /// Whose permissions it has.
    pub(super) acting: String,
    /// Account or tenant of that.
    pub(super) place: Option<String>,
    /// Its name.
    pub(super) name: Option<String>,
    /// Its application, in Entra.
    pub(super) app: Option<String>,
    pub(super) workload: Option<String>,
}

/// The steps against `targets`, in their order, and then what a finding of `detector` asks for besides. `identity` is
/// whom it is about; `services` are those that its events called.
pub(super) fn steps(
    targets: &[Target],
    detector: &str,
    identity: &str,
    services: &[String],
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let of_credentials = targets.iter().flat_map(Target::steps);
    for step in of_credentials.chain(of_detector(detector, identity, services)) {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

impl Target {
    /// The steps against one credential, the first of which stops most.
    fn steps(&self) -> Vec<Step> {
        match (self.kind.as_str(), self.acting.split(':').nth(1)) {
            ("access_key", Some("user")) => vec![self.key_off(), self.grown(), self.deny("user")],
            ("session_key", Some("user")) => vec![self.deny("user")],
            ("session_key", Some("role")) => {
                let metadata = self.workload.as_deref().and_then(metadata);
                std::iter::once(self.deny("role")).chain(metadata).collect()
            }
            ("console_session" | "console_password", Some("user"))
                if self.acting.starts_with("aws:") =>
            {
                vec![self.no_password(), self.deny("user")]
            }
            ("sp_secret" | "sp_certificate", _) => {
                self.no_secret().into_iter().chain(self.disable()).collect()
            }
            ("federated_credential", _) => {
                let removed = self.no_federation();
                removed.into_iter().chain(self.disable()).collect()
            }
            (_, Some("sp")) => self.disable().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn step(&self, what: &'static str, how: String, source: &'static str) -> Step {
        Step {
            place: self.place.clone(),
            what,
            how,
            source,
        }
    }

    fn name(&self) -> String {
        quoted(self.name.as_deref().unwrap_or("NAME"))
    }

    /// The last part of the credential's id, if that begins with `scheme`.
    fn key(&self, scheme: &str) -> Option<String> {
        self.credential.strip_prefix(scheme).map(quoted)
    }

    fn key_off(&self) -> Step {
        let key = self.key("aws:key:").unwrap_or_else(|| "KEY".to_owned());
        self.step(
            "Switch the key off; it can be switched on again",
            format!(
                "aws iam update-access-key --user-name {} --access-key-id {key} --status Inactive",
                self.name()
            ),
            "AWS IAM user guide, Managing access keys for IAM users",
        )
    }

    fn grown(&self) -> Step {
        self.step(
            "Sessions of roles that were begun with it live on: deny each of those roles too",
            format!(
                "keytrail investigate {} --data DIR",
                quoted(&self.credential)
            ),
            "AWS IAM user guide, Disabling permissions for temporary security credentials",
        )
    }

    fn deny(&self, noun: &str) -> Step {
        self.step(
            "Deny everything to sessions that were begun before now; who works rightly must begin a new one",
            format!(
                "aws iam put-{noun}-policy --{noun}-name {} --policy-name revoke --policy-document \
                 '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\
                 \"Condition\":{{\"DateLessThan\":{{\"aws:TokenIssueTime\":\"NOW\"}}}}}}]}}'",
                self.name()
            ),
            "AWS IAM user guide, Revoking IAM role temporary security credentials",
        )
    }

    fn no_password(&self) -> Step {
        self.step(
            "Take the console password away",
            format!("aws iam delete-login-profile --user-name {}", self.name()),
            "AWS IAM user guide, Managing user passwords",
        )
    }

    fn no_secret(&self) -> Option<Step> {
        let key = self.key("entra:key:")?;
        let app = quoted(self.app.as_deref().unwrap_or("APP"));
        Some(self.step(
            "Remove the secret or certificate from the application",
            format!("az ad app credential delete --id {app} --key-id {key}"),
            "Azure CLI reference, az ad app credential",
        ))
    }

    fn no_federation(&self) -> Option<Step> {
        let key = self.key("entra:fic:")?;
        let app = quoted(self.app.as_deref().unwrap_or("APP"));
        Some(self.step(
            "Remove the federated credential from the application",
            format!(
                "az ad app federated-credential delete --id {app} --federated-credential-id {key}"
            ),
            "Azure CLI reference, az ad app federated-credential",
        ))
    }

    fn disable(&self) -> Option<Step> {
        let object = self.acting.strip_prefix("entra:sp:")?.rsplit('/').next()?;
        Some(self.step(
            "Disable the service principal: it gets no more tokens; those that are out work until they expire",
            format!(
                "az ad sp update --id {} --set accountEnabled=false",
                quoted(object)
            ),
            "Microsoft Entra documentation, Disable user sign-in for an application",
        ))
    }
}

/// Whoever read a credential from an instance's metadata can read the next one there.
fn metadata(workload: &str) -> Option<Step> {
    let rest = workload.strip_prefix("wl:ec2-instance:")?;
    let (account, instance) = rest.split_once(':')?;
    Some(Step {
        place: Some(account.to_owned()),
        what: "Let the instance's metadata answer only those who ask for a token first, and take the instance off the \
               network: who is on it reads the next credential",
        how: format!(
            "aws ec2 modify-instance-metadata-options --instance-id {} --http-tokens required",
            quoted(instance)
        ),
        source: "Amazon EC2 user guide, Modify instance metadata options for existing instances",
    })
}

fn of_detector(detector: &str, identity: &str, services: &[String]) -> Option<Step> {
    let trail = services.iter().any(|of| of == "cloudtrail.amazonaws.com");
    let (what, how, source) = match detector {
        "evidence-tampering" if trail => (
            "Switch the log on again, and note since when it told of nothing",
            "aws cloudtrail start-logging --name TRAIL".to_owned(),
            "AWS CloudTrail user guide, Turning on logging for a trail",
        ),
        "evidence-tampering" => (
            "Switch on again what was switched off, and note since when it told of nothing",
            format!("see the events: they called {}", services.join(", ")),
            "the events of the finding",
        ),
        "new-trust" => (
            "Put back whom the identity trusted before the change",
            "keytrail query lifecycle-of-identity shows the change and who made it".to_owned(),
            "the lifecycle rows of the identity",
        ),
        "unowned" => (
            "Find out who uses it, and enter an owner in the inventory",
            "keytrail inventory import FILE --data DIR, with the columns identity and owner"
                .to_owned(),
            "the identity's row, and who made it",
        ),
        "dormant" | "dormant-privileged" | "never-used" => (
            "Ask the owner, then switch it off for a while before it is removed",
            format!("keytrail investigate {} --data DIR", quoted(identity)),
            "the usage rows of the identity",
        ),
        _ => return None,
    };
    Some(Step {
        place: None,
        what,
        how,
        source,
    })
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, acting: &str, credential: &str) -> Target {
        Target {
            kind: kind.to_owned(),
            credential: credential.to_owned(),
            acting: acting.to_owned(),
            name: Some("backup".to_owned()),
            ..Target::default()
        }
    }

    fn commands(target: &Target) -> Vec<String> {
        target.steps().into_iter().map(|step| step.how).collect()
    }

    #[test]
    fn a_key_is_switched_off_before_its_sessions_are_denied() {
        let key = target("access_key", "aws:user:AIDAEXAMPLE", "aws:key:AKIAEXAMPLE");
        let commands = commands(&key);
        assert!(commands[0].contains("--user-name backup --access-key-id AKIAEXAMPLE"));
        assert_eq!(
            commands[1],
            "keytrail investigate aws:key:AKIAEXAMPLE --data DIR"
        );
        assert!(commands[2].starts_with("aws iam put-user-policy"));
    }

    #[test]
    fn a_session_is_stopped_where_it_belongs() {
        let check = |acting: &str, expected: &[&str]| {
            let commands = commands(&target("session_key", acting, "aws:tkey:ASIA@t"));
            assert_eq!(commands.len(), expected.len(), "{acting}");
            for (command, expected) in commands.iter().zip(expected) {
                assert!(command.starts_with(expected), "{command}");
            }
        };
        check("aws:role:AROAEXAMPLE", &["aws iam put-role-policy"]);
        check("aws:user:AIDAEXAMPLE", &["aws iam put-user-policy"]);
        check("aws:root:111122223333", &[]);
        let stolen = Target {
            workload: Some("wl:ec2-instance:111122223333:i-0123456789abcdef0".to_owned()),
            ..target("session_key", "aws:role:AROAEXAMPLE", "aws:tkey:ASIA@t")
        };
        assert!(commands(&stolen)[1].contains("--instance-id i-0123456789abcdef0"));
    }

    #[test]
    fn only_what_the_tools_take_is_handed_to_them() {
        let principal = "entra:sp:tenant/object";
        let by_key = target("sp_certificate", principal, "entra:key:4711");
        assert!(commands(&by_key)[0].ends_with("--key-id 4711"));
        let by_thumbprint = target("sp_certificate", principal, "x509:thumbprint:AB");
        assert_eq!(
            commands(&by_thumbprint),
            ["az ad sp update --id object --set accountEnabled=false"]
        );
        let person = target("entra_token", "entra:user:tenant/object", "entra:tok:x");
        assert!(commands(&person).is_empty());
    }

    #[test]
    fn a_name_stays_one_word() {
        assert_eq!(
            quoted("oidc:issuer|repo:o/r:ref:x$(id)"),
            "'oidc:issuer|repo:o/r:ref:x$(id)'"
        );
        assert_eq!(quoted("o'brien"), r"'o'\''brien'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("backup"), "backup");
    }

    #[test]
    fn one_step_is_told_once_and_that_of_the_detector_last() {
        let one = target("sp_secret", "entra:sp:t/o", "entra:key:1");
        let steps = steps(&[one.clone(), one], "new-trust", "entra:sp:t/o", &[]);
        assert_eq!(steps.len(), 3);
        assert!(steps[2].what.starts_with("Put back"));
    }
}
