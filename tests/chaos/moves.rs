//! Moves in the load: sites that go from server to server all the while, some moves paused, some cancelled, and somebody who
//! asks every server for them all the time. At the end each is on one server, whole, and on no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kolga_tests::world::cheapen;
use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::api::{Answer, Api};
use crate::checks::{Check, Looked};
use crate::patience::patient;
use crate::random::Random;
use crate::system::{SMALL, SPOKES, System};

/// Those that move, each with its profile. They are there from before the first fault to the end.
pub const MOVERS: [(&str, &str); 3] = [
    ("php.mover.chaos.test", "php"),
    ("more-php.mover.chaos.test", "php"),
    ("static.mover.chaos.test", "static"),
];
/// Where they are made.
const FIRST: &str = "web3";
/// How long one may take to be made, or to be backed up.
const MADE: Duration = Duration::from_secs(120);
/// How often one is asked to go where there is no room for it, in a hundred.
const REFUSED: u64 = 10;
/// Looks in a row after which nobody has a site: it may come to the one that was asked while the other is asked.
const NOWHERE: u32 = 5;

/// What came of moves, as they were told, and what visitors saw meanwhile.
#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    ends: BTreeMap<&'static str, usize>,
    looks: usize,
    pages: usize,
    wrong: Vec<String>,
}

impl Tally {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // A poisoned list is still a list: nothing here can be left by half.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, how: &'static str) {
        *self.told().ends.entry(how).or_default() += 1;
    }
}

/// Makes the sites, and the repository through which they move, whose key costs nothing.
pub async fn prepare(system: &System) -> anyhow::Result<()> {
    let api = &system.api;
    let done = async |path: &str, wish: Value| {
        let asked = api.post(path, &wish).await;
        let Answer::Done(made) = &asked else {
            anyhow::bail!("{path} {wish}: {asked:?}");
        };
        let task = made["task"]["id"].as_str().context("a task")?;
        let ended = api.finished(task, patient(MADE)).await;
        let state = ended.as_ref().map(|task| &task["state"]);
        ensure!(
            state.is_some_and(|state| state == "succeeded"),
            "{path} {wish}: {ended:?}"
        );
        Ok(())
    };
    let sites = MOVERS.map(|(host, profile)| {
        let site = json!({"host": host, "server": FIRST, "profile": profile});
        done("/v1/sites", site)
    });
    futures_util::future::try_join_all(sites).await?;
    let (host, _) = MOVERS[0];
    let backup = json!({"kind": "site.backup", "params": {}});
    done(&format!("/v1/sites/{host}/tasks"), backup).await?;
    cheapen(&system.stack, SPOKES[0]);
    Ok(())
}

/// Has one site go from server to server, until it is told to stop.
pub async fn wander(
    api: Api,
    host: &'static str,
    mut random: Random,
    stop: CancellationToken,
    tally: Tally,
) {
    let pause = async |from, to, random: &mut Random| {
        let pause = random.millis(from, to);
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    };
    while !stop.is_cancelled() {
        pause(500, 4000, &mut random).await;
        let Some(site) = api.find(&format!("/v1/sites/{host}")).await else {
            continue;
        };
        let roomy = SPOKES.into_iter().filter(|server| *server != SMALL);
        let other = roomy.into_iter().find(|server| site["server"] != *server);
        let to = match random.percent(REFUSED) {
            true => SMALL,
            false => other.unwrap_or(FIRST),
        };
        let wish = json!({"server": to});
        let Answer::Done(made) = api.post(&format!("/v1/sites/{host}/move"), &wish).await else {
            continue;
        };
        let id = made["operation"]["id"].as_str().unwrap_or_default();
        let path = format!("/v1/operations/{id}");
        match random.below(5) {
            0 => {
                pause(0, 1500, &mut random).await;
                drop(api.post(&format!("{path}/pause"), &json!({})).await);
                pause(0, 1000, &mut random).await;
            }
            1 => {
                pause(0, 4000, &mut random).await;
                drop(api.post(&format!("{path}/cancel"), &json!({})).await);
            }
            _ => {}
        }
        while !stop.is_cancelled() {
            let Some(shown) = api.find(&path).await else {
                break;
            };
            match shown["state"].as_str() {
                Some("finished") if shown["counts"]["succeeded"] == 5 => tally.ended("moved"),
                Some("finished") => tally.ended("did not"),
                Some("cancelled") => tally.ended("cancelled"),
                Some("paused") => drop(api.post(&format!("{path}/resume"), &json!({})).await),
                _ => {}
            }
            if shown["finished_at"].is_number() {
                break;
            }
            pause(200, 500, &mut random).await;
        }
    }
}

