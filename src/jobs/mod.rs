//! Work that waits: what is done once a day or once a minute.

pub mod disk;
pub mod service_manager;

use std::{future::Future, time::Duration};

use actix_web::rt::task::JoinHandle;

use crate::{
    base::Timestamp,
    db::{Change, Database},
};

const DAY: Duration = Duration::from_hours(24);
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

/// Applies the changes that `sweeps` make, and forgets old change ids: at the start, then once a day.
///
/// Runs until it is dropped.
pub async fn sweep_daily(database: Database, sweeps: Vec<fn(Timestamp) -> Change>) {
    let mut timer = tokio::time::interval(DAY);
    loop {
        timer.tick().await;
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
