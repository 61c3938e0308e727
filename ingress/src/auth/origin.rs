//! From which address a call comes: its peer's, or what a proxy that is trusted says of whom it forwards.
//!
//! Every proxy adds the address that it saw at the right end, so the list is read from there, for as long as those who
//! wrote it are trusted. What stands further to the left was written by whoever called, and is not read at all.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use naru_shared::domain::IpNetwork;

use crate::{
    config::ForwardedBy,
    problem::{Code, Problem},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Whose word is believed about whom a call comes from.
pub struct Origin {
    trusted: Vec<IpNetwork>,
    by: ForwardedBy,
}

impl Origin {
    /// Proxies in these networks are believed, in this header.
    pub const fn new(trusted: Vec<IpNetwork>, by: ForwardedBy) -> Self {
        Self { trusted, by }
    }

    /// The address of whoever called; `None` where a proxy that is trusted does not tell it.
    pub fn of(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Result<Option<IpAddr>, Problem> {
        let Some(mut last) = peer.map(|peer| peer.ip().to_canonical()) else { return Ok(None) };
        if !self.trusts(last) {
            return Ok(Some(last));
        }
        let name = match self.by {
            ForwardedBy::XForwardedFor => X_FORWARDED_FOR,
            ForwardedBy::Forwarded => FORWARDED,
        };
        // A header that was sent in several lines is one list (RFC 9110 section 5.3).
        let lines: Vec<&HeaderValue> = headers.get_all(&name).collect();
        for line in lines.into_iter().rev() {
            let text = line.to_str().map_err(|_| malformed())?;
            for hop in self.hops(text)?.into_iter().rev() {
                let Some(address) = hop? else { return Ok(None) };
                if !self.trusts(address) {
                    return Ok(Some(address));
                }
                last = address;
            }
        }
        Ok(Some(last))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The hops of one line, in order. In `X-Forwarded-For` each stands for itself; a line of `Forwarded` may quote, and is read
    /// as a whole or not at all: else a quotation mark that a caller opened would swallow what a proxy wrote behind it.
    fn hops(&self, line: &str) -> Result<Vec<Result<Option<IpAddr>, Problem>>, Problem> {
        match self.by {
            ForwardedBy::XForwardedFor => {
                Ok(line.split(',').map(|hop| node(hop.trim_matches(OWS))).collect())
            }
            ForwardedBy::Forwarded => {
                Ok(elements(line)?.into_iter().map(|hop| hop.map_or(Ok(None), |hop| node(&hop))).collect())
            }
        }
    }
}

/// Optional white space (RFC 9110 section 5.6.3).
const OWS: [char; 2] = [' ', '\t'];

fn malformed() -> Problem {
    Code::MalformedForwarded.into()
}

/// A node (RFC 7239 section 6): an address with or without a port; `None` if it is `unknown` or a name that hides it.
fn node(text: &str) -> Result<Option<IpAddr>, Problem> {
    if text.eq_ignore_ascii_case("unknown") || (text.len() > 1 && text.starts_with('_')) {
        return Ok(None);
    }
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or_else(malformed)?;
            let plain = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            address.parse().ok().filter(|_| plain).map(IpAddr::V6)
        }
        None => match text.split_once(':') {
            Some((address, port)) if is_port(port) => address.parse().ok().map(IpAddr::V4),
            _ => text.parse().ok(),
        },
    };
    address.map(|address: IpAddr| Some(address.to_canonical())).ok_or_else(malformed)
}

/// Digits, or a name that hides them (RFC 7239 section 6.3).
fn is_port(text: &str) -> bool {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    let hidden = text.strip_prefix('_').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    digits || hidden
}

/// What each element of a line of `Forwarded` (RFC 7239 section 4) says after `for`.
fn elements(line: &str) -> Result<Vec<Option<String>>, Problem> {
    let mut rest = Reader(line);
    let mut all = Vec::new();
    loop {
        all.push(rest.element()?);
        rest.space();
        if rest.0.is_empty() {
            return Ok(all);
        }
        rest.expect(',')?;
        rest.space();
    }
}

/// What is left to read.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn element(&mut self) -> Result<Option<String>, Problem> {
        let (mut node, mut seen): (Option<String>, Vec<&str>) = (None, Vec::new());
        loop {
            let name = self.token()?;
            self.expect('=')?;
            let value = self.value()?;
            // Each parameter once at the most, in any case of letters.
            if seen.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(malformed());
            }
            seen.push(name);
            if name.eq_ignore_ascii_case("for") {
                node = Some(value);
            }
            self.space();
            match self.0.strip_prefix(';') {
                Some(rest) => self.0 = rest.trim_start_matches(OWS),
                None => return Ok(node),
            }
        }
    }

    fn space(&mut self) {
        self.0 = self.0.trim_start_matches(OWS);
    }

    fn expect(&mut self, wanted: char) -> Result<(), Problem> {
        self.0 = self.0.strip_prefix(wanted).ok_or_else(malformed)?;
        Ok(())
    }

    fn token(&mut self) -> Result<&'a str, Problem> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        if token.is_empty() { Err(malformed()) } else { Ok(token) }
    }

    /// A token or a quoted string. An address with a port, or of IPv6, must be quoted; many do not, and it is plain all the same.
    fn value(&mut self) -> Result<String, Problem> {
        let Some(rest) = self.0.strip_prefix('"') else {
            let end = self.0.find([',', ';', ' ', '\t', '"']).unwrap_or(self.0.len());
            let (value, rest) = self.0.split_at(end);
            self.0 = rest;
            return if value.is_empty() { Err(malformed()) } else { Ok(value.to_owned()) };
        };
        let mut value = String::new();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.0 = rest.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                '\\' => value.push(letters.next().ok_or_else(malformed)?.1),
                letter => value.push(letter),
            }
        }
        Err(malformed())
    }
}

#[cfg(test)]
mod tests;
