//! What files that users bring say of an address: its autonomous system, its country, the range of a provider.
//!
//! It is advice: nothing rests on it alone, and without such files everything works and says less.

use std::fmt;
use std::net::IpAddr;

use crate::model::Uid;

/// What is known of an address besides the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Number of its autonomous system.
    pub asn: Option<u32>,
    /// Code of its country, two letters (ISO 3166-1).
    pub country: Option<Uid>,
    /// Name of the narrowest range of a provider that holds it, like `aws/EC2/eu-central-1`.
    pub range: Option<Uid>,
}

/// Where addresses are. What is printed of it for debugging names every file by its hash, because it becomes part of the
/// engine's parameters.
pub trait Places: fmt::Debug + Send + Sync {
    /// What is known of a public address.
    fn find(&self, ip: IpAddr) -> Place;
}
