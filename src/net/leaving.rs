//! How a process takes its leave of its connections, without breaking off a request.
//!
//! Over HTTP/2, a connection is told that its last request has come (RFC 9113 section 6.8), and ends by itself.
//! HTTP/1.1 has no such word: the next answer on a connection is its last and says so (RFC 9112 section 9.6). A
//! request may be on its way while an idle connection is closed, and then nobody answers it; so those are left open
//! for a while, in which who is still there asks once more and is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};
use tokio::sync::watch;

use crate::base::minisign;

/// The longest time that can be set: a day.
const MOST_S: u64 = 24 * 3600;

/// Section `[upgrade]` of `webstead.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Seconds that a new program has to say that it is ready, or that it gets on.
    #[serde(deserialize_with = "seconds")]
    pub ready_s: u64,
    /// Seconds that the old program has to finish what is in flight.
    #[serde(deserialize_with = "seconds")]
    pub finish_s: u64,
    /// Keys of minisign whose signature under a program is believed, besides those that are compiled in.
    #[serde(deserialize_with = "keys")]
    pub keys: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ready_s: 60,
            finish_s: 600,
            keys: Vec::new(),
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    // As many digits as anybody writes, so that all are told the same.
    let found = i128::deserialize(from)?;
    let seconds = u64::try_from(found).ok();
    let seconds = seconds.filter(|seconds| (1..=MOST_S).contains(seconds));
    seconds.ok_or_else(|| {
        D::Error::custom(format!(
            "{found} is no number of seconds from 1 to {MOST_S}, which is a day"
        ))
    })
}

fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let keys = Vec::<String>::deserialize(from)?;
    for key in &keys {
        minisign::public_key(key).map_err(D::Error::custom)?;
    }
    Ok(keys)
}

impl Settings {
    /// Time for a new program to be ready.
    pub fn ready(&self) -> Duration {
        Duration::from_secs(self.ready_s)
    }

    /// Time for what is in flight.
    pub fn finish(&self) -> Duration {
        Duration::from_secs(self.finish_s)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Serving,
    /// No more connections come, and each has one more answer.
    Leaving,
    /// Connections without a request are closed.
    Closing,
}

/// Whether this process is leaving; cheap to clone, one for all threads.
#[derive(Clone, Default)]
pub struct Leaving {
    stage: Arc<watch::Sender<Stage>>,
    has_begun: Arc<AtomicBool>,
}

impl Leaving {
    /// From now on, each connection has one more answer.
    pub fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.stage.send_replace(Stage::Leaving);
    }

    /// Connections on which nothing is asked are closed now.
    pub fn close_idle(&self) {
        self.has_begun.store(true, Ordering::Release);
        self.stage.send_replace(Stage::Closing);
    }

    /// Whether an answer is the last one of its connection.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Returns when it has begun.
    pub(super) async fn begun(&self) {
        self.reached(Stage::Leaving).await;
    }

    /// Returns when idle connections are to be closed.
    pub(super) async fn idle_closed(&self) {
        self.reached(Stage::Closing).await;
    }

    async fn reached(&self, stage: Stage) {
        // The other end is in our hands, so it does not go.
        let _ = self.stage.subscribe().wait_for(|now| *now >= stage).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::Leaving;

    #[test]
    fn connections_hear_of_the_end_before_idle_ones_are_closed() {
        let leaving = Leaving::default();
        let (begun, closed) = (leaving.begun().shared(), leaving.idle_closed().shared());
        assert!(!leaving.has_begun() && begun.clone().now_or_never().is_none());
        leaving.begin();
        assert!(leaving.has_begun() && begun.now_or_never().is_some());
        assert!(closed.clone().now_or_never().is_none());
        leaving.close_idle();
        assert!(closed.now_or_never().is_some());
    }
}
