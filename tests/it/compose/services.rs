//! What `compose.yaml` and `compose.aws.yaml` say of their services, held against what they need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

use naru_cli::config::{Config, check::unsafe_settings, load};
use naru_shared::{key_file, ports::Part};
use naru_tests::compose::{OF_INGRESS, source};
use serde_json::{Map, Value};

use super::{VARIANTS, Variant, text};

use crate::stage::beside_others;

/// Run to their end and not again.
const ONCE: [&str; 3] = ["infra", "migrate", "naru"];

/// Ours.
const NARU: [&str; 5] = ["infra", "ingress", "workers", "migrate", "naru"];

fn services(variant: &Variant) -> Map<String, Value> {
    variant.composed()["services"].as_object().unwrap().clone()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn seconds(value: &Value) -> u64 {
    value
        .as_str()
        .and_then(|text| text.strip_suffix('s'))
        .unwrap_or_else(|| panic!("{value}"))
        .parse()
        .unwrap()
}

#[test]
fn every_service_is_confined_and_bounded() {
    let _beside = beside_others();
    let all: Vec<(String, Value)> = VARIANTS.iter().flat_map(services).collect();
    assert_eq!(all.len(), 8 + 9);
    for (name, service) in &all {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let user = service["user"].as_str().unwrap();
        let ours = NARU.contains(&name.as_str());
        let numeric = user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0));
        assert!(if ours { user.starts_with("${NARU_USER:?") } else { numeric }, "{name} runs as {user}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["memory"].is_string() && limits["cpus"].is_string(), "{name}: {limits}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log grows for ever");
        assert!(service.get("privileged").is_none() && service.get("network_mode").is_none(), "{name}");
        if ONCE.contains(&name.as_str()) {
            assert_eq!(
                (&service["restart"], &service["healthcheck"]["disable"]),
                (&"no".into(), &true.into())
            );
            continue;
        }
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let health = &service["healthcheck"];
        assert!(!strings(&health["test"]).is_empty() && seconds(&health["start_period"]) >= 10, "{name}");
        assert!(seconds(&health["timeout"]) <= seconds(&health["interval"]), "{name}");
    }
}

#[test]
fn nothing_is_published_but_the_balancer_and_that_to_this_machine_only() {
    let _beside = beside_others();
    VARIANTS.iter().for_each(published);
}

fn published(variant: &Variant) {
    let composed = variant.composed();
    let internal = |network: &str| composed["networks"][network]["internal"] == true;
    for (name, service) in composed["services"].as_object().unwrap() {
        let ports = strings(&service["ports"]);
        if name == "balancer" {
            assert_eq!(ports, ["127.0.0.1:${PUBLISHED_PORT:-8080}:8080"]);
            continue;
        }
        assert!(ports.is_empty() && service.get("expose").is_none(), "{name} is published: {ports:?}");
        let outward: Vec<&str> =
            strings(&service["networks"]).into_iter().filter(|net| !internal(net)).collect();
        // Workers call backends.
        assert_eq!(outward, if name == "workers" { vec!["backends"] } else { vec![] }, "{name}");
    }
}

#[test]
fn who_is_asked_to_stop_gets_more_time_than_it_takes() {
    let _beside = beside_others();
    VARIANTS.iter().for_each(stopped);
}

fn stopped(variant: &Variant) {
    let all = services(variant);
    let drain = Config::default().process.drain_ms / 1000;
    let settings: toml::Table = variant.config().parse().unwrap();
    assert!(!settings.contains_key("process"), "the default is compared here");
    // Two bad looks, and as much time again.
    let check = text("compose/haproxy.cfg");
    assert!(check.contains("check inter 250ms fastinter 100ms fall 2"), "the looks are counted here");
    let notice = settings["ingress"]["drain_notice_ms"].as_integer().unwrap();
    assert!(notice >= 4 * 250, "the balancer has not noticed after {notice} ms");
    for name in ["ingress", "workers"] {
        assert!(seconds(&all[name]["stop_grace_period"]) > drain + 1, "{name}");
    }
    let config = text("compose/haproxy.cfg");
    let hard = config.lines().find_map(|line| line.trim().strip_prefix("hard-stop-after ")).unwrap();
    assert!(seconds(&all["balancer"]["stop_grace_period"]) > seconds(&hard.into()));
    assert!(seconds(&hard.into()) > drain, "calls that ingress still answers are cut");
}

#[test]
fn whoever_needs_another_waits_until_that_one_can_be_used() {
    let _beside = beside_others();
    waiting(&VARIANTS[0], "rabbitmq", "service_healthy");
    waiting(&VARIANTS[1], "infra", "service_completed_successfully");
}

