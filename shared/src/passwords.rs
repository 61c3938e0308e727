//! Passwords that people choose: Argon2id (RFC 9106), with a pepper of the deployment, so that whoever has the catalog alone
//! cannot try passwords against it.

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use zeroize::Zeroizing;

use crate::{
    domain::ChosenPassword,
    keys::{Secret, random_bytes},
};

/// Memory in KiB, passes and lanes of a new hash: what OWASP's Password Storage Cheat Sheet of 2024 asks for at least.
const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The most memory, in KiB, that a stored hash may ask for when it is verified.
const MOST_MEMORY_KIB: u32 = 64 * 1_024;

/// The fewest characters, and the most bytes.
const FEWEST: usize = 12;
const MOST_BYTES: usize = 1_024;

/// Different characters of a password, at least.
const DIFFERENT: usize = 5;

/// What is tried first by everybody, in lower case and without what is not a letter or a digit; a password that is one of them
/// over and over is no better.
const TRIVIAL: [&str; 14] = [
    "password",
    "passw0rd",
    "passphrase",
    "letmein",
    "iloveyou",
    "welcome",
    "changeme",
    "qwertyuiop",
    "qwerty",
    "asdfghjkl",
    "administrator",
    "admin",
    "secret",
    "naru",
];

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It is guessed too soon.
    #[error("a password has at least 12 characters")]
    Short,
    /// More than anybody types.
    #[error("a password has at most 1024 bytes")]
    Long,
    /// It could not be sent (RFC 7617 section 2).
    #[error("a password has no control characters")]
    Control,
    /// It is no secret.
    #[error("a password is not the credential's id, nor the customer's name")]
    Name,
    /// It is among the first that are tried.
    #[error("this password is among the first that are tried: choose another")]
    Trivial,
}

/// Hashing failed, or a stored hash cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct PasswordError(argon2::password_hash::Error);

/// Hashes and verifies passwords that people chose. Both take tens of milliseconds and 19 MiB: never on a thread that others
/// wait for.
#[derive(Clone)]
pub struct Passwords(Secret);

impl Passwords {
    /// Over the deployment's credential secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(secret.derive("chosen passwords"))
    }

    /// A password as it is to be kept, with a salt of its own.
    ///
    /// # Errors
    /// If it cannot be hashed: never, unless there is no memory.
    pub fn keep(&self, password: &str) -> Result<ChosenPassword, PasswordError> {
        let params =
            Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError(error.into()))?;
        let salt: [u8; 16] = random_bytes();
        let hash: PasswordHash =
            self.argon(params)?.hash_password_with_salt(password.as_bytes(), &salt).map_err(PasswordError)?;
        Ok(ChosenPassword(hash.to_string().into()))
    }

    /// Whether this is the password that was kept, by the parameters it was kept with.
    ///
    /// # Errors
    /// If what was kept is no hash, or asks for more than 64 MiB.
    pub fn verify(&self, kept: &ChosenPassword, password: &str) -> Result<bool, PasswordError> {
        let hash = PasswordHash::new(&kept.0)
            .map_err(|_| PasswordError(argon2::password_hash::Error::EncodingInvalid))?;
        if hash.salt.is_none() || hash.hash.is_none() {
            // Nothing to compare with: no password is wrong, the store is.
            return Err(PasswordError(argon2::password_hash::Error::EncodingInvalid));
        }
        let params = Params::try_from(&hash).map_err(PasswordError)?;
        if params.m_cost() > MOST_MEMORY_KIB {
            return Err(PasswordError(argon2::password_hash::Error::ParamsInvalid));
        }
        match self.argon(params)?.verify_password(password.as_bytes(), &hash) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(PasswordError(error)),
        }
    }

    fn argon(&self, params: Params) -> Result<Argon2<'_>, PasswordError> {
        Argon2::new_with_secret(self.0.bytes(), Algorithm::Argon2id, Version::V0x13, params)
            .map_err(|error| PasswordError(error.into()))
    }
}

