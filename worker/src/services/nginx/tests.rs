//! nginx, the real one of the test stack; and what needs none.

use futures_util::FutureExt as _;
use futures_util::future::join_all;

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
async fn what_a_change_kept_is_put_back_by_a_rename_when_nginx_does_not_load_it() {
    use std::os::unix::fs::MetadataExt as _;
    let scratch = Scratch::new();
    let (cx, _) = counted(&scratch);
    let (nginx, host) = (&cx.spoke.nginx, host("kept"));
    nginx.publish(&cx, &host, "before").await.expect("new");
    let is = || {
        let found = std::fs::metadata(nginx.vhost_path(&host));
        found.expect("there").ino()
    };
    let was = is();
    let kept = Kept::of(cx.run, "a-test");
    let refused = nginx.replace(&cx, &host, "rot", kept.clone()).await;
    refused.expect_err("it is not loaded");
    assert_eq!(is(), was, "the very file");
    let replaced = nginx.replace(&cx, &host, "after", kept.clone()).await;
    replaced.expect("loaded");
    assert_eq!(nginx.vhost(&host).expect("read").as_deref(), Some("after"));
    for _twice in 0..2 {
        let back = nginx.put_back(&cx, &host, Some("before"), Some(&kept));
        back.await.expect("put back");
        assert_eq!(is(), was, "the very file");
    }
    nginx
        .take_off(&cx, &host, kept.clone())
        .await
        .expect("taken off");
    assert_eq!(nginx.vhost(&host).expect("read"), None);
    let back = nginx.put_back(&cx, &host, Some("before"), Some(&kept));
    back.await.expect("put back");
    assert_eq!(is(), was, "the very file");
    let names = nginx.sites_dir().expect("there").names();
    assert_eq!(
        names.expect("read"),
        [std::ffi::OsString::from(file_name(&host))]
    );
}

#[tokio::test]
async fn a_spoke_after_a_reload_shares_its_turn_with_the_one_before() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("vhosts")).expect("made");
    let before = Nginx::new(&config(scratch.path()).nginx, None);
    let after = Nginx::new(&config(scratch.path()).nginx, Some(&before));
    let _turn = before.take_turn().await.expect("free");
    assert!(after.take_turn().now_or_never().is_none());
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

/// A spoke whose nginx does not load a file with the word `rot` in it, and notes its reloads.
fn counted(scratch: &Scratch) -> (Cx, std::path::PathBuf) {
    std::fs::create_dir(scratch.path().join("vhosts")).expect("made");
    let mut config = config(scratch.path());
    let (vhosts, reloads) = (
        scratch.path().join("vhosts"),
        scratch.path().join("reloads"),
    );
    let shell = |script: String| vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    config.nginx.test = shell(format!(
        "for f in {}/*.conf; do if grep -q rot $f; then echo \"nginx: [emerg] rot in $f:1\" >&2; exit 1; fi; done",
        vhosts.display()
    ));
    config.nginx.reload = shell(format!("echo once >> {}", reloads.display()));
    (context(config).0, reloads)
}

fn lines(path: &std::path::Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn changes_that_come_while_somebody_has_the_turn_share_one_reload() {
    let scratch = Scratch::new();
    let (cx, reloads) = counted(&scratch);
    let nginx = &cx.spoke.nginx;
    let hosts: Vec<HostName> = (0..6).map(|n| host(&format!("n{n}"))).collect();
    let turn = nginx.take_turn().await.expect("free");
    let mut all = Box::pin(join_all(
        hosts.iter().map(|host| nginx.publish(&cx, host, "good")),
    ));
    assert!((&mut all).now_or_never().is_none(), "they wait");
    drop(turn);
    for done in all.await {
        done.expect("published");
    }
    assert_eq!(lines(&reloads), 1);
    for host in &hosts {
        assert_eq!(nginx.vhost(host).expect("read").as_deref(), Some("good"));
    }
}

#[tokio::test]
async fn one_that_is_wrong_among_several_fails_alone() {
    let scratch = Scratch::new();
    let (cx, reloads) = counted(&scratch);
    let nginx = &cx.spoke.nginx;
    let hosts = ["a", "b", "c", "d"].map(host);
    let texts = ["good", "rot", "good", "good"];
    nginx.publish(&cx, &hosts[1], "before").await.expect("new");
    nginx.publish(&cx, &hosts[3], "before").await.expect("new");
    let turn = nginx.take_turn().await.expect("free");
    let wishes = hosts.iter().zip(texts).enumerate();
    let mut all = Box::pin(join_all(wishes.map(async |(index, (host, text))| {
        if index == 3 {
            nginx.restore(&cx, host, None).await
        } else {
            nginx.publish(&cx, host, text).await
        }
    })));
    assert!((&mut all).now_or_never().is_none(), "they wait");
    drop(turn);
    let done = all.await;
    let there: Vec<_> = hosts
        .iter()
        .map(|host| nginx.vhost(host).expect("read"))
        .collect();
    let there: Vec<_> = there.iter().map(Option::as_deref).collect();
    assert_eq!(there, [Some("good"), Some("before"), Some("good"), None]);
    let failed: Vec<_> = done.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, false]);
    let error = format!("{:#}", done[1].as_ref().expect_err("wrong"));
    assert!(
        error.contains(hosts[1].as_str()) && error.contains("line 1"),
        "{error}"
    );
    assert!(lines(&reloads) >= 3 + 2, "each that is right was loaded");
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_is_not_made() {
    let scratch = Scratch::new();
    let (cx, _) = counted(&scratch);
    let nginx = &cx.spoke.nginx;
    let (gone, next) = (host("gone"), host("next"));
    let turn = nginx.take_turn().await.expect("free");
    let mut waits = Box::pin(nginx.publish(&cx, &gone, "good"));
    assert!((&mut waits).now_or_never().is_none(), "it waits");
    drop(waits);
    drop(turn);
    nginx.publish(&cx, &next, "good").await.expect("published");
    assert_eq!(nginx.vhost(&gone).expect("read"), None);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn several_sites_published_at_once_all_answer() {
    let cx = on_stack();
    let nginx = &cx.spoke.nginx;
    let port = nginx.config().port;
    let hosts: Vec<HostName> = (0..8).map(|n| host(&format!("many{n}"))).collect();
    let published = hosts.iter().map(async |host| {
        let text = vhost(host, port, &format!("return 200 'I am {host}';"));
        nginx.publish(&cx, host, &text).await
    });
    for done in join_all(published).await {
        done.expect("published");
    }
    for host in &hosts {
        let wanted = format!("I am {host}");
        body(&cx, host, &wanted).await.expect("answers");
    }
    for done in join_all(hosts.iter().map(|host| nginx.restore(&cx, host, None))).await {
        done.expect("taken off");
    }
}
