//! Calls that are refused for what only a look-up can tell: whose id is unknown, whose secret is another, whose credential was revoked.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use aws_lc_rs::hmac;
use serde::Serialize;

use crate::{
    gateway::Gateway,
    proving::{Shape, TokenKey, add_es256, add_hs256, add_signer, secret},
    wire::Wire,
};

/// Ids of each kind, used in turn: what one id has of its own (where it lies, whether it was asked for a moment ago) is not what a
/// kind has.
pub const IDS: usize = 8;

/// How long a verb may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(10);

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Id, password and key.
    Basic,
    /// A signature of the call.
    Hmac,
    /// A token that is signed with a secret.
    JwtHs256,
    /// A token that is signed with a private key.
    JwtEs256,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Basic, Self::Hmac, Self::JwtHs256, Self::JwtEs256];
}

/// Calls of one kind.
pub struct Kind {
    /// What is wrong with them.
    pub name: &'static str,
    make: Box<dyn Fn(usize) -> anyhow::Result<Vec<u8>>>,
    made: usize,
}

impl Kind {
    fn new(name: &'static str, make: impl Fn(usize) -> anyhow::Result<Vec<u8>> + 'static) -> Self {
        Self { name, make: Box::new(make), made: 0 }
    }

    /// The bytes of the next one.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn call(&mut self) -> anyhow::Result<Vec<u8>> {
        self.made += 1;
        (self.make)(self.made % IDS)
    }
}

/// The name of every kind whose id nobody has. It is there twice: what tells the two apart is no door, but a fault of the measurement.
const UNKNOWN: [(&str, char); 2] = [("unknown id", 'u'), ("unknown id, others", 'v')];

/// Makes credentials of one way, and calls for them that are all refused. All ids are equally long.
///
/// # Errors
/// If the gateway's program refuses, or a revocation is not in force in time.
pub fn kinds(gateway: &Gateway, way: Way) -> anyhow::Result<Vec<Kind>> {
    let host = gateway.listen();
    match way {
        Way::Basic => basic(gateway, host),
        Way::Hmac => hmac(gateway, host),
        Way::JwtHs256 => tokens(gateway, host, "h", add_hs256, || Ok(TokenKey::hs256())),
        Way::JwtEs256 => tokens(gateway, host, "e", add_es256, TokenKey::es256),
    }
}

fn shape(host: &str) -> Shape<'_> {
    Shape { host, method: "GET", path: "/v1.0/quota", body: "" }
}

/// As the setup makes them: `c10-live` and on.
fn user(index: usize, password: &str, key: &str) -> String {
    let id = format!("c{index}-live");
    let (password, key) = (password.replace("{}", &id), key.replace("{}", &id));
    format!("{id}:{password}:{key}")
}

fn basic(gateway: &Gateway, host: SocketAddr) -> anyhow::Result<Vec<Kind>> {
    let (password, key) = ("password-of-{}", "key-of-{}");
    let mut kinds = Vec::new();
    let mut add = |name, user: Box<dyn Fn(usize) -> String>| {
        let host = host.to_string();
        kinds.push(Kind::new(name, move |n| Ok(shape(&host).basic(&user(n)))));
    };
    for (name, letter) in UNKNOWN {
        add(name, Box::new(move |n| user(10 + n, password, key).replace('c', &letter.to_string())));
    }
    add("wrong key", Box::new(move |n| user(10 + n, password, "yek-of-{}")));
    add("wrong generated password", Box::new(move |n| user(10 + IDS + n, "drowssap-of-{}", key)));
    let revoked = move |n| user(10 + 2 * IDS + n, password, key);
    for n in 0..IDS {
        let call = || shape(&host.to_string()).basic(&revoked(n));
        revoke(gateway, &format!("c{}-live", 10 + 2 * IDS + n), call)?;
    }
    add("revoked", Box::new(revoked));
    // Right or wrong, the password is verified for nobody who has another key.
    let chosen = 10 + 3 * IDS;
    for n in 0..IDS {
        choose_password(gateway, &format!("c{}-live", chosen + n))?;
    }
    add("wrong key, chosen password", Box::new(move |n| user(chosen + n, password, "yek-of-{}")));
    Ok(kinds)
}

