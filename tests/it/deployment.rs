//! Several processes behind a balancer, and the harness that runs them.

use std::{path::Path, time::Duration};

use naru_tests::{
    customer::Customer,
    deployment::{Deployment, Shape},
    gateway::Setup,
};

use crate::stage::{beside_others, message, reports, within};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends until it is accepted: while its first queue is being made, and while the balancer learns who is left, a call may be
/// refused.
fn accepted(customer: &mut Customer, reference: &str) -> String {
    within(PATIENCE, reference, || {
        let reply = customer.send(&message("sms", reference), Some(reference)).ok()?;
        (reply.status == 202).then(|| reply.json()["id"].as_str().unwrap().to_owned())
    })
}

/// Whether a process with this id is there.
fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn several_fronts_and_workers_deliver_what_any_of_them_accepted_and_nothing_is_left_of_them() {
    let _beside = beside_others();
    let setup = Setup { quota: Some(100), ..Setup::default() };
    let mut site = Deployment::spawn(&Shape { setup, proxied: true, ..Shape::default() }).unwrap();
    let mut pids: Vec<u32> = site.members().map(|member| member.pid().unwrap()).collect();
    pids.extend(
        [site.balancer.pid(), site.postgres.pid(), site.carrier.pid(), site.redis.pid()].map(Option::unwrap),
    );
    assert!(pids.iter().all(|pid| is_there(*pid)), "{pids:?}");
    let mut ids = vec![accepted(&mut site.customer(0), "balanced")];
    for front in 0..2 {
        ids.push(accepted(&mut site.customer_at(front, 0), &format!("front-{front}")));
    }
    // One of each dies: the others go on, and the balancer finds the front that is left.
    site.ingress[0].kill().unwrap();
    site.workers[1].kill().unwrap();
    let mut customer = site.customer(0);
    ids.push(accepted(&mut customer, "one-of-each"));
    let mut told: Vec<String> = reports(&mut customer, ids.len(), PATIENCE)
        .iter()
        .map(|report| report["id"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    ids.sort();
    assert_eq!(told, ids);
    assert!(site.postgres.proxy().unwrap().carried() > 0 && site.redis.proxy().unwrap().carried() > 0);
    assert!(site.verb(&["status"]).unwrap().contains("demo"), "the operator sees it");
    let home = site.home().to_owned();
    drop(site);
    assert!(pids.iter().all(|pid| !is_there(*pid)), "{pids:?}");
    assert!(!home.exists(), "{}", home.display());
}

#[test]
fn fronts_can_read_no_text_and_change_no_customer() {
    let _beside = beside_others();
    let site = Deployment::prepare(&Shape { ingress: 1, workers: 0, ..Shape::default() }).unwrap();
    let config = std::fs::read_to_string(site.home().join("ingress.toml")).unwrap();
    assert!(!config.contains("postgres://postgres@"), "fronts do not know the owner's address");
    for forbidden in
        ["SELECT * FROM naru.content", "DELETE FROM naru.message", "UPDATE naru.entry SET version = 9"]
    {
        let refused = site.psql(&format!("SET ROLE naru_ingress; {forbidden}")).unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
}
