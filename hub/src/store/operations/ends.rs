//! How the tasks of operations ended, noted in the transaction that ends them; and that one of them goes on after
//! all, since somebody wants another attempt at it.

use std::collections::{BTreeMap, HashMap, HashSet};

use kolga_protocol::id::TaskId;
use kolga_protocol::state::State;
use sqlx::Row;

use super::super::rows::TaskRow;
use super::super::settle::Ended;
use super::super::tx::Tx;
use super::{Running, Shift};
use crate::wire::{ItemState, OperationId};

/// The items of tasks that are finished. Gives those that are stages of a move, whose ends mean what it says.
pub(in crate::store) async fn settle(
    tx: &mut Tx<'_>,
    rows: &HashMap<TaskId, TaskRow>,
    ended: &[Ended],
) -> Result<HashSet<TaskId>, sqlx::Error> {
    let mut by_operation: BTreeMap<OperationId, Vec<(TaskId, ItemState)>> = BTreeMap::new();
    for (task, _) in ended {
        let Some(row) = rows.get(task) else { continue };
        if let Some(operation) = row.operation {
            let state = match row.state {
                State::Succeeded => ItemState::Succeeded,
                State::Cancelled => ItemState::Cancelled,
                // Cancelled while it waited for its next attempt.
                State::Interrupted if row.cancel_requested => ItemState::Cancelled,
                _ => ItemState::Failed,
            };
            by_operation
                .entry(operation)
                .or_default()
                .push((*task, state));
        }
    }
    let mut stages = HashSet::new();
    for (operation, tasks) in by_operation {
        let Some(mut operation) = moved(tx, operation, &tasks).await? else {
            continue;
        };
        if operation.is_move() {
            for (task, state) in tasks {
                let Some(row) = rows.get(&task) else { continue };
                operation.stage_ended(tx, row, state).await?;
                stages.insert(task);
            }
        }
    }
    Ok(stages)
}

/// A task that had ended gets another attempt: its item is open again, and so is the operation.
pub(in crate::store) async fn reopened(
    tx: &mut Tx<'_>,
    operation: OperationId,
    task: TaskId,
) -> Result<(), sqlx::Error> {
    moved(tx, operation, &[(task, ItemState::Made)])
        .await
        .map(drop)
}

async fn moved(
    tx: &mut Tx<'_>,
    operation: OperationId,
    tasks: &[(TaskId, ItemState)],
) -> Result<Option<Running>, sqlx::Error> {
    // One that was pruned is missed by nobody.
    let Some(mut operation) = Running::load(tx, operation).await? else {
        return Ok(None);
    };
    let mut shifts = Vec::new();
    for &(task, to) in tasks {
        let item = sqlx::query("SELECT server, state FROM operation_item WHERE task = $1")
            .bind(task.to_string())
            .fetch_optional(&mut *tx.connection)
            .await?;
        // Another task was made in its place.
        let Some(item) = item else { continue };
        let from: String = item.try_get("state")?;
        let from: ItemState = from
            .parse()
            .map_err(|e: String| sqlx::Error::Decode(e.into()))?;
        if from == to {
            continue;
        }
        sqlx::query("UPDATE operation_item SET state = $2 WHERE task = $1")
            .bind(task.to_string())
            .bind(to.as_str())
            .execute(&mut *tx.connection)
            .await?;
        tx.effects.rows += 1;
        operation.moved(from, to, 1);
        let open = i64::from(to == ItemState::Made) - i64::from(from == ItemState::Made);
        if open != 0 {
            let server = item.try_get("server")?;
            shifts.push(Shift {
                server,
                waiting: 0,
                open,
            });
        }
    }
    // One statement changes a row once, whatever is said of it.
    let mut by_server: BTreeMap<String, i64> = BTreeMap::new();
    for shift in shifts {
        *by_server.entry(shift.server).or_default() += shift.open;
    }
    let shifts: Vec<Shift> = by_server
        .into_iter()
        .map(|(server, open)| Shift {
            server,
            waiting: 0,
            open,
        })
        .collect();
    operation.shift(tx, &shifts).await?;
    operation.save(tx).await?;
    Ok(Some(operation))
}
