//! The Messages resource of Twilio's Programmable Messaging API, as its public documentation describes it: `POST` of a form with Basic
//! authentication, `201` with the resource (`sid`, `status`), errors as `{ code, message, more_info, status }`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    PATIENCE, SECRET, add, gateway, holds, send,
    standin::{Call, Reply, StandIn},
};
use crate::stage::{beside_others, until};

const ACCOUNT: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Numbers of the documentation's test credentials, and one that is answered with `429` first.
const INVALID: &str = "+15005550001";
const BUSY: &str = "+15005550429";
const DELIVERED: &str = "+15005550200";
const STRANGE: &str = "+15005550299";

fn description(port: u16) -> String {
    format!(
        r#"
url = "http://127.0.0.1:{port}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
labels = false

[auth]
kind = "basic"
user = "{ACCOUNT}"
password = "{SECRET}"

[form]
To = "{{recipient!}}"
From = "{{sender!}}"
Body = "{{body!}}"

[answer]
id = "/sid"
code = "/code"
detail = "/message"

[[answer.rules]]
status = [201]
pointer = "/status"
equals = ["accepted", "scheduled", "queued", "sending", "sent"]
outcome = "sent"

[[answer.rules]]
status = [201]
pointer = "/status"
equals = ["delivered", "received", "read"]
outcome = "delivered"

[[answer.rules]]
status = [201]
pointer = "/status"
equals = ["failed", "undelivered", "canceled"]
outcome = "failed"

[[answer.rules]]
status = [401, 403]
outcome = "not-taken"
retry_after_ms = 60000
"#
    )
}

fn error(status: u16, code: u32, message: &str) -> Reply {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    Reply::new(status, json!({ "code": code, "message": message, "more_info": more_info, "status": status }))
}

/// The resource, every property of it.
fn resource(to: &str, body: &str, sid: &str, status: &str) -> Value {
    json!({
        "account_sid": ACCOUNT, "api_version": "2010-04-01", "body": body,
        "date_created": "Thu, 24 Aug 2023 05:01:45 +0000", "date_sent": null,
        "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000", "direction": "outbound-api",
        "error_code": null, "error_message": null, "from": "+15017122661",
        "messaging_service_sid": null, "num_media": "0", "num_segments": "1", "price": null,
        "price_unit": null, "sid": sid, "status": status,
        "subresource_uris": { "media": format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}/Media.json") },
        "to": to, "uri": format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json"),
    })
}

