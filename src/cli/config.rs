//! `keytrail config check|print|schema`.

use std::io::Write;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Global;

#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read file and environment, check every key and secret, say nothing if all is well
    Check,
    /// Print the settings that are in force, defaults included; secrets stay references
    Print,
    /// Print the JSON Schema of the configuration
    Schema,
}

impl ConfigCommand {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        match self.what {
            What::Check => {
                let config = global.load()?;
                config.decoding()?;
                config.kafka_properties()?;
                config.rules()?;
                config.places()?;
                global.say("configuration: ok");
            }
            What::Print => write!(std::io::stdout(), "{}", toml::to_string(&global.load()?)?)?,
            What::Schema => write!(std::io::stdout(), "{}", crate::config::schema_json())?,
        }
        Ok(())
    }
}
