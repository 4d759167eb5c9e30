//! Makes another of a site than its profile wants, in every way that `site.verify` mends: so a try of it has
//! something to do, and something to take back.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use sqlx::{AssertSqlSafe, Executor as _};

use super::{PROFILES, SERVER, Scenario, needs, plain, platform};
use crate::stack::Stack;
use crate::world::{maria, postgresql, reload_web};

/// Changes the site of this scenario.
///
/// # Panics
/// When it is not as it was installed, or verified.
pub(super) async fn disturb(scenario: Scenario, stack: &Stack) {
    let host = scenario.host();
    let site = stack.spoke(SERVER, "sites_root").join(&host);
    let profile = scenario.profile.expect("a site has a profile");
    let manifest = &PROFILES
        .get(&plain(profile).parse().expect("a name"))
        .expect("built in")
        .manifest;
    if let Some(file) = manifest.files.first() {
        std::fs::remove_file(site.join(&file.path)).expect("it was there");
    }
    let folder = site.join(&manifest.directories.last().expect("it has one").path);
    // One with something in it stays, with another mode.
    if std::fs::remove_dir(&folder).is_err() {
        let mode = std::fs::Permissions::from_mode(0o705);
        std::fs::set_permissions(&folder, mode).expect("changed");
    }
    if let Some(link) = manifest.links.iter().find(|link| link.each) {
        let folder = site.join(&link.path);
        let first = std::fs::read_dir(&folder).expect("there").flatten().next();
        std::fs::remove_file(first.expect("it has one").path()).expect("a link");
        let folder_of_ours = std::fs::metadata(&folder).expect("there");
        let platform = stack
            .spoke(SERVER, "platforms")
            .join(platform::shared(profile))
            .join("code");
        let (at, gone) = (folder.join("gone"), platform.join(&link.to).join("gone"));
        std::os::unix::fs::symlink(gone, &at).expect("a link that leads nowhere");
        let (uid, gid) = (folder_of_ours.uid(), folder_of_ours.gid());
        std::os::unix::fs::lchown(&at, Some(uid), Some(gid)).expect("the worker's");
    }
    if needs(profile).database.any() {
        let settings = site.join("private/settings.php");
        let mut text = std::fs::read_to_string(&settings).expect("it has some");
        text.push_str("// changed by hand\n");
        std::fs::write(&settings, text).expect("changed");
        let database = scenario.database().expect("it has one");
        match scenario.is_on_postgresql() {
            true => disturb_postgresql(stack, &database).await,
            false => disturb_mariadb(stack, &database).await,
        }
    }
    let config = stack.spoke(SERVER, "config");
    let vhosts = config.parent().expect("a folder").join("conf/sites.d");
    let vhost = vhosts.join(format!("{host}.conf"));
    let mut text = std::fs::read_to_string(&vhost).expect("it has one");
    text.push_str("# changed by hand\n");
    std::fs::write(&vhost, text).expect("changed");
    reload_web(stack, SERVER).await;
}

/// All of a user that is mended, but for that there is one.
async fn disturb_mariadb(stack: &Stack, database: &str) {
    let mut server = maria(stack).await;
    let (user, pattern) = (
        format!("`{database}`@localhost"),
        database.replace('_', "\\_"),
    );
    for statement in [
        format!(
            "ALTER USER {user} IDENTIFIED BY 'another' ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 3 DAY"
        ),
        format!("ALTER USER {user} PASSWORD EXPIRE"),
        format!("REVOKE DELETE, CREATE TEMPORARY TABLES ON `{pattern}`.* FROM {user}"),
    ] {
        let done = server.execute(AssertSqlSafe(statement.clone())).await;
        done.expect(&statement);
    }
}

/// All of a role that is mended, but for that there is one: what an undo has to bring back is most where it is there.
async fn disturb_postgresql(stack: &Stack, database: &str) {
    let mut server = postgresql(stack, "postgres").await;
    for statement in [
        format!("ALTER ROLE {database} NOLOGIN PASSWORD 'another'"),
        format!("REVOKE CONNECT ON DATABASE {database} FROM {database}"),
        format!("ALTER DATABASE {database} OWNER TO CURRENT_USER"),
        format!("GRANT TEMPORARY ON DATABASE {database} TO PUBLIC"),
    ] {
        let done = server.execute(AssertSqlSafe(statement.clone())).await;
        done.expect(&statement);
    }
}
