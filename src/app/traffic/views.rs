//! What the page of the traffic needs.

use askama::Template;

use super::live::{Answered, Minute};
use crate::{
    app::layout::Shell,
    base::{LimitKind, Timestamp},
};

/// Height of the picture, in its own units.
const HEIGHT: u64 = 100;

/// One minute of the picture.
pub struct Bar {
    /// Where it begins.
    pub x: usize,
    /// Top and height of what was answered well, refused, and failed.
    pub parts: [(&'static str, u64, u64); 3],
}

/// A network that was limited.
pub struct LimitedRow {
    /// Who.
    pub network: String,
    /// How often.
    pub times: u64,
    /// Since when.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// What for, in a few words.
    pub what: &'static str,
    /// What it means, and what to do.
    pub advice: &'static str,
}

/// Who visits.
#[derive(Template)]
#[template(path = "traffic/traffic.html")]
pub struct TrafficPage {
    /// The frame.
    pub shell: Shell,
    /// The last hour.
    pub bars: Vec<Bar>,
    /// The picture in words.
    pub picture: String,
    /// Numbers, each with what it is.
    pub numbers: Vec<(&'static str, String)>,
    /// Networks with the most connections.
    pub busiest: Vec<(String, usize)>,
    /// Who was limited.
    pub limited: Vec<LimitedRow>,
    /// Those that were limited before them.
    pub more_limited: usize,
    /// The programs behind.
    pub upstreams: Vec<(String, String, Option<bool>)>,
    /// Whether requests are remembered.
    pub remembers: bool,
    /// What was searched for.
    pub search: String,
    /// The last requests, newest first.
    pub last: Vec<Answered>,
}

/// The bars of a picture, and the most requests of a minute.
pub fn bars(hour: &[Minute]) -> (Vec<Bar>, u64) {
    let all = |minute: &Minute| minute.well + minute.refused + minute.failed;
    let most = hour.iter().map(all).max().unwrap_or(0).max(1);
    let bars = hour.iter().enumerate().map(|(n, minute)| {
        let mut top = HEIGHT;
        let mut part = |class, count: u64| {
            // What there is can be seen.
            let height = (count * HEIGHT / most).max(u64::from(count > 0));
            top = top.saturating_sub(height);
            (class, top, height)
        };
        Bar {
            x: n * 10,
            parts: [
                part("well", minute.well),
                part("refused", minute.refused),
                part("failed", minute.failed),
            ],
        }
    });
    (bars.collect(), most)
}

/// What a kind of limit means, and what its owner can do.
pub fn words(kind: LimitKind) -> (&'static str, &'static str) {
    match kind {
        LimitKind::Connections => (
            "too many connections",
            "New connections of this network were closed. If it is your own proxy, name it under \
             trusted_proxies; if it is a large office, raise limits.connections_per_network.",
        ),
        LimitKind::Requests => (
            "too many requests at once",
            "Somebody wanted half of all that the site does at the same time, and was told to come again for the \
             rest. It is an attack, or a program that loads everything at once.",
        ),
        LimitKind::Slow => (
            "too slow",
            "Somebody began a request and did not end it, or took next to nothing of an answer, and was let go. \
             A bad line does that, and an attack that holds connections. There is nothing to do.",
        ),
        LimitKind::Guesses => (
            "tries to sign in",
            "Somebody guesses passwords, or has forgotten one. They are slowed down; a long password is safe.",
        ),
        LimitKind::Forms => (
            "forms that are too much",
            "A form was larger or slower than any, or more were sent at once than there is memory for. It is an \
             attack, or a broken program.",
        ),
        LimitKind::Pages => (
            "too many pages",
            "Somebody asked for pages faster than they can be made, most likely a robot. If it is you, raise \
             per_second under pages.",
        ),
        LimitKind::Busy => (
            "there was too much to do",
            "The machine had more to do than it can, and told some visitors to come again.",
        ),
    }
}
