//! What a route says happens when it cannot be known whether its backend took a message: on every set of engines, and what a person or
//! a late word changes of it afterwards.

use std::{thread, time::Duration};

use naru_shared::domain::OnUncertain;
use naru_tests::{
    customer::{Customer, basic},
    deployment::Carries,
    engines::Flavour,
    gateway::{RouteSpec, Setup},
    place::{On, Place},
    wire::Wire,
};
use serde_json::{Value, json};

use crate::stage::{Receiver, accept, beside_others, message, until, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// A backend that is not believed says it again after so long.
const AGAIN: Duration = Duration::from_secs(2);

/// A worker's rows are another's after so long; and no breaker rests while a backend does what it is here for.
const CONFIG: &str = "[workers]\nlease_ms = 8000\nsweep_ms = 500\nbreaker_failures = 1000\n";

/// An attempt may take so long: shorter than the lease, and long enough to kill whoever makes it.
const ATTEMPT_MS: u32 = 4_000;

const POLICIES: [(&str, OnUncertain); 3] =
    [("fail", OnUncertain::Fail), ("hold", OnUncertain::Hold), ("retry", OnUncertain::Retry)];

/// What becomes of the first attempt of a message: its connection is cut, it is never answered, or it is answered `502`.
const FIRST: [&str; 3] = ["cut", "hang", "bad-gateway"];

/// A place with a route of each policy to each of three backends, whose first answer of every message leaves it in doubt.
struct Scene {
    place: Place,
    receivers: [Receiver; 3],
}

impl Scene {
    fn on(on: On) -> Self {
        let receivers = FIRST.map(|first| Receiver::start(&["--first", first]));
        let mut routes = Vec::new();
        for (first, receiver) in FIRST.iter().zip(&receivers) {
            routes.extend(POLICIES.map(|(policy, on_uncertain)| RouteSpec {
                attempt_timeout_ms: ATTEMPT_MS,
                ..RouteSpec::http(&format!("{policy}-{first}"), receiver.process.address, on_uncertain)
            }));
        }
        let setup = Setup { routes, quota: Some(100), config: CONFIG.to_owned(), ..Setup::default() };
        let place = Place::spawn(on, &setup).unwrap();
        Self { place, receivers }
    }

    fn doubt(&mut self, which: usize) -> Doubt<'_> {
        let customer = self.place.customer(0);
        Doubt { first: FIRST[which], receiver: &self.receivers[which], place: &mut self.place, customer }
    }
}

/// One of the backends.
struct Doubt<'s> {
    first: &'static str,
    receiver: &'s Receiver,
    place: &'s mut Place,
    customer: Customer,
}

