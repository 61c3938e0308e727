//! The signature base: the lines that were signed (RFC 9421 section 2.5).

use std::borrow::Cow;

use actix_web::{HttpRequest, http::header::HOST};
use sfv::{InnerList, ListEntry, ListSerializer};

use super::{components::Components, input::malformed};
use crate::problem::Problem;

/// A line for each component, and one for the parameters, written anew as the RFC writes them.
pub(super) fn build(request: &HttpRequest, covered: &Components, list: InnerList) -> Result<String, Problem> {
    let mut base = String::new();
    for name in covered.names() {
        let value = if name.starts_with('@') { derived(request, name)? } else { field(request, name)? };
        base.push('"');
        base.push_str(name);
        base.push_str("\": ");
        base.push_str(&value);
        base.push('\n');
    }
    let mut parameters = ListSerializer::new();
    parameters.members([&ListEntry::InnerList(list)]);
    let parameters = parameters.finish().unwrap_or_default();
    base.push_str("\"@signature-params\": ");
    base.push_str(&parameters);
    Ok(base)
}

/// Sections 2.2.1, 2.2.3, 2.2.5, 2.2.6 and 2.2.7: path and query as they came.
fn derived<'a>(request: &'a HttpRequest, name: &str) -> Result<Cow<'a, str>, Problem> {
    let uri = request.uri();
    match name {
        "@method" => Ok(request.method().as_str().into()),
        "@authority" => authority(request).map(Cow::Owned),
        "@path" => Ok(if uri.path().is_empty() { "/" } else { uri.path() }.into()),
        "@query" => Ok(format!("?{}", uri.query().unwrap_or_default()).into()),
        "@request-target" => Ok(uri.path_and_query().map_or("/", |target| target.as_str()).into()),
        _ => Err(malformed("A component is none that is verified here.")),
    }
}

/// Lower case, without the port that need not be said (section 2.2.3). Whether it is that of `http` or of `https` cannot be known where
/// TLS ends in front of this server: neither is said.
fn authority(request: &HttpRequest) -> Result<String, Problem> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let plain = |text: &str| {
        let text = text.trim().to_ascii_lowercase();
        let cut =
            [":443", ":80", ":"].into_iter().find_map(|port| text.strip_suffix(port)).map(str::to_owned);
        cut.unwrap_or(text)
    };
    let host = host.map(plain).filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| malformed("The call has no header Host that can be signed."))?;
    // A whole address in the first line says the same (RFC 9112 section 3.2.2), or one of the two is a lie.
    match request.uri().authority() {
        Some(other) if plain(other.as_str()) != host => {
            Err(malformed("The address of the call and its header Host differ."))
        }
        _ => Ok(host),
    }
}

/// All lines of a header, each without spaces around it, joined (section 2.1).
fn field(request: &HttpRequest, name: &str) -> Result<Cow<'static, str>, Problem> {
    let mut value: Option<String> = None;
    for line in request.headers().get_all(name) {
        let line = line.to_str().map_err(|_| malformed(format!("The header {name} is not ASCII.")))?;
        let line = line.trim_matches([' ', '\t']);
        match &mut value {
            None => value = Some(line.to_owned()),
            Some(before) => {
                before.push_str(", ");
                before.push_str(line);
            }
        }
    }
    let value =
        value.ok_or_else(|| malformed(format!("The signature covers {name}, which the call lacks.")))?;
    Ok(value.into())
}
