//! Labels of servers, sites and platforms: set and removed.

use kolga_protocol::names::{HostName, PlatformName, ServerName};

use super::objects::unknown_site;
use super::platforms::unknown_platform;
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
    /// A platform, on this server.
    Platform(ServerName, PlatformName),
}

/// Changes the labels of one of them.
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
        let (key, read, write, refusal) = match &self.of {
            Labelled::Server(name) => (
                vec![name.as_str()],
                "SELECT labels FROM server WHERE name = $1",
                "UPDATE server SET labels = $2 WHERE name = $1",
                unknown(name),
            ),
            Labelled::Site(host) => (
                vec![host.as_str()],
                "SELECT labels FROM site WHERE host = $1",
                "UPDATE site SET labels = $2 WHERE host = $1",
                unknown_site(host),
            ),
            Labelled::Platform(server, name) => (
                vec![server.as_str(), name.as_str()],
                "SELECT labels FROM platform WHERE server = $1 AND name = $2",
                "UPDATE platform SET labels = $3 WHERE server = $1 AND name = $2",
                unknown_platform(server, name),
            ),
        };
        let name = key.join("/");
        let mut asked = sqlx::query_scalar(read);
        for part in &key {
            asked = asked.bind(*part);
        }
        let text: Option<String> = asked.fetch_optional(&mut *tx.connection).await?;
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
        let mut change = sqlx::query(write);
        for part in &key {
            change = change.bind(*part);
        }
        change
            .bind(json(&labels).unwrap_or_default())
            .execute(&mut *tx.connection)
            .await?;
        let changes: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
        tx.audit(&self.requested_by, "label", &name, &changes.join(" "))
            .await?;
        Ok(Ok(()))
    }
}
