//! Makes tasks of operations as there is room: those of the server with the fewest open first, so that one that is
//! slow or silent holds up no other longer than there is something to do elsewhere. The task and the mark on its
//! item are one transaction.

use kolga_protocol::fault;
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::task::Params;
use sqlx::Row;

use super::super::bulk::Bulk;
use super::super::create::{Wanted, insert};
use super::super::tx::{Operation, Outcome, Tx};
use super::super::{objects, servers};
use super::start::{About, params_for};
use super::{Running, Shift, count, signed};
use crate::wire::{ItemState, OperationId};

/// Items that one transaction looks at: bounds the time that everybody else waits for the writer.
const PIECE: u64 = 128;

/// Makes the next tasks of every operation that has room. Says whether there may be more to make at once.
#[derive(Clone, Copy, Debug)]
pub struct Advance;

/// An item whose turn it is, with what became of it.
struct Turn {
    place: i64,
    server: ServerName,
    outcome: Result<(TaskId, Params), String>,
}

static MARK_ITEMS: Bulk = Bulk::new(
    "UPDATE operation_item SET state = v.column3, task = v.column4, reason = v.column5 FROM (VALUES",
    5,
    ") AS v WHERE operation_item.operation = v.column1 AND operation_item.place = v.column2",
);

impl Operation for Advance {
    type Answer = bool;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<bool>, sqlx::Error> {
        let ready: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM operation WHERE state = 'running' AND waiting > 0 AND open < parallel AND kind <> 'site.move'
              ORDER BY id",
        )
        .fetch_all(&mut *tx.connection)
        .await?;
        let mut more = false;
        for id in ready {
            let id: OperationId = id
                .parse()
                .map_err(|_| sqlx::Error::Decode(format!("operation {id:?}").into()))?;
            let Some(mut operation) = Running::load(tx, id).await? else {
                continue;
            };
            let mut looked_at = 0;
            while operation.has_room() {
                if looked_at >= PIECE {
                    more = true;
                    break;
                }
                let looked = operation.make_some(tx, PIECE - looked_at).await?;
                if looked == 0 {
                    break;
                }
                looked_at += looked;
            }
            if looked_at > 0 {
                operation.save(tx).await?;
            }
        }
        // Whoever asked goes on by himself: nobody needs to be woken.
        Ok(Ok(more))
    }
}

impl Running {
    /// Makes as many as there is room for, at most so many; how many items it has looked at.
    async fn make_some(&mut self, tx: &mut Tx<'_>, most: u64) -> Result<u64, sqlx::Error> {
        let room = (self.parallel - self.counts.open).min(most);
        let turns = self.turns(tx, room).await?;
        if turns.is_empty() {
            return Ok(0);
        }
        let made: Vec<Wanted<'_>> = turns
            .iter()
            .filter_map(|turn| {
                let (id, params) = turn.outcome.as_ref().ok()?;
                Some(Wanted {
                    id: *id,
                    server: &turn.server,
                    params,
                    operation: Some(self.id),
                })
            })
            .collect();
        insert(tx, &made, &self.requested_by).await?;
        fault::point("operation:made");
        let id = self.id.to_string();
        let written = MARK_ITEMS
            .execute(tx.connection, &turns, |query, turn| {
                let (state, task, reason) = match &turn.outcome {
                    Ok((task, _)) => (ItemState::Made, Some(task.to_string()), None),
                    Err(reason) => (ItemState::Skipped, None, Some(reason.clone())),
                };
                query
                    .bind(id.clone())
                    .bind(turn.place)
                    .bind(state.as_str())
                    .bind(task)
                    .bind(reason)
            })
            .await?;
        tx.effects.rows += written;
        let mut shifts: Vec<Shift> = Vec::new();
        for turn in &turns {
            let to = if turn.outcome.is_ok() {
                ItemState::Made
            } else {
                ItemState::Skipped
            };
            self.moved(ItemState::Waiting, to, 1);
            let open = i64::from(turn.outcome.is_ok());
            match shifts
                .last_mut()
                .filter(|shift| shift.server == turn.server.as_str())
            {
                Some(shift) => {
                    shift.waiting -= 1;
                    shift.open += open;
                }
                None => shifts.push(Shift {
                    server: turn.server.to_string(),
                    waiting: -1,
                    open,
                }),
            }
        }
        self.shift(tx, &shifts).await?;
        fault::point("operation:marked");
        Ok(turns.len() as u64)
    }

