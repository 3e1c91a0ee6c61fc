//! Logging in: SCRAM-SHA-256, the same conversation whether or not there is such a user.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dashmap::DashMap;
use pgwire::api::ClientInfo;
use pgwire::api::auth::sasl::scram::gen_salted_password;
use pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, ServerParameterProvider,
};
use pgwire::error::PgWireResult;
use rand_core::{OsRng, RngCore};

use super::{Role, User, VERSION};
use crate::model::sha256;

/// How often a password is hashed (RFC 7677 asks for 4,096 at least): about a hundredth of a second for whoever knows it.
pub(super) const ITERATIONS: usize = 16_384;

/// An address from which so many logins have failed within [`WITHIN`] is not listened to for as long.
const FAILURES_MAX: u32 = 10;
const WITHIN: Duration = Duration::from_secs(60);

/// How many addresses are remembered. Beyond it all are forgotten: a flood from many addresses is not stopped by counting.
const ADDRESSES_MAX: usize = 10_000;

/// Who may log in, and with what.
pub(super) struct Logins {
    users: BTreeMap<String, (Role, Password)>,
    /// Makes up salts for users that there are not, always the same.
    secret: [u8; 32],
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.users.keys()).finish()
    }
}

impl Logins {
    pub(super) fn new(users: &BTreeMap<String, User>) -> Self {
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        let salted = |(name, user): (&String, &User)| {
            let salt = salt(&secret, name);
            let hash = gen_salted_password(&user.password, &salt, ITERATIONS);
            (
                name.clone(),
                (user.role, Password::new(Some(salt.to_vec()), hash)),
            )
        };
        Self {
            users: users.iter().map(salted).collect(),
            secret,
        }
    }

    /// The role of a user who has logged in.
    pub(super) fn role(&self, user: &str) -> Option<Role> {
        self.users.get(user).map(|(role, _)| *role)
    }
}

/// Sixteen bytes that depend on the user's name and on what nobody else knows.
fn salt(secret: &[u8; 32], user: &str) -> [u8; 16] {
    let digest = sha256(&[secret.as_slice(), user.as_bytes()].concat());
    let mut salt = [0; 16];
    salt.copy_from_slice(&digest[..16]);
    salt
}

#[async_trait]
impl AuthSource for Logins {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let user = login.user().unwrap_or_default();
        if let Some((_, password)) = self.users.get(user) {
            return Ok(password.clone());
        }
        let mut nobodys = vec![0; 32];
        OsRng.fill_bytes(&mut nobodys);
        let salt = salt(&self.secret, user).to_vec();
        Ok(Password::new(Some(salt), nobodys))
    }
}

/// What a client is told of the server when it has logged in.
pub(super) struct Parameters;

impl ServerParameterProvider for Parameters {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<HashMap<String, String>> {
        let mut told = DefaultServerParameterProvider::default();
        told.server_version = VERSION.to_owned();
        told.is_superuser = false;
        told.default_transaction_read_only = true;
        told.scram_iterations = ITERATIONS;
        told.server_parameters(client)
    }
}

/// Failed logins, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(Arc<DashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// Whether `address` has failed too often of late.
    pub(super) fn too_many(&self, address: IpAddr) -> bool {
        let found = self.0.get(&address);
        found.is_some_and(|one| one.0 >= FAILURES_MAX && one.1.elapsed() < WITHIN)
    }

    pub(super) fn add(&self, address: IpAddr) {
        if self.0.len() >= ADDRESSES_MAX {
            self.0.clear();
        }
        let now = Instant::now();
        let mut one = self.0.entry(address).or_insert((0, now));
        if one.1.elapsed() >= WITHIN {
            *one = (0, now);
        }
        one.0 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_learns_who_there_is() {
        let user = User {
            password: "correct horse".to_owned(),
            role: Role::Viewer,
        };
        let logins = Logins::new(&BTreeMap::from([("ines".to_owned(), user)]));
        let salt = async |name: &str| {
            let login = LoginInfo::new(Some(name), None, "127.0.0.1".to_owned());
            let password = logins.get_password(&login).await.unwrap();
            (password.salt().unwrap().to_vec(), password.password().len())
        };
        for name in ["ines", "nobody"] {
            assert_eq!(salt(name).await, salt(name).await, "{name}");
            assert_eq!(salt(name).await.1, 32);
        }
        assert_eq!(logins.role("nobody"), None);
        assert!(!format!("{logins:?}").contains("horse"));
    }

    #[test]
    fn an_address_that_fails_again_and_again_is_not_heard() {
        let failures = Failures::default();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        for _ in 0..FAILURES_MAX {
            assert!(!failures.too_many(one));
            failures.add(one);
        }
        assert!(failures.too_many(one));
        assert!(!failures.too_many(other));
    }
}
