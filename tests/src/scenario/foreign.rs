//! What an operator has on a spoke and Kolga has not made: a folder of plain files among those that sites are imported from,
//! or of a WordPress or a MediaWiki with a database of its own.

use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::scenario::SERVER;
use crate::stack::Stack;
use crate::world::maria;

/// Where Debian puts WordPress, and MediaWiki.
const WORDPRESS: &str = "/usr/share/wordpress";
const MEDIAWIKI: &str = "/usr/share/mediawiki";
/// Where the WordPress of here believes to be.
const ADDRESS: &str = "http://old.example.org/blog";
/// Its database, and the user of the same name; its password.
const DATABASE: &str = "stranger_blog";
const PASSWORD: &str = "stranger's";

/// Where sites are imported from. It is one of the spoke's folders, so that it is looked at like the others.
#[must_use]
pub fn imports(stack: &Stack) -> PathBuf {
    let config = stack.spoke(SERVER, "config");
    config.parent().expect("a folder").join("imports")
}

/// The folder of one site.
#[must_use]
pub fn folder(stack: &Stack) -> PathBuf {
    imports(stack).join("old")
}

/// Puts it there.
///
/// # Panics
/// When it cannot.
pub fn put(stack: &Stack) {
    let folder = folder(stack);
    std::fs::create_dir_all(folder.join("deep/er")).expect("folders");
    for (path, text) in [
        ("index.html", "<h1>somebody else's</h1>"),
        ("deep/er/page.html", "deeper"),
        ("style.css", "h1 { color: teal }"),
    ] {
        std::fs::write(folder.join(path), text).expect("a file");
    }
    std::os::unix::fs::symlink("../page.html", folder.join("deep/er/link")).expect("a link");
}

/// Puts a WordPress there, with the tables of a site's database under another prefix.
///
/// # Panics
/// When it cannot.
pub async fn put_wordpress(stack: &Stack, of: &str) {
    let folder = folder(stack);
    let code = [
        "index.php",
        "wp-load.php",
        "wp-settings.php",
        "wp-admin/includes/upgrade.php",
        "wp-includes/version.php",
    ];
    put_code(&folder, WORDPRESS, &code);
    let uploads = folder.join("wp-content/uploads/2024");
    std::fs::create_dir_all(&uploads).expect("folders");
    std::fs::write(uploads.join("photo.txt"), "a photo").expect("a file");
    let settings = format!(
        "<?php\ndefine('DB_NAME', '{DATABASE}');\ndefine('DB_USER', '{DATABASE}');\n\
         define('DB_PASSWORD', \"{PASSWORD}\");\ndefine('DB_HOST', 'localhost');\n$table_prefix = 'blog_';\n"
    );
    std::fs::write(folder.join("wp-config.php"), settings).expect("a file");
    copy_database(stack, of, |table| table.replacen("wp_", "blog_", 1)).await;
    let own = [
        format!(
            "UPDATE {DATABASE}.blog_options SET option_value = '{ADDRESS}' WHERE option_name IN ('home', 'siteurl')"
        ),
        format!(
            "UPDATE {DATABASE}.blog_options SET option_name = 'blog_user_roles' WHERE option_name = 'wp_user_roles'"
        ),
        format!(
            "UPDATE {DATABASE}.blog_usermeta SET meta_key = REPLACE(meta_key, 'wp_', 'blog_') WHERE meta_key LIKE 'wp\\_%'"
        ),
    ];
    run(stack, &own).await;
}

/// Puts a MediaWiki there, with the tables of a site's database, whose names get a prefix.
///
/// # Panics
/// When it cannot.
pub async fn put_mediawiki(stack: &Stack, of: &str) {
    let folder = folder(stack);
    let code = [
        "index.php",
        "load.php",
        "includes/Setup.php",
        "includes/Defines.php",
        "maintenance/install.php",
        "skins/Vector/skin.json",
    ];
    put_code(&folder, MEDIAWIKI, &code);
    // It is of an older release than the platform, which so has something to do with its tables.
    let version = folder.join("includes/Defines.php");
    let text = std::fs::read_to_string(&version).expect("Debian's");
    let older = text.replace(
        "define( 'MW_VERSION', '1.39.",
        "define( 'MW_VERSION', '1.38.",
    );
    assert_ne!(older, text, "the version is elsewhere");
    std::fs::write(&version, older).expect("a file");
    let images = folder.join("images/a/ab");
    std::fs::create_dir_all(&images).expect("folders");
    std::fs::write(images.join("Boat.png"), "a boat").expect("a file");
    let settings = format!(
        "<?php\n$wgSitename = 'The old harbour';\n$wgDBtype = 'mysql';\n$wgDBserver = 'localhost';\n\
         $wgDBname = '{DATABASE}';\n$wgDBuser = '{DATABASE}';\n$wgDBpassword = \"{PASSWORD}\";\n\
         $wgDBprefix = 'old_';\n$wgLanguageCode = 'en';\nwfLoadSkin('Vector');\n"
    );
    std::fs::write(folder.join("LocalSettings.php"), settings).expect("a file");
    copy_database(stack, of, |table| format!("old_{table}")).await;
}

/// The files by which an application is known.
fn put_code(folder: &Path, from: &str, files: &[&str]) {
    for file in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::copy(Path::new(from).join(file), path).expect("Debian's");
    }
}

/// Makes the database out of a site's, with its tables under other names.
async fn copy_database(stack: &Stack, of: &str, named: impl Fn(&str) -> String) {
    let mut server = maria(stack).await;
    let tables = format!("SHOW TABLES FROM {of}");
    let tables = server.fetch_all(AssertSqlSafe(tables)).await;
    let tables = tables.expect("a site's database");
    let mut statements = vec![
        format!("CREATE DATABASE {DATABASE}"),
        format!("CREATE USER {DATABASE}@localhost IDENTIFIED BY \"{PASSWORD}\""),
        format!("GRANT ALL ON {DATABASE}.* TO {DATABASE}@localhost"),
    ];
    for row in tables {
        let table: String = row.get_unchecked(0);
        let own = named(&table);
        statements.push(format!("CREATE TABLE {DATABASE}.{own} LIKE {of}.{table}"));
        statements.push(format!(
            "INSERT INTO {DATABASE}.{own} SELECT * FROM {of}.{table}"
        ));
    }
    run(stack, &statements).await;
}

async fn run(stack: &Stack, statements: &[String]) {
    let mut server = maria(stack).await;
    for statement in statements {
        let done = server.execute(AssertSqlSafe(statement.clone())).await;
        done.expect(statement);
    }
}
