//! Locks of sites: while one is on, no task that changes the site is made. What only looks at it, makes a copy
//! of it or brings it back to what it should be is let through.

use kolga_protocol::names::HostName;
use kolga_protocol::object::{Access, Object};
use kolga_protocol::task::Params;
use sqlx::AnyConnection;

use super::objects::unknown_site;
use super::rows::json;
use super::tx::{Operation, Outcome, Refusal, Tx, plain};
use crate::wire::Locked;

/// Locks a site, or unlocks it.
#[derive(Clone, Debug)]
pub struct SetSiteLock {
    /// Which.
    pub host: HostName,
    /// Whether it is to be locked.
    pub locked: bool,
    /// Why, for those whom it will be in the way.
    pub reason: String,
    /// Who.
    pub requested_by: String,
}

impl Operation for SetSiteLock {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let lock = Locked {
            at: tx.now,
            by: plain(&self.requested_by),
            reason: plain(&self.reason),
        };
        let lock = self.locked.then(|| json(&lock)).flatten();
        let touched = sqlx::query("UPDATE site SET locked = $2 WHERE host = $1")
            .bind(self.host.as_str())
            .bind(lock)
            .execute(&mut *tx.connection)
            .await?
            .rows_affected();
        if touched == 0 {
            return Ok(Err(unknown_site(&self.host)));
        }
        let action = match self.locked {
            true => "site.lock",
            false => "site.unlock",
        };
        let subject = self.host.as_str();
        tx.audit(&self.requested_by, action, subject, &self.reason)
            .await?;
        Ok(Ok(()))
    }
}

/// Refuses a task that changes a locked site.
pub(super) async fn refuse_locked(
    connection: &mut AnyConnection,
    params: &Params,
) -> Result<Outcome<()>, sqlx::Error> {
    if leaves_it_as_it_is(params) {
        return Ok(Ok(()));
    }
    for claim in params.claims() {
        let changes = claim.access == Access::Exclusive || lets_in(params);
        let (Object::Site(host), true) = (&claim.object, changes) else {
            continue;
        };
        let locked: Option<String> =
            sqlx::query_scalar("SELECT locked FROM site WHERE host = $1 AND locked IS NOT NULL")
                .bind(host.as_str())
                .fetch_optional(&mut *connection)
                .await?;
        let Some(locked) = locked else { continue };
        let why = serde_json::from_str::<Locked>(&locked)
            .map_or_else(|_| "locked".to_owned(), |lock| lock.to_string());
        return Ok(Err(Refusal::conflict(
            "site_locked",
            format!("site {host} is {why}"),
            format!("see `kolga site show {host}`; unlock it with `kolga site unlock {host}`"),
        )));
    }
    Ok(Ok(()))
}

/// Tasks that change nothing themselves, and let somebody in who may.
fn lets_in(params: &Params) -> bool {
    matches!(params, Params::SiteLogin(_))
}

/// Tasks that have a site for themselves and yet do not make another of it. Any other may not touch a locked
/// one, so a new type of task is refused until somebody has thought about it.
fn leaves_it_as_it_is(params: &Params) -> bool {
    matches!(params, Params::SiteVerify(_))
}
