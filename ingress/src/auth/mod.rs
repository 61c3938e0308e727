//! Who calls. A further kind of credential is a file here, and a line in [`Scheme::of`] and [`Scheme::verify`].

mod basic;

mod chosen;

mod origin;

mod permission;

use std::{net::IpAddr, sync::Arc};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
pub use chosen::ChosenPasswords;
use naru_shared::{
    domain::{Account, Credential, CustomerId, Environment},
    registry::Profile,
};
pub use origin::Origin;

use crate::{
    front::Front,
    meters::Call,
    problem::{Code, Problem},
};

/// A customer that has proved itself, in the environment of the call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose everything is that the call makes or sees.
    pub account: Account,
    /// What an accept asks about the customer.
    pub profile: Arc<Profile>,
}

/// Why a call is not let in, and whom it claims to come from, if the credential that it names is known.
#[derive(Debug)]
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
}

impl<'a> Scheme<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let value = headers.get(AUTHORIZATION).ok_or(Code::MissingAuthorization)?;
        let text = value.to_str().map_err(|_| Code::MalformedAuthorization)?;
        let (word, rest) = text.split_once(' ').ok_or(Code::MalformedAuthorization)?;
        if word.eq_ignore_ascii_case("basic") {
            Ok(Self::Basic(rest.trim_matches(' ')))
        } else {
            Err(Problem::new(Code::MalformedAuthorization, "The only scheme that is known here is Basic."))
        }
    }

    async fn verify(self, front: &Front, from: Option<IpAddr>) -> Result<Arc<Credential>, Denied> {
        match self {
            Self::Basic(encoded) => basic::verify(encoded, front, from).await,
        }
    }
}

/// Authenticates and authorises a call from an address.
///
/// What needs a look-up to fail fails as one `401`; an outage is `503`, never `401`. What a credential may do and from where is
/// told only to whom it is that proved itself, whatever the scheme.
pub async fn authenticate(
    front: &Front,
    headers: &HeaderMap,
    environment: Environment,
    call: Call,
    from: Option<IpAddr>,
) -> Result<Caller, Denied> {
    let credential = Scheme::of(headers)?.verify(front, from).await?;
    let denied = |code: Code| Denied::of(&credential.customer, code);
    permission::from(&credential, from).map_err(denied)?;
    if credential.environment != environment {
        return Err(denied(Code::WrongEnvironment));
    }
    let profile = front.registry.profile(&credential.customer).await.map_err(|_| Code::Unavailable)?;
    // A credential without its customer is a projection that is not whole yet.
    let profile = profile.ok_or(Code::Unavailable)?;
    if profile.customer.suspended {
        return Err(denied(Code::Suspended));
    }
    permission::to(&credential, call)
        .map_err(|problem| Denied { problem, customer: Some(credential.customer.clone()) })?;
    front.uses.note(&credential.id, front.clock.now());
    Ok(Caller { account: Account { customer: credential.customer.clone(), environment }, profile })
}
