//! Commands whose processes do what they can to outlive them: a fork storm, a double fork, a daemon that
//! shed session and environment. With a cgroup for each command nothing of them is left, whatever ends it.

mod spoke;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kolga_worker::check;
use kolga_worker::config::{Cgroups, Config};
use kolga_worker::cx::{Cx, StopCause};
use kolga_worker::process::{self, Command, Supervision};
use kolga_worker::spoke::Spoke;

/// What a command gets between TERM and KILL, and time for the kernel on a machine that other tests keep busy.
const END: Duration = Duration::from_secs(15);

fn config(cgroups: Cgroups) -> Config {
    let mut config = spoke::config();
    config.state_dir = "/nonexistent/cgroups".into();
    config.process.cgroups = cgroups;
    config
}

async fn supervision(cgroups: Cgroups) -> anyhow::Result<Supervision> {
    let launcher = Path::new(env!("CARGO_BIN_EXE_kolga-worker"));
    Supervision::find_by(&config(cgroups), launcher).await
}

/// A context of a task of its own.
async fn context(supervision: &Supervision) -> Cx {
    let spoke = Spoke::open(config(Cgroups::Auto), None).await;
    check::context(Arc::new(
        spoke.expect("a spoke").supervised(supervision.clone()),
    ))
}

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(script)
}

/// How many `sleep SECONDS` there are, by which the scripts below are told apart.
fn sleepers(seconds: u32) -> usize {
    let wanted = format!("sleep\0{seconds}\0").into_bytes();
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| *line == wanted)
        .count()
}

async fn until_there_are(count: usize, seconds: u32) -> usize {
    let began = Instant::now();
    loop {
        let found = sleepers(seconds);
        if found >= count {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{found} of {count}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Unruly {
    name: &'static str,
    script: String,
    seconds: u32,
    processes: usize,
}

fn unruly(first: u32) -> [Unruly; 3] {
    let [a, b, c] = [first, first + 1, first + 2];
    [
        Unruly {
            name: "fork storm that ignores TERM",
            script: format!(
                "trap '' TERM; for i in 1 2 3 4; do
                   (while :; do setsid sleep {a} & sleep 0.05 & wait $!; done) &
                 done; wait"
            ),
            seconds: a,
            processes: 12,
        },
        Unruly {
            name: "double fork into a new session",
            script: format!("(setsid sh -c 'sleep {b} & exit' &); exec sleep 1000"),
            seconds: b,
            processes: 1,
        },
        Unruly {
            name: "daemon without session, environment, folder and streams",
            script: format!(
                "env -i setsid sh -c 'cd /tmp; sleep {c} <&- >&- 2>&- & exit' & exec sleep 1000"
            ),
            seconds: c,
            processes: 1,
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, for a cgroup: run deploy/test"]
async fn a_fork_storm_a_double_fork_and_a_daemon_are_gone_whatever_ends_the_command() {
    process::become_subreaper().expect("may adopt");
    tokio::spawn(process::bury_orphans());
    let supervision = match supervision(Cgroups::Require).await {
        Ok(supervision) => supervision,
        Err(error) => {
            println!("not tried, since no cgroup can be made here: {error:#}");
            return;
        }
    };
    println!("{}", supervision.words());
    let (_, base) = supervision.words().split_once(" below ").expect("a path");
    let base = PathBuf::from(base);

    let neighbour = context(&supervision).await;
    let neighbours_stop = neighbour.stop.clone();
    let neighbours = tokio::spawn(async move {
        sh("setsid sleep 8640 & exec sleep 8640")
            .run(&neighbour)
            .await
    });
    assert_eq!(until_there_are(2, 8640).await, 2);

    for (first, ending) in [(8641, "cancel"), (8651, "time limit"), (8661, "own end")] {
        for it in unruly(first) {
            let cx = context(&supervision).await;
            let stop = cx.stop.clone();
            let script = match ending {
                "own end" => it
                    .script
                    .replace("; wait", "; sleep 3")
                    .replace("exec sleep 1000", "sleep 3"),
                _ => it.script.clone(),
            };
            let limit = match ending {
                "time limit" => Duration::from_secs(3),
                _ => Duration::from_secs(60),
            };
            let run = tokio::spawn(async move { sh(&script).time_limit(limit).run(&cx).await });
            let fired = until_there_are(it.processes, it.seconds).await;
            let began = Instant::now();
            if ending == "cancel" {
                stop.fire(StopCause::Cancelled);
            }
            let ended = run.await.expect("did not panic");
            let took = began.elapsed();
            let after = sleepers(it.seconds);
            println!(
                "{ending}: {}: {fired} processes, then {after} after {took:?}",
                it.name
            );
            assert_eq!(after, 0, "{ending}: {}", it.name);
            let within = END
                + if ending == "time limit" {
                    limit
                } else {
                    Duration::from_secs(1)
                };
            assert!(took < within, "{ending}: {}: {took:?}", it.name);
            match ending {
                "cancel" => assert!(process::was_stopped(&ended.expect_err("stopped"))),
                "time limit" => {
                    assert!(format!("{:#}", ended.expect_err("ended")).contains("longer"))
                }
                _ => ended.expect("succeeds"),
            }
        }
    }

    assert_eq!(sleepers(8640), 2, "the neighbour was harmed");
    neighbours_stop.fire(StopCause::Cancelled);
    neighbours
        .await
        .expect("did not panic")
        .expect_err("stopped");
    assert_eq!(sleepers(8640), 0);
    let left: Vec<_> = std::fs::read_dir(&base)
        .expect("the base")
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.path())
        .collect();
    assert!(left.is_empty(), "cgroups are left: {left:?}");
    drop(supervision);
    assert!(!base.exists(), "the base goes with its last user");
}

#[tokio::test]
async fn without_cgroups_the_reason_is_told_and_children_give_way_all_the_same() {
    let supervision = supervision(Cgroups::Off)
        .await
        .expect("nothing is required");
    assert!(supervision.words().contains("process.cgroups"));
    let cx = context(&supervision).await;
    let told = Command::new("/usr/bin/nice").capture(&cx).await;
    let told = told.expect("runs").success("nice").expect("succeeds");
    assert_eq!(String::from_utf8_lossy(&told).trim(), "10");
    let own = Command::new("/usr/bin/nice");
    let plain = context(&Supervision::plain()).await;
    let told = own.capture(&plain).await.expect("runs");
    assert_ne!(told.stdout, b"10\n", "the worker itself does not");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_before_anything_is_started() {
    let supervision = supervision(Cgroups::Off)
        .await
        .expect("nothing is required");
    let cx = context(&supervision).await;
    let error = Command::new("/nonexistent/program").run(&cx).await;
    let text = format!("{:#}", error.expect_err("cannot start"));
    assert!(
        text.contains("/nonexistent/program: is it installed"),
        "{text}"
    );
}
