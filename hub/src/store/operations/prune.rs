//! Forgets operations whose tasks have all been pruned, in pieces: items first, the operation last.

use sqlx::Row;

use super::super::tx::{Operation, Outcome, Tx};

/// Items that one piece removes, at most.
const PIECE: i64 = 250;

/// Removes a piece of the oldest operation that is over, has no tasks any more, and is older than the newest task
/// that was pruned. Says whether there was one.
#[derive(Clone, Copy, Debug)]
pub struct PruneOperations;

impl Operation for PruneOperations {
    type Answer = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<bool>, sqlx::Error> {
        let Some(fence) = tx.pruned_up_to() else {
            return Ok(Ok(false));
        };
        let old = sqlx::query(
            "SELECT id FROM operation WHERE id < $1 AND finished_at IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM task WHERE task.operation = operation.id)
              ORDER BY id LIMIT 1",
        )
        .bind(fence.to_string())
        .fetch_optional(&mut *tx.connection)
        .await?;
        let Some(old) = old else { return Ok(Ok(false)) };
        remove_piece(tx, old.try_get("id")?).await?;
        Ok(Ok(true))
    }
}

/// Removes some of the items of an operation; when there is none any more, the operation.
pub(super) async fn remove_piece(tx: &mut Tx<'_>, id: String) -> Result<(), sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM operation_item WHERE operation = $1
                AND place < (SELECT min(place) FROM operation_item WHERE operation = $1) + $2",
    )
    .bind(id.clone())
    .bind(PIECE)
    .execute(&mut *tx.connection)
    .await?
    .rows_affected();
    if gone == 0 {
        for sql in [
            "DELETE FROM operation_server WHERE operation = $1",
            "DELETE FROM operation WHERE id = $1",
        ] {
            sqlx::query(sql)
                .bind(id.clone())
                .execute(&mut *tx.connection)
                .await?;
        }
    }
    Ok(())
}
