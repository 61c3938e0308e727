//! What is unsafe and therefore refused.

use std::net::IpAddr;

use naru_ingress::IngressConfig;
use naru_shared::{
    aws::sqs::SqsSettings,
    domain::{BackendConfig, IpNetwork, Route},
    engines::{BlobsEngine, LedgerEngine, QueueEngine, TopicEngine},
    ports::Part,
};

use super::Config;
use crate::place;

/// Beyond the attempt's own time-out, until its outcome must have been committed.
const ATTEMPT_GRACE_MS: u64 = 2_000;

/// Settings that would break a promise, each as a sentence that says what to do.
#[must_use]
pub fn unsafe_settings(config: &Config, part: Part, routes: &[Route]) -> Vec<String> {
    let mut found = apart(config, part);
    found.extend(listener(&config.ingress, part));
    let operator = &config.operator;
    if !operator.listen.ip().is_loopback() && !operator.allow_remote {
        found.push(format!(
            "operator.listen {} is beyond loopback and asks nobody who they are: keep it in a network of your own \
             and say so with operator.allow_remote = true",
            operator.listen
        ));
    }
    if config.process.drain_ms > 60_000 {
        found.push(
            "process.drain_ms is more than a minute: whoever stops this process would kill it first"
                .to_owned(),
        );
    }
    let lasting = config.ingress.drain_notice_ms.saturating_add(config.ingress.drain_grace_ms);
    if lasting > config.process.drain_ms / 2 {
        found.push(format!(
            "ingress.drain_notice_ms and ingress.drain_grace_ms = {lasting} are more than half of process.drain_ms = {}: \
             nothing would be left for what is under way",
            config.process.drain_ms
        ));
    }
    let (asked, known) = (config.ingress.envelope_version, config.release.formats);
    if part.accepts() && known.iter().all(|format| format.version != asked) {
        let known: Vec<String> = known.iter().map(|format| format.version.to_string()).collect();
        found.push(format!(
            "ingress.envelope_version = {asked} cannot be written: this program knows {}",
            known.join(", ")
        ));
    }
    if part.accepts() && config.ingress.token_audience.is_empty() {
        found.push(
            "ingress.token_audience is empty: give the deployment a name that tokens are for (`aud`)"
                .to_owned(),
        );
    }
    found.extend(trusting(config));
    found.extend(unsafe_engines(config));
    if part != Part::Ingress
        && let Some(slack) = config.slack()
    {
        found.extend(slack.config.check(slack.visibility).err().map(|error| error.to_string()));
    }
    found.extend(config.workers.check().err().map(|error| format!("workers: {error}")));
    found.extend(routes.iter().filter_map(|route| unsafe_route(config, route)));
    found
}

/// What is unsafe about the address that customers call.
fn listener(ingress: &IngressConfig, part: Part) -> Vec<String> {
    let mut found = Vec::new();
    let ciphers = match ingress.tls_files() {
        Ok(files) => {
            // Workers need not have what fronts present.
            let read = files.as_ref().filter(|_| part.accepts()).map(|files| files.read());
            found.extend(
                read.and_then(Result::err).map(|error| format!("ingress.tls_certificate, tls_key: {error}")),
            );
            files.is_some()
        }
        Err(error) => {
            found.push(format!("ingress: {error}"));
            false
        }
    };
    if !ingress.listen.ip().is_loopback() && !ciphers && !ingress.allow_plain_http {
        found.push(format!(
            "ingress.listen {} is beyond loopback and the passwords of Basic would travel readable: give \
             ingress.tls_certificate and tls_key, or put something that ends TLS in front and say so with \
             ingress.allow_plain_http = true",
            ingress.listen
        ));
    }
    if ingress.proxy_protocol && ingress.trusted_proxies.is_empty() {
        found.push(
            "ingress.proxy_protocol without ingress.trusted_proxies: nobody would be believed, and every connection closed"
                .to_owned(),
        );
    }
    found
}

/// Proxies that would be anybody.
fn trusting(config: &Config) -> Option<String> {
    let ends = [[0; 4], [255; 4]].map(IpAddr::from);
    let wide = [[0; 16], [255; 16]].map(IpAddr::from);
    let all = |network: &&IpNetwork| {
        [ends, wide].iter().any(|ends| ends.iter().all(|address| network.contains(*address)))
    };
    let everybody = config.ingress.trusted_proxies.iter().find(all)?;
    Some(format!(
        "ingress.trusted_proxies names {everybody}, which is everybody: whoever calls would say from where it calls"
    ))
}

/// Why these parts cannot run in a process of their own, or on these engines.
fn apart(config: &Config, part: Part) -> Vec<String> {
    let embedded = config.engines().embedded();
    if embedded.is_empty() {
        return if config.keys.are_given() { Vec::new() } else { vec![place::NO_KEYS.to_owned()] };
    }
    if part == Part::Whole {
        return Vec::new();
    }
    let why = "each belongs to one process: run `naru up`, or give these ports engines that are shared";
    vec![format!("the engines of {} are embedded, and {why}", embedded.join(", "))]
}

