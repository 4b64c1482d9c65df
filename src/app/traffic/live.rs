//! What a running server has seen.

use std::net::IpAddr;

use crate::base::{Timestamp, limited::LimitedNetwork};

/// Requests of one minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Minute {
    /// Answered.
    pub well: u64,
    /// Answered with a status from 400 to 499.
    pub refused: u64,
    /// Answered with a status from 500.
    pub failed: u64,
}

/// One request that was answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// When it came.
    pub at: Timestamp,
    /// What the error page calls it.
    pub id: String,
    /// Who asked, if that is known.
    pub address: Option<IpAddr>,
    /// The host that was asked for.
    pub host: String,
    /// `GET`
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Of the answer.
    pub status: u16,
    /// Until the last byte was on its way.
    pub took_ms: f64,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections that are open.
    pub connections: usize,
    /// Requests that are being answered, this one too.
    pub under_way: usize,
    /// Connections that there may be.
    pub most_connections: usize,
    /// The networks with the most of them.
    pub busiest: Vec<(IpAddr, usize)>,
    /// Who was limited within a day, the last ones first.
    pub limited: Vec<LimitedNetwork>,
    /// The last hour, oldest minute first.
    pub hour: Vec<Minute>,
    /// Pages that are kept, and the bytes that they take.
    pub kept: (usize, u64),
    /// Requests that the page cache answered, and all that it was asked for.
    pub from_cache: (u64, u64),
    /// The programs behind: host, address, and whether they are well.
    pub upstreams: Vec<(String, String, Option<bool>)>,
    /// Whether requests are remembered.
    pub remembers: bool,
    /// The last ones, newest first.
    pub last: Vec<Answered>,
}

/// A running server.
pub trait Watch: Send + Sync {
    /// What it has seen until now.
    fn seen(&self) -> Seen;
}
