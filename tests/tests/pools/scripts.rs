//! What a profile has run for a site with a pool to itself runs as that pool's user.

use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use serde_json::json;

use super::scene::Scene;

const PROFILE: &str = r#"name = "told"
description = "Its scripts say as whom they run"
needs = { php = true }
[[directories]]
path = "docroot"
mode = "0750"
web = "read"
[[directories]]
path = "files"
mode = "0770"
web = "write"
[[files]]
path = "docroot/index.php"
template = "index.php"
mode = "0644"
[installer]
script = "told.php"
timeout_seconds = 60
[commands.say]
description = "Says it again"
script = "told.php"
timeout_seconds = 60
[vhost]
template = "vhost.conf"
[healthy]
path = "/"
status = 200
text = "here"
"#;
/// Who it is, whether a set-user-id program could lead further, and whether it may write where PHP may not.
const TOLD: &str = r#"<?php
$site = json_decode(stream_get_contents(STDIN), true)['site'];
preg_match('/NoNewPrivs:\s+(\d)/', file_get_contents('/proc/self/status'), $bound);
$writes = (int) (@file_put_contents("$site/docroot/new", 'x') !== false);
@unlink("$site/docroot/new");
file_put_contents("$site/files/told", posix_geteuid() . " $bound[1] $writes\n", FILE_APPEND);
"#;
const VHOST: &str = "server {
    listen {{ listen[0] }};
    server_name {{ host }};
    root {{ site }}/docroot;
    location / {
        fastcgi_pass unix:{{ fpm_socket }};
        fastcgi_param SCRIPT_FILENAME $document_root/index.php;
{{ fastcgi_params }}
    }
}
";

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_installer_and_a_command_run_as_the_user_of_the_sites_pool_who_gains_nothing() {
    let stack = Stack::load();
    let profile = stack.spoke(SERVER, "profiles").join("told");
    std::fs::create_dir_all(&profile).expect("a folder");
    for (name, text) in [
        ("profile.toml", PROFILE),
        ("told.php", TOLD),
        ("index.php", "here\n"),
        ("vhost.conf", VHOST),
    ] {
        std::fs::write(profile.join(name), text).expect("written");
    }
    let scene = Scene::new(0).await;
    let worker = scene.stack.uid();
    for (host, pool) in [("own.kolga.test", "own"), ("shared.kolga.test", "shared")] {
        let body =
            json!({"host": host, "server": SERVER, "profile": "told", "options": {"pool": pool}});
        let task = scene.hub.ask(&Request::post("/v1/sites", body)).await;
        scene.hub.succeeds(&task).await;
        scene
            .on_site(host, "site.run", json!({"command": "say"}))
            .await;
        // What PHP's user may not write in his own site, nor gain, a script of the site may not either.
        let wanted = match pool {
            "own" => format!("{} 1 0\n", scene.pool_user(host)),
            _ => format!("{worker} 0 1\n"),
        };
        let told = std::fs::read_to_string(scene.folder(host).join("files/told"));
        assert_eq!(told.expect("told"), wanted.repeat(2), "{host}");
        let names = std::fs::read_dir(scene.folder(host))
            .expect("read")
            .flatten();
        let names: Vec<_> = names.map(|entry| entry.file_name()).collect();
        assert!(
            !names
                .iter()
                .any(|name| name.to_string_lossy().ends_with(".php")),
            "{names:?}"
        );
    }
    scene.end(&["own.kolga.test", "shared.kolga.test"]).await;
    std::fs::remove_dir_all(&profile).expect("removed");
}
