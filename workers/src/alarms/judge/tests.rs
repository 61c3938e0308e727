use naru_shared::domain::{AlarmEach, Lane};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
}

fn seen(now: i64) -> Seen {
    Seen { now: at(now), since: at(0), oldest: Vec::new(), flow: Vec::new(), came: Vec::new() }
}

fn rule(kind: AlarmKind, over_seconds: u64) -> AlarmRule {
    AlarmRule {
        name: "it".parse().unwrap(),
        kind,
        route: None,
        customer: None,
        lane: None,
        each: AlarmEach::Route,
        over_ms: over_seconds * 1_000,
        percent: 50,
        least: 10,
        off: false,
        set_at: at(0),
        version: 1,
    }
}

fn waits(route: &str, since: i64) -> Oldest {
    let (route, customer) = (route.parse().unwrap(), "acme".parse().unwrap());
    Oldest { route, lane: Lane::Express, customer, since: at(since) }
}

fn ended(delivered: u64, failed: u64, when: i64) -> FlowStep {
    let flow = Flow { taken_in: 0, delivered, failed, other: 0 };
    FlowStep { at: at(when), route: "a".parse().unwrap(), customer: "acme".parse().unwrap(), flow }
}

/// Plays what is seen at each moment; what was raised and cleared, when.
fn play(rules: &[AlarmRule], views: Vec<Seen>) -> Vec<(i64, String)> {
    let (mut raised, mut told) = (Vec::<Raised>::new(), Vec::new());
    for view in views {
        let second = (view.now.as_millis() - at(0).as_millis()) / 1_000;
        for change in changes(rules, &view, &raised) {
            match change {
                AlarmChange::Raise(one, event) => {
                    told.push((second, format!("raised {}", one.subject)));
                    assert_eq!(event.kind, kinds::ALARM_RAISED.name);
                    raised.push(one);
                }
                AlarmChange::Calm(one, since) => {
                    raised.iter_mut().find(|other| other.subject == one.subject).unwrap().calm_since = since;
                }
                AlarmChange::Clear(one, event) => {
                    told.push((second, format!("cleared {}", one.subject)));
                    assert_eq!(event.kind, kinds::ALARM_CLEARED.name);
                    raised.retain(|other| other.subject != one.subject);
                }
            }
        }
    }
    told
}

#[test]
fn an_age_that_swings_about_its_limit_calls_once() {
    let rules = [rule(AlarmKind::OldestAge, 100)];
    let views = (0..60).map(|step| {
        let now = 1_000 + step * 10;
        // From 90 s to 110 s and back until the half, then nothing waits.
        let age = if step % 2 == 0 { 110 } else { 90 };
        let oldest = if step < 30 { vec![waits("a", now - age)] } else { Vec::new() };
        Seen { oldest, ..seen(now) }
    });
    let told = play(&rules, views.collect());
    assert_eq!(told, [(1_000, "raised route/a".to_owned()), (1_350, "cleared route/a".to_owned())]);
}

#[test]
fn few_outcomes_say_nothing_and_a_window_that_has_passed_neither() {
    let rules = [rule(AlarmKind::FailureRatio, 60)];
    let view = |now: i64, flow: Vec<FlowStep>| Seen { flow, ..seen(now) };
    let told = play(
        &rules,
        vec![
            view(100, vec![ended(0, 9, 90)]),
            view(110, vec![ended(0, 9, 20), ended(20, 10, 100)]),
            view(120, vec![ended(5, 5, 100)]),
            view(130, vec![ended(5, 4, 100)]),
            view(160, vec![ended(20, 5, 150)]),
        ],
    );
    assert_eq!(told, [(120, "raised route/a".to_owned()), (160, "cleared route/a".to_owned())]);
}

#[test]
fn a_silence_is_counted_from_what_came_last_and_not_from_before_the_rule() {
    let mut silent = rule(AlarmKind::NoTraffic, 60);
    silent.customer = Some("acme".parse().unwrap());
    silent.set_at = at(500);
    let came = |seconds: i64| {
        vec![LastCame { route: "a".parse().unwrap(), customer: "acme".parse().unwrap(), at: at(seconds) }]
    };
    let view = |now: i64, last: i64| Seen { came: came(last), ..seen(now) };
    let told =
        play(&[silent], vec![view(510, 1), view(560, 1), view(561, 1), view(600, 599), view(630, 599)]);
    assert_eq!(told, [(561, "raised customer/acme".to_owned()), (630, "cleared customer/acme".to_owned())]);
}

#[test]
fn after_a_gap_in_which_nobody_looked_a_silence_begins_anew() {
    let mut silent = rule(AlarmKind::NoTraffic, 60);
    silent.customer = Some("acme".parse().unwrap());
    let told = play(&[silent], vec![Seen { since: at(1_000), ..seen(1_050) }]);
    assert_eq!(told, []);
}

#[test]
fn what_was_raised_by_a_rule_that_is_gone_or_off_is_cleared() {
    let on = rule(AlarmKind::OldestAge, 10);
    let view = || Seen { oldest: vec![waits("a", 0)], ..seen(100) };
    let AlarmChange::Raise(raised, _) = changes(std::slice::from_ref(&on), &view(), &[]).remove(0) else {
        panic!("it is raised")
    };
    for rules in [vec![], vec![AlarmRule { off: true, ..on }]] {
        let changes = changes(&rules, &view(), std::slice::from_ref(&raised));
        assert!(matches!(changes.as_slice(), [AlarmChange::Clear(..)]), "{changes:?}");
    }
}
