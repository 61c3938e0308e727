//! The dead sent again into tables and in doubt, and commands of an operator that are killed in their middle: typed again they go on, and
//! nothing is sent or charged twice.

use std::{collections::BTreeMap, thread, time::Duration};

use naru_shared::domain::OnUncertain;
use naru_tests::{
    customer::Customer,
    deployment::{Carries, Deployment},
    engines::Postgres,
    gateway::{Gateway, RouteSpec, Setup},
    place::{On, Place},
};
use serde_json::{Value, json};

use crate::stage::{Receiver, accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// What an operator changed is in force within a second.
const IN_FORCE: Duration = Duration::from_secs(2);

/// Messages of a redrive that is killed, and how many go out in a second.
const REDRIVEN: usize = 40;
const RATE: &str = "4";

/// Messages to the recipient who is erased: two steps on PostgreSQL, and a part.
const ERASED: usize = 1_200;
const STEPS: usize = 1_000;
const RECIPIENT: &str = "+821099990000";

/// Everything that is acted upon.
struct Scene {
    place: Place,
    /// Refuses the first attempt of every message.
    refusing: Receiver,
    /// Takes the first attempt of every message and cuts the connection.
    cutting: Receiver,
    good: Receiver,
    customer: Customer,
}

impl Scene {
    fn on(on: On) -> Self {
        let (refusing, cutting) =
            (Receiver::start(&["--first", "refused"]), Receiver::start(&["--first", "cut"]));
        let good = Receiver::start(&[]);
        let route = |name: &str, receiver: &Receiver| {
            RouteSpec::http(name, receiver.process.address, OnUncertain::Fail)
        };
        let routes = vec![route("good", &good), route("refusing", &refusing), route("doubtful", &cutting)];
        let config = "[workers]\nsweep_ms = 500\nbreaker_failures = 1000\n".to_owned();
        let setup = Setup { routes, quota: Some(1_000_000), config, ..Setup::default() };
        let place = Place::spawn(on, &setup).unwrap();
        let customer = place.customer(0);
        Self { place, refusing, cutting, good, customer }
    }

    fn used(&mut self) -> u64 {
        self.customer.get("/quota").unwrap().json()["quotas"][0]["used"].as_u64().unwrap()
    }

    fn redrive(&self, more: &[&str]) -> Value {
        self.place.told(&[&["dead", "redrive"], more].concat()).unwrap()
    }

    /// Revision and charge of a message, once it is in this state.
    fn stands(&mut self, id: &str, state: &str) -> (u64, bool) {
        let view = until(&mut self.customer, id, &[state], PATIENCE);
        (view["revision"].as_u64().unwrap(), view["charged"].as_bool().unwrap())
    }

    /// Reports are read until that of this message is: then its row may lie in an archive.
    fn read(&mut self, id: &str) {
        within(PATIENCE, "its report is read", || {
            let reports = self.customer.take_reports().unwrap();
            reports.iter().any(|report| report["id"] == id).then_some(())
        });
    }
}

/// Attempts of each message by the key that its backend saw.
fn keys(receiver: &Receiver) -> BTreeMap<String, Vec<(u32, bool)>> {
    let mut keys: BTreeMap<String, Vec<(u32, bool)>> = BTreeMap::new();
    for arrival in receiver.arrivals() {
        keys.entry(arrival.key).or_default().push((arrival.attempt, arrival.labelled));
    }
    keys
}

/// One that may have been delivered keeps its key and is labelled, and only if that is wanted.
fn in_doubt(scene: &mut Scene) {
    let before = scene.used();
    let ids: Vec<String> =
        (0..3).map(|i| accept(&mut scene.customer, &message("doubtful", &i.to_string()), None)).collect();
    for id in &ids {
        assert_eq!(scene.stands(id, "failed"), (1, false));
    }
    let told = scene.redrive(&["--route", "doubtful"]);
    assert_eq!((&told["left_out"], &told["outcomes"]), (&json!(3), &json!({})), "{told}");
    assert_eq!(scene.used(), before);
    let told = scene.redrive(&["--route", "doubtful", "--uncertain"]);
    assert_eq!((&told["left_out"], &told["outcomes"]), (&json!(0), &json!({ "ready": 3 })), "{told}");
    for id in &ids {
        assert_eq!(scene.stands(id, "delivered"), (2, true));
    }
    let seen: BTreeMap<_, _> = ids.iter().map(|id| (id.clone(), vec![(1, false), (2, true)])).collect();
    assert_eq!(keys(&scene.cutting), seen);
    assert_eq!(scene.used(), before + 3);
}

/// The command dies in its middle; typed again it does the rest, and counts it.
fn killed_while_it_sends_again(scene: &mut Scene) {
    let before = scene.used();
    let ids: Vec<String> = (0..REDRIVEN)
        .map(|i| accept(&mut scene.customer, &message("refusing", &i.to_string()), None))
        .collect();
    for id in &ids {
        assert_eq!(scene.stands(id, "failed"), (1, false));
    }
    let order = ["dead", "redrive", "--route", "refusing"];
    let slow = [&order[..], &["--rate", RATE]].concat();
    let dead = || {
        let listed = scene.place.told(&["dead", "list", "--route", "refusing", "--limit", "100"])?;
        anyhow::Ok(listed.as_array().map_or(0, Vec::len))
    };
    let begun = || Ok(dead()? < REDRIVEN);
    assert!(scene.place.kill_once(&slow, Duration::ZERO, begun).unwrap(), "it was done before it was killed");
    // What it had committed is sent; nobody goes on with the rest.
    let done = REDRIVEN - dead().unwrap();
    thread::sleep(IN_FORCE);
    assert_eq!(REDRIVEN - dead().unwrap(), done);
    assert!((1..REDRIVEN).contains(&done), "in the middle: {done}");
    let told = scene.redrive(&["--route", "refusing"]);
    let rest = json!(REDRIVEN - done);
    assert_eq!((&told["messages"], &told["outcomes"]), (&rest, &json!({ "ready": rest })), "{told}");
    for id in &ids {
        assert_eq!(scene.stands(id, "delivered"), (2, true));
    }
    let told = scene.redrive(&["--route", "refusing"]);
    assert_eq!((&told["messages"], &told["outcomes"]), (&json!(0), &json!({})), "{told}");
    let twice = |id: &String| [(id.clone(), vec![(1, false)]), (format!("{id}.r1"), vec![(2, false)])];
    assert_eq!(keys(&scene.refusing), ids.iter().flat_map(twice).collect::<BTreeMap<_, _>>());
    assert_eq!(scene.used(), before + REDRIVEN as u64);
}

/// Who polls a table, with nothing but its database.
enum Agent {
    File(Box<rusqlite::Connection>),
    Server(Box<Postgres>, String),
}

impl Agent {
    /// A database of its own, and its address.
    fn beside(place: &Place) -> (Self, String) {
        match place {
            Place::One(gateway) => {
                let path = gateway.home().join("carrier.db");
                let agent = rusqlite::Connection::open(&path).unwrap();
                agent.busy_timeout(Duration::from_secs(10)).unwrap();
                (Self::File(Box::new(agent)), format!("sqlite://{}", path.display()))
            }
            Place::Many(_) => {
                let server = Postgres::start().unwrap();
                let url = server.database().unwrap();
                let name = url.rsplit('/').next().unwrap().to_owned();
                (Self::Server(Box::new(server), name), url)
            }
        }
    }

    /// Rows of a message by key, each with its state.
    fn rows(&self, id: &str) -> String {
        let from = format!("FROM naru_message WHERE msg_key LIKE '{id}%'");
        match self {
            Self::File(file) => {
                let sql = format!(
                    "SELECT coalesce(group_concat(row, ' '), '') FROM (SELECT msg_key || ' ' || status AS row {from} ORDER BY msg_key)"
                );
                file.query_row(&sql, [], |row| row.get(0)).unwrap()
            }
            Self::Server(server, name) => {
                let sql = format!(
                    "SELECT coalesce(string_agg(msg_key || ' ' || status, ' ' ORDER BY msg_key), '') {from}"
                );
                server.psql(name, &sql).unwrap().trim().to_owned()
            }
        }
    }

    fn report(&self, key: &str, status: &str) {
        let sql = format!(
            "UPDATE naru_message SET status = '{status}', result_code = '7', report_rev = report_rev + 1 WHERE msg_key = '{key}'"
        );
        match self {
            Self::File(file) => assert_eq!(file.execute(&sql, []).unwrap(), 1),
            Self::Server(server, name) => drop(server.psql(name, &sql).unwrap()),
        }
    }

    fn await_rows(&self, id: &str, rows: &str) {
        within(PATIENCE, &format!("rows are {rows:?}"), || (self.rows(id) == rows).then_some(()));
    }
}

/// A known failure is another row, and what is told of it lands on the message; what may have been delivered stays one row.
fn into_a_table(scene: &mut Scene) {
    let (agent, url) = Agent::beside(&scene.place);
    scene.place.verb(&["route", "add", "carrier", "table", &url, "--assign", "c0/sms"]).unwrap();
    thread::sleep(IN_FORCE);
    let before = scene.used();
    let id = accept(&mut scene.customer, &message("sms", "refused"), None);
    agent.await_rows(&id, &format!("{id} READY"));
    agent.report(&id, "FAILED");
    assert_eq!(scene.stands(&id, "failed"), (1, false));
    scene.read(&id);
    let told = scene.redrive(&["--route", "carrier"]);
    assert_eq!((&told["messages"], &told["outcomes"]), (&json!(1), &json!({ "ready": 1 })), "{told}");
    agent.await_rows(&id, &format!("{id} FAILED {id}.r1 READY"));
    until(&mut scene.customer, &id, &["sent"], PATIENCE);
    agent.report(&format!("{id}.r1"), "DONE");
    assert_eq!(scene.stands(&id, "delivered"), (2, true));

    scene.place.verb(&["route", "set", "carrier", "--report-window", "1s"]).unwrap();
    thread::sleep(IN_FORCE);
    let mut silent = message("sms", "silent");
    // The window begins when an agent may not take it any more.
    silent["ttl"] = 5.into();
    let silent = accept(&mut scene.customer, &silent, None);
    assert_eq!(scene.stands(&silent, "expired"), (1, false));
    scene.read(&silent);
    scene.place.verb(&["route", "set", "carrier", "--report-window", "10m"]).unwrap();
    thread::sleep(IN_FORCE);
    let told = scene.redrive(&["--route", "carrier"]);
    assert_eq!((&told["left_out"], &told["outcomes"]), (&json!(1), &json!({})), "{told}");
    let told = scene.redrive(&["--route", "carrier", "--uncertain"]);
    assert_eq!(
        (&told["perhaps_delivered"], &told["outcomes"]),
        (&json!(1), &json!({ "ready": 1 })),
        "{told}"
    );
    until(&mut scene.customer, &silent, &["sent"], PATIENCE);
    assert_eq!(agent.rows(&silent), format!("{silent} READY"), "it has its key, and is there already");
    agent.report(&silent, "DONE");
    assert_eq!(scene.stands(&silent, "delivered"), (2, true));
    let shown = scene.place.verb(&["message", "show", &silent]).unwrap();
    assert!(shown.contains("labelled"), "{shown}");
    assert_eq!(scene.used(), before + 2);
}

/// Messages whose recipient was erased.
fn masked_in_file(gateway: &Gateway) -> usize {
    let file = rusqlite::Connection::open(gateway.home().join("data/ledger.db")).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "SELECT count(*) FROM message WHERE recipient LIKE 'erased:%'";
    file.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn masked(site: &Deployment) -> usize {
    let of = |table: &str| format!("SELECT id FROM naru.{table} WHERE recipient LIKE 'erased:%'");
    let sql = format!("SELECT count(*) FROM ({} UNION ALL {}) AS m", of("message"), of("archive"));
    site.psql(&sql).unwrap().trim().parse().unwrap()
}

/// Kills the command while it waits for a lock on its only transaction, and then at later and later moments, until one was too late.
fn killed_on_a_file(place: &Place, gateway: &Gateway, order: &[&str]) -> usize {
    let lock = rusqlite::Connection::open(gateway.home().join("data/ledger.db")).unwrap();
    lock.busy_timeout(Duration::from_secs(10)).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = || Ok(true);
    assert!(place.kill_once(order, Duration::from_millis(300), began).unwrap());
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(masked_in_file(gateway), 0, "it had committed nothing");
    let mut later = Duration::from_millis(20);
    while later < PATIENCE {
        let killed = place.kill_once(order, later, began).unwrap();
        later = later * 13 / 10;
        let count = masked_in_file(gateway);
        assert!(count == 0 || count == ERASED, "it is one transaction: {count}");
        if count > 0 || !killed {
            return count;
        }
    }
    panic!("it never comes to its end");
}

/// Kills the command between its steps: somebody has the last of its rows.
fn killed_between_steps(place: &Place, site: &Deployment, order: &[&str]) -> usize {
    let last =
        format!("(SELECT id FROM naru.message WHERE recipient = '{RECIPIENT}' ORDER BY id DESC LIMIT 1)");
    let lock = format!("SELECT FROM naru.message WHERE id = {last} FOR UPDATE; SELECT pg_sleep(60)");
    thread::scope(|scope| {
        let held = scope.spawn(|| site.psql(&lock));
        within(PATIENCE, "the row is locked", || {
            let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
            (site.psql(sleeping).unwrap().trim() == "1").then_some(())
        });
        let begun = || Ok(masked(site) == STEPS);
        assert!(place.kill_once(order, Duration::from_millis(200), begun).unwrap(), "it waits for a row");
        let sleeper = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        site.psql(sleeper).unwrap();
        assert!(held.join().unwrap().is_err(), "it was ended");
    });
    let count = masked(site);
    assert_eq!(count, STEPS, "what was committed stays, what was not is not done");
    count
}

/// Erasing is killed; typed again it does the rest, and nothing else has changed.
fn killed_while_it_erases(scene: &mut Scene) {
    let before = scene.used();
    for part in 0..ERASED / 400 {
        let one = |i: usize| {
            let mut one = message("good", &format!("{part}-{i}"));
            one["recipient"] = RECIPIENT.into();
            one
        };
        let reply = scene.customer.batch(&(0..400).map(one).collect::<Vec<_>>()).unwrap();
        assert_eq!(reply.status, 202, "{}", reply.json());
    }
    within(PATIENCE, "all have ended", || {
        let told = scene.place.told(&["erase", RECIPIENT, "--dry-run"]).unwrap();
        (told["erased"] == ERASED && told["under_way"] == 0).then_some(())
    });
    let order = ["erase", RECIPIENT];
    let done = match &scene.place {
        Place::One(gateway) => killed_on_a_file(&scene.place, gateway, &order),
        Place::Many(site) => killed_between_steps(&scene.place, site, &order),
    };
    let told = scene.place.told(&order).unwrap();
    assert_eq!((&told["erased"], &told["under_way"]), (&json!(ERASED - done), &json!(0)), "{told}");
    let told = scene.place.told(&["erase", RECIPIENT, "--dry-run"]).unwrap();
    assert_eq!(told["erased"], 0, "{told}");
    let all = match &scene.place {
        Place::One(gateway) => masked_in_file(gateway),
        Place::Many(site) => masked(site),
    };
    assert_eq!((all, scene.good.arrivals().len()), (ERASED, ERASED), "each has gone out once");
    assert_eq!(scene.used(), before + ERASED as u64);
}

fn all_on(on: On) {
    let _beside = beside_others();
    let mut scene = Scene::on(on);
    in_doubt(&mut scene);
    killed_while_it_sends_again(&mut scene);
    into_a_table(&mut scene);
    killed_while_it_erases(&mut scene);
    // The ledger agrees with itself.
    scene.place.verb(&["check"]).unwrap();
}

#[test]
fn the_dead_go_out_again_and_commands_that_are_killed_go_on() {
    all_on(On::Embedded);
}

#[test]
fn the_dead_go_out_again_and_commands_that_are_killed_go_on_on_postgresql() {
    all_on(On::Wide(Carries::RabbitMq));
}