impl Doubt<'_> {
    fn route(&self, policy: &str) -> String {
        format!("{policy}-{}", self.first)
    }

    fn send(&mut self, policy: &str, count: usize) -> Vec<String> {
        let channel = self.route(policy);
        let mut one = |i: usize| accept(&mut self.customer, &message(&channel, &i.to_string()), None);
        (0..count).map(&mut one).collect()
    }

    fn used(&mut self) -> u64 {
        self.customer.get("/quota").unwrap().json()["quotas"][0]["used"].as_u64().unwrap()
    }

    /// How often a message came to the backend: its key, which attempt, and whether it was labelled.
    fn arrived(&self, id: &str) -> Vec<(String, u32, bool)> {
        let arrivals = self.receiver.arrivals().into_iter().filter(|arrival| arrival.id == id);
        arrivals.map(|arrival| (arrival.key, arrival.attempt, arrival.labelled)).collect()
    }

    fn came_once(&self, id: &str) {
        assert_eq!(self.arrived(id), [(id.to_owned(), 1, false)]);
    }

    fn came_again_labelled(&self, id: &str) {
        assert_eq!(self.arrived(id), [(id.to_owned(), 1, false), (id.to_owned(), 2, true)]);
    }

    /// State, code, revision and charge of a message, once it is in this state.
    fn stands(&mut self, id: &str, state: &str) -> (Value, u64, bool) {
        let view = until(&mut self.customer, id, &[state], PATIENCE);
        (view["code"].clone(), view["revision"].as_u64().unwrap(), view["charged"].as_bool().unwrap())
    }

    /// The route of a policy is called back from now on; how the backend proves its calls.
    fn reports(&self, policy: &str) -> String {
        let route = &self.route(policy);
        let shown = self.place.told(&["route", "set", route, "--reports", "basic"]).unwrap();
        let secret = shown["callback_secret"].as_str().unwrap().to_owned();
        let proof = basic(&format!("{route}:{secret}"));
        // Of nothing that is known: only whether the proof is taken is asked.
        within(PATIENCE, "the secret is in force", || {
            let nothing = json!({ "id": "msg_01h455vb4pex5vsknk084sn02q", "status": "sent" });
            (self.call_back(route, &proof, &nothing) == 200).then_some(())
        });
        proof
    }

    fn call_back(&self, route: &str, proof: &str, body: &Value) -> u16 {
        let headers = [format!("Authorization: {proof}"), "Content-Type: application/json".to_owned()];
        let mut wire = Wire::new(self.place.target(), PATIENCE);
        let path = format!("/callbacks/v1.0/{route}");
        wire.call("POST", &path, &headers, body.to_string().as_bytes()).unwrap().status
    }

    fn tell(&self, policy: &str, proof: &str, id: &str, status: &str) {
        // Another front may not know the secret yet.
        within(PATIENCE, "a report is taken", || {
            let answer = self.call_back(&self.route(policy), proof, &json!({ "id": id, "status": status }));
            assert!([200, 401].contains(&answer), "{answer}");
            (answer == 200).then_some(())
        });
    }
}

fn uncertain() -> Value {
    "uncertain".into()
}

/// A route that fails tells so, and releases the charge; only that it arrived after all corrects it.
fn fails(doubt: &mut Doubt<'_>) {
    let before = doubt.used();
    let ids = doubt.send("fail", 2);
    for id in &ids {
        assert_eq!(doubt.stands(id, "failed"), (uncertain(), 1, false));
    }
    assert_eq!(doubt.used(), before);
    let proof = doubt.reports("fail");
    doubt.tell("fail", &proof, &ids[0], "failed");
    doubt.tell("fail", &proof, &ids[1], "delivered");
    assert_eq!(doubt.stands(&ids[1], "delivered"), ("ok".into(), 2, true));
    assert_eq!(doubt.stands(&ids[0], "failed"), (uncertain(), 1, false), "a failure changes nothing");
    assert_eq!(doubt.used(), before + 1);
    ids.iter().for_each(|id| doubt.came_once(id));
}

/// A route that retries labels what it sends again, under the same key, and it is paid for once.
fn retries(doubt: &mut Doubt<'_>) {
    let before = doubt.used();
    for id in &doubt.send("retry", 2) {
        assert_eq!(doubt.stands(id, "delivered"), ("ok".into(), 1, true));
        doubt.came_again_labelled(id);
    }
    assert_eq!(doubt.used(), before + 2);
}

