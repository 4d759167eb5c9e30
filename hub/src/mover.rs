//! Mover: keeps operations going. Woken by the commits that leave one with room (it was started or resumed, a task
//! of it ended), it lets the store make the next tasks; and once at the start, for whatever the hub before left.

use std::time::Duration;

use kolga_protocol::fault;
use tokio_util::sync::CancellationToken;

use crate::store::operations::advance::Advance;
use crate::store::{Store, StoreError};

/// Until it is tried again when the database fails.
const AGAIN: Duration = Duration::from_secs(2);

/// Moves until `stop` fires.
pub async fn run(store: Store, stop: CancellationToken) {
    loop {
        match store.write_at_leisure(Advance).await {
            // Others get their turn at the writer in between.
            Ok(true) => continue,
            Ok(false) => {}
            Err(StoreError::Stopped) => return,
            Err(error) => {
                tracing::error!(%error, "operations wait: the store cannot be asked");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(AGAIN) => continue,
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = store.signals().room.notified() => fault::point("mover:woken"),
        }
    }
}
