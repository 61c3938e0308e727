//! Requests that are made from descriptions, without a network: what a message holds is never more than a value.

use std::{fs, sync::Arc};

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use naru_shared::{
    domain::{Account, Again, BackendConfig, HttpBackend, Lane, Route},
    keys::{Keyring, Secret},
    ledger::{RowRef, Work},
    sealing::Sealer,
};
use proptest::prelude::{any, proptest};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{Description, Provider, ProviderError, Understood, check, check_sealed, request::Made};
use crate::{samples, tests::http::install_tls};

fn sealer() -> Sealer {
    let secret = || Secret::new([7; 32]);
    Keyring { ids: secret(), credentials: secret(), envelopes: Vec::new() }.sealer()
}

fn provider(text: &str) -> Result<Provider, ProviderError> {
    install_tls();
    let mut description = Description::from_toml(text)?;
    check(&description.document()?)?;
    description.seal("carrier-a", &sealer())?;
    let document = description.document()?;
    let kept = document.0.to_string();
    assert!(!kept.contains("s3cret"), "{kept}");
    let config =
        HttpBackend { url: String::new(), allow_networks: Vec::new(), provider: Some(document.clone()) };
    let route = Route { backend: BackendConfig::Http(config.clone()), ..samples::route("carrier-a") };
    Provider::new(&route, &config, &document, Some(&sealer()))
}

fn work() -> Work {
    let mut message = samples::message(1, "1");
    message.content.recipient = "+821012345678".to_owned();
    message.content.sender = Some("0215441234".to_owned());
    message.content.subject = None;
    message.content.body = "안녕 & \"hi\"".to_owned();
    message.content.data = json!({ "n": 7, "list": [1, "a"] }).as_object().unwrap().clone();
    Work {
        row: RowRef { row: 1, id: message.id },
        account: Account { customer: "acme".parse().unwrap(), ..samples::account() },
        route: "carrier-a".parse().unwrap(),
        lane: Lane::Express,
        attempt: 2,
        possible_duplicate: true,
        expires_at: message.accepted_at,
        backend_id: None,
        message: Arc::new(message),
    }
}

fn with(change: impl FnOnce(&mut naru_shared::domain::Content)) -> Work {
    let mut work = work();
    let mut message = (*work.message).clone();
    change(&mut message.content);
    work.message = Arc::new(message);
    work
}

fn made(text: &str, work: &Work) -> Made {
    provider(text).unwrap().make(work).unwrap()
}

fn form(made: &Made) -> Vec<(String, String)> {
    form_urlencoded::parse(&made.body).into_owned().collect()
}

/// A path's segment as a server reads it (RFC 3986 section 2.1).
fn decoded(segment: &str) -> String {
    // `=`, `&` and `+` mean something in a form, and nothing in a path.
    let form = segment.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(form.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

fn header<'a>(made: &'a Made, name: &str) -> &'a str {
    made.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

const BASIC: &str = r#"
    url = "https://api.example/Accounts/{secret.account}/Messages.json"
    [secrets]
    account = "s3cret/../1"
    [auth]
    kind = "basic"
    user = "AC1"
    password = "s3cret"
    [query]
    ref = "{reference}"
    [headers]
    x-lane = "{lane}"
    [form]
    To = "{recipient!}"
    From = "{sender|digits}"
    Title = "{subject}"
    Body = "[Naru] {body}"
    Tag = ["a{{}}", "{data.n}"]
"#;

#[test]
fn what_is_sent_again_has_another_key_and_the_same_id_wherever_a_description_puts_them() {
    const TEXT: &str =
        "url = \"https://api.example/send\"\nlabels = false\n[json]\nid = \"{id}\"\nonce = \"{backend_key}\"";
    let mut work = work();
    let id = work.message.id.to_string();
    for (key, once) in [(0, id.clone()), (2, format!("{id}.r2"))] {
        let mut message = (*work.message).clone();
        message.again = Some(Again { number: 3, key, after: 1, at: message.accepted_at });
        work.message = Arc::new(message);
        let body: Value = serde_json::from_slice(&made(TEXT, &work).body).unwrap();
        assert_eq!(body, json!({ "id": id, "once": once }));
    }
}

#[test]
fn a_form_holds_what_the_message_has_and_leaves_out_what_it_has_not() {
    let made = made(BASIC, &with(|content| content.reference = Some("a&b=c".to_owned())));
    let pairs = form(&made);
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("Body", "[Naru] 안녕 & \"hi\""),
            ("From", "0215441234"),
            ("Tag", "a{}"),
            ("Tag", "7"),
            ("To", "+821012345678")
        ]
    );
    assert_eq!(made.url.as_str(), "https://api.example/Accounts/s3cret%2F..%2F1/Messages.json?ref=a%26b%3Dc");
    assert_eq!(header(&made, "authorization"), format!("Basic {}", BASE64.encode(b"AC1:s3cret")));
    assert_eq!(header(&made, "content-type"), "application/x-www-form-urlencoded");
    assert_eq!((header(&made, "x-lane"), header(&made, "x-naru-attempt")), ("express", "2"));
    assert_eq!(header(&made, "x-naru-possible-duplicate"), "true");
    assert_eq!(header(&made, "idempotency-key"), work().message.id.to_string());
}

