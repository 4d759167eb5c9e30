//! Commands against real programs, the unruly ones too. `/bin/sh` here is a program under test.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kolga_protocol::message::{LOG_LINE_BYTES, Level};

use super::*;
use crate::cx::StopCause;
use crate::testing::Kept;

fn context() -> (Cx, Arc<Kept>) {
    crate::testing::context(crate::testing::config(Path::new("/nonexistent")))
}

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(script)
}

fn nothing_runs(cx: &Cx) -> bool {
    tree::find(cx.run, None).is_empty()
}

/// Fires the stop as soon as the child has said `ready`.
fn stop_when_ready(cx: &Cx, kept: &Arc<Kept>) -> tokio::task::JoinHandle<()> {
    let (stop, kept) = (cx.stop.clone(), Arc::clone(kept));
    tokio::spawn(async move {
        while !kept.lines().iter().any(|(_, text)| text == "ready") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.fire(StopCause::Cancelled);
    })
}

#[tokio::test]
async fn output_reaches_the_log_line_by_line_and_by_stream() {
    let (cx, kept) = context();
    sh("echo one; echo two >&2; printf three")
        .run(&cx)
        .await
        .expect("succeeds");
    let mut lines = kept.lines();
    lines.sort_by_key(|(_, text)| text.clone());
    assert_eq!(
        lines,
        [
            (Level::Output, "one".to_owned()),
            (Level::Output, "three".to_owned()),
            (Level::Error, "two".to_owned()),
        ]
    );
}

#[tokio::test]
async fn a_line_that_is_too_long_is_cut_and_marked() {
    let (cx, kept) = context();
    sh("head -c 100000 /dev/zero | tr '\\0' x; echo; echo after")
        .run(&cx)
        .await
        .expect("succeeds");
    let lines = kept.lines();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].1.len() <= LOG_LINE_BYTES && lines[0].1.ends_with("[cut]"));
    assert_eq!(lines[1].1, "after");
}

#[tokio::test]
async fn bytes_that_are_not_utf8_become_lines_all_the_same() {
    let (cx, kept) = context();
    sh("printf 'a\\377b\\n'").run(&cx).await.expect("succeeds");
    assert_eq!(kept.lines()[0].1, "a\u{fffd}b");
}

#[tokio::test]
async fn a_failure_names_the_program_its_status_and_its_last_words() {
    let (cx, _) = context();
    let error = sh("echo first >&2; echo 'disk is full' >&2; exit 3")
        .run(&cx)
        .await
        .expect_err("fails");
    let text = format!("{error:#}");
    assert!(
        text.contains("/bin/sh") && text.contains('3') && text.contains("disk is full"),
        "{text}"
    );
}

#[tokio::test]
async fn the_environment_holds_nothing_but_what_it_should() {
    let (cx, _) = context();
    let captured = Command::new("/usr/bin/env")
        .env("EXTRA", "1")
        .capture(&cx)
        .await
        .expect("runs");
    let text =
        String::from_utf8(captured.success("/usr/bin/env").expect("succeeds")).expect("text");
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["EXTRA", "HOME", "KOLGA_TASK", "LANG", "PATH"]);
}

#[tokio::test]
async fn a_program_that_is_not_named_by_an_absolute_path_is_refused() {
    let (cx, _) = context();
    assert!(Command::new("env").run(&cx).await.is_err());
}

#[tokio::test]
async fn a_secret_given_on_standard_input_stands_in_no_argv() {
    let (cx, kept) = context();
    sh("read secret; tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/$$/environ; echo; test ${#secret} = 14")
        .stdin(b"hunter2hunter2\n".to_vec())
        .run(&cx)
        .await
        .expect("the child got it");
    assert!(
        kept.lines()
            .iter()
            .all(|(_, text)| !text.contains("hunter2"))
    );
}

#[tokio::test]
async fn a_program_that_reads_nothing_does_not_block_on_a_large_input() {
    let (cx, _) = context();
    Command::new("/bin/true")
        .stdin(vec![b'x'; 1 << 20])
        .run(&cx)
        .await
        .expect("succeeds");
}

