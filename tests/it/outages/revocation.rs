//! A credential that is revoked, with Redis and without.

use std::{
    thread,
    time::{Duration, Instant},
};

use naru_tests::{customer::Customer, deployment::Deployment, engines::Stop};
use serde_json::Value;

use super::{
    PATIENCE, code,
    loan::{borrow, customers::REVOKED},
    message,
};
use crate::stage::within;

/// While Redis is there.
const IN_FORCE: Duration = Duration::from_secs(1);

/// While it is not.
const WITHOUT_REDIS: Duration = Duration::from_secs(60);

/// A new credential that every front knows; its id and `ID:PW:API_KEY`.
fn credential(site: &Deployment, fronts: &[usize]) -> (String, String) {
    let made = site.verb(&["credential", "add", &format!("c{REVOKED}"), "--json"]).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    let part = |name: &str| made[name].as_str().unwrap().to_owned();
    let user = format!("{}:{}:{}", part("id"), part("password"), part("api_key"));
    for front in fronts {
        within(PATIENCE, "it is known", || (status(site, *front, &user).0 == 202).then_some(()));
    }
    (part("id"), user)
}

fn status(site: &Deployment, front: usize, user: &str) -> (u16, String) {
    let mut customer = Customer::live(site.front(front), user, PATIENCE);
    code(&customer.send(&message("doubtful"), None).unwrap())
}

/// Revokes it: how long until every front refuses it, which it then goes on doing.
fn revoke(site: &Deployment, fronts: &[usize], id: &str, user: &str, most: Duration) -> Duration {
    // A front that ended while PostgreSQL was away could not say so: the command names it, after it has done what it was for.
    if let Err(error) = site.verb(&["credential", "revoke", id]) {
        assert!(
            format!("{error:#}").contains(&format!("{id} is revoked, and in force within a minute")),
            "{error:#}"
        );
    }
    let began = Instant::now();
    for front in fronts {
        within(most, "it is refused", || match status(site, *front, user) {
            (401, code) => (code == "unauthorized").then_some(()),
            (202 | 429, _) => None,
            other => panic!("{other:?}"),
        });
    }
    let took = began.elapsed();
    for front in fronts {
        assert_eq!(status(site, *front, user).0, 401, "it stays refused");
    }
    took
}

#[test]
fn a_revoked_credential_is_refused_by_every_front_within_a_second_and_without_redis_within_a_minute() {
    let mut site = borrow();
    let both = [0, 1];
    // A busy machine may delay one: the middle one of five, and none for long.
    let mut took: Vec<Duration> = (0..5)
        .map(|_| {
            let (id, user) = credential(&site, &both);
            revoke(&site, &both, &id, &user, PATIENCE)
        })
        .collect();
    took.sort();
    println!("with Redis: refused by both fronts after {took:?}");
    assert!(took[2] <= IN_FORCE && took[4] <= 5 * IN_FORCE, "{took:?}");

    let (id, user) = credential(&site, &both);
    let (_, kept) = credential(&site, &both);
    site.redis.stop(Stop::Kill).unwrap();
    let (early, refused) = credential_without_redis(&site);
    assert_eq!(refused, 202, "a credential that is made meanwhile is known in the end: {early}");
    let took = revoke(&site, &both, &id, &user, WITHOUT_REDIS);
    println!("without Redis: refused by both fronts after {took:?}");
    // A front that starts now knows customers from the catalog, and this one not.
    site.ingress[2].start(&[]).unwrap();
    let all = [0, 1, 2];
    for front in all {
        assert_eq!(status(&site, front, &user).0, 401);
        assert_eq!(status(&site, front, &kept).0, 202);
    }
    site.redis.begin().unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        for front in all {
            assert_eq!(status(&site, front, &user).0, 401, "the projection that is made anew has it as well");
            assert!([202, 429].contains(&status(&site, front, &kept).0));
        }
        thread::sleep(Duration::from_millis(100));
    }
    let took = revoke(&site, &all, kept.split(':').next().unwrap(), &kept, 5 * IN_FORCE);
    println!("with Redis again: {took:?}");
    site.ingress[2].drain().unwrap();
}

/// A credential that is made while Redis is away, and what it opens in the end.
fn credential_without_redis(site: &Deployment) -> (String, u16) {
    let (id, user) = credential(site, &[0]);
    (id, status(site, 0, &user).0)
}
