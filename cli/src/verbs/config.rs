//! `naru config`: the configuration in force.

use clap::Subcommand;

use crate::{config, output::Output, output::print};

/// What can be asked about the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Every setting in force, secrets masked; as TOML it is a file to begin with
    Show,
}

/// Does it.
///
/// # Errors
/// If it cannot be printed.
pub fn run(verb: &ConfigVerb, config: &config::Config, out: Output) -> anyhow::Result<()> {
    let ConfigVerb::Show = verb;
    let shown = config::shown(config)?;
    if out.json {
        return print(&serde_json::to_string_pretty(&shown)?);
    }
    print(toml::to_string(&shown)?.trim_end())
}
