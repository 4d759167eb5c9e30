//! Turns: how many moves to one server may keep their sites from visitors at once. A site made of its backup shares the
//! disks of its server with every other that is made there, so what is too much would only be slower, behind a
//! maintenance page. Whoever has to wait waits before that page goes up, both servers having looked, and nothing of it open.
//!
//! The transaction that ends a turn begins the next, so nobody has to remember who waits.

use kolga_protocol::names::ServerName;
use sqlx::Row;

use super::super::super::tx::Tx;
use super::super::Running;
use super::tasks::Move;
use super::{decode, free};
use crate::wire::{OperationId, Stage};

/// Sites on their way to one server: while one is made there, another is packed up.
const AT_ONCE: usize = 2;

/// The moves to one server that go on.
#[derive(Default)]
struct Line {
    /// How many have their site held, or about to be.
    at_it: usize,
    /// Those that wait for their turn, who asked first first.
    waiting: Vec<OperationId>,
}

async fn line(tx: &mut Tx<'_>, to: &ServerName) -> Result<Line, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT operation.id, operation.params, operation_item.stage
           FROM operation LEFT JOIN operation_item
                ON operation_item.operation = operation.id AND operation_item.state = 'made'
          WHERE operation.state = 'running' AND operation.kind = 'site.move' ORDER BY operation.id",
    )
    .fetch_all(&mut *tx.connection)
    .await?;
    let mut line = Line::default();
    for row in rows {
        let (id, params): (String, String) = (row.try_get("id")?, row.try_get("params")?);
        let this: Move = serde_json::from_str(&params)
            .map_err(|error| decode(format!("parameters of operation {id}: {error}")))?;
        if this.to != *to {
            continue;
        }
        let stage: Option<String> = row.try_get("stage")?;
        match stage
            .map(|stage| stage.parse())
            .transpose()
            .map_err(decode)?
        {
            Some(Stage::Hold | Stage::Receive) => line.at_it += 1,
            Some(Stage::Source | Stage::Target | Stage::Release) => {}
            None => line.waiting.push(
                id.parse()
                    .map_err(|_| decode(format!("operation {id:?}")))?,
            ),
        }
    }
    Ok(line)
}

impl Running {
    /// Both servers have looked: the site is held now, or when it has its turn.
    pub(super) async fn take_turn(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
    ) -> Result<(), sqlx::Error> {
        if line(tx, &this.to).await?.at_it < AT_ONCE {
            return self.begin(tx, this, Stage::Hold).await;
        }
        self.reason = Some(format!(
            "{} can take the site, and waits: {AT_ONCE} others are on their way there",
            this.to
        ));
        self.save(tx).await
    }
}

/// A turn at this server may have ended: those who wait for one have theirs.
pub(super) async fn next(tx: &mut Tx<'_>, to: &ServerName) -> Result<(), sqlx::Error> {
    loop {
        let line = line(tx, to).await?;
        let Some(&id) = line.waiting.first().filter(|_| line.at_it < AT_ONCE) else {
            return Ok(());
        };
        let Some(mut operation) = Running::load(tx, id).await? else {
            return Err(sqlx::Error::RowNotFound);
        };
        let this = operation.as_move()?;
        match this.in_the_way(tx).await? {
            Ok(()) => operation.begin(tx, &this, Stage::Hold).await?,
            Err(refusal) => {
                free(tx, &this).await?;
                let why = format!(
                    "the site is on {} as it was: {}",
                    this.from, refusal.message
                );
                operation.over(tx, why).await?;
            }
        }
    }
}
