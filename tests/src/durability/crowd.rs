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

use super::Plan;
use crate::{
    checker::evidence::{Policy, Said, Wish},
    customer::Customer,
    wire::{CallError, Reply},
};

/// Clients at once.
const CLIENTS: usize = 24;

/// How long a client waits for an answer; shorter than a stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a client goes on with one wish.
const PERSISTENCE: Duration = Duration::from_secs(120);

/// Wishes that have been let go, and how far they are.
struct Board {
    wishes: Vec<Mutex<Wish>>,
    /// Wishes below this number may be tried.
    released: AtomicUsize,
    next: AtomicUsize,
    decided: AtomicUsize,
    open: AtomicUsize,
}

/// The clients of a run.
pub(super) struct Crowd {
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    pub(super) fn gather(plan: &Plan, target: SocketAddr, user: &str) -> Self {
        let wishes = (0..plan.messages).map(|number| Mutex::new(wish(plan.seed, number))).collect();
        let zero = || AtomicUsize::new(0);
        let board = Board { wishes, released: zero(), next: zero(), decided: zero(), open: zero() };
        let board = Arc::new(board);
        let threads = (0..CLIENTS).map(|_| {
            let (board, customer) = (Arc::clone(&board), Customer::live(target, user, PATIENCE));
            thread::spawn(move || board.work(customer))
        });
        Self { threads: threads.collect(), board }
    }

    /// Lets the clients try so many wishes more.
    pub(super) fn release(&self, more: usize) {
        let most = self.board.wishes.len();
        let released = self.board.released.load(Ordering::SeqCst);
        self.board.released.store((released + more).min(most), Ordering::SeqCst);
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

    /// Waits for the last answers and returns what everybody was told.
    pub(super) fn disperse(self) -> anyhow::Result<Vec<Wish>> {
        self.release(usize::MAX / 2);
        let deadline = Instant::now() + PERSISTENCE;
        while self.decided() < self.board.wishes.len() {
            let open = self.board.wishes.len() - self.decided();
            ensure!(Instant::now() < deadline, "{open} calls were never answered for good");
            thread::sleep(Duration::from_millis(20));
        }
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a client failed"))?;
        }
        let board = Arc::into_inner(self.board).context("a client is still there")?;
        Ok(board.wishes.into_iter().map(Mutex::into_inner).collect())
    }
}

/// Half of the wishes on each route, half of each with a key.
fn wish(seed: u64, number: usize) -> Wish {
    let reference = format!("w{seed}-{number}");
    let policy = if number.is_multiple_of(2) { Policy::Retry } else { Policy::Fail };
    let key = (number / 2).is_multiple_of(2).then(|| format!("key-{reference}"));
    Wish { reference, key, policy, said: Vec::new() }
}

impl Board {
    fn work(&self, mut customer: Customer) {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.wishes.len() {
                return;
            }
            while number >= self.released.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            self.pursue(&mut customer, &self.wishes[number], number);
            self.decided.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn pursue(&self, customer: &mut Customer, wish: &Mutex<Wish>, number: usize) {
        let asked = wish.lock().clone();
        let channel = if asked.policy == Policy::Retry { "retry" } else { "fail" };
        let lane = if number.is_multiple_of(3) { "bulk" } else { "express" };
        let message = json!({
            "channel": channel, "recipient": format!("{number:08}"), "body": "hello", "lane": lane,
            "reference": asked.reference,
        });
        let deadline = Instant::now() + PERSISTENCE;
        while Instant::now() < deadline {
            self.open.fetch_add(1, Ordering::SeqCst);
            let answer = customer.send(&message, asked.key.as_deref());
            self.open.fetch_sub(1, Ordering::SeqCst);
            let said = heard(answer);
            let again = worth_repeating(&said, asked.key.is_some());
            wish.lock().said.push(said);
            if !again {
                return;
            }
            thread::sleep(Duration::from_millis(30));
        }
    }
}

fn heard(answer: Result<Reply, CallError>) -> Said {
    let reply = match answer {
        Ok(reply) => reply,
        Err(CallError::Unsent(_)) => return Said::Unsent,
        Err(CallError::Unanswered(_)) => return Said::Unanswered,
    };
    let body = reply.json();
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    match (reply.status, text("code").as_str()) {
        (202, _) => Said::Accepted { id: text("id") },
        (503, "accept-unknown") => Said::Unknown { id: text("id") },
        (status, code) => Said::Refused { status, code: code.to_owned() },
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
