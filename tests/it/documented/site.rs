//! The engines, and one process over them.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use naru_tests::{
    customer::Customer,
    engines::{Postgres, RabbitMq, Redis},
    gateway::{Programs, free_address},
    wire::Wire,
};

/// The engines, and a configuration that names them.
pub(super) struct Site {
    home: tempfile::TempDir,
    pub(super) postgres: Postgres,
    pub(super) database: String,
    pub(super) rabbit: RabbitMq,
    pub(super) redis: Redis,
    pub(super) listen: SocketAddr,
    operator: SocketAddr,
    programs: Programs,
}

impl Site {
    pub(super) fn new() -> Self {
        let (postgres, rabbit, redis) = thread::scope(|scope| {
            let (postgres, rabbit) = (scope.spawn(Postgres::start), scope.spawn(RabbitMq::start));
            let redis = Redis::start().unwrap();
            (postgres.join().unwrap().unwrap(), rabbit.join().unwrap().unwrap(), redis)
        });
        let home = tempfile::tempdir().unwrap();
        let url = postgres.database().unwrap();
        let database = url.rsplit('/').next().unwrap().to_owned();
        let (broker, memory) = (rabbit.url(), redis.url());
        let config = format!(
            "data = {:?}\n[queue]\nkind = \"rabbitmq\"\nurl = {broker:?}\n[topic]\nkind = \"rabbitmq\"\nurl = {broker:?}\n\
             [ledger]\nkind = \"postgres\"\nurl = {url:?}\n[catalog]\nkind = \"postgres\"\nurl = {url:?}\n\
             [registry]\nkind = \"redis\"\nurl = {memory:?}\n[gate]\nkind = \"redis\"\nurl = {memory:?}\n",
            home.path().join("data").display().to_string(),
        );
        fs::write(home.path().join("naru.toml"), config).unwrap();
        let (listen, operator) = (free_address().unwrap(), free_address().unwrap());
        Self {
            home,
            postgres,
            database,
            rabbit,
            redis,
            listen,
            operator,
            programs: Programs::find().unwrap(),
        }
    }

    fn naru(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.gateway);
        command.arg("--config").arg(self.home.path().join("naru.toml")).args(arguments);
        command
    }

    pub(super) fn verb(&self, arguments: &[&str]) -> String {
        let output = self.naru(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn up(&self, more: &[&str]) -> Process {
        let (listen, operator) = (self.listen.to_string(), self.operator.to_string());
        let mut command = self.naru(&["up", "--listen", &listen, "--operator-listen", &operator]);
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log")).unwrap();
        command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Process(command.spawn().unwrap())
    }

    pub(super) fn is_ready(&self) -> bool {
        let mut wire = Wire::new(self.operator, Duration::from_secs(1));
        wire.call("GET", "/readyz", &[], b"").is_ok_and(|reply| reply.status == 200)
    }

    pub(super) fn customer(&self, user: &str) -> Customer {
        Customer::live(self.listen, user, Duration::from_secs(20))
    }

    /// Every queue on the broker.
    pub(super) fn queues(&self) -> Vec<String> {
        let listed = self.rabbit.ctl(&["list_queues", "--silent", "name"]).unwrap();
        listed.lines().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    }
}

/// A process that ends with its test.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
