//! What becomes of a site's user that somebody has changed: all of it is seen, mended, and what it was again when that is
//! undone; and what may be somebody else's is left alone. By the account of a server on another machine, which has just the
//! rights that OPERATIONS has given it; and by that of the socket.

mod scene;

use super::super::mend::Former;
use super::*;
use crate::services::database::Door;
use scene::{MARK, Scene};

/// What an administrator may have done.
const DISTURBED: &[(&str, &[&str])] = &[
    (
        "another password",
        &["ALTER USER {k} IDENTIFIED BY 'another'"],
    ),
    (
        "an empty password",
        &["ALTER USER {k} IDENTIFIED VIA mysql_native_password USING ''"],
    ),
    (
        "none that is one",
        &["ALTER USER {k} IDENTIFIED VIA mysql_native_password USING 'invalid'"],
    ),
    (
        "another plugin",
        &["ALTER USER {k} IDENTIFIED VIA unix_socket USING 'a''b\\\\c'"],
    ),
    (
        "two ways, and neither is the site's",
        &[
            "ALTER USER {k} IDENTIFIED VIA mysql_native_password USING '*0123456789012345678901234567890123456789' OR unix_socket",
        ],
    ),
    (
        "a password that has run out",
        &["ALTER USER {k} PASSWORD EXPIRE"],
    ),
    (
        "another, which runs out after days and has run out",
        &[
            "ALTER USER {k} IDENTIFIED BY 'another' PASSWORD EXPIRE INTERVAL 3 DAY",
            "ALTER USER {k} PASSWORD EXPIRE",
        ],
    ),
    ("kept out", &["ALTER USER {k} ACCOUNT LOCK"]),
    (
        "kept out with another password",
        &["ALTER USER {k} IDENTIFIED BY 'another' ACCOUNT LOCK"],
    ),
    ("no rights", &["REVOKE ALL PRIVILEGES ON {on} FROM {k}"]),
    (
        "some rights, to be handed on",
        &[
            "REVOKE ALL PRIVILEGES ON {on} FROM {k}",
            "GRANT SELECT, SHOW VIEW, CREATE TEMPORARY TABLES ON {on} TO {k} WITH GRANT OPTION",
        ],
    ),
    (
        "everybody let in",
        &["GRANT SELECT, CREATE TEMPORARY TABLES, GRANT OPTION ON {on} TO PUBLIC"],
    ),
    (
        "whoever comes from a host let in",
        &[
            "CREATE USER ''@'10.9.8.7'",
            "GRANT INSERT ON {on} TO ''@'10.9.8.7' WITH GRANT OPTION",
        ],
    ),
    (
        "all of that, with bounds",
        &[
            "ALTER USER {k} IDENTIFIED BY 'another' WITH MAX_USER_CONNECTIONS 7 ACCOUNT LOCK PASSWORD EXPIRE",
            "REVOKE DELETE, DROP ON {on} FROM {k}",
            "GRANT SELECT ON {on} TO PUBLIC",
            "CREATE USER ''@'10.9.8.7'",
            "GRANT INSERT ON {on} TO ''@'10.9.8.7'",
        ],
    ),
    (
        "no user at all",
        &["DROP USER {k}", "GRANT SELECT ON {on} TO PUBLIC"],
    ),
];

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn whatever_somebody_changed_is_seen_mended_and_comes_back_when_that_is_undone() {
    for far in [true, false] {
        let mut scene = Scene::new("mended_a_b", far).await;
        let whole = scene.standing().await;
        for (what, statements) in DISTURBED {
            scene.disturb(statements).await;
            let found = scene.standing().await;
            assert_ne!(found, whole, "{what}");
            let (password, is_seen) = scene.wanted().await;
            let password = password.cloned();
            assert!(is_seen, "{what}");
            let why = scene
                .server
                .why_not_mend(&scene.name, MARK, password.is_some());
            assert_eq!(why.await.expect("asked"), None, "{what}");
            let former = scene.former().await;
            scene.unmend("a.1", &former).await;
            assert_eq!(
                scene.standing().await,
                found,
                "{what}, which was never mended"
            );

            let mended = scene.mend(password.as_ref(), &former).await;
            mended.unwrap_or_else(|error| panic!("{what}: {error:#}"));
            let (wants, is_seen) = scene.wanted().await;
            assert!(wants.is_none() && !is_seen, "{what}");
            if former_is_there(&former) {
                scene.unmend("another.1", &former_of_nothing(&former)).await;
                assert_eq!(scene.door().await, Door::Open, "{what}: not that run's");
            }
            for _ in 0..2 {
                scene.unmend("a.1", &former).await;
                assert_eq!(scene.standing().await, found, "{what}");
            }
            // That it was undone does not keep it from being mended, and what was kept goes.
            scene.mend(password.as_ref(), &former).await.expect("again");
            let forgotten = scene.server.forget_former(&scene.name, "a.1");
            forgotten.await.expect("forgotten");
            if what.contains("with bounds") {
                let bounds = format!("ALTER USER {{k}} WITH MAX_USER_CONNECTIONS {}", 0);
                scene.run(&bounds).await;
            }
            scene.disturb(&["DROP USER IF EXISTS ''@'10.9.8.7'"]).await;
            if what.contains("handed on") {
                scene.run("REVOKE GRANT OPTION ON {on} FROM {k}").await;
            }
            if what.contains("run out") || what.contains("bounds") {
                scene.run("ALTER USER {k} PASSWORD EXPIRE DEFAULT").await;
            }
            assert_eq!(scene.standing().await, whole, "{what}, mended for good");
        }
        println!("mended and undone: {} ways, far: {far}", DISTURBED.len());
        scene.end().await;
    }
}

