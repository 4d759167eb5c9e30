//! Labels of servers and sites: set and removed.

use kolga_protocol::names::{HostName, ServerName};

use super::objects::unknown_site;
use super::rows::json;
use super::servers::unknown;
use super::tx::{Operation, Outcome, Refusal, Tx};
use crate::selector::{LabelChange, Labels, MOST_LABELS};

/// What is marked.
#[derive(Clone, Debug)]
pub enum Labelled {
    /// A server.
    Server(ServerName),
    /// A site.
    Site(HostName),
}

/// Changes the labels of a server or a site.
#[derive(Clone, Debug)]
pub struct SetLabels {
    /// Of what.
    pub of: Labelled,
    /// One after the other.
    pub changes: Vec<LabelChange>,
    /// Who.
    pub requested_by: String,
}

impl Operation for SetLabels {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let (name, read, write, refusal) = match &self.of {
            Labelled::Server(name) => (
                name.as_str(),
                "SELECT labels FROM server WHERE name = $1",
                "UPDATE server SET labels = $2 WHERE name = $1",
                unknown(name),
            ),
            Labelled::Site(host) => (
                host.as_str(),
                "SELECT labels FROM site WHERE host = $1",
                "UPDATE site SET labels = $2 WHERE host = $1",
                unknown_site(host),
            ),
        };
        let text: Option<String> = sqlx::query_scalar(read)
            .bind(name)
            .fetch_optional(&mut *tx.connection)
            .await?;
        let Some(text) = text else {
            return Ok(Err(refusal));
        };
        let mut labels: Labels =
            serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
        for change in &self.changes {
            change.apply(&mut labels);
        }
        if labels.len() > MOST_LABELS {
            return Ok(Err(Refusal::invalid(
                "too_many_labels",
                format!("{name} would have {} labels", labels.len()),
                format!("{MOST_LABELS} are the most"),
            )));
        }
        sqlx::query(write)
            .bind(name)
            .bind(json(&labels).unwrap_or_default())
            .execute(&mut *tx.connection)
            .await?;
        let changes: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
        tx.audit(&self.requested_by, "label", name, &changes.join(" "))
            .await?;
        Ok(Ok(()))
    }
}
