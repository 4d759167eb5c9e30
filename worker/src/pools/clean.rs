//! A pool's user without anything of a former site: no process, no temporary file. All of it is done as that very user, who
//! can do it and nothing worse.

use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::fault;

use super::Pool;
use crate::cx::Cx;

const KILL: &str = "/usr/bin/kill";
const FIND: &str = "/usr/bin/find";
/// How the master of a php-fpm calls itself.
const MASTER: &[u8] = b"php-fpm: master process";
/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is killed what has ended the one that was to kill it.
const TRIES: usize = 20;
/// What is killed needs a moment to go.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a pool ready for its next site.
///
/// # Errors
/// When a process or a file of its user stays: no site should have it then.
pub async fn clean(cx: &Cx, pool: &Pool) -> anyhow::Result<()> {
    end_processes(cx, pool).await?;
    fault::point("pools:no_process");
    let shown = pool.temporary.display();
    let find = pool.command(FIND).arg(&pool.temporary);
    let removed = find
        .args(["-mindepth", "1", "-delete"])
        .time_limit(PATIENCE)
        .capture(cx)
        .await?;
    removed
        .success(FIND)
        .map(drop)
        .with_context(|| format!("cannot empty {shown}, where a former site's PHP has written"))
}

/// Ends every process of a pool's user. The kernel takes all that there are at one moment, so what forks is not faster; what is
/// there afterwards are new children of its php-fpm, whose master is root's, and which nobody has asked for anything.
///
/// # Errors
/// When one stays.
pub async fn end_processes(cx: &Cx, pool: &Pool) -> anyhow::Result<()> {
    for _ in 0..TRIES {
        let kill = pool.command(KILL).args(["-KILL", "-1"]);
        let killed = kill.time_limit(PATIENCE).capture(cx).await?;
        anyhow::ensure!(
            !said_by_sudo(&killed.stderr),
            "cannot run anything as {}: {}",
            pool.user,
            String::from_utf8_lossy(&killed.stderr).trim()
        );
        // That there was none to kill is an error of kill's. It may have been killed itself, by one of those whom it is for.
        let has_killed = matches!(killed.status.code(), Some(0 | 1));
        if has_killed && !has_process(pool.uid) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    anyhow::bail!("a process of {} does not end", pool.user)
}

fn said_by_sudo(said: &[u8]) -> bool {
    said.starts_with(b"sudo:") || said.starts_with(b"Sorry,")
}

/// Whether a process runs as this user that is no child of root's php-fpm. `/proc` itself belongs to root for one that lets
/// nobody look into it, as those do, so it is the status that is asked.
fn has_process(uid: u32) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(status_of)
        .filter(|status| runs_as(status, uid))
        .any(|status| {
            let parent = field(&status, "PPid:").parse();
            !parent.is_ok_and(is_master)
        })
}

/// Whether this is the master of a php-fpm, and root's: a name is easily given, a user is not.
fn is_master(pid: u32) -> bool {
    let named = std::fs::read(format!("/proc/{pid}/cmdline"));
    status_of(pid).is_some_and(|status| field(&status, "Uid:").starts_with("0\t0\t0\t"))
        && named.is_ok_and(|name| name.starts_with(MASTER))
}

fn status_of(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/status")).ok()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let mut lines = status.lines();
    let found = lines.find_map(|line| line.strip_prefix(name));
    found.unwrap_or_default().trim()
}

fn runs_as(status: &str, uid: u32) -> bool {
    // One that is dead and not yet buried does nothing any more.
    let dead = field(status, "State:").starts_with(['Z', 'X']);
    let mut numbers = field(status, "Uid:").split_whitespace().take(3);
    !dead && numbers.any(|number| number.parse() == Ok(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_its_users_by_any_of_its_numbers_unless_it_is_dead() {
        let status = |state: &str, uids: &str| format!("Name:\tx\nState:\t{state}\nUid:\t{uids}\n");
        for uids in ["7\t7\t7\t7", "7\t0\t0\t0", "0\t7\t0\t7", "0\t0\t7\t0"] {
            assert!(runs_as(&status("S (sleeping)", uids), 7), "{uids}");
            assert!(!runs_as(&status("Z (zombie)", uids), 7), "{uids}");
        }
        assert!(!runs_as(&status("S (sleeping)", "77\t0\t0\t7"), 7));
        assert!(has_process(rustix::process::geteuid().as_raw()), "this one");
        assert!(!is_master(std::process::id()));
    }
}
