//! The page of the doctor, rendered.

use super::{
    Rendered,
    samples::{HOSTILE, RTL, THEN, private},
};
use crate::{
    app::doctor::views::{DoctorPage, Result as Found},
    base::{Diagnosis, Further, Place, Station},
};

/// What the doctor found: nothing yet, all well, and something at every station.
pub(super) fn doctor_pages() -> Vec<Rendered> {
    let page = |stations: Option<Vec<Station>>| {
        render(
            stations
                .map(|stations| found(further(&stations), stations))
                .as_ref(),
        )
    };
    let closed = Station::wrong(
        Place::Port,
        "port-closed",
        "Port 443 at 81.2.69.142 seems closed: from here, what knocks is refused, and nobody from outside has come for 3 hours.",
    )
    .remedy("In the router, forward port 443 to 192.168.1.20 port 443, and port 80 likewise.")
    .page("/help/a-name-and-a-certificate");
    let untold = Station::unknown(
        Place::Router,
        "router-untold",
        "The router (192.168.1.1) does not say to whom it passes on what.",
    )
    .remedy("In the router, forward port 443 to 192.168.1.20 port 443, and port 80 likewise.");
    let mut way = well_stations();
    way[2] = untold;
    way[3] = closed;
    let hostile = well_stations().into_iter().map(|station| {
        Station::wrong(station.place, "x", format!("{HOSTILE} {}", "W".repeat(300))).remedy(RTL)
    });
    vec![
        ("doctor-first", page(None)),
        ("doctor-well", page(Some(well_stations()))),
        ("doctor", page(Some(way))),
        ("doctor-extreme", page(Some(hostile.collect()))),
    ]
}

fn found(further: Vec<Further>, stations: Vec<Station>) -> Diagnosis {
    Diagnosis {
        at: THEN,
        took_ms: 3218,
        name: Some("lighthouse.example".to_owned()),
        further,
        further_left_out: stations.len() % 2 + 3,
        stations,
    }
}

fn render(found: Option<&Diagnosis>) -> String {
    let page = DoctorPage {
        shell: private("/admin/doctor", "Doctor"),
        result: found.map(Found::of),
    };
    let page: &dyn askama::DynTemplate = &page;
    page.dyn_render().expect("it renders")
}

#[test]
fn a_further_name_that_is_wrong_is_what_to_begin_with_and_its_sentences_are_written_for_people() {
    let name = "xn--bcher-kva.example";
    let says = format!("{name} has no certificate.");
    let station = Station::wrong(Place::Certificate, "certificate-none", says);
    let further = Further {
        name: name.to_owned(),
        station: station.remedy("Look with `webstead certificate`."),
    };
    let page = render(Some(&found(vec![further], well_stations())));
    for part in [
        "<strong>Begin with bücher.example (xn--bcher-kva.example).</strong>",
        "<h3>bücher.example (xn--bcher-kva.example) <",
        "<p>bücher.example (xn--bcher-kva.example) has no certificate.</p>",
        "<p class=\"todo\">Look with <code>webstead certificate</code>.</p>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

/// A further name for the name and the certificate of these stations.
fn further(stations: &[Station]) -> Vec<Further> {
    let of = |at: usize, name: &str| Further {
        name: name.to_owned(),
        station: stations[at].clone(),
    };
    vec![
        of(0, "www.lighthouse.example"),
        of(4, "files.lighthouse.example"),
    ]
}

fn well_stations() -> Vec<Station> {
    [
        (
            Place::Name,
            "lighthouse.example leads to 81.2.69.142, and that is here.",
        ),
        (
            Place::Address,
            "Your router has the public address 81.2.69.142.",
        ),
        (
            Place::Router,
            "What knocks at your address is passed on to this machine.",
        ),
        (
            Place::Port,
            "Port 443 at 81.2.69.142 is open, and this site answers.",
        ),
        (
            Place::Certificate,
            "The certificate for lighthouse.example, of Let's Encrypt E7, holds for another 71 days.",
        ),
        (Place::Server, "The site runs and answers on port 443."),
        (
            Place::Application,
            "Pages are made, and none failed of late.",
        ),
        (
            Place::Database,
            "The database is sound, and 21 GB are free on the disk.",
        ),
    ]
    .map(|(place, says)| Station::well(place, "well", says))
    .into()
}