fn unsafe_engines(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let queue = if let QueueEngine::RabbitMq(settings) = &config.queue { Some(settings) } else { None };
    let topic = if let TopicEngine::RabbitMq(settings) = &config.topic { Some(settings) } else { None };
    for (port, settings) in [("queue", queue), ("topic", topic)] {
        let Some(settings) = settings else { continue };
        found.extend(settings.check().err().map(|error| format!("{port}: {error}")));
    }
    if let TopicEngine::Sns(settings) = &config.topic {
        found.extend(settings.check().err().map(|error| format!("topic: {error}")));
    }
    let mut call = queue.map(|settings| settings.call_timeout_ms);
    if let QueueEngine::Sqs(settings) = &config.queue {
        found.extend(unsafe_sqs(config, settings));
        call = Some(settings.call_timeout_ms);
    }
    if let BlobsEngine::S3(settings) = &config.blobs {
        found.extend(settings.check().err().map(|error| format!("blobs: {error}")));
    }
    let publish = config.ingress.publish_timeout_ms;
    if let Some(call) = call.filter(|call| *call >= publish) {
        found.push(format!(
            "queue.call_timeout_ms = {call} is not less than ingress.publish_timeout_ms = {publish}: what was refused in \
             time would be told as in doubt"
        ));
    }
    found
}

/// Tries of a transaction that must fit into the half of the visibility that intake has for sure.
const TRIES: u64 = 3;

/// How long a transaction of the embedded ledger may take.
const EMBEDDED_STATEMENT_MS: u64 = 5_000;

fn unsafe_sqs(config: &Config, settings: &SqsSettings) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    found.extend(settings.check().err().map(|error| format!("queue: {error}")));
    let bell = settings.doorbell.as_ref().and_then(|doorbell| doorbell.check().err());
    found.extend(bell.map(|error| format!("queue.doorbell: {error}")));
    let statement = match &config.ledger {
        LedgerEngine::Postgres(engine) => engine.statement_ms,
        LedgerEngine::Sqlite {} => EMBEDDED_STATEMENT_MS,
    };
    let needed = statement.saturating_mul(2 * TRIES);
    if settings.visibility_ms < needed {
        found.push(format!(
            "queue.visibility_ms = {} is less than {needed}: a pack may have lain here for half of it when intake begins, and \
             would come back while its transaction is tried {TRIES} times for {statement} ms",
            settings.visibility_ms
        ));
    }
    found
}

/// What is unsafe about one route under this configuration.
#[must_use]
pub fn unsafe_route(config: &Config, route: &Route) -> Option<String> {
    let BackendConfig::Http(_) = route.backend else { return None };
    let attempt = u64::from(route.attempt_timeout_ms) + ATTEMPT_GRACE_MS;
    (attempt >= config.workers.lease_ms).then(|| {
        format!(
            "route {}: an attempt may take {} ms (and {ATTEMPT_GRACE_MS} ms of grace), which is not shorter than \
             workers.lease_ms = {}: another worker would take the message for lost while it is being sent",
            route.name, route.attempt_timeout_ms, config.workers.lease_ms
        )
    })
}

#[cfg(test)]
mod tests {
    use naru_shared::{
        blobs::S3Settings,
        domain::{Environment, HttpBackend},
        rabbitmq::RabbitMqSettings,
    };

    use super::*;

    fn route(attempt_timeout_ms: u32) -> Route {
        let backend = BackendConfig::Http(HttpBackend {
            url: "https://carrier.example/".to_owned(),
            allow_networks: Vec::new(),
            provider: None,
        });
        Route { attempt_timeout_ms, ..Route::new("carrier".parse().unwrap(), Environment::Live, backend) }
    }

    #[test]
    fn the_defaults_are_safe() {
        assert_eq!(unsafe_settings(&Config::default(), Part::Whole, &[route(15_000)]), Vec::<String>::new());
    }

    #[test]
    fn an_attempt_as_long_as_the_lease_is_refused() {
        let config = Config::default();
        let lease = u32::try_from(config.workers.lease_ms).unwrap();
        assert_eq!(unsafe_settings(&config, Part::Whole, &[route(lease)]).len(), 1);
        assert_eq!(unsafe_settings(&config, Part::Whole, &[route(lease - 2_000)]).len(), 1);
        assert_eq!(unsafe_settings(&config, Part::Whole, &[route(lease - 2_001)]).len(), 0);
    }

