//! What tests of whole processes share: whether they run alone, a receiver that writes down, and patience.

use std::{
    cell::Cell,
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::Customer,
    gateway::{Gateway, Helper, Programs},
    journal,
    receiver::journaling::Arrival,
    witness::Journals,
};
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

/// Who is on the stage.
struct Stage {
    /// Places that are taken by those who share it.
    taken: usize,
    /// Who shares it enters in the order in which they came: who needs more places would else wait for ever.
    came: u64,
    entered: u64,
    alone: bool,
    /// They wait to be alone.
    waiting: usize,
    /// It is the turn of those who are alone, until none of them waits.
    their_turn: bool,
}

static STAGE: Mutex<Stage> =
    Mutex::new(Stage { taken: 0, came: 0, entered: 0, alone: false, waiting: 0, their_turn: false });
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Whether this thread's test is on the stage: one that entered twice would wait for itself.
    static ENTERED: Cell<bool> = const { Cell::new(false) };
}

/// A test that has the stage for itself.
pub(crate) struct Alone;

/// A test that shares it, and takes so many places.
pub(crate) struct Beside(usize);

/// Places for each processor.
const PLACES: usize = 3;

/// For what measures time or needs the whole machine: no other test that is on the stage runs meanwhile. Such tests wait until no other can
/// begin, and then take their turns one after the other: for each of them alone to wait for the longest of the others would take most of the time.
pub(crate) fn alone() -> Alone {
    assert!(!ENTERED.replace(true), "this test is on the stage already");
    let mut stage = STAGE.lock();
    stage.waiting += 1;
    CHANGED.wait_while(&mut stage, |stage| stage.alone || stage.taken > 0);
    stage.waiting -= 1;
    stage.alone = true;
    Alone
}

/// For what waits more than it works: such tests run beside each other, three for each processor.
pub(crate) fn beside_others() -> Beside {
    share(1)
}

/// For what works as much as it waits, and minds no other: as many of them as there are processors, or one in the place of three lighter ones.
pub(crate) fn beside_few() -> Beside {
    share(PLACES)
}

fn share(places: usize) -> Beside {
    assert!(!ENTERED.replace(true), "this test is on the stage already");
    let room = PLACES * thread::available_parallelism().unwrap().get();
    let mut stage = STAGE.lock();
    let turn = stage.came;
    stage.came += 1;
    CHANGED.wait_while(&mut stage, |stage| {
        stage.alone || stage.their_turn || stage.entered != turn || stage.taken + places > room
    });
    stage.entered += 1;
    stage.taken += places;
    CHANGED.notify_all();
    Beside(places)
}

impl Drop for Alone {
    fn drop(&mut self) {
        ENTERED.set(false);
        let mut stage = STAGE.lock();
        stage.alone = false;
        stage.their_turn = stage.waiting > 0;
        CHANGED.notify_all();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        ENTERED.set(false);
        let mut stage = STAGE.lock();
        stage.taken -= self.0;
        CHANGED.notify_all();
    }
}

/// A receiver and its journal.
pub(crate) struct Receiver {
    pub(crate) process: Helper,
    pub(crate) journals: Journals,
}

impl Receiver {
    pub(crate) fn start(more: &[&str]) -> Self {
        let journals = Journals::begin().unwrap();
        let path = journals.arrivals().display().to_string();
        let mut arguments = vec!["journaling-receiver", "--journal", &path];
        arguments.extend_from_slice(more);
        let process = Helper::start(&Programs::find().unwrap(), &arguments).unwrap();
        Self { process, journals }
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        journal::read(&self.journals.arrivals()).unwrap()
    }

    /// The first arrival of a message, once it has come. Of a long journal only its own line is parsed.
    pub(crate) fn first_arrival(&self, id: &str, patience: Duration) -> Arrival {
        let line = within(patience, &format!("{id} arrives"), || {
            let text = std::fs::read_to_string(self.journals.arrivals()).unwrap();
            text.lines().find(|line| line.ends_with('}') && line.contains(id)).map(str::to_owned)
        });
        serde_json::from_str(&line).unwrap()
    }
}

/// A message on a channel.
pub(crate) fn message(channel: &str, reference: &str) -> Value {
    json!({ "channel": channel, "recipient": "+821012345600", "body": "hello", "reference": reference })
}

/// Sends a message that must be accepted, and returns its id.
pub(crate) fn accept(customer: &mut Customer, message: &Value, key: Option<&str>) -> String {
    let reply = customer.send(message, key).unwrap();
    assert_eq!(reply.status, 202, "{}", reply.json());
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// Asks until the answer is there, for at most `patience`.
pub(crate) fn within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "within {patience:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The state of a message once it is one of these.
pub(crate) fn until(customer: &mut Customer, id: &str, states: &[&str], patience: Duration) -> Value {
    within(patience, &format!("{id} is one of {states:?}"), || {
        let view = customer.get(&format!("/messages/{id}")).unwrap().json();
        states.iter().any(|state| view["status"] == *state).then_some(view)
    })
}

/// Every report, until there are so many.
pub(crate) fn reports(customer: &mut Customer, count: usize, patience: Duration) -> Vec<Value> {
    let mut all = Vec::new();
    within(patience, &format!("{count} reports"), || {
        all.extend(customer.take_reports().unwrap());
        (all.len() >= count).then_some(())
    });
    all
}

/// Used units of the first quota.
pub(crate) fn used(gateway: &Gateway) -> u64 {
    gateway.customer(0).get("/quota").unwrap().json()["quotas"][0]["used"].as_u64().unwrap()
}
