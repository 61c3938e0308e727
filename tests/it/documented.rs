//! What stands in the engines, as their own clients see it, is what the documents say stands there.

mod amqp;
mod psql;
mod redis_cli;
mod tables;

use std::{fs, path::Path, time::Duration};

use naru_tests::{
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::Setup,
};
use serde_json::{Value, json};

use crate::stage::{beside_others, until, within};

const PATIENCE: Duration = Duration::from_secs(30);

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// A recipient, by the simulator's last two digits, and the state that its message comes to.
const FATES: [(&str, &str); 5] =
    [("00", "delivered"), ("90", "failed"), ("94", "delivered"), ("95", "sent"), ("97", "held")];

fn message(reference: &str, digits: &str) -> Value {
    json!({ "channel": "sms", "recipient": format!("+8210123456{digits}"), "body": "the text", "reference": reference })
}

/// Accepted: the id. A gate over a new Redis lets nobody in for its first second.
fn accepted(customer: &mut Customer, message: &Value, key: Option<&str>) -> String {
    let reply = within(PATIENCE, "it is let in", || {
        Some(customer.send(message, key).unwrap()).filter(|r| r.status != 429)
    });
    assert_eq!(reply.status, 202, "{}", reply.json());
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn verb(site: &Deployment, arguments: &[&str]) -> String {
    site.verb(arguments).unwrap()
}

/// The customer `acme` on `carrier-a`, which holds what is in doubt; its live and its sandbox credential.
fn customers(site: &Deployment) -> [String; 2] {
    verb(site, &["customer", "add", "acme", "--time-zone", "Asia/Seoul", "--rate", "burst=100/1s+200"]);
    verb(site, &["route", "add", "carrier-a", "simulator", "--assign", "acme", "--on-uncertain", "hold"]);
    verb(site, &["quota", "set", "acme", "1000", "--period", "month"]);
    verb(site, &["subscription", "add", "watch"]);
    ["live", "sandbox"].map(|environment| {
        let made = verb(site, &["credential", "add", "acme", "--environment", environment, "--json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        ["id", "password", "api_key"].map(|part| made[part].as_str().unwrap()).join(":")
    })
}

const LANE: &str = "naru.main.carrier-a.express";

/// A message of a queue once there is one; it stays there.
fn seen(client: &mut amqp::Client, queue: &str) -> Value {
    within(PATIENCE, &format!("something lies on {queue}"), || {
        client.waiting(queue).filter(|waiting| *waiting > 0)?;
        Some(client.get(queue, "requeue")).filter(|message| !message.is_null())
    })
}

/// One message lies on the lane.
fn while_no_worker_runs(client: &mut amqp::Client, rabbit: &str) {
    let envelope = seen(client, LANE);
    amqp::message(rabbit, "a sealed envelope with a pack", &envelope);
    assert_eq!(envelope["headers"]["naru-customer"], "acme");
    assert!(envelope["body"].as_str().unwrap().contains("the text"), "signed, not encrypted");
    // What is thrown out lies on the queue beside it.
    client.get(LANE, "reject");
    let thrown = seen(client, &format!("{LANE}.dead"));
    amqp::message(rabbit, "one that was thrown out", &thrown);
    assert_eq!((client.waiting(LANE), &thrown["body"]), (Some(0), &envelope["body"]));
    client.run(json!({ "do": "publish", "queue": LANE, "body": "no envelope" }));
}

fn while_workers_run(site: &Deployment, client: &mut amqp::Client, rabbit: &str, first: &str) {
    let aside = seen(client, &format!("{LANE}.quarantine"));
    amqp::message(rabbit, "what could not be opened", &aside);
    assert_eq!((&aside["body"], &aside["headers"]["naru-queue"]), (&json!("no envelope"), &json!(LANE)));
    let event =
        within(PATIENCE, "the message's event lies there, behind those of the operator's acts", || {
            let event = client.get("naru.main.events.watch.copies", "ack");
            Some(event).filter(|event| event["routing_key"] == "naru.message.delivered")
        });
    amqp::message(rabbit, "an event, as a CloudEvent", &event);
    let told: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    assert_eq!((&told["id"], &told["type"]), (&event["properties"]["message_id"], &event["routing_key"]));
    assert_eq!((&told["subject"], &event["exchange"]), (&json!(first), &json!("naru.main.events")));
    // What a newer program wrote is put off until one comes that can open it.
    client.run(json!({ "do": "publish", "queue": LANE, "body": "999.key.mac\n{}" }));
    let put_off = seen(client, &format!("{LANE}.later"));
    amqp::message(rabbit, "one that was put off", &put_off);
    amqp::queues(client, rabbit);
    let listed = site.carrier.rabbit().unwrap().ctl(&["list_queues", "--silent", "name"]).unwrap();
    amqp::names(&listed, rabbit, &["carrier-a", "sandbox", "demo"]);
}

#[test]
fn the_engines_own_clients_see_what_the_documents_say_is_there() {
    let _beside = beside_others();
    let setup = Setup { customers: 0, ..Setup::default() };
    let mut site = Deployment::prepare(&Shape { setup, ..Shape::default() }).unwrap();
    for front in &mut site.ingress {
        front.start(&[]).unwrap();
    }
    let [live, test] = customers(&site);
    let mut live = Customer::live(site.front(0), &live, PATIENCE);
    let mut test = Customer::sandbox(site.front(1), &test, PATIENCE);
    within(PATIENCE, "the customer is known", || live.get("/quota").ok().filter(|reply| reply.status == 200));

    // What lies on a lane while no worker takes it.
    let first = accepted(&mut live, &message("first", "00"), Some("key-1"));
    let rabbit = document("rabbitmq.md");
    let mut client = amqp::Client::connect(&site.carrier.rabbit().unwrap().url());
    while_no_worker_runs(&mut client, &rabbit);
    for workers in &mut site.workers {
        workers.start(&[]).unwrap();
    }
    // What was thrown out was not lost.
    until(&mut live, &first, &["delivered"], PATIENCE);
    while_workers_run(&site, &mut client, &rabbit, &first);

    let mut ids = vec![first];
    for (digits, state) in FATES {
        let id = accepted(&mut live, &message(digits, digits), None);
        until(&mut live, &id, &[state], PATIENCE);
        ids.push(id);
    }
    let id = accepted(&mut test, &message("tried", "00"), None);
    until(&mut test, &id, &["delivered"], PATIENCE);
    ids.push(id);
    let psql = psql::Psql(&site);
    let mut later = message("later", "00");
    later["send_at"] = json!(
        psql.one("SELECT to_char((now() + '1 day') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    );
    ids.push(accepted(&mut live, &later, None));
    until(&mut live, &ids[ids.len() - 1], &["scheduled"], PATIENCE);

    let shown = |id: &String| {
        serde_json::from_str::<Value>(&verb(&site, &["message", "show", id, "--json"])).unwrap()
    };
    let views: Vec<Value> = ids.iter().map(shown).collect();
    let postgres = document("postgresql.md");
    psql::shape(&psql, &postgres);
    psql::rights(&psql, &postgres);
    psql::readable(&psql, &views);
    psql::codes(&psql);
    psql::examples(&psql, &postgres);
    psql::counts(&psql, &mut live);
    verb(&site, &["customer", "set", "acme", "--refuse-repeats", "3600"]);
    within(PATIENCE, "the same is refused", || {
        live.send(&message("twice", "00"), None).ok().filter(|reply| reply.status == 409)
    });
    let made = verb(&site, &["credential", "add", "acme", "--kind", "hmac", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    let [id, secret] = ["id", "secret"].map(|part| made[part].as_str().unwrap());
    let front = format!("http://{}", site.front(0));
    within(PATIENCE, "a signed call is taken, and its nonce remembered", || {
        let answer = crate::signing::by_shell(&front, id, secret, &["GET", "/v1.0/quota"]);
        answer["quotas"].is_array().then_some(())
    });
    redis_cli::keys(site.redis.port(), &document("redis.md"));
}
