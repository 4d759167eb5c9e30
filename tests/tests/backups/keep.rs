//! What becomes of backups over the whole system: damage on the disk is found and named, what goes is what was meant and
//! nothing else, and what is extracted is the site byte for byte, in a place where it harms nobody.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use kolga_tests::furnish::tree;
use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::small_disks::SmallDisks;
use kolga_tests::world::repository;
use serde_json::{Value, json};

use super::scene::Scene;

impl Scene {
    async fn on_server(&self, kind: &str, params: Value) -> Value {
        let task = self.hub.task(SERVER, kind, params).await;
        self.hub.ended(&task).await
    }

    /// What there is, the newest first.
    async fn ids(&self, site: Option<&str>) -> Vec<String> {
        let listed = self.on_server("backup.list", json!({"site": site})).await;
        let listed = listed["output"]["backups"].as_array().expect("a list");
        let ids = listed.iter().filter_map(|backup| backup["id"].as_str());
        ids.map(str::to_owned).collect()
    }
}

/// The largest file of the repository's data, in which the largest file of the site lies.
fn largest_pack(repository: &Path) -> PathBuf {
    let packs = tree(&repository.join("data")).into_iter();
    let path = |(path, what): (PathBuf, String)| (what != "folder").then_some(path);
    let packs = packs
        .filter_map(path)
        .map(|path| repository.join("data").join(path));
    let size = |path: &PathBuf| std::fs::metadata(path).expect("there").len();
    packs.max_by_key(size).expect("a pack")
}

