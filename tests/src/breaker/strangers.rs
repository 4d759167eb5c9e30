//! Puts what has the very name that the task wants, and is somebody else's, in its way.

use super::Breaker;
use crate::neighbours::Stranger;

impl Breaker {
    /// The task fails at the border, and the stranger comes out untouched.
    ///
    /// # Panics
    /// When it does not.
    pub(super) async fn meet_strangers(&mut self) {
        for stranger in Stranger::of(self.scenario) {
            self.begin().await;
            let planted = stranger.plant(&self.stack, self.scenario, self.tries).await;
            let with_it = self.watcher.rest().await;
            let task = self.hub.ask(&self.request()).await;
            let shown = self.hub.ended(&task).await;
            let fault = format!("there is a stranger: {stranger:?}");
            self.judge(&fault, &shown, with_it, &["failed"]).await;
            let step = shown["failure"]["step"].as_str().unwrap_or_default();
            self.table.fired(step, &fault, "failed");
            planted.remove().await;
            self.before = None;
        }
    }
}
