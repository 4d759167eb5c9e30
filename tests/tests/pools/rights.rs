//! What a worker that is taken over could do by the rights that pools take, and what is in the way of taking one.

use std::collections::BTreeSet;

use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;

use super::scene::{Scene, pools, run_as};

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn the_worker_becomes_a_pools_user_without_gaining_anything_and_nobody_else() {
    let stack = Stack::load();
    let (worker, pools) = (stack.text("/user").to_owned(), pools(&stack));
    let pool = pools[0].as_str();
    const WHO: &[&str] = &[
        "/usr/bin/setpriv",
        "--no-new-privs",
        "--",
        "/usr/bin/id",
        "-u",
    ];
    let sudo = |options: &[&str], argv: &[&str]| {
        let all = [&["/usr/bin/sudo", "-n"], options, &["--"], argv].concat();
        run_as(&worker, &all)
    };
    let allowed = sudo(&["-u", pool], WHO);
    assert!(allowed.status.success(), "{allowed:?}");

    let plain: &[&str] = &["/usr/bin/id", "-u"];
    let shell: &[&str] = &["/bin/sh", "-c", "id"];
    let without: &[&str] = &["/usr/bin/setpriv", "--", "/usr/bin/id"];
    let several = format!("{pool},root");
    let others: [(&[&str], &[&str]); 13] = [
        (&[], WHO),
        (&["-u", "root"], WHO),
        (&["-u", "#0"], WHO),
        (&["-u", "#-1"], WHO),
        (&["-u", "#4294967295"], WHO),
        (&["-u", "www-data"], WHO),
        (&["-u", &several], WHO),
        (&["-u", pool, "-g", "root"], WHO),
        (&["-g", "root"], WHO),
        (&["-u", pool], plain),
        (&["-u", pool], shell),
        (&["-u", pool], without),
        (&["-u", pool, "-s"], WHO),
    ];
    let mut refused = 0;
    for (options, argv) in others {
        let told = sudo(options, argv);
        assert!(!told.status.success(), "{options:?} {argv:?}: {told:?}");
        refused += 1;
    }
    // From there no set-user-id program leads on.
    let on: &[&str] = &[
        "/usr/bin/setpriv",
        "--no-new-privs",
        "--",
        "/usr/bin/sudo",
        "-n",
        "-l",
    ];
    let told = sudo(&["-u", pool], on);
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        !told.status.success() && said.contains("no new privileges"),
        "{told:?}"
    );

    // Nor can it write what root's php-fpm reads, or stand in the way of its socket.
    let folder = stack.spoke(SERVER, "pools");
    for user in [worker.as_str(), pool, "www-data"] {
        for place in [
            "",
            pool,
            &format!("{pool}/fpm.conf"),
            &format!("{pool}/error.log"),
        ] {
            let place = folder.join(place).display().to_string();
            let told = run_as(user, &["/usr/bin/test", "-w", &place]);
            assert!(!told.status.success(), "{user} may write {place}");
        }
    }
    println!("{refused} other ways through sudo are refused");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn sites_that_ask_at_once_get_different_pools_and_one_too_many_is_told_so() {
    let scene = Scene::new(0).await;
    let count = pools(&scene.stack).len();
    let hosts: Vec<String> = (0..=count)
        .map(|number| format!("at-once-{number}.kolga.test"))
        .collect();
    let mut tasks = Vec::new();
    for host in &hosts {
        tasks.push(scene.ask(host, true).await);
    }
    let (mut users, mut refused) = (BTreeSet::new(), Vec::new());
    let mut made = Vec::new();
    for (host, task) in hosts.iter().zip(&tasks) {
        let ended = scene.hub.ended(task).await;
        if ended["state"] == "succeeded" {
            scene.probe(host);
            users.insert(scene.user(host).await);
            made.push(host.as_str());
        } else {
            refused.push(ended.to_string());
        }
    }
    assert_eq!((users.len(), refused.len()), (count, 1), "{refused:?}");
    assert!(
        refused[0].contains(&format!("all {count} pools")),
        "{refused:?}"
    );
    scene.end(&made).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_stands_where_a_pools_file_would_be_is_respected_and_unharmed() {
    let scene = Scene::new(0).await;
    let pools = pools(&scene.stack);
    let book = scene.stack.spoke(SERVER, "state_dir").join("pools");
    std::fs::create_dir_all(&book).expect("a folder");
    let uid = scene.stack.uid();
    std::os::unix::fs::chown(&book, Some(uid), Some(uid)).expect("the worker's");
    kolga_tests::furnish::write(&book.join(&pools[0]), b"an operator's remark", 0o600, uid);
    std::os::unix::fs::symlink("/etc/passwd", book.join(&pools[1])).expect("planted");
    let host = "one.kolga.test";
    scene.install(host, true).await;
    let user = kolga_worker::files::user_id(&pools[2]).expect("a user");
    assert_eq!(
        scene.user(host).await,
        user,
        "the only one that nothing stands for"
    );
    scene.delete(host).await;
    assert_eq!(
        std::fs::read_to_string(book.join(&pools[0])).expect("there"),
        "an operator's remark"
    );
    assert!(book.join(&pools[1]).is_symlink() && !book.join(&pools[2]).exists());
    scene.end(&[]).await;
}