/// Makes a credential whose password a person chose, and waits until it is let in.
fn choose_password(gateway: &Gateway, id: &str) -> anyhow::Result<()> {
    const CHOSEN: &str = "four words nobody guesses";
    let file = gateway.home().join(format!("{id}.password"));
    fs::write(&file, CHOSEN)?;
    let file = file.display().to_string();
    let made = gateway.verb(&["credential", "add", "c0", "--id", id, "--password-file", &file, "--json"])?;
    let made: serde_json::Value = serde_json::from_str(&made)?;
    let key = made["api_key"].as_str().context("no API key")?;
    let user = format!("{id}:{CHOSEN}:{key}");
    becomes(gateway, id, 200, || shape(&gateway.listen().to_string()).basic(&user))
}

fn hmac(gateway: &Gateway, host: SocketAddr) -> anyhow::Result<Vec<Kind>> {
    let other = || secret(&naru_shared::keys::random_bytes::<32>());
    let mut kinds = Vec::new();
    let mut add = |name, letter: char, keys: Vec<hmac::Key>| {
        let host = host.to_string();
        kinds
            .push(Kind::new(name, move |n| Ok(shape(&host).signed(&format!("signs-{letter}{n}"), &keys[n]))));
    };
    for (name, letter) in UNKNOWN {
        add(name, letter, (0..IDS).map(|_| other()).collect());
    }
    let mut revoked = Vec::new();
    for n in 0..IDS {
        add_signer(gateway, &format!("c{n}"), &format!("signs-w{n}"))?;
        let id = format!("signs-r{n}");
        let key = add_signer(gateway, &format!("c{n}"), &id)?;
        revoke(gateway, &id, || shape(&host.to_string()).signed(&id, &key))?;
        revoked.push(key);
    }
    add("wrong secret", 'w', (0..IDS).map(|_| other()).collect());
    add("revoked", 'r', revoked);
    Ok(kinds)
}

fn tokens(
    gateway: &Gateway,
    host: SocketAddr,
    stem: &'static str,
    known: fn(&Gateway, &str, &str) -> anyhow::Result<TokenKey>,
    other: fn() -> anyhow::Result<TokenKey>,
) -> anyhow::Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    let mut add = |name, letter: char, keys: Vec<TokenKey>| {
        let host = host.to_string();
        kinds.push(Kind::new(name, move |n| {
            shape(&host).token(&format!("tokens-{stem}-{letter}{n}"), &keys[n])
        }));
    };
    let others = || (0..IDS).map(|_| other()).collect::<anyhow::Result<Vec<_>>>();
    for (name, letter) in UNKNOWN {
        add(name, letter, others()?);
    }
    let mut revoked = Vec::new();
    for n in 0..IDS {
        let customer = format!("c{n}");
        known(gateway, &customer, &format!("tokens-{stem}-w{n}"))?;
        let id = format!("tokens-{stem}-r{n}");
        let key = known(gateway, &customer, &id)?;
        revoke(gateway, &id, || shape(&host.to_string()).token(&id, &key).unwrap_or_default())?;
        revoked.push(key);
    }
    add("wrong signature", 'w', others()?);
    add("revoked", 'r', revoked);
    Ok(kinds)
}

/// Sees that a call is let in, revokes its credential, and waits until it is not.
fn revoke(gateway: &Gateway, id: &str, call: impl Fn() -> Vec<u8>) -> anyhow::Result<()> {
    becomes(gateway, id, 200, &call)?;
    gateway.verb(&["credential", "revoke", id])?;
    becomes(gateway, id, 401, &call)
}

/// Waits until calls of a credential are answered so.
fn becomes(gateway: &Gateway, id: &str, wanted: u16, call: impl Fn() -> Vec<u8>) -> anyhow::Result<()> {
    let mut wire = Wire::new(gateway.listen(), IN_FORCE);
    let deadline = Instant::now() + IN_FORCE;
    loop {
        let status = wire.exchange(&call())?.status;
        if status == wanted {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{id} is answered {status}, not {wanted}");
        thread::sleep(Duration::from_millis(5));
    }
}
