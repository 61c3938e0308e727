//! What every ledger and outbox promises, one function for each sentence.
//!
//! An engine runs them all by [`ledger_conformance!`](crate::ledger_conformance); a test of this crate holds the list
//! in that macro against the functions of these files, so that none is forgotten.

mod bed;
pub mod dead;
pub mod earlier;
pub mod forget;
pub mod intake;
pub mod money;
pub mod notices;
pub mod opt_outs;
pub mod outbox;
pub mod recovery;
pub mod reports;
pub mod seeing;
pub mod settle;
pub mod sharing;
pub mod stops;
pub mod stream;
pub mod take;

pub use bed::{Bed, Engine, LEASE, Step, delivered, failed, live, quota, retry};

/// One test for each guarantee. `$open` is a path to an `async fn(Arc<ManualClock>) -> anyhow::Result<Engine>`.
#[macro_export]
macro_rules! ledger_conformance {
    ($open:path) => {
        $crate::ledger_conformance! { @each $open;
            intake: a_second_intake_of_the_same_id_changes_nothing_and_says_so,
            intake: an_id_that_comes_twice_in_one_batch_is_recorded_once,
            intake: another_content_under_the_same_id_is_a_conflict_and_changes_nothing,
            intake: an_intake_whose_commit_answer_was_lost_knows_its_own_rows,
            intake: a_row_that_cannot_be_digested_is_singled_out,
            intake: what_ends_at_intake_has_a_report,
            intake: what_starts_at_intake_is_the_first_attempt_of_its_starter,
            take: customers_take_turns_among_what_is_ready,
            take: a_customer_s_weight_is_its_share,
            take: express_goes_first_and_bulk_is_not_starved,
            take: a_customer_who_is_passed_over_waits_and_holds_up_nobody,
            take: what_waits_of_a_customer_who_is_passed_over_expires,
            take: what_is_taken_is_not_taken_again,
            take: what_is_given_back_is_ready_again_and_its_attempt_is_not_counted,
            take: a_take_wakes_when_something_becomes_ready,
            take: what_waits_is_counted,
            take: what_comes_out_is_what_went_in,
            sharing: nobody_is_given_more_than_its_share_while_others_wait,
            sharing: what_others_leave_goes_to_who_has_its_share,
            sharing: what_would_begin_in_quiet_hours_is_scheduled_until_they_end,
            sharing: what_comes_in_quiet_hours_waits_until_they_end,
            sharing: what_was_certainly_not_taken_goes_on_to_another_route_and_nothing_else,
            sharing: customers_go_on_in_turn_and_only_what_is_old_enough,
            sharing: what_is_ready_is_counted_by_account,
            settle: an_outcome_of_an_older_attempt_is_kept_as_evidence,
            settle: a_late_word_never_overrides_delivered,
            settle: a_late_delivered_settles_a_waiting_message_without_another_attempt,
            settle: a_late_delivered_does_not_interrupt_a_newer_attempt,
            settle: a_late_delivered_corrects_a_failed_one_by_a_new_revision,
            settle: a_settlement_repeated_changes_nothing,
            settle: what_is_not_there_is_unknown,
            settle: held_messages_are_decided_once,
            settle: a_held_message_sent_again_is_a_possible_duplicate,
            settle: a_held_message_sent_again_still_waits_for_its_time,
            settle: attempts_that_were_not_the_first_and_last_are_remembered,
            recovery: a_row_of_a_dead_incarnation_is_found_and_a_row_of_a_living_one_is_not,
            recovery: an_incarnation_that_never_beat_is_found_by_its_rows,
            recovery: an_incarnation_with_rows_is_not_buried,
            recovery: what_is_due_wakes_what_is_over_expires_and_what_is_under_way_does_neither,
            recovery: a_wait_for_what_is_due_ends_when_it_is,
            recovery: doubt_once_raised_ends_as_uncertain_and_not_expired,
            recovery: what_is_found_expired_by_a_take_is_ended,
            recovery: a_sent_row_is_handed_out_for_its_report_once_per_lease,
            money: used_quota_equals_the_units_reserved_or_captured,
            money: a_charge_never_exceeds_any_matching_limit,
            money: charges_of_concurrent_intakes_are_exact,
            money: a_duplicate_is_not_charged,
            money: a_release_after_the_period_closed_does_not_enlarge_the_current_quota,
            money: a_correction_is_charged_again,
            money: sandbox_is_never_charged,
            reports: an_unread_report_comes_back_until_acknowledged,
            reports: a_leased_report_is_not_handed_out_twice_within_its_lease,
            reports: a_report_of_a_newer_revision_stays_unread,
            reports: a_report_that_was_missed_is_a_revision_whatever_it_says,
            reports: a_poll_wakes_when_a_report_comes,
            reports: another_account_s_message_does_not_exist,
            reports: only_what_was_certainly_not_taken_can_be_cancelled,
            reports: a_cancelled_message_is_not_taken_and_not_paid_for,
            reports: a_tombstone_cancels_what_comes_after_it,
            reports: a_search_finds_what_matches_and_nothing_else,
            reports: a_search_that_ends_early_says_so_and_goes_on_from_there,
            notices: a_provider_s_report_finds_its_message_by_either_id_and_on_its_own_route_alone,
            notices: of_several_messages_with_the_same_id_of_the_provider_s_the_newest_is_meant,
            notices: a_report_that_is_told_twice_makes_one_revision_and_a_correction_another,
            notices: a_message_without_a_report_is_paid_for_only_if_its_route_says_so,
            notices: an_early_report_is_kept_once_handed_out_again_later_and_again_until_it_is_let_go,
            notices: of_a_route_no_more_early_reports_are_kept_than_may_be,
            notices: a_wait_for_what_is_due_ends_when_an_early_report_is,
            forget: what_ended_and_was_read_is_removed_after_the_horizon_and_not_before,
            forget: an_unread_report_can_be_read_for_the_horizon_after_its_end,
            forget: what_has_not_ended_is_never_let_go,
            forget: what_is_removed_stays_in_the_sums_of_its_period,
            forget: a_text_goes_and_a_recipient_is_masked_after_their_time,
            forget: letting_go_comes_by_everything_in_small_steps,
            forget: a_tombstone_is_removed_after_the_horizon,
            stops: what_waits_and_matches_is_stopped_and_counted,
            stops: what_arrives_later_and_matches_is_stopped_as_it_comes,
            stops: nothing_begins_that_a_rule_has_not_come_to_yet,
            stops: what_comes_back_is_stopped,
            stops: a_rule_stops_what_matches_all_its_words_and_nothing_else,
            stops: what_is_undone_waits_as_before_with_its_time_given_back,
            stops: what_is_committed_is_cancelled_once_and_not_paid_for,
            stops: of_two_rules_the_second_keeps_what_the_first_lets_go,
            stops: what_ends_while_it_is_stopped_stays_as_it_ended,
            stream: nothing_that_matches_begins_once_a_stop_has_returned,
            dead: the_dead_are_listed_by_every_word_and_nobody_else,
            dead: what_is_sent_again_is_charged_again_and_its_revisions_go_on,
            dead: what_was_ever_in_doubt_is_sent_again_only_if_that_is_wanted,
            dead: what_no_limit_holds_stays_dead,
            dead: what_is_for_who_opted_out_stays_dead,
            dead: a_recipient_is_erased_from_what_has_ended,
            earlier: a_word_about_what_was_sent_before_ends_nothing_that_was_sent_again,
            earlier: a_late_truth_about_what_was_sent_before_settles_what_was_sent_again,
            earlier: a_late_truth_finds_its_message_after_another_route_took_it,
            earlier: a_word_about_an_earlier_time_is_no_report_that_was_missed,
            earlier: under_a_key_that_stayed_its_word_is_about_the_present,
            earlier: what_was_let_go_is_found_by_no_earlier_name,
            seeing: every_moment_of_a_message_s_life_is_kept,
            seeing: when_a_message_was_taken_whose_report_comes_later_is_kept,
            seeing: when_a_report_was_acknowledged_is_kept,
            seeing: a_tombstone_is_told_of_and_a_message_is_none,
            seeing: a_count_after_the_fact_agrees_to_the_row,
            seeing: what_was_forgotten_is_known_to_be_missing,
            opt_outs: what_comes_for_who_opted_out_is_rejected_with_a_report_and_not_charged,
            opt_outs: a_list_is_of_its_customer_and_channel_or_of_all,
            opt_outs: what_waits_for_who_opted_out_ends_and_what_is_under_way_does_not_begin_again,
            opt_outs: doubt_about_who_opted_out_ends_as_uncertain,
            opt_outs: a_person_s_retry_does_not_reach_who_opted_out,
            opt_outs: what_is_given_back_does_not_reach_who_opted_out,
            opt_outs: an_intake_under_way_knows_of_whoever_opted_out_before_it_ended,
            opt_outs: whoever_opts_in_again_is_reached,
            opt_outs: lists_are_read_in_order_and_from_where_one_ended,
            opt_outs: the_class_of_prices_stays_with_a_message,
            outbox: an_outbox_row_exists_exactly_when_its_state_does,
            outbox: operators_are_told_of_what_waits_for_a_person,
            outbox: what_is_claimed_is_not_claimed_again_within_its_lease,
            outbox: what_is_not_deleted_is_claimed_again,
            outbox: delete_is_idempotent,
            outbox: a_relay_wakes_when_an_event_is_written,
            outbox: an_event_that_is_put_twice_waits_once,
            outbox: a_relay_wakes_when_an_event_is_put,
        }
    };
    (@each $open:path; $($part:ident: $name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::conformance::ledger::Bed::run(
                    |clock| Box::pin($open(clock)),
                    |bed| Box::pin($crate::conformance::ledger::$part::$name(bed)),
                )
                .await
                .unwrap();
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_guarantee_is_in_the_list() {
        let parts = [
            ("dead", include_str!("dead.rs")),
            ("forget", include_str!("forget.rs")),
            ("intake", include_str!("intake.rs")),
            ("money", include_str!("money.rs")),
            ("notices", include_str!("notices.rs")),
            ("opt_outs", include_str!("opt_outs.rs")),
            ("outbox", include_str!("outbox.rs")),
            ("recovery", include_str!("recovery.rs")),
            ("reports", include_str!("reports.rs")),
            ("seeing", include_str!("seeing.rs")),
            ("settle", include_str!("settle.rs")),
            ("sharing", include_str!("sharing.rs")),
            ("stops", include_str!("stops.rs")),
            ("stream", include_str!("stream.rs")),
            ("take", include_str!("take.rs")),
        ];
        let list = include_str!("mod.rs");
        for (part, source) in parts {
            let names: Vec<&str> =
                source.split("pub async fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
            assert!(!names.is_empty(), "{part}");
            for name in names {
                assert!(list.contains(&format!("{part}: {name},")), "{part}: {name} is not in the list");
            }
        }
    }
}