#[tokio::test]
async fn captured_output_is_bounded_and_the_rest_does_not_block() {
    let (cx, _) = context();
    let captured = sh("head -c 3000000 /dev/zero")
        .capture(&cx)
        .await
        .expect("runs");
    assert!(captured.status.success());
    assert_eq!(captured.stdout.len(), CAPTURE_BYTES);
}

#[tokio::test]
async fn a_time_limit_ends_the_program() {
    let (cx, _) = context();
    let began = Instant::now();
    let error = sh("sleep 100")
        .time_limit(Duration::from_millis(100))
        .run(&cx)
        .await
        .expect_err("ends");
    assert!(error.to_string().contains("took longer"), "{error:#}");
    assert!(!was_stopped(&error) && began.elapsed() < GRACE && nothing_runs(&cx));
}

#[tokio::test]
async fn a_stop_ends_a_program_that_obeys_term_at_once() {
    let (cx, kept) = context();
    let began = Instant::now();
    let stopper = stop_when_ready(&cx, &kept);
    let error = sh("echo ready; exec sleep 100")
        .run(&cx)
        .await
        .expect_err("stopped");
    stopper.await.expect("stopped it");
    assert!(was_stopped(&error), "{error:#}");
    assert!(began.elapsed() < GRACE && nothing_runs(&cx));
}

#[tokio::test]
async fn a_grandchild_that_ignores_term_and_holds_stdout_is_killed_after_the_grace() {
    let (cx, kept) = context();
    let began = Instant::now();
    let stopper = stop_when_ready(&cx, &kept);
    let error = sh("(trap '' TERM; while :; do sleep 1; done) & echo ready; wait")
        .run(&cx)
        .await
        .expect_err("stopped");
    stopper.await.expect("stopped it");
    assert!(was_stopped(&error), "{error:#}");
    assert!(began.elapsed() < GRACE + Duration::from_secs(3));
    assert!(nothing_runs(&cx));
}

#[tokio::test]
async fn a_grandchild_in_a_session_of_its_own_is_found_by_the_mark() {
    let (cx, kept) = context();
    let stopper = stop_when_ready(&cx, &kept);
    sh("setsid setsid sh -c 'echo ready; sleep 100' & wait; sleep 100")
        .run(&cx)
        .await
        .expect_err("stopped");
    stopper.await.expect("stopped it");
    assert!(nothing_runs(&cx));
}

#[tokio::test]
async fn a_background_child_that_holds_stdout_does_not_hang_a_program_that_has_ended() {
    let (cx, kept) = context();
    let began = Instant::now();
    sh("sleep 100 & setsid sleep 100 & echo done")
        .run(&cx)
        .await
        .expect("succeeds");
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(kept.lines()[0].1, "done");
    assert!(nothing_runs(&cx));
}

#[tokio::test]
async fn a_child_that_cleared_its_environment_goes_with_its_group() {
    let (cx, _) = context();
    let marker = "86413";
    sh(&format!("env -i sleep {marker} & echo done"))
        .run(&cx)
        .await
        .expect("succeeds");
    let still = tree::pids().into_iter().any(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line == format!("sleep\0{marker}\0").into_bytes())
    });
    assert!(!still);
}

#[tokio::test]
async fn leftovers_of_a_worker_that_died_are_killed_by_their_mark_alone() {
    let (cx, _) = context();
    let (other, _) = context();
    let start = |run: kolga_protocol::id::Run| {
        std::process::Command::new("/bin/sh")
            .args(["-c", "trap '' TERM; while :; do sleep 1; done"])
            .env(MARK, run.to_string())
            .spawn()
            .expect("starts")
    };
    let mut ours = start(cx.run);
    let mut strangers = start(other.run);
    kill_leftovers(cx.run).await;
    assert!(nothing_runs(&cx));
    assert!(ours.wait().expect("ended").code().is_none());
    assert!(
        strangers.try_wait().expect("asked").is_none(),
        "a stranger was killed"
    );
    strangers.kill().expect("killed");
    strangers.wait().expect("ended");
}

#[tokio::test]
async fn nothing_is_started_once_the_task_should_stop() {
    let (cx, _) = context();
    cx.stop.fire(StopCause::Shutdown);
    let error = Command::new("/bin/true")
        .run(&cx)
        .await
        .expect_err("refused");
    assert!(was_stopped(&error));
}
