//! Callers of AWS and the parts of CloudTrail records that describe them.

use chrono::DateTime;
use keytrail::model::Micros;

use crate::estate::START;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Odd, so that multiplying by it only shuffles numbers: ids that were counted up do not look it.
const SHUFFLE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A role of one account.
#[derive(Clone, Debug)]
pub struct Role {
    pub account: String,
    pub name: String,
    /// `AROA…`.
    pub id: String,
}

/// A user with a long-term key.
#[derive(Clone, Debug)]
pub struct User {
    pub account: String,
    pub name: String,
    /// `AIDA…`.
    pub id: String,
    pub key: String,
}

/// A role session with its key.
#[derive(Clone, Debug)]
pub struct Session {
    pub role: Role,
    pub name: String,
    pub key: String,
    /// When its issue event happened, in seconds since the estate's start.
    pub since: u64,
    /// Whether an instance got it from its metadata service.
    pub delivered: bool,
}

/// Who signs a call.
#[derive(Clone, Debug)]
pub enum Caller {
    User(User),
    Session(Session),
}

impl Caller {
    pub fn account(&self) -> &str {
        match self {
            Self::User(user) => &user.account,
            Self::Session(session) => &session.role.account,
        }
    }

    pub fn uid(&self) -> String {
        match self {
            Self::User(user) => format!("aws:user:{}", user.id),
            Self::Session(session) => role_uid(&session.role),
        }
    }

    /// `userIdentity` in the caller's own account.
    pub fn identity(&self) -> String {
        match self {
            Self::User(user) => {
                let User {
                    account,
                    name,
                    id,
                    key,
                } = user;
                format!(
                    r#"{{"type":"IAMUser","principalId":"{id}","arn":"arn:aws:iam::{account}:user/{name}","accountId":"{account}","accessKeyId":"{key}","userName":"{name}"}}"#
                )
            }
            Self::Session(session) => {
                let Role { account, name, id } = &session.role;
                let (own, key) = (&session.name, &session.key);
                let since = time(session.since);
                let delivery = if session.delivered {
                    r#","ec2RoleDelivery":"2.0""#
                } else {
                    ""
                };
                format!(
                    r#"{{"type":"AssumedRole","principalId":"{id}:{own}","arn":"arn:aws:sts::{account}:assumed-role/{name}/{own}","accountId":"{account}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{id}","arn":"arn:aws:iam::{account}:role/app/{name}","accountId":"{account}","userName":"{name}"}},"attributes":{{"creationDate":"{since}","mfaAuthenticated":"false"}}{delivery}}}}}"#
                )
            }
        }
    }

    /// `userIdentity` as another account's trail gives it (AWS-8).
    pub fn as_foreign(&self) -> String {
        let (id, account) = match self {
            Self::User(user) => (user.id.clone(), &user.account),
            Self::Session(session) => (
                format!("{}:{}", session.role.id, session.name),
                &session.role.account,
            ),
        };
        format!(r#"{{"type":"AWSAccount","principalId":"{id}","accountId":"{account}"}}"#)
    }
}

/// How evidence names a role.
pub fn role_uid(role: &Role) -> String {
    format!("aws:role:{}", role.id)
}

/// `requestParameters` of a call that asks for `role`.
pub fn request(role: &Role, session_name: &str) -> String {
    let Role { account, name, .. } = role;
    format!(
        r#"{{"roleArn":"arn:aws:iam::{account}:role/app/{name}","roleSessionName":"{session_name}","durationSeconds":3600}}"#
    )
}

/// Members of `responseElements` of an event that issues `session`, which ends after an hour.
pub fn issued(session: &Session, named: bool) -> String {
    let ends = START.0 / Micros::SECOND + session.since as i64 + 3_600;
    let expiration = DateTime::from_timestamp(ends, 0)
        .unwrap()
        .format("%b %-d, %Y, %-I:%M:%S %p");
    let key = &session.key;
    let mut text = format!(
        r#""credentials":{{"accessKeyId":"{key}","sessionToken":"redacted","expiration":"{expiration}"}}"#
    );
    if named {
        let Role { account, name, id } = &session.role;
        let own = &session.name;
        text.push_str(&format!(
            r#","assumedRoleUser":{{"assumedRoleId":"{id}:{own}","arn":"arn:aws:sts::{account}:assumed-role/{name}/{own}"}}"#
        ));
    }
    text
}

/// `at` as logs write it.
pub fn time(at: u64) -> String {
    START.plus(at as i64 * Micros::SECOND).to_string()
}

/// An AWS id of `length` characters. Its fifth says that no account is encoded in it (ID-6).
pub fn unique(prefix: &str, estate: u64, number: u64, length: usize) -> String {
    let mut bits = (u128::from(estate) << 64) | u128::from(number.wrapping_mul(SHUFFLE));
    let mut text = format!("{prefix}I");
    while text.len() < length {
        text.push(char::from(BASE32[(bits & 31) as usize]));
        bits >>= 5;
    }
    text
}

/// A GUID that belongs to `number` of estate `estate`.
pub fn guid(estate: u64, number: u64) -> String {
    let bits = number.wrapping_mul(SHUFFLE);
    format!(
        "{estate:08x}-{:04x}-4000-8000-{:012x}",
        bits >> 48,
        bits & 0xffff_ffff_ffff
    )
}