/// `carrier`: what carries packs and events can be used then.
fn waiting(variant: &Variant, carrier: &str, condition: &str) {
    let all = services(variant);
    let conditions = |name: &str| -> BTreeMap<String, String> {
        let on = all[name]["depends_on"].as_object().unwrap();
        on.iter().map(|(on, how)| (on.clone(), how["condition"].as_str().unwrap().to_owned())).collect()
    };
    for name in ["ingress", "workers"] {
        let on = conditions(name);
        assert_eq!(on["migrate"], "service_completed_successfully", "{name}");
        assert!(on["redis"] == "service_healthy" && on[carrier] == condition, "{name}");
        assert_eq!(all[name]["deploy"]["replicas"], 2, "{name}");
    }
    assert_eq!(conditions("migrate")["postgres"], "service_healthy");
    assert_eq!(conditions("balancer")["ingress"], "service_healthy");
}

#[test]
fn every_process_has_settings_that_are_right_and_the_secrets_they_name() {
    let _beside = beside_others();
    let home = tempfile::tempdir().unwrap();
    fs::copy(source().join("secrets.sh"), home.path().join("secrets.sh")).unwrap();
    for _again in 0..2 {
        assert!(Command::new("sh").arg(home.path().join("secrets.sh")).status().unwrap().success());
    }
    for variant in &VARIANTS {
        settings(variant, home.path());
    }
}

fn settings(variant: &Variant, home: &Path) {
    let (composed, made) = (variant.composed(), home.join("secrets"));
    let parts = [("ingress", Part::Ingress), ("workers", Part::Workers), ("migrate", Part::Workers)];
    for (name, part) in parts {
        // The container's own /run/secrets: what is given to it, under the names that it has there.
        let mounted = home.join(format!("{name} of {}", variant.services));
        fs::create_dir(&mounted).unwrap();
        for secret in strings(&composed["services"][name]["secrets"]) {
            assert_eq!(composed["secrets"][secret]["file"], format!("./secrets/{secret}"));
            fs::copy(made.join(secret), mounted.join(secret)).unwrap();
        }
        let here = |text: &str| text.replace("/run/secrets/", &format!("{}/", mounted.display()));
        let config = mounted.join("naru.toml");
        fs::write(&config, here(&variant.config())).unwrap();
        let given = composed["services"][name]["environment"].as_object().unwrap();
        let variables = given
            .iter()
            .filter(|(name, _)| name.starts_with("NARU_"))
            .map(|(name, value)| (name.clone(), here(value.as_str().unwrap())));
        let read = load(Some(&config), variables, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(unsafe_settings(&read, part, &[]), Vec::<String>::new(), "{name}");
        assert!(read.engines().embedded().is_empty(), "{name}");
        key_file::load(read.keys.file.as_ref().unwrap()).unwrap();
    }
    let of_ingress = composed["services"]["ingress"]["environment"].as_object().unwrap();
    for (variable, secret) in OF_INGRESS {
        assert_eq!(of_ingress[variable], format!("/run/secrets/{secret}"));
    }
    assert_eq!(
        of_ingress.keys().filter(|name| name.starts_with("NARU_")).count(),
        OF_INGRESS.len() + 1,
        "processes in place of containers get the same settings"
    );
    let owner = strings(&composed["services"]["ingress"]["secrets"]).contains(&"ledger_url");
    assert!(!owner, "ingress has the owner's password");
}

#[test]
fn secrets_are_made_once_for_their_owner_only_and_every_one_that_is_mounted() {
    let _beside = beside_others();
    let home = tempfile::tempdir().unwrap();
    let script = home.path().join("secrets.sh");
    fs::copy(source().join("secrets.sh"), &script).unwrap();
    assert!(Command::new("sh").arg(&script).status().unwrap().success());
    let read = || -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(home.path().join("secrets")).unwrap().map(Result::unwrap);
        entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
    };
    for script in ["postgres.sh", "secrets.sh"] {
        let mode = fs::metadata(source().join(script)).unwrap().permissions().mode();
        // PostgreSQL's image runs what may be run, and reads the rest into its own shell.
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
    }
    let first = read();
    assert!(Command::new("sh").arg(&script).status().unwrap().success());
    assert_eq!(read(), first, "a secret was replaced");
    let mode = |name: &str| fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("secrets"), mode("secrets/keys.toml")), (0o700, 0o600));
    let all = VARIANTS.iter().map(Variant::composed);
    let named: BTreeSet<String> =
        all.flat_map(|all| all["secrets"].as_object().unwrap().clone()).map(|(name, _)| name).collect();
    let lacking: Vec<&String> = named.iter().filter(|name| !first.contains_key(*name)).collect();
    assert!(lacking.is_empty(), "nothing makes {lacking:?}");
    let environment = fs::read_to_string(home.path().join(".env")).unwrap();
    let user = environment.lines().find_map(|line| line.strip_prefix("NARU_USER=")).unwrap();
    assert!(!user.starts_with("0:"), "Naru would run as root");
    let ignored = text(".gitignore");
    assert!(ignored.contains("/compose/secrets/\n") && ignored.contains("/compose/.env\n"));
}
