//! What a credential that has proved itself may do, and from where: asked in the same place for every kind.

use std::net::IpAddr;

use naru_shared::domain::{Credential, Scope};

use crate::{
    meters::Call,
    problem::{Code, Problem},
};

/// The scope that a call needs; `None` for those that anybody may make, or that prove themselves in another way.
pub const fn scope(call: Call) -> Option<Scope> {
    match call {
        Call::Message | Call::Batch | Call::Attachment => Some(Scope::Send),
        Call::Status | Call::Reports | Call::Acknowledge | Call::Quota => Some(Scope::Read),
        Call::Cancel => Some(Scope::Cancel),
        // A token does what its credential may, which is asked when it is used.
        Call::Token | Call::Callback | Call::Problem | Call::Contract | Call::Docs | Call::Unknown => None,
    }
}

/// Refuses a credential that is used from elsewhere than it may be.
pub fn from(credential: &Credential, address: Option<IpAddr>) -> Result<(), Code> {
    if credential.access.admits(address) { Ok(()) } else { Err(Code::AddressNotAllowed) }
}

/// Refuses what the credential may not do.
pub fn to(credential: &Credential, call: Call) -> Result<(), Problem> {
    match scope(call) {
        Some(scope) if !credential.access.scopes.allow(scope) => {
            let (word, may) = (scope.as_str(), &credential.access.scopes);
            let sentence = format!("This call needs the scope {word}; the credential has: {may}.");
            Err(Problem::new(Code::InsufficientScope, sentence))
        }
        _ => Ok(()),
    }
}
