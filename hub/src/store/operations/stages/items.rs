//! The stages as items of their operation: how each stands, its task, and what that has given.

use kolga_protocol::fault;
use kolga_protocol::id::TaskId;
use kolga_protocol::task::Params;
use serde::de::DeserializeOwned;

use super::super::super::create::{Wanted, insert};
use super::super::super::tx::Tx;
use super::super::{Running, Shift};
use super::tasks::Move;
use crate::wire::{ItemState, Stage};

impl Running {
    /// Makes the task of a stage, and marks its item, whatever that was so far.
    pub(super) async fn make(
        &mut self,
        tx: &mut Tx<'_>,
        this: &Move,
        stage: Stage,
        params: &Params,
        now: String,
    ) -> Result<TaskId, sqlx::Error> {
        let task = TaskId::generate();
        let server = this.server(stage);
        let wanted = Wanted {
            id: task,
            server,
            params,
            operation: Some(self.id),
        };
        insert(tx, &[wanted], &self.requested_by).await?;
        fault::point("move:made");
        let was = self.state_of(tx, stage).await?;
        self.mark(tx, stage, ItemState::Made, Some(task), None)
            .await?;
        self.moved(was, ItemState::Made, 1);
        self.shift(
            tx,
            &[Shift {
                server: server.to_string(),
                waiting: -i64::from(was == ItemState::Waiting),
                open: 1,
            }],
        )
        .await?;
        self.reason = Some(now);
        self.save(tx).await?;
        fault::point("move:marked");
        Ok(task)
    }

    /// A stage for which no task is made, or whose task counts no more.
    pub(super) async fn skip(
        &mut self,
        tx: &mut Tx<'_>,
        stage: Stage,
        reason: &str,
    ) -> Result<(), sqlx::Error> {
        let was = self.state_of(tx, stage).await?;
        self.mark(tx, stage, ItemState::Skipped, None, Some(reason))
            .await?;
        self.moved(was, ItemState::Skipped, 1);
        let this = self.as_move()?;
        self.shift(
            tx,
            &[Shift {
                server: this.server(stage).to_string(),
                waiting: -i64::from(was == ItemState::Waiting),
                open: -i64::from(was == ItemState::Made),
            }],
        )
        .await
    }

    /// How a stage stands.
    pub(super) async fn state_of(
        &self,
        tx: &mut Tx<'_>,
        stage: Stage,
    ) -> Result<ItemState, sqlx::Error> {
        let state: String = sqlx::query_scalar(
            "SELECT state FROM operation_item WHERE operation = $1 AND place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(stage))
        .fetch_one(&mut *tx.connection)
        .await?;
        state
            .parse()
            .map_err(|error: String| sqlx::Error::Decode(error.into()))
    }

    /// Notes how a stage stands.
    pub(super) async fn mark(
        &self,
        tx: &mut Tx<'_>,
        stage: Stage,
        state: ItemState,
        task: Option<TaskId>,
        reason: Option<&str>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "UPDATE operation_item SET state = $3, task = $4, reason = $5 WHERE operation = $1 AND place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(stage))
        .bind(state.as_str())
        .bind(task.map(|task| task.to_string()))
        .bind(reason.map(str::to_owned))
        .execute(&mut *tx.connection)
        .await?;
        Ok(())
    }

    /// What the task of a stage has given.
    pub(super) async fn output<T: DeserializeOwned>(
        &self,
        tx: &mut Tx<'_>,
        stage: Stage,
    ) -> Result<Result<T, String>, sqlx::Error> {
        let text: Option<String> = sqlx::query_scalar(
            "SELECT task.output FROM operation_item JOIN task ON task.id = operation_item.task
              WHERE operation_item.operation = $1 AND operation_item.place = $2",
        )
        .bind(self.id.to_string())
        .bind(place(stage))
        .fetch_optional(&mut *tx.connection)
        .await?
        .flatten();
        let name = stage.as_str();
        Ok(match text {
            Some(text) => serde_json::from_str(&text)
                .map_err(|error| format!("what stage {name} has given cannot be read: {error}")),
            None => Err(format!(
                "stage {name} has given nothing that this hub can read"
            )),
        })
    }
}

/// Which stage a task is of; none when it is of none any more.
pub(super) async fn stage_of(tx: &mut Tx<'_>, task: TaskId) -> Result<Option<Stage>, sqlx::Error> {
    let stage: Option<Option<String>> =
        sqlx::query_scalar("SELECT stage FROM operation_item WHERE task = $1")
            .bind(task.to_string())
            .fetch_optional(&mut *tx.connection)
            .await?;
    stage
        .flatten()
        .map(|stage| stage.parse())
        .transpose()
        .map_err(|error: String| sqlx::Error::Decode(error.into()))
}

pub(super) fn place(stage: Stage) -> i64 {
    i64::try_from(stage.place()).unwrap_or(i64::MAX)
}
