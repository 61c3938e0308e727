use proptest::prelude::{prop_assert_eq, proptest};

use super::*;

fn origin(by: ForwardedBy) -> Origin {
    let trusted = ["10.0.0.0/8", "fd00::/8"];
    Origin::new(trusted.iter().map(|network| network.parse().unwrap()).collect(), by)
}

/// What is made of a call by a peer with these lines.
fn of(by: ForwardedBy, peer: &str, lines: &[&str]) -> Result<Option<String>, Code> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        headers.append(FORWARDED, HeaderValue::from_str(line).unwrap());
    }
    let found = origin(by).of(peer.parse().ok(), &headers);
    found.map(|address| address.map(|address| address.to_string())).map_err(|problem| problem.code)
}

fn some(text: &str) -> Result<Option<String>, Code> {
    Ok(Some(text.to_owned()))
}

const BY_X: ForwardedBy = ForwardedBy::XForwardedFor;
const BY_F: ForwardedBy = ForwardedBy::Forwarded;
const PROXY: &str = "10.0.0.1:5000";

#[test]
fn who_is_not_trusted_is_not_believed_whatever_it_says() {
    for by in [BY_X, BY_F] {
        for line in ["203.0.113.9", "for=203.0.113.9", "%%%", "\"", "10.0.0.1"] {
            assert_eq!(of(by, "192.0.2.7:80", &[line]), some("192.0.2.7"), "{line}");
        }
    }
    assert_eq!(of(BY_X, "[::ffff:192.0.2.7]:80", &[]), some("192.0.2.7"), "mapped addresses are plain ones");
    assert_eq!(of(BY_X, "no address", &["203.0.113.9"]), Ok(None));
}

#[test]
fn the_right_most_who_is_not_trusted_is_who_called() {
    assert_eq!(of(BY_X, PROXY, &["203.0.113.9"]), some("203.0.113.9"));
    assert_eq!(of(BY_X, PROXY, &["198.51.100.1, 203.0.113.9,10.2.3.4"]), some("203.0.113.9"));
    assert_eq!(of(BY_X, PROXY, &["198.51.100.1", "203.0.113.9", "10.2.3.4"]), some("203.0.113.9"));
    assert_eq!(
        of(BY_X, PROXY, &["nonsense, 203.0.113.9"]),
        some("203.0.113.9"),
        "what a caller wrote is not read"
    );
    assert_eq!(of(BY_X, PROXY, &["203.0.113.9:4711"]), some("203.0.113.9"));
    assert_eq!(of(BY_X, PROXY, &["2001:db8::1, [fd00::1]:80"]), some("2001:db8::1"));
    assert_eq!(of(BY_X, PROXY, &["::ffff:203.0.113.9"]), some("203.0.113.9"));
    assert_eq!(of(BY_X, "[fd00::2]:5000", &["203.0.113.9"]), some("203.0.113.9"));
    assert_eq!(of(BY_X, PROXY, &["10.1.1.1, 10.2.2.2"]), some("10.1.1.1"), "all of them are ours: the first");
    assert_eq!(of(BY_X, PROXY, &[]), some("10.0.0.1"), "the proxy itself");
    assert_eq!(of(BY_X, PROXY, &["203.0.113.9, unknown"]), Ok(None));
}

#[test]
fn what_a_proxy_that_is_trusted_garbles_is_refused() {
    for line in [
        "",
        "203.0.113.9,",
        "203.0.113",
        "203.0.113.9:port",
        "[2001:db8::1",
        "[203.0.113.9]",
        "a, 1.2.3.4.5",
        "1.2.3.4 5",
    ] {
        assert_eq!(of(BY_X, PROXY, &[line]), Err(Code::MalformedForwarded), "{line}");
    }
    for line in [
        "",
        "203.0.113.9",
        "for=",
        "for",
        "for=\"203.0.113.9",
        "for=203.0.113.9;for=203.0.113.8",
        "for=203.0.113.9;",
        "for=203.0.113.9,",
        "for=\"[2001:db8::1\"",
        "for=203.0.113.9 proto=http",
        "=1.2.3.4",
    ] {
        assert_eq!(of(BY_F, PROXY, &[line]), Err(Code::MalformedForwarded), "{line}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    // The examples of section 4, and of section 7.1.
    assert_eq!(of(BY_F, PROXY, &["for=\"_gazonk\""]), Ok(None));
    assert_eq!(of(BY_F, PROXY, &["For=\"[2001:db8:cafe::17]:4711\""]), some("2001:db8:cafe::17"));
    assert_eq!(of(BY_F, PROXY, &["for=192.0.2.60;proto=http;by=203.0.113.43"]), some("192.0.2.60"));
    assert_eq!(of(BY_F, PROXY, &["for=192.0.2.43, for=198.51.100.17"]), some("198.51.100.17"));
    assert_eq!(of(BY_F, PROXY, &["for=192.0.2.43, for=\"[2001:db8:cafe::17]\""]), some("2001:db8:cafe::17"));
    assert_eq!(of(BY_F, PROXY, &["proto=http, for=192.0.2.43"]), some("192.0.2.43"));
    assert_eq!(of(BY_F, PROXY, &["for=192.0.2.43 ; proto=http , for=\"10.0.0.\\9:80\""]), some("192.0.2.43"));
    assert_eq!(of(BY_F, PROXY, &["proto=http"]), Ok(None), "it does not say for whom");
    // A caller that opens a quotation takes nothing away from what the proxy wrote in a line of its own.
    assert_eq!(of(BY_F, PROXY, &["for=\"", "for=192.0.2.43"]), some("192.0.2.43"));
    assert_eq!(of(BY_F, PROXY, &["for=\", for=192.0.2.43"]), Err(Code::MalformedForwarded));
}

proptest! {
    #[test]
    fn no_line_makes_it_panic_or_moves_an_untrusted_peer(line in "[ -~\t]{0,60}") {
        for by in [BY_X, BY_F] {
            prop_assert_eq!(of(by, "192.0.2.7:80", &[&line]), some("192.0.2.7"));
            let behind = of(by, PROXY, &[&line, if by == BY_X { "203.0.113.9" } else { "for=203.0.113.9" }]);
            prop_assert_eq!(behind, some("203.0.113.9"));
            drop(of(by, PROXY, &[&line]));
        }
    }
}