#[test]
fn json_keeps_types_and_leaves_out_what_is_not_there() {
    let text = r#"
        url = "https://api.example/v1/messages"
        labels = false
        [json]
        to = "{recipient|digits}"
        title = "{subject}"
        attempt = "{attempt}"
        fixed = 5
        all = "{data}"
        [[json.parts]]
        text = "{body}"
        list = ["{data.list}", "{subject}", "x"]
    "#;
    let made = made(text, &work());
    let body: Value = serde_json::from_slice(&made.body).unwrap();
    let parts = json!([{ "text": "안녕 & \"hi\"", "list": [[1, "a"], "x"] }]);
    let all = json!({ "n": 7, "list": [1, "a"] });
    assert_eq!(body, json!({ "to": "821012345678", "attempt": 2, "fixed": 5, "all": all, "parts": parts }));
    assert_eq!(header(&made, "idempotency-key"), "", "the labels are off");
    assert_eq!(made.url.query(), None);
}

const HMAC: &str = r#"
    url = "https://api.example:8443/v2/send"
    [query]
    q = "{channel}"
    [json]
    b = "{body}"
    [auth]
    kind = "hmac"
    key = "k1"
    secret = "s3cret"
"#;

#[test]
fn an_hmac_signs_what_the_documentation_says() {
    let made = made(HMAC, &work());
    let path = format!("/v2/send?{}", made.url.query().unwrap());
    let (seconds, nonce) = (header(&made, "x-naru-timestamp"), header(&made, "x-naru-nonce"));
    assert_eq!((header(&made, "x-naru-key"), nonce.len()), ("k1", 32));
    let digest = HEXLOWER.encode(&Sha256::digest(&made.body));
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"s3cret").unwrap();
    mac.update(format!("POST\n{path}\n{seconds}\n{nonce}\n{digest}").as_bytes());
    assert_eq!(header(&made, "x-naru-signature"), HEXLOWER.encode(&mac.finalize().into_bytes()));
}

#[test]
fn an_hmac_is_signed_as_a_provider_asks_for_it() {
    let text = r#"
        url = "https://sens.example/sms/v2/services/s1/messages"
        [json]
        b = "{body}"
        [auth]
        kind = "hmac"
        key = "k1"
        secret = "s3cret"
        encoding = "base64"
        signed = "{method} {path}\n{millis}\n{key}"
        headers = { x-timestamp = "{millis}", x-access = "{key}", x-signature-v2 = "{signature}" }
    "#;
    let made = made(text, &work());
    let millis = header(&made, "x-timestamp");
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"s3cret").unwrap();
    mac.update(format!("POST /sms/v2/services/s1/messages\n{millis}\nk1").as_bytes());
    assert_eq!(header(&made, "x-signature-v2"), BASE64.encode(&mac.finalize().into_bytes()));
}

#[test]
fn standard_webhooks_are_signed_over_id_time_and_body() {
    let key = [9_u8; 32];
    let text = format!(
        "url = \"https://api.example/\"\n[json]\nb = \"{{body}}\"\n[auth]\nkind = \"standard-webhooks\"\nsecret = \"whsec_{}\"",
        BASE64.encode(&key)
    );
    let made = made(&text, &work());
    let (id, seconds) = (header(&made, "webhook-id"), header(&made, "webhook-timestamp"));
    assert_eq!(id, work().message.id.to_string());
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(&made.body);
    let signed = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
    assert_eq!(header(&made, "webhook-signature"), signed);
    let short = text.replace(&BASE64.encode(&key), "AAAA");
    assert!(matches!(provider(&short), Err(ProviderError::Auth(_))));
}

