//! One suite for two engines: what the `Engine` trait promises, checked on the real engine and on the fake.
//!
//! The real one is the machine's own, at /var/run/docker.sock; everything made there bears the fixture's own
//! prefix and goes with it, also after a failed check.

#[cfg(test)]
mod checks;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod images;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod real;
#[cfg(test)]
mod real_only;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod roots;

/// Each check as a test of its own, on both engines.
macro_rules! on_both_engines {
    ($($module:ident::$check:ident),* $(,)?) => {
        #[cfg(test)]
        mod on_the_fake_engine {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                crate::$module::$check(&crate::fake::Fake::new()).await;
            })*
        }

        #[cfg(test)]
        mod on_the_real_engine {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                crate::$module::$check(&crate::real::Real::new().await).await;
            })*
        }
    };
}

on_both_engines!(
    checks::a_container_lives_from_create_to_remove,
    checks::a_held_container_ends_unnoticed,
    checks::what_is_missing_is_none_or_refused,
    checks::names_are_taken_once,
    checks::image_settings_are_merged_into_new_containers,
    checks::restart_policies_are_recorded,
    checks::a_taken_host_port_fails_the_start,
    checks::networks_are_joined_and_left,
    checks::events_tell_what_happened,
    checks::logs_are_the_last_lines,
    checks::what_a_container_says_and_how_it_ends_is_witnessed,
    checks::the_engine_describes_itself,
    images::tags_come_and_go,
    images::pulls_bring_an_image_or_say_why_not,
    roots::the_root_of_a_new_container_can_be_written_before_its_start,
    roots::opening_a_root_changes_nothing,
    roots::a_handle_outlives_the_run_and_deletes_for_good,
    roots::a_read_only_root_that_does_not_run_is_refused,
    roots::volumes_are_kept_filled_and_opened,
    roots::host_directories_are_opened,
);
