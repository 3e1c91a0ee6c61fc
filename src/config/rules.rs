//! `[detect.sigma]`: from the paths of rules to rules that run.

#[cfg(feature = "sigma")]
use std::collections::BTreeSet;
#[cfg(feature = "sigma")]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Config, ConfigError};
use crate::detect::rules::Rules;
#[cfg(feature = "sigma")]
use crate::rules::{RuleFile, RuleSet};

impl Config {
    /// The rules that users bring; none if no path is set. A broken rule stops the start.
    #[cfg(feature = "sigma")]
    pub fn rules(&self) -> Result<Option<Arc<dyn Rules>>, ConfigError> {
        let paths = &self.detect.sigma.rules;
        if paths.is_empty() {
            return Ok(None);
        }
        let compiled = RuleSet::compile(&rule_files(paths)?);
        if !compiled.faults.is_empty() {
            let faults: Vec<String> = compiled.faults.iter().map(ToString::to_string).collect();
            return Err(ConfigError::Rules(faults.join("\n  ")));
        }
        tracing::info!(
            running = compiled.rules.len(),
            left_out = compiled.left.len(),
            "Sigma rules; `keytrail rules check` says why a rule is left out"
        );
        Ok(Some(Arc::new(compiled.rules)))
    }

    /// Refuses rules: this build cannot run them.
    #[cfg(not(feature = "sigma"))]
    pub fn rules(&self) -> Result<Option<Arc<dyn Rules>>, ConfigError> {
        match self.detect.sigma.rules.first() {
            None => Ok(None),
            Some(path) => Err(ConfigError::Rules(format!(
                "{}: this build has no Sigma rules; build it with the feature `sigma`",
                path.display()
            ))),
        }
    }
}

/// The files of rules among `paths`, each a file or a folder with everything below it, in the order of their names.
#[cfg(feature = "sigma")]
pub fn rule_files(paths: &[PathBuf]) -> Result<Vec<RuleFile>, ConfigError> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for path in paths {
        collect(path, &mut found, &mut seen)?;
    }
    found.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
        Ok(RuleFile {
            name: path.display().to_string(),
            text,
        })
    };
    found.into_iter().map(read).collect()
}

/// A path that is named itself is taken as it is; below a folder, what ends in `.yml` or `.yaml` and is not hidden. What is
/// reached twice, by links or by other names, is taken once: mounted configuration is full of links.
#[cfg(feature = "sigma")]
fn collect(
    path: &Path,
    found: &mut Vec<PathBuf>,
    seen: &mut BTreeSet<PathBuf>,
) -> Result<(), ConfigError> {
    let real = std::fs::canonicalize(path).map_err(|source| unreadable(path, source))?;
    if !seen.insert(real) {
        return Ok(());
    }
    if !path.is_dir() {
        found.push(path.to_owned());
        return Ok(());
    }
    let hidden = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let entries = std::fs::read_dir(path).map_err(|source| unreadable(path, source))?;
    for entry in entries {
        let below = entry.map_err(|source| unreadable(path, source))?.path();
        let rules = below
            .extension()
            .is_some_and(|end| end == "yml" || end == "yaml");
        if !hidden(&below) && (below.is_dir() || rules) {
            collect(&below, found, seen)?;
        }
    }
    Ok(())
}

#[cfg(feature = "sigma")]
fn unreadable(path: &Path, source: std::io::Error) -> ConfigError {
    ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    }
}
