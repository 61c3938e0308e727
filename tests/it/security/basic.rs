//! Passwords and keys that are wrong, whoever they are for.

use std::time::Duration;

use naru_tests::customer::basic;

use super::room::{AT_ONCE, Room, lasting};

fn call(header: &str) -> Vec<u8> {
    format!("GET /v1.0/quota HTTP/1.1\r\nHost: localhost\r\nAuthorization: {header}\r\n\r\n").into_bytes()
}

#[test]
fn whoever_is_refused_is_told_the_same() {
    let room = Room::open();
    let [id, password, key] = room.user().split(':').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let sandbox = &room.gateway.users.sandbox[0];
    let first = room.refuses("nobody", &call(&basic("nobody:pw:key")), &[401], false);
    assert_eq!(first.code(), "unauthorized");
    for (case, user) in [
        ("another password", format!("{id}:wrong:{key}")),
        ("another key", format!("{id}:{password}:wrong")),
        ("both", format!("{id}:wrong:wrong")),
        ("a part of the password", format!("{id}:{}:{key}", &password[..password.len() - 1])),
        ("more than the password", format!("{id}:{password}x:{key}")),
        ("other letters", format!("{id}:{}:{key}", password.to_uppercase())),
        ("an id in other letters", format!("{}:{password}:{key}", id.to_uppercase())),
        ("the secrets of the sandbox", sandbox.replacen("sandbox", "live", 1)),
        ("an id that is a path", format!("../{id}:{password}:{key}")),
        ("an id for a database", format!("{id}' OR '1'='1:{password}:{key}")),
    ] {
        let answer = room.refuses(case, &call(&basic(&user)), &[401], false);
        assert_eq!(lasting(&answer), lasting(&first), "{case}");
        let head = |answer: &super::room::Answer| {
            let lines = answer
                .head
                .lines()
                .filter(|line| !line.starts_with("date") && !line.starts_with("request-id"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(head(&answer), head(&first), "{case}");
    }
}

#[test]
fn what_is_no_credential() {
    let room = Room::open();
    let coded = |bytes: &[u8]| format!("Basic {}", data_encoding::BASE64.encode(bytes));
    let own = basic(room.user());
    for (case, header) in [
        ("no colon", coded(b"acme")),
        ("one colon", coded(b"acme:password")),
        ("nothing before the colon", coded(b":pw:key")),
        ("no base64", "Basic ***".to_owned()),
        ("base64 without its end", own.trim_end_matches('=').to_owned() + "A"),
        ("bits left over", "Basic YTpiOmN=".to_owned()),
        ("no UTF-8", coded(b"\xff\xfe:pw:key")),
        ("a zero byte", coded(b"a:p\0w:key")),
        ("a line feed", coded(b"a:p\nw:key")),
        ("a huge password", coded(format!("acme:{}:key", "a".repeat(8_000)).as_bytes())),
        ("nothing", "Basic ".to_owned()),
        ("another scheme", "Negotiate YTpiOmM=".to_owned()),
        ("two credentials", format!("{own}, {own}")),
    ] {
        let answer = room.refuses(case, &call(&header), &[401], false);
        assert!(answer.after < Duration::from_secs(2), "{case}");
    }
    let none = room.refuses("none", b"GET /v1.0/quota HTTP/1.1\r\nHost: localhost\r\n\r\n", &[401], false);
    assert!(none.head.to_lowercase().contains("www-authenticate: basic"), "{none:?}");
    assert_eq!(room.tell(&call(&own), AT_ONCE).unwrap().status, 200, "who was guessed for is not locked out");
}
