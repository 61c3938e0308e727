//! Who calls. A further kind of credential is a file here, and a line in [`Scheme::of`] and [`Scheme::verify`].

mod basic;
mod chosen;
mod origin;
mod permission;
mod signature;
mod strangers;
mod tokens;

use std::{hint::black_box, net::IpAddr, sync::Arc};

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
pub use basic::strangers as basic_strangers;
#[cfg(any(test, feature = "foreign"))]
pub use basic::{UserParts, decoded};
pub use chosen::ChosenPasswords;
use naru_shared::{
    domain::{Account, Credential, CustomerId, Environment, SignedCall},
    registry::Profile,
};
pub use origin::Origin;
#[cfg(any(test, feature = "foreign"))]
pub use tokens::{Claims, Parts as Token};
pub use tokens::{LONGEST_LIFE, Tokens, of_tokens_made_here};

pub use self::{
    signature::{Claim, Verifier, is_signed},
    strangers::Strangers,
};
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
    /// By which signature, if by one: what the ids of its messages without a key follow from.
    pub signed: Option<SignedCall>,
    /// What it proved itself with.
    pub proved: Proved,
}

/// How a credential was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By its password and key.
    Basic,
    /// By the signature of the call.
    Signature,
    /// By a token that its owner signed.
    Token,
    /// By a token that was made here of it.
    OurToken,
}

/// A credential that was proved: neither unknown nor revoked. Whatever it may do, whoever proved it may do, whichever the way.
#[derive(Debug, Clone)]
pub struct Proved {
    /// Which.
    pub credential: Arc<Credential>,
    /// How.
    pub way: Way,
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

    /// The one refusal, after the same work whether whoever was named is known, or a stranger stands in that place.
    fn unproved(named: &Credential, is_known: bool) -> Self {
        let mut denied = black_box(Self::of(&named.customer, Code::Unauthorized));
        if !is_known {
            denied.customer = None;
        }
        denied
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
    Bearer(&'a str),
}

impl<'a> Scheme<'a> {
    fn of(headers: &'a HeaderMap, signed: Option<Result<Arc<Credential>, Denied>>) -> Result<Self, Problem> {
        if let Some(proof) = signed {
            return Ok(Self::Signed(proof));
        }
        let value = headers.get(AUTHORIZATION).ok_or(Code::MissingAuthorization)?;
        let text = value.to_str().map_err(|_| Code::MalformedAuthorization)?;
        let (word, rest) = text.split_once(' ').ok_or(Code::MalformedAuthorization)?;
        let rest = rest.trim_matches(' ');
        match word {
            word if word.eq_ignore_ascii_case("basic") => Ok(Self::Basic(rest)),
            word if word.eq_ignore_ascii_case("bearer") => Ok(Self::Bearer(rest)),
            _ => Err(Problem::new(
                Code::MalformedAuthorization,
                "The schemes that are known here are Basic and Bearer.",
            )),
        }
    }

    async fn verify(self, front: &Front, from: Option<IpAddr>) -> Result<Proved, Denied> {
        match self {
            Self::Basic(encoded) => {
                let credential = basic::verify(encoded, front, from).await?;
                Ok(Proved { credential, way: Way::Basic })
            }
            Self::Signed(proof) => proof.map(|credential| Proved { credential, way: Way::Signature }),
            Self::Bearer(token) => {
                let proved = front.tokens.verify(token, front.registry.as_ref(), front.clock.now()).await;
                proved.map_err(|denied| Denied { problem: denied.problem.of_token(), ..denied })
            }
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
    signed: Option<Result<Arc<Credential>, Denied>>,
    environment: Environment,
    (call, from): (Call, Option<IpAddr>),
) -> Result<Caller, Denied> {
    let proved = Scheme::of(headers, signed)?.verify(front, from).await?;
    let credential = &proved.credential;
    let denied = |problem: Problem| Denied { problem, customer: Some(credential.customer.clone()) };
    permission::from(credential, from).map_err(|code| denied(code.into()))?;
    if credential.environment != environment {
        return Err(denied(Code::WrongEnvironment.into()));
    }
    let profile = front.registry.profile(&credential.customer).await.map_err(|_| Code::Unavailable)?;
    // A credential without its customer is a projection that is not whole yet.
    let profile = profile.ok_or(Code::Unavailable)?;
    if profile.customer.suspended {
        return Err(denied(Code::Suspended.into()));
    }
    permission::to(credential, call).map_err(denied)?;
    front.uses.note(&credential.id, front.clock.now());
    let account = Account { customer: credential.customer.clone(), environment };
    Ok(Caller { account, profile, signed: None, proved })
}
