//! The clients: threads that make wishes come true as real clients would.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use serde_json::json;

use super::CUSTOMERS;
use crate::{
    checker::evidence::{Policy, Said, Wish},
    customer::Customer,
    receiver::journaling::PNG,
    site::Site,
};

/// Clients at once.
const CLIENTS: usize = 24;

/// How long a client waits for an answer; shorter than a stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// A message that was interrupted again and again would wait for ten minutes: it shall end within the run.
const TTL_SECONDS: u32 = 90;

/// How long a client goes on with one wish.
const PERSISTENCE: Duration = Duration::from_secs(120);

/// Wishes that have been let go, and how far they are.
struct Board {
    wishes: Vec<Mutex<Wish>>,
    /// Wishes below this number may be tried.
    released: AtomicUsize,
    next: AtomicUsize,
    /// Wishes from this number on are never tried.
    end: AtomicUsize,
    decided: AtomicUsize,
    open: AtomicUsize,
}

/// The clients of a run.
pub(super) struct Crowd {
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Clients that want so many messages delivered; of one in `attached` a file is attached.
    pub(super) fn gather(seed: u64, messages: usize, attached: Option<usize>, site: &dyn Site) -> Self {
        let (target, users) = (site.target(), site.users());
        let wishes = (0..messages).map(|number| Mutex::new(wish(seed, number, attached))).collect();
        let at = AtomicUsize::new;
        let board =
            Board { wishes, released: at(0), next: at(0), end: at(messages), decided: at(0), open: at(0) };
        let board = Arc::new(board);
        let threads = (0..CLIENTS).map(|_| {
            let board = Arc::clone(&board);
            let customers = users.iter().map(|user| caller(target, user)).collect();
            thread::spawn(move || board.work(customers))
        });
        Self { threads: threads.collect(), board }
    }

    /// Lets the clients try so many wishes more; whether there were that many.
    pub(super) fn release(&self, more: usize) -> bool {
        let most = self.board.wishes.len();
        let released = self.board.released.load(Ordering::SeqCst);
        self.board.released.store((released + more).min(most), Ordering::SeqCst);
        released + more <= most
    }

    /// Wishes that were answered for good.
    pub(super) fn decided(&self) -> usize {
        self.board.decided.load(Ordering::SeqCst)
    }

    /// Wishes let go so far.
    pub(super) fn released(&self) -> usize {
        self.board.released.load(Ordering::SeqCst)
    }

    /// Calls that wait for their answer now.
    pub(super) fn open(&self) -> usize {
        self.board.open.load(Ordering::SeqCst)
    }

    /// No wish is tried beside those that were let go, which are so many at the least.
    pub(super) fn enough(&self, least: usize) {
        self.release(least.saturating_sub(self.released()));
        self.board.end.store(self.released(), Ordering::SeqCst);
    }

    /// Waits for the last answers and returns what everybody was told.
    pub(super) fn disperse(self) -> anyhow::Result<Vec<Wish>> {
        self.release(usize::MAX / 2);
        let deadline = Instant::now() + PERSISTENCE;
        let end = self.board.end.load(Ordering::SeqCst);
        while self.decided() < end {
            let open = end - self.decided();
            ensure!(Instant::now() < deadline, "{open} calls were never answered for good");
            thread::sleep(Duration::from_millis(20));
        }
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a client failed"))?;
        }
        let board = Arc::into_inner(self.board).context("a client is still there")?;
        Ok(board.wishes.into_iter().take(end).map(Mutex::into_inner).collect())
    }
}

fn caller(target: SocketAddr, user: &str) -> Customer {
    Customer::live(target, user, PATIENCE)
}

/// Half of the wishes on each route, half of each with a key, half of these of each customer. Both customers use the same
/// keys: a key is its customer's own.
fn wish(seed: u64, number: usize, attached: Option<usize>) -> Wish {
    let policy = if number.is_multiple_of(2) { Policy::Retry } else { Policy::Fail };
    let customer = number / 4 % CUSTOMERS;
    let same = number - 4 * customer;
    Wish {
        customer,
        reference: format!("w{seed}-{number}"),
        recipient: format!("{number:08}"),
        units: 1,
        key: (number / 2).is_multiple_of(2).then(|| format!("key-{seed}-{same}")),
        policy,
        attached: attached.filter(|one_in| number % one_in == 5).map(|_| format!("file {seed}-{number}")),
        said: Vec::new(),
    }
}

impl Board {
    fn work(&self, mut customers: Vec<Customer>) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            while number >= self.released.load(Ordering::SeqCst) && number < self.end.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            if number >= self.end.load(Ordering::SeqCst) {
                return;
            }
            let wish = &self.wishes[number];
            let customer = wish.lock().customer;
            self.pursue(&mut customers[customer], wish, number);
            self.decided.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Uploads a file as often as it takes; its id.
    fn upload(&self, customer: &mut Customer, text: &str) -> Option<String> {
        let (file, deadline) = ([PNG, text.as_bytes()].concat(), Instant::now() + PERSISTENCE / 2);
        while Instant::now() < deadline {
            self.open.fetch_add(1, Ordering::SeqCst);
            let answer = customer.attach("image/png", &file);
            self.open.fetch_sub(1, Ordering::SeqCst);
            if let Some(reply) = answer.ok().filter(|reply| reply.status == 201) {
                return reply.json()["id"].as_str().map(str::to_owned);
            }
            thread::sleep(Duration::from_millis(30));
        }
        None
    }

    fn pursue(&self, customer: &mut Customer, wish: &Mutex<Wish>, number: usize) {
        let asked = wish.lock().clone();
        let channel = if asked.policy == Policy::Retry { "retry" } else { "fail" };
        let lane = if number.is_multiple_of(3) { "bulk" } else { "express" };
        let attachments: Vec<String> =
            asked.attached.iter().filter_map(|text| self.upload(customer, text)).collect();
        if attachments.is_empty() {
            // It could not be uploaded: the message goes without.
            wish.lock().attached = None;
        }
        let message = json!({
            "channel": channel, "recipient": asked.recipient, "body": "hello", "lane": lane,
            "reference": asked.reference, "ttl": TTL_SECONDS, "attachments": attachments,
        });
        let deadline = Instant::now() + PERSISTENCE;
        while Instant::now() < deadline {
            self.open.fetch_add(1, Ordering::SeqCst);
            let answer = customer.send(&message, asked.key.as_deref());
            self.open.fetch_sub(1, Ordering::SeqCst);
            let said = Said::of_call(&answer);
            let again = worth_repeating(&said, asked.key.is_some());
            wish.lock().said.push(said);
            if !again {
                return;
            }
            thread::sleep(Duration::from_millis(30));
        }
    }
}

/// A client with a key repeats until it is answered; one without repeats only what certainly had no effect.
fn worth_repeating(said: &Said, keyed: bool) -> bool {
    match said {
        Said::Accepted { .. } => false,
        Said::Unsent => true,
        Said::Refused { status, .. } => matches!(status, 409 | 429 | 503),
        Said::Unknown { .. } | Said::Unanswered => keyed,
    }
}
