//! What each way in costs: how many accepts a second one gateway answers that prove themselves by a password, by a signature of the
//! call, or by a token, and how many over TLS.
//!
//! All in one run, in turn, several rounds; each way stands beside Basic of its own round, so that a machine that becomes slower does not
//! count. Calls are signed before they are measured, and no signature or token comes twice unless that is what is measured: the
//! generator writes bytes. Every call must be answered `202`.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    net::SocketAddr,
    time::Duration,
};

use anyhow::ensure;
use aws_lc_rs::hmac;

use crate::{
    bench::{Table, cpu},
    engines::certify,
    gateway::{Gateway, Setup},
    load::{self, Call, Summary, trusting},
    proving::{Shape, TokenKey, add_es256, add_hs256, add_signer},
};

/// Keep-alive connections.
const CONNECTIONS: usize = 64;

/// The longest that a way may take in a round.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds of every way.
    pub rounds: usize,
    /// Calls of a way in a round.
    pub calls: usize,
    /// How long they are made before they count.
    pub warm_up: Duration,
    /// Beside Basic only ways in whose name this is, if it is not empty.
    pub only: String,
    /// What part of a goal is enough: programs that are not optimised, on a machine that does other things, tell little.
    pub leniency: f64,
}

impl Plan {
    /// Five rounds of 40,000.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            rounds: 5,
            calls: 40_000,
            warm_up: Duration::from_millis(250),
            only: String::new(),
            leniency: 1.0,
        }
    }

    /// Few calls.
    #[must_use]
    pub const fn small() -> Self {
        Self {
            rounds: 1,
            calls: 3_000,
            warm_up: Duration::from_millis(30),
            only: String::new(),
            leniency: 0.5,
        }
    }
}

/// A way in, as it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Basic,
    Hmac,
    Hs256,
    Hs256Again,
    Es256,
    Es256Again,
    Tls,
}

impl Way {
    const ALL: [Self; 7] =
        [Self::Basic, Self::Hmac, Self::Hs256, Self::Hs256Again, Self::Es256, Self::Es256Again, Self::Tls];

    /// Of Basic's rate: what was wished for, and what it must not fall below. Why the two differ is told in docs/performance.md.
    const fn goal(self) -> Option<(f64, f64)> {
        match self {
            Self::Hmac => Some((0.9, 0.55)),
            Self::Hs256 => Some((0.9, 0.6)),
            Self::Hs256Again => Some((0.9, 0.75)),
            Self::Es256 => Some((0.6, 0.2)),
            Self::Es256Again => Some((0.6, 0.6)),
            Self::Basic | Self::Tls => None,
        }
    }
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic => "Basic",
            Self::Hmac => "signed, hmac-sha256, the body too",
            Self::Hs256 => "a JWT of its own for each call, HS256",
            Self::Hs256Again => "one JWT for all calls, HS256",
            Self::Es256 => "a JWT of its own for each call, ES256",
            Self::Es256Again => "one JWT for all calls, ES256",
            Self::Tls => "Basic over TLS 1.3, keep-alive",
        })
    }
}

/// Who calls whom.
struct Doors {
    plain: Gateway,
    ciphered: Gateway,
    trust: std::sync::Arc<rustls::ClientConfig>,
    signer: hmac::Key,
    hs256: TokenKey,
    es256: TokenKey,
}

/// One way in one round.
struct Measured {
    load: Summary,
    /// CPU of the gateway for a call, in microseconds.
    cpu_us: f64,
}

/// Measures, and judges.
///
/// # Errors
/// If a process does not run, or a call is not answered `202`.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> anyhow::Result<Table> {
    let files = tempfile::tempdir()?;
    certify(files.path())?;
    let doors = Doors::open(files.path())?;
    let mut rounds = Vec::new();
    let ways: Vec<Way> = Way::ALL
        .into_iter()
        .filter(|way| *way == Way::Basic || way.to_string().contains(&plan.only))
        .collect();
    for number in 0..plan.rounds {
        let mut round = BTreeMap::new();
        // Nobody is always the first after a pause.
        for place in 0..ways.len() {
            let way = ways[(place + number) % ways.len()];
            let measured = doors.measure(way, plan)?;
            say(&format!("round {}: {way}: {:.0}/s", number + 1, measured.load.calls_per_second()));
            round.insert(way, measured);
        }
        rounds.push(round);
    }
    Ok(table(plan, &ways, &rounds))
}

fn gateway(more: &str) -> anyhow::Result<Gateway> {
    let backlog = "route_backlog = 100000000\ncustomer_backlog = 100000000";
    Gateway::spawn(&Setup {
        config: format!("[log]\nfilter = \"warn\"\n[ingress]\n{backlog}\n{more}"),
        arguments: vec!["--workers".to_owned(), "0".to_owned()],
        ..Setup::default()
    })
}

