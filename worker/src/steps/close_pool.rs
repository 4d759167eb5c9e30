//! Final step `close_pool`: the PHP of a site that is gone stops, and its pool can be another's, unless the book or the trash
//! has files of that user yet.

use kolga_protocol::fault;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::pools::{self, Holder};
use crate::step::FinalStep;

/// Gives a pool back.
pub struct ClosePool {
    /// By its user.
    pub pool: String,
    /// Of which site it was.
    pub host: HostName,
    /// The run that had made the site.
    pub owner: String,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    pool: String,
    host: HostName,
    owner: String,
}

impl FinalStep for ClosePool {
    const NAME: &'static str = "close_pool";
    type Record = Record;

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            pool: self.pool.clone(),
            host: self.host.clone(),
            owner: self.owner.clone(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let gone = Holder::Site(record.host.clone(), record.owner.clone());
        close(cx, &record.pool, &gone).await
    }
}

/// Gives a pool back that this holder has no more.
///
/// # Errors
/// When the spoke's books cannot be read or written.
pub(crate) async fn close(cx: &Cx, user: &str, gone: &Holder) -> anyhow::Result<()> {
    // One that the configuration does not have any more is nobody's to give.
    let Some(pools) = &cx.spoke.pools else {
        return Ok(());
    };
    let holders = pools.holders(&cx.spoke, user)?;
    let others: Vec<_> = holders.iter().filter(|holder| *holder != gone).collect();
    if others
        .iter()
        .any(|holder| matches!(holder, Holder::Site(..)))
    {
        return Ok(());
    }
    // Whoever gets it next has it cleaned first, so what stays now is only told.
    if let Ok(pool) = pools.get(user)
        && let Err(error) = pools::end_processes(cx, &pool).await
    {
        cx.log.warn(format!("{error:#}"));
    }
    fault::point("close_pool:ended");
    match others.is_empty() {
        true => pools.give_back(user),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kolga_protocol::id::{Attempt, TaskId, UnixMillis};

    use super::*;
    use crate::pools::tests::{USER, with_pools};
    use crate::registry::SiteEntry;
    use crate::testing::Scratch;
    use crate::trash::Item;

    fn entry(host: &str, owner: &str) -> SiteEntry {
        let entry = serde_json::json!({
            "host": host, "owner": owner, "profile": "php", "pool": USER, "path": "/srv/x", "installed_at": 1,
        });
        serde_json::from_value(entry).expect("an entry")
    }

    #[tokio::test]
    async fn a_pool_is_given_back_when_neither_book_nor_trash_has_a_site_of_it() {
        let scratch = Scratch::new();
        let cx = with_pools(&scratch);
        let pools = cx.spoke.need_pools().expect("some");
        let taken = || pools.taken_by(USER).expect("read").is_some();
        let last = ClosePool {
            pool: USER.to_owned(),
            host: "a.test".parse().expect("a host"),
            owner: "a run".to_owned(),
        };
        pools
            .take(&cx.spoke, cx.run, &Default::default())
            .expect("free");
        let record = FinalStep::inspect(&last, &cx).await.expect("looked");

        // The same site, made anew by another run, as a restore does it.
        let again = entry("a.test", "another run");
        cx.spoke.registry.sites.save(&again).expect("saved");
        ClosePool::finish(&cx, &record)
            .await
            .expect("nothing to do");
        assert!(taken(), "a site has it");
        cx.spoke.registry.sites.remove(&again.host).expect("gone");

        let run = kolga_protocol::id::Run::new(TaskId::generate(), Attempt::FIRST);
        let item = Item {
            run,
            why: "site.delete".to_owned(),
            at: UnixMillis(1),
            entry: entry("a.test", "a run"),
            folder: true,
            bytes: 0,
        };
        cx.spoke.trash.keep(&item).expect("kept");
        ClosePool::finish(&cx, &record).await.expect("finished");
        assert!(taken(), "files of it are in the trash");
        cx.spoke.trash.take(run, true).expect("taken");
        ClosePool::finish(&cx, &record).await.expect("finished");
        assert!(taken(), "and are there until they are destroyed");

        let gone = Holder::Trash(run, item.entry.host.clone());
        close(&cx, USER, &gone).await.expect("closed");
        assert!(!taken());
        ClosePool::finish(&cx, &record).await.expect("twice");
    }
}