/// What is wrong with a request, field by field.
fn complaint(call: &Call) -> Option<String> {
    let secret = data_encoding::BASE64.encode(format!("{ACCOUNT}:{SECRET}").as_bytes());
    let fields = fields(call);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let host = call.header("host").starts_with("127.0.0.1:");
    let checks = [
        (call.method == "POST", "method"),
        (call.target == format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"), "path"),
        (call.header("authorization") == format!("Basic {secret}"), "authorization"),
        (call.header("content-type") == "application/x-www-form-urlencoded", "content type"),
        (names == ["Body", "From", "To"], "names of fields"),
        (fields.iter().any(|field| *field == ("Body".into(), "Hi & 안녕 {x}".into())), "Body"),
        (fields.iter().any(|field| *field == ("From".into(), "+15017122661".into())), "From"),
        (host && call.header("idempotency-key").is_empty(), "headers"),
    ];
    checks.into_iter().find(|(well, _)| !well).map(|(_, what)| format!("{what}: {call:?}"))
}

/// A form as its specification has it decoded.
fn fields(call: &Call) -> Vec<(String, String)> {
    let text = String::from_utf8(call.body.clone()).unwrap();
    let decode = |part: &str| {
        let (mut bytes, mut rest) = (Vec::new(), part.as_bytes());
        while let [first, after @ ..] = rest {
            rest = after;
            match (first, after) {
                (b'+', _) => bytes.push(b' '),
                (b'%', [high, low, after @ ..]) => {
                    let pair = String::from_utf8(vec![*high, *low]).unwrap();
                    bytes.push(u8::from_str_radix(&pair, 16).unwrap());
                    rest = after;
                }
                _ => bytes.push(*first),
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(n, v)| (decode(n), decode(v))).collect()
}

#[test]
fn twilios_messages_resource_is_served_by_configuration_alone() {
    let _beside = beside_others();
    let (complaints, busy) = (Arc::new(Mutex::new(Vec::new())), AtomicUsize::new(0));
    let heard = Arc::clone(&complaints);
    let twilio = StandIn::start(move |call| {
        if let Some(complaint) = complaint(call) {
            heard.lock().push(complaint);
            return error(400, 20001, "not as documented");
        }
        let fields = fields(call);
        let of = |name: &str| fields.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
        let (to, body) = (of("To"), of("Body"));
        let sid = format!("SM{}", &to[1..]);
        match to {
            INVALID => error(400, 21211, &format!("Invalid 'To' Phone Number: {to}")),
            BUSY if busy.fetch_add(1, Ordering::AcqRel) == 0 => {
                Reply { more: "Retry-After: 2\r\n", ..error(429, 20429, "Too Many Requests") }
            }
            DELIVERED => Reply::new(201, resource(to, body, &sid, "delivered")),
            STRANGE => Reply::new(201, resource(to, body, &sid, "something-new")),
            _ => Reply::new(201, resource(to, body, &sid, "queued")),
        }
    });
    let mut gateway = gateway("");
    let shown = add(&gateway, &description(twilio.port()), &[]);
    assert!(shown.contains("POST, a form, Basic") && shown.contains("auth.password: sealed"), "{shown}");
    let mut customer = gateway.customer(0);
    let [sent, invalid, busy, delivered, strange] =
        ["+15558675310", INVALID, BUSY, DELIVERED, STRANGE].map(|to| send(&mut customer, to));

    until(&mut customer, &sent, &["sent"], PATIENCE);
    until(&mut customer, &busy, &["sent"], PATIENCE);
    until(&mut customer, &delivered, &["delivered"], PATIENCE);
    let refused = until(&mut customer, &invalid, &["failed"], PATIENCE);
    assert_eq!(refused["code"], "backend-refused", "{refused}");
    let detail = "HTTP 400, code 21211: Invalid 'To' Phone Number: +15005550001";
    assert_eq!(refused["detail"], detail, "{refused}");
    let doubt = until(&mut customer, &strange, &["failed"], PATIENCE);
    assert_eq!(doubt["code"], "uncertain", "what no rule knows is not guessed: {doubt}");

    assert_eq!(*complaints.lock(), Vec::<String>::new());
    let calls = twilio.calls();
    let at: Vec<_> = calls
        .iter()
        .filter(|call| fields(call).contains(&("To".into(), BUSY.into())))
        .map(|call| call.at)
        .collect();
    assert_eq!(at.len(), 2);
    assert!(at[1] - at[0] >= std::time::Duration::from_secs(2), "Retry-After: {:?}", at[1] - at[0]);

    for arguments in [&["route", "show", "carrier"][..], &["route", "list"]] {
        for json in [&["--json"][..], &[]] {
            let shown = gateway.verb(&[arguments, json].concat()).unwrap();
            assert!(!shown.contains(SECRET) && !shown.contains("v1."), "{shown}");
        }
    }
    gateway.drain().unwrap();
    assert_eq!(
        holds(gateway.home(), SECRET.as_bytes()),
        Vec::<String>::new(),
        "in no file but the description"
    );
    assert_eq!(backend_id(&gateway, &sent).as_deref(), Some("SM15558675310"));
}

/// What the provider calls a message, by the ledger.
fn backend_id(gateway: &naru_tests::gateway::Gateway, id: &str) -> Option<String> {
    let file = rusqlite::Connection::open(gateway.home().join("data/ledger.db")).unwrap();
    let all = "SELECT id, backend_id FROM message";
    let mut statement = file.prepare(all).unwrap();
    let rows =
        statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<String>>(1)?)));
    let wanted: naru_shared::domain::MessageId = id.parse().unwrap();
    let found =
        rows.unwrap().map(Result::unwrap).find(|(row, _)| row.as_slice() == wanted.as_bytes().as_slice());
    found.and_then(|(_, backend_id)| backend_id)
}
