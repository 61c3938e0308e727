//! The rules of the trade, as customers and operators meet them: what a message counts, in whose name it may be sent, who wants none,
//! and what comes twice. Embedded, and wide with two fronts and two workers.

use std::{
    fs::File,
    process::Command,
    time::{Duration, Instant},
};

use naru_shared::domain::{Clock, SystemClock};
use naru_tests::{
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::{Gateway, Setup},
};
use serde_json::{Value, json};

use crate::stage::{accept, beside_others, reports, until, within};

const PATIENCE: Duration = Duration::from_secs(20);

/// What an operator changed is in force within a second, and so long is looked for it; some more is given to a busy machine.
const IN_FORCE: Duration = Duration::from_secs(3);

/// One process or many.
trait Place {
    /// A customer's client at one of two fronts.
    fn at(&self, front: usize) -> Customer;
    /// One of the operator's verbs.
    fn naru(&self, arguments: &[&str]) -> String;
    /// What is accepted waits on the queue from now on.
    fn rest(&mut self);
    /// Until now.
    fn work(&mut self);
}

impl Place for Gateway {
    fn at(&self, _front: usize) -> Customer {
        self.customer(0)
    }

    fn naru(&self, arguments: &[&str]) -> String {
        self.verb(arguments).unwrap()
    }

    fn rest(&mut self) {
        self.drain().unwrap();
        self.argue(&["--workers", "0"]);
        self.start(&[]).unwrap();
    }

    fn work(&mut self) {
        self.drain().unwrap();
        self.argue(&[]);
        self.start(&[]).unwrap();
    }
}

impl Place for Deployment {
    fn at(&self, front: usize) -> Customer {
        self.customer_at(front, 0)
    }

    fn naru(&self, arguments: &[&str]) -> String {
        self.verb(arguments).unwrap()
    }

    fn rest(&mut self) {
        self.workers.iter_mut().for_each(|worker| worker.ask_to_end().unwrap());
        self.workers.iter_mut().for_each(|worker| assert!(worker.drain().is_ok()));
    }

    fn work(&mut self) {
        self.start(&[]).unwrap();
    }
}

fn setup() -> Setup {
    Setup { quota: Some(100_000), ..Setup::default() }
}

fn sms(recipient: &str, body: &str) -> Value {
    json!({ "channel": "sms", "recipient": recipient, "body": body })
}

fn from(sender: &str, body: &str) -> Value {
    json!({ "channel": "sms", "recipient": "+821012345600", "sender": sender, "body": body })
}

/// Both fronts answer so to what `message` makes, from then on.
fn in_force(place: &dyn Place, expected: &str, message: impl Fn() -> Value) {
    for front in 0..2 {
        let mut customer = place.at(front);
        within(IN_FORCE, expected, || {
            let reply = customer.send(&message(), None).unwrap();
            let answer = reply.json();
            (reply.status == 202 && expected == "accepted" || answer["code"] == expected).then_some(())
        });
    }
}

