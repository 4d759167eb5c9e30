//! The store's promises, proven over SQLite and over PostgreSQL by the same scenarios.

mod adopting;
mod choosing;
mod cloning;
mod database;
mod drive;
mod ending;
mod fill;
mod listing;
mod moving;
mod naming;
mod operations;
mod plans;
mod platforms;
mod pruning;
mod recorder;
mod relocating;
mod reporting;
mod sending;
mod sites;
mod sources;

/// One test a scenario and database. Scenarios are sentences.
macro_rules! scenarios {
    ($($module:ident: $($scenario:ident,)+;)+) => {
        mod sqlite {
            $($(
                #[tokio::test]
                async fn $scenario() {
                    let database = crate::database::Database::sqlite().await;
                    crate::$module::$scenario(&database.store).await;
                    database.end().await;
                }
            )+)+
        }

        mod postgres {
            $($(
                #[tokio::test]
                #[ignore = "needs the stack: run deploy/test"]
                async fn $scenario() {
                    let database = crate::database::Database::postgres().await;
                    crate::$module::$scenario(&database.store).await;
                    database.end().await;
                }
            )+)+
        }
    };
}

scenarios! {
    sending:
        a_task_and_its_message_are_made_together,
        what_is_refused_leaves_nothing,
        many_tasks_are_taken_in_the_order_in_which_they_were_made,
        what_the_relay_holds_is_not_given_twice,
        what_may_have_been_sent_is_sent_again,
        what_has_no_queue_waits_with_a_reason_and_goes_when_there_is_one,
        a_confirm_that_comes_after_the_end_changes_nothing,;
    reporting:
        reports_move_a_task_to_its_end,
        a_report_told_twice_counts_once,
        reports_of_an_older_attempt_are_ignored,
        reports_of_another_servers_task_are_refused,
        a_gap_between_reports_is_shown_in_the_log,
        what_is_longer_than_a_report_may_be_is_cut,
        what_no_database_likes_in_a_log_line_is_kept,
        whoever_watches_a_task_is_woken_by_its_reports,;
    ending:
        an_interrupted_task_gets_a_new_attempt_until_there_were_enough,
        a_cancelled_task_gets_no_new_attempt,
        a_task_that_nobody_has_is_cancelled_at_once,
        a_task_that_the_relay_holds_is_cancelled_by_a_message,
        a_failed_task_waits_for_a_retry,
        a_site_is_ready_when_installed_and_gone_when_deleted,
        a_failed_installation_frees_the_names,
        a_name_belongs_to_one_site_only,
        an_attempt_that_a_new_journal_does_not_know_is_interrupted,
        an_attempt_that_another_journal_tells_of_is_interrupted,
        an_end_is_taken_though_the_news_before_it_was_lost,
        a_message_that_was_lost_is_sent_again,
        a_new_journal_puts_everything_of_its_server_in_doubt,;
    platforms:
        a_platform_stays_while_a_site_uses_it_and_is_gone_when_deleted,
        a_locked_platform_takes_no_new_sites_and_keeps_those_it_has,;
    sites:
        what_a_site_was_found_to_be_is_kept_with_where_the_records_differ,
        a_locked_site_is_changed_by_no_task_and_verified_all_the_same,;
    naming:
        names_follow_what_the_server_says_and_those_given_up_are_free,
        a_change_that_comes_to_nothing_gives_back_what_it_took,
        a_name_is_taken_once_however_it_is_asked_for,
        names_are_changed_by_one_task_at_a_time_and_sensibly,;
    moving:
        a_site_that_moves_has_both_names_until_it_has_ended,
        a_move_that_comes_to_nothing_gives_the_new_name_up_and_nothing_else,
        what_no_site_can_move_to_is_refused,;
    adopting:
        a_site_that_is_imported_is_what_its_server_says,
        an_import_that_comes_to_nothing_or_only_looks_leaves_nothing,
        a_name_that_another_site_has_is_not_taken_from_it_and_told,
        a_site_that_is_handed_over_is_free_to_be_imported_again,;
    cloning:
        a_copy_has_a_row_of_its_own_and_the_site_stays_as_it_is,
        a_locked_site_is_copied_and_what_cannot_be_is_refused,;
    listing:
        pages_of_tasks_meet_without_gap_or_overlap,
        tasks_are_found_by_server_state_and_object,
        a_task_is_found_by_either_end_of_its_id,
        a_log_is_read_by_pages,
        a_page_of_a_log_is_bounded_in_bytes_too,
        tasks_are_found_in_every_state,
        pages_of_sites_meet_without_gap_or_overlap,
        pages_of_platforms_and_servers_meet_without_gap_or_overlap,;
    operations:
        the_set_of_an_operation_is_fixed_when_it_is_made,
        no_more_are_open_than_the_limits_say_and_the_emptiest_server_is_next,
        an_operation_stops_after_so_many_failures_and_goes_on_when_resumed,
        a_cancelled_operation_makes_no_more_and_cancels_what_is_open,
        a_task_that_is_tried_again_by_itself_opens_its_operation_again,;
    choosing:
        a_target_that_none_of_the_chosen_can_have_is_refused_at_once,
        an_operation_over_platforms_makes_a_task_for_each_that_is_there_still,
        platforms_that_are_chosen_are_locked_and_unlocked_and_no_others,
        an_operation_is_whole_or_not_there,;
    relocating:
        a_site_is_the_other_servers_when_it_has_answered_there,
        whatever_ends_a_move_early_the_site_is_where_it_was,
        a_move_that_is_cancelled_goes_back_unless_the_site_has_arrived,
        a_server_that_is_given_up_loses_a_site_that_it_has_made_after_all,
        nobody_is_put_in_doubt_about_where_a_site_is,
        what_the_hub_knows_to_be_in_the_way_of_a_move_is_told_at_once,
        a_move_is_paused_before_anything_is_touched_and_both_servers_look_anew,
        no_more_sites_are_held_for_one_server_than_are_made_there_at_once,;
    pruning:
        an_operation_is_forgotten_when_all_its_tasks_are_gone,
        old_tasks_go_whole_and_what_is_not_over_stays,
        a_log_goes_before_its_task_and_the_task_says_so,
        of_more_than_may_be_kept_the_oldest_go,
        what_ended_a_moment_ago_stays_whatever_the_numbers_say,
        what_is_to_be_kept_for_ever_is,
        a_late_report_of_a_pruned_task_changes_nothing_and_is_no_mistake,
        what_is_tried_again_while_the_janitor_looks_stays,
        records_of_who_did_what_go_by_age_and_number,
        a_stopped_janitor_stops_between_two_pieces,;
}

/// Scenarios that need the whole database, to open it again.
mod reopened {
    use crate::database::Database;
    use crate::operations::whatever_happens_every_item_has_one_task_that_succeeds as whatever_happens;
    use crate::pruning::a_hub_that_dies_between_two_pieces_goes_on_with_the_rest as between_pieces;

    #[tokio::test]
    async fn sqlite_whatever_happens_every_item_has_one_task_that_succeeds() {
        whatever_happens(Database::sqlite().await).await;
    }

    #[tokio::test]
    #[ignore = "needs the stack: run deploy/test"]
    async fn postgres_whatever_happens_every_item_has_one_task_that_succeeds() {
        whatever_happens(Database::postgres().await).await;
    }

    #[tokio::test]
    async fn sqlite_a_hub_that_dies_between_two_pieces_goes_on_with_the_rest() {
        between_pieces(Database::sqlite().await).await;
    }

    #[tokio::test]
    #[ignore = "needs the stack: run deploy/test"]
    async fn postgres_a_hub_that_dies_between_two_pieces_goes_on_with_the_rest() {
        between_pieces(Database::postgres().await).await;
    }
}
