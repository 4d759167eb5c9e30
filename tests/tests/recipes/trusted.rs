//! What lies on the spoke.

use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use kolga_tests::scenario::SERVER;
use kolga_tests::worker::command;
use serde_json::{Value, json};

use super::scene::*;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_others_could_have_written_is_no_recipe() {
    let touch = "[[steps]]\nname = \"touch\"\ndo = [\"/usr/bin/touch\", \"WORK/x\"]\nundo = [\"/usr/bin/rm\", \"-f\", \"WORK/x\"]\n";
    let scene = Scene::new(&[("touch", touch), ("other", touch)]).await;
    let file = scene.recipes.join("touch.toml");
    let broken = |count: usize| {
        move |listed: &Value| {
            listed["broken"]
                .as_array()
                .is_some_and(|all| all.len() == count)
        }
    };
    let check = |file: &Path| command(&scene.stack, SERVER, &["recipe", "check", &shown(file)]);
    assert!(check(&file).status.success(), "{:?}", check(&file));
    let mut refused = 0;
    for spoil in ["writable", "owner", "link", "folder"] {
        let kept = std::fs::read(&file).expect("a recipe");
        match spoil {
            "writable" => mode(&file, 0o646),
            // As the web user, who is a tenant's PHP.
            "owner" => chown(&file, Some(33), None).expect("given away"),
            "link" => {
                std::fs::rename(&file, scene.work.join("touch")).expect("moved");
                symlink(scene.work.join("touch"), &file).expect("linked");
            }
            _ => mode(&scene.recipes, 0o777),
        }
        let count = if spoil == "folder" { 2 } else { 1 };
        scene.reload(spoil, broken(count)).await;
        let told = check(&file);
        assert!(!told.status.success(), "{spoil}: {told:?}");
        let shown = scene.run("touch", json!({})).await;
        assert!(
            said(&shown).contains("there is no recipe touch"),
            "{spoil}: {shown:#}"
        );
        if spoil != "folder" {
            let shown = scene.run("other", json!({})).await;
            assert_eq!(shown["state"], "succeeded", "{spoil}: {shown:#}");
        }
        refused += 1;
        mode(&scene.recipes, 0o755);
        drop(std::fs::remove_file(&file));
        std::fs::write(&file, kept).expect("written");
        mode(&file, 0o644);
        scene.reload("right again", broken(0)).await;
    }
    // A program in a place where the web user could put another.
    let program = scene.work.join("program");
    std::fs::write(&program, "#!/bin/sh\n").expect("written");
    mode(&program, 0o755);
    chown(&program, Some(33), None).expect("given away");
    scene.write(
        "foreign",
        &touch.replacen("/usr/bin/touch", &shown(&program), 1),
    );
    scene.write(
        "rooted",
        &touch.replace("undo =", "run_as = \"root\"\nundo ="),
    );
    scene.reload("rooted is refused", broken(1)).await;
    let shown = scene.run("foreign", json!({})).await;
    assert!(said(&shown).contains("written by others"), "{shown:#}");
    let listed = scene.listed().await;
    assert!(
        listed["broken"][0].to_string().contains("run as root"),
        "{listed:#}"
    );
    println!("{refused} ways in which others could write were refused");
    scene.end().await;
}
