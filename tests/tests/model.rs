//! The model: random sequences of actions and faults over a hub, a broker and two workers, of which all but the
//! broker are the real parts. Needs no services.
//!
//! `PROPTEST_CASES` says how many sequences are played, `KOLGA_MODEL_ACTIONS` how long they are at most,
//! `KOLGA_MODEL_SEED` plays those of an earlier run again.

use kolga_tests::model::action::action;
use kolga_tests::model::play;
use kolga_tests::model::tally::Tally;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// What a run of the continuous integration has time for.
const CASES: u32 = 100;
const ACTIONS: u32 = 250;
/// So many times that, where something has never happened yet.
const BLOCKS: u8 = 8;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number")),
        Err(_) => otherwise,
    }
}

#[test]
fn whatever_fails_in_whatever_order_hub_and_workers_come_to_agree() {
    let random = uuid::Uuid::new_v4().as_u64_pair().0 % 1_000_000;
    let seed = number("KOLGA_MODEL_SEED", random);
    let cases = number("PROPTEST_CASES", u64::from(CASES));
    let actions = number("KOLGA_MODEL_ACTIONS", u64::from(ACTIONS));
    println!("KOLGA_MODEL_SEED={seed} PROPTEST_CASES={cases} KOLGA_MODEL_ACTIONS={actions}");
    let config = Config {
        cases: u32::try_from(cases).expect("not so many"),
        max_shrink_iters: 3_000,
        max_shrink_time: 120_000,
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tally = Tally::default();
    let failed = std::cell::Cell::new(false);
    let length = usize::try_from(actions).expect("not so many");
    let sequences = prop::collection::vec(action(), length / 4..=length);
    let mut outcome = Ok(());
    // What is rare is waited for a while: a run that is short would fail by chance now and then.
    for block in 0..BLOCKS {
        let mut bytes = [block; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        outcome = runner.run(&sequences, |actions| {
            runtime.block_on(play(&actions, &tally)).map_err(|error| {
                // Finding the shortest way to it takes a while.
                if !failed.replace(true) {
                    println!("failed: {error:#}");
                }
                TestCaseError::fail(format!("{error:#}"))
            })
        });
        if outcome.is_err() || tally.never().is_empty() {
            break;
        }
    }
    println!("how often each took effect:\n{tally}");
    match outcome {
        Ok(()) => assert!(
            tally.never().is_empty(),
            "never happened, so nothing is proven of it: {:?}",
            tally.never()
        ),
        Err(TestError::Fail(why, actions)) => {
            panic!("KOLGA_MODEL_SEED={seed}: {why}\nthe shortest way to it: {actions:#?}")
        }
        Err(TestError::Abort(why)) => panic!("KOLGA_MODEL_SEED={seed}: {why}"),
    }
}
