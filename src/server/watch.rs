//! What the server has seen, for its owner.

use std::sync::Arc;

use actix_web::web::Data;

use crate::{
    app::traffic::live::{Answered, Minute, Seen, Watch},
    base::{Limited, Timestamp},
    edge::{observe::access_log::Entry, pipeline::Edge},
    net::admission::Admission,
};

/// Networks with many connections that are named.
const BUSIEST: usize = 8;
/// Requests that are looked through.
const LAST: usize = 500;

/// Where it is known.
pub(super) struct Watcher {
    pub(super) edge: Data<Edge>,
    pub(super) admission: Admission,
    pub(super) limited: Arc<Limited>,
}

impl Watch for Watcher {
    fn seen(&self) -> Seen {
        let observer = self.edge.observer();
        Seen {
            connections: self.admission.open(),
            under_way: self.edge.requests_under_way(),
            most_connections: self.admission.most(),
            busiest: self.admission.busiest(BUSIEST),
            limited: self.limited.list(Timestamp::now()),
            hour: observer
                .last_hour()
                .iter()
                .map(|minute| Minute {
                    well: minute.well,
                    refused: minute.refused,
                    failed: minute.failed,
                })
                .collect(),
            kept: self.edge.kept_pages(),
            from_cache: observer.metrics.cache_share(),
            upstreams: self.edge.upstreams(),
            remembers: observer.log.is_on(),
            last: observer.log.last(LAST).into_iter().map(answered).collect(),
        }
    }
}

fn answered(entry: Entry) -> Answered {
    Answered {
        at: entry.time.into(),
        id: entry.id,
        address: entry.address,
        host: entry.host,
        method: entry.method,
        target: entry.target,
        status: entry.status,
        took_ms: entry.duration_ms,
    }
}
