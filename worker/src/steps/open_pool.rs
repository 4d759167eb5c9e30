//! Step `open_pool`: a site that is to be made gets a pool to itself: a php-fpm with a Unix user that no other site has. It
//! is one in which nothing of a former site is left.
//!
//! Undo needs the run, which the file says that takes the pool.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::pools::{self, Pool};
use crate::site::Site;
use crate::step::{Step, UndoError};

/// Takes a pool.
pub struct OpenPool(pub Arc<Site>);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl Step for OpenPool {
    const NAME: &'static str = "open_pool";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        anyhow::ensure!(
            self.0.own_pool.is_some(),
            "{} is to share a pool",
            self.0.host
        );
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let own = self.0.own_pool.as_ref();
        let own = own.context("the site is to share a pool")?;
        let pool = first_clean(cx, record.run).await?;
        // What answers there, as its own user, is what the site will be run by.
        let php = cx.spoke.need_php()?.at(&pool.socket);
        php.ping().await?;
        cx.log
            .info(format!("PHP of {} runs as {}", self.0.host, pool.user));
        own.get_or_init(|| pool);
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let back = cx.spoke.need_pools();
        back.and_then(|pools| pools.give_back_all_of(record.run))
            .map_err(|error| UndoError::leaves("a pool that no site has", error))
    }
}

/// Takes the first pool that can be made clean. One that cannot stays nobody's.
async fn first_clean(cx: &Cx, run: Run) -> anyhow::Result<Pool> {
    let pools = cx.spoke.need_pools()?;
    let mut tried = BTreeSet::new();
    let mut why = None;
    while let Some(pool) = pools.take(&cx.spoke, run, &tried)? {
        fault::point("open_pool:taken");
        match pools::clean(cx, &pool).await {
            Ok(()) => return Ok(pool),
            Err(error) => {
                cx.stop.check()?;
                cx.log.warn(format!("{error:#}"));
                pools.give_back(&pool.user)?;
                tried.insert(pool.user);
                why = Some(error);
            }
        }
    }
    let count = pools.names().len();
    Err(match why {
        Some(error) => error.context("no pool is free and clean"),
        None => anyhow::anyhow!(
            "all {count} pools of this spoke are some site's, or of a site in the trash: make more (deploy/setup-spoke \
             --pools), empty the trash, or have the site share one"
        ),
    })
}
