//! Providers that report later: by calls that come after their answer, before it, twice, too late, forged or about nothing; and what is
//! known of a message when the provider's answer was not.

mod again;
mod doubted;
mod killed;
mod site;

use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use naru_tests::customer::Customer;
use parking_lot::Mutex;
use serde_json::{Value, json};

use self::site::{Caller, Site};
use super::{
    SECRET,
    standin::{Call, Reply, StandIn},
};
use crate::stage::{accept, beside_others, until, within};

const PATIENCE: Duration = Duration::from_secs(30);

/// Of whose messages the provider reports before it answers.
const HASTY: &str = "+15005550111";

/// As Twilio documents its status callbacks: a form with MessageSid, MessageStatus and ErrorCode; Basic authentication.
fn description(port: u16) -> String {
    format!(
        r#"
url = "http://127.0.0.1:{port}/Messages.json"

[form]
To = "{{recipient!}}"
Body = "{{body!}}"

[answer]
id = "/sid"

[reports]
proof = {{ kind = "basic", user = "twilio", secret = "{SECRET}" }}
id = "/MessageSid"
status = "/MessageStatus"
code = "/ErrorCode"
delivered = ["delivered", "read"]
failed = ["failed", "undelivered", "canceled"]
waiting = ["accepted", "scheduled", "queued", "sending", "sent"]
"#
    )
}

/// A status callback, every field that the documentation has.
fn callback(sid: &str, status: &str, code: Option<u32>) -> String {
    let code = code.map(|code| format!("&ErrorCode={code}")).unwrap_or_default();
    format!(
        "AccountSid=ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&ApiVersion=2010-04-01&From=%2B15017122661&MessageSid={sid}&\
         MessageStatus={status}&SmsSid={sid}&SmsStatus={status}&To=%2B15005550006{code}"
    )
}

/// A provider that takes everything under a new id.
struct Twilio {
    stand_in: StandIn,
    caller: Arc<Mutex<Option<Caller>>>,
    /// What it calls each message, by the id that it was given.
    sids: Arc<Mutex<HashMap<String, String>>>,
}

impl Twilio {
    fn start() -> Self {
        let caller: Arc<Mutex<Option<Caller>>> = Arc::default();
        let sids: Arc<Mutex<HashMap<String, String>>> = Arc::default();
        let (counted, calling, naming) = (AtomicU64::new(0), Arc::clone(&caller), Arc::clone(&sids));
        let stand_in = StandIn::start(move |call: &Call| {
            let sid = format!("SM{:032x}", counted.fetch_add(1, Ordering::Relaxed));
            naming.lock().insert(call.header("idempotency-key").to_owned(), sid.clone());
            let text = String::from_utf8_lossy(&call.body).into_owned();
            if text.contains(&HASTY.replace('+', "%2B")) {
                let told =
                    calling.lock().as_ref().map(|caller| caller.twilio(&callback(&sid, "delivered", None)).0);
                assert_eq!(told, Some(200));
                thread::sleep(Duration::from_millis(700));
            }
            Reply::new(201, json!({ "sid": sid, "status": "queued" }))
        });
        Self { stand_in, caller, sids }
    }

    fn sid(&self, id: &str) -> String {
        self.sids.lock()[id].clone()
    }