#[test]
fn what_a_place_cannot_hold_is_refused_and_not_bent() {
    let header = "url = \"https://a.example/\"\n[headers]\nx-text = \"{body}\"";
    let path = "url = \"https://a.example/{recipient}/x\"";
    let elsewhere = ["", ".", "..", ".\n.", "\t", "a\r\nX: y", "\u{7f}"].map(|part| (path, part));
    for (text, body) in [(header, "a\r\nx-evil: 1"), (header, "안녕")].into_iter().chain(elsewhere) {
        let work = with(|content| (content.body, content.recipient) = (body.to_owned(), body.to_owned()));
        let why = provider(text).unwrap().make(&work).unwrap_err();
        assert!(why.contains("cannot hold"), "{why}");
    }
    let must = "url = \"https://a.example/\"\n[json]\na = \"{subject!}\"";
    assert_eq!(provider(must).unwrap().make(&work()).unwrap_err(), "the message has no `subject`");
}

#[test]
fn a_description_that_cannot_work_is_refused_when_it_is_read() {
    let head = "url = \"https://a.example/\"\n";
    for wrong in [
        "",
        "url = \"ftp://a.example/\"",
        "url = \"https://who:s3@a.example/\"",
        "url = \"https://{recipient}/\"",
        "url = \"https://a.example/?key={body}\"",
        "url = \"https://a.example/../x\"",
        "url = \"https://a.example/{nobody}\"",
        &format!("{head}urls = 1"),
        &format!("{head}method = \"DELETE\""),
        &format!("{head}method = \"GET\"\n[json]\na = \"b\""),
        &format!("{head}[json]\na = \"b\"\n[form]\na = \"b\""),
        &format!("{head}[json]\na = \"{{secret.x}}\""),
        &format!("{head}[json]\n\"{{body}}\" = \"b\""),
        &format!("{head}[json]\na = 2026-01-01"),
        &format!("{head}[headers]\nhost = \"b\""),
        &format!("{head}[headers]\n\"a b\" = \"b\""),
        &format!("{head}[headers]\nx-api-key = \"abc\""),
        &format!("{head}[query]\naccess_token = \"abc\""),
        &format!("{head}[headers]\nauthorization = \"{{body}}\"\n[auth]\nkind = \"bearer\"\ntoken = \"t\""),
        &format!("{head}[auth]\nkind = \"basic\"\nuser = \"a:b\"\npassword = \"t\""),
        &format!("{head}[auth]\nkind = \"bearer\"\ntoken = {{ env = \"NARU_KEYS\" }}"),
        &format!("{head}[auth]\nkind = \"bearer\"\ntoken = {{ file = \"relative\" }}"),
        &format!("{head}[auth]\nkind = \"bearer\"\ntoken = {{ file = \"/a\", env = \"B\" }}"),
        &format!("{head}[auth]\nkind = \"hmac\"\nsecret = \"s\"\nsigned = \"fixed\""),
        &format!("{head}[auth]\nkind = \"hmac\"\nsecret = \"s\"\nheaders = {{ a = \"{{key}}\" }}"),
        &format!("{head}[auth]\nkind = \"hmac\"\nsecret = \"s\"\nsigned = \"{{signature}}\""),
        &format!("{head}[tls]\ncertificate = {{ file = \"/a\" }}"),
        &format!("{head}[answer]\nid = \"sid\""),
        &format!("{head}[[answer.rules]]\nstatus = [100]\noutcome = \"failed\""),
        &format!(
            "{head}[[answer.rules]]\nstatus = [201]\noutcome = \"sent\"\n[[answer.rules]]\nstatus = [201]\noutcome = \"failed\""
        ),
        &format!(
            "{head}[[answer.rules]]\nstatus = [\"2xx\"]\noutcome = \"sent\"\n[[answer.rules]]\nstatus = [200, 201]\npointer = \"/a\"\noutcome = \"failed\""
        ),
    ] {
        let read = Description::from_toml(wrong).and_then(Understood::read);
        assert!(read.is_err(), "{wrong}");
    }
}

