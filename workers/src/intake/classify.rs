//! What intake decides about a message before the ledger sees it. Pure.

use naru_shared::{
    domain::{Account, Code, Lane, Message, Route, State, Timestamp},
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
}

/// The decision; [`Disposition::Ready`] may still become [`Disposition::Start`] if a courier is free.
pub(super) fn classify(grounds: &Grounds<'_>, message: &Message) -> Disposition {
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
    if message.expires_at(grounds.lane) < grounds.now {
        return Disposition::Finish(State::Expired, Code::TtlExpired);
    }
    if message.content.send_at.is_some_and(|at| at > grounds.now) {
        return Disposition::Schedule;
    }
    Disposition::Ready
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use naru_shared::domain::{BackendConfig, Customer, Environment, OnUncertain, SimulatorBackend};

    use super::*;
    use crate::samples;

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
        };
        let mut message = samples::message(1, "+821012345678");
        message.accepted_at = now;
        assert_eq!(classify(&fresh, &message), Disposition::Ready);
        let no_route = Disposition::Finish(State::Rejected, Code::NoRoute);
        assert_eq!(classify(&Grounds { profile: None, ..fresh }, &message), no_route);
        assert_eq!(classify(&Grounds { route: None, ..fresh }, &message), no_route);
        assert_eq!(classify(&Grounds { route: Some(&sandbox), ..fresh }, &message), no_route);
        assert_eq!(
            classify(&Grounds { profile: Some(&suspended), ..fresh }, &message),
            Disposition::Finish(State::Rejected, Code::Suspended)
        );
        let mut strict = here.clone();
        strict.customer.senders.registered_only = true;
        let unregistered = Disposition::Finish(State::Rejected, Code::SenderUnregistered);
        assert_eq!(classify(&Grounds { profile: Some(&strict), ..fresh }, &message), unregistered);
        let sender = message.content.sender.clone().unwrap_or_else(|| "0215441234".to_owned());
        strict.customer.senders.registered.insert(sender.parse().unwrap());
        message.content.sender = Some(sender);
        assert_eq!(classify(&Grounds { profile: Some(&strict), ..fresh }, &message), Disposition::Ready);
        let restored = Grounds { restored_before: Some(now.plus(Duration::from_millis(1))), ..fresh };
        assert_eq!(classify(&restored, &message), Disposition::Hold(Code::Restored));
        assert_eq!(classify(&Grounds { restored_before: Some(now), ..fresh }, &message), Disposition::Ready);
        let late = now.plus(Duration::from_millis(600_001));
        let expired = Disposition::Finish(State::Expired, Code::TtlExpired);
        assert_eq!(classify(&Grounds { now: late, ..fresh }, &message), expired);
        // What may have been sent is not told to have expired, nor to have been rejected.
        let late = Grounds { now: late, profile: Some(&suspended), ..restored };
        assert_eq!(classify(&late, &message), Disposition::Hold(Code::Restored));
        message.content.send_at = Some(now.plus(Duration::from_millis(1)));
        assert_eq!(classify(&fresh, &message), Disposition::Schedule);
        assert_eq!(classify(&restored, &message), Disposition::Hold(Code::Restored));
    }
}
