//! Operations and labels: started, found, steered.

use kolga_protocol::names::{HostName, PlatformName, ServerName};

use super::App;
use crate::selector::LabelChange;
use crate::store::labels::{Labelled, SetLabels};
use crate::store::operations::relocate::StartMove;
use crate::store::operations::start::{Start, Started, Work};
use crate::store::operations::steer::{CancelOperation, Pause, ResumeOperation};
use crate::store::operations::unknown;
use crate::store::{Refusal, StoreError};
use crate::wire::{
    self, NewMove, NewOperation, Operation, OperationId, Platform, Presence, Server, Site,
};

/// Tasks of an operation that are open at once, unless it is said otherwise: few enough that what goes wrong with
/// all of them goes wrong with few.
const PARALLEL: u32 = 4;

impl App {
    /// Starts an operation, or only says what it would be carried out on.
    ///
    /// # Errors
    /// [`StoreError`]: the parameters or the selector are wrong, nothing is meant, or the database failed.
    pub async fn start_operation(
        &self,
        new: NewOperation,
        who: &str,
    ) -> Result<Started, StoreError> {
        let start = Start {
            work: Work::new(&new.kind, new.params, new.each)?,
            select: new.select,
            parallel: new.parallel.unwrap_or(PARALLEL),
            per_server: new.per_server,
            stop_after: new.stop_after.unwrap_or(0),
            dry_run: new.dry_run,
            requested_by: who.to_owned(),
        };
        self.store.start(start).await
    }

    /// Brings a site to another server.
    ///
    /// # Errors
    /// [`StoreError`]: something that the hub knows of is in the way, or the database failed.
    pub async fn move_site(
        &self,
        host: HostName,
        new: NewMove,
        who: &str,
    ) -> Result<Operation, StoreError> {
        let from = self.site(&host).await?.server;
        for server in [&from, &new.server] {
            self.refuse_one_that_is_silent(server, &host).await?;
        }
        let start = StartMove {
            host,
            to: new.server,
            platform: new.platform,
            requested_by: who.to_owned(),
        };
        let id = self.store.write(start).await?;
        self.operation(id).await
    }

    /// One operation.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        self.store
            .operation(id)
            .await?
            .ok_or_else(|| unknown(&id.to_string()).into())
    }

    /// The operation that an id, or an unambiguous part of one, names.
    ///
    /// # Errors
    /// [`StoreError`]: it names none or several.
    pub async fn find_operation(&self, part: &str) -> Result<OperationId, StoreError> {
        match self.store.find_operations(part).await?.as_slice() {
            [one] => Ok(*one),
            [] => Err(unknown(part).into()),
            _ => Err(Refusal::conflict(
                "operation_ambiguous",
                format!("more than one operation goes by {part}"),
                "give more of its id".to_owned(),
            )
            .into()),
        }
    }

    /// Makes no more tasks until it is resumed.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be paused as it stands, or the database failed.
    pub async fn pause(&self, operation: OperationId, who: &str) -> Result<Operation, StoreError> {
        let requested_by = who.to_owned();
        let pause = Pause {
            operation,
            requested_by,
        };
        self.store.write(pause).await?;
        self.operation(operation).await
    }

    /// Goes on.
    ///
    /// # Errors
    /// [`StoreError`]: there is nothing to go on with, or the database failed.
    pub async fn resume(
        &self,
        operation: OperationId,
        retry_failed: bool,
        who: &str,
    ) -> Result<Operation, StoreError> {
        let resume = ResumeOperation {
            operation,
            retry_failed,
            requested_by: who.to_owned(),
        };
        self.store.write(resume).await?;
        self.operation(operation).await
    }

    /// Makes no more tasks, and cancels those that are open unless they may end.
    ///
    /// # Errors
    /// [`StoreError`]: it is over, or the database failed.
    pub async fn cancel_operation(
        &self,
        operation: OperationId,
        how: wire::CancelOperation,
        who: &str,
    ) -> Result<Operation, StoreError> {
        let wire::CancelOperation {
            let_finish,
            target_is_gone,
        } = how;
        if target_is_gone {
            self.refuse_one_that_answers(operation).await?;
        }
        let cancel = CancelOperation {
            operation,
            let_finish,
            target_is_gone,
            requested_by: who.to_owned(),
        };
        self.store.write(cancel).await?;
        self.operation(operation).await
    }

    /// A move that waits for a server keeps everything else from the site: one that is not there is told at once.
    async fn refuse_one_that_is_silent(
        &self,
        server: &ServerName,
        host: &HostName,
    ) -> Result<(), StoreError> {
        let how = match self.server(server).await?.presence {
            Presence::Online => return Ok(()),
            Presence::Silent => "has fallen silent",
            Presence::NeverSeen => "has not been heard yet",
        };
        Err(Refusal::conflict(
            "server_silent",
            format!("server {server} {how}, and both servers have to look before site {host} is touched"),
            format!("see there whether kolga-worker runs, then ask again; see `kolga server show {server}`"),
        )
        .into())
    }

    /// A server that can be heard is not gone for good.
    async fn refuse_one_that_answers(&self, operation: OperationId) -> Result<(), StoreError> {
        let shown = self.operation(operation).await?;
        let to = shown.params.get("to").and_then(|to| to.as_str());
        let to: Option<ServerName> = to.and_then(|to| to.parse().ok());
        let Some(to) = to else { return Ok(()) };
        // What was heard before this hub began counts too, or a restart would make everybody seem gone.
        match self.server(&to).await?.presence {
            Presence::Online => Err(Refusal::conflict(
                "server_answers",
                format!("server {to} is online, and may be at work on the site"),
                format!("cancel without that, and {to} undoes what it has done: kolga op cancel {operation}"),
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// Changes a server's labels.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn label_server(
        &self,
        name: &ServerName,
        changes: Vec<LabelChange>,
        who: &str,
    ) -> Result<Server, StoreError> {
        self.label(Labelled::Server(name.clone()), changes, who)
            .await?;
        self.server(name).await
    }

    /// Changes a site's labels.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn label_site(
        &self,
        host: &HostName,
        changes: Vec<LabelChange>,
        who: &str,
    ) -> Result<Site, StoreError> {
        self.label(Labelled::Site(host.clone()), changes, who)
            .await?;
        self.site(host).await
    }

    /// Changes a platform's labels.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn label_platform(
        &self,
        server: &ServerName,
        name: &PlatformName,
        changes: Vec<LabelChange>,
        who: &str,
    ) -> Result<Platform, StoreError> {
        let of = Labelled::Platform(server.clone(), name.clone());
        self.label(of, changes, who).await?;
        self.platform(server, name).await
    }

    async fn label(
        &self,
        of: Labelled,
        changes: Vec<LabelChange>,
        who: &str,
    ) -> Result<(), StoreError> {
        let requested_by = who.to_owned();
        let set = SetLabels {
            of,
            changes,
            requested_by,
        };
        self.store.write(set).await
    }
}
