use actix_web::{HttpRequest, http::Method, test::TestRequest};
use data_encoding::BASE64;
use naru_shared::{domain::Timestamp, shared_secret::SharedSecret};
use proptest::prelude::{any, prop, prop_assert, proptest};
use sfv::{Dictionary, InnerList, ListEntry, Parser};

use super::{base, components::Components, input::Claim};
use crate::problem::{Code, Problem};

const NOW: Timestamp = Timestamp::from_millis(1_618_884_473_500);
const CREATED: i64 = 1_618_884_473;

/// RFC 9421 appendix B.1.5.
fn secret() -> SharedSecret {
    let text = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    SharedSecret::import(text).unwrap()
}

/// RFC 9421 appendix B.2.
fn test_request() -> TestRequest {
    TestRequest::default()
        .method(Method::POST)
        .uri("/foo?param=Value&Pet=dog")
        .append_header(("Host", "example.com"))
        .append_header(("Date", "Tue, 20 Apr 2021 02:07:55 GMT"))
        .append_header(("Content-Type", "application/json"))
        .append_header((
            "Content-Digest",
            "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        ))
        .append_header(("Content-Length", "18"))
}

fn list(text: &str) -> InnerList {
    let mut all: Dictionary = Parser::new(text).parse().unwrap();
    match all.swap_remove("sig") {
        Some(ListEntry::InnerList(list)) => list,
        other => panic!("{other:?}"),
    }
}

fn base_of(request: &HttpRequest, input: &str) -> Result<String, Problem> {
    let list = list(input);
    let covered = Components::of(&list)?;
    base::build(request, &covered, list)
}

#[test]
fn base_and_mac_of_appendix_b_2_5() {
    let request = test_request().to_http_request();
    let input = r#"sig=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let base = base_of(&request, input).unwrap();
    let lines = [
        r#""date": Tue, 20 Apr 2021 02:07:55 GMT"#,
        r#""@authority": example.com"#,
        r#""content-type": application/json"#,
        r#""@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
    ];
    assert_eq!(base, lines.join("\n"));
    assert_eq!(BASE64.encode(&secret().mac(base.as_bytes())), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    // Such a call is not taken: it says nothing of its path, and could be replayed.
    let call = test_request().append_header(("Signature-Input", input));
    let mac = "sig=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:";
    let claim = Claim::read(&call.append_header(("Signature", mac)).to_http_request(), NOW);
    assert_eq!(claim.unwrap_err().code, Code::MalformedSignature);
}

#[test]
fn components_are_taken_as_they_came() {
    // Sections 2.1, 2.2.1, 2.2.3, 2.2.5, 2.2.6 and 2.2.7.
    let request = |uri: &str, host: &'static str| {
        TestRequest::with_uri(uri)
            .append_header(("Host", host))
            .append_header(("X-Odd", " a,  b "))
            .append_header(("X-Odd", "c"))
            .append_header(("X-Empty", ""))
            .to_http_request()
    };
    let line = |request: &HttpRequest, name: &str| {
        let base = base_of(request, &format!("sig=(\"{name}\")")).unwrap();
        let first = base.lines().next().unwrap();
        first.strip_prefix(&format!("\"{name}\": ")).unwrap().to_owned()
    };
    let plain = request("/v1.0/a%2Fb/./c;d?x=%20+y&&z", "Naru.Example:443");
    for (name, value) in [
        ("@method", "GET"),
        ("@authority", "naru.example"),
        ("@path", "/v1.0/a%2Fb/./c;d"),
        ("@query", "?x=%20+y&&z"),
        ("@request-target", "/v1.0/a%2Fb/./c;d?x=%20+y&&z"),
        ("x-odd", "a,  b, c"),
        ("x-empty", ""),
    ] {
        assert_eq!(line(&plain, name), value, "{name}");
    }
    for (uri, query) in [("/", "?"), ("/?", "?"), ("/?a", "?a")] {
        assert_eq!(line(&request(uri, "h"), "@query"), query, "{uri}");
    }
    for (host, authority) in [
        ("h:80", "h"),
        ("H:8080", "h:8080"),
        ("h:", "h"),
        ("[::1]:8443", "[::1]:8443"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
    ] {
        assert_eq!(line(&request("/", host), "@authority"), authority, "{host}");
    }
    let whole = request("http://h:8080/a?b", "h:8080");
    assert_eq!((line(&whole, "@authority"), line(&whole, "@path")), ("h:8080".to_owned(), "/a".to_owned()));
    let lie = request("http://other/a", "h");
    assert_eq!(base_of(&lie, r#"sig=("@authority")"#).unwrap_err().code, Code::MalformedSignature);
}

const ALL: &str = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;

fn read(input: &str, signature: &str) -> Result<Claim, Code> {
    let request = test_request()
        .append_header(("Signature-Input", input.to_owned()))
        .append_header(("Signature", signature.to_owned()));
    Claim::read(&request.to_http_request(), NOW).map_err(|problem| problem.code)
}

fn mac(bytes: &[u8]) -> String {
    format!(":{}:", BASE64.encode(bytes))
}

fn with(parameters: &str) -> Result<Claim, Code> {
    read(&format!("sig={ALL}{parameters}"), &format!("sig={}", mac(&[7; 32])))
}

const GOOD: &str = r#";created=1618884473;nonce="12345678";keyid="acme-hmac""#;

#[test]
fn a_claim_says_who_signed_what() {
    let claim = with(GOOD).unwrap();
    assert_eq!((claim.key_id.as_str(), claim.nonce.as_str(), claim.tag), ("acme-hmac", "12345678", [7; 32]));
    assert!(claim.digests.unwrap().fit(b"{\"hello\": \"world\"}"));
    assert_eq!(claim.base.lines().count(), 6);
    let more = r#";created=1618884473;keyid="k";alg="hmac-sha256";nonce="12345678";expires=1618884500;tag="naru";x=?1;y=2.50"#;
    let claim = with(more).unwrap();
    assert!(
        claim.base.ends_with(r#";expires=1618884500;tag="naru";x;y=2.5"#),
        "written anew: {}",
        claim.base
    );
}

#[test]
fn parameters_are_there_and_of_their_type() {
    for bad in [
        "",
        r#";nonce="12345678";keyid="k""#,
        r#";created=1618884473;keyid="k""#,
        r#";created=1618884473;nonce="12345678""#,
        r#";created="1618884473";nonce="12345678";keyid="k""#,
        r#";created=1618884473.0;nonce="12345678";keyid="k""#,
        r#";created=1618884473;nonce=12345678;keyid="k""#,
        r#";created=1618884473;nonce="1234567";keyid="k""#,
        r#";created=1618884473;nonce="12345678";keyid=k"#,
        &format!(r#"{GOOD};alg="hmac-sha512""#),
        &format!(r#"{GOOD};alg="none""#),
        &format!(r#"{GOOD};alg=hmac-sha256"#),
        &format!(r#"{GOOD};expires="1618884500""#),
        &format!(r#"{GOOD};tag=naru"#),
        &format!(r#"{GOOD};tag="other""#),
        &format!(r#"{GOOD};Tag="naru""#),
    ] {
        assert_eq!(with(bad).unwrap_err(), Code::MalformedSignature, "{bad}");
    }
}

#[test]
fn a_signature_lives_three_hundred_seconds_on_either_side() {
    let at = |created: i64| with(&format!(r#";created={created};nonce="12345678";keyid="k""#)).map(|_| ());
    for good in [CREATED - 300, CREATED, CREATED + 300] {
        assert_eq!(at(good), Ok(()), "{good}");
    }
    for bad in [CREATED - 301, CREATED + 301, 0, -1, 999_999_999_999_999, -999_999_999_999_999] {
        assert_eq!(at(bad), Err(Code::StaleSignature), "{bad}");
    }
    let expires = |at: i64| with(&format!("{GOOD};expires={at}")).map(|_| ());
    assert_eq!((expires(CREATED), expires(CREATED + 9_999)), (Ok(()), Ok(())));
    assert_eq!((expires(CREATED - 1), expires(0)), (Err(Code::StaleSignature), Err(Code::StaleSignature)));
    // For as long as it could come again it is known, and for a minute more.
    let lasts = |created: i64| {
        with(&format!(r#";created={created};nonce="12345678";keyid="k""#)).unwrap().lasts.as_millis()
    };
    assert_eq!((lasts(CREATED), lasts(CREATED + 300), lasts(CREATED - 300)), (360_500, 660_500, 60_500));
}

#[test]
fn what_must_be_covered_is_and_only_what_is_known() {
    let covering = |components: &str| {
        read(&format!("sig=({components}){GOOD}"), &format!("sig={}", mac(&[7; 32]))).map(|_| ())
    };
    let all = r#""@method" "@authority" "@path" "@query" "content-digest""#;
    assert_eq!(covering(all), Ok(()));
    assert_eq!(covering(&format!(r#""date" {all} "content-type" "@request-target""#)), Ok(()));
    for left_out in all.split(' ') {
        let fewer = all.replace(left_out, "");
        assert_eq!(covering(&fewer), Err(Code::SignatureIncomplete), "{left_out}");
    }
    for odd in [
        r#""@method""#,
        r#""@scheme""#,
        r#""@target-uri""#,
        r#""@status""#,
        r#""@query-param";name="Pet""#,
        r#""@signature-params""#,
        r#""@unheard-of""#,
        r#""content-type";sf"#,
        r#""content-type";bs"#,
        r#""content-digest";key="sha-256""#,
        r#""@method";req"#,
        r#""date";tr"#,
        r#""Date""#,
        r#""da te""#,
        r#""""#,
        r#""x-missing""#,
        "date",
        "7",
    ] {
        assert_eq!(covering(&format!("{all} {odd}")), Err(Code::MalformedSignature), "{odd}");
    }
    let many: Vec<String> = (0..64).map(|n| format!("\"x-{n}\"")).collect();
    assert_eq!(covering(&format!("{all} {}", many.join(" "))), Err(Code::MalformedSignature));
}

#[test]
fn one_signature_of_several_is_for_this_server() {
    let own = format!("sig={ALL}{GOOD}");
    let (ours, theirs) = (mac(&[7; 32]), mac(&[8; 64]));
    let other = r#"cdn=("@status" "@method");created=1;tag="cdn""#;
    let claim = read(&format!("{other}, {own}"), &format!("sig={ours}, cdn={theirs}")).unwrap();
    assert_eq!(claim.tag, [7; 32]);
    let named = format!(r#"{own};tag="naru""#);
    assert!(read(&format!("{named}, {other}"), &format!("cdn={theirs}, sig={ours}")).is_ok());
    let code = |input: &str, signature: &str| read(input, signature).unwrap_err();
    for (input, signature) in [
        (format!("{own}, b={ALL}{GOOD}"), format!("sig={ours}, b={ours}")),
        (other.to_owned(), format!("cdn={theirs}")),
        (own.clone(), format!("sig={ours}, b={ours}")),
        (format!("{own}, b={ALL}{GOOD}"), format!("sig={ours}")),
        (own.clone(), format!("Sig={ours}")),
        (own.clone(), "sig=?1".to_owned()),
        (own.clone(), "sig".to_owned()),
        (own.clone(), r#"sig="abc""#.to_owned()),
        (own.clone(), format!("sig={}", mac(&[7; 31]))),
        (own.clone(), format!("sig={}", mac(&[7; 33]))),
        (own.clone(), "sig=::".to_owned()),
        (own.clone(), format!("sig=({ours})")),
        (own.clone(), String::new()),
        (String::new(), format!("sig={ours}")),
        ("sig=7".to_owned(), format!("sig={ours}")),
        (own.clone(), format!("sig={}", ours.replace("c=:", "d=:"))),
        (own, format!("sig={}", ours.replace("=:", ":"))),
    ] {
        assert_eq!(code(&input, &signature), Code::MalformedSignature, "{input} {signature}");
    }
}

#[test]
fn a_key_that_is_sent_is_signed_and_a_call_is_proved_in_one_way() {
    let signed = |components: &str| {
        test_request()
            .append_header(("Signature-Input", format!("sig=({components}){GOOD}")))
            .append_header(("Signature", format!("sig={}", mac(&[7; 32]))))
    };
    let all = r#""@method" "@authority" "@path" "@query" "content-digest""#;
    let code =
        |request: TestRequest| Claim::read(&request.to_http_request(), NOW).map(|_| ()).map_err(|p| p.code);
    let keyed = |components: &str| signed(components).append_header(("Idempotency-Key", "k-1"));
    assert_eq!(code(keyed(all)), Err(Code::SignatureIncomplete));
    assert_eq!(code(keyed(&format!(r#"{all} "idempotency-key""#))), Ok(()));
    let both = signed(all).append_header(("Authorization", "Basic YTpiOmM="));
    assert_eq!(code(both), Err(Code::MalformedAuthorization));
    let digest = test_request()
        .insert_header(("Content-Digest", "md5=:AAAA:"))
        .append_header(("Signature-Input", format!("sig={ALL}{GOOD}")))
        .append_header(("Signature", format!("sig={}", mac(&[7; 32]))));
    assert_eq!(code(digest), Err(Code::MalformedSignature));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        input in prop::collection::vec(any::<u8>(), 0..200),
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut request = test_request();
        for (name, bytes) in [("signature-input", input), ("signature", signature)] {
            if let Ok(value) = actix_web::http::header::HeaderValue::from_bytes(&bytes) {
                request = request.append_header((name, value));
            }
        }
        prop_assert!(Claim::read(&request.to_http_request(), NOW).is_err());
    }

    #[test]
    fn no_structured_field_makes_it_panic(
        label in "[a-z*][a-z0-9]{0,3}",
        components in "(\"[@a-z-]{0,12}\"(;[a-z]{1,3}(=\"[a-z]{0,2}\")?)? ?){0,6}",
        parameters in "(;(created|expires|nonce|keyid|alg|tag|x)(=(\"[ -!#-\\[\\]-~]{0,20}\"|-?[0-9]{1,15}|\\?1|a))?){0,6}",
        bytes in prop::collection::vec(any::<u8>(), 30..34),
    ) {
        let input = format!("{label}=({}){parameters}", components.trim());
        let _whatever = read(&input, &format!("{label}={}", mac(&bytes)));
    }

    /// One byte of the head that is signed, changed in any way, gives another base, or is refused.
    #[test]
    fn a_changed_byte_gives_another_base(at in any::<prop::sample::Index>(), to in b' '..=b'~', which in 0_usize..4) {
        let target = "/foo?param=Value&Pet=dog".to_owned();
        let input = format!("sig={ALL}{GOOD}");
        let digest = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:".to_owned();
        let host = "example.com".to_owned();
        let mut parts = [target, input, digest, host];
        let base = |parts: &[String; 4]| {
            let [target, input, digest, host] = parts;
            target.parse::<actix_web::http::Uri>().ok()?;
            let request = TestRequest::with_uri(target)
                .method(Method::POST)
                .append_header(("Host", host.clone()))
                .append_header(("Content-Digest", digest.clone()))
                .append_header(("Content-Length", "18"))
                .append_header(("Signature-Input", input.clone()))
                .append_header(("Signature", format!("sig={}", mac(&[7; 32]))));
            Claim::read(&request.to_http_request(), NOW).ok().map(|claim| (claim.base, claim.digests))
        };
        let before = base(&parts).unwrap();
        let mut bytes = parts[which].clone().into_bytes();
        let at = at.index(bytes.len());
        let from = std::mem::replace(&mut bytes[at], to);
        let same = if which == 3 { from.eq_ignore_ascii_case(&to) } else { from == to };
        parts[which] = String::from_utf8(bytes).unwrap();
        // What follows a number sign is never sent.
        if !same && !parts[0].contains('#') {
            prop_assert!(base(&parts).is_none_or(|after| after != before), "{parts:?}");
        }
    }
}
