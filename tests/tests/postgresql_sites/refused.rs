//! What stands in the way is refused and stays, and so is a choice that makes no sense.

use kolga_protocol::names::DatabaseName;
use serde_json::{Value, json};

use super::scene::Scene;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_bears_the_name_of_a_sites_is_refused_and_stays_and_so_is_a_profile_that_takes_no_postgresql()
 {
    let scene = Scene::new(|stack| stack).await;
    let host = "named.kolga.test";
    let name = DatabaseName::for_site(&host.parse().expect("a host")).to_string();
    for (make, drop) in [
        (
            format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'mine'"),
            format!("DROP ROLE \"{name}\""),
        ),
        (
            format!("CREATE DATABASE \"{name}\""),
            format!("DROP DATABASE \"{name}\""),
        ),
    ] {
        scene.run("postgres", &make).await;
        let planted = scene.all().await;
        let ended = scene
            .asked(host, "php", json!({"database": "postgresql"}))
            .await;
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let told = ended["failure"]["message"].as_str().unwrap_or_default();
        assert!(told.contains(&name), "{ended:#}");
        assert_eq!(scene.all().await, planted);
        scene.run("postgres", &drop).await;
    }
    for (profile, database, why) in [
        ("static", "postgresql", "have no database"),
        ("wordpress", "postgresql", "in MariaDB and nowhere else"),
        ("php", "oracle", "mariadb or postgresql"),
    ] {
        let ended = scene
            .asked(host, profile, json!({"database": database}))
            .await;
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let failure = &ended["failure"];
        let told = failure["message"].as_str().unwrap_or_default();
        assert!(told.contains(why), "{profile}: {failure:#}");
        assert_eq!(failure["step"], Value::Null, "before its first step");
    }
    assert_eq!(scene.all().await, Vec::<String>::new());
    // Without a choice it is MariaDB.
    let ended = scene.asked(host, "php", json!({})).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert_eq!(scene.all().await, Vec::<String>::new());
    scene.end(&[host]).await;
}
