//! Where a secret, a certificate or a key comes from. What an operator writes into a description, or imports with it, is sealed before
//! the catalog sees it; a file and a variable are read by the workers.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};

use naru_shared::sealing::Sealer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Description, ProviderError};

/// The longest secret, certificates included.
const BYTES: u64 = 64 * 1_024;

/// What begins our own variables: among them are the secrets of the deployment itself.
const OURS: &str = "NARU_";

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Source {
    /// As it is: only in what an operator writes.
    Plain(String),
    Named(Named),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Named {
    /// Sealed for its route.
    Sealed(String),
    /// A file of the workers' machines.
    File(PathBuf),
    /// A variable of the workers' environment.
    Env(String),
    /// A file of the operator's machine: only in what an operator writes.
    Import(PathBuf),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Opened secrets, by where they stand in the description.
pub(super) type Opened = BTreeMap<String, Zeroizing<String>>;

impl Source {
    pub(super) const fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Named(Named::File(path)) => Some(path),
            _ => None,
        }
    }

    /// What may be seen of it.
    fn shown(&self) -> String {
        match self {
            Self::Plain(_) | Self::Named(Named::Sealed(_)) => "sealed".to_owned(),
            Self::Named(Named::File(path)) => format!("the file {}", path.display()),
            Self::Named(Named::Env(name)) => format!("the variable {name}"),
            Self::Named(Named::Import(path)) => format!("a copy of {}", path.display()),
        }
    }

    /// Whether workers could ever open it.
    pub(super) fn check(&self, name: &str) -> Result<(), ProviderError> {
        let wrong = |why: &str| Err(ProviderError::Source(name.to_owned(), why.to_owned()));
        match self {
            Self::Named(Named::File(path)) if !path.is_absolute() => wrong("the path of a file is absolute"),
            Self::Named(Named::Env(variable)) if variable.starts_with(OURS) => {
                wrong("variables of Naru's own are not sent to anybody")
            }
            Self::Named(Named::Env(variable)) if variable.is_empty() || variable.contains(['=', '\0']) => {
                wrong("this is no name of a variable")
            }
            _ => Ok(()),
        }
    }

    fn open(
        &self,
        name: &str,
        place: &str,
        sealer: Option<&Sealer>,
    ) -> Result<Zeroizing<String>, ProviderError> {
        self.check(name)?;
        let wrong = |why: String| ProviderError::Source(name.to_owned(), why);
        match self {
            Self::Plain(_) | Self::Named(Named::Import(_)) => Err(wrong("it was not sealed".to_owned())),
            Self::Named(Named::Sealed(sealed)) => {
                let sealer = sealer.ok_or_else(|| wrong("there is nothing to open it with".to_owned()))?;
                sealer.open(place, sealed).map_err(|error| wrong(error.to_string()))
            }
            Self::Named(Named::Env(variable)) => env::var(variable)
                .map(Zeroizing::new)
                .map_err(|_| wrong(format!("there is no variable {variable}"))),
            Self::Named(Named::File(path)) => {
                read(path).map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))
            }
        }
    }

    fn seal(&mut self, name: &str, place: &str, sealer: &Sealer) -> Result<(), ProviderError> {
        self.check(name)?;
        let wrong = |why: String| ProviderError::Source(name.to_owned(), why);
        let plain = match self {
            Self::Plain(text) => Zeroizing::new(std::mem::take(text)),
            Self::Named(Named::Import(path)) => {
                read(path).map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))?
            }
            Self::Named(Named::Sealed(_)) => {
                return Err(wrong("a sealed secret cannot be brought along".to_owned()));
            }
            Self::Named(Named::File(_) | Named::Env(_)) => return Ok(()),
        };
        if plain.is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        let sealed = sealer.seal(place, &plain).map_err(|error| wrong(error.to_string()))?;
        *self = Self::Named(Named::Sealed(sealed));
        Ok(())
    }
}

/// The text of a file; a line's end at its end belongs to the file, not to the secret.
fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    fs::File::open(path)?.take(BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is longer than 64 KiB"));
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    Ok(text)
}

impl Description {
    /// Seals what stands in it or is imported, for a route.
    ///
    /// # Errors
    /// If a secret is empty, or a file cannot be read.
    pub fn seal(&mut self, route: &str, sealer: &Sealer) -> Result<(), ProviderError> {
        let place = place(route);
        self.sources().into_iter().try_for_each(|(name, source)| source.seal(&name, &place, sealer))
    }

    /// What may be seen of its secrets: where each comes from.
    #[must_use]
    pub fn origins(&mut self) -> Vec<(String, String)> {
        self.sources().into_iter().map(|(name, source)| (name, source.shown())).collect()
    }

    /// The same without its secrets, not even sealed: to be looked at.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for (_, source) in self.sources() {
            if source.file().is_none() && !matches!(source, Source::Named(Named::Env(_))) {
                *source = Source::Named(Named::Sealed("…".to_owned()));
            }
        }
        self
    }

    /// Opens what is sealed, and leaves what only workers have.
    pub(super) fn open_sealed(&mut self, route: &str, sealer: &Sealer) -> Result<Opened, ProviderError> {
        let place = place(route);
        let sealed = |source: &Source| matches!(source, Source::Named(Named::Sealed(_)));
        let all = self.sources().into_iter().filter(|(_, source)| sealed(source));
        all.map(|(name, source)| Ok((name.clone(), source.open(&name, &place, Some(sealer))?))).collect()
    }

    /// Opens everything.
    pub(super) fn open(&mut self, route: &str, sealer: Option<&Sealer>) -> Result<Opened, ProviderError> {
        let place = place(route);
        let open = |(name, source): (String, &mut Source)| {
            let opened = source.open(&name, &place, sealer)?;
            if opened.is_empty() {
                Err(ProviderError::Source(name, "it is empty".to_owned()))
            } else {
                Ok((name, opened))
            }
        };
        self.sources().into_iter().map(open).collect()
    }
}

fn place(route: &str) -> String {
    format!("route/{route}")
}
