//! Calls that are signed: their body is read before anybody knows whether they may come in.
//!
//! Whether the head was signed is known first, and decides where the body goes. That of a caller who signed it takes room of its own
//! customer. That of anybody else is hashed as it comes and not kept, so that no number of strangers takes room from those who pay;
//! what they are answered does not differ by it.

use std::sync::Arc;

use bytes::Bytes;
use naru_shared::domain::{Account, Credential, SignedCall};

use super::{Body, Exchange};
use crate::{
    auth::{Caller, Claim, Denied, is_signed},
    content_digest::Digests,
    limits,
    problem::{Code, Problem},
};

/// Bytes that are hashed on the thread that reads them.
const AT_ONCE: usize = 64 * 1024;

/// What a signature proved.
pub struct Signed {
    /// Who signed, or the one refusal.
    pub credential: Result<Arc<Credential>, Denied>,
    call: Option<SignedCall>,
    lasts: std::time::Duration,
}

impl Exchange {
    /// Reads and verifies a signed call; `None` if it does not say that it is signed.
    pub(super) async fn signed(&mut self) -> Result<Option<Signed>, Problem> {
        if !is_signed(self.request.headers()) {
            return Ok(None);
        }
        let front = Arc::clone(&self.front);
        let claim = Claim::read(&self.request, front.clock.now())?;
        let signer = front.signatures.verify(&claim, front.registry.as_ref()).await?;
        self.customer = signer.customer();
        let most = limits::told_within(self.request.headers(), limits::most(self.call))?;
        let fits = match signer.signer() {
            Some(credential) => {
                let Credential { customer, environment, .. } = credential.as_ref();
                let account = Account { customer: customer.clone(), environment: *environment };
                self.keep(&account, most, claim.digests.clone()).await?
            }
            None => self.pass(most, claim.digests.as_ref()).await?,
        };
        if !fits {
            return Err(Code::SignedDigestMismatch.into());
        }
        let (call, lasts) = (signer.call(&claim), claim.lasts);
        Ok(Some(Signed { credential: signer.credential(), call, lasts }))
    }

    /// Reads the body into room of the account that signed; whether it is what was signed.
    async fn keep(
        &mut self,
        account: &Account,
        most: usize,
        digests: Option<Digests>,
    ) -> Result<bool, Problem> {
        let room = match most > limits::SMALL_BODY && self.unread {
            true if self.call.uploads() => Some(self.front.uploads.take(account, most)),
            true => Some(self.front.bodies.take(account, most)),
            false => None,
        };
        let room = room.map(|places| places.ok_or(Code::Overloaded)).transpose()?;
        let bytes = limits::body(&mut self.payload, most).await?;
        self.unread = false;
        let fits = fits(digests, &bytes).await?;
        self.read = Some(Body { bytes, _room: room });
        Ok(fits)
    }

    /// Hashes the body as it comes; whether it is what was said to be signed.
    async fn pass(&mut self, most: usize, digests: Option<&Digests>) -> Result<bool, Problem> {
        let mut hashing = digests.map(Digests::begin);
        let piece = |piece: &[u8]| {
            if let Some(hashing) = &mut hashing {
                hashing.add(piece);
            }
        };
        limits::pass(&mut self.payload, most, piece).await?;
        self.unread = false;
        Ok(hashing.is_none_or(|hashing| hashing.fits()))
    }

    /// Takes a signed call once. While nobody can be asked whether it came before the customer's policy decides; a message is not sent
    /// again even then, since its id follows from the call.
    pub(super) async fn spend(&self, caller: &mut Caller, signed: Signed) -> Result<(), Problem> {
        let Some(call) = signed.call else { return Ok(()) };
        match self.front.gate.spend(&caller.account, call.mark(), signed.lasts).await {
            Ok(true) => {}
            Ok(false) => return Err(Code::NonceReplayed.into()),
            Err(error) => self.front.without_gate(caller, &error)?,
        }
        caller.signed = Some(call);
        Ok(())
    }
}

async fn fits(digests: Option<Digests>, body: &Bytes) -> Result<bool, Problem> {
    let Some(digests) = digests else { return Ok(true) };
    if body.len() <= AT_ONCE {
        return Ok(digests.fit(body));
    }
    let body = body.clone();
    let hashed = tokio::task::spawn_blocking(move || digests.fit(&body)).await;
    hashed.map_err(|_| Code::Internal.into())
}
