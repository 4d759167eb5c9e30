//! `site.delete` over the whole system: what it deletes it has kept, what it cannot keep it does not delete, and a tenant who
//! swaps folders for links meanwhile has nothing deleted but his own.

use std::os::unix::fs::{chown, symlink};
use std::path::Path;
use std::time::Duration;

use kolga_tests::furnish::{tree, write};
use kolga_tests::hub::Request;
use kolga_tests::scenario::{SERVER, trash};
use kolga_tests::swapper::{Swapper, pair};
use kolga_tests::world::repository;
use serde_json::Value;

use super::scene::Scene;

impl Scene {
    /// Deletes a site as an operator does who says no more than its name.
    async fn deleted(&self, host: &str) -> Value {
        let request = Request::delete(&format!("/v1/sites/{host}"));
        self.hub.ended(&self.hub.ask(&request).await).await
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_deleted_site_is_in_the_backup_that_the_deletion_made_first() {
    let scene = Scene::new("last").await;
    let host = "last.kolga.test";
    let folder = scene.install(host, "php").await;
    let mut wanted = tree(&folder);
    wanted.retain(|(path, _)| !path.ends_with("settings.php"));
    let ended = scene.deleted(host).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert!(!folder.exists());
    scene.restore(ended["output"]["backup"].as_str().expect("a backup"));
    let relative = folder.strip_prefix("/").expect("absolute");
    assert_eq!(tree(&scene.restored.join(relative)), wanted);
    assert!(scene.restored.join("database.sql").is_file());
    scene.end(&[]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_be_backed_up_is_not_deleted_unless_that_is_said() {
    let scene = Scene::without_repository("unkept").await;
    let host = "unkept.kolga.test";
    let folder = scene.install(host, "php").await;
    let before = tree(&folder);
    // The repository is there and is none.
    let repository = repository(&scene.stack, SERVER);
    std::fs::create_dir(&repository).expect("a folder");
    std::fs::write(repository.join("config"), "nobody's").expect("written");
    let ended = scene.deleted(host).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    let told = ended["failure"].to_string();
    assert!(told.contains("--no-backup"), "{told}");
    assert!(told.contains("make_snapshot"), "{told}");
    assert_eq!(tree(&folder), before);
    let url = format!("http://127.0.0.1:{}/", scene.stack.http_port(SERVER));
    let asked = reqwest::Client::new().get(url).header("host", host).send();
    assert_eq!(asked.await.expect("an answer").status().as_u16(), 200);
    let gone = scene.hub.delete(host).await;
    scene.hub.succeeds(&gone).await;
    assert!(!folder.exists());
    scene.end(&[]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_tenant_who_swaps_folders_for_links_while_he_is_deleted_has_nothing_of_a_neighbours_removed()
 {
    let scene = Scene::with_trash("swapping", 1).await;
    let (victim, tenant) = ("victim.kolga.test", "tenant.kolga.test");
    let theirs = scene.install(victim, "static").await;
    let inside = theirs.join("docroot/inside");
    let worker = scene.stack.uid();
    fill(&inside, worker);
    let before = tree(&theirs);
    let mut swaps = 0;
    for micros in [0, 0, 50, 1_000] {
        let own = scene.install(tenant, "static").await;
        let docroot = own.join("docroot");
        fill(&docroot.join("inside"), worker);
        symlink(&inside, docroot.join("other")).expect("linked");
        let swapper = Swapper::start(&docroot, pair("inside", "other"));
        swapper.pause(Duration::from_micros(micros));
        // Into the trash, and out of the world.
        let gone = scene.hub.delete(tenant).await;
        scene.hub.succeeds(&gone).await;
        assert!(!own.exists());
        let destroyed = scene.hub.ask(&trash::empty(&scene.stack)).await;
        scene.hub.succeeds(&destroyed).await;
        swaps += swapper.end();
        assert_eq!(tree(&theirs), before, "the neighbour's is as it was");
    }
    println!("{swaps} swaps of a folder for a link to a neighbour's in four deletions");
    scene.end(&[victim]).await;
}

/// A folder that takes a while to remove, of this user's.
fn fill(folder: &Path, user: u32) {
    std::fs::create_dir(folder).expect("a folder");
    for number in 0..2000 {
        write(&folder.join(number.to_string()), b"text", 0o644, user);
    }
    chown(folder, Some(user), None).expect("his");
}
