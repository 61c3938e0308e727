//! The header `Content-Digest` (RFC 9530): what a body must hash to.

use actix_web::http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The algorithms that are not deprecated (RFC 9530 section 5). Each that is given must fit; others are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

/// The header is no dictionary of byte sequences, or names no algorithm that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

impl Digests {
    /// What the head says of the body, if it says anything. A digest that would not be looked at is an error.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, Unreadable> {
        let lines: Vec<&[u8]> = headers.get_all(&CONTENT_DIGEST).map(|value| value.as_bytes()).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        // Lines of one field are one list (RFC 9110 section 5.3).
        let text = lines.join(&b", "[..]);
        let members: Dictionary = Parser::new(&text).parse().map_err(|_| Unreadable)?;
        let digests = Self { sha256: member(&members, "sha-256")?, sha512: member(&members, "sha-512")? };
        if digests == Self::default() { Err(Unreadable) } else { Ok(Some(digests)) }
    }

    /// Begins to hash a body.
    pub fn begin(&self) -> Hashing<'_> {
        Hashing {
            digests: self,
            sha256: self.sha256.map(|_| Sha256::new()),
            sha512: self.sha512.map(|_| Sha512::new()),
        }
    }

    /// Whether a body fits.
    pub fn fit(&self, body: &[u8]) -> bool {
        let mut hashing = self.begin();
        hashing.add(body);
        hashing.fits()
    }
}

fn member<const N: usize>(members: &Dictionary, name: &str) -> Result<Option<[u8; N]>, Unreadable> {
    match members.get(name) {
        None => Ok(None),
        Some(ListEntry::Item(item)) => match &item.bare_item {
            BareItem::ByteSequence(bytes) => bytes.as_slice().try_into().map(Some).map_err(|_| Unreadable),
            _ => Err(Unreadable),
        },
        Some(ListEntry::InnerList(_)) => Err(Unreadable),
    }
}

/// A body that is hashed as it comes.
pub struct Hashing<'a> {
    digests: &'a Digests,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Hashing<'_> {
    /// The next piece.
    pub fn add(&mut self, piece: &[u8]) {
        if let Some(hash) = &mut self.sha256 {
            hash.update(piece);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(piece);
        }
    }

    /// Whether what came fits every digest that was given.
    pub fn fits(self) -> bool {
        let sha256: Option<[u8; 32]> = self.sha256.map(|hash| hash.finalize().into());
        let sha512: Option<[u8; 64]> = self.sha512.map(|hash| hash.finalize().into());
        (sha256, sha512) == (self.digests.sha256, self.digests.sha512)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use data_encoding::BASE64;
    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn read(values: &[&str]) -> Result<Option<Digests>, Unreadable> {
        let request = values.iter().fold(TestRequest::default(), |request, value| {
            request.append_header(("content-digest", (*value).to_owned()))
        });
        Digests::of(request.to_http_request().headers())
    }

    // RFC 9530 appendix B.1, and section 2's second digest of the same content.
    const BODY: &[u8] = b"{\"hello\": \"world\"}\n";
    const SHA_256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA_512: &str =
        "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

    #[test]
    fn digests_are_read_as_the_rfc_writes_them() {
        for text in [SHA_256, SHA_512, &format!("{SHA_256}, {SHA_512}"), &format!("{SHA_512},md5=:AAAA:")] {
            let digests = read(&[text]).unwrap().unwrap();
            assert!(digests.fit(BODY), "{text}");
            assert!(!digests.fit(b"{\"hello\": \"worlD\"}\n"), "{text}");
            assert!(!digests.fit(b""), "{text}");
        }
        assert!(read(&[SHA_512, SHA_256]).unwrap().unwrap().fit(BODY), "lines of one field");
        // RFC 9530 appendix B.2: a message without content.
        let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        assert!(read(&[empty]).unwrap().unwrap().fit(b""));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn of_two_digests_both_must_fit() {
        let other = format!("sha-512=:{}:", BASE64.encode(&[7; 64]));
        assert!(!read(&[SHA_256, &other]).unwrap().unwrap().fit(BODY));
    }

    #[test]
    fn what_would_not_be_looked_at_is_refused() {
        for bad in [
            "",
            "sha-256",
            "sha-256=x",
            "sha-256=:AAAA:",
            "sha-512=:AAAA:",
            "sha-256=:****:",
            "sha-256=(:AAAA:)",
            "SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
            "md5=:AAAA:",
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:,",
        ] {
            assert_eq!(read(&[bad]), Err(Unreadable), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let request = TestRequest::default().append_header(("content-digest", text));
            if let Ok(Some(digests)) = Digests::of(request.to_http_request().headers()) {
                let _fits = digests.fit(&bytes);
            }
        }

        #[test]
        fn a_body_in_pieces_is_the_same_body(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..9)) {
            let whole = pieces.concat();
            let sha256 = Some(Sha256::digest(&whole).into());
            let digests = Digests { sha256, sha512: Some(Sha512::digest(&whole).into()) };
            let mut hashing = digests.begin();
            pieces.iter().for_each(|piece| hashing.add(piece));
            assert!(hashing.fits() && digests.fit(&whole));
        }
    }
}
