//! `cargo xtask engines`: what it prints is what can be typed, and what it leaves is nothing.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use naru_tests::gateway::Programs;
use serde_json::Value;

use super::{composed, words};
use crate::stage::{beside_others, within};

const PATIENCE: Duration = Duration::from_secs(60);

/// The program behind `cargo xtask engines`, with its temporary files in a place of its own.
struct Started {
    child: Child,
    lines: Vec<String>,
    place: tempfile::TempDir,
}

impl Started {
    fn start(arguments: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        // PostgreSQL runs as another user than root.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(Programs::find().unwrap().proof);
        command.arg("engines").args(arguments).env("TMPDIR", place.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
            let line = line.unwrap();
            let last = line.starts_with("Ctrl-C");
            lines.push(line);
            if last {
                return Self { child, lines, place };
            }
        }
        panic!("it ended before everything was ready: {lines:?}, {:?}", child.wait());
    }

    /// What stands after a word at the beginning of a line.
    fn told(&self, word: &str) -> String {
        let found = self.lines.iter().find_map(|line| line.trim_start().strip_prefix(word));
        found.unwrap_or_else(|| panic!("no {word} in {:#?}", self.lines)).trim().to_owned()
    }

    fn curl(&self, what: &str) -> Value {
        let found = self.lines.iter().find(|line| line.contains("curl") && line.contains(what)).unwrap();
        let output = Command::new("sh").args(["-c", found]).output().unwrap();
        assert!(output.status.success(), "{found}: {}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", words(&output)))
    }

    /// Every process whose command line or environment names the place.
    fn processes(&self) -> BTreeSet<u32> {
        let named = format!("TMPDIR={}", self.place.path().display());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == named.as_bytes())
        })
        .collect()
    }

    /// A file somewhere below a directory of that beginning.
    fn find(&self, directory: &str, name: &str) -> PathBuf {
        let entries = fs::read_dir(self.place.path()).unwrap().flatten().map(|entry| entry.path());
        let mut named =
            entries.filter(|path| path.to_string_lossy().contains(directory)).map(|path| path.join(name));
        named.find(|path| path.exists()).unwrap_or_else(|| panic!("no {name} of {directory}"))
    }

    fn leaves_nothing(mut self, end: impl FnOnce(&mut Child)) {
        let running = self.processes();
        assert!(running.len() > 5, "{running:?} are not all that run");
        end(&mut self.child);
        let status = within(PATIENCE, "it ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
        within(PATIENCE, "every process has ended", || self.processes().is_empty().then_some(()));
        within(PATIENCE, "every directory is removed", || {
            fs::read_dir(self.place.path()).unwrap().next().is_none().then_some(())
        });
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Its keepers end the rest. It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn psql(url: &Path, statement: &str) -> Output {
    let url = fs::read_to_string(url).unwrap();
    let mut psql = Command::new("psql");
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement]).arg(url).output().unwrap()
}

#[test]
fn the_topology_of_compose_delivers_by_the_printed_line_and_ends_whole_when_it_is_interrupted() {
    let _beside = beside_others();
    let started = Started::start(&["--naru"]);
    delivers(&started);
    the_roles_are_as_narrow_as_they_should_be(&started);
    the_health_checks_say_yes(&started);
    started.leaves_nothing(interrupt);
}

/// compose.aws.yaml, with its configuration: what `naru infra apply` makes is enough.
#[test]
fn the_topology_over_aws_delivers_by_the_printed_line_and_ends_whole_when_it_is_interrupted() {
    let _beside = beside_others();
    let started = Started::start(&["--naru", "--aws"]);
    delivers(&started);
    started.leaves_nothing(interrupt);
}

fn interrupt(child: &mut Child) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
}

fn delivers(started: &Started) {
    // A Redis that was just begun grants nothing for a second, whoever asks (docs/redis.md); a person is not that fast.
    let sent = within(PATIENCE, "it is accepted", || {
        let sent = started.curl("/v1.0/messages");
        (sent["code"] != "rate-limited").then_some(sent)
    });
    assert_eq!(sent["status"], "queued", "{sent}");
    let reported = within(PATIENCE, "it is reported", || {
        started.curl("/v1.0/reports")["reports"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&reported["id"], &reported["status"]), (&sent["id"], &"delivered".into()));
    for process in ["ingress1", "ingress2", "workers1", "workers2"] {
        let output = Command::new("curl").args(["-sSf", &started.told(process)]).output().unwrap();
        assert!(output.status.success(), "{process}: {}", words(&output));
    }
}

fn the_roles_are_as_narrow_as_they_should_be(started: &Started) {
    let secret = |name: &str| started.find("naru-compose-", "secrets").join(name);
    let reads = psql(&secret("reads_url"), "SELECT count(*) > 0 FROM naru.entry");
    assert_eq!(words(&reads).trim(), "t");
    let texts = words(&psql(&secret("reads_url"), "SELECT count(*) FROM naru.content"));
    assert!(texts.contains("permission denied"), "ingress may read what messages say: {texts}");
    let rights = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user";
    assert_eq!(words(&psql(&secret("ledger_url"), rights)).trim(), "f", "the owner may more than it needs");
}

/// Each as compose.yaml has it, with this machine's places in the container's stead.
fn the_health_checks_say_yes(started: &Started) {
    let composed = composed();
    let check = |service: &str| -> Vec<String> {
        let test = composed["services"][service]["healthcheck"]["test"].as_array().unwrap();
        test.iter().map(|word| word.as_str().unwrap().replace("$$", "$")).collect()
    };
    let config = fs::read_to_string(started.find("naru-haproxy-", "haproxy.cfg")).unwrap();
    let health = config
        .split("frontend health")
        .nth(1)
        .unwrap()
        .lines()
        .find_map(|line| line.trim().strip_prefix("bind "));
    let (host, port) = health.unwrap().split_once(':').unwrap();
    let balancer = check("balancer");
    let script = balancer[3].replace("/127.0.0.1/8404", &format!("/{host}/{port}"));
    assert!(script.contains(port), "{script}");
    let healthy = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", words(&output));
    };
    healthy(&balancer[1], &[&balancer[2], &script]);
    let redis = started.told("Redis").rsplit_once('/').unwrap().0.rsplit_once(':').unwrap().1.to_owned();
    let secrets = format!("{}/", started.find("naru-compose-", "secrets").display());
    let script = check("redis")[1].replace("/run/secrets/", &secrets);
    healthy("sh", &["-c", &script.replace("redis-cli ping", &format!("redis-cli -p {redis} ping"))]);
}

#[test]
fn the_engines_answer_where_it_is_printed_and_end_when_its_input_is_closed() {
    let _beside = beside_others();
    let started = Started::start(&[]);
    for engine in ["PostgreSQL", "RabbitMQ", "Redis"] {
        let url = started.told(engine);
        let address = url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        TcpStream::connect(&address).unwrap_or_else(|e| panic!("{engine} at {address}: {e}"));
    }
    let typed = started.lines.iter().find(|line| line.ends_with(" migrate")).unwrap();
    let output = Command::new("sh").args(["-c", typed]).output().unwrap();
    assert!(words(&output).contains("version 0 to"), "{typed}: {}", words(&output));
    started.leaves_nothing(|child| drop(child.stdin.take()));
}