fn former_is_there(former: &Former) -> bool {
    serde_json::to_value(former).expect("JSON")["there"] == true
}

/// One that says that it was as it should be.
fn former_of_nothing(former: &Former) -> Former {
    let mut value = serde_json::to_value(former).expect("JSON");
    value["locked"] = false.into();
    value["lacked"] = serde_json::json!([]);
    value["everybody"] = serde_json::json!([]);
    serde_json::from_value(value).expect("read")
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_may_be_somebody_elses_is_told_and_not_taken() {
    let mut scene = Scene::new("taken", true).await;
    let other = "ALTER USER {k} IDENTIFIED BY 'another'";
    let back = "DROP USER {k}";
    for (what, statements, after, said) in [
        (
            "another password, and rights on another database",
            &[other, "GRANT SELECT ON mysql.* TO {k}"][..],
            &[back][..],
            "rights on `mysql`.*",
        ),
        (
            "the same, on databases of names like its own",
            &[other, "GRANT ALL PRIVILEGES ON `{name}`.* TO {k}"],
            &[back],
            "rights on `",
        ),
        (
            "rights on the whole server",
            &[other, "GRANT PROCESS ON *.* TO {k}"],
            &[back],
            "rights on *.*",
        ),
        (
            "nothing, to be handed on everywhere",
            &[other, "GRANT USAGE ON *.* TO {k} WITH GRANT OPTION"],
            &[back],
            "rights on *.*",
        ),
        (
            "a role",
            &[
                other,
                "CREATE ROLE stranger_role",
                "GRANT stranger_role TO {k}",
            ],
            &[back, "DROP ROLE stranger_role"],
            "the role `stranger_role`",
        ),
        (
            "another's place",
            &[other, "GRANT PROXY ON root@localhost TO {k}"],
            &["REVOKE PROXY ON root@localhost FROM {k}", back],
            "rights on `root`@`localhost`",
        ),
        (
            "another mark",
            &[other, "ALTER DATABASE {name} COMMENT 'mine'"],
            &[back, "ALTER DATABASE {name} COMMENT 'the run that made it'"],
            "the comment of the database",
        ),
        (
            "a plugin that is gone",
            &[
                "INSTALL SONAME 'auth_ed25519'",
                "ALTER USER {k} IDENTIFIED VIA ed25519 USING PASSWORD('another')",
                "UNINSTALL SONAME 'auth_ed25519'",
            ],
            &[back],
            "let in by ed25519",
        ),
        (
            "a server that takes no hash",
            &[other, "INSTALL SONAME 'simple_password_check'"],
            &["UNINSTALL SONAME 'simple_password_check'", back],
            "takes no hash",
        ),
    ] {
        scene.disturb(statements).await;
        let before = scene.standing().await;
        assert_eq!(scene.door().await, Door::OtherPassword, "{what}");
        let why = scene.server.why_not_mend(&scene.name, MARK, true).await;
        let why = why.expect("asked");
        assert!(
            why.as_ref().is_some_and(|why| why.contains(said)),
            "{what}: {why:?}"
        );
        let former = scene.former().await;
        let mended = scene.mend(Some(&scene.password), &former).await;
        mended.expect_err(what);
        assert_eq!(scene.standing().await, before, "{what}");
        scene.unmend("a.1", &former).await;
        assert_eq!(scene.standing().await, before, "{what}, undone");
        scene.disturb(after).await;
        let former = scene.former().await;
        scene
            .mend(Some(&scene.password), &former)
            .await
            .expect("its own");
    }

    // Somebody was faster in making a user of this name.
    scene.run(back).await;
    let former = scene.former().await;
    scene.run("CREATE USER {k} IDENTIFIED BY 'theirs'").await;
    let before = scene.standing().await;
    let mended = scene.mend(Some(&scene.password), &former).await;
    let said = format!("{:?}", mended.expect_err("it is there"));
    assert!(!said.contains(scene.password.expose()), "{said}");
    scene.unmend("a.1", &former).await;
    assert_eq!(scene.standing().await, before);

    // The site's password, and yet not let in: no password helps.
    scene.run(back).await;
    let former = scene.former().await;
    scene
        .mend(Some(&scene.password), &former)
        .await
        .expect("its own");
    scene.run("ALTER USER {k} REQUIRE SSL").await;
    assert_eq!(scene.door().await, Door::Shut);
    scene.run("ALTER USER {k} IDENTIFIED BY 'another'").await;
    let (before, former) = (scene.standing().await, scene.former().await);
    let mended = scene.mend(Some(&scene.password), &former).await;
    let said = format!("{:?}", mended.expect_err("it asks for TLS"));
    assert!(said.contains("REQUIRE"), "{said}");
    scene.unmend("a.1", &former).await;
    assert_eq!(scene.standing().await, before);
    scene.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_users_namesakes_and_rights_that_take_in_its_database_are_told_and_left() {
    let mut scene = Scene::new("near", true).await;
    assert_eq!(
        scene.server.strangers(&scene.name).await.expect("asked"),
        Vec::<String>::new()
    );
    let pattern = "k\\_near%";
    scene
        .disturb(&[
            "CREATE USER '{name}'@'%' IDENTIFIED BY 'theirs'",
            "CREATE USER ''@'10.9.8.7'",
            &format!("GRANT SELECT ON `{pattern}`.* TO ''@'10.9.8.7'"),
            "GRANT SELECT ON `k\\_other`.* TO ''@'10.9.8.7'",
            "REVOKE DROP ON {on} FROM {k}",
        ])
        .await;
    let told = scene.server.strangers(&scene.name).await.expect("asked");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("'@'%'") && told[1].contains(pattern),
        "{told:?}"
    );
    let before = scene.standing().await;
    let former = scene.former().await;
    scene.mend(None, &former).await.expect("mended");
    let own = |lines: Vec<String>, scene: &Scene| -> Vec<String> {
        let on = format!("GRANT {{}} ON {}.* TO", grant_pattern(&scene.name));
        let on = on.split("{}").last().expect("a text").to_owned();
        lines
            .into_iter()
            .filter(|line| !line.contains(&on))
            .collect()
    };
    let after = scene.standing().await;
    assert_eq!(
        own(after, &scene),
        own(before.clone(), &scene),
        "nobody else's is touched"
    );
    scene.unmend("a.1", &former).await;
    assert_eq!(scene.standing().await, before);
    scene
        .disturb(&["DROP USER '{name}'@'%', ''@'10.9.8.7'"])
        .await;
    scene.end().await;
}
