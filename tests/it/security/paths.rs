//! Paths that others may read otherwise than we do.

use naru_tests::customer::basic;

use super::stage::{Answer, Visit, must_be_alike, text};

/// Everything under a base that lies about where it leads: none of it is a route, whoever else would make one of it.
const STRANGE: &[(&str, &[&str])] = &[
    (
        "dots",
        &[
            "{base}/../v1.0/messages",
            "{base}/../..{other}/messages",
            "/sandbox/..{base}/messages",
            "{base}/messages/../messages",
            "{base}/./messages",
            "{base}/messages/.",
            "{base}/messages/..",
            "{base}/x/..{other}/messages",
            "/..{base}/messages",
            "{base}/..\\..{other}/messages",
        ],
    ),
    (
        "escaped dots",
        &[
            "{base}/%2e%2e/v1.0/messages",
            "{base}/messages/%2e%2e/messages",
            "{base}/%2E%2E%2Fv1.0/messages",
            "{base}/.%2e/v1.0/messages",
            "{base}/%2e/messages",
            "{base}/messages/%2e",
        ],
    ),
    (
        "escaped twice",
        &[
            "{base}/%252e%252e/v1.0/messages",
            "{base}/%256dessages",
            "{base}%252fmessages",
            "{base}/messages%2500",
            "{base}/%25%36%64essages",
            "{base}/%c0%ae%c0%ae/v1.0/messages",
        ],
    ),
    (
        "slashes twice",
        &[
            "/{base}/messages",
            "{base}//messages",
            "{base}/messages/",
            "{base}/messages//",
            "{base}/messages//batch",
            "//messages",
        ],
    ),
    (
        "semicolons",
        &[
            "{base}/messages;a=b",
            "{base};a=b/messages",
            "{base}/messages;/batch",
            "{base}/..;/v1.0/messages",
            "{base}/messages%3b",
        ],
    ),
    (
        "escaped slashes",
        &[
            "{base}%2fmessages",
            "{base}%2Fmessages",
            "{base}/messages%2fbatch",
            "{base}/messages%2f",
            "{base}/messages%5cbatch",
            "%2f{bare}/messages",
        ],
    ),
    (
        "NUL and the like",
        &[
            "{base}/messages%00",
            "{base}/messages%00.json",
            "{base}%00/messages",
            "{base}/messages%0d%0aX-Odd:%20a",
            "{base}/messages%20",
            "{base}/messages%ff",
            "{base}/messages%",
            "{base}/messages%2",
            "{base}/messages%zz",
        ],
    ),
    ("capitals", &["{base}/MESSAGES", "{upper}/messages"]),
];

/// Such paths below a base.
fn strange(kind: &str, base: &str, other: &str) -> Vec<String> {
    let (_, paths) = STRANGE.iter().find(|(name, _)| *name == kind).unwrap();
    let written = |path: &&str| {
        let path = path.replace("{base}", base).replace("{other}", other);
        path.replace("{bare}", &base[1..]).replace("{upper}", &base.to_uppercase())
    };
    paths.iter().map(written).collect()
}

fn call(method: &str, path: &str, user: &str) -> Vec<u8> {
    let body = if method == "POST" { text("strayed").to_string() } else { String::new() };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: naru\r\nAuthorization: {}\r\n", basic(user));
    let own = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    format!("{head}{own}{body}").into_bytes()
}

/// Whichever user calls, no such path is a route.
fn no_route(kind: &str) {
    let visit = Visit::begin();
    let mut told: Vec<(String, Answer)> = Vec::new();
    for (base, other) in [("/v1.0", "/sandbox/v1.0"), ("/sandbox/v1.0", "/v1.0")] {
        let paths = strange(kind, base, other);
        for (path, user) in paths.iter().flat_map(|path| [(path, visit.live()), (path, visit.sandbox())]) {
            for method in ["POST", "GET", "DELETE"] {
                let case = format!("{method} {path} by {}", user.split(':').next().unwrap());
                let answer = visit.answer(&case, &call(method, path, user));
                match answer.status {
                    // What stands for a message's id may be anything, and is none then.
                    405 => assert!(method == "POST" && path.contains("/messages/"), "{case}"),
                    // The HTTP library knows no address that does not begin with a slash.
                    400 => assert!(answer.body.is_empty() && !path.starts_with('/'), "{case}"),
                    // Who is of the other environment is told so before any id is looked at.
                    403 => {
                        assert!(
                            path.contains("/messages/") && answer.code() == "wrong-environment",
                            "{case}"
                        );
                    }
                    _ => told.push((case, answer)),
                }
            }
        }
    }
    for (case, answer) in &told {
        assert_eq!((answer.status, answer.code().as_str()), (404, "not-found"), "{case}");
    }
    must_be_alike(&told);
    visit.made(0, 0);
}

#[test]
fn dots_lead_nowhere() {
    no_route("dots");
}

#[test]
fn escaped_dots_lead_nowhere() {
    no_route("escaped dots");
}

#[test]
fn what_is_escaped_twice_leads_nowhere() {
    no_route("escaped twice");
}

#[test]
fn slashes_twice_lead_nowhere() {
    no_route("slashes twice");
}

#[test]
fn semicolons_lead_nowhere() {
    no_route("semicolons");
}

#[test]
fn escaped_slashes_lead_nowhere() {
    no_route("escaped slashes");
}

#[test]
fn a_nul_and_the_like_lead_nowhere() {
    no_route("NUL and the like");
}

#[test]
fn capitals_lead_nowhere() {
    no_route("capitals");
}
