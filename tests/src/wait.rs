//! Waiting for something to become true, with an end and a sentence.

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within `limit`.
pub async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        // The other side is another process: there is nothing here that could wake us.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
