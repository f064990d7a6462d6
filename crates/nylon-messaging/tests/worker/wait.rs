//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// Nothing in a test takes this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `done`, looking at it over and over.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What `look` finds in the end. Leaves the runtime time to work, as blocking would not.
pub async fn found<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut result = None;
    until(what, || {
        result = look();
        result.is_some()
    })
    .await;
    result.expect("it was found")
}
