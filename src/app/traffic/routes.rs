//! `GET /admin/traffic`

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{
    live::{Answered, Seen, Watch},
    views::{LimitedRow, TrafficPage, bars, words},
};
use crate::{
    app::visit::Visit,
    auth::guards::Owner,
    base::{Result, network_name, network_of},
};

/// Requests on the page.
const SHOWN: usize = 100;
/// Networks that were limited on the page.
const LIMITED_SHOWN: usize = 50;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes.route("/admin/traffic", web::get().to(show));
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

async fn show(
    visit: Visit,
    _owner: Owner,
    watch: web::Data<dyn Watch>,
    search: web::Query<Search>,
) -> Result<HttpResponse> {
    let seen = watch.seen();
    let search = search
        .into_inner()
        .q
        .trim()
        .chars()
        .take(200)
        .collect::<String>();
    let (bars, most) = bars(&seen.hour);
    let limited = seen.limited.iter().take(LIMITED_SHOWN).map(|entry| {
        let (what, advice) = words(entry.kind);
        LimitedRow {
            network: network_name(entry.network),
            times: entry.times,
            first: entry.first,
            last: entry.last,
            what,
            advice,
        }
    });
    visit.private_page(&TrafficPage {
        shell: visit.private_shell("Traffic"),
        picture: picture(&seen, most),
        bars,
        numbers: numbers(&seen),
        busiest: seen
            .busiest
            .iter()
            .map(|(network, count)| (network_name(*network), *count))
            .collect(),
        limited: limited.collect(),
        more_limited: seen.limited.len().saturating_sub(LIMITED_SHOWN),
        upstreams: seen.upstreams.clone(),
        remembers: seen.remembers,
        last: found(&seen.last, &search),
        search,
    })
}

/// The picture of the last hour in words.
fn picture(seen: &Seen, most: u64) -> String {
    let sum = |of: fn(&super::live::Minute) -> u64| seen.hour.iter().map(of).sum::<u64>();
    format!(
        "Requests in the last hour: {} answered, {} refused or not found, {} failed; at most {most} in a minute.",
        sum(|minute| minute.well),
        sum(|minute| minute.refused),
        sum(|minute| minute.failed),
    )
}

#[allow(clippy::cast_precision_loss)] // to be read by a person
fn numbers(seen: &Seen) -> Vec<(&'static str, String)> {
    let (hits, asked) = seen.from_cache;
    let mut numbers = vec![
        (
            "connections now",
            format!("{} of {}", seen.connections, seen.most_connections),
        ),
        ("requests under way", seen.under_way.to_string()),
    ];
    if let Some(share) = (100 * hits).checked_div(asked) {
        numbers.push(("from the page cache", format!("{share} %")));
    }
    let (pages, bytes) = seen.kept;
    let mib = bytes as f64 / 1024.0 / 1024.0;
    numbers.push(("pages kept", format!("{pages}, {mib:.1} MiB")));
    let mut took: Vec<f64> = seen.last.iter().map(|request| request.took_ms).collect();
    took.sort_by(f64::total_cmp);
    if !took.is_empty() {
        let at = |percent: usize| took[(took.len() - 1) * percent / 100];
        let text = format!("{:.1} ms, {:.1} ms", at(50), at(95));
        numbers.push(("half, and 95 % of the last answers took at most", text));
    }
    numbers
}

/// The requests that have all of these words somewhere; a network is where its addresses are.
fn found(last: &[Answered], search: &str) -> Vec<Answered> {
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let has_all = |request: &&Answered| {
        let line = format!(
            "{} {} {} {} {} {} {}",
            request.id,
            request.address.map_or_else(unknown, |a| a.to_string()),
            request
                .address
                .map_or_else(String::new, |a| network_name(network_of(a))),
            request.host,
            request.method,
            request.target,
            request.status
        )
        .to_lowercase();
        words.iter().all(|word| line.contains(word))
    };
    last.iter().filter(has_all).take(SHOWN).cloned().collect()
}

fn unknown() -> String {
    "unknown".to_owned()
}
