//! The web server's running configuration, by what it does: what each name is answered with. A file that
//! was changed without a reload, or a reload without the file, shows in a different answer.

use sha2::{Digest as _, Sha256};

use super::World;
use crate::stack::Stack;

/// How often the same answer has to come before it counts.
const TIMES: u32 = 4;

/// Makes the web server read its configuration anew.
///
/// # Panics
/// When it does not run.
pub fn reload_web(stack: &Stack, server: &str) {
    let pid = std::fs::read_to_string(stack.spoke(server, "nginx_pid")).expect("nginx runs");
    let pid = pid
        .trim()
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::HUP)
        .expect("reloaded");
}

pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Each request is to meet whichever of nginx's processes takes connections now.
        .pool_max_idle_per_host(0)
        .build()
        .expect("a client")
}

/// Notes how each name is answered.
pub(super) async fn note(world: &mut World, client: &reqwest::Client, port: u16, hosts: &[String]) {
    let url = format!("http://127.0.0.1:{port}/");
    let asked = hosts.iter().map(|host| lasting_answer(client, &url, host));
    let answers = futures_util::future::join_all(asked).await;
    for (host, (status, hash)) in hosts.iter().zip(answers) {
        world.note(format!("web {host}"), status, hash);
    }
}

/// The answer that stays. nginx lets the workers of its former configuration go only after the new ones are
/// there, so for a moment either may answer.
async fn lasting_answer(client: &reqwest::Client, url: &str, host: &str) -> (String, String) {
    let mut shown = (String::new(), String::new());
    let mut times = 0;
    while times < TIMES {
        let now = answer(client, url, host).await;
        times = if now.0 == shown.0 { times + 1 } else { 1 };
        shown = now;
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    shown
}

async fn answer(client: &reqwest::Client, url: &str, host: &str) -> (String, String) {
    match client.get(url).header("host", host).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16().to_string();
            let body = answer.bytes().await.unwrap_or_default();
            let hash = Sha256::digest(&body);
            let hash = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
            (status, hash.collect())
        }
        Err(error) if error.is_connect() => ("refused".to_owned(), String::new()),
        Err(_) => ("closed".to_owned(), String::new()),
    }
}
