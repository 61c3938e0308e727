//! What every call goes through: request id, head limits, authentication, rate, body, answer, metrics.

mod signed;

use std::{sync::Arc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{ConnectionType, Method, StatusCode},
    web,
};
use bytes::Bytes;
use naru_shared::{
    blobs::LARGEST,
    domain::{CustomerId, Environment, GatePolicy, MessageId},
    gate::{BEFORE, RateStanding, RateVerdict, patiently},
};

use crate::{
    answer::{Answer, respond},
    auth::{Caller, authenticate},
    connection::UnderWay,
    front::Front,
    limits,
    meters::Call,
    openapi,
    problem::{Code, Problem},
    request_id::RequestId,
    room::Places,
    simulate, unread,
};

/// A body, and the room that it takes.
pub struct Body {
    /// As it came.
    pub bytes: Bytes,
    _room: Option<Places>,
}

/// One call under way.
pub struct Exchange {
    /// What every call shares.
    pub front: Arc<Front>,
    /// Of which base it came in.
    pub environment: Environment,
    /// Its head.
    pub request: HttpRequest,
    /// Its id.
    pub id: RequestId,
    /// Which call it is.
    call: Call,
    /// What is to happen to its messages, in the sandbox.
    pub simulate: Option<String>,
    payload: web::Payload,
    /// What was read of it already, to be verified.
    read: Option<Body>,
    /// The call's body was not read to its end.
    unread: bool,
    standing: Vec<RateStanding>,
    /// Whose call it is, or claims to be.
    customer: Option<CustomerId>,
    /// Messages in the call, as far as it was read.
    messages: u64,
}

/// Runs one call and answers it.
pub async fn exchange(
    front: Arc<Front>,
    environment: Environment,
    call: Call,
    request: HttpRequest,
    payload: web::Payload,
    run: impl AsyncFnOnce(&mut Exchange) -> Result<Answer, Problem>,
) -> HttpResponse {
    let began = Instant::now();
    let under_way = UnderWay::begin(&request);
    let id = RequestId::random();
    let mut exchange = Exchange {
        front,
        environment,
        unread: unread::has_body(&request),
        request,
        id,
        call,
        simulate: None,
        payload,
        read: None,
        standing: Vec::new(),
        customer: None,
        messages: u64::from(call == Call::Message),
    };
    let head = head(&exchange.request, &under_way);
    let ends = under_way.is_over();
    let result = if call.accepts() && exchange.front.draining.is_cancelled() {
        Err(Code::Draining.into())
    } else {
        match head {
            Ok(()) => patiently(BEFORE, run(&mut exchange)).await,
            Err(problem) => Err(problem),
        }
    };
    let refused = result.as_ref().err().map(|problem| problem.code);
    if let Some(code) = refused {
        exchange.front.meters.refused(code, exchange.messages);
        exchange.front.denials.add(exchange.customer.as_ref(), code, 1);
        debug_assert!(
            openapi::may(call, code),
            "the contract does not say that {call:?} may be answered {code:?}"
        );
    }
    let from = refused.and_then(|_| {
        let headers = exchange.request.headers();
        exchange.front.origin.of(exchange.request.peer_addr(), headers).ok().flatten()
    });
    let Exchange { front, id, payload, unread, standing, .. } = exchange;
    let mut response = respond(result, &id, &standing, unread.then_some(payload));
    if ends || front.draining.is_cancelled() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    front.meters.answered(call, response.status(), refused, began.elapsed());
    if response.status() == StatusCode::UNAUTHORIZED {
        front.guesses.refused(from, &front.draining).await;
    }
    response
}

/// Refuses a head that cannot be taken, and ends its connection: whoever writes such a head may mean another end of it as well.
fn head(request: &HttpRequest, under_way: &UnderWay) -> Result<(), Problem> {
    if under_way.is_over() {
        let sentence =
            "An earlier call on this connection had a head that ended it. Nothing behind that is a call.";
        return Err(Problem::new(Code::MalformedHead, sentence));
    }
    if request.method() == Method::TRACE {
        // Who asks for an echo is no caller, whatever stands behind it.
        under_way.end();
    }
    limits::head(request).inspect_err(|_| under_way.end())
}

impl Exchange {
    /// Who calls, and how its rates stand after `messages` more.
    pub async fn caller(&mut self, messages: u32) -> Result<Caller, Problem> {
        let caller = self.authenticate().await?;
        self.rate(&caller, messages).await?;
        Ok(caller)
    }

