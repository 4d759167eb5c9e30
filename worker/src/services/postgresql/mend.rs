//! A site's role and database as they should be again: by functions of an administrator's (deploy/postgresql.sql), which look
//! whose both are, do it all at once, and keep what was there, so that it comes back when the task is undone. The old password
//! stays in the server.

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::DatabaseName;
use sqlx::Connection as _;

use super::{Postgresql, code_of, connect_as, scram};
use crate::secrets::Secret;
use crate::services::database::{Door, told};

/// `invalid_password`
const WRONG: &str = "28P01";
/// `invalid_authorization_specification`: a role that may not log in, or no line of pg_hba.conf.
const REFUSED: &str = "28000";
/// `insufficient_privilege`: a role that may not CONNECT.
const NO_RIGHT: &str = "42501";

impl Postgresql {
    /// What becomes of the role of this name that comes with this password, on the way that sites take.
    ///
    /// # Errors
    /// When the server does not say.
    pub async fn way_in(&self, name: &DatabaseName, password: &Secret) -> anyhow::Result<Door> {
        let refused = match connect_as(&self.for_site(name, password)).await {
            Ok(connection) => {
                connection.close().await?;
                return Ok(Door::Open);
            }
            Err(error) => error,
        };
        match code_of(&refused).as_deref() {
            Some(WRONG) => Ok(Door::OtherPassword),
            Some(NO_RIGHT) => Ok(Door::NoRight),
            Some(REFUSED) if self.is_kept_out(name).await? => Ok(Door::KeptOut),
            Some(REFUSED) => Ok(Door::Shut),
            _ => Err(told(self.server.authority(), refused))
                .context("PostgreSQL does not say who is let in"),
        }
    }

    async fn is_kept_out(&self, name: &DatabaseName) -> anyhow::Result<bool> {
        let mut connection = self.connect().await?;
        let is_let_in: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_roles r
                              JOIN pg_auth_members m ON m.member = r.oid
                              JOIN pg_roles g ON g.oid = m.roleid
                             WHERE r.rolname = $1 AND r.rolcanlogin AND g.rolname = $2)",
        )
        .bind(name.as_str())
        .bind(self.group())
        .fetch_one(&mut connection)
        .await?;
        Ok(!is_let_in)
    }

    /// Why the role and the database of this name, with this mark, are not to be mended; `None` where they are.
    ///
    /// # Errors
    /// When the server cannot be asked, or has older functions.
    pub async fn why_not_mend(
        &self,
        name: &DatabaseName,
        mark: &str,
    ) -> anyhow::Result<Option<String>> {
        let mut connection = self.connect().await?;
        sqlx::query_scalar("SELECT kolga.why_not_mend($1, $2)")
            .bind(name.as_str())
            .bind(mark)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| self.explained(error))
    }

    /// Makes the role and the database of this name what they should be, with this password where one is given. All of it or
    /// nothing.
    ///
    /// # Errors
    /// When they are not to be mended.
    pub async fn mend(
        &self,
        name: &DatabaseName,
        password: Option<&Secret>,
        mark: &str,
        run: &str,
    ) -> anyhow::Result<()> {
        let verifier = password.map(scram::verifier).transpose()?;
        let mut connection = self.locked(name).await?;
        fault::point("postgresql:change");
        sqlx::query("SELECT kolga.mend($1, $2, $3, $4)")
            .bind(name.as_str())
            .bind(verifier)
            .bind(mark)
            .bind(run)
            .execute(&mut connection)
            .await
            .map_err(|error| self.explained(error))
            .with_context(|| format!("cannot mend the database user {name}"))?;
        fault::point("postgresql:changed");
        Ok(())
    }

    /// Makes them again what they were before this run has mended them, if it has.
    ///
    /// # Errors
    /// When the server does not do it.
    pub async fn unmend(&self, name: &DatabaseName, run: &str) -> anyhow::Result<()> {
        let mut connection = self.locked(name).await?;
        fault::point("postgresql:change");
        sqlx::query("SELECT kolga.unmend($1, $2)")
            .bind(name.as_str())
            .bind(run)
            .execute(&mut connection)
            .await
            .map_err(|error| self.explained(error))
            .with_context(|| format!("the database user {name} is not again what it was"))?;
        fault::point("postgresql:changed");
        Ok(())
    }
}
