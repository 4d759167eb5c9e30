//! Every task, killed at every point, failing at every step, and with every undo failing: what is left is
//! the world before or the world after, and the hub knows which.

use kolga_tests::faults::Breaker;
use kolga_tests::hub::{Hub, Settings};
use kolga_tests::scenario::{SERVER, Scenario};
use kolga_tests::stack::Stack;
use kolga_tests::world::clear;

async fn system() -> (Stack, Hub) {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    (stack, hub)
}

async fn killed_everywhere(scenario: Scenario) {
    let (stack, hub) = system().await;
    let mut breaker = Breaker::new(&stack, &hub, scenario).await;
    breaker.kill_everywhere().await;
    breaker.report();
}

async fn failing_everywhere(scenario: Scenario) {
    let (stack, hub) = system().await;
    let mut breaker = Breaker::new(&stack, &hub, scenario).await;
    breaker.fail_everywhere().await;
    breaker.report();
}

async fn failing_undos(scenario: Scenario) {
    let (stack, hub) = system().await;
    let mut breaker = Breaker::new(&stack, &hub, scenario).await;
    breaker.fail_every_undo().await;
    breaker.report();
}

/// A test for each scenario, named by it; the list is checked against the code's own below.
macro_rules! scenarios {
    ($($name:ident = $scenario:ident;)+) => {
        $(mod $name {
            use super::*;

            #[tokio::test]
            #[ignore = "needs the stack: run deploy/test"]
            async fn killed_at_any_point_it_leaves_nothing_or_is_whole() {
                killed_everywhere(Scenario::$scenario).await;
            }

            #[tokio::test]
            #[ignore = "needs the stack: run deploy/test"]
            async fn failing_at_any_step_it_leaves_nothing_even_when_each_undo_runs_twice() {
                failing_everywhere(Scenario::$scenario).await;
            }

            #[tokio::test]
            #[ignore = "needs the stack: run deploy/test"]
            async fn when_an_undo_fails_it_is_stuck_until_it_is_told_to_try_again() {
                failing_undos(Scenario::$scenario).await;
            }
        })+

        #[test]
        fn every_scenario_is_broken() {
            assert_eq!(Scenario::ALL, &[$(Scenario::$scenario,)+]);
        }
    };
}

scenarios! {
    platform_build = BuildPlatform;
    site_install_static = InstallStatic;
    site_install_wordpress = InstallWordpress;
    site_delete_static = DeleteStatic;
    site_delete_wordpress = DeleteWordpress;
}
