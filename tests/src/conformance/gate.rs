//! What a gate guarantees.

mod contents;
mod keys;
mod nonces;
mod quotas;
mod rates;
mod waiting;

use std::{sync::Arc, time::Duration};

pub use contents::{
    a_content_given_back_is_free_and_nobody_gives_back_another_s,
    a_content_is_claimed_by_exactly_one_of_many_at_once,
    a_content_is_free_again_after_its_span_and_not_before, a_content_is_of_its_account,
    the_same_message_may_claim_its_content_again,
};
pub use keys::{
    a_key_is_new_to_exactly_one_of_many_at_once, a_key_is_of_its_customer_and_environment,
    a_key_whose_call_was_lost_is_free_after_a_minute, an_abandoned_key_is_new_again,
    other_content_under_a_key_is_a_conflict, the_first_answer_is_given_again,
};
use naru_shared::{
    domain::{Account, Environment},
    gate::Gate,
};
pub use nonces::{
    a_nonce_is_known_for_its_whole_span, a_nonce_is_of_its_account,
    a_nonce_is_spent_by_exactly_one_of_many_at_once, many_nonces_do_not_push_one_out,
};
pub use quotas::{
    a_channel_is_held_by_its_own_quota_and_by_that_of_all, a_new_period_begins_at_nothing,
    a_refused_reservation_counts_against_no_quota, a_reservation_is_never_over_the_limit_under_concurrency,
    an_observation_replaces_what_was_used_and_lands_what_was_seen, quotas_of_several_periods_hold_at_once,
    the_sandbox_is_never_charged, units_given_back_are_free_again,
    units_that_were_lost_in_flight_are_free_after_a_minute,
};
pub use rates::{
    a_changed_policy_is_in_force_at_once, a_limit_that_is_lowered_and_raised_again_gives_nothing_back,
    a_policy_that_is_taken_away_and_comes_back_is_where_it_was, a_refusal_counts_against_no_policy,
    accounts_do_not_share_a_rate, in_any_window_no_more_than_rate_and_burst,
    many_at_once_get_no_more_than_the_burst, more_than_a_burst_at_once_is_told_a_long_wait,
    the_wait_that_is_told_is_enough_and_not_too_long,
};
pub use waiting::{
    a_delay_is_told_of_whom_it_was_observed, an_observation_of_what_waits_replaces_the_last,
    lanes_and_accounts_add_up_for_a_route,
};

/// A gate that knows nothing, and its time.
pub trait Fixture: Sized + Send + Sync {
    /// Makes one.
    fn fresh() -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// The port.
    fn gate(&self) -> Arc<dyn Gate>;

    /// Lets time pass for the gate.
    fn advance(&self, span: Duration) -> impl Future<Output = ()> + Send;
}

/// One test of each guarantee for a fixture.
#[macro_export]
macro_rules! gate_conformance {
    ($fixture:ty) => {
        $crate::guarantees!(
            $crate::conformance::gate,
            $fixture,
            [
                in_any_window_no_more_than_rate_and_burst,
                many_at_once_get_no_more_than_the_burst,
                a_refusal_counts_against_no_policy,
                the_wait_that_is_told_is_enough_and_not_too_long,
                more_than_a_burst_at_once_is_told_a_long_wait,
                a_changed_policy_is_in_force_at_once,
                a_limit_that_is_lowered_and_raised_again_gives_nothing_back,
                a_policy_that_is_taken_away_and_comes_back_is_where_it_was,
                accounts_do_not_share_a_rate,
                a_key_is_new_to_exactly_one_of_many_at_once,
                the_first_answer_is_given_again,
                other_content_under_a_key_is_a_conflict,
                an_abandoned_key_is_new_again,
                a_key_whose_call_was_lost_is_free_after_a_minute,
                a_key_is_of_its_customer_and_environment,
                a_content_is_claimed_by_exactly_one_of_many_at_once,
                a_content_is_free_again_after_its_span_and_not_before,
                the_same_message_may_claim_its_content_again,
                a_content_given_back_is_free_and_nobody_gives_back_another_s,
                a_content_is_of_its_account,
                a_nonce_is_spent_by_exactly_one_of_many_at_once,
                a_nonce_is_known_for_its_whole_span,
                many_nonces_do_not_push_one_out,
                a_nonce_is_of_its_account,
                a_reservation_is_never_over_the_limit_under_concurrency,
                a_refused_reservation_counts_against_no_quota,
                a_channel_is_held_by_its_own_quota_and_by_that_of_all,
                an_observation_replaces_what_was_used_and_lands_what_was_seen,
                units_given_back_are_free_again,
                units_that_were_lost_in_flight_are_free_after_a_minute,
                a_new_period_begins_at_nothing,
                quotas_of_several_periods_hold_at_once,
                the_sandbox_is_never_charged,
                lanes_and_accounts_add_up_for_a_route,
                an_observation_of_what_waits_replaces_the_last,
                a_delay_is_told_of_whom_it_was_observed,
            ]
        );
    };
}

fn account(customer: &str, environment: Environment) -> anyhow::Result<Account> {
    Ok(Account { customer: customer.parse()?, environment })
}

fn live(customer: &str) -> anyhow::Result<Account> {
    account(customer, Environment::Live)
}
