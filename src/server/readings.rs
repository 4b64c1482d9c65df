//! Numbers that modules below keep, as `/metrics` shows them.

use std::{
    fs,
    sync::{Arc, Weak},
};

use crate::{
    base::{Limited, written},
    db::Database,
    edge::{observe::metrics::Reading, pipeline::Edge},
    net::{admission::Admission, handshakes::Handshakes},
};

/// What the numbers are read from.
pub(super) struct Sources {
    pub(super) database: Database,
    pub(super) admission: Admission,
    pub(super) handshakes: Arc<Handshakes>,
    pub(super) limited: Arc<Limited>,
    pub(super) edge: Weak<Edge>,
}

impl Sources {
    /// Lets `/metrics` show them.
    pub(super) fn show_in(self, edge: &Edge) {
        edge.observer().metrics.also(move || self.read());
    }

    /// The numbers as they are now.
    #[allow(clippy::cast_precision_loss)] // Prometheus counts in floating point
    fn read(&self) -> Vec<Reading> {
        let edge = self.edge.upgrade();
        let edge = edge.as_deref();
        let (pages, page_bytes) = edge.map(Edge::kept_pages).unwrap_or_default();
        let writer = self.database.writer_stats();
        let (readers, idle_readers) = self.database.readers();
        let mut readings = vec![
            gauge(
                "connections",
                "Connections that are open",
                self.admission.open() as f64,
            ),
            counter(
                "connections_refused",
                "Connections for which there was no place",
                self.admission.refused() as f64,
            ),
            gauge("page_cache_pages", "Pages that are kept", pages as f64),
            gauge(
                "page_cache_bytes",
                "Memory that kept pages are counted for",
                page_bytes as f64,
            ),
            counter(
                "database_changes",
                "Changes that are on the disk",
                writer.changes as f64,
            ),
            counter(
                "database_commits",
                "Transactions that they took, and so times that the disk was waited for",
                writer.commits as f64,
            ),
            gauge(
                "database_readers",
                "Connections for reading",
                f64::from(readers),
            ),
            gauge(
                "database_readers_idle",
                "Those that nobody uses",
                f64::from(idle_readers),
            ),
        ];
        let handshakes = self.handshakes.counts();
        readings.push(Reading {
            name: "tls_handshakes",
            help: "TLS handshakes by what became of them",
            is_counter: true,
            values: handshakes
                .map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count as f64))
                .into(),
        });
        readings.push(Reading {
            name: "limited",
            help: "How often somebody was limited, by what for",
            is_counter: true,
            values: self
                .limited
                .totals()
                .map(|(kind, count)| (vec![("kind", kind.name().to_owned())], count as f64))
                .into(),
        });
        readings.push(Reading {
            name: "upstream_up",
            help: "Whether a program behind was well when it was asked last",
            is_counter: false,
            values: edge
                .map(Edge::upstreams)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|(host, upstream, was_well)| {
                    let labels = vec![("host", host), ("upstream", upstream)];
                    Some((labels, f64::from(u8::from(was_well?))))
                })
                .collect(),
        });
        readings.extend(self.disk());
        readings.extend(process());
        readings
    }
}

impl Sources {
    /// The disk: room, what was written to it, and what is wrong.
    #[allow(clippy::cast_precision_loss)]
    fn disk(&self) -> Vec<Reading> {
        let health = self.database.health();
        let written = written::totals().into_iter();
        let troubles = health.troubles().into_iter();
        let mut readings = vec![
            Reading {
                name: "disk_written_bytes",
                help: "What was written to the data folder, by file",
                is_counter: true,
                values: written
                    .map(|(file, bytes)| (vec![("file", file)], bytes as f64))
                    .collect(),
            },
            Reading {
                name: "disk_trouble",
                help: "What is wrong with the disk; nothing where all is well",
                is_counter: false,
                values: troubles
                    .map(|trouble| (vec![("kind", trouble.name().to_owned())], 1.0))
                    .collect(),
            },
        ];
        if let Some(space) = health.space() {
            let help = "Room on the disk that holds the data folder";
            readings.push(gauge("disk_free_bytes", help, space.free as f64));
        }
        readings
    }
}

/// What the system says of this process (proc(5)); nothing where there is no `/proc`.
#[allow(clippy::cast_precision_loss)]
fn process() -> Vec<Reading> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> Option<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let mut readings = Vec::new();
    if let Some(kib) = field("VmRSS:") {
        let help = "Memory of the process, with what it shares";
        readings.push(gauge("process_resident_memory_bytes", help, kib * 1024.0));
    }
    if let Some(threads) = field("Threads:") {
        readings.push(gauge("process_threads", "Threads of the process", threads));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let help = "Files and sockets that are open";
        readings.push(gauge("process_open_fds", help, open.count() as f64));
    }
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9;
    readings.push(counter(
        "process_cpu_seconds",
        "Processor time of the process",
        seconds,
    ));
    readings
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Reading {
    Reading {
        name,
        help,
        is_counter: false,
        values: vec![(Vec::new(), value)],
    }
}

fn counter(name: &'static str, help: &'static str, value: f64) -> Reading {
    Reading {
        is_counter: true,
        ..gauge(name, help, value)
    }
}