#[test]
fn secrets_come_from_files_are_never_shown_and_open_for_their_route_only() {
    install_tls();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "s3cret-of-a-file\n").unwrap();
    let auth = |how: &str| {
        format!("url = \"https://a.example/\"\n[auth]\nkind = \"bearer\"\ntoken = {{ {how} = {path:?} }}")
    };
    for how in ["file", "import"] {
        let made = made(&auth(how), &work());
        assert_eq!(header(&made, "authorization"), "Bearer s3cret-of-a-file");
        assert!(!format!("{made:?}").contains("s3cret"), "it is sensitive");
    }
    let mut description = Description::from_toml(&auth("import")).unwrap();
    description.seal("other", &sealer()).unwrap();
    let document = description.document().unwrap();
    let config = HttpBackend { url: String::new(), allow_networks: Vec::new(), provider: None };
    let route = samples::route("carrier-a");
    let opened = Provider::new(&route, &config, &document, Some(&sealer()));
    assert!(matches!(opened, Err(ProviderError::Source(..))), "sealed for another route");
    let shown = description.without_secrets().document().unwrap().0.to_string();
    assert!(!shown.contains("v1.") && shown.contains('…'), "{shown}");
}

#[test]
fn what_the_documentation_shows_is_a_description() {
    let page = include_str!("../../../../docs/http-backend.md");
    let shown: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(shown.len(), 2);
    for text in shown {
        let head = if text.starts_with("url") { "" } else { "url = \"https://a.example/\"\n" };
        Understood::read(Description::from_toml(&format!("{head}{text}")).unwrap()).unwrap();
    }
}

#[test]
fn secrets_that_are_brought_along_are_looked_at_before_they_are_kept() {
    install_tls();
    let head = "url = \"https://a.example/\"\n";
    let looked_at = |text: &str| {
        let mut description = Description::from_toml(&format!("{head}{text}")).unwrap();
        description.seal("carrier-a", &sealer()).unwrap();
        check_sealed(&description.document().unwrap(), "carrier-a", &sealer())
    };
    let webhooks = |secret: &str| format!("[auth]\nkind = \"standard-webhooks\"\nsecret = {secret}");
    let good = format!("\"whsec_{}\"", BASE64.encode(&[1; 32]));
    assert!(looked_at(&webhooks(&good)).is_ok());
    assert!(looked_at(&webhooks("{ file = \"/there/only\" }")).is_ok(), "the workers have it");
    for wrong in [
        &webhooks("\"whsec_AAAA\""),
        "[auth]\nkind = \"bearer\"\ntoken = \"a\\nb\"",
        "[auth]\nkind = \"basic\"\nuser = \"u\"\npassword = \"a\\nb\"",
        "[tls]\nca = \"none\"",
        "[tls]\ncertificate = \"none\"\nkey = \"none\"",
    ] {
        assert!(looked_at(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_a_message_holds_is_never_more_than_a_value(
        body in any::<String>(), sender in any::<String>(), name in any::<String>(),
    ) {
        let text = r#"
            url = "https://a.example/x/{sender}/y"
            query = { q = "{body}", p = "<{sender}>" }
            [form]
            b = "{body}"
            c = "{data.name}"
        "#;
        let work = with(|content| {
            (content.body, content.sender) = (body.clone(), Some(sender.clone()));
            content.data.insert("name".to_owned(), name.clone().into());
        });
        let provider = provider(text).unwrap();
        match provider.make(&work) {
            Ok(made) => {
                assert_eq!(form(&made), [("b".to_owned(), body.clone()), ("c".to_owned(), name.clone())]);
                let query: Vec<_> = made.url.query_pairs().into_owned().collect();
                assert_eq!(query, [("p".to_owned(), format!("<{sender}>")), ("q".to_owned(), body.clone())]);
                assert_eq!(made.url.host_str(), Some("a.example"));
                assert_eq!(made.url.path_segments().unwrap().count(), 3);
                let segment = made.url.path_segments().unwrap().nth(1).unwrap();
                assert_eq!(decoded(segment), sender);
            }
            Err(why) => {
                let elsewhere = ["", ".", ".."].contains(&sender.as_str()) || sender.chars().any(char::is_control);
                assert!(elsewhere, "{}", why);
            }
        }
    }

    #[test]
    fn json_of_a_message_is_json_whatever_it_holds(body in any::<String>(), name in any::<String>()) {
        let text = "url = \"https://a.example/\"\n[json]\nb = \"{body}\"\nc = [{ d = \"x{data.name}y\" }]";
        let work = with(|content| {
            content.body = body.clone();
            content.data.insert("name".to_owned(), name.clone().into());
        });
        let made = provider(text).unwrap().make(&work).unwrap();
        let read: Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(read, json!({ "b": body, "c": [{ "d": format!("x{name}y") }] }));
    }

    #[test]
    fn any_text_is_a_description_or_refused(text in any::<String>()) {
        drop(Description::from_toml(&text).and_then(Understood::read));
    }
}
