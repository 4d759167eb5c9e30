//! The recipes of `deploy/recipes`, for real.

use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use serde_json::{Value, json};

use super::scene::*;

/// What sudo lets the worker's user do, for as long as this is kept.
struct Sudoers(PathBuf);

impl Sudoers {
    fn allow(stack: &Stack, commands: &[String]) -> Self {
        let user = stack.text("/user");
        let line = |command: &String| format!("{user} ALL=(www-data) NOPASSWD: {command}\n");
        let text: String = commands.iter().map(line).collect();
        let file = PathBuf::from(format!(
            "/etc/sudoers.d/kolga-recipes-{}",
            std::process::id()
        ));
        std::fs::write(&file, text).expect("written");
        mode(&file, 0o440);
        Self(file)
    }
}

impl Drop for Sudoers {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn the_shipped_recipes_do_what_they_say_and_no_link_leads_them_out_of_their_site() {
    let who = "[[steps]]\nname = \"who\"\ndo = [\"/usr/bin/id\"]\nrun_as = \"www-data\"\nnothing_to_undo = true\n";
    let scene = Scene::new(&[("who", who)]).await;
    let neighbour = "beside.kolga.test";
    for host in [HOST, neighbour] {
        let task = scene.hub.install(SERVER, host, "static", None).await;
        scene.hub.succeeds(&task).await;
    }
    let page = async || {
        let url = format!(
            "http://127.0.0.1:{}/notice.html",
            scene.stack.http_port(SERVER)
        );
        let answer = reqwest::Client::new().get(url).header("host", HOST).send();
        let answer = answer.await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let before = scene.world().await;
    let on = [
        "run",
        "notice-on",
        "--param",
        &format!("site={HOST}"),
        "--param",
        "text=It's $(5)",
        "--wait",
    ];
    let told = scene.cli(&on);
    assert!(told.status.success(), "{told:?}");
    let (status, text) = page().await;
    assert!(
        status == 200 && text.contains("<p>It's $(5)</p>"),
        "{status} {text}"
    );
    let again = scene.run("notice-on", json!({"site": HOST})).await;
    assert!(
        said(&again).contains("notice.html is there already"),
        "{again:#}"
    );
    let usage = scene
        .ask(
            "site-usage",
            json!({"site": HOST, "params": {"depth": "2"}}),
        )
        .await;
    scene.hub.succeeds(&usage).await;
    let log = scene.hub.log(&usage).await;
    assert!(
        log.iter().any(|line| line.ends_with("\t./docroot")),
        "{log:#?}"
    );
    let off = scene.cli(&[
        "run",
        "notice-off",
        "--on",
        SERVER,
        "-p",
        &format!("site={HOST}"),
        "-w",
    ]);
    assert!(off.status.success(), "{off:?}");
    assert_eq!(page().await.0, 404);
    scene.nothing_differs("on and off", &before).await;

    let listed = scene.cli(&["recipe", "list", "--on", SERVER, "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let all = listed["recipes"].as_array().expect("a list");
    let notice = all
        .iter()
        .find(|recipe| recipe["name"] == "notice-on")
        .expect("listed");
    assert_eq!(
        notice["params"][1]["accepts"],
        "1 to 500 bytes matching [^<>&]*"
    );
    assert!(
        !listed.to_string().contains("/usr/bin"),
        "no command leaves the spoke: {listed}"
    );

    // A site that is not there, one that is locked, and a recipe that works on none.
    let path = format!("/v1/servers/{SERVER}/recipes/notice-on");
    let (status, answer) = scene
        .hub
        .request("POST", &path, Some(&json!({"site": "no.kolga.test"})))
        .await;
    assert_eq!(status, 404, "{answer}");
    scene
        .hub
        .post(&format!("/v1/sites/{HOST}/lock"), &json!({}))
        .await;
    let (status, answer) = scene
        .hub
        .request("POST", &path, Some(&json!({"site": HOST})))
        .await;
    assert_eq!(status, 409, "{answer}");
    scene
        .hub
        .request("DELETE", &format!("/v1/sites/{HOST}/lock"), None)
        .await;
    let shown = scene.run("who", json!({"site": HOST})).await;
    assert!(said(&shown).contains("it works on no site"), "{shown:#}");

    // The docroot becomes a link into the neighbour's.
    let sites = scene.stack.spoke(SERVER, "sites_root");
    let docroot = sites.join(HOST).join("docroot");
    std::fs::rename(&docroot, docroot.with_extension("kept")).expect("moved");
    symlink(sites.join(neighbour).join("docroot"), &docroot).expect("linked");
    let before = scene.world().await;
    let shown = scene.run("notice-on", json!({"site": HOST})).await;
    assert_eq!(shown["state"], "failed", "{shown:#}");
    assert!(said(&shown).contains("Permission denied"), "{shown:#}");
    scene.nothing_differs("a link", &before).await;
    std::fs::remove_file(&docroot).expect("the link");
    std::fs::rename(docroot.with_extension("kept"), &docroot).expect("moved back");

    as_another_user(&scene).await;
    scene.end().await;
}

/// The recipe that empties nginx's cache, as the user whose it is; refused where that user's processes could not be
/// ended.
async fn as_another_user(scene: &Scene) {
    let shipped = shipped(&scene.stack).join("clear-nginx-cache.toml");
    let text = std::fs::read_to_string(shipped).expect("shipped");
    let cache = scene.work.join("cache");
    let text = text.replace("/var/cache/nginx/kolga", &shown(&cache));
    let file = scene.recipes.join("clear-cache.toml");
    std::fs::write(&file, text.replace("clear-nginx-cache\"", "clear-cache\"")).expect("written");
    mode(&file, 0o644);
    std::fs::create_dir_all(cache.join("a/bc")).expect("made");
    std::fs::write(cache.join("a/bc/page"), "cached").expect("written");
    for path in ["", "a", "a/bc", "a/bc/page"] {
        chown(cache.join(path), Some(33), Some(33)).expect("www-data's");
    }
    mode(&cache, 0o700);
    let has = |listed: &Value| listed.to_string().contains("clear-cache");
    scene.reload("clear-cache is offered", has).await;
    if scene.stack.cgroup(SERVER).is_none() {
        let shown = scene.run("clear-cache", json!({})).await;
        assert!(said(&shown).contains("needs cgroups"), "{shown:#}");
        println!("no cgroups here: to run as another user is refused");
        return;
    }
    let shown = scene.run("clear-cache", json!({})).await;
    assert_eq!(
        shown["state"], "failed",
        "sudo has not allowed it yet: {shown:#}"
    );
    let find = format!(
        "/usr/bin/find {} -mindepth 1 -type f -delete",
        cache.display()
    );
    let sudoers = Sudoers::allow(&scene.stack, &[find, "/usr/bin/id".to_owned()]);
    let shown = scene.run("clear-cache", json!({})).await;
    assert_eq!(shown["state"], "succeeded", "{shown:#}");
    assert!(!cache.join("a/bc/page").exists() && cache.join("a/bc").exists());
    let task = scene.ask("who", json!({})).await;
    scene.hub.succeeds(&task).await;
    let log = scene.hub.log(&task).await;
    let wanted = "uid=33(www-data) gid=33(www-data) groups=33(www-data)";
    assert!(log.iter().any(|line| line == wanted), "{log:#?}");
    drop(sudoers);
}
