//! Lakes in the object stores of clouds. A commit there is a put that the store refuses when the name exists; a store
//! that ignores the condition would let two writers commit the same epoch, so every writer asks it first.

use std::path::Path;
use std::sync::{Arc, Once};

use deltalake::DeltaResult;
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
};
use object_store::ObjectStore;
use url::Url;

use super::store::{self, Put};
use super::{LakeError, Place};

/// What stands before `://`: AWS and what speaks its protocol, Google, and Azure in its three spellings.
const SCHEMES: [&str; 6] = ["s3", "s3a", "gs", "az", "abfs", "abfss"];

/// Settings of the environment with these beginnings go to the store: credentials, region, endpoint.
const SETTINGS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// The address in `data`, if it is one and not a folder.
pub(super) fn address(data: &Path) -> Option<&str> {
    data.to_str().filter(|text| text.contains("://"))
}

/// The lake at `address`.
pub(super) fn open(address: &str) -> Result<Place, LakeError> {
    let refused = |reason: String| LakeError::Address {
        address: address.to_owned(),
        reason,
    };
    let url = Url::parse(address).map_err(|error| refused(error.to_string()))?;
    if !SCHEMES.contains(&url.scheme()) {
        let schemes = SCHEMES.join(", ");
        return Err(refused(format!(
            "{:?} is none of {schemes}; a folder is given by its path alone",
            url.scheme()
        )));
    }
    register();
    let settings = std::env::vars()
        .filter(|(name, _)| SETTINGS.iter().any(|beginning| name.starts_with(beginning)));
    let (store, _) = object_store::parse_url_opts(&url, settings).map_err(|error| {
        refused(format!(
            "{error}; AWS_…, AZURE_… and GOOGLE_… in the environment say how to get there"
        ))
    })?;
    Place::new(Arc::from(store) as Arc<dyn ObjectStore>, url)
}

/// Refuses a store on which two writers could both commit, or whose answers do not show what was just written.
///
/// `nonce` is a name that nobody else uses. What is written is removed again.
pub(super) fn check(lake: &Place, nonce: &str) -> Result<(), LakeError> {
    let folder = lake.join(format!("probe/{nonce}"));
    let probe = folder.join("put-if-absent");
    let unfit = |reason: &'static str| LakeError::Unfit {
        place: lake.display().to_string(),
        reason,
    };
    // An answer that was lost looks like somebody else's put; what counts is the next one.
    store::put_if_absent(&probe, b"first")?;
    let second = store::put_if_absent(&probe, b"second")?;
    let content = store::read(&probe)?;
    let listed = store::names(&folder)?;
    store::remove(&probe)?;
    if second != Put::Exists || content.as_deref() == Some(b"second") {
        return Err(unfit(
            "it replaces a file although it was asked to create it only if the name is free",
        ));
    }
    if content.as_deref() != Some(b"first") {
        return Err(unfit("it does not give back what was just written"));
    }
    if listed != ["put-if-absent"] {
        return Err(unfit("it does not list what was just written"));
    }
    Ok(())
}

/// Makes Delta tables possible at our addresses.
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for scheme in SCHEMES {
            let url = Url::parse(&format!("{scheme}://"))
                .expect("a scheme without anything behind it is an address");
            logstore_factories().insert(url, Arc::new(ConditionalPuts));
        }
    });
}

/// Delta logs whose commits are conditional puts, as those of local tables are.
struct ConditionalPuts;

impl LogStoreFactory for ConditionalPuts {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(
            prefixed_store,
            root_store,
            location,
            options,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_another_kind_is_refused_with_what_would_do() {
        let error = open("hdfs://somewhere/lake").unwrap_err().to_string();
        assert!(
            error.contains("none of s3, s3a, gs, az, abfs, abfss"),
            "{error}"
        );
        assert_eq!(address(Path::new("./lake")), None);
        assert_eq!(address(Path::new("s3://b/l")), Some("s3://b/l"));
    }

    #[test]
    fn a_lake_below_a_bucket_keeps_its_folder() {
        let lake = open("s3://bucket/some/lake").unwrap();
        let table = lake.join("tables/activity");
        assert_eq!(
            table.folder_url().unwrap().as_str(),
            "s3://bucket/some/lake/tables/activity/"
        );
        assert_eq!(
            table.display().to_string(),
            "s3://bucket/some/lake/tables/activity"
        );
    }
}
