//! What intake decides about a message before the ledger sees it. Pure.

use std::time::Duration;

use naru_shared::{
    domain::{Account, Code, Lane, Message, QuietRules, Route, State, Timestamp},
    ledger::Disposition,
    registry::Profile,
};

/// What the decision about the messages of a pack rests on.
#[derive(Clone, Copy)]
pub(super) struct Grounds<'a> {
    pub(super) account: &'a Account,
    pub(super) lane: Lane,
    pub(super) profile: Option<&'a Profile>,
    pub(super) route: Option<&'a Route>,
    pub(super) now: Timestamp,
    /// When the latest restored copy was made.
    pub(super) restored_before: Option<Timestamp>,
    /// The customer's quiet hours, if it has any.
    pub(super) quiet: Option<&'a QuietRules>,
}

/// What is decided, and the quiet hours within the message's time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sorted {
    pub(super) disposition: Disposition,
    pub(super) quiet: Duration,
}

/// The decision; [`Disposition::Ready`] may still become [`Disposition::Start`] if a courier is free.
pub(super) fn classify(grounds: &Grounds<'_>, message: &Message) -> Sorted {
    let (channel, lane) = (&message.content.channel, grounds.lane);
    let quiet = grounds.quiet.map_or(Duration::ZERO, |rules| {
        rules.within(channel, lane, message.opens_at(), message.time_to_live(lane))
    });
    Sorted { disposition: decide(grounds, message, quiet), quiet }
}

fn decide(grounds: &Grounds<'_>, message: &Message, quiet: Duration) -> Disposition {
    let Some((profile, route)) = grounds.profile.zip(grounds.route) else {
        return Disposition::Finish(State::Rejected, Code::NoRoute);
    };
    if route.environment != grounds.account.environment {
        return Disposition::Finish(State::Rejected, Code::NoRoute);
    }
    // Before every end that says that it was not sent: it may have been.
    if grounds.restored_before.is_some_and(|copied| message.accepted_at < copied) {
        return Disposition::Hold(Code::Restored);
    }
    if profile.customer.suspended {
        return Disposition::Finish(State::Rejected, Code::Suspended);
    }
    // It was when the call was answered, or a front that knew no better let it in.
    if !profile.customer.senders.allow(message.content.sender.as_deref()) {
        return Disposition::Finish(State::Rejected, Code::SenderUnregistered);
    }
    if message.expires_at(grounds.lane).plus(quiet) < grounds.now {
        return Disposition::Finish(State::Expired, Code::TtlExpired);
    }
    let opens = message.opens_at().max(grounds.now);
    let hushed = grounds.quiet.and_then(|rules| rules.until(&message.content.channel, grounds.lane, opens));
    if let Some(until) = hushed {
        return Disposition::Quiet(until);
    }
    if opens > grounds.now {
        return Disposition::Schedule;
    }
    Disposition::Ready
}

#[cfg(test)]
mod tests {
    use naru_shared::domain::{
        BackendConfig, Customer, Environment, Hushed, OnUncertain, QuietHours, SimulatorBackend,
    };

    use super::*;
    use crate::samples;

    fn verdict(grounds: &Grounds<'_>, message: &Message) -> Disposition {
        classify(grounds, message).disposition
    }

    #[test]
    fn what_would_begin_in_quiet_hours_waits_until_they_end_and_its_time_stands_still() {
        let (account, here, live) = (samples::account(), profile(false), route(Environment::Live));
        let rules = QuietRules(vec![QuietHours {
            channel: None,
            hours: "21:00-08:00".parse().unwrap(),
            time_zone: "Asia/Seoul".parse().unwrap(),
            lane: Hushed::All,
        }]);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let morning = at("2026-03-10T08:00:00+09:00");
        let now = at("2026-03-10T07:00:00+09:00");
        let night = Grounds {
            account: &account,
            lane: Lane::Express,
            profile: Some(&here),
            route: Some(&live),
            now,
            restored_before: None,
            quiet: Some(&rules),
        };
        let mut message = samples::message(1, "+821012345678");
        message.accepted_at = now;
        let waits = Sorted { disposition: Disposition::Quiet(morning), quiet: Duration::from_secs(3_600) };
        assert_eq!(classify(&night, &message), waits);
        // What came long ago has not expired: most of its time was quiet.
        message.accepted_at = at("2026-03-09T20:55:00+09:00");
        assert_eq!(verdict(&night, &message), Disposition::Quiet(morning));
        assert_eq!(verdict(&Grounds { now: morning, ..night }, &message), Disposition::Ready);
        // A time to send that lies in them is put off, one after them is kept.
        message.content.send_at = Some(at("2026-03-10T22:00:00+09:00"));
        assert_eq!(
            verdict(&Grounds { now: morning, ..night }, &message),
            Disposition::Quiet(at("2026-03-11T08:00:00+09:00"))
        );
        message.content.send_at = Some(at("2026-03-10T09:00:00+09:00"));
        assert_eq!(verdict(&Grounds { now: morning, ..night }, &message), Disposition::Schedule);
    }

