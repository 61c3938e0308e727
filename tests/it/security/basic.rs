//! Passwords and keys that are wrong, whoever they are for, and credentials that are none.

use naru_tests::customer::basic;

use super::stage::{Answer, Visit, must_be_alike};

fn call(proof: &str) -> Vec<u8> {
    format!("GET /v1.0/quota HTTP/1.1\r\nHost: naru\r\nAuthorization: {proof}\r\n\r\n").into_bytes()
}

#[test]
fn whoever_is_refused_is_told_the_same() {
    let visit = Visit::begin();
    let [id, password, key] = visit.live().split(':').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let cases = [
        ("nobody", "nobody:pw:key".to_owned()),
        ("another password", format!("{id}:wrong:{key}")),
        ("another key", format!("{id}:{password}:wrong")),
        ("both", format!("{id}:wrong:wrong")),
        ("a part of the password", format!("{id}:{}:{key}", &password[..password.len() - 1])),
        ("more than the password", format!("{id}:{password}x:{key}")),
        ("other letters", format!("{id}:{}:{key}", password.to_uppercase())),
        ("an id in other letters", format!("{}:{password}:{key}", id.to_uppercase())),
        ("the secrets of the sandbox", visit.sandbox().replacen("sandbox", "live", 1)),
        ("an id that is a path", format!("../{id}:{password}:{key}")),
        ("an id for a database", format!("{id}' OR '1'='1:{password}:{key}")),
    ];
    let answers: Vec<(String, Answer)> = cases
        .iter()
        .map(|(case, user)| ((*case).to_owned(), visit.answer(case, &call(&basic(user)))))
        .collect();
    assert_eq!((answers[0].1.status, answers[0].1.code().as_str()), (401, "unauthorized"));
    must_be_alike(&answers);
    // Who was guessed for is not locked out.
    visit.made(0, 0);
}

#[test]
fn what_is_no_credential() {
    let visit = Visit::begin();
    let coded = |bytes: &[u8]| format!("Basic {}", data_encoding::BASE64.encode(bytes));
    let canary = "canary5f2e";
    for (case, proof) in [
        ("no colon", coded(canary.as_bytes())),
        ("one colon", coded(b"acme:canary5f2e")),
        ("nothing before the colon", coded(b":canary5f2e:key")),
        ("colons alone", coded(b":::")),
        ("no base64", format!("Basic {canary}!!")),
        ("base64 without its end", "Basic YTpiOmNhbmFyeTVmMmU".to_owned()),
        ("bits left over", "Basic YTpiOmN=".to_owned()),
        ("too much of its end", "Basic Yw=====".to_owned()),
        ("no UTF-8", coded(b"\xff\xfe:canary5f2e:key")),
        ("a zero byte", coded(b"a:canary5f2e\0:key")),
        ("a line feed", coded(b"a:canary5f2e\n:key")),
        ("a huge password", coded(format!("acme:{}:key", canary.repeat(800)).as_bytes())),
        ("nothing", "Basic ".to_owned()),
        ("no more than the scheme", "Basic".to_owned()),
        ("another scheme", format!("Digest {canary}")),
        ("two credentials", format!("{0}, {0}", basic("a:canary5f2e:c"))),
    ] {
        let answer = visit.answer(case, &call(&proof));
        assert_eq!(answer.status, 401, "{case}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some(), "{case}: {answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(canary), "{case}: {answer:?}");
    }
    assert!(!visit.gateway().log_tail().contains(canary));
    visit.made(0, 0);
}
