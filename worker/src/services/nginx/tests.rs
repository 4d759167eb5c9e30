//! nginx, the real one of the test stack; and what needs none.

use super::*;
use crate::testing::{Scratch, config, context, stack_config};

fn host(text: &str) -> HostName {
    format!("{text}-{}.example.org", std::process::id())
        .parse()
        .expect("a host")
}

fn vhost(host: &HostName, port: u16, text: &str) -> String {
    format!("server {{\n    listen 127.0.0.1:{port};\n    server_name {host};\n    {text}\n}}\n")
}

fn on_stack() -> Cx {
    let config = stack_config();
    context(config).0
}

async fn body(cx: &Cx, host: &HostName, wanted: &str) -> anyhow::Result<Answer> {
    cx.spoke
        .nginx
        .check_site(cx, host, "/", |answer| {
            anyhow::ensure!(answer.body.contains(wanted), "it says {:?}", answer.body);
            Ok(())
        })
        .await
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_is_published_answers_and_is_gone_after_its_restoring() {
    let cx = on_stack();
    let (nginx, host) = (&cx.spoke.nginx, host("whole"));
    let text = vhost(&host, nginx.config().port, "return 200 'here I am';");
    assert_eq!(nginx.vhost(&host).expect("looked"), None);
    nginx.publish(&cx, &host, &text).await.expect("published");
    body(&cx, &host, "here I am").await.expect("answers");
    assert_eq!(nginx.vhost(&host).expect("read"), Some(text.clone()));

    nginx.restore(&cx, &host, None).await.expect("taken off");
    body(&cx, &host, "404")
        .await
        .expect("the default server answers");
    nginx
        .restore(&cx, &host, Some(&text))
        .await
        .expect("put back");
    body(&cx, &host, "here I am").await.expect("answers again");
    nginx.restore(&cx, &host, None).await.expect("taken off");
    nginx
        .restore(&cx, &host, None)
        .await
        .expect("gone is success");
    assert!(!nginx.config().staged.exists());
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_bad_line_is_named_with_its_site_and_hurts_no_other() {
    let cx = on_stack();
    let (nginx, good, bad) = (&cx.spoke.nginx, host("good"), host("bad"));
    let port = nginx.config().port;
    nginx
        .publish(&cx, &good, &vhost(&good, port, "return 200 'still here';"))
        .await
        .expect("published");
    let error = nginx
        .publish(&cx, &bad, &vhost(&bad, port, "rot 13;"))
        .await
        .expect_err("refused");
    let said = format!("{error:#}");
    assert!(
        said.contains(bad.as_str()) && said.contains("line 4") && said.contains("rot"),
        "{said}"
    );
    assert_eq!(nginx.vhost(&bad).expect("looked"), None);
    nginx.test(&cx).await.expect("what serves is untouched");
    body(&cx, &good, "still here").await.expect("answers");
    nginx.restore(&cx, &good, None).await.expect("taken off");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_right_alone_and_wrong_among_the_others_is_put_back() {
    let cx = on_stack();
    let (nginx, first, second) = (&cx.spoke.nginx, host("first"), host("second"));
    let port = nginx.config().port;
    let sharing = |host: &HostName, text: &str| {
        format!(
            "upstream kolga_shared_{} {{ server 127.0.0.1:9; }}\n{}",
            std::process::id(),
            vhost(host, port, text)
        )
    };
    nginx
        .publish(&cx, &first, &sharing(&first, "return 200 'first';"))
        .await
        .expect("published");
    let error = nginx
        .publish(&cx, &second, &sharing(&second, "return 200 'second';"))
        .await
        .expect_err("there is such an upstream");
    assert!(
        format!("{error:#}").contains("duplicate upstream"),
        "{error:#}"
    );
    assert_eq!(nginx.vhost(&second).expect("looked"), None);
    body(&cx, &first, "first").await.expect("answers");
    nginx.test(&cx).await.expect("what serves is right");
    nginx.restore(&cx, &first, None).await.expect("taken off");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_test_aside_works_and_leaves_nothing() {
    let cx = on_stack();
    cx.spoke.nginx.test_aside(&cx).await.expect("works");
    assert!(!cx.spoke.nginx.config().staged.exists());
}

#[tokio::test]
async fn a_failing_reload_puts_the_old_file_back() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("vhosts")).expect("made");
    let mut config = config(scratch.path());
    config.nginx.reload = vec!["/bin/false".to_owned()];
    let (cx, kept) = context(config);
    let host = host("kept");
    let dir = Dir::open(&scratch.path().join("vhosts")).expect("opens");
    dir.write_new(format!("{host}.conf"), b"old", 0o644)
        .expect("written");
    let error = cx
        .spoke
        .nginx
        .publish(&cx, &host, "new")
        .await
        .expect_err("fails");
    assert!(format!("{error:#}").contains("/bin/false"), "{error:#}");
    assert_eq!(
        cx.spoke.nginx.vhost(&host).expect("read").as_deref(),
        Some("old")
    );
    assert!(
        kept.lines()
            .iter()
            .any(|(_, text)| text.contains("could not be put back"))
    );
    assert!(scratch.path().join("kolga.conf").exists());
}

#[tokio::test]
async fn a_spoke_after_a_reload_shares_its_turn_with_the_one_before() {
    let scratch = Scratch::new();
    let before = Nginx::new(&config(scratch.path()).nginx, None);
    let after = Nginx::new(&config(scratch.path()).nginx, Some(&before));
    let _turn = before.turn.lock().await;
    assert!(after.turn.try_lock().is_err());
}

#[tokio::test]
async fn a_site_that_does_not_answer_is_named_when_the_task_stops() {
    let scratch = Scratch::new();
    let mut config = config(scratch.path());
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    config.nginx.check_address = listener.local_addr().expect("bound");
    drop(listener);
    let (cx, _) = context(config);
    cx.stop.fire(crate::cx::StopCause::Cancelled);
    let error = body(&cx, &host("away"), "x").await.expect_err("stopped");
    assert!(crate::process::was_stopped(&error));
}
