//! A gateway in one process or in many, seen alike; and whoever calls it as a provider does.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use naru_tests::{
    customer::Customer,
    deployment::{Carries, Deployment, Shape},
    engines::Flavour,
    gateway::{Gateway, Setup},
};
use serde_json::Value;

use super::SECRET;

/// See the module.
pub(super) enum Site {
    Embedded(Box<Gateway>),
    Wide(Box<Deployment>),
}

/// What is early is told soon, and what is lost is found soon.
const CONFIG: &str = "[workers]\nearly_report_ms = 5000\nsweep_ms = 200\nlease_ms = 6000\n";

fn setup() -> Setup {
    Setup { config: CONFIG.to_owned(), quota: Some(1_000), ..Setup::default() }
}

impl Site {
    pub(super) fn embedded() -> Self {
        Self::Embedded(Box::new(Gateway::spawn(&setup()).unwrap()))
    }

    pub(super) fn wide() -> Self {
        Self::carried(Carries::RabbitMq)
    }

    pub(super) fn on_sqs() -> Self {
        Self::carried(Carries::Aws { flavour: Flavour::Fauxqs, counted: false })
    }

    fn carried(carries: Carries) -> Self {
        Self::Wide(Box::new(
            Deployment::spawn(&Shape { setup: setup(), carries, ..Shape::default() }).unwrap(),
        ))
    }

    pub(super) fn verb(&self, arguments: &[&str]) -> String {
        match self {
            Self::Embedded(gateway) => gateway.verb(arguments).unwrap(),
            Self::Wide(site) => site.verb(arguments).unwrap(),
        }
    }

    pub(super) fn home(&self) -> &Path {
        match self {
            Self::Embedded(gateway) => gateway.home(),
            Self::Wide(site) => site.home(),
        }
    }

    pub(super) fn customer(&self) -> Customer {
        match self {
            Self::Embedded(gateway) => gateway.customer(0),
            Self::Wide(site) => site.customer(0),
        }
    }

    pub(super) fn logs(&self) -> String {
        match self {
            Self::Embedded(gateway) => gateway.log_tail(),
            Self::Wide(site) => site.workers.iter().map(|member| member.log()).collect(),
        }
    }

    /// Routes that were made are in force, and have their queues.
    pub(super) fn settle(&self, routes: &[&str]) {
        if let Self::Wide(site) = self
            && matches!(site.carrier, naru_tests::deployment::Carrier::Aws(_))
        {
            site.verb(&["infra", "apply"]).unwrap();
        }
        // In force within a second; nothing else tells so of every process.
        thread::sleep(Duration::from_secs(2));
        for route in routes {
            assert!(self.verb(&["route", "show", route]).contains(route));
        }
    }

    /// Units that are used, of the first customer.
    pub(super) fn used(&self) -> u64 {
        self.customer().get("/quota").unwrap().json()["quotas"][0]["used"].as_u64().unwrap()
    }

    pub(super) fn caller(&self) -> Caller {
        match self {
            Self::Embedded(gateway) => Caller(vec![gateway.address()]),
            Self::Wide(site) => Caller((0..site.ingress.len()).map(|front| site.front(front)).collect()),
        }
    }

    /// Kills a process that takes notices in, and begins it anew; in one process that is the front as well.
    pub(super) fn kill(&mut self, round: usize) {
        match self {
            Self::Embedded(gateway) => {
                gateway.kill().unwrap();
                gateway.start(&[]).unwrap();
            }
            Self::Wide(site) => {
                let members = if round.is_multiple_of(2) { &mut site.workers } else { &mut site.ingress };
                let member = &mut members[round / 2 % 2];
                member.kill().unwrap();
                member.start(&[]).unwrap();
            }
        }
    }
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes()))
}

/// Whoever calls as a provider.
#[derive(Clone)]
pub(super) struct Caller(Vec<SocketAddr>);

impl Caller {
    pub(super) fn url(&self, route: &str) -> String {
        format!("http://{}/callbacks/v1.0/{route}", self.0[0])
    }

    /// Calls as the provider that is described; the answer's status and body without what differs from call to call.
    pub(super) fn twilio(&self, body: &str) -> (u16, String) {
        self.post("twilio", &[("Authorization", &basic("twilio", SECRET))], body)
    }

    pub(super) fn post(&self, route: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        self.try_post(0, route, headers, body).unwrap()
    }

    /// Calls one of the fronts; nothing if it does not answer.
    pub(super) fn try_post(
        &self,
        front: usize,
        route: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.0[front % self.0.len()]).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let kind = if body.starts_with(['{', '[']) {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "POST /callbacks/v1.0/{route} HTTP/1.1\r\nHost: naru.example\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n{more}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let text = answer.split_once("\r\n\r\n")?.1;
        let text = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(mut document)) => {
                document.remove("instance");
                Value::Object(document).to_string()
            }
            _ => text.to_owned(),
        };
        Some((status, text))
    }
}