    /// Who calls, without asking the rates yet.
    pub async fn authenticate(&mut self) -> Result<Caller, Problem> {
        let signed = self.signed().await?;
        let (front, headers) = (&self.front, self.request.headers());
        let from = front.origin.of(self.request.peer_addr(), headers)?;
        let proof = signed.as_ref().map(|signed| signed.credential.clone());
        let caller = authenticate(front, headers, proof, self.environment, (self.call, from)).await;
        let mut caller = match caller {
            Ok(caller) => caller,
            Err(denied) => {
                self.customer = denied.customer;
                return Err(denied.problem);
            }
        };
        self.customer = Some(caller.account.customer.clone());
        self.simulate = simulate::asked(self.request.headers(), self.environment, self.call)?;
        if let Some(signed) = signed {
            self.spend(&mut caller, signed).await?;
        }
        Ok(caller)
    }

    /// The call has so many messages; if it is refused, so are they.
    pub fn has(&mut self, messages: usize) {
        self.messages = messages as u64;
    }

    /// Counts messages against the caller's rates.
    pub async fn rate(&mut self, caller: &Caller, messages: u32) -> Result<(), Problem> {
        let policies = &caller.profile.customer.rates;
        let verdict = match self.front.gate.rate(&caller.account, policies, messages).await {
            Ok(RateVerdict::Away(share)) => match caller.profile.customer.gate_policy {
                GatePolicy::Local => *share,
                GatePolicy::Open => return Ok(()),
                GatePolicy::Closed => return Err(Code::Unavailable.into()),
            },
            Ok(verdict) => verdict,
            // While the gate is away rates protect less; the ledger still decides about money.
            Err(error) => return self.front.without_gate(caller, &error),
        };
        match verdict {
            RateVerdict::Within(standing) => self.standing = standing,
            RateVerdict::Over(standing, wait) => {
                self.standing = standing;
                let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX).max(1);
                return Err(Problem::from(Code::RateLimited).retry_after(seconds));
            }
            // A share that is a share of another is none.
            RateVerdict::Away(_) => {}
        }
        Ok(())
    }

    /// Refuses an accept for which there is no room on the disk.
    pub fn room(&self) -> Result<(), Problem> {
        if (self.front.disk)() { Ok(()) } else { Err(Problem::from(Code::LowDisk).retry_after(30)) }
    }

    /// Reads the JSON body, once. A large one needs room, of which no customer has more than a part.
    pub async fn body(&mut self, caller: &Caller, limit: usize) -> Result<Body, Problem> {
        let most = limits::announced(self.request.headers(), limit)?;
        if let Some(body) = self.read.take() {
            return Ok(body);
        }
        let room = match most > limits::SMALL_BODY {
            true => Some(self.front.bodies.take(&caller.account, most).ok_or(Code::Overloaded)?),
            false => None,
        };
        let bytes = limits::body(&mut self.payload, most).await?;
        self.unread = false;
        Ok(Body { bytes, _room: room })
    }

    /// Reads a body of at most `most` bytes, once; who calls has a place for it.
    pub async fn raw(&mut self, most: usize) -> Result<Bytes, Problem> {
        let bytes = limits::body(&mut self.payload, most).await?;
        self.unread = false;
        Ok(bytes)
    }

    /// Reads a file, once. It needs room as large as it is said to be, of which no customer has more than a part.
    pub async fn upload(&mut self, caller: &Caller) -> Result<Body, Problem> {
        let most = limits::announced_file(self.request.headers(), LARGEST)?;
        if let Some(body) = self.read.take() {
            return Ok(body);
        }
        let room = self.front.uploads.take(&caller.account, most).ok_or(Code::Overloaded)?;
        let bytes = limits::file(&mut self.payload, most).await?;
        self.unread = false;
        Ok(Body { bytes, _room: Some(room) })
    }

    /// A place among those that ask the ledger.
    pub fn reading(&self, caller: &Caller) -> Result<Places, Problem> {
        self.front.reading.take(&caller.account, 1).ok_or_else(|| Code::TooManyReads.into())
    }

    /// The path of a message in the base that was called.
    pub fn location(&self, id: MessageId) -> String {
        let base = match self.environment {
            Environment::Live => "/v1.0",
            Environment::Sandbox => "/sandbox/v1.0",
        };
        format!("{base}/messages/{id}")
    }
}
