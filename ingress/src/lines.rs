//! The ends of a head's lines: CR and LF, and nothing else.
//!
//! The HTTP library takes a bare LF for the end of a line, as RFC 9112 section 2.2 lets it. Whoever stands in front may
//! not, and would see another head in the same bytes. Where a head begins behind a chunked body, or behind a call that
//! was not waited for, is known to the library alone: from there on a connection is not looked at.

/// How the head of a call begins that asks for an echo.
const ECHO: &[u8; 6] = b"TRACE ";

/// How far a connection is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lines {
    /// Of the bytes CR, LF, CR, LF that end a head, so many came last; 4: the head is over.
    ended: u8,
    /// Of [`ECHO`], so many bytes were the first of the head; more than it has: it begins otherwise.
    echo: u8,
    /// Bytes that came behind it.
    behind: usize,
    /// It is not known any more where a head begins.
    lost: bool,
}

impl Lines {
    /// A call is over whose body had so many bytes, if that is known: the next head begins.
    pub fn next(self, body: Option<usize>) -> Self {
        if self.is_over() {
            return self;
        }
        let lost = self.lost || self.ended < 4 || body != Some(self.behind);
        Self { lost, ..Self::default() }
    }

    /// Whether nothing more is read: behind a call for an echo, which has no body and is none of ours, stands nothing that was
    /// meant for us.
    const fn is_over(self) -> bool {
        !self.lost && self.ended == 4 && self.echo as usize == ECHO.len()
    }

    /// Looks at bytes that came, and tells how many of them may be read on. A bare LF becomes what no head may hold, so that the
    /// library refuses it.
    pub fn hold(&mut self, bytes: &mut [u8]) -> usize {
        let all = bytes.len();
        if self.lost {
            return all;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            if self.is_over() {
                return at;
            }
            self.begin(*byte);
            self.ended = match (self.ended, *byte) {
                (4, _) => {
                    self.behind += all - at;
                    return all;
                }
                (0, b'\r') | (1, b'\r') => 1,
                (2, b'\r') => 3,
                (before @ (1 | 3), b'\n') => before + 1,
                (_, b'\n') => {
                    *byte = 0;
                    0
                }
                (3, b'\r') => 1,
                _ => 0,
            };
        }
        all
    }

    /// Looks at a byte for how the head begins; empty lines before it are passed over (RFC 9112 section 2.2).
    fn begin(&mut self, byte: u8) {
        let at = usize::from(self.echo);
        match ECHO.get(at) {
            Some(&expected) if expected == byte => self.echo += 1,
            Some(_) if at == 0 && matches!(byte, b'\r' | b'\n') => {}
            Some(_) => self.echo = u8::MAX,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert_eq, proptest};

    use super::*;

    fn held(pieces: &[&[u8]]) -> Vec<u8> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            lines.hold(&mut bytes);
            all.extend(bytes);
        }
        all
    }

    #[test]
    fn the_next_head_is_known_to_begin_where_a_body_ended_and_nowhere_else() {
        let after = |bytes: &[u8]| {
            let mut lines = Lines::default();
            lines.hold(&mut bytes.to_vec());
            lines
        };
        let post = after(b"POST / HTTP/1.1\r\n\r\nbody");
        assert_eq!(post.next(Some(4)), Lines::default());
        for lost in [post.next(Some(3)), post.next(Some(5)), post.next(None), after(b"GET").next(Some(0))] {
            assert_eq!(lost.next(Some(0)), lost);
            let (mut lines, mut bytes) = (lost, *b"\nGET\n\n");
            lines.hold(&mut bytes);
            assert_eq!(&bytes, b"\nGET\n\n");
        }
    }

    #[test]
    fn behind_a_call_for_an_echo_nothing_is_read() {
        let (head, behind) = (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n");
        let mut together = [head.as_slice(), behind].concat();
        let mut lines = Lines::default();
        assert_eq!(lines.hold(&mut together), head.len());
        assert_eq!(lines.hold(&mut behind.to_vec()), 0);
        assert_eq!(lines.next(Some(0)).hold(&mut behind.to_vec()), 0, "nor when it was answered");
        for other in
            ["TRACER / HTTP/1.1\r\n\r\n", "trace / HTTP/1.1\r\n\r\n", "TRAC", "POST /TRACE HTTP/1.1\r\n\r\n"]
        {
            let mut bytes = [other.as_bytes(), behind].concat();
            assert_eq!(Lines::default().hold(&mut bytes), bytes.len(), "{other}");
        }
        // In pieces, behind an empty line, and behind another call.
        let mut lines = Lines::default();
        lines.hold(&mut behind.to_vec());
        lines = lines.next(Some(0));
        let pieces = [b"\r\nTR".as_slice(), b"ACE / HTTP/1.1\r\n", b"\r\nX"]
            .map(|piece| lines.hold(&mut piece.to_vec()));
        assert_eq!(pieces, [4, 16, 2]);
    }

    #[test]
    fn a_bare_line_feed_in_a_head_does_not_pass() {
        let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n{\n}\n";
        assert_eq!(held(&[good]), good);
        for bad in [
            b"GET / HTTP/1.1\nHost: a\r\n\r\n".as_slice(),
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"\nGET / HTTP/1.1\r\n",
        ] {
            assert!(held(&[bad]).contains(&0), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            text in "[a\r\n]{0,24}",
            cuts in prop::collection::vec(0usize..24, 0..4),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(held(&pieces), held(&[bytes]));
        }

        #[test]
        fn a_head_with_whole_line_ends_passes_as_it_is(lines in prop::collection::vec("[a-z: ]{1,9}", 1..5), body in ".{0,9}") {
            let text = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
            prop_assert_eq!(held(&[text.as_bytes()]), text.as_bytes());
        }
    }
}
