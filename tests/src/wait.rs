//! Waiting for something to become true, with an end and a sentence.

use std::time::{Duration, Instant};

/// Between two questions to the kernel, or to a program that answers out of its memory.
const PAUSE: Duration = Duration::from_millis(10);
/// The same to a hub, which looks into its store for every answer: its processor is the one that works.
pub const HUB: Duration = Duration::from_millis(30);

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within `limit`.
pub async fn until<T>(what: &str, limit: Duration, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_every(PAUSE, what, limit, ask).await
}

/// The same with another pause between.
///
/// # Panics
/// When there is no answer within `limit`.
pub async fn until_every<T>(
    pause: Duration,
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        // The other side is another process: there is nothing here that could wake us.
        tokio::time::sleep(pause).await;
    }
}
