//! What a credential may do and from where, on the command line.

use clap::Args;
use naru_shared::domain::{Access, IpNetwork, Scope, Scopes};

use crate::exit::Failure;

/// The most networks of one credential: they are looked at with each of its calls.
const MOST_ADDRESSES: usize = 64;

/// What can be said.
#[derive(Debug, Args)]
pub struct AccessArgs {
    /// What it may do: send, read or cancel; may be given several times, or with commas between [default: all of them]
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// From where it may be used: a network such as 203.0.113.0/24 or one address; may be given several times [default: from
    /// everywhere]
    #[arg(long = "allow-address", value_name = "NETWORK")]
    addresses: Vec<IpNetwork>,
}

impl AccessArgs {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.addresses.is_empty()
    }

    /// What a new credential gets.
    ///
    /// # Errors
    /// If there are more networks than are looked at.
    pub fn made(&self) -> Result<Access, Failure> {
        let mut access = Access::default();
        self.apply(&mut access)?;
        Ok(access)
    }

    /// Replaces what was said, and leaves the rest as it is.
    ///
    /// # Errors
    /// If there are more networks than are looked at.
    pub fn apply(&self, access: &mut Access) -> Result<(), Failure> {
        if self.addresses.len() > MOST_ADDRESSES {
            let why = format!(
                "--allow-address is given {} times, and at most {MOST_ADDRESSES} are possible: name wider networks",
                self.addresses.len()
            );
            return Err(Failure::Usage(why));
        }
        if !self.scopes.is_empty() {
            access.scopes = Scopes::only(self.scopes.clone());
        }
        if !self.addresses.is_empty() {
            access.addresses.clone_from(&self.addresses);
        }
        Ok(())
    }
}

/// Networks as they are shown.
pub fn addresses(access: &Access) -> String {
    let words: Vec<String> = access.addresses.iter().map(ToString::to_string).collect();
    if words.is_empty() { "any".to_owned() } else { words.join(" ") }
}
