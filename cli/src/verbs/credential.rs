//! `naru credential`: ways to authenticate. Secrets are shown once.

mod access;
mod hmac;
mod key;
mod password;
mod revoke;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use access::AccessArgs;
use clap::{Subcommand, ValueEnum};
use key::{KeyVerb, ShownKey};
use naru_shared::{
    catalog::{Entry, Kind},
    domain::{Access, Credential, CredentialId, CredentialKind, CustomerId, Environment, Timestamp},
};
use password::PasswordFrom;
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

/// A credential that is to be made, whatever proves it.
struct New {
    id: CredentialId,
    customer: CustomerId,
    environment: Environment,
    access: Access,
}

impl New {
    fn of(self, kind: CredentialKind, created_at: Timestamp) -> Credential {
        let Self { id, customer, environment, access } = self;
        Credential { id, customer, environment, kind, access, created_at, revoked_at: None, version: 0 }
    }
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
        /// What it may do, and from where
        #[command(flatten)]
        access: AccessArgs,
        /// With --kind basic: a file with a password that a person chose, `-` for standard input [default: one is made, which is faster to verify]
        #[arg(long, value_name = "FILE", value_parser = password::place)]
        password_file: Option<PasswordFrom>,
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
    /// Change what a credential may do, or from where; what is not given stays
    Set {
        /// Which
        id: CredentialId,
        /// What it may do, and from where
        #[command(flatten)]
        access: AccessArgs,
        /// It may do everything
        #[arg(long, conflicts_with = "scopes")]
        all_scopes: bool,
        /// It may be used from everywhere
        #[arg(long, conflicts_with = "addresses")]
        any_address: bool,
    },
    /// The keys of a credential that proves itself by tokens
    #[command(subcommand)]
    Key(KeyVerb),
    /// All credentials, or one customer's
    List {
        /// Whose
        customer: Option<CustomerId>,
    },
    /// End a credential for ever, within a second, and wait until every front has it
    Revoke {
        /// Which
        id: CredentialId,
        /// How long to wait for fronts, in seconds; 0: not at all
        #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
        wait: u64,
    },
}

/// A credential without its hash.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a CredentialId,
    customer: &'a CustomerId,
    environment: Environment,
    kind: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    chosen_password: bool,
    #[serde(flatten)]
    access: &'a Access,
    created_at: String,
    revoked_at: Option<String>,
    /// As fronts told; only where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Option<String>>,
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
            chosen_password: matches!(&c.kind, CredentialKind::Basic { password: Some(_), .. }),
            access: &c.access,
            created_at: c.created_at.to_string(),
            revoked_at: c.revoked_at.map(|at| at.to_string()),
            last_used_at: None,
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
        CredentialVerb::Add {
            customer,
            id,
            environment,
            access,
            kind,
            password_file,
            secret_file,
            source,
        } => {
            let misplaced = |why: &str| -> anyhow::Error { Failure::Usage(why.to_owned()).into() };
            if kind != Way::Basic && password_file.is_some() {
                return Err(misplaced("--password-file goes with --kind basic"));
            }
            if kind != Way::Hmac && secret_file.is_some() {
                return Err(misplaced(
                    "--secret-file goes with --kind hmac; a password that a person chose is given by --password-file",
                ));
            }
            if kind != Way::Jwt && !source.is_empty() {
                return Err(misplaced("keys are for --kind jwt"));
            }
            desk.book()?.customer(&customer).await?;
            let id = id.map_or_else(|| made_id(&customer), Ok)?;
            let new = New { id, customer, environment: environment.into(), access: access.made()? };
            match kind {
                Way::Basic => add(desk, new, password_file.as_ref()).await,
                Way::Hmac => hmac::add(desk, new, secret_file.as_deref()).await,
                Way::Jwt => add_jwt(desk, new, &source).await,
            }
        }
        CredentialVerb::Set { id, access, all_scopes, any_address } => {
            set(desk, &id, &access, all_scopes, any_address).await
        }
        CredentialVerb::Key(verb) => key::run(verb, desk).await,
        CredentialVerb::List { customer } => list(desk, customer.as_ref()).await,
        CredentialVerb::Revoke { id, wait } => revoke::run(desk, &id, Duration::from_secs(wait)).await,
    }
}

