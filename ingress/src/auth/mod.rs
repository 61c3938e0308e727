//! Who calls. A further kind of credential is a file here, and a line in [`Scheme::of`] and [`Scheme::verify`].

mod basic;
mod signature;

use std::sync::Arc;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use naru_shared::{
    domain::{Account, Credential, CustomerId, Environment, SignedCall},
    keys::CredentialHasher,
    registry::{Profile, Registry},
};

pub use self::signature::{Claim, Signer, Verifier, is_signed};
use crate::problem::{Code, Problem};

/// A customer that has proved itself, in the environment of the call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose everything is that the call makes or sees.
    pub account: Account,
    /// What an accept asks about the customer.
    pub profile: Arc<Profile>,
    /// By which signature, if by one: what the ids of its messages without a key follow from.
    pub signed: Option<SignedCall>,
}

/// Why a call is not let in, and whom it claims to come from, if the credential that it names is known.
#[derive(Debug, Clone)]
pub struct Denied {
    /// What the caller is told.
    pub problem: Problem,
    /// What only the operator is told.
    pub customer: Option<CustomerId>,
}

impl Denied {
    fn of(customer: &CustomerId, code: Code) -> Self {
        Self { problem: code.into(), customer: Some(customer.clone()) }
    }
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self { problem, customer: None }
    }
}

impl From<Code> for Denied {
    fn from(code: Code) -> Self {
        Problem::from(code).into()
    }
}

/// How a call proves whose it is.
enum Scheme<'a> {
    Basic(&'a str),
    /// What the whole call, its body included, was found to prove before.
    Signed(Result<Arc<Credential>, Denied>),
}

impl<'a> Scheme<'a> {
    fn of(headers: &'a HeaderMap, signed: Option<Result<Arc<Credential>, Denied>>) -> Result<Self, Problem> {
        if let Some(proof) = signed {
            return Ok(Self::Signed(proof));
        }
        let value = headers.get(AUTHORIZATION).ok_or(Code::MissingAuthorization)?;
        let text = value.to_str().map_err(|_| Code::MalformedAuthorization)?;
        let (word, rest) = text.split_once(' ').ok_or(Code::MalformedAuthorization)?;
        if word.eq_ignore_ascii_case("basic") {
            Ok(Self::Basic(rest.trim_matches(' ')))
        } else {
            Err(Problem::new(Code::MalformedAuthorization, "The only scheme that is known here is Basic."))
        }
    }

    async fn verify(
        self,
        registry: &dyn Registry,
        hasher: &CredentialHasher,
    ) -> Result<Arc<Credential>, Denied> {
        match self {
            Self::Basic(encoded) => basic::verify(encoded, registry, hasher).await,
            Self::Signed(proof) => proof,
        }
    }
}

/// Authenticates and authorises a call.
///
/// What needs a look-up to fail fails as one `401`; an outage is `503`, never `401`.
pub async fn authenticate(
    headers: &HeaderMap,
    signed: Option<Result<Arc<Credential>, Denied>>,
    environment: Environment,
    registry: &dyn Registry,
    hasher: &CredentialHasher,
) -> Result<Caller, Denied> {
    let credential = Scheme::of(headers, signed)?.verify(registry, hasher).await?;
    if credential.environment != environment {
        return Err(Denied::of(&credential.customer, Code::WrongEnvironment));
    }
    let profile = registry.profile(&credential.customer).await.map_err(|_| Code::Unavailable)?;
    // A credential without its customer is a projection that is not whole yet.
    let profile = profile.ok_or(Code::Unavailable)?;
    if profile.customer.suspended {
        return Err(Denied::of(&credential.customer, Code::Suspended));
    }
    Ok(Caller {
        account: Account { customer: credential.customer.clone(), environment },
        profile,
        signed: None,
    })
}
