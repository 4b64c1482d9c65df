//! What is seen of the traffic: numbers for machines, lines for people.

pub mod access_log;
mod entry;
pub mod metrics;
mod minutes;

use std::{
    fmt::Display,
    sync::{Arc, LazyLock},
    time::Instant,
};

use actix_web::{dev::ServiceRequest, http::StatusCode};

pub use self::minutes::{MINUTES, Minute};
use self::{access_log::AccessLog, entry::Entry, metrics::Metrics, minutes::Minutes};
use super::request_context::RequestContext;
use crate::base::RequestId;

/// The visitor did not wait for the answer; nginx calls it so too.
static GONE: LazyLock<StatusCode> =
    LazyLock::new(|| StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST));

/// Sees every request; one for all threads.
pub struct Observer {
    /// Numbers.
    pub metrics: Metrics,
    /// Lines.
    pub log: AccessLog,
    minutes: Minutes,
}

impl Observer {
    /// Has seen nothing yet.
    pub fn new(settings: access_log::Settings) -> Self {
        Self {
            metrics: Metrics::new(),
            log: AccessLog::new(settings),
            minutes: Minutes::new(),
        }
    }

    /// The requests of the last hour by minute, oldest first.
    pub fn last_hour(&self) -> [Minute; MINUTES] {
        self.minutes.last_hour()
    }
}

/// Which kind of host answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Site,
    Files,
    Proxy,
    /// Nobody: the request was sent to the wrong place.
    None,
}

/// One request that is being answered; it is counted and written down when this is dropped.
pub(super) struct Watched {
    observer: Arc<Observer>,
    id: RequestId,
    started: Instant,
    kind: Kind,
    /// `None`: nobody has answered yet.
    status: Option<StatusCode>,
    bytes: u64,
    entry: Option<Box<Entry>>,
}

impl Watched {
    /// Begins with the head of a request.
    pub(super) fn begin(
        observer: Arc<Observer>,
        request: &ServiceRequest,
        context: &RequestContext,
    ) -> Self {
        let entry = observer.log.is_on();
        Self {
            entry: entry.then(|| Box::new(Entry::of(request, context))),
            observer,
            id: context.id,
            started: Instant::now(),
            kind: Kind::None,
            status: None,
            bytes: 0,
        }
    }

    /// Somebody answered.
    pub(super) fn answered(&mut self, kind: Kind, status: StatusCode) {
        self.kind = kind;
        self.status = Some(status);
    }

    /// The rest of the body does not come; the visitor sees that something is missing.
    pub(super) fn broke_off(&self, why: &dyn Display) {
        log::warn!("request {}: the answer broke off: {why}", self.id);
    }

    /// So many bytes of the body were taken by the connection.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        // The visitor took the request back.
        let status = self.status.unwrap_or(*GONE);
        let metrics = &self.observer.metrics;
        metrics.request(self.kind, status, took, self.bytes);
        self.observer.minutes.count(status.as_u16());
        if let Some(entry) = self.entry.take() {
            self.observer
                .log
                .write(entry.finished(status, self.bytes, took));
        }
    }
}
