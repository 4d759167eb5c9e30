//! Starts the move of a site to another server: an operation whose items are its stages. From the same transaction on the
//! site is the move's, and no other task of it is made.

use kolga_protocol::names::{HostName, PlatformName, ServerName};
use sqlx::Row;

use super::super::bulk::Bulk;
use super::super::objects::{ready_site, unknown_site};
use super::super::rows::json;
use super::super::tx::{Operation, Outcome, Refusal, Tx, plain};
use super::Running;
use super::preparing::INSERT_SERVERS;
use super::stages::Move;
use crate::selector::Selector;
use crate::wire::{ItemState, MOVE, OperationId, OperationState, Stage};

/// Brings a site to another server.
#[derive(Clone, Debug)]
pub struct StartMove {
    /// Which.
    pub host: HostName,
    /// Where to.
    pub to: ServerName,
    /// Whose code it is to use there; that of the same name as here when nothing is said.
    pub platform: Option<PlatformName>,
    /// Who asks.
    pub requested_by: String,
}

static INSERT_STAGES: Bulk = Bulk::new(
    "INSERT INTO operation_item (operation, place, server, site, state, stage) VALUES",
    6,
    "",
);

impl Operation for StartMove {
    type Answer = OperationId;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<OperationId>, sqlx::Error> {
        let this = match self.judge(tx).await? {
            Ok(this) => this,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let id = OperationId::generate();
        self.write(tx, id, &this).await?;
        let Some(mut operation) = Running::load(tx, id).await? else {
            return Err(sqlx::Error::RowNotFound);
        };
        operation.begin(tx, &this, Stage::Source).await?;
        let detail = format!("{MOVE} of {} from {} to {}", this.site, this.from, this.to);
        tx.audit(
            &self.requested_by,
            "operation.start",
            &id.to_string(),
            &detail,
        )
        .await?;
        Ok(Ok(id))
    }
}

impl StartMove {
    /// What the hub knows to be in the way. The servers are asked for the rest before anything is touched.
    async fn judge(&self, tx: &mut Tx<'_>) -> Result<Outcome<Move>, sqlx::Error> {
        let host = &self.host;
        let row = sqlx::query("SELECT server, platform, naming FROM site WHERE host = $1")
            .bind(host.as_str())
            .fetch_optional(&mut *tx.connection)
            .await?;
        let Some(row) = row else {
            return Ok(Err(unknown_site(host)));
        };
        let wrong = |what: &str| sqlx::Error::Decode(format!("site.{what} cannot be read").into());
        let from: String = row.try_get("server")?;
        let from: ServerName = from.parse().map_err(|_| wrong("server"))?;
        if from == self.to {
            return Ok(Err(Refusal::conflict(
                "nothing_to_do",
                format!("site {host} is on server {from} already"),
                format!(
                    "to another platform there it comes with `kolga site migrate {host} --to PLATFORM`"
                ),
            )));
        }
        if let Err(refusal) = ready_site(tx, &from, host).await? {
            return Ok(Err(refusal));
        }
        if let Some(busy) = row.try_get::<Option<String>, _>("naming")? {
            return Ok(Err(Refusal::conflict(
                "names_busy",
                format!("the names of site {host} are being changed already"),
                format!("see `kolga task show {busy}`, then ask again"),
            )));
        }
        let now: Option<String> = row.try_get("platform")?;
        let now: Option<PlatformName> = now
            .map(|name| name.parse().map_err(|_| wrong("platform")))
            .transpose()?;
        let platform = match (now, &self.platform) {
            (None, Some(wanted)) => {
                return Ok(Err(Refusal::invalid(
                    "bad_platform",
                    format!("site {host} uses no platform: leave {wanted} out"),
                    None,
                )));
            }
            (now, wanted) => wanted.clone().or(now),
        };
        let this = Move {
            site: host.clone(),
            from,
            to: self.to.clone(),
            platform,
        };
        Ok(this.in_the_way(tx).await?.map(|()| this))
    }

    async fn write(
        &self,
        tx: &mut Tx<'_>,
        id: OperationId,
        this: &Move,
    ) -> Result<(), sqlx::Error> {
        let selector = Selector {
            sites: vec![this.site.clone()],
            ..Selector::default()
        };
        let total = i64::try_from(Stage::ALL.len()).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO operation (id, kind, params, selector, requested_by, created_at, parallel, stop_after, state,
                                    total, waiting, open, succeeded, failed, cancelled, skipped)
             VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $8, $8, 0, 0, 0, 0, 0)",
        )
        .bind(id.to_string())
        .bind(MOVE)
        .bind(json(this).unwrap_or_default())
        .bind(json(&selector).unwrap_or_default())
        .bind(plain(&self.requested_by))
        .bind(tx.now.0)
        .bind(OperationState::Running.as_str())
        .bind(total)
        .execute(&mut *tx.connection)
        .await?;
        let operation = id.to_string();
        let mut written = INSERT_STAGES
            .execute(tx.connection, &Stage::ALL, |query, stage| {
                query
                    .bind(operation.clone())
                    .bind(i64::try_from(stage.place()).unwrap_or(i64::MAX))
                    .bind(this.server(*stage).to_string())
                    .bind(this.site.to_string())
                    .bind(ItemState::Waiting.as_str())
                    .bind(stage.as_str())
            })
            .await?;
        let servers: Vec<(&ServerName, i64)> = [&this.from, &this.to]
            .into_iter()
            .map(|server| {
                let there = Stage::ALL
                    .iter()
                    .filter(|stage| this.server(**stage) == server);
                (server, i64::try_from(there.count()).unwrap_or(i64::MAX))
            })
            .collect();
        written += INSERT_SERVERS
            .execute(tx.connection, &servers, |query, (server, waiting)| {
                query
                    .bind(operation.clone())
                    .bind(server.to_string())
                    .bind(*waiting)
                    .bind(0_i64)
            })
            .await?;
        tx.effects.rows += written + 1;
        Ok(())
    }
}