impl Doors {
    fn open(files: &std::path::Path) -> anyhow::Result<Self> {
        let plain = gateway("")?;
        let at = |name: &str| files.join(name).display().to_string();
        let ciphered =
            gateway(&format!("tls_certificate = {:?}\ntls_key = {:?}\n", at("cert.pem"), at("key.pem")))?;
        let signer = add_signer(&plain, "c0", "signs")?;
        let hs256 = add_hs256(&plain, "c0", "hs256")?;
        let es256 = add_es256(&plain, "c0", "es256")?;
        // What was added is in force within a second.
        std::thread::sleep(Duration::from_secs(1));
        Ok(Self { plain, ciphered, trust: trusting(&files.join("ca.pem"))?, signer, hs256, es256 })
    }

    fn gateway(&self, way: Way) -> &Gateway {
        if way == Way::Tls { &self.ciphered } else { &self.plain }
    }

    /// The calls of a way, each of which is made once.
    fn calls(&self, way: Way, target: SocketAddr, count: usize) -> anyhow::Result<Vec<Call>> {
        let (host, body) = (target.to_string(), Call::message("sms", 1).to_string());
        let shape = Shape { host: &host, method: "POST", path: "/v1.0/messages", body: &body };
        let each = |make: &dyn Fn() -> anyhow::Result<Vec<u8>>| {
            (0..count).map(|_| Ok(Call::as_it_is(make()?))).collect::<anyhow::Result<Vec<_>>>()
        };
        let again = |bytes: Vec<u8>| vec![Call::as_it_is(bytes); count];
        Ok(match way {
            Way::Basic | Way::Tls => again(shape.basic(&self.gateway(way).users.live[0])),
            Way::Hmac => each(&|| Ok(shape.signed("signs", &self.signer)))?,
            Way::Hs256 => each(&|| shape.token("hs256", &self.hs256))?,
            Way::Hs256Again => again(shape.token("hs256", &self.hs256)?),
            Way::Es256 => each(&|| shape.token("es256", &self.es256))?,
            Way::Es256Again => again(shape.token("es256", &self.es256)?),
        })
    }

    fn measure(&self, way: Way, plan: &Plan) -> anyhow::Result<Measured> {
        let gateway = self.gateway(way);
        let target = gateway.listen();
        let load = load::Plan {
            target,
            tls: (way == Way::Tls).then(|| std::sync::Arc::clone(&self.trust)),
            calls: self.calls(way, target, plan.calls)?,
            connections: CONNECTIONS,
            rate: None,
            warm_up: plan.warm_up,
            duration: PATIENCE,
            limit: Some(u64::try_from(plan.calls)?),
        };
        let before = cpu::nanos_of(gateway.pid()?);
        let load = load::run(&load)?;
        let spent = cpu::nanos_of(gateway.pid()?).saturating_sub(before);
        let answered: u64 = load.statuses.values().sum();
        ensure!(load.statuses.keys().all(|status| *status == 202), "{way}: answers {:?}", load.statuses);
        ensure!(load.broken == 0 && answered == plan.calls as u64, "{way}: {answered} answers");
        ensure!(load.calls * 2 > answered, "{way}: most calls were over before they counted");
        Ok(Measured { load, cpu_us: spent as f64 / 1e3 / answered as f64 })
    }
}

fn table(plan: &Plan, ways: &[Way], rounds: &[BTreeMap<Way, Measured>]) -> Table {
    let mut table = Table::default();
    for &way in ways {
        let of = |figure: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(|round| figure(&round[&way])));
        let beside = |round: &BTreeMap<Way, Measured>| {
            round[&way].load.calls_per_second() / round[&Way::Basic].load.calls_per_second()
        };
        let ratio = median(rounds.iter().map(beside));
        let figure = format!(
            "{:.0}/s: {ratio:.2} of Basic; p50 {:.2} p99 {:.2} ms; CPU of a call {:.0} µs, of the generator {:.0} µs",
            of(&|one| one.load.calls_per_second()),
            of(&|one| one.load.latency.p50 / 1e3),
            of(&|one| one.load.latency.p99 / 1e3),
            of(&|one| one.cpu_us),
            of(&|one| one.load.cpu_us_per_call),
        );
        match way.goal() {
            None => table.tell(&way.to_string(), figure),
            Some((wish, least)) => {
                let least = least * plan.leniency;
                let goal = format!("≥ {least:.2} of Basic (wished for: {wish:.2})");
                table.judge(&way.to_string(), figure, &goal, ratio >= least);
            }
        }
    }
    table
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
