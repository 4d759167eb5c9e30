//! What the hub can be asked to do, apart from how it is asked. Handed work by `api`; hands it to the
//! store, whose commits wake the relay.

mod doctor;
mod inventory;
mod objects;
mod operations;
mod tasks;

use std::sync::Arc;
use std::time::Instant;

use kolga_protocol::link::{LinkConfig, LinkState, Traffic};
use kolga_protocol::names::ServerName;
use tokio::sync::watch;

use crate::janitor::Swept;
use crate::presence::Presences;
use crate::store::read::StoredServer;
use crate::store::servers::{AddServer, RemoveServer};
use crate::store::{Refusal, Store, StoreError};
use crate::topology::Topology;
use crate::wire;

/// The hub, as its API sees it.
pub struct App {
    /// The database.
    pub store: Store,
    /// Who can be heard.
    pub presences: Arc<Presences>,
    /// What is declared at the broker.
    pub topology: Arc<Topology>,
    /// Where the broker is.
    pub link: LinkConfig,
    /// The broker as configured, for people.
    pub broker: String,
    /// The link that the relay publishes over.
    pub publisher: watch::Receiver<LinkState>,
    /// The link that the inbox consumes over.
    pub inbox: watch::Receiver<LinkState>,
    /// How the janitor's last sweep went.
    pub swept: watch::Receiver<Swept>,
    /// What goes over all links of the hub.
    pub traffic: Traffic,
    /// When the hub began.
    pub began: Instant,
}

impl App {
    /// Adds a server and makes its queues.
    ///
    /// # Errors
    /// [`StoreError`]: it is there already, or the database failed.
    pub async fn add_server(
        &self,
        name: ServerName,
        requested_by: &str,
    ) -> Result<wire::Server, StoreError> {
        let add = AddServer {
            name: name.clone(),
            requested_by: requested_by.to_owned(),
        };
        self.store.write(add).await?;
        self.topology.declare(&name).await;
        self.server(&name).await
    }

    /// Removes a server on which nothing lives, and then its queues.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, something keeps it, or the database failed.
    pub async fn remove_server(
        &self,
        name: ServerName,
        requested_by: &str,
    ) -> Result<wire::RemovedServer, StoreError> {
        let remove = RemoveServer {
            name: name.clone(),
            requested_by: requested_by.to_owned(),
        };
        self.store.write(remove).await?;
        self.presences.forget(&name);
        let queues_removed = self.topology.remove(&name).await;
        Ok(wire::RemovedServer {
            name,
            queues_removed,
        })
    }

    /// One server.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn server(&self, name: &ServerName) -> Result<wire::Server, StoreError> {
        match self.store.server(name).await? {
            Some(stored) => Ok(self.shown(stored)),
            None => Err(crate::store::servers::unknown(name).into()),
        }
    }

    /// Servers after one, by name.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn servers(
        &self,
        after: Option<&ServerName>,
        limit: u32,
    ) -> Result<Vec<wire::Server>, StoreError> {
        let stored = self.store.servers(after, limit).await?;
        Ok(stored
            .into_iter()
            .map(|server| self.shown(server))
            .collect())
    }

    fn shown(&self, stored: StoredServer) -> wire::Server {
        let presence = self.presences.of(&stored.name, stored.seen_at);
        let last = self.presences.last(&stored.name);
        wire::Server {
            presence,
            seen_at: last.as_ref().map(|heard| heard.at).max(stored.seen_at),
            worker: last.map(|heard| heard.worker).or(stored.worker),
            name: stored.name,
            created_at: stored.created_at,
            open_tasks: stored.open_tasks,
            labels: stored.labels,
        }
    }
}

/// Nothing goes by that id.
fn unknown(what: &str) -> StoreError {
    StoreError::Refused(Refusal::not_found(
        "not_found",
        format!("there is no {what}"),
        None,
    ))
}
