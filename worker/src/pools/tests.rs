//! What a pool is taken and given back by, without a php-fpm.

use kolga_protocol::id::{Attempt, TaskId};

use super::*;
use crate::cx::Cx;
use crate::steps::testing::site_context;
use crate::testing::{Scratch, config as configuration, context};

/// Users that every Debian has and who run nothing.
pub(crate) const USER: &str = "games";
const OTHER: &str = "news";

/// A spoke with two pools, of which only the users are there.
pub(crate) fn with_pools(scratch: &Scratch) -> Cx {
    drop(site_context(scratch));
    let mut config = configuration(scratch.path());
    config.pools = Some(config::Pools {
        folder: scratch.path().join("pools"),
        users: vec![USER.to_owned(), OTHER.to_owned()],
    });
    context(config).0
}

fn run() -> Run {
    Run::new(TaskId::generate(), Attempt::FIRST)
}

fn user(pool: anyhow::Result<Option<Pool>>) -> Option<String> {
    pool.expect("the books can be read").map(|pool| pool.user)
}

#[test]
fn each_run_gets_another_pool_until_there_is_none() {
    let scratch = Scratch::new();
    let cx = with_pools(&scratch);
    let pools = cx.spoke.need_pools().expect("some");
    let none = BTreeSet::new();
    let runs = [run(), run(), run()];
    let taken = runs.map(|run| user(pools.take(&cx.spoke, run, &none)));
    assert_eq!(taken, [Some(USER.to_owned()), Some(OTHER.to_owned()), None]);
    pools.give_back_all_of(runs[1]).expect("given back");
    assert_eq!(
        pools.taken_by(USER).expect("read"),
        Some(runs[0].to_string())
    );
    assert_eq!(
        user(pools.take(&cx.spoke, runs[2], &none)),
        Some(OTHER.to_owned())
    );
}

#[test]
fn of_many_that_ask_at_once_no_two_get_the_same() {
    let scratch = Scratch::new();
    let cx = with_pools(&scratch);
    for _ in 0..50 {
        let taken: Vec<_> = std::thread::scope(|scope| {
            let ask = || {
                user(
                    cx.spoke
                        .need_pools()
                        .expect("some")
                        .take(&cx.spoke, run(), &BTreeSet::new()),
                )
            };
            let all: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            all.into_iter()
                .map(|one| one.join().expect("asked"))
                .collect()
        });
        let mut taken: Vec<_> = taken.into_iter().flatten().collect();
        taken.sort();
        assert_eq!(taken, [USER, OTHER]);
        let pools = cx.spoke.need_pools().expect("some");
        pools.give_back(USER).expect("given back");
        pools.give_back(OTHER).expect("given back");
    }
}

#[test]
fn what_another_run_or_a_stranger_has_taken_is_not_given_back() {
    let scratch = Scratch::new();
    let cx = with_pools(&scratch);
    let pools = cx.spoke.need_pools().expect("some");
    let book = scratch.path().join("state/pools");
    pools
        .take(&cx.spoke, run(), &BTreeSet::new())
        .expect("taken");
    std::fs::write(book.join(OTHER), "an operator's remark").expect("planted");
    let ours = run();
    assert_eq!(user(pools.take(&cx.spoke, ours, &BTreeSet::new())), None);
    // What a crash left of taking one, and what is no pool's.
    std::fs::write(book.join(format!(".{USER}.new")), "ha").expect("half written");
    std::fs::write(book.join("remark"), ours.to_string()).expect("planted");
    pools.give_back_all_of(ours).expect("nothing of ours");
    let mut names: Vec<_> = std::fs::read_dir(&book).expect("there").flatten().collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    let names: Vec<_> = names.iter().map(|entry| entry.file_name()).collect();
    assert_eq!(names, [USER, OTHER, "remark"]);
}

