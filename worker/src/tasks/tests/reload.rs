//! When a change of nginx's is told to be made, every visitor sees it.

use std::time::{Duration, Instant};

use super::*;

const ROUNDS: u32 = 25;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn after_a_reload_no_visitor_is_answered_by_what_nginx_read_before() {
    let scene = Scene::new("reload");
    let nginx = &scene.cx.spoke.nginx;
    let host = scene.host.parse().expect("a host");
    let port = nginx.config().port;
    let listen = match nginx.config().listen.first() {
        Some(address) => address.to_string(),
        None => port.to_string(),
    };
    let mut asked = 0;
    let mut took = Duration::ZERO;
    for round in 0..ROUNDS {
        let vhost = format!(
            "server {{ listen {listen}; server_name {host}; location / {{ return 200 \"{round}\"; }} }}\n"
        );
        let began = Instant::now();
        let published = nginx.publish(&scene.cx, &host, &vhost).await;
        published.expect("published");
        took += began.elapsed();
        // Over connections of their own, so that each may come to another of nginx's processes.
        for _ in 0..8 {
            let answer = nginx.check_site(&scene.cx, &host, "/", |answer| {
                anyhow::ensure!(answer.status == 200, "status {}", answer.status);
                Ok(())
            });
            let answer = answer.await.expect("an answer");
            assert_eq!(answer.body, round.to_string(), "an answer of before");
            asked += 1;
        }
    }
    nginx
        .restore(&scene.cx, &host, None)
        .await
        .expect("taken off");
    let there = nginx.answers_to(&scene.cx, &host).await;
    assert!(!there.expect("asked"), "it is off the web");
    println!(
        "{asked} answers after {ROUNDS} reloads, none of before; {:?} a change",
        took / ROUNDS
    );
}
