//! The world at the end: what each server has is what the hub lists, to the last folder, database, user and
//! answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::checks::{Check, Looked};
use crate::children::installers;
use crate::databases;
use crate::load::plans;
use crate::moves::MOVERS;
use crate::patience::patient;
use crate::system::{SPOKES, System};

/// Compares. `runs` are the installations that succeeded, each with its host.
pub async fn check(
    system: &System,
    runs: &BTreeMap<String, String>,
    looked: &mut Looked,
) -> anyhow::Result<Check> {
    let mut against = Vec::new();
    let mut listed: BTreeMap<String, String> = BTreeMap::new();
    for site in system.api.all("/v1/sites").await {
        let host = site["host"].as_str().unwrap_or_default().to_owned();
        match site["condition"].as_str() {
            Some("ready") => {
                let server = site["server"].as_str().unwrap_or_default();
                drop(listed.insert(host, server.to_owned()));
            }
            Some("failed") => {}
            other => against.push(format!("{host} is {other:?} at the hub")),
        }
    }
    looked.sites = listed.len();
    let client = reqwest::Client::builder()
        .timeout(patient(Duration::from_secs(20)))
        .build()?;
    // Those that move are looked at by themselves.
    let movers = MOVERS.iter().filter(|(host, _)| listed.contains_key(*host));
    let mut with_database = movers.filter(|(_, profile)| *profile != "static").count();
    for plan in plans() {
        let there = listed.contains_key(&plan.host);
        with_database += usize::from(there && plan.profile != "static");
        let port = system.stack.http_port(plan.server);
        let url = format!("http://127.0.0.1:{port}/");
        // With the port, as a browser says it: WordPress redirects whoever calls it by another name.
        let host = format!("{}:{port}", plan.host);
        let answer = client.get(url).header("host", host).send().await?;
        let (status, page) = (answer.status().as_u16(), answer.text().await?);
        let right = match (there, plan.profile) {
            (false, _) => status == 404,
            (true, "counted") => {
                let effects: Vec<&str> = page
                    .split_once("counted by Kolga: ")
                    .map(|(_, runs)| runs.split_whitespace().collect())
                    .unwrap_or_default();
                matches!(effects[..], [run] if runs.get(run) == Some(&plan.host))
            }
            // What only a whole WordPress shows: database, settings, content and theme.
            (true, "wordpress") => status == 200 && page.contains("wp-site-blocks"),
            (true, _) => status == 200 && page.contains("made by Kolga"),
        };
        if !right {
            let page: String = page.chars().take(200).collect();
            against.push(format!(
                "{} (there: {there}) answers {status}: {page}",
                plan.host
            ));
        }
    }
    for server in SPOKES {
        let of_server = listed.iter().filter(|(_, on)| *on == server);
        let wanted: BTreeSet<String> = of_server.map(|(host, _)| host.clone()).collect();
        let folders = names(&system.place(server, "sites_root"))?;
        if folders != wanted {
            against.push(format!(
                "{server} has folders {folders:?}, the hub lists {wanted:?}"
            ));
        }
        let conf = system.place(server, "nginx_conf");
        let conf = conf.parent().and_then(|nginx| nginx.parent());
        let vhosts = names(
            &conf
                .map(|home| home.join("conf/sites.d"))
                .unwrap_or_default(),
        )?;
        let vhosts: BTreeSet<String> = vhosts
            .iter()
            .map(|name| name.trim_end_matches(".conf").to_owned())
            .collect();
        if vhosts != wanted {
            against.push(format!(
                "{server} serves {vhosts:?}, the hub lists {wanted:?}"
            ));
        }
    }
    let databases = databases::of_sites(system).await?;
    let users = databases::users_of_sites(system).await?;
    if databases.len() != with_database || users.len() != with_database {
        against.push(format!(
            "{with_database} sites have a database, but there are {databases:?} and users {users:?}"
        ));
    }
    let root = std::path::PathBuf::from(system.stack.text("/dir"));
    let left = installers(&root);
    if !left.is_empty() {
        against.push(format!("installers still run: {left:?}"));
    }
    Ok(Check {
        name: "sites and what belongs to them, but not as the hub lists them",
        against,
    })
}

/// What lies in a folder, but for what begins with a dot: that is the worker's own, such as its trash.
fn names(folder: &std::path::Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.insert(name);
        }
    }
    Ok(names)
}
