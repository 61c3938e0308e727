//! A stream of reports while what takes them in is killed again and again: none is lost, and each makes one revision.

use std::{thread, time::Duration};

use super::{PATIENCE, SECRET, Site, Twilio, callback, site, text};
use crate::stage::{accept, beside_others, until, within};

const MESSAGES: usize = 40;

/// Tells until it is taken, as a provider does.
fn tell(caller: &site::Caller, body: &str, first: usize) {
    let proof = site::basic("twilio", SECRET);
    let mut front = first;
    within(PATIENCE, "the report is taken", || {
        let answer = caller.try_post(front, "twilio", &[("Authorization", &proof)], body);
        front += 1;
        if answer.as_ref().is_none_or(|(status, _)| *status != 200) {
            thread::sleep(Duration::from_millis(50));
            return None;
        }
        Some(())
    });
}

fn while_killed(mut site: Site) {
    let twilio = Twilio::start();
    twilio.join(&site);
    let mut customer = site.customer();
    let ids: Vec<String> =
        (0..MESSAGES).map(|_| accept(&mut customer, &text("+15005550006"), None)).collect();
    for id in &ids {
        until(&mut customer, id, &["sent"], PATIENCE);
    }
    let names: Vec<String> = ids.iter().map(|id| twilio.sid(id)).collect();
    let caller = site.caller();
    let telling = thread::spawn(move || {
        for (index, sid) in names.iter().enumerate() {
            for _ in 0..1 + index % 2 {
                tell(&caller, &callback(sid, "delivered", None), index);
            }
            thread::sleep(Duration::from_millis(60));
        }
    });
    for round in 0..4 {
        thread::sleep(Duration::from_millis(400));
        site.kill(round);
    }
    telling.join().unwrap();
    let mut customer = site.customer();
    for id in &ids {
        assert_eq!(until(&mut customer, id, &["delivered"], PATIENCE)["revision"], 1, "{id}");
    }
    assert_eq!(site.used(), MESSAGES as u64);
}

#[test]
fn no_report_is_lost_while_the_process_is_killed() {
    let _beside = beside_others();
    while_killed(Site::embedded());
}

#[test]
fn no_report_is_lost_while_workers_and_fronts_are_killed() {
    let _beside = beside_others();
    while_killed(Site::wide());
}
