//! One process over PostgreSQL, RabbitMQ and Redis, as an operator would set it up: configuration, `naru migrate`, `naru up`.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use naru_tests::{
    customer::Customer,
    engines::{Postgres, RabbitMq, Redis, Stop},
    gateway::{Programs, free_address},
};
use serde_json::{Value, json};

use crate::stage::{beside_others, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// The engines, and a configuration that names them.
struct Site {
    home: tempfile::TempDir,
    postgres: Postgres,
    rabbit: RabbitMq,
    redis: Redis,
    listen: SocketAddr,
    program: PathBuf,
}

impl Site {
    fn new() -> Self {
        let (postgres, rabbit, redis) = thread::scope(|scope| {
            let (postgres, rabbit) = (scope.spawn(Postgres::start), scope.spawn(RabbitMq::start));
            let redis = Redis::start().unwrap();
            (postgres.join().unwrap().unwrap(), rabbit.join().unwrap().unwrap(), redis)
        });
        let home = tempfile::tempdir().unwrap();
        let database = postgres.database().unwrap();
        let (broker, memory) = (rabbit.url(), redis.url());
        let config = format!(
            "[keys]\nfile = {:?}\n[queue]\nkind = \"rabbitmq\"\nurl = {broker:?}\n[topic]\nkind = \"rabbitmq\"\nurl = {broker:?}\n\
             [ledger]\nkind = \"postgres\"\nurl = {database:?}\n[catalog]\nkind = \"postgres\"\nurl = {database:?}\n\
             [registry]\nkind = \"redis\"\nurl = {memory:?}\n[gate]\nkind = \"redis\"\nurl = {memory:?}\n",
            home.path().join("keys.toml").display().to_string(),
        );
        fs::write(home.path().join("naru.toml"), config).unwrap();
        let (listen, program) = (free_address().unwrap(), Programs::find().unwrap().gateway);
        Self { home, postgres, rabbit, redis, listen, program }
    }

    fn naru(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.home.path().join("naru.toml")).args(arguments);
        command
    }

    fn verb(&self, arguments: &[&str]) -> String {
        let output = self.naru(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn up(&self) -> Process {
        let (listen, operator) = (self.listen.to_string(), free_address().unwrap().to_string());
        let mut command = self.naru(&["up", "--listen", &listen, "--operator-listen", &operator]);
        Process::start(&mut command, &self.home.path().join("log"))
    }

    fn customer(&self, user: &str) -> Customer {
        Customer::live(self.listen, user, Duration::from_secs(20))
    }
}

/// A process that ends with its test.
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, lines) = mpsc::channel();
        thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// The demo's credential, out of the first line that it prints to be typed.
    fn user(&self) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            if let Some(user) = line.split('\'').find(|word| word.starts_with("demo-live:")) {
                return user.to_owned();
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn message(number: usize) -> Value {
    json!({ "channel": "sms", "recipient": "+821012345600", "body": format!("number {number}"), "reference": number.to_string() })
}

/// Accepted sooner or later: the id.
fn send(customer: &mut Customer, number: usize) -> String {
    let deadline = Instant::now() + PATIENCE;
    let key = format!("key-{number}");
    loop {
        let reply = customer.send(&message(number), Some(&key));
        if let Ok(reply) = &reply
            && reply.status == 202
        {
            return reply.json()["id"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "{reply:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Reads reports until every one of these messages is told of as delivered, each once.
fn delivered(customer: &mut Customer, ids: &[String]) {
    let mut open: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let deadline = Instant::now() + PATIENCE;
    while !open.is_empty() {
        assert!(Instant::now() < deadline, "{} of {} are not told of", open.len(), ids.len());
        let Ok(reports) = customer.take_reports() else {
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        for report in &reports {
            let id = report["id"].as_str().unwrap();
            assert_eq!(report["status"], "delivered", "{report}");
            assert!(open.remove(id), "{id} is nobody's, or was told of before");
        }
    }
}

#[test]
fn a_process_over_the_engines_at_scale_delivers_what_it_accepted_whichever_of_them_dies() {
    let _beside = beside_others();
    let mut site = Site::new();
    let refused = site.naru(&["up"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("naru keys make"),
        "nothing runs without secrets"
    );
    site.verb(&["keys", "make", &site.home.path().join("keys.toml").display().to_string()]);
    assert!(site.verb(&["migrate"]).contains("version 0 to"), "the tables are made");
    assert!(site.verb(&["migrate"]).contains("up to date"), "and made once");
    let process = site.up();
    let user = process.user();
    // What the process was sending when it died cannot be known: it is sent again.
    site.verb(&["route", "set", "demo", "--on-uncertain", "retry"]);
    let mut customer = site.customer(&user);
    let mut ids = vec![send(&mut customer, 0)];
    delivered(&mut customer, &ids);
    // The process dies while messages are on their way.
    let first: Vec<String> = (1..100).map(|number| send(&mut customer, number)).collect();
    process.kill();
    let process = site.up();
    let mut customer = site.customer(&user);
    within(PATIENCE, "it answers again", || {
        customer = site.customer(&user);
        customer.get("/quota").ok().filter(|reply| reply.status == 200)
    });
    delivered(&mut customer, &first);
    // Each engine dies and comes back; nothing is restarted by hand.
    site.rabbit.stop(Stop::Kill).unwrap();
    let refused = customer.send(&message(100), Some("key-100")).unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    site.rabbit.begin().unwrap();
    let mut second: Vec<String> = (100..150).map(|number| send(&mut customer, number)).collect();
    site.postgres.stop(Stop::Immediate).unwrap();
    second.extend((150..200).map(|number| send(&mut customer, number)));
    assert_eq!(customer.get("/reports").unwrap().status, 503, "reads are away with the ledger");
    site.postgres.begin().unwrap();
    site.redis.stop(Stop::Kill).unwrap();
    second.extend((200..220).map(|number| send(&mut customer, number)));
    site.redis.begin().unwrap();
    delivered(&mut customer, &second);
    // A repeated call is the same message, wherever its row went.
    ids.extend(first);
    assert_eq!(send(&mut customer, 1), ids[1]);
    drop(process);
}
