//! Destroying an item of the trash: final, and done again until it is done.

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use tokio::sync::Mutex;

use super::Item;
use crate::cx::Cx;
use crate::pools::Holder;
use crate::steps::close_pool::close;
use crate::steps::trash_site;

/// One at a time: a task and the sweep may want the same.
static ONE: Mutex<()> = Mutex::const_new(());

/// Destroys what this run has put into the trash; nothing has to be there. Gives back whether there was.
///
/// # Errors
/// When a part cannot be destroyed; what could be is gone, and the rest is known still.
pub async fn destroy(cx: &Cx, run: Run) -> anyhow::Result<bool> {
    let _one = ONE.lock().await;
    let Some(item) = cx.spoke.trash.take(run, true)? else {
        return Ok(false);
    };
    fault::point("trash:begun");
    trash_site::empty(cx, run).await?;
    fault::point("trash:folder");
    drop_database(cx, &item).await?;
    if let Some(pool) = item.entry.pool.as_ref().filter(|_| item.folder) {
        let gone = Holder::Trash(run, item.entry.host.clone());
        close(cx, pool, &gone).await?;
        fault::point("trash:pool");
    }
    cx.spoke.trash.forget(run)?;
    cx.log
        .info(format!("destroyed what was {}", item.entry.host));
    Ok(true)
}

async fn drop_database(cx: &Cx, item: &Item) -> anyhow::Result<()> {
    let Some(name) = &item.entry.database else {
        return Ok(());
    };
    let (service, owner) = (cx.spoke.database(item.entry.engine)?, &item.entry.owner);
    let comment = service.comment_of(name).await?;
    if comment.is_some_and(|comment| comment != *owner) {
        cx.log.warn(format!(
            "the database {name} is not the one that lay in the trash: it stays, and so does its user"
        ));
        return Ok(());
    }
    service.drop_database_of(name, owner).await?;
    fault::point("trash:database");
    service.drop_user_of(name, Some(owner)).await
}
