//! `naru credential`: ways to authenticate. Secrets are shown once.

mod hmac;
mod key;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use key::{KeyVerb, ShownKey};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Credential, CredentialId, CredentialKind, CustomerId, Environment},
};
use serde::Serialize;

use crate::{
    desk::Desk,
    exit::Failure,
    secrets::{NewBasic, suffix},
    token_keys::{KeySource, together},
};

/// `live` or `sandbox`, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// Real deliveries, really paid for
    Live,
    /// Simulated, never charged
    Sandbox,
}

impl From<Place> for Environment {
    fn from(place: Place) -> Self {
        match place {
            Place::Live => Self::Live,
            Place::Sandbox => Self::Sandbox,
        }
    }
}

/// How calls prove themselves, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Id, password and API key in each call (RFC 7617)
    Basic,
    /// Calls are signed with a shared secret (RFC 9421, hmac-sha256)
    Hmac,
    /// Calls bring tokens that the credential's owner signs (RFC 7519)
    Jwt,
}

/// What can be done to credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialVerb {
    /// Make a credential; what it must keep secret is shown once
    Add {
        /// Whose
        customer: CustomerId,
        /// Where it opens
        #[arg(long, value_enum, default_value_t = Place::Live)]
        environment: Place,
        /// Its public half [default: made from the customer's name]
        #[arg(long)]
        id: Option<CredentialId>,
        /// How its calls prove themselves
        #[arg(long, value_enum, default_value_t = Way::Basic)]
        kind: Way,
        /// With --kind hmac: a secret of the customer's own, 32 to 128 random bytes in base64; - reads it from the input
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        /// The keys of one that proves itself by tokens
        #[command(flatten)]
        source: KeySource,
    },
    /// The keys of a credential that proves itself by tokens
    #[command(subcommand)]
    Key(KeyVerb),
    /// All credentials, or one customer's
    List {
        /// Whose
        customer: Option<CustomerId>,
    },
    /// End a credential for ever, within a second
    Revoke {
        /// Which
        id: CredentialId,
    },
}

/// A credential without its hash.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a CredentialId,
    customer: &'a CustomerId,
    environment: Environment,
    kind: &'static str,
    created_at: String,
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<ShownKey<'a>>,
}

impl<'a> Shown<'a> {
    fn of(c: &'a Credential) -> Self {
        Self {
            id: &c.id,
            customer: &c.customer,
            environment: c.environment,
            kind: c.kind.as_str(),
            created_at: c.created_at.to_string(),
            revoked_at: c.revoked_at.map(|at| at.to_string()),
            password: None,
            api_key: None,
            secret: None,
            keys: Vec::new(),
        }
    }
}

/// Does it.
///
/// # Errors
/// See the exit codes.
pub async fn run(verb: CredentialVerb, desk: &Desk) -> anyhow::Result<()> {
    match verb {
        CredentialVerb::Add { customer, environment, id, kind, secret_file, source } => {
            let misplaced = |why: &str| -> anyhow::Error { Failure::Usage(why.to_owned()).into() };
            if kind != Way::Hmac && secret_file.is_some() {
                return Err(misplaced("--secret-file goes with --kind hmac: Naru makes passwords itself"));
            }
            if kind != Way::Jwt && !source.is_empty() {
                return Err(misplaced("keys are for --kind jwt"));
            }
            desk.book()?.customer(&customer).await?;
            let id = id.map_or_else(|| made_id(&customer), Ok)?;
            match kind {
                Way::Basic => add(desk, customer, environment.into(), id).await,
                Way::Hmac => hmac::add(desk, customer, environment.into(), id, secret_file.as_deref()).await,
                Way::Jwt => add_jwt(desk, customer, environment.into(), id, &source).await,
            }
        }
        CredentialVerb::Key(verb) => key::run(verb, desk).await,
        CredentialVerb::List { customer } => list(desk, customer.as_ref()).await,
        CredentialVerb::Revoke { id } => revoke(desk, &id).await,
    }
}

