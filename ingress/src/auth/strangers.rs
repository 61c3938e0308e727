//! Who stands where nobody is known, so that it takes the same time to refuse who is unknown and who proves nothing.
//!
//! A credential that is found is read from memory that was not touched of late, unless the same id was asked for a moment ago. So there are many
//! strangers, and an id has always the same: one that is tried again and again finds its stranger as near as another finds its credential.

use std::{
    hash::{BuildHasher, RandomState},
    hint::black_box,
    sync::Arc,
};

use naru_shared::domain::{Access, Credential, CredentialKind, Environment, Timestamp};

/// So many of each way.
const STRANGERS: usize = 64;

/// Credentials that prove nothing.
#[derive(Debug)]
pub struct Strangers {
    /// Of this process, so that nobody can tell which ids have the same.
    state: RandomState,
    all: Vec<Arc<Credential>>,
}

impl Strangers {
    /// Makes them; `None` if one cannot be made.
    pub fn new(kind: impl Fn(&mut Credential) -> Option<CredentialKind>) -> Option<Self> {
        let stranger = |_| {
            let mut stranger = Credential {
                id: "nobody".parse().ok()?,
                customer: "nobody".parse().ok()?,
                environment: Environment::Live,
                kind: CredentialKind::Jwt { keys: Vec::new() },
                access: Access::default(),
                created_at: Timestamp::from_millis(0),
                revoked_at: Some(Timestamp::from_millis(0)),
                version: 0,
            };
            stranger.kind = kind(&mut stranger)?;
            Some(Arc::new(stranger))
        };
        let all = (0..STRANGERS).map(stranger).collect::<Option<Vec<_>>>()?;
        Some(Self { state: RandomState::new(), all })
    }

    /// Whoever was found, or the stranger of this id; and whether it was found.
    pub fn or_known(&self, known: Option<Arc<Credential>>, id: &str) -> Option<(Arc<Credential>, bool)> {
        // Known or not, it is looked for a stranger; and a name is compared, as it was where one was found.
        let at = black_box(usize::try_from(self.state.hash_one(id) % STRANGERS as u64).unwrap_or(0));
        match known {
            Some(known) => Some((known, true)),
            None => {
                let stranger = Arc::clone(self.all.get(at)?);
                black_box(stranger.id.as_str() == id);
                Some((stranger, false))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use naru_shared::domain::SecretHash;

    use super::*;

    #[test]
    fn an_id_has_always_the_same_stranger_and_ids_have_many() {
        let strangers =
            Strangers::new(|_| Some(CredentialKind::Basic { secret: SecretHash([7; 32]), password: None }))
                .unwrap();
        let of = |id: &str| strangers.or_known(None, id).unwrap();
        let used: BTreeSet<_> = (0..1_000).map(|n| Arc::as_ptr(&of(&format!("u{n}")).0)).collect();
        assert!(used.len() > STRANGERS / 2, "{}", used.len());
        assert!(Arc::ptr_eq(&of("a").0, &of("a").0));
        let (stranger, is_known) = of("nobody");
        assert!(!is_known && stranger.revoked_at.is_some());
        assert!(strangers.or_known(Some(stranger), "a").unwrap().1);
    }
}
