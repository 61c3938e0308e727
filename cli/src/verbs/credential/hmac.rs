//! Credentials that sign: a secret of 256 bits made here, or one that the customer brings.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::Context;
use naru_shared::{catalog::Entry, domain::CredentialKind, shared_secret::SharedSecret};
use zeroize::Zeroizing;

use super::{New, Shown, access};
use crate::{desk::Desk, exit::Failure};

/// More than any secret has in base64.
const MOST: u64 = 4_096;

/// Makes one, or takes the secret from a file, and shows it once.
pub(super) async fn add(desk: &Desk, new: New, secret_file: Option<&Path>) -> anyhow::Result<()> {
    let book = desk.book()?;
    let brought = secret_file.map(read).transpose()?;
    let secret = brought.clone().unwrap_or_else(SharedSecret::random);
    let sealer = desk.own_keyring().await?.sealer();
    let sealed = secret.seal(&sealer, &new.id, &new.customer, new.environment)?;
    let kind = CredentialKind::Hmac { secret: sealed };
    let credential = new.of(kind, desk.now());
    let hint = "one that was revoked included; give another id";
    book.add(vec![Entry::Credential(credential.clone())], hint).await?;
    let text = secret.to_base64();
    let shown = Shown { secret: brought.is_none().then_some(text.as_str()), ..Shown::of(&credential) };
    let mut lines = vec![
        ("credential", credential.id.to_string()),
        ("customer", credential.customer.to_string()),
        ("environment", credential.environment.as_str().to_owned()),
        ("scopes", credential.access.scopes.to_string()),
        ("addresses", access::addresses(&credential.access)),
        ("kind", "hmac: calls are signed (RFC 9421, hmac-sha256); the credential is their keyid".to_owned()),
    ];
    if brought.is_none() {
        lines.push(("secret", text.to_string()));
        lines.push(("", "32 bytes in base64: sign with the bytes; it is shown this once only".to_owned()));
    }
    desk.out.one(&shown, &lines)
}

/// The secret in a file, or in what is typed (`-`).
fn read(path: &Path) -> anyhow::Result<SharedSecret> {
    let mut text = Zeroizing::new(String::new());
    let from =
        |error: io::Error| anyhow::Error::from(error).context(format!("{} cannot be read", path.display()));
    if path == Path::new("-") {
        io::stdin().lock().take(MOST).read_to_string(&mut text).context("the secret cannot be read")?;
    } else {
        File::open(path).map_err(from)?.take(MOST).read_to_string(&mut text).map_err(from)?;
    }
    SharedSecret::import(&text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())).into())
}