    fn profile(suspended: bool) -> Profile {
        let customer = Customer { suspended, version: 1, ..Customer::new("acme".parse().unwrap()) };
        Profile { customer, quotas: Vec::new(), assignments: Vec::new() }
    }

    fn route(environment: Environment) -> Route {
        Route {
            environment,
            backend: BackendConfig::Simulator(SimulatorBackend::default()),
            on_uncertain: OnUncertain::Fail,
            ..samples::route("carrier-a")
        }
    }

    #[test]
    fn each_reason_has_its_disposition_and_the_worst_comes_first() {
        let account = samples::account();
        let (here, live, sandbox) = (profile(false), route(Environment::Live), route(Environment::Sandbox));
        let suspended = profile(true);
        let now = Timestamp::from_millis(1_000_000);
        let fresh = Grounds {
            account: &account,
            lane: Lane::Express,
            profile: Some(&here),
            route: Some(&live),
            now,
            restored_before: None,
            quiet: None,
        };
        let mut message = samples::message(1, "+821012345678");
        message.accepted_at = now;
        assert_eq!(verdict(&fresh, &message), Disposition::Ready);
        let no_route = Disposition::Finish(State::Rejected, Code::NoRoute);
        assert_eq!(verdict(&Grounds { profile: None, ..fresh }, &message), no_route);
        assert_eq!(verdict(&Grounds { route: None, ..fresh }, &message), no_route);
        assert_eq!(verdict(&Grounds { route: Some(&sandbox), ..fresh }, &message), no_route);
        assert_eq!(
            verdict(&Grounds { profile: Some(&suspended), ..fresh }, &message),
            Disposition::Finish(State::Rejected, Code::Suspended)
        );
        let mut strict = here.clone();
        strict.customer.senders.registered_only = true;
        let unregistered = Disposition::Finish(State::Rejected, Code::SenderUnregistered);
        assert_eq!(verdict(&Grounds { profile: Some(&strict), ..fresh }, &message), unregistered);
        let sender = message.content.sender.clone().unwrap_or_else(|| "0215441234".to_owned());
        strict.customer.senders.registered.insert(sender.parse().unwrap());
        message.content.sender = Some(sender);
        assert_eq!(verdict(&Grounds { profile: Some(&strict), ..fresh }, &message), Disposition::Ready);
        let restored = Grounds { restored_before: Some(now.plus(Duration::from_millis(1))), ..fresh };
        assert_eq!(verdict(&restored, &message), Disposition::Hold(Code::Restored));
        assert_eq!(verdict(&Grounds { restored_before: Some(now), ..fresh }, &message), Disposition::Ready);
        let late = now.plus(Duration::from_millis(600_001));
        let expired = Disposition::Finish(State::Expired, Code::TtlExpired);
        assert_eq!(verdict(&Grounds { now: late, ..fresh }, &message), expired);
        // What may have been sent is not told to have expired, nor to have been rejected.
        let late = Grounds { now: late, profile: Some(&suspended), ..restored };
        assert_eq!(verdict(&late, &message), Disposition::Hold(Code::Restored));
        message.content.send_at = Some(now.plus(Duration::from_millis(1)));
        assert_eq!(verdict(&fresh, &message), Disposition::Schedule);
        assert_eq!(verdict(&restored, &message), Disposition::Hold(Code::Restored));
    }
}