/// A route that holds waits for a person, with the charge reserved; and a person may be wrong.
fn holds(doubt: &mut Doubt<'_>) {
    let before = doubt.used();
    let ids = doubt.send("hold", 4);
    for id in &ids {
        assert_eq!(doubt.stands(id, "held"), (uncertain(), 0, false));
        doubt.came_once(id);
    }
    assert_eq!(doubt.used(), before + 4, "reserved");
    assert_eq!(doubt.customer.cancel(&ids[0]).unwrap().status, 409);
    let resolve = |place: &Place, id: &str, verdict: &str| {
        place.verb(&["uncertain", "resolve", id, "--as", verdict]).unwrap();
    };
    for (id, verdict) in ids.iter().zip(["delivered", "failed", "retry"]) {
        resolve(doubt.place, id, verdict);
    }
    assert_eq!(doubt.stands(&ids[0], "delivered"), ("ok".into(), 1, true));
    let (_, revision, charged) = doubt.stands(&ids[1], "failed");
    assert_eq!((revision, charged), (1, false));
    assert_eq!(doubt.stands(&ids[2], "delivered"), ("ok".into(), 1, true));
    doubt.came_again_labelled(&ids[2]);
    assert_eq!(doubt.used(), before + 3, "two are paid for, one is reserved");
    // The truth comes late: of one that a person took for failed, and of one that still waits for a person.
    let proof = doubt.reports("hold");
    for id in [&ids[1], &ids[3]] {
        doubt.tell("hold", &proof, id, "delivered");
    }
    assert_eq!(doubt.stands(&ids[1], "delivered"), ("ok".into(), 2, true));
    assert_eq!(doubt.stands(&ids[3], "delivered"), ("ok".into(), 1, true));
    assert_eq!(doubt.used(), before + 4);
    assert!(doubt.place.verb(&["uncertain", "resolve", &ids[3], "--as", "failed"]).is_err(), "it is decided");
    [&ids[0], &ids[1], &ids[3]].into_iter().for_each(|id| doubt.came_once(id));
}

/// Every worker dies while the backend has its requests open: what they had is in doubt, whoever finds it.
fn dies(doubt: &mut Doubt<'_>) {
    let (before, came) = (doubt.used(), doubt.receiver.arrivals().len());
    let ids = POLICIES.map(|(policy, _)| doubt.send(policy, 3));
    within(PATIENCE, "every request is open", || (doubt.receiver.arrivals().len() == came + 9).then_some(()));
    doubt.place.kill_every_worker().unwrap();
    // A process that was killed took its front with it.
    doubt.customer = doubt.place.customer(0);
    let [failed, held, retried] = ids;
    for id in &failed {
        assert_eq!(doubt.stands(id, "failed"), (uncertain(), 1, false));
        doubt.came_once(id);
    }
    for id in &held {
        assert_eq!(doubt.stands(id, "held"), (uncertain(), 0, false));
        doubt.came_once(id);
    }
    for id in &retried {
        assert_eq!(doubt.stands(id, "delivered"), ("ok".into(), 1, true));
        doubt.came_again_labelled(id);
    }
    assert_eq!(doubt.used(), before + 6, "three are reserved, three are paid for");
    for id in &held {
        doubt.place.verb(&["uncertain", "resolve", id, "--as", "failed"]).unwrap();
    }
    let proof = doubt.reports("fail");
    // SQS may give the first word to the last poll of a worker that is dead, and hides it for two minutes.
    within(PATIENCE, "it is believed", || {
        doubt.tell("fail", &proof, &failed[0], "delivered");
        thread::sleep(AGAIN);
        let view = doubt.customer.get(&format!("/messages/{}", failed[0])).unwrap().json();
        (view["status"] == "delivered").then_some(())
    });
    assert_eq!(doubt.stands(&failed[0], "delivered"), ("ok".into(), 2, true));
    assert_eq!(doubt.used(), before + 4, "nothing is reserved any more");
}

fn holds_on(on: On) {
    let _beside = beside_others();
    let mut scene = Scene::on(on);
    for which in 0..FIRST.len() {
        let mut doubt = scene.doubt(which);
        fails(&mut doubt);
        retries(&mut doubt);
        holds(&mut doubt);
    }
    dies(&mut scene.doubt(1));
}

#[test]
fn what_is_in_doubt_is_as_its_route_says_until_a_person_or_the_backend_says_otherwise() {
    holds_on(On::Embedded);
}

#[test]
fn what_is_in_doubt_is_as_its_route_says_on_postgresql_and_rabbitmq() {
    holds_on(On::Wide(Carries::RabbitMq));
}

#[test]
fn what_is_in_doubt_is_as_its_route_says_on_sqs() {
    holds_on(On::Wide(Carries::Aws { flavour: Flavour::Fauxqs, counted: false }));
}
