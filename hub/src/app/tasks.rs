//! Tasks: made, found, cancelled, retried, and shown with what is in their way.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{RecipeName, ServerName};
use kolga_protocol::state::State;
use kolga_protocol::task::{
    Params, ping, recipe_list, recipe_run, server_inventory, server_verify,
};

use super::App;
use crate::store::cancel::{Cancel, unknown_task};
use crate::store::create::Create;
use crate::store::read::{Filter, Found};
use crate::store::retry::Retry;
use crate::store::{Refusal, StoreError};
use crate::wire::{self, Presence, Task, TaskDetail};

impl App {
    /// Makes tasks of any kind.
    ///
    /// # Errors
    /// [`StoreError`]: the parameters are wrong, something is in the way, or the database failed.
    pub async fn create(
        &self,
        new: wire::NewTask,
        requested_by: &str,
    ) -> Result<Vec<TaskId>, StoreError> {
        let params = read(&new.kind, new.params)?;
        self.make(new.server, params, new.count.unwrap_or(1), requested_by)
            .await
    }

    /// Asks a server to probe itself.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such server, or the database failed.
    pub async fn verify(&self, server: ServerName, who: &str) -> Result<Task, StoreError> {
        let params = Params::ServerVerify(server_verify::Params::default());
        self.make_one(server, params, who).await
    }

    /// Asks a server what there is on it.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such server, or the database failed.
    pub async fn take_inventory(&self, server: ServerName, who: &str) -> Result<Task, StoreError> {
        let params = Params::ServerInventory(server_inventory::Params::default());
        self.make_one(server, params, who).await
    }

    /// Asks a server which recipes it offers.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such server, or the database failed.
    pub async fn list_recipes(&self, server: ServerName, who: &str) -> Result<Task, StoreError> {
        let params = Params::RecipeList(recipe_list::Params::default());
        self.make_one(server, params, who).await
    }

    /// Has a server run one of its recipes. Whether there is one, and what it can be told, the server knows.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such server, the site is not on it, or the database failed.
    pub async fn run_recipe(
        &self,
        server: ServerName,
        recipe: RecipeName,
        new: wire::NewRecipeRun,
        who: &str,
    ) -> Result<Task, StoreError> {
        let params = Params::RecipeRun(recipe_run::Params {
            recipe,
            site: new.site,
            params: new.params,
        });
        self.make_one(server, params, who).await
    }

    /// Sends so many pings.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such server, or the database failed.
    pub async fn ping(
        &self,
        server: ServerName,
        count: u32,
        who: &str,
    ) -> Result<Vec<TaskId>, StoreError> {
        let params = Params::Ping(ping::Params::default());
        self.make(server, params, count, who).await
    }

    pub(super) async fn make_one(
        &self,
        server: ServerName,
        params: Params,
        who: &str,
    ) -> Result<Task, StoreError> {
        let made = self.make(server, params, 1, who).await?;
        match made.as_slice() {
            [task] => self.task(*task).await,
            _ => Err(super::unknown("task")),
        }
    }

    async fn make(
        &self,
        server: ServerName,
        params: Params,
        count: u32,
        who: &str,
    ) -> Result<Vec<TaskId>, StoreError> {
        let create = Create {
            server,
            params,
            count,
            requested_by: who.to_owned(),
        };
        self.store.write(create).await
    }

    /// The task that an id, or an unambiguous part of one, names.
    ///
    /// # Errors
    /// [`StoreError`]: it names none or several.
    pub async fn find(&self, part: &str) -> Result<TaskId, StoreError> {
        match self.store.find_task(part).await? {
            Found::One(task) => Ok(task),
            Found::None => Err(unknown_task(part).into()),
            Found::Several => Err(Refusal::conflict(
                "task_ambiguous",
                format!("more than one task goes by {part}"),
                "give more of its id".to_owned(),
            )
            .into()),
        }
    }

    /// One task.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn task(&self, id: TaskId) -> Result<Task, StoreError> {
        match self.store.task(id).await? {
            Some(task) => Ok(self.with_obstacle(task)),
            None => Err(unknown_task(&id.to_string()).into()),
        }
    }

    /// One task whole.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn task_detail(&self, id: TaskId) -> Result<TaskDetail, StoreError> {
        match self.store.task_detail(id).await? {
            Some(mut detail) => {
                detail.task = self.with_obstacle(detail.task);
                Ok(detail)
            }
            None => Err(unknown_task(&id.to_string()).into()),
        }
    }

    /// Tasks, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database failed.
    pub async fn tasks(&self, filter: &Filter) -> Result<Vec<Task>, StoreError> {
        let tasks = self.store.tasks(filter).await?;
        Ok(tasks
            .into_iter()
            .map(|task| self.with_obstacle(task))
            .collect())
    }

    /// Cancels a task: at once when nobody has it yet, else by asking its worker.
    ///
    /// # Errors
    /// [`StoreError`]: it is finished, or the database failed.
    pub async fn cancel(&self, task: TaskId, who: &str) -> Result<Task, StoreError> {
        let requested_by = who.to_owned();
        self.store.write(Cancel { task, requested_by }).await?;
        self.task(task).await
    }

    /// Makes another attempt.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot be retried, or the database failed.
    pub async fn retry(&self, task: TaskId, who: &str) -> Result<Task, StoreError> {
        let requested_by = who.to_owned();
        self.store.write(Retry { task, requested_by }).await?;
        self.task(task).await
    }

    /// What is in the task's way right now is not stored: it would have to be written for every task
    /// whenever a server falls silent.
    fn with_obstacle(&self, mut task: Task) -> Task {
        if task.waiting.is_some() || task.finished {
            return task;
        }
        task.waiting = match task.state {
            State::Queued => {
                let link = self.publisher.borrow();
                (!link.is_up()).then(|| format!("the broker does not take messages: {}", *link))
            }
            State::Sent | State::Accepted | State::Running | State::RollingBack => {
                match self.presences.of(&task.server, None) {
                    Presence::Online => self.deferral(&task),
                    Presence::Silent => Some(format!(
                        "server {} has fallen silent: see there whether kolga-worker runs",
                        task.server
                    )),
                    Presence::NeverSeen => Some(format!(
                        "server {} has not been heard yet: see there whether kolga-worker runs",
                        task.server
                    )),
                }
            }
            _ => None,
        };
        task
    }

    /// Why the task's worker lets it wait, by its last heartbeat.
    fn deferral(&self, task: &Task) -> Option<String> {
        let kind = task.kind.parse().ok()?;
        let heard = self.presences.last(&task.server)?;
        let deferral = heard.worker.deferring.filter(|it| it.holds(kind))?;
        (task.state == State::Accepted).then_some(deferral.reason)
    }
}

/// Parameters as somebody wrote them.
pub(super) fn read(kind: &str, params: serde_json::Value) -> Result<Params, Refusal> {
    Params::from_json(kind, params).map_err(|error| {
        let reason = std::error::Error::source(&error)
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        Refusal::invalid("bad_task", format!("{error}{reason}"), None)
    })
}