async fn add(
    desk: &Desk,
    customer: CustomerId,
    environment: Environment,
    id: CredentialId,
) -> anyhow::Result<()> {
    let book = desk.book()?;
    let made = NewBasic::make(&desk.own_keyring().await?, id, customer, environment, desk.now());
    let hint = "one that was revoked included; give another id";
    book.add(vec![Entry::Credential(made.credential.clone())], hint).await?;
    let shown =
        Shown { password: Some(&made.password), api_key: Some(&made.api_key), ..Shown::of(&made.credential) };
    desk.out.one(
        &shown,
        &[
            ("credential", made.credential.id.to_string()),
            ("customer", made.credential.customer.to_string()),
            ("environment", environment.as_str().to_owned()),
            ("password", made.password.clone()),
            ("api key", made.api_key.clone()),
            ("for curl", format!("-u '{}'", made.user())),
            ("", "password and key are shown this once only".to_owned()),
        ],
    )
}

/// A credential that proves itself by tokens, `iss` of which is its id.
async fn add_jwt(
    desk: &Desk,
    customer: CustomerId,
    environment: Environment,
    id: CredentialId,
    source: &KeySource,
) -> anyhow::Result<()> {
    let book = desk.book()?;
    let made = key::made(desk, &id, source).await?;
    let kind = CredentialKind::Jwt { keys: together(Vec::new(), &made.keys)? };
    let (created_at, revoked_at, version) = (desk.now(), None, 0);
    let credential = Credential { id, customer, environment, kind, created_at, revoked_at, version };
    let hint = "one that was revoked included; give another id";
    book.add(vec![Entry::Credential(credential.clone())], hint).await?;
    let keys = ShownKey::new(&made);
    let mut lines = vec![
        ("credential", credential.id.to_string()),
        ("customer", credential.customer.to_string()),
        ("environment", environment.as_str().to_owned()),
        ("iss", credential.id.to_string()),
        ("aud", desk.config.ingress.token_audience.clone()),
    ];
    lines.extend(ShownKey::lines(&keys));
    desk.out.one(&Shown { keys, ..Shown::of(&credential) }, &lines)
}

fn made_id(customer: &CustomerId) -> anyhow::Result<CredentialId> {
    let room = 40 - 9;
    let name = customer.as_str();
    let head = &name[..name.len().min(room)];
    Ok(format!("{head}-{}", suffix()).parse()?)
}

async fn list(desk: &Desk, customer: Option<&CustomerId>) -> anyhow::Result<()> {
    let book = desk.book()?;
    if let Some(id) = customer {
        book.customer(id).await?;
    }
    let entries = book.all(Kind::Credential, "").await?;
    let credentials: Vec<Credential> = entries
        .into_iter()
        .filter_map(|e| if let Entry::Credential(c) = e { Some(c) } else { None })
        .filter(|c| customer.is_none_or(|id| c.customer == *id))
        .collect();
    let shown: Vec<Shown<'_>> = credentials.iter().map(Shown::of).collect();
    desk.out.rows(&shown, &["credential", "customer", "environment", "kind", "created", "revoked"], |c| {
        vec![
            c.id.to_string(),
            c.customer.to_string(),
            c.environment.as_str().to_owned(),
            c.kind.to_owned(),
            c.created_at.clone(),
            c.revoked_at.clone().unwrap_or_default(),
        ]
    })
}

async fn revoke(desk: &Desk, id: &CredentialId) -> anyhow::Result<()> {
    let now = desk.now();
    let tombstone = |entry| match entry {
        Entry::Credential(mut credential) => {
            credential.revoked_at.get_or_insert(now);
            Ok(Entry::Credential(credential))
        }
        other => Ok(other),
    };
    match desk.book()?.change(Kind::Credential, id.as_str(), tombstone).await? {
        Entry::Credential(c) => desk.out.said(&Shown::of(&c), &format!("{id} is revoked")),
        _ => Err(Failure::NotFound("credential", id.to_string()).into()),
    }
}