    #[test]
    fn a_grace_that_leaves_no_time_to_drain_is_refused() {
        let mut config = Config::default();
        config.ingress.drain_grace_ms = config.process.drain_ms / 2;
        assert_eq!(unsafe_settings(&config, Part::Whole, &[]).len(), 0);
        config.ingress.drain_notice_ms += 1;
        assert_eq!(unsafe_settings(&config, Part::Whole, &[]).len(), 1);
    }

    #[test]
    fn proxies_that_are_anybody_are_refused() {
        let mut config = Config::default();
        config.ingress.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(unsafe_settings(&config, Part::Whole, &[]).len(), 0);
        for everybody in ["0.0.0.0/0", "::/0"] {
            config.ingress.trusted_proxies = vec![everybody.parse().unwrap()];
            assert_eq!(unsafe_settings(&config, Part::Whole, &[]).len(), 1, "{everybody}");
        }
    }

    #[test]
    fn a_version_of_envelopes_that_this_release_does_not_know_is_refused() {
        let mut config = Config::default();
        config.ingress.envelope_version = 9;
        let found = unsafe_settings(&config, Part::Whole, &[]);
        assert_eq!(found, ["ingress.envelope_version = 9 cannot be written: this program knows 1"]);
        // Workers may share the file with fronts of a newer release.
        assert!(
            unsafe_settings(&config, Part::Workers, &[])
                .iter()
                .all(|found| !found.contains("envelope_version"))
        );
    }

    #[test]
    fn a_rabbitmq_that_cannot_be_reached_so_is_told() {
        let mut config = Config::default();
        let settings = RabbitMqSettings { call_timeout_ms: 5_000, ..RabbitMqSettings::default() };
        config.queue = QueueEngine::RabbitMq(settings);
        let found = unsafe_settings(&config, Part::Whole, &[]);
        assert!(
            found[0].starts_with("queue: `url`") && found[1].starts_with("queue.call_timeout_ms"),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_sqs_whose_packs_would_come_back_too_early_is_told() {
        let config = Config { queue: QueueEngine::Sqs(SqsSettings::default()), ..Config::default() };
        assert_eq!(unsafe_settings(&config, Part::Whole, &[]), Vec::<String>::new());
        let needed = EMBEDDED_STATEMENT_MS * 2 * TRIES;
        let with = |change: fn(&mut SqsSettings)| {
            let mut settings = SqsSettings { visibility_ms: needed, ..SqsSettings::default() };
            change(&mut settings);
            let config = Config { queue: QueueEngine::Sqs(settings), ..Config::default() };
            unsafe_settings(&config, Part::Whole, &[])
        };
        assert_eq!(with(|_| ()).len(), 0);
        assert!(with(|s| s.visibility_ms -= 1)[0].starts_with("queue.visibility_ms"));
        assert!(with(|s| s.call_timeout_ms = 5_000)[0].starts_with("queue.call_timeout_ms"));
        assert!(with(|s| s.receivers = 0)[0].starts_with("queue: `receivers`"));
        let bell = |s: &mut SqsSettings| {
            s.doorbell = Some(toml::from_str("url = \"http://nowhere\"").unwrap());
        };
        assert!(with(bell)[0].starts_with("queue.doorbell"));
    }

    #[test]
    fn a_bucket_that_cannot_be_used_is_told() {
        let mut config = Config { blobs: BlobsEngine::S3(S3Settings::default()), ..Config::default() };
        let found = unsafe_settings(&config, Part::Whole, &[]);
        assert!(found.len() == 1 && found[0].starts_with("blobs: `bucket`"), "{found:?}");
        let endpoint = Some("http://s3.example".to_owned());
        config.blobs =
            BlobsEngine::S3(S3Settings { bucket: "naru".to_owned(), endpoint, ..S3Settings::default() });
        let found = unsafe_settings(&config, Part::Whole, &[]);
        assert!(found.len() == 1 && found[0].contains("allow_plain_http"), "{found:?}");
    }

    #[test]
    fn tokens_are_for_a_deployment_that_has_a_name() {
        let mut config = Config::default();
        config.ingress.token_audience.clear();
        let found = unsafe_settings(&config, Part::Whole, &[]);
        assert!(found.len() == 1 && found[0].starts_with("ingress.token_audience"), "{found:?}");
        let workers = unsafe_settings(&config, Part::Workers, &[]);
        assert!(workers.iter().all(|found| !found.contains("token_audience")), "{workers:?}");
    }

    #[test]
    fn listening_beyond_loopback_must_be_asked_for() {
        let mut config = Config::default();
        config.ingress.listen = "0.0.0.0:80".parse().unwrap();
        config.operator.listen = "[::]:81".parse().unwrap();
        assert_eq!(unsafe_settings(&config, Part::Whole, &[]).len(), 2);
        config.ingress.allow_plain_http = true;
        config.operator.allow_remote = true;
        assert_eq!(unsafe_settings(&config, Part::Whole, &[]).len(), 0);
    }
}
