//! Making php-fpm look at a file again that was replaced at the same path. Its opcode cache keeps what a
//! file once said, and by default asks the disk only every two seconds (`opcache.revalidate_freq`): for so
//! long a site would go on with its old settings, and a health check would prove the old ones.
//!
//! So a script in the site's folder, run by php-fpm itself, has it forget that file: the cache is shared by
//! all its children. Where an operator forbids that (`opcache.restrict_api`), the time is waited out.
//! Called by the steps that replace a file of a site, after they did.

use std::time::Duration;

use crate::cx::Cx;
use crate::files::Dir;
use crate::services::php::Php;

/// The script's name in the site's folder.
const SCRIPT: &str = ".forget.php";
/// What it says when the cache does not hold the file.
const FORGOTTEN: &str = "forgotten";
/// What it says, with a number of seconds behind it, when it may not make the cache forget.
const KEPT: &str = "kept ";
/// What an operator may have set is bounded, so that no task waits for ever.
const LONGEST: u64 = 120;

/// Has php-fpm forget the file at `path`, in the site's folder, as it was. `path` is of plain parts.
///
/// # Errors
/// When php-fpm does not answer, or never looks at a file again.
pub async fn forget(cx: &Cx, php: &Php, folder: &Dir, path: &str) -> anyhow::Result<()> {
    folder.write_atomically(SCRIPT, script(path).as_bytes(), 0o444)?;
    let said = php.run_as_web_user(&folder.path().join(SCRIPT)).await;
    folder.remove_file(SCRIPT)?;
    let said = said?;
    let said = said.trim();
    if said == FORGOTTEN {
        return Ok(());
    }
    let seconds = said.strip_prefix(KEPT).map(str::parse::<u64>);
    let Some(Ok(seconds)) = seconds else {
        anyhow::bail!(
            "php-fpm goes on with the old {path}: set opcache.validate_timestamps = 1, or let \
             opcache_invalidate be called (opcache.restrict_api, disable_functions), and reload it"
        );
    };
    cx.log.info(format!(
        "php-fpm may not be told of the new {path}; it looks by itself within {seconds} s"
    ));
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(seconds.min(LONGEST) + 1)) => Ok(()),
        () = cx.stop.wanted() => Ok(cx.stop.check()?),
    }
}

/// Removes what a crash left of asking.
///
/// # Errors
/// When it cannot be removed.
pub fn clean(folder: &Dir) -> anyhow::Result<()> {
    folder.remove_file(SCRIPT)
}

fn script(path: &str) -> String {
    format!(
        r#"<?php
$path = __DIR__ . '/{path}';
if (!ini_get('opcache.enable') || !extension_loaded('Zend OPcache')
    || (function_exists('opcache_invalidate') && @opcache_invalidate($path, true))) {{
    echo '{FORGOTTEN}';
}} elseif (ini_get('opcache.validate_timestamps')) {{
    echo '{KEPT}' . (int) ini_get('opcache.revalidate_freq');
}}
"#
    )
}