    /// Makes its route, and tells the stand-in whom to call.
    fn join(&self, site: &Site) {
        let file = site.home().join("twilio.toml");
        std::fs::write(&file, description(self.stand_in.port())).unwrap();
        let file = file.display().to_string();
        let shown = site.verb(&[
            "route",
            "add",
            "twilio",
            "http",
            "--provider",
            &file,
            "--allow-network",
            "127.0.0.0/8",
            "--attempt-timeout",
            "3s",
            "--assign",
            "c0/sms",
        ]);
        assert!(shown.contains("POST /callbacks/v1.0/twilio") && shown.contains("Basic"), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
        site.settle(&["twilio"]);
        *self.caller.lock() = Some(site.caller());
    }
}

fn text(recipient: &str) -> Value {
    json!({ "channel": "sms", "recipient": recipient, "sender": "+15017122661", "body": "hello", "lane": "express", "ttl": 5 })
}

/// Sends a message that is then `sent`; its id, and what the provider calls it.
fn sent(twilio: &Twilio, customer: &mut Customer, recipient: &str) -> (String, String) {
    let id = accept(customer, &text(recipient), None);
    // It may be over before it is looked at.
    until(customer, &id, &["sent", "expired"], PATIENCE);
    let sid = twilio.sid(&id);
    (id, sid)
}

fn in_every_order(site: &Site, twilio: &Twilio) {
    let caller = site.caller();
    let mut customer = site.customer();
    let revision = |view: &Value| (view["revision"].as_u64().unwrap(), view["charged"].as_bool().unwrap());

    // After, twice; what is under way changes nothing.
    let (id, sid) = sent(twilio, &mut customer, "+15005550006");
    for status in ["queued", "sent", "delivered", "delivered"] {
        assert_eq!(caller.twilio(&callback(&sid, status, None)).0, 200);
    }
    assert_eq!(revision(&until(&mut customer, &id, &["delivered"], PATIENCE)), (1, true));

    // Corrected: a failure that was told, and then that it arrived after all.
    let (other, sid) = sent(twilio, &mut customer, "+15005550007");
    assert_eq!(caller.twilio(&callback(&sid, "undelivered", Some(30_003))).0, 200);
    let view = until(&mut customer, &other, &["failed"], PATIENCE);
    assert_eq!(
        (view["code"].as_str(), view["detail"].as_str()),
        (Some("backend-refused"), Some("reported undelivered, code 30003"))
    );
    assert_eq!(caller.twilio(&callback(&sid, "delivered", None)).0, 200);
    assert_eq!(revision(&until(&mut customer, &other, &["delivered"], PATIENCE)), (2, true));

    // Before its own answer.
    let hasty = accept(&mut customer, &text(HASTY), None);
    assert_eq!(revision(&until(&mut customer, &hasty, &["delivered"], PATIENCE)), (1, true));

    // Forged, or for a route that is none: the same bytes.
    let body = callback(&sid, "failed", None);
    let forged =
        caller.post("twilio", &[("Authorization", &site::basic("twilio", "guess-guess-guess"))], &body);
    let bare = caller.post("twilio", &[], &body);
    let unknown = caller.post("unheard-of", &[("Authorization", &site::basic("twilio", SECRET))], &body);
    let none = caller.post("unheard-of", &[], &body);
    let silent = caller.post("demo", &[("Authorization", &site::basic("twilio", SECRET))], &body);
    assert!(
        [&bare, &unknown, &none, &silent].into_iter().all(|answer| *answer == forged),
        "{bare:?} {forged:?}"
    );
    assert_eq!(forged.0, 401);
    assert_eq!(caller.twilio("MessageSid=SM1&MessageStatus=clicked").0, 422);

    // Of nothing that is known: told once its time is over.
    assert_eq!(caller.twilio(&callback("SMunknown", "delivered", None)).0, 200);
    within(PATIENCE, "it is told that it belongs to nothing", || {
        site.logs().contains("belongs to no message that is known").then_some(())
    });
    // Nothing of all this changed what was known, and no secret is told anywhere.
    assert_eq!(revision(&until(&mut customer, &id, &["delivered"], PATIENCE)), (1, true));
    assert!(!site.logs().contains(SECRET));
}

fn late(site: &Site, twilio: &Twilio) {
    let before = site.used();
    let caller = site.caller();
    let mut customer = site.customer();
    for (captured, status, ends) in
        [("released", "delivered", "delivered"), ("captured", "undelivered", "failed")]
    {
        site.verb(&["route", "set", "twilio", "--report-window", "1s", "--no-report", captured]);
        thread::sleep(Duration::from_secs(2));
        let (id, sid) = sent(twilio, &mut customer, "+15005550006");
        let view = until(&mut customer, &id, &["expired"], PATIENCE);
        let paid = captured == "captured";
        assert_eq!((view["code"].as_str(), view["charged"].as_bool()), (Some("no-report"), Some(paid)));
        assert_eq!(caller.twilio(&callback(&sid, status, None)).0, 200);
        let view = until(&mut customer, &id, &[ends], PATIENCE);
        assert_eq!((view["revision"].as_u64(), view["charged"].as_bool()), (Some(2), Some(!paid)));
    }
    assert_eq!(site.used(), before + 1, "what was corrected is charged as it ended");
}

fn everything(site: &Site) {
    let twilio = Twilio::start();
    twilio.join(site);
    in_every_order(site, &twilio);
    late(site, &twilio);
}

#[test]
fn reports_of_a_provider_are_right_in_whatever_order_they_come_and_however_late() {
    let _beside = beside_others();
    everything(&Site::embedded());
}

#[test]
fn reports_of_a_provider_are_right_over_postgresql_rabbitmq_and_redis() {
    let _beside = beside_others();
    everything(&Site::wide());
}

/// Python's standard library signs as Standard Webhooks asks for, and tells several reports at once, of which some cannot be understood.
const CLIENT: &str = r#"
import base64, hashlib, hmac, json, sys, time, urllib.request
url, secret, ids = sys.argv[1], sys.argv[2], sys.argv[3:]
body = json.dumps([{"id": id, "status": "delivered", "code": 0} for id in ids]
    + [{"id": ids[0], "status": "sent"}, {"id": "nonsense", "status": "delivered"}]).encode()
key, name, now = base64.b64decode(secret.removeprefix("whsec_")), "evt_1", str(int(time.time()))
def call(body, signed):
    tag = base64.b64encode(hmac.new(key, f"{name}.{now}.".encode() + signed, hashlib.sha256).digest()).decode()
    headers = {"Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": now, "webhook-signature": "v1," + tag}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None
print(json.dumps([call(body, body), call(body + b" ", body)]))
"#;

#[test]
fn a_client_that_we_did_not_write_tells_many_reports_at_once_by_the_plain_form() {
    let _beside = beside_others();
    let site = Site::embedded();
    let stand_in = StandIn::start(|_| Reply::new(202, "{}"));
    let url = format!("http://127.0.0.1:{}/", stand_in.port());
    let add = [
        "route",
        "add",
        "plain",
        "http",
        &url,
        "--reports",
        "signed",
        "--allow-network",
        "127.0.0.0/8",
        "--attempt-timeout",
        "3s",
        "--assign",
        "c0/sms",
        "--json",
    ];
    let shown: Value = serde_json::from_str(&site.verb(&add)).unwrap();
    let secret = shown["callback_secret"].as_str().unwrap().to_owned();
    assert!(!site.verb(&["route", "show", "plain", "--json"]).contains(&secret), "it is shown once");
    site.settle(&["plain"]);
    let mut customer = site.customer();
    let ids: Vec<String> = (0..5).map(|_| accept(&mut customer, &text("+15005550006"), None)).collect();
    for id in &ids {
        until(&mut customer, id, &["sent"], PATIENCE);
    }
    let url = site.caller().url("plain");
    let output = Command::new("python3").args(["-c", CLIENT, &url, &secret]).args(&ids).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers[0], json!([200, { "taken": 5, "waiting": 1, "unread": 1 }]));
    assert_eq!(answers[1], json!([401, null]), "another body than the one that was signed");
    for id in &ids {
        let view = until(&mut customer, id, &["delivered"], PATIENCE);
        assert_eq!(
            (view["revision"].as_u64(), view["detail"].as_str()),
            (Some(1), Some("reported delivered, code 0"))
        );
    }
}