#[test]
fn a_link_in_place_of_a_pools_file_leads_nowhere() {
    let scratch = Scratch::new();
    let cx = with_pools(&scratch);
    let pools = cx.spoke.need_pools().expect("some");
    let target = scratch.path().join("target");
    std::fs::write(&target, cx.run.to_string()).expect("written");
    let book = scratch.path().join("state/pools");
    std::fs::create_dir(&book).expect("a folder");
    std::os::unix::fs::symlink(&target, book.join(USER)).expect("planted");
    let taken = user(pools.take(&cx.spoke, cx.run, &BTreeSet::new()));
    assert_eq!(taken, Some(OTHER.to_owned()), "what is there is respected");
    pools.give_back_all_of(cx.run).expect("what it has taken");
    let taken: Vec<_> = [USER, OTHER]
        .map(|user| pools.taken_by(user).expect("looked").is_some())
        .into();
    assert_eq!(taken, [true, false]);
    assert!(target.exists() && book.join(USER).is_symlink());
}

#[test]
fn a_pool_that_a_site_in_the_book_has_is_not_free_even_if_its_file_is_lost() {
    let scratch = Scratch::new();
    let cx = with_pools(&scratch);
    let entry = serde_json::json!({
        "host": "a.test", "owner": "a run", "profile": "php", "pool": USER, "path": "/srv/x", "installed_at": 1,
    });
    let entry = serde_json::from_value(entry).expect("an entry");
    cx.spoke.registry.sites.save(&entry).expect("saved");
    let pools = cx.spoke.need_pools().expect("some");
    assert_eq!(
        user(pools.take(&cx.spoke, cx.run, &BTreeSet::new())),
        Some(OTHER.to_owned())
    );
}

#[test]
fn only_pools_of_the_configuration_are_any_whatever_a_name_says() {
    let scratch = Scratch::new();
    let cx = with_pools(&scratch);
    let pools = cx.spoke.need_pools().expect("some");
    for hostile in [
        "root",
        "",
        "../games",
        "games\n",
        "games/../news",
        "-1",
        "#0",
        &"x".repeat(300),
    ] {
        assert!(pools.get(hostile).is_err(), "{hostile:?}");
    }
    assert!(pools.get(USER).is_ok());
}

#[test]
fn the_configuration_refuses_users_that_are_none_or_have_something_else_to_do() {
    let scratch = Scratch::new();
    let said = |users: &[&str], php: &str| {
        let path = scratch.path().join("worker.toml");
        let users: Vec<String> = users.iter().map(|user| format!("{user:?}")).collect();
        let root = scratch.path().display();
        let text = format!(
            "server = \"web1\"\nstate_dir = \"{root}/state\"\n[broker]\nurl = \"amqp://x\"\n[sites]\nroot = \"{root}/s\"\n\
             platforms = \"{root}/p\"\n[nginx]\ninclude = \"{root}/k\"\nsites_dir = \"{root}/v\"\nstaged = \"{root}/t\"\n\
             test = [\"/bin/true\"]\ntest_staged = [\"/bin/true\"]\nreload = [\"/bin/true\"]\n\
             check_address = \"127.0.0.1:80\"\n[php]\n{php}\n[pools]\nfolder = \"{root}/pools\"\nusers = [{}]\n",
            users.join(", ")
        );
        std::fs::write(&path, text).expect("written");
        crate::config::Config::load(&path)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    let own = "user = \"kolga-php\"";
    assert_eq!(said(&["kolga-s01", "kolga-s02"], own), Ok(()));
    for hostile in [
        "root",
        "www-data",
        "kolga-php",
        "#0",
        "-u",
        "../x",
        "a b",
        "a,b",
        "A",
        "",
        "%g",
        "a\n",
    ] {
        assert!(said(&[hostile], own).is_err(), "{hostile:?}");
    }
    assert!(said(&["kolga-s01", "kolga-s01"], own).is_err(), "twice");
    let error = said(&["kolga-s01"], "").expect_err("nginx and PHP are one");
    assert!(error.contains("php.user"), "{error}");
}