/// Asks every server for the sites all the time: no two show one at once, and never does nobody know of it.
pub async fn look(system: Arc<System>, stop: CancellationToken, tally: Tally) {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(20))
        .build();
    let Ok(client) = client else { return };
    let mut nowhere = BTreeMap::<&str, u32>::new();
    while !stop.is_cancelled() {
        for (host, _) in MOVERS {
            let all = SPOKES.map(|server| status(&system, &client, server, host));
            let seen = futures_util::future::join_all(all).await;
            let mut told = tally.told();
            told.looks += 1;
            // 404 is a server that knows nothing of it, 503 its maintenance page; anything else is the site, which without
            // its database has no page to show.
            let shows = |status: &&Option<u16>| !matches!(status, None | Some(404 | 503));
            match seen.iter().filter(shows).count() {
                0 => {}
                1 => told.pages += 1,
                _ => told
                    .wrong
                    .push(format!("{host} is shown by several: {seen:?}")),
            }
            let row = nowhere.entry(host).or_default();
            match seen.iter().all(|status| *status == Some(404)) {
                true => *row += 1,
                false => *row = 0,
            }
            if *row == NOWHERE {
                told.wrong
                    .push(format!("{host} is nowhere, {NOWHERE} looks long"));
            }
        }
        tokio::select! {
            () = sleep(Duration::from_millis(100)) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn status(
    system: &System,
    client: &reqwest::Client,
    server: &str,
    host: &str,
) -> Option<u16> {
    let port = system.stack.http_port(server);
    let asked = client.get(format!("http://127.0.0.1:{port}/"));
    let answer = asked.header("host", host).send().await.ok()?;
    Some(answer.status().as_u16())
}

/// What a person would do with moves that ended with something left to do: what is paused goes on, what could not be given up
/// is tried again. Whether there was any.
pub async fn finish(api: &Api) -> bool {
    let mut any = false;
    for operation in api.all("/v1/operations").await {
        if operation["kind"] != "site.move" {
            continue;
        }
        let id = operation["id"].as_str().unwrap_or_default();
        let path = format!("/v1/operations/{id}");
        match operation["state"].as_str() {
            Some("paused") => {
                any = true;
                drop(api.post(&format!("{path}/resume"), &json!({})).await);
            }
            Some("finished" | "cancelled") if operation["counts"]["failed"] != 0 => {
                let items = api.find(&format!("{path}/items")).await.unwrap_or_default();
                let items = items["items"].as_array().cloned().unwrap_or_default();
                let held = items
                    .iter()
                    .find(|item| item["stage"] == "release" && item["state"] == "failed");
                if let Some(task) = held.and_then(|item| item["task"].as_str()) {
                    any = true;
                    drop(
                        api.post(&format!("/v1/tasks/{task}/retry"), &json!({}))
                            .await,
                    );
                }
            }
            _ => {}
        }
    }
    any
}

/// Each of them is on the server that the hub says, whole, and on no other; and what was seen of them meanwhile.
pub async fn check(system: &System, tally: &Tally, looked: &mut Looked) -> anyhow::Result<Check> {
    let client = reqwest::Client::builder()
        .timeout(patient(Duration::from_secs(20)))
        .build()?;
    let mut against = std::mem::take(&mut tally.told().wrong);
    for (host, _) in MOVERS {
        let site = system.api.find(&format!("/v1/sites/{host}")).await;
        let site = site.unwrap_or_default();
        if site["condition"] != "ready" {
            against.push(format!("{host} is {} at the hub", site["condition"]));
        }
        for server in SPOKES {
            let port = system.stack.http_port(server);
            let asked = client.get(format!("http://127.0.0.1:{port}/"));
            let answer = asked.header("host", host).send().await?;
            let (status, page) = (answer.status().as_u16(), answer.text().await?);
            let right = match site["server"] == server {
                true => status == 200 && page.contains("made by Kolga"),
                false => status == 404,
            };
            if !right {
                let at = &site["server"];
                against.push(format!("{host}, on {at}: {server} answers {status}"));
            }
        }
    }
    let told = tally.told();
    looked.moves = told.ends.clone();
    (looked.looks, looked.pages) = (told.looks, told.pages);
    if told.ends.get("moved").copied().unwrap_or_default() == 0 {
        against.push("no site has moved".to_owned());
    }
    Ok(Check {
        name: "sites that move: shown by two, by none, or not whole",
        against,
    })
}