async fn add(desk: &Desk, new: New, password: Option<&PasswordFrom>) -> anyhow::Result<()> {
    let book = desk.book()?;
    let names = [new.id.to_string(), new.customer.to_string()];
    let chosen = password.map(|from| password::read(from, &[&names[0], &names[1]])).transpose()?;
    let environment = new.environment;
    let mut made = NewBasic::make(&desk.own_keyring().await?, new.id, new.customer, environment, desk.now());
    made.credential.access = new.access;
    if let Some(chosen) = &chosen {
        made.choose(&desk.keyring()?, chosen)?;
    }
    let hint = "one that was revoked included; give another id";
    book.add(vec![Entry::Credential(made.credential.clone())], hint).await?;
    // Whoever chose it knows it: it is not shown.
    let made_here = chosen.is_none().then_some(made.password.as_str());
    let shown = Shown { password: made_here, api_key: Some(&made.api_key), ..Shown::of(&made.credential) };
    let word = made_here.unwrap_or("PASSWORD");
    desk.out.one(
        &shown,
        &[
            ("credential", made.credential.id.to_string()),
            ("customer", made.credential.customer.to_string()),
            ("environment", environment.as_str().to_owned()),
            ("scopes", made.credential.access.scopes.to_string()),
            ("addresses", access::addresses(&made.credential.access)),
            ("password", made_here.unwrap_or("the one that was chosen").to_owned()),
            ("api key", made.api_key.clone()),
            ("for curl", format!("-u '{}:{word}:{}'", made.credential.id, made.api_key)),
            ("", "password and key are shown this once only".to_owned()),
        ],
    )
}

/// A credential that proves itself by tokens, `iss` of which is its id.
async fn add_jwt(desk: &Desk, new: New, source: &KeySource) -> anyhow::Result<()> {
    let book = desk.book()?;
    let made = key::made(desk, &new.id, source).await?;
    let kind = CredentialKind::Jwt { keys: together(Vec::new(), &made.keys)? };
    let credential = new.of(kind, desk.now());
    let hint = "one that was revoked included; give another id";
    book.add(vec![Entry::Credential(credential.clone())], hint).await?;
    let keys = ShownKey::new(&made);
    let mut lines = vec![
        ("credential", credential.id.to_string()),
        ("customer", credential.customer.to_string()),
        ("environment", credential.environment.as_str().to_owned()),
        ("scopes", credential.access.scopes.to_string()),
        ("addresses", access::addresses(&credential.access)),
        ("iss", credential.id.to_string()),
        ("aud", desk.config.ingress.token_audience.clone()),
    ];
    lines.extend(ShownKey::lines(&keys));
    desk.out.one(&Shown { keys, ..Shown::of(&credential) }, &lines)
}

async fn set(
    desk: &Desk,
    id: &CredentialId,
    access: &AccessArgs,
    all_scopes: bool,
    any_address: bool,
) -> anyhow::Result<()> {
    if access.is_empty() && !all_scopes && !any_address {
        return Err(Failure::Usage("nothing is to be changed".to_owned()).into());
    }
    let change = |entry| match entry {
        Entry::Credential(credential) if credential.revoked_at.is_some() => {
            Err(Failure::Conflict(format!("{id} is revoked: make another")).into())
        }
        Entry::Credential(mut credential) => {
            access.apply(&mut credential.access)?;
            if all_scopes {
                credential.access.scopes = Default::default();
            }
            if any_address {
                credential.access.addresses.clear();
            }
            Ok(Entry::Credential(credential))
        }
        other => Ok(other),
    };
    match desk.book()?.change(Kind::Credential, id.as_str(), change).await? {
        Entry::Credential(c) => desk.out.one(
            &Shown::of(&c),
            &[
                ("credential", c.id.to_string()),
                ("customer", c.customer.to_string()),
                ("scopes", c.access.scopes.to_string()),
                ("addresses", access::addresses(&c.access)),
            ],
        ),
        _ => Err(Failure::NotFound("credential", id.to_string()).into()),
    }
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
    let uses = desk.presence()?.last_uses().await?;
    let uses: BTreeMap<_, _> = uses.into_iter().map(|one| (one.credential, one.used_at)).collect();
    let now = desk.now();
    let shown: Vec<Shown<'_>> = credentials
        .iter()
        .map(|c| Shown { last_used_at: Some(uses.get(&c.id).map(ToString::to_string)), ..Shown::of(c) })
        .collect();
    let head = [
        "credential",
        "customer",
        "environment",
        "kind",
        "scopes",
        "addresses",
        "created",
        "last used",
        "revoked",
    ];
    desk.out.rows(&shown, &head, |c| {
        vec![
            c.id.to_string(),
            c.customer.to_string(),
            c.environment.as_str().to_owned(),
            c.kind.to_owned(),
            c.access.scopes.to_string(),
            access::addresses(c.access),
            c.created_at.clone(),
            revoke::last_used(uses.get(c.id).copied(), now),
            c.revoked_at.clone().unwrap_or_default(),
        ]
    })
}
