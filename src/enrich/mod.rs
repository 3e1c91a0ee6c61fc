//! Files that users bring about addresses: MMDB databases and lists of providers' ranges.
//!
//! They are read at the start. Their hashes stand in the engine's parameters, which every epoch names.

mod database;
mod ranges;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::correlate::{Place, Places};
use crate::model::{hex, sha256};

use database::Database;
use ranges::Ranges;

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum EnrichError {
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Unsound { path: PathBuf, reason: String },
}

/// Every file, read.
#[derive(Default)]
pub struct Files {
    databases: Vec<Database>,
    ranges: Ranges,
    /// Name and hash of each.
    read: Vec<(String, String)>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.read.iter().map(|(name, hash)| (name, hash)))
            .finish()
    }
}

impl Files {
    /// Reads MMDB databases and lists of ranges.
    pub fn read(databases: &[PathBuf], ranges: &[PathBuf]) -> Result<Self, EnrichError> {
        let mut files = Self::default();
        for path in databases {
            let bytes = files.bytes(path)?;
            let database = Database::new(bytes).map_err(|reason| unsound(path, reason))?;
            files.databases.push(database);
        }
        let mut listed = Vec::new();
        for path in ranges {
            let bytes = files.bytes(path)?;
            let text = String::from_utf8(bytes)
                .map_err(|error| unsound(path, format!("it is no text: {error}")))?;
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let own = ranges::listed(&stem, &text).map_err(|reason| unsound(path, reason))?;
            listed.extend(own);
        }
        files.ranges = Ranges::new(listed);
        Ok(files)
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, EnrichError> {
        let bytes = std::fs::read(path).map_err(|source| EnrichError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        // Where a file lies changes nothing that is said.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.read.push((name.into_owned(), hex(&sha256(&bytes))));
        Ok(bytes)
    }
}

fn unsound(path: &Path, reason: String) -> EnrichError {
    EnrichError::Unsound {
        path: path.to_owned(),
        reason,
    }
}

impl Places for Files {
    /// Of several databases the first that knows something says it.
    fn find(&self, ip: IpAddr) -> Place {
        let mut place = Place::default();
        for database in &self.databases {
            let (asn, country) = database.find(ip);
            place.asn = place.asn.or(asn);
            place.country = place.country.or(country);
        }
        place.range = self.ranges.find(ip);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let path = |name: &str| PathBuf::from("tests/enrich").join(name);
        Files::read(
            &[path("asn.mmdb"), path("country.mmdb")],
            &[
                path("aws.json"),
                path("azure.json"),
                path("hosted.json"),
                path("own.txt"),
            ],
        )
        .unwrap()
    }

    /// `tests/enrich/README.md` says what the files hold and how the databases were made.
    #[test]
    fn addresses_are_found_in_every_file() {
        let files = files();
        let check = |ip: &str, asn, country: Option<&str>, range: Option<&str>| {
            let place = files.find(ip.parse().unwrap());
            let told = (place.asn, place.country.as_deref(), place.range.as_deref());
            assert_eq!(told, (asn, country, range), "{ip}");
        };
        check(
            "203.0.113.7",
            Some(64500),
            Some("DE"),
            Some("aws/EC2/eu-central-1"),
        );
        check(
            "203.0.113.200",
            Some(64501),
            Some("DE"),
            Some("aws/AMAZON/eu-central-1"),
        );
        check(
            "198.51.100.9",
            Some(64502),
            Some("NL"),
            Some("azure/AzureKeyVault.WestEurope"),
        );
        check(
            "198.51.100.200",
            Some(64502),
            Some("NL"),
            Some("azure/AzureCloud.westeurope"),
        );
        check("192.0.2.130", None, Some("FR"), Some("hosted/actions"));
        check("192.0.2.9", None, None, Some("office"));
        check(
            "2001:db8:7::1",
            Some(64500),
            None,
            Some("aws/EC2/eu-central-1"),
        );
        check("2001:db8:8::1", None, None, None);
    }

    #[test]
    fn what_is_no_such_file_says_so() {
        let refused = |databases: &[&str], ranges: &[&str]| {
            let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
            Files::read(&paths(databases), &paths(ranges))
                .unwrap_err()
                .to_string()
        };
        let told = refused(&["tests/enrich/own.txt"], &[]);
        assert!(told.contains("own.txt: it is no MMDB"), "{told}");
        let told = refused(&["tests/enrich/none.mmdb"], &[]);
        assert!(
            told.starts_with("cannot read tests/enrich/none.mmdb"),
            "{told}"
        );
        let told = refused(&[], &["tests/enrich/README.md"]);
        assert!(told.contains("line 1"), "{told}");
    }

    /// Where files lie does not change the parameters, what they hold does.
    #[test]
    fn parameters_name_files_by_their_hash() {
        let told = format!("{:?}", files());
        assert!(
            told.contains("\"asn.mmdb\": \"") && !told.contains("tests/enrich"),
            "{told}"
        );
    }
}
