//! The web server's running configuration, by what it does: what each name is answered with. A file that
//! was changed without a reload, or a reload without the file, shows in a different answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};

use super::World;
use crate::stack::Stack;
use crate::wait::until;

/// How long nginx may take to let its old processes go: 100 ms on an idle machine.
const RELOAD: Duration = Duration::from_secs(20);

/// Makes the web server read its configuration anew, and waits until only the new one answers.
///
/// # Panics
/// When it does not run, or does not take the configuration.
pub async fn reload_web(stack: &Stack, server: &str) {
    let master = master(stack, server);
    let old = children(master);
    kill_process(master, Signal::HUP).expect("reloaded");
    until("nginx has taken its configuration", RELOAD, async || {
        let now = children(master);
        (!now.is_empty() && now.is_disjoint(&old)).then_some(())
    })
    .await;
}

fn master(stack: &Stack, server: &str) -> Pid {
    let pid = std::fs::read_to_string(stack.spoke(server, "nginx_pid")).expect("nginx runs");
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
    pid.expect("a pid")
}

/// The processes that take connections, also those of a former configuration that have not ended yet.
fn children(master: Pid) -> BTreeSet<String> {
    let list = format!("/proc/{0}/task/{0}/children", master.as_raw_nonzero());
    let list = std::fs::read_to_string(list).expect("nginx runs");
    list.split_ascii_whitespace().map(str::to_owned).collect()
}

pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Each request is to meet whichever of nginx's processes takes connections now.
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client")
}

/// How each name is answered. At a reload nginx lets the processes of its former configuration answer beside the
/// new ones for a moment, so it counts when there was only one, the same before and after.
///
/// # Panics
/// When nginx does not come to rest.
pub(super) async fn look(
    client: &reqwest::Client,
    stack: &Stack,
    server: &str,
    hosts: &[String],
) -> World {
    let master = master(stack, server);
    let url = format!("http://127.0.0.1:{}/", stack.http_port(server));
    let began = Instant::now();
    loop {
        let before = children(master);
        let asked = hosts.iter().map(|host| answer(client, &url, host));
        let answers = futures_util::future::join_all(asked).await;
        if before.len() == 1 && before == children(master) {
            let mut world = World::default();
            for (host, (status, hash)) in hosts.iter().zip(answers) {
                world.note(format!("web {host}"), status, hash);
            }
            return world;
        }
        assert!(began.elapsed() < RELOAD, "nginx does not come to rest");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn answer(client: &reqwest::Client, url: &str, host: &str) -> (String, String) {
    match client.get(url).header("host", host).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16().to_string();
            let body = answer.bytes().await.unwrap_or_default();
            let hash = Sha256::digest(without_nonces(&String::from_utf8_lossy(&body)));
            let hash = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
            (status, hash.collect())
        }
        Err(error) if error.is_connect() => ("refused".to_owned(), String::new()),
        Err(_) => ("closed".to_owned(), String::new()),
    }
}

/// A page without what Drupal makes up anew each time that it is shown: of each form, and of the theme for scripts.
fn without_nonces(page: &str) -> String {
    let mut page = page.to_owned();
    for leads in ["value=\"form-", "\"theme_token\":\""] {
        let mut parts = page.split(leads);
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text.push_str(part.trim_start_matches(|c: char| c != '"'));
        }
        page = text;
    }
    page
}