    /// The items whose turn it is, by server; what each claims is claimed.
    async fn turns(&self, tx: &mut Tx<'_>, room: u64) -> Result<Vec<Turn>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT server, waiting, open FROM operation_server
              WHERE operation = $1 AND waiting > 0 AND open < $2 ORDER BY open, server LIMIT $3",
        )
        .bind(self.id.to_string())
        .bind(self.per_server.map_or(i64::MAX, signed))
        .bind(signed(room))
        .fetch_all(&mut *tx.connection)
        .await?;
        let mut loads = Vec::with_capacity(rows.len());
        for row in &rows {
            let open = count(row.try_get("open")?);
            let bound = self
                .per_server
                .map_or(u64::MAX, |bound| bound.saturating_sub(open));
            loads.push((open, bound.min(count(row.try_get("waiting")?))));
        }
        let mut turns = Vec::new();
        for (row, share) in rows.iter().zip(shares(&loads, room)) {
            if share > 0 {
                let name: String = row.try_get("server")?;
                let server: ServerName = name
                    .parse()
                    .map_err(|_| sqlx::Error::Decode(format!("server {name:?}").into()))?;
                self.turns_on(tx, &server, share, &mut turns).await?;
            }
        }
        Ok(turns)
    }

    async fn turns_on(
        &self,
        tx: &mut Tx<'_>,
        server: &ServerName,
        share: u64,
        turns: &mut Vec<Turn>,
    ) -> Result<(), sqlx::Error> {
        let items = sqlx::query(
            "SELECT place, site, platform FROM operation_item
              WHERE operation = $1 AND server = $2 AND state = 'waiting' ORDER BY place LIMIT $3",
        )
        .bind(self.id.to_string())
        .bind(server.as_str())
        .bind(signed(share))
        .fetch_all(&mut *tx.connection)
        .await?;
        let known = servers::known(tx, server).await?;
        for item in items {
            let site: Option<String> = item.try_get("site")?;
            let platform: Option<String> = item.try_get("platform")?;
            let about = match (&site, &platform) {
                (Some(host), _) => About::Site(host),
                (None, Some(name)) => About::Platform(name),
                (None, None) => About::Server,
            };
            let outcome = match &known {
                Ok(()) => self.claim(tx, server, about).await?,
                Err(refusal) => Err(refusal.message.clone()),
            };
            turns.push(Turn {
                place: item.try_get("place")?,
                server: server.clone(),
                outcome,
            });
        }
        Ok(())
    }

    /// Claims for one task what it needs; or why it cannot be made.
    async fn claim(
        &self,
        tx: &mut Tx<'_>,
        server: &ServerName,
        about: About<'_>,
    ) -> Result<Result<(TaskId, Params), String>, sqlx::Error> {
        // Of another release, it may know other kinds.
        let params = match params_for(&self.kind, &self.params, about) {
            Ok(params) => params,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let task = TaskId::generate();
        let claimed = objects::claim(tx, server, &params, task).await?;
        Ok(claimed
            .map(|()| (task, params))
            .map_err(|refusal| refusal.message))
    }
}

/// How many of `room` each gets, where each has so many open and can take so many more: always the one that has the
/// fewest, the first of several.
fn shares(loads: &[(u64, u64)], room: u64) -> Vec<u64> {
    let mut shares = vec![0; loads.len()];
    for _ in 0..room {
        let next = (0..loads.len())
            .filter(|&at| shares[at] < loads[at].1)
            .min_by_key(|&at| loads[at].0 + shares[at]);
        let Some(next) = next else { break };
        shares[next] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn the_server_with_the_fewest_open_is_always_next() {
        assert_eq!(shares(&[(0, 9), (0, 9)], 4), [2, 2]);
        assert_eq!(shares(&[(0, 9), (3, 9)], 4), [4, 0]);
        assert_eq!(shares(&[(0, 1), (3, 9)], 4), [1, 3]);
        assert_eq!(shares(&[(0, 1), (0, 1)], 4), [1, 1]);
        assert_eq!(shares(&[], 4), Vec::<u64>::new());
    }
}