fn failure(ended: &Value) -> String {
    assert_eq!(ended["state"], "failed", "{ended:#}");
    ended["failure"]["message"]
        .as_str()
        .expect("why")
        .to_owned()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_byte_that_rots_in_the_repository_is_found_and_the_file_named() {
    let scene = Scene::new("rotten").await;
    let host = "rotten.kolga.test";
    let folder = scene.install(host, "php").await;
    // No two bytes of it alike for long, so that it is not made smaller.
    let mut state = 1_u64;
    let bytes = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let photo: Vec<u8> = bytes.take(3_000_000).collect();
    std::fs::write(folder.join("docroot/photo"), photo).expect("written");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.join("docroot/photo"), mode).expect("set");
    let id = scene.backed_up(host).await;

    let whole = scene
        .on_server("backup.verify", json!({"backup": id[..8]}))
        .await;
    assert_eq!(whole["state"], "succeeded", "{whole:#}");
    assert_eq!(
        (&whole["output"]["backup"], &whole["output"]["site"]),
        (&json!(id), &json!(host))
    );
    assert!(
        whole["output"]["bytes"].as_u64() > Some(3_000_000),
        "{whole:#}"
    );

    let pack = largest_pack(&repository(&scene.stack, SERVER));
    let sound = std::fs::read(&pack).expect("read");
    let mut rotten = sound.clone();
    let middle = rotten.len() / 2;
    rotten[middle] ^= 1;
    // Its files are nobody's to write to.
    std::fs::write(&pack, &rotten).expect("written");
    let found = failure(
        &scene
            .on_server("backup.verify", json!({"backup": id}))
            .await,
    );
    assert!(found.contains("docroot/photo cannot be read"), "{found}");
    println!("one bit of {}: {found}", pack.display());
    std::fs::write(&pack, &sound).expect("written");
    let whole = scene
        .on_server("backup.verify", json!({"backup": id}))
        .await;
    assert_eq!(whole["state"], "succeeded", "{whole:#}");
    let unknown = scene
        .on_server("backup.verify", json!({"backup": "00000000"}))
        .await;
    assert!(failure(&unknown).contains("no backup"), "{unknown:#}");
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_pruned_or_deleted_goes_and_nothing_else_does() {
    let scene = Scene::new("pruned").await;
    let (one, other) = ("one.kolga.test", "other.kolga.test");
    let folder = scene.install(one, "static").await;
    scene.install(other, "static").await;
    let mut made = Vec::new();
    for number in 0..3 {
        let page = folder.join("docroot/page");
        std::fs::write(&page, format!("page {number}")).expect("written");
        std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o644)).expect("set");
        made.push(scene.backed_up(one).await);
    }
    let others = [scene.backed_up(other).await, scene.backed_up(other).await];

    let wish = |dry_run: bool| json!({"site": one, "daily": 1, "weekly": 1, "monthly": 1, "dry_run": dry_run});
    let told = scene.on_server("backup.prune", wish(true)).await;
    assert_eq!(
        (&told["output"]["kept"], &told["output"]["gone"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(scene.ids(None).await.len(), 5, "it only told");
    let done = scene.on_server("backup.prune", wish(false)).await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    assert_eq!(done["output"]["removed"], told["output"]["removed"]);
    assert_eq!(scene.ids(Some(one)).await, [made[2].clone()]);
    assert_eq!(
        scene.ids(Some(other)).await,
        [others[1].clone(), others[0].clone()]
    );

    let delete = |site: &str, backup: &str, last: bool| {
        let params = json!({"site": site, "backup": backup, "last": last});
        scene.on_server("backup.delete", params)
    };
    let wrong = failure(&delete(one, &others[0], true).await);
    assert!(wrong.contains("no backup"), "{wrong}");
    let gone = delete(other, &others[0][..8], false).await;
    assert_eq!(
        gone["output"]["removed"][0]["id"],
        json!(others[0]),
        "{gone:#}"
    );
    let only = failure(&delete(other, &others[1], false).await);
    assert!(only.contains("--last"), "{only}");
    assert_eq!(scene.ids(None).await.len(), 2);

    // What is left is whole, by restic's own word too.
    scene.restic(&["check", "--read-data"]);
    scene.restore(&made[2]);
    let relative = folder.strip_prefix("/").expect("absolute");
    assert_eq!(tree(&scene.restored.join(relative)), tree(&folder));
    let last = delete(other, &others[1], true).await;
    assert_eq!(last["state"], "succeeded", "{last:#}");
    assert!(scene.ids(Some(other)).await.is_empty());
    scene.end(&[one, other]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_extracted_is_the_site_byte_for_byte_and_lends_nobody_anything() {
    let scene = Scene::new("extracted").await;
    let host = "looked.kolga.test";
    let folder = scene.install(host, "php").await;
    let program = folder.join("docroot/lend");
    std::fs::write(&program, "#!/bin/true\n").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o6755)).expect("set");
    symlink("/etc", folder.join("docroot/out")).expect("linked");
    let mut wanted = tree(&folder);
    wanted.retain(|(path, _)| !path.ends_with("settings.php"));
    let id = scene.backed_up(host).await;

    let extract = json!({"backup": id[..8], "folder": "looked-at"});
    let ended = scene.on_server("backup.extract", extract.clone()).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    let path = PathBuf::from(ended["output"]["path"].as_str().expect("a path"));
    let relative = folder.strip_prefix("/").expect("absolute");
    assert_eq!(tree(&path.join(relative)), wanted);
    assert!(path.join("database.sql").is_file() && path.join("manifest.json").is_file());
    let top = std::fs::metadata(&path).expect("there");
    assert_eq!((top.mode() & 0o7777, top.uid()), (0o700, scene.stack.uid()));
    let lend = std::fs::metadata(path.join(relative).join("docroot/lend")).expect("there");
    assert_eq!(lend.mode() & 0o6000, 0, "it lends nothing");

    let before = tree(&path);
    let again = failure(&scene.on_server("backup.extract", extract).await);
    assert!(again.contains("there already"), "{again}");
    assert_eq!(tree(&path), before, "never over anything");
    for hostile in ["..", "../sites", ".hidden", "/etc", "a/b", ""] {
        let params = json!({"backup": id, "folder": hostile});
        let wish = json!({"server": SERVER, "kind": "backup.extract", "params": params});
        let (status, answer) = scene.hub.request("POST", "/v1/tasks", Some(&wish)).await;
        assert_eq!(status, 400, "{hostile:?}: {answer}");
    }
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_backup_that_would_leave_out_what_is_mounted_in_a_site_is_refused_and_so_is_the_deletion()
{
    let scene = Scene::new("mounted").await;
    let host = "mounted.kolga.test";
    let folder = scene.install(host, "static").await;
    let media = folder.join("docroot/more media");
    std::fs::create_dir(&media).expect("a folder");
    let uid = Some(scene.stack.uid());
    std::os::unix::fs::chown(&media, uid, uid).expect("the worker's");
    let disk = SmallDisks::over(media.clone(), 1);
    std::fs::write(media.join("picture"), "a picture").expect("written");
    let backup = scene.backup(host).await;
    let deletion = Request::delete(&format!("/v1/sites/{host}"));
    let deletion = scene.hub.ended(&scene.hub.ask(&deletion).await).await;
    for ended in [backup, deletion] {
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let told = ended["failure"]["message"].as_str().expect("a reason");
        assert!(told.contains(&media.display().to_string()), "{told}");
    }
    assert!(media.join("picture").exists());
    assert_eq!(
        scene.hub.get(&format!("/v1/sites/{host}")).await["host"],
        host
    );
    drop(disk);
    let made = scene.backup(host).await;
    assert_eq!(made["state"], "succeeded", "{made:#}");
    scene.end(&[host]).await;
}