/// Units are charged by the rule of the route, and what it cannot carry is refused before anything happens.
fn units_are_charged_by_the_rule_of_the_route(place: &dyn Place) {
    let mut customer = place.at(0);
    let used = |customer: &mut Customer| {
        customer.get("/quota").unwrap().json()["quotas"][0]["used"].as_u64().unwrap()
    };
    let charged = |customer: &mut Customer, message: &Value, units: u64| {
        // What was sent to see a rule in force is charged first.
        let mut before = used(customer);
        within(PATIENCE, "nothing more is charged", || {
            std::thread::sleep(Duration::from_millis(300));
            let last = std::mem::replace(&mut before, used(customer));
            (last == before).then_some(())
        });
        let id = accept(customer, message, None);
        let view = until(customer, &id, &["delivered"], PATIENCE);
        assert_eq!((&view["units"], &view["charged"]), (&json!(units), &json!(true)), "{view}");
        assert_eq!(used(customer), before + units);
    };
    let long = "a".repeat(307);
    charged(&mut customer, &sms("+821012345600", &long), 1);
    place.naru(&["route", "set", "demo", "--count", "segments", "--units", "2", "--class", "domestic"]);
    in_force(place, "text-too-long", || sms("+821012345600", &"a".repeat(1_531)));
    charged(&mut customer, &sms("+821012345600", &long), 6);
    let batch = json!([sms("+821012345600", &"가".repeat(71)), sms("+821012345600", &"가".repeat(671))]);
    let reply = customer.batch(batch.as_array().unwrap()).unwrap().json();
    assert_eq!(
        (&reply["results"][0]["units"], &reply["results"][1]["result"]),
        (&json!(4), &json!("refused"))
    );
    assert_eq!(reply["results"][1]["problem"]["code"], "text-too-long");
    place.naru(&["route", "set", "demo", "--count", "korean", "--units", "1"]);
    in_force(place, "text-not-writable", || sms("+821012345600", "😀"));
    let reply = customer.send(&sms("+821012345600", &"가".repeat(46)), None).unwrap();
    assert_eq!((reply.status, &reply.json()["code"]), (422, &json!("text-too-long")));
    assert!(reply.json()["detail"].as_str().unwrap().contains("lms takes up to 2000"), "{}", reply.json());
    charged(&mut customer, &sms("+821012345600", &"가".repeat(45)), 1);
    let mut lms = sms("+821012345600", &"가".repeat(1_000));
    lms["channel"] = "lms".into();
    charged(&mut customer, &lms, 1);
    let id = accept(&mut customer, &lms, None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
    let shown = place.naru(&["message", "show", &id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["class"], "domestic", "{shown}");
    billed_by_class(place, used);
    place.naru(&["route", "set", "demo", "--count", "message", "--class", "none"]);
    in_force(place, "accepted", || sms("+821012345600", "😀"));
}

/// A month's bill has lines with the class and lines without, and together they are what is used.
fn billed_by_class(place: &dyn Place, used: impl Fn(&mut Customer) -> u64) {
    let month = &SystemClock.now().to_string()[..7];
    within(PATIENCE, "the bill holds what is used", || {
        let bill = place.naru(&["usage", "--month", month, "--customer", "c0", "--json"]);
        let bill: Value = serde_json::from_str(&bill).unwrap();
        let units = |class: &Value| -> u64 {
            let lines = bill["hours"].as_array().unwrap().iter().filter(|line| line["class"] == *class);
            let columns = lines.flat_map(|line| [&line["units_captured"], &line["units_reserved"]]);
            columns.map(|units| units.as_u64().unwrap()).sum()
        };
        let (domestic, none) = (units(&json!("domestic")), units(&Value::Null));
        // The last three at least were recorded with the class, and the first without.
        (domestic >= 3 && none >= 1 && domestic + none == used(&mut place.at(0))).then_some(())
    });
    let csv = place.naru(&["usage", "--month", month, "--csv"]);
    let mut records = csv.split("\r\n");
    assert!(records.next().unwrap().ends_with(",class"), "{csv}");
    assert!(records.clone().any(|record| record.ends_with(",domestic")), "{csv}");
    assert!(records.any(|record| record.ends_with(',')), "{csv}");
}

/// A sender who is not registered is refused at every front within a second of the change, and what was accepted in time to be on
/// the queue is rejected.
fn only_registered_senders_are_let_in(place: &mut dyn Place) {
    accept(&mut place.at(0), &from("ACME", "anybody"), None);
    place.naru(&["sender", "add", "c0", "02-1544-1234", "1544-1234"]);
    in_force(place, "sender-unregistered", || from("01099998888", "not mine"));
    let mut customer = place.at(1);
    let absent = customer.send(&sms("+821012345600", "nobody's"), None).unwrap();
    assert_eq!((absent.status, &absent.json()["code"]), (422, &json!("sender-unregistered")));
    accept(&mut customer, &from("+82 2 1544 1234", "mine"), None);
    accept(&mut customer, &from("15441234", "mine"), None);
    place.rest();
    let mut customer = place.at(0);
    let waiting = accept(&mut customer, &from("0215441234", "still mine"), None);
    place.naru(&["sender", "remove", "c0", "+82-2-1544-1234"]);
    let began = Instant::now();
    in_force(place, "sender-unregistered", || from("0215441234", "mine no more"));
    assert!(began.elapsed() < IN_FORCE);
    place.work();
    let view = until(&mut place.at(0), &waiting, &["rejected"], PATIENCE);
    assert_eq!((&view["code"], &view["charged"]), (&json!("sender-unregistered"), &json!(false)), "{view}");
    let listed: Value = serde_json::from_str(&place.naru(&["sender", "list", "c0", "--json"])).unwrap();
    assert_eq!((&listed["registered"], &listed["registered_only"]), (&json!(["+8215441234"]), &json!(true)));
    place.naru(&["customer", "set", "c0", "--senders", "any"]);
    in_force(place, "accepted", || from("01099998888", "anybody again"));
}

/// Who opted out is not sent to: neither what comes, nor what waits when it is said.
fn who_opted_out_gets_nothing_more(place: &mut dyn Place) {
    let (out, other) = ("+821055550100", "+821055550200");
    place.naru(&["route", "pause", "demo"]);
    let mut customer = place.at(0);
    let mut ids: Vec<(String, bool)> = Vec::new();
    for number in 0..20 {
        let messages = [sms(out, &format!("{number}")), sms(other, &format!("{number}"))];
        let reply = customer.batch(&messages).unwrap().json();
        for (index, is_out) in [(0, true), (1, false)] {
            ids.push((reply["results"][index]["id"].as_str().unwrap().to_owned(), is_out));
        }
    }
    for (id, _) in &ids {
        until(&mut customer, id, &["ready", "delivered"], PATIENCE);
    }
    let delivered = |customer: &mut Customer, id: &str| {
        customer.get(&format!("/messages/{id}")).unwrap().json()["status"] == "delivered"
    };
    let early: usize = ids.iter().filter(|(id, out)| *out && delivered(&mut customer, id)).count();
    let done = place.naru(&["opt-out", "add", "c0", "010-5555-0100", "--json"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((&done["rejected"], &done["in_flight"]), (&json!(20 - early), &json!(0)), "{done}");
    place.naru(&["route", "resume", "demo"]);
    let mut counted = (0, 0);
    for (id, is_out) in &ids {
        let view = until(&mut customer, id, &["delivered", "rejected"], PATIENCE);
        match (view["status"].as_str(), is_out) {
            (Some("rejected"), true) => {
                assert_eq!((&view["code"], &view["charged"]), (&json!("opted-out"), &json!(false)), "{view}");
                counted.0 += 1;
            }
            (Some("delivered"), false) => counted.1 += 1,
            (Some("delivered"), true) if early > 0 => {}
            _ => panic!("{is_out} {view}"),
        }
    }
    assert_eq!(counted, (20 - early, 20));
    // What comes later, also on the queue of before, and by another list.
    place.rest();
    let mut customer = place.at(0);
    let waiting = accept(&mut customer, &sms("+821055550300", "not seen yet"), None);
    let again = accept(&mut customer, &sms(out, "again"), None);
    place.naru(&["opt-out", "add", "*/sms", "+82 10 5555 0300"]);
    place.work();
    let mut customer = place.at(1);
    for id in [waiting, again] {
        let view = until(&mut customer, &id, &["rejected", "delivered"], PATIENCE);
        assert_eq!((&view["code"], &view["attempts"]), (&json!("opted-out"), &json!(0)), "{view}");
    }
    drop(reports(&mut customer, 1, PATIENCE));
    let exported = place.naru(&["opt-out", "export"]);
    assert!(
        exported.contains("\nc0,*,+821055550100,") && exported.contains("\n*,sms,+821055550300,"),
        "{exported}"
    );
    place.naru(&["opt-out", "remove", "c0", "01055550100"]);
    let id = accept(&mut customer, &sms(out, "in again"), None);
    until(&mut customer, &id, &["delivered"], PATIENCE);
}

/// The same content is refused at every front, but for a call that is tried again.
fn what_comes_twice_is_refused(place: &dyn Place) {
    place.naru(&["customer", "set", "c0", "--refuse-repeats", "600"]);
    in_force(place, "duplicate-content", || sms("+821012345600", "twice"));
    let (mut here, mut there) = (place.at(0), place.at(1));
    let message = sms("+821012345600", "once");
    let first = accept(&mut here, &message, Some("order-1"));
    assert_eq!(accept(&mut there, &message, Some("order-1")), first, "the first answer");
    let again = there.send(&message, Some("order-2")).unwrap();
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("duplicate-content")));
    let wait: u64 = again.header("retry-after").unwrap().parse().unwrap();
    assert!((500..=600).contains(&wait), "{wait}");
    accept(&mut there, &sms("+821012345601", "once"), None);
    let both = there.batch(&[sms("+821012345600", "in one"), sms("+821012345600", "in one")]).unwrap().json();
    assert_eq!((&both["accepted"], &both["refused"]), (&json!(1), &json!(1)), "{both}");
    // A call that is refused further on has claimed nothing.
    place.naru(&["quota", "set", "c0", "0"]);
    let number = std::cell::Cell::new(0);
    in_force(place, "quota-exceeded", || {
        number.set(number.get() + 1);
        sms("+821012345600", &format!("another {}", number.get()))
    });
    let refused = here.send(&sms("+821012345600", "refused"), None).unwrap();
    assert_eq!(refused.json()["code"], "quota-exceeded");
    place.naru(&["quota", "set", "c0", "100000"]);
    let mut accepted = 0;
    within(IN_FORCE, "the quota is in force", || {
        let reply = here.send(&sms("+821012345600", "refused"), None).unwrap();
        assert!(reply.status == 202 || reply.json()["code"] == "quota-exceeded", "{}", reply.json());
        accepted += u32::from(reply.status == 202);
        (accepted == 1).then_some(())
    });
}

#[test]
fn the_rules_of_the_trade_hold_in_one_process() {
    let _beside = beside_others();
    let mut gateway = Gateway::spawn(&setup()).unwrap();
    units_are_charged_by_the_rule_of_the_route(&gateway);
    only_registered_senders_are_let_in(&mut gateway);
    who_opted_out_gets_nothing_more(&mut gateway);
    what_comes_twice_is_refused(&gateway);
}

#[test]
fn the_rules_of_the_trade_hold_over_shared_engines() {
    let _beside = beside_others();
    let mut site = Deployment::spawn(&Shape { setup: setup(), ..Shape::default() }).unwrap();
    units_are_charged_by_the_rule_of_the_route(&site);
    only_registered_senders_are_let_in(&mut site);
    who_opted_out_gets_nothing_more(&mut site);
    what_comes_twice_is_refused(&site);
    // Redis forgets, and is away: what comes is let in, and soon.
    let message = sms("+821012345600", "known to Redis alone");
    accept(&mut site.at(0), &message, None);
    site.redis.flush_all().unwrap();
    accept(&mut site.at(1), &message, None);
    site.redis.freeze().unwrap();
    let mut customer = site.at(0);
    for _ in 0..3 {
        let began = Instant::now();
        accept(&mut customer, &message, None);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    site.redis.thaw().unwrap();
    in_force(&site, "duplicate-content", || sms("+821012345600", "known again"));
}

/// A list of many comes from a file, all of it or nothing, and goes back into one.
#[test]
fn lists_of_opt_outs_come_from_files_and_go_back() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&setup()).unwrap();
    let file = gateway.home().join("list.csv");
    let mut text = "customer,channel,recipient\n".to_owned();
    for number in 0..5_000 {
        text.push_str(&format!("c0,*,010-{:04}-{:04}\n", 6_000 + number / 1_000, number % 1_000));
    }
    std::fs::write(&file, format!("{text}c0,*\n")).unwrap();
    let refused = gateway.verb(&["opt-out", "import", &file.display().to_string()]).unwrap_err().to_string();
    assert!(refused.contains("line 5002"), "{refused}");
    assert_eq!(gateway.naru(&["opt-out", "list", "c0", "--json"]).trim(), "[]");
    std::fs::write(&file, &text).unwrap();
    let done = gateway.naru(&["opt-out", "import", &file.display().to_string(), "--json"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((&done["recipients"], &done["new"]), (&json!(5_000), &json!(5_000)), "{done}");
    let mut customer = gateway.at(0);
    let id = accept(&mut customer, &sms("+821060000007", "hello"), None);
    assert_eq!(until(&mut customer, &id, &["rejected"], PATIENCE)["code"], "opted-out");
    let exported = gateway.naru(&["opt-out", "export", "c0"]);
    assert_eq!(exported.lines().count(), 5_001);
    std::fs::write(&file, exported).unwrap();
    let done = gateway.naru(&["opt-out", "import", &file.display().to_string(), "--json"]);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((&done["recipients"], &done["new"]), (&json!(5_000), &json!(0)), "{done}");
    let found = gateway.naru(&["opt-out", "list", "--recipient", "+821060000007", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap().as_array().unwrap().len(), 1);
}

/// As Python's `csv` reads it: a spreadsheet would compute what begins so, unless it is a number.
#[test]
fn what_a_spreadsheet_would_take_for_a_formula_is_exported_as_text_and_comes_back_as_it_was() {
    let _beside = beside_others();
    let gateway = Gateway::spawn(&Setup { customers: 2, ..setup() }).unwrap();
    let names =
        ["=HYPERLINK(\"http://127.0.0.1/\",\"y\")", "=cmd|' /C calc'!A0", "@SUM(1,2)", "+1+2", "-2+3"];
    let file = gateway.home().join("list.csv");
    let rows = names.map(|name| format!("c0,chat,\"{}\"\n", name.replace('"', "\"\"")));
    std::fs::write(&file, format!("customer,channel,recipient\n{}", rows.concat())).unwrap();
    gateway.naru(&["opt-out", "import", file.to_str().unwrap()]);
    let exported = gateway.naru(&["opt-out", "export", "c0"]);
    std::fs::write(&file, &exported).unwrap();
    let program = "import csv, json, sys\n\
                   print(json.dumps([row['recipient'] for row in csv.DictReader(sys.stdin, strict=True)]))\n";
    let read =
        Command::new("python3").args(["-c", program]).stdin(File::open(&file).unwrap()).output().unwrap();
    let cells: Vec<String> = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(cells.len(), names.len(), "{cells:?}");
    assert!(cells.iter().all(|cell| cell.starts_with('\'')), "{cells:?}");
    std::fs::write(&file, exported.replace("c0,chat,", "c1,chat,")).unwrap();
    gateway.naru(&["opt-out", "import", file.to_str().unwrap()]);
    let listed: Vec<Value> =
        serde_json::from_str(&gateway.naru(&["opt-out", "list", "c1", "--json"])).unwrap();
    let mut back: Vec<&str> = listed.iter().map(|entry| entry["recipient"].as_str().unwrap()).collect();
    back.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(back, names);
}
