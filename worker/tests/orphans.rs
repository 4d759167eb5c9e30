//! A process that adopts orphans, as the worker does: in a test program of its own, since adopting is for
//! the whole process.

mod spoke;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kolga_worker::check;
use kolga_worker::cx::{Cx, StopCause};
use kolga_worker::process::{self, Command};
use kolga_worker::spoke::Spoke;

async fn context() -> Cx {
    check::context(Arc::new(
        Spoke::open(spoke::config(), None).await.expect("a spoke"),
    ))
}

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(script)
}

/// Children of this process, dead or alive, as the kernel tells them of each of its threads.
fn children() -> Vec<String> {
    let threads = std::fs::read_dir("/proc/self/task").expect("there are threads");
    threads
        .filter_map(|thread| {
            let path = thread.ok()?.path().join("children");
            std::fs::read_to_string(path).ok()
        })
        .flat_map(|text| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|pid| Path::new("/proc").join(pid).exists())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_orphans_nor_zombies_stay_behind_whatever_children_do() {
    process::become_subreaper().expect("may adopt");

    let cx = context().await;
    sh("setsid sh -c 'sleep 100 & sleep 100 & exit' & exit 0")
        .run(&cx)
        .await
        .expect("succeeds");
    assert_eq!(children(), Vec::<String>::new(), "after an end");

    let cx = context().await;
    sh("env -i setsid sh -c 'sleep 100 & exit' & exit 0")
        .run(&cx)
        .await
        .expect("succeeds");
    assert_eq!(children(), Vec::<String>::new(), "after a disguise");

    let cx = context().await;
    let stop = cx.stop.clone();
    let began = Instant::now();
    let storm = sh(
        "f() { setsid sh -c 'trap \"\" TERM; sleep 100' & }; for i in 1 2 3 4 5 6 7 8 9 10; do f; done; wait; sleep 100",
    )
    .run(&cx);
    let stopper = async {
        while children().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.fire(StopCause::Shutdown);
    };
    let (ended, ()) = tokio::join!(storm, stopper);
    assert!(process::was_stopped(&ended.expect_err("stopped")));
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(children(), Vec::<String>::new(), "after a storm");

    let cx = context().await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let cx = context().await;
        runs.spawn(async move { sh("exit 7").capture(&cx).await });
    }
    while let Some(run) = runs.join_next().await {
        let captured = run.expect("ran").expect("ended");
        assert_eq!(captured.status.code(), Some(7), "a status went astray");
    }
    let dropped = tokio::time::timeout(Duration::from_millis(100), sh("sleep 100").run(&cx)).await;
    assert!(dropped.is_err());
    let gone = Instant::now() + Duration::from_secs(5);
    while !children().is_empty() && Instant::now() < gone {
        // Tokio buries what was dropped when the next child is started.
        Command::new("/bin/true").run(&cx).await.expect("runs");
    }
    assert_eq!(children(), Vec::<String>::new(), "after a drop");
}
