//! How to stop what a finding tells: steps for the kind of credential that was used, and for what was done with it.
//!
//! Commands are those of the clouds' own tools. They are printed and never run.

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What it does, and what it leaves.
    pub(super) what: &'static str,
    /// How, with the names of the case in it where they are known.
    pub(super) how: String,
    /// Which document says so.
    pub(super) source: &'static str,
}

/// A credential that was used, and whose it is. Parts that are not known are named in capitals, for whoever runs the
/// commands.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    /// Kind of the credential.
    pub(super) kind: String,
    pub(super) key: Option<String>,
    /// The name of the user or role; the object id in Entra.
    pub(super) name: Option<String>,
    pub(super) app: Option<String>,
    pub(super) workload: Option<String>,
}

/// The steps against `targets`, in their order, and then what a finding of `detector` asks for besides; `identity` is
/// whom it is about.
pub(super) fn steps(targets: &[Target], detector: &str, identity: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let of_credentials = targets.iter().flat_map(Target::steps);
    for step in of_credentials.chain(of_detector(detector, identity)) {
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

impl Target {
    /// The steps against one credential, the first of which stops most.
    fn steps(&self) -> Vec<Step> {
        let name = self.name.as_deref().unwrap_or("NAME");
        let key = self.key.as_deref().unwrap_or("KEY");
        let app = self.app.as_deref().unwrap_or("APP");
        let step = |what, how: String, source| Step { what, how, source };
        let sessions = |noun: &str| {
            step(
                "Sessions that were begun before live on until they expire: deny them everything",
                format!(
                    "aws iam put-{noun}-policy --{noun}-name {name} --policy-name revoke --policy-document \
                     '{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\",\
                     \"Condition\":{{\"DateLessThan\":{{\"aws:TokenIssueTime\":\"NOW\"}}}}}}]}}'"
                ),
                "AWS IAM user guide, Revoking IAM role temporary security credentials",
            )
        };
        match self.kind.as_str() {
            "access_key" => vec![
                step(
                    "Switch the key off; it can be switched on again",
                    format!(
                        "aws iam update-access-key --user-name {name} --access-key-id {key} --status Inactive"
                    ),
                    "AWS IAM user guide, Managing access keys for IAM users",
                ),
                sessions("user"),
            ],
            "session_key" => {
                let mut steps = vec![sessions("role")];
                steps.extend(self.workload.as_deref().and_then(of_workload));
                steps
            }
            "console_session" | "console_password" => vec![
                step(
                    "Take the console password away",
                    format!("aws iam delete-login-profile --user-name {name}"),
                    "AWS IAM user guide, Managing user passwords",
                ),
                sessions("user"),
            ],
            "sp_secret" | "sp_certificate" => vec![
                step(
                    "Remove the secret or certificate from the application",
                    format!("az ad app credential delete --id {app} --key-id {key}"),
                    "Azure CLI reference, az ad app credential",
                ),
                disabled(name),
            ],
            "federated_credential" => vec![
                step(
                    "Remove the federated credential from the application",
                    format!(
                        "az ad app federated-credential delete --id {app} --federated-credential-id {key}"
                    ),
                    "Azure CLI reference, az ad app federated-credential",
                ),
                disabled(name),
            ],
            "managed_identity" | "entra_token" => vec![disabled(name)],
            "web_identity_token" => vec![step(
                "Take the subject out of the trust policy of the role",
                "aws iam update-assume-role-policy --role-name ROLE --policy-document FILE"
                    .to_owned(),
                "AWS IAM user guide, Update a role trust policy",
            )],
            _ => Vec::new(),
        }
    }
}

fn of_detector(detector: &str, identity: &str) -> Option<Step> {
    let (what, how, source) = match detector {
        "evidence-tampering" => (
            "Switch the log on again, and note since when it told of nothing",
            "aws cloudtrail start-logging --name TRAIL".to_owned(),
            "AWS CloudTrail user guide, Turning on logging for a trail",
        ),
        "new-trust" => (
            "Put back whom the identity trusted before the change",
            "keytrail query lifecycle-of-identity shows the change and who made it".to_owned(),
            "the lifecycle rows of the identity",
        ),
        "dormant" | "dormant-privileged" | "never-used" => (
            "Ask the owner, then switch it off for a while before it is removed",
            format!("keytrail investigate {identity} says what it last did, and who made it"),
            "the usage rows of the identity",
        ),
        _ => return None,
    };
    Some(Step { what, how, source })
}

/// No new token is given out, and none that is there is renewed.
fn disabled(name: &str) -> Step {
    Step {
        what: "Disable the service principal: it gets no more tokens; those that are out work until they expire",
        how: format!("az ad sp update --id {name} --set accountEnabled=false"),
        source: "Microsoft Entra documentation, Disable user sign-in for an application",
    }
}

/// What else belongs to the workload that held the credential.
fn of_workload(workload: &str) -> Option<Step> {
    let instance = workload
        .strip_prefix("wl:ec2-instance:")
        .and_then(|rest| rest.rsplit(':').next())?;
    Some(Step {
        what: "Whoever read the credential from the instance can read the next one: isolate it, and ask for tokens",
        how: format!(
            "aws ec2 modify-instance-metadata-options --instance-id {instance} --http-tokens required"
        ),
        source: "Amazon EC2 user guide, Modify instance metadata options for existing instances",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str) -> Target {
        Target {
            kind: kind.to_owned(),
            key: Some("AKIAEXAMPLE".to_owned()),
            name: Some("backup".to_owned()),
            ..Target::default()
        }
    }

    #[test]
    fn a_key_is_switched_off_and_its_sessions_are_denied() {
        let steps = steps(
            &[target("access_key")],
            "unusual-origin",
            "aws:user:AIDAEXAMPLE",
        );
        assert!(
            steps[0]
                .how
                .contains("--user-name backup --access-key-id AKIAEXAMPLE")
        );
        assert!(steps[1].how.starts_with("aws iam put-user-policy"));
        assert_eq!(steps.len(), 2);
    }

    #[test]
    fn an_instance_is_named() {
        let stolen = Target {
            workload: Some("wl:ec2-instance:111122223333:i-0123456789abcdef0".to_owned()),
            ..target("session_key")
        };
        assert!(
            stolen.steps()[1]
                .how
                .contains("--instance-id i-0123456789abcdef0")
        );
        assert_eq!(target("session_key").steps().len(), 1);
    }

    #[test]
    fn one_step_is_told_once_and_that_of_the_detector_last() {
        let both = [target("sp_secret"), target("sp_certificate")];
        let steps = steps(&both, "new-trust", "entra:sp:t/o");
        assert_eq!(steps.len(), 3);
        assert!(steps[2].what.starts_with("Put back"));
    }
}