/// Refuses a password that is guessed soon: shorter than 12 characters, one of the names that are known, or among those that
/// are tried first.
///
/// # Errors
/// Which of these it is.
pub fn refuse_weak(password: &str, names: &[&str]) -> Result<(), WeakPassword> {
    if password.len() > MOST_BYTES {
        return Err(WeakPassword::Long);
    }
    if password.chars().any(char::is_control) {
        return Err(WeakPassword::Control);
    }
    if password.chars().count() < FEWEST {
        return Err(WeakPassword::Short);
    }
    let plain = |text: &str| -> Zeroizing<String> {
        Zeroizing::new(text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
    };
    let bare = plain(password);
    if names.iter().any(|name| bare == plain(name)) {
        return Err(WeakPassword::Name);
    }
    let mut letters: Vec<char> = password.chars().flat_map(char::to_lowercase).collect();
    let runs = letters.windows(2).all(|pair| matches!(pair, [a, b] if follows(*a, *b)));
    letters.sort_unstable();
    letters.dedup();
    let core = bare.trim_end_matches(|c: char| c.is_ascii_digit());
    let trivial = TRIVIAL.iter().any(|word| !core.is_empty() && core.replace(word, "").is_empty());
    if runs || letters.len() < DIFFERENT || trivial {
        return Err(WeakPassword::Trivial);
    }
    Ok(())
}

/// Whether one character comes after another on a keyboard's row of digits or in the alphabet, either way round.
fn follows(a: char, b: char) -> bool {
    let step = u32::from(a).abs_diff(u32::from(b));
    step == 1 || (a, b) == ('9', '0') || (a, b) == ('0', '9')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_by_who_has_the_secret_and_by_nobody_else() {
        let passwords = Passwords::new(&Secret::new([7; 32]));
        let kept = passwords.keep("korrekt pferd: batterie").unwrap();
        assert!(kept.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.0);
        assert_eq!(passwords.verify(&kept, "korrekt pferd: batterie"), Ok(true));
        assert_eq!(passwords.verify(&kept, "korrekt pferd: batteriE"), Ok(false));
        assert_ne!(passwords.keep("korrekt pferd: batterie").unwrap(), kept, "a salt of its own");
        let others = Passwords::new(&Secret::new([8; 32]));
        assert_eq!(others.verify(&kept, "korrekt pferd: batterie"), Ok(false));
        assert!(!format!("{kept:?}").contains("argon2id"));
    }

    #[test]
    fn what_is_no_hash_or_asks_for_too_much_is_an_error_and_no_memory() {
        let passwords = Passwords::new(&Secret::new([7; 32]));
        for kept in [
            "",
            "x",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        ] {
            assert!(passwords.verify(&ChosenPassword(kept.into()), "x").is_err(), "{kept}");
        }
    }

    #[test]
    fn a_password_that_is_guessed_soon_is_refused() {
        let weak = |password: &str| refuse_weak(password, &["acme-live-12", "acme"]);
        assert_eq!(weak("korrekt pferd: batterie"), Ok(()));
        assert_eq!(weak("비밀번호는길고또길게만들자"), Ok(()));
        assert_eq!(weak("elevenchars"), Err(WeakPassword::Short));
        assert_eq!(weak("나나나나나나나나나나나"), Err(WeakPassword::Short), "eleven characters, not bytes");
        assert_eq!(weak("with\ttab in it"), Err(WeakPassword::Control));
        assert_eq!(weak(&"ab1x".repeat(257)), Err(WeakPassword::Long));
        assert_eq!(weak("ACME_live_12"), Err(WeakPassword::Name));
        for trivial in [
            "123456789012",
            "abcdefghijklm",
            "aaaaaaaaaaaa",
            "abababababab",
            "Password1234",
            "passwordpassword",
            "password-password-1",
            "QWERTYUIOP12",
            "adminadmin2026",
            "987654321098",
        ] {
            assert_eq!(weak(trivial), Err(WeakPassword::Trivial), "{trivial}");
        }
    }
}
