//! How long it takes until all goes on: after a worker that was killed in the middle of a task, after a broker,
//! and after a hub with a backlog.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::api::Answer;
use crate::system::{SPOKES, System};
use crate::table;

/// How long anything here may take before it counts as never.
const LIMIT: Duration = Duration::from_secs(180);
/// Tasks that wait while the hub is away.
const BACKLOG: u32 = 10_000;

/// Measures each so many times and prints a table.
pub async fn measure(system: &System, times: u32, markdown: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let (mut workers, mut brokers, mut hubs) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..times {
        workers.push(worker(system, number).await?);
        brokers.push(broker(system).await?);
        hubs.push(hub(system).await?);
        eprintln!("{} of {times}", number + 1);
    }
    for (what, took) in [
        (
            "worker killed within site.install → rolled back, takes tasks again",
            workers,
        ),
        (
            "broker killed, from when it accepts connections → first task finished",
            brokers,
        ),
        (
            "hub killed with 10,000 tasks waiting → all of them finished",
            hubs,
        ),
    ] {
        let at =
            |percent| table::percentile(&took, percent).map_or_else(String::new, table::duration);
        rows.push(vec![
            what.to_owned(),
            took.len().to_string(),
            at(50),
            at(99),
        ]);
    }
    table::print(&["recovery", "times", "p50", "p99"], &rows, markdown);
    Ok(())
}

/// From SIGKILL, and a start at once as systemd would, until the rollback is done and tasks are taken.
async fn worker(system: &System, number: u32) -> anyhow::Result<Duration> {
    let server = SPOKES[0];
    let host = format!("recovery{number}.{server}.chaos.test");
    let site = json!({
        "host": host, "server": server, "profile": "counted", "platform": null, "aliases": [],
        "options": {"effects": system.effects().display().to_string()},
    });
    let Answer::Done(made) = system.api.post("/v1/sites", &site).await else {
        anyhow::bail!("site {host} was refused");
    };
    let task = made["task"]["id"].as_str().context("a task")?.to_owned();
    let began = Instant::now();
    loop {
        let shown = system
            .api
            .find(&format!("/v1/tasks/{task}"))
            .await
            .unwrap_or_default();
        if shown["step"]["name"] == "run_installer" {
            break;
        }
        ensure!(began.elapsed() < LIMIT, "{host} gets nowhere: {shown}");
        sleep(Duration::from_millis(5)).await;
    }
    let killed = Instant::now();
    let fired = system.spoke(server).service.strike(Signal::KILL).await?;
    ensure!(fired, "the worker had ended before");
    system.consumes(server, LIMIT).await?;
    let took = killed.elapsed();
    // The next attempt then goes all the way.
    let shown = system.api.finished(&task, LIMIT).await.unwrap_or_default();
    ensure!(
        shown["state"] == "succeeded" && shown["attempt"] == 2,
        "{host}: {shown}"
    );
    let path = format!("/v1/sites/{host}?no_backup=true");
    let gone = system.api.ask(reqwest::Method::DELETE, &path, None).await;
    let Answer::Done(gone) = gone else {
        anyhow::bail!("{host} was not deleted: {gone:?}");
    };
    let task = gone["task"]["id"].as_str().context("a task")?;
    system
        .api
        .finished(task, LIMIT)
        .await
        .context("deleted in time")?;
    Ok(took)
}

async fn broker(system: &System) -> anyhow::Result<Duration> {
    system.script("stop", &["rabbitmq", "KILL"]).await?;
    let task = system.api.ping(SPOKES[0]).await;
    let address = system.broker_address()?;
    let listens = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
        let since = Instant::now();
        let finished = system.api.finished(&task, LIMIT).await;
        (since.elapsed(), finished)
    };
    let (up, (took, finished)) = tokio::join!(system.script("up", &[]), listens);
    up?;
    finished.context("the task that was asked for meanwhile is never finished")?;
    Ok(took)
}

async fn hub(system: &System) -> anyhow::Result<Duration> {
    let body = json!({"count": BACKLOG});
    let path = format!("/v1/servers/{}/ping", SPOKES[0]);
    let asked = system.api.post(&path, &body).await;
    ensure!(
        matches!(asked, Answer::Done(_)),
        "the backlog was refused: {asked:?}"
    );
    let killed = Instant::now();
    ensure!(
        system.hub.strike(Signal::KILL).await?,
        "the hub had ended before"
    );
    system.api.wait(LIMIT).await?;
    for state in ["queued", "sent", "accepted", "running"] {
        let path = format!("/v1/tasks?state={state}&limit=1");
        loop {
            let page = system.api.find(&path).await.unwrap_or_default();
            if page["items"].as_array().is_some_and(Vec::is_empty) {
                break;
            }
            ensure!(
                killed.elapsed() < LIMIT,
                "the backlog is never done: {page}"
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(killed.elapsed())
}
