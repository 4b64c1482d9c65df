//! Work that waits: what is done once a day or once a minute.

pub mod clock;
pub mod disk;
pub mod service_manager;

use std::{future::Future, time::Duration};

use actix_web::rt::task::JoinHandle;

use crate::{
    base::Timestamp,
    db::{Change, Database},
};

const HOUR: Duration = Duration::from_hours(1);
/// Hours from one clean-up to the next.
const EVERY_HOURS: u32 = 24;
const MINUTE: Duration = Duration::from_mins(1);
/// Seconds for which an applied change is known, so that one sent twice is applied once.
const KEEP_APPLIED_S: i64 = 7 * 24 * 3600;

/// Work that goes on beside the requests, until this is dropped.
#[derive(Default)]
pub struct Jobs(Vec<JoinHandle<()>>);

impl Jobs {
    /// Starts one piece of work.
    pub fn of(work: impl Future<Output = ()> + 'static) -> Self {
        let mut jobs = Self::default();
        jobs.start(work);
        jobs
    }

    /// Starts work.
    pub fn start(&mut self, work: impl Future<Output = ()> + 'static) {
        self.0.push(actix_web::rt::spawn(work));
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for job in &self.0 {
            job.abort();
        }
    }
}

/// Applies the changes that `sweeps` make, and forgets old change ids: an hour after the start, then once a day.
///
/// A clock that is wrong must not let anything seem old: while it was never set nothing is swept, and after it was
/// set there is a day in which somebody may set it right. Runs until it is dropped.
pub async fn sweep_daily(database: Database, sweeps: Vec<fn(Timestamp) -> Change>) {
    let mut hours_left = 1;
    let mut clock = clock::Watch::default();
    loop {
        tokio::time::sleep(HOUR).await;
        hours_left -= 1;
        if clock.was_set().is_some() {
            hours_left = EVERY_HOURS;
        }
        if hours_left > 0 {
            continue;
        }
        if !Timestamp::is_clock_set() {
            hours_left = 1;
            continue;
        }
        hours_left = EVERY_HOURS;
        let now = Timestamp::now();
        let mut change = crate::db::sweep_applied_changes((now.0 - KEEP_APPLIED_S) * 1000);
        for sweep in &sweeps {
            change.extend(sweep(now));
        }
        if let Err(e) = database.apply(change).await {
            log::warn!("the daily clean-up was not done, it will be tried again tomorrow: {e}");
        }
    }
}

/// Does `work` once a minute, off the async threads; for the first time a minute from now.
///
/// Runs until it is dropped.
pub async fn every_minute(work: impl Fn() + Clone + Send + 'static) {
    loop {
        tokio::time::sleep(MINUTE).await;
        let work = work.clone();
        if tokio::task::spawn_blocking(work).await.is_err() {
            log::error!("work ended with a panic; it will be tried again in a minute");
        }
    }
}
