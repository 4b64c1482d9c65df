//! Tells the service manager how we are (systemd's `Type=notify`, `sd_notify(3)`).
//!
//! Without one that listens, all of this does nothing.

use sd_notify::NotifyState;

use crate::{base::Result, db::Database};

/// Microseconds from one word that something gets on until the next one at the latest.
const EXTENDED_US: u32 = 120_000_000;

/// Says that requests are answered.
pub fn ready(address: &str) {
    say(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("serving {address}")),
    ]);
}

/// Says that what is in flight is being finished.
pub fn stopping() {
    say(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is in flight"),
    ]);
}

/// Says that another process goes on in our place. From then on only that one is listened to.
pub fn is_succeeded_by(process: u32) {
    say(&[NotifyState::MainPid(process)]);
}

/// Says that what is being done takes longer, and is getting on: the limit of a start or a reload does not count for
/// the next minutes (`EXTEND_TIMEOUT_USEC=`). To be said again and again.
pub fn needs_time() {
    say(&[NotifyState::ExtendTimeoutUsec(EXTENDED_US)]);
}

/// Whether one listens.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Says in time that the site is alive, as long as its database answers (`WatchdogSec=`).
///
/// Runs until it is dropped; ends at once where nobody asks.
pub async fn keep_alive(database: Database) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Twice in the time that we have, as `sd_watchdog_enabled(3)` advises.
    let mut timer = tokio::time::interval(limit / 2);
    loop {
        timer.tick().await;
        match answers(&database).await {
            Ok(()) => say(&[NotifyState::Watchdog]),
            Err(e) => log::error!("the database does not answer: {e}"),
        }
    }
}

async fn answers(database: &Database) -> Result<()> {
    database
        .read(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
        .await
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(what) {
        log::warn!("the service manager was not told: {e}");
    }
}
