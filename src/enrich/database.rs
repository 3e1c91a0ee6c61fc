//! One MMDB database: GeoLite2 and GeoIP2 of MaxMind, DB-IP, IPinfo, or one's own with their members.

use std::net::IpAddr;

use maxminddb::Reader;
use serde::Deserialize;

use crate::model::Uid;

/// An opened database.
pub(super) struct Database(Reader<Vec<u8>>);

/// What is read of an entry. MaxMind's and DB-IP's databases have `autonomous_system_number` and `country.iso_code`,
/// IPinfo's `asn` (`AS64500`), `country` or `country_code` as text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry<'a> {
    #[serde(borrow)]
    autonomous_system_number: Option<Asn<'a>>,
    #[serde(borrow)]
    asn: Option<Asn<'a>>,
    #[serde(borrow)]
    country: Option<Country<'a>>,
    #[serde(borrow)]
    country_code: Option<&'a str>,
}

/// `AS64500`, or its number, of whichever width: the format has several, and writers choose among them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asn<'a> {
    Text(&'a str),
    Number(u32),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country<'a> {
    Code(&'a str),
    Members {
        #[serde(borrow, default)]
        iso_code: Option<&'a str>,
    },
}

impl Database {
    /// Opens it and reads its metadata.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(bytes)
            .map(Self)
            .map_err(|error| format!("it is no MMDB database: {error}"))
    }

    /// Number of the autonomous system, and country. An entry that cannot be read says nothing.
    pub(super) fn find(&self, ip: IpAddr) -> (Option<u32>, Option<Uid>) {
        let found = self
            .0
            .lookup(ip)
            .and_then(|result| result.decode::<Entry<'_>>());
        let entry = found.ok().flatten().unwrap_or_default();
        let number = |asn| match asn {
            Asn::Text(text) => text.strip_prefix("AS").unwrap_or(text).parse().ok(),
            Asn::Number(number) => Some(number),
        };
        let asn = entry.autonomous_system_number.or(entry.asn);
        let country = match entry.country {
            Some(Country::Code(code)) => Some(code),
            Some(Country::Members { iso_code }) => iso_code,
            None => None,
        };
        // Some databases write the country's name where others have its code.
        let country = country.filter(|code| code.len() == 2);
        (
            asn.and_then(number),
            country.or(entry.country_code).map(Uid::from),
        )
    }
}
