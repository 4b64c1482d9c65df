//! What the page of the doctor needs.

use askama::Template;

use crate::{
    app::layout::Shell,
    base::{Diagnosis, Health, Place, Station, Timestamp},
};

/// The way to the site.
#[derive(Template)]
#[template(path = "doctor/doctor.html")]
pub struct DoctorPage {
    /// The frame.
    pub shell: Shell,
    /// What was found last, if anybody has looked.
    pub result: Option<Result>,
}

/// What was found.
pub struct Result {
    /// When.
    pub at: Timestamp,
    /// How long it took, in seconds.
    pub took_s: String,
    /// The name that visitors use.
    pub name: Option<String>,
    /// What to do first, if something is wrong, with the further name that it is about, if it is about one.
    pub first: Option<(Row, Option<String>)>,
    /// All of it in one sentence.
    pub summary: String,
    /// Every station.
    pub rows: Vec<Row>,
    /// Further names, each with how it stands.
    pub further: Vec<(String, Row)>,
    /// How many more there are.
    pub further_left_out: usize,
}

/// A station.
pub struct Row {
    /// What it is called.
    pub title: &'static str,
    /// A class for its colour.
    pub class: &'static str,
    /// How it stands, in a word.
    pub word: &'static str,
    /// The picture of the state, as a path in a square of 24.
    pub mark: &'static str,
    /// The picture of the station, likewise.
    pub icon: &'static str,
    /// The state in a sentence.
    pub says: String,
    /// The one thing to do.
    pub remedy: Option<String>,
    /// Where it is done or explained, and what that page is called.
    pub page: Option<(&'static str, &'static str)>,
}

impl Result {
    /// As the page shows it.
    pub fn of(found: &Diagnosis) -> Self {
        Self {
            at: found.at,
            #[allow(clippy::cast_precision_loss)] // to be read by a person
            took_s: format!("{:.1}", found.took_ms as f64 / 1000.0),
            name: found.name.clone(),
            first: found
                .first_wrong()
                .map(|first| (Row::of(first), found.first_wrong_name().map(str::to_owned))),
            summary: found.summary(),
            rows: found.stations.iter().map(Row::of).collect(),
            further: found
                .further
                .iter()
                .map(|further| (further.name.clone(), Row::of(&further.station)))
                .collect(),
            further_left_out: found.further_left_out,
        }
    }
}

impl Row {
    fn of(station: &Station) -> Self {
        Self {
            title: station.place.title(),
            class: match station.health {
                Health::Well => "well",
                Health::Wrong => "wrong",
                Health::Unknown => "unknown",
            },
            word: station.health.word(),
            mark: match station.health {
                Health::Well => "M5 12.5l4.5 4.5L19 7.5",
                Health::Wrong => "M7 7l10 10M17 7L7 17",
                Health::Unknown => "M9 9.2a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1.1-1.4 2.1M12 17.4v.2",
            },
            icon: icon(station.place),
            says: station.says.clone(),
            remedy: station.remedy.clone(),
            page: station.page.map(|path| (path, page_title(path))),
        }
    }
}

/// What a page is called to which a station leads.
fn page_title(path: &str) -> &'static str {
    match path {
        "/admin/traffic" => "See the traffic",
        "/admin/hosts" => "See the other hosts",
        "/admin/name" => "Set the name",
        "/admin/name/router" => "Look at the router, or let it be asked",
        "/trust" => "How to trust it",
        _ => "The manual explains how",
    }
}

/// The picture of a station: lines in a square of 24.
fn icon(place: Place) -> &'static str {
    match place {
        // A label.
        Place::Name => "M4 11V5a1 1 0 0 1 1-1h6l9 9-7 7zM8 8v.1",
        // A pin on a map.
        Place::Address => {
            "M12 21s7-6.4 7-11.5A7 7 0 0 0 5 9.500C5 14.600 12 21 12 21zM12 12a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z"
        }
        // A box with antennas.
        Place::Router => "M3 14h18v6H3zM7 14V6M17 14V6M7 17v.1M11 17h6",
        // A door.
        Place::Port => "M6 21V4h12v17M3 21h18M14.500 12.500v.1",
        // A seal.
        Place::Certificate => {
            "M12 15a5.500 5.500 0 1 0 0-11 5.500 5.500 0 0 0 0 11zM9 14.500V21l3-2 3 2v-6.500"
        }
        // A machine.
        Place::Server => "M4 5h16v6H4zM4 13h16v6H4zM7.500 8v.1M7.500 16v.1M12 8h5M12 16h5",
        // A page.
        Place::Application => "M6 3h9l4 4v14H6zM15 3v4h4M9 12h6M9 16h6",
        // A drum.
        Place::Database => {
            "M5 6c0-3.300 14-3.300 14 0s-14 3.300-14 0zM5 6v12c0 3.300 14 3.300 14 0V6M5 12c0 3.300 14 3.300 14 0"
        }
    }
}
