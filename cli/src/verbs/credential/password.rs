//! A password that a person chose, read from a file or from standard input: never from the command line, which others see.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use naru_shared::passwords::refuse_weak;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// More than any password has.
const MOST: u64 = 4_096;

/// Where a password is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordFrom {
    /// A file; its first line is the password.
    File(PathBuf),
    /// Standard input, likewise.
    Input,
}

/// As it is written on the command line: a path, or `-`.
///
/// # Errors
/// Never.
pub fn place(text: &str) -> Result<PasswordFrom, std::convert::Infallible> {
    Ok(if text == "-" { PasswordFrom::Input } else { PasswordFrom::File(Path::new(text).to_owned()) })
}

/// The password, if it is one and is not among those that are guessed soon. `names` are no secrets.
///
/// # Errors
/// If it cannot be read, or is too weak.
pub fn read(from: &PasswordFrom, names: &[&str]) -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MOST).unwrap_or(0) + 1));
    let read = match from {
        PasswordFrom::File(path) => {
            let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
            file.take(MOST + 1).read_to_end(&mut bytes)
        }
        PasswordFrom::Input => io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes),
    };
    read.context("the password cannot be read")?;
    let text =
        str::from_utf8(&bytes).map_err(|_| Failure::Usage("a password is text in UTF-8".to_owned()))?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    refuse_weak(line, names).map_err(|weak| Failure::Usage(weak.to_string()))?;
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_one_line_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let from = PasswordFrom::File(path.clone());
        for (text, expected) in [
            ("korrekt: pferd batterie\n", Some("korrekt: pferd batterie")),
            ("korrekt: pferd batterie\r\n", Some("korrekt: pferd batterie")),
            (" korrekt pferd batterie ", Some(" korrekt pferd batterie ")),
            ("two lines of text\nare no password\n", None),
            ("short\n", None),
            ("", None),
        ] {
            std::fs::write(&path, text).unwrap();
            let read = read(&from, &[]).ok();
            assert_eq!(read.as_ref().map(|read| read.as_str()), expected, "{text:?}");
        }
        std::fs::write(&path, vec![b'a'; 5_000]).unwrap();
        assert!(read(&from, &[]).is_err());
        std::fs::write(&path, b"\xff\xfe not in UTF-8 at all").unwrap();
        assert!(read(&from, &[]).is_err());
        assert_eq!(place("-"), Ok(PasswordFrom::Input));
    }
}
