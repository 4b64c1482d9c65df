//! Server, application and database: what is on this machine.

use super::{quoted, span, when};
use crate::{
    base::{Place, Station},
    db::DataFolder,
    net::doctor::facts::{Facts, Running},
};

/// A clock that is this wrong makes certificates fail; less is nobody's concern.
const CLOCK_OFF_S: i64 = 5 * 60;
/// Less than this on the disk, and saving fails before long.
const LEAST_FREE_BYTES: u64 = 32 * 1024 * 1024;
/// One failure in so many requests of the last hour is too much.
const FAILURES_IN: u64 = 100;

pub(super) fn judge_server(facts: &Facts) -> Station {
    const SERVER: Place = Place::Server;
    let server = &facts.server;
    let set_clock = "Let the machine set its clock by itself: `sudo timedatectl set-ntp true`, and look whether it reaches the internet.";
    if server.is_clock_unset {
        let says = "The clock of this machine was never set, and certificates need the right time.";
        return Station::wrong(SERVER, "clock-unset", says).remedy(set_clock);
    }
    if let Some((ahead, of)) = &server.clock_ahead
        && ahead.abs() >= CLOCK_OFF_S
    {
        let which = if *ahead > 0 { "ahead" } else { "behind" };
        let says = format!(
            "The clock of this machine is {} {which}, as {of} says.",
            span(*ahead)
        );
        return Station::wrong(SERVER, "clock-wrong", says).remedy(set_clock);
    }
    match &server.state {
        Running::No => Station::wrong(SERVER, "server-not-running", "The site does not run.")
            .remedy("Start it: `sudo systemctl start webstead` for a service, else `webstead`.")
            .cause(),
        Running::Starting => {
            let says = "The site is starting, and does not answer yet.";
            Station::unknown(SERVER, "server-starting", says).remedy("Look again in a moment.")
        }
        Running::Unreadable(why) => {
            let says = format!("The settings cannot be read: {}", quoted(why));
            Station::wrong(SERVER, "settings-unreadable", says)
                .remedy(
                    "Correct that line of webstead.toml; `webstead check` says when it is right.",
                )
                .cause()
        }
        Running::Yes(at) => match &server.first_page {
            Some(Err(why)) => {
                let says = format!(
                    "The site runs, but does not answer on port {}: {why}.",
                    at.port()
                );
                Station::wrong(SERVER, "server-silent", says).remedy(
                    "Restart it: `sudo systemctl restart webstead`. If that does not help, its log says more: `sudo \
                     journalctl -u webstead`.",
                )
                .cause()
            }
            _ if server.clock_ahead.is_some() || server.is_clock_kept => {
                let says = format!("The site runs and answers on port {}.", at.port());
                Station::well(SERVER, "server-well", says)
            }
            _ => {
                let says = format!(
                    "The site runs and answers on port {}. Whether the clock of this machine is right could not be \
                     checked: it says {}.",
                    at.port(),
                    when(facts.now)
                );
                Station::unknown(SERVER, "clock-untold", says)
                    .remedy(format!("Compare that with a watch. {set_clock}"))
            }
        },
    }
}

pub(super) fn judge_application(facts: &Facts) -> Station {
    const APPLICATION: Place = Place::Application;
    let log = "The log has the cause of each: `sudo journalctl -u webstead`, or the page about the traffic.";
    let (answered, failed) = facts
        .seen
        .as_ref()
        .map_or((0, 0), |seen| (seen.answered, seen.failed));
    match &facts.server.first_page {
        Some(Ok(status)) if *status >= 500 => {
            let says = format!("The first page is an error ({status}).");
            return Station::wrong(APPLICATION, "application-failing", says)
                .remedy(log)
                .page("/admin/traffic");
        }
        Some(Ok(_)) => {}
        _ => {
            let says = "Whether pages are made cannot be known while the server does not answer.";
            return Station::unknown(APPLICATION, "application-unknown", says);
        }
    }
    if let Some((host, address)) = facts
        .seen
        .as_ref()
        .and_then(|seen| seen.programs_down.first())
    {
        let says =
            format!("The site is well, but the program behind {host} ({address}) does not answer.");
        return Station::wrong(APPLICATION, "program-down", says)
            .remedy("Start that program.")
            .page("/admin/hosts");
    }
    if failed > 0 && failed * FAILURES_IN > answered {
        let says = format!(
            "{failed} of {} requests failed in the last hour.",
            answered + failed
        );
        return Station::wrong(APPLICATION, "application-errors", says)
            .remedy(log)
            .page("/admin/traffic");
    }
    Station::well(
        APPLICATION,
        "application-well",
        "Pages are made, and none failed of late.",
    )
}

pub(super) fn judge_database(facts: &Facts) -> Station {
    const DATABASE: Place = Place::Database;
    let storage = &facts.storage;
    let folder = &storage.folder;
    if let Some(why) = storage.database.unseen() {
        return Station::wrong(
            DATABASE,
            "database-unseen",
            format!("The database could not be looked at: {}", quoted(why)),
        )
        .remedy("Look whether the disk is there, and whether the site's user may read the data folder; `webstead check` looks again.")
        .page("/help/when-something-is-wrong");
    }
    if let Some(problem) = storage.database.damage() {
        return Station::wrong(
            DATABASE,
            "database-damaged",
            format!("The database is not well: {}", quoted(problem)),
        )
        .remedy("Keep a copy of the data folder as it is; then `webstead repair` says what can be saved, and `webstead restore` puts back your last backup.")
        .page("/help/when-something-is-wrong");
    }
    if storage.is_read_only {
        let says = DataFolder::says_read_only(folder);
        return Station::wrong(DATABASE, "disk-read-only", says)
            .remedy("Copy the data folder to a new card or disk, and restart the machine.");
    }
    if let Some(free) = storage.free_bytes.filter(|free| *free < LEAST_FREE_BYTES) {
        let says = format!(
            "The disk of {folder} is full: {} MB are left.",
            free / 1_000_000
        );
        return Station::wrong(DATABASE, "disk-full", says)
            .remedy("Make room: `sudo du -xh / | sort -h | tail` shows what is large.");
    }
    if storage.is_long {
        let says = "The database is too large to be read through in a few seconds; nothing wrong was found until then.";
        return Station::unknown(DATABASE, "database-large", says)
            .remedy("`webstead check` takes its time and reads all of it.");
    }
    let free = storage.free_bytes.map_or_else(String::new, in_words);
    Station::well(
        DATABASE,
        "database-well",
        format!("The database is sound{free}."),
    )
}

fn in_words(free_bytes: u64) -> String {
    const MB: u64 = 1_000_000;
    match free_bytes / MB {
        megabytes @ 10_000.. => format!(", and {} GB are free on the disk", megabytes / 1000),
        megabytes => format!(", and {megabytes} MB are free on the disk"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::well, judge_database};
    use crate::base::Verdict;

    #[test]
    fn a_database_that_could_not_be_looked_at_is_not_called_damaged() {
        for (verdict, state, remedy) in [
            (Verdict::Sound, "database-well", ""),
            (
                Verdict::Damaged("page 7".into()),
                "database-damaged",
                "webstead repair",
            ),
            (
                Verdict::NotSeen("permission denied".into()),
                "database-unseen",
                "webstead check",
            ),
        ] {
            let mut facts = well();
            facts.storage.database = verdict.clone();
            let station = judge_database(&facts);
            assert_eq!(station.state, state, "{verdict:?}");
            let said = station.remedy.unwrap_or_default();
            assert!(said.contains(remedy), "{said}");
        }
    }
}
