//! What moves and where to, and what the task of each stage is told: what the servers have said in the stages before.

use kolga_protocol::names::{HostName, PlatformName, ServerName};
use kolga_protocol::task::{Params, site_hold, site_receive, site_release};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::super::locks::refuse_locked;
use super::super::super::moving::takes_it;
use super::super::super::servers;
use super::super::super::tx::{Outcome, Tx};
use super::super::Running;
use crate::wire::Stage;

/// Which site moves, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::store::operations) struct Move {
    pub(in crate::store::operations) site: HostName,
    pub(in crate::store::operations) from: ServerName,
    pub(in crate::store::operations) to: ServerName,
    pub(in crate::store::operations) platform: Option<PlatformName>,
}

impl Move {
    /// Where a stage is carried out.
    pub(in crate::store::operations) fn server(&self, stage: Stage) -> &ServerName {
        match stage {
            Stage::Source | Stage::Hold | Stage::Release => &self.from,
            Stage::Target | Stage::Receive => &self.to,
        }
    }

    /// What goes on in a stage.
    pub(super) fn now(&self, stage: Stage) -> String {
        let (from, to) = (&self.from, &self.to);
        match stage {
            Stage::Source => format!("{from} says what the site is"),
            Stage::Target => format!("{to} looks whether it can take the site"),
            Stage::Hold => format!("{from} shows the maintenance page, and makes a backup"),
            Stage::Receive => format!("{to} makes the site of the backup"),
            Stage::Release => format!("the site comes back on {from}"),
        }
    }

    /// What its server is told that holds it.
    pub(in crate::store::operations) fn hold(&self, check: bool) -> site_hold::Params {
        site_hold::Params {
            site: self.site.clone(),
            to: Some(self.to.clone()),
            check,
            seal: None,
        }
    }

    fn receive(&self, offer: Box<site_hold::Offer>) -> site_receive::Params {
        site_receive::Params {
            site: self.site.clone(),
            from: self.from.clone(),
            offer,
            platform: self.platform.clone(),
            backup: None,
            sealed: None,
        }
    }

    /// What its server is told that gives it up.
    pub(super) fn release(&self, to: Option<&ServerName>) -> Params {
        Params::SiteRelease(site_release::Params {
            site: self.site.clone(),
            to: to.cloned(),
            unheld: false,
        })
    }

    /// What the hub knows to be in its way, whatever is being done with the site.
    pub(in crate::store::operations) async fn in_the_way(
        &self,
        tx: &mut Tx<'_>,
    ) -> Result<Outcome<()>, sqlx::Error> {
        if let Err(refusal) = servers::known(tx, &self.to).await? {
            return Ok(Err(refusal));
        }
        let hold = Params::SiteHold(self.hold(false));
        if let Err(refusal) = refuse_locked(tx.connection, &hold).await? {
            return Ok(Err(refusal));
        }
        let Some(platform) = &self.platform else {
            return Ok(Ok(()));
        };
        let profile: String = sqlx::query_scalar("SELECT profile FROM site WHERE host = $1")
            .bind(self.site.as_str())
            .fetch_one(&mut *tx.connection)
            .await?;
        takes_it(tx, &self.to, platform, &self.site, &profile).await
    }
}

impl Running {
    /// What it moves.
    pub(super) fn as_move(&self) -> Result<Move, sqlx::Error> {
        serde_json::from_value(Value::Object(self.params.clone())).map_err(|error| {
            sqlx::Error::Decode(format!("parameters of operation {}: {error}", self.id).into())
        })
    }

    /// What the task of a stage is told; or why that cannot be said, since what an earlier one has given cannot be read.
    pub(super) async fn params_of(
        &self,
        tx: &mut Tx<'_>,
        this: &Move,
        stage: Stage,
    ) -> Result<Result<Params, String>, sqlx::Error> {
        Ok(match stage {
            Stage::Source => Ok(Params::SiteHold(this.hold(true))),
            Stage::Target => {
                let source = self.output::<site_hold::Output>(tx, Stage::Source).await?;
                source.map(|source| Params::SiteReceive(this.receive(source.offer)))
            }
            Stage::Hold => {
                let target = self
                    .output::<site_receive::Output>(tx, Stage::Target)
                    .await?;
                target.map(|target| {
                    Params::SiteHold(site_hold::Params {
                        seal: target.seal,
                        ..this.hold(false)
                    })
                })
            }
            Stage::Receive => {
                let held = self.output::<site_hold::Output>(tx, Stage::Hold).await?;
                held.and_then(|held| {
                    let backup = held.backup.unwrap_or_default().parse();
                    Ok(Params::SiteReceive(site_receive::Params {
                        backup: Some(backup.map_err(|error| format!("its backup: {error}"))?),
                        sealed: held.sealed,
                        ..this.receive(held.offer)
                    }))
                })
            }
            Stage::Release => Ok(this.release(None)),
        })
    }
}
