//! What somebody does to identities and to the log: calls whose texts name who is meant.

use super::super::Stage;
use super::super::aws::{Caller, Seat, ask};
use super::super::estate::Role;
use super::super::operations::Operation;
use super::super::random::Guid;
use super::super::text;
use crate::model::Micros;

/// IAM is one service for all regions, and logs where it lives.
const IAM_REGION: &str = "us-east-1";

/// A call with texts of its own.
#[derive(Debug)]
pub(super) struct Order {
    service: &'static str,
    name: &'static str,
    request: String,
    response: String,
    region: &'static str,
}

impl Order {
    fn iam(name: &'static str, request: String, response: String) -> Self {
        Self {
            service: "iam.amazonaws.com",
            name,
            request,
            response,
            region: IAM_REGION,
        }
    }

    /// A user named `name` is made in account `account`.
    pub(super) fn create_user(account: &str, name: &str, id: &str) -> Self {
        Self::iam(
            "CreateUser",
            format!(r#"{{"userName":"{name}"}}"#),
            format!(
                r#"{{"user":{{"path":"/","arn":"arn:aws:iam::{account}:user/{name}","userId":"{id}","userName":"{name}"}}}}"#
            ),
        )
    }

    pub(super) fn delete_user(name: &str) -> Self {
        Self::iam(
            "DeleteUser",
            format!(r#"{{"userName":"{name}"}}"#),
            "null".to_owned(),
        )
    }

    /// A person may no longer sign in to the console.
    pub(super) fn delete_login(name: &str) -> Self {
        Self::iam(
            "DeleteLoginProfile",
            format!(r#"{{"userName":"{name}"}}"#),
            "null".to_owned(),
        )
    }

    /// User `user` gets the key `key` at `at`.
    pub(super) fn create_key(user: &str, key: &str, at: Micros) -> Self {
        let mut created = String::new();
        text::push_expiration(&mut created, at);
        Self::iam(
            "CreateAccessKey",
            format!(r#"{{"userName":"{user}"}}"#),
            format!(
                r#"{{"accessKey":{{"userName":"{user}","accessKeyId":"{key}","status":"Active","createDate":"{created}"}}}}"#
            ),
        )
    }

    pub(super) fn disable_key(user: &str, key: &str) -> Self {
        Self::iam(
            "UpdateAccessKey",
            format!(r#"{{"userName":"{user}","accessKeyId":"{key}","status":"Inactive"}}"#),
            "null".to_owned(),
        )
    }

    pub(super) fn delete_key(user: &str, key: &str) -> Self {
        Self::iam(
            "DeleteAccessKey",
            format!(r#"{{"userName":"{user}","accessKeyId":"{key}"}}"#),
            "null".to_owned(),
        )
    }

    /// `role` is made in account `account`, for whoever `trusted` names as JSON.
    pub(super) fn create_role(account: &str, role: &Role, trusted: &str) -> Self {
        let document = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{trusted},"Action":"sts:AssumeRole"}}]}}"#
        );
        let document = document.replace('"', "\\\"");
        Self::iam(
            "CreateRole",
            format!(
                r#"{{"roleName":"{}","assumeRolePolicyDocument":"{document}"}}"#,
                role.name
            ),
            format!(
                r#"{{"role":{{"path":"/","roleName":"{0}","roleId":"{1}","arn":"arn:aws:iam::{account}:role/{0}"}}}}"#,
                role.name, role.id
            ),
        )
    }

    /// A policy of AWS's own is attached to a role.
    pub(super) fn attach_policy(role: &str, policy: &str) -> Self {
        Self::iam(
            "AttachRolePolicy",
            format!(r#"{{"roleName":"{role}","policyArn":"arn:aws:iam::aws:policy/{policy}"}}"#),
            "null".to_owned(),
        )
    }

    /// The account's trail stops.
    pub(super) fn stop_logging() -> Self {
        Self {
            service: "cloudtrail.amazonaws.com",
            name: "StopLogging",
            request: r#"{"name":"organization-trail"}"#.to_owned(),
            response: "null".to_owned(),
            region: "",
        }
    }

    /// Gives the order, and labels it as everything of `caller`.
    pub(super) fn give(
        &self,
        stage: &mut Stage<'_>,
        seat: Seat<'_>,
        caller: &Caller<'_>,
        at: Micros,
        event: Option<Guid>,
    ) {
        let operation = Operation {
            service: self.service,
            name: self.name,
            read_only: false,
            data: false,
            request: &self.request,
            response: &self.response,
            resources: "",
            region: self.region,
            error: "",
        };
        ask(stage, seat, caller, operation, at, event);
    }
}
