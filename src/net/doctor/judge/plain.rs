//! Port 80: who types a name without https:// comes there, and an authority that looks there for a proof.

use super::{
    ABOUT_NAMES,
    network::{MOST_CHARS, here},
    visitors::is_evidence,
};
use crate::{
    base::{Health, Place, Station, one_line},
    net::{
        acme::FailureKind,
        doctor::facts::{Door, Facts, Who},
    },
};

/// The state in which port 443 is open and port 80 is not.
pub(super) const OPEN_443_ONLY: &str = "port-open-443-only";

/// What is known of port 80, where port 443 is open.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    Open,
    /// It is closed, and how that is known.
    Closed(String),
    /// From here it cannot be seen, and nobody has come.
    Nothing,
}

/// The station of the ports with what is known of port 80. As long as nobody gets in at port 443, that is what counts.
pub(super) fn with_port_80(facts: &Facts, station: Station) -> Station {
    if station.health != Health::Well {
        return station;
    }
    let says = station.says.trim_end_matches('.').to_owned();
    let is_proof = facts.certificates.is_by_http;
    let forward = format!(
        "In the router, forward port 80 to {} too, to the port where the site listens for plain HTTP (80, or 8080).",
        here(facts)
    );
    match known(facts) {
        Known::Open => Station {
            says: format!("{says}; so is port 80."),
            ..station
        },
        Known::Closed(how) if is_proof => {
            let says = format!(
                "{says}; but port 80 is closed ({how}), and there the authority looks for its proof (http-01): the \
                 certificate will not be renewed."
            );
            Station::wrong(Place::Port, "port-80-closed", says)
                .remedy(format!(
                    "{forward} Or let the names be proved by what works."
                ))
                .page(ABOUT_NAMES)
        }
        Known::Closed(how) => {
            let says = format!(
                "{says}; port 80 is closed ({how}), so who types the name without https:// finds nobody, unless the \
                 browser tries that by itself."
            );
            Station::well(Place::Port, OPEN_443_ONLY, says)
                .remedy(forward)
                .page(ABOUT_NAMES)
        }
        Known::Nothing if is_proof => {
            let says = format!(
                "{says}; whether port 80 is, where the authority looks for its proof (http-01), cannot be seen from \
                 here, and nobody from outside has come there."
            );
            let name = facts.names.first().map_or("NAME", |named| &named.name);
            Station::unknown(Place::Port, "port-80-untold", says).remedy(format!(
                "To find out, open http://{name} on a telephone whose Wi-Fi is off, and look here again."
            ))
        }
        Known::Nothing => station,
    }
}

fn known(facts: &Facts) -> Known {
    let ours = || facts.doors.iter().filter(|door| door.who == Who::Ours);
    // What an authority said may be hours old; this is seen now.
    if ours().any(|door| door.plain == Some(Who::Ours) && !door.is_here) {
        return Known::Open;
    }
    if let Some(words) = said_closed(facts) {
        return Known::Closed(format!("the authority said: {words}"));
    }
    let came = facts.last_plain_visitor();
    if came.is_some_and(|at| is_evidence(facts, at)) {
        return Known::Open;
    }
    if ours().any(|door| door.plain == Some(Who::Ours)) {
        // What answers on this machine itself says nothing of what is in front of it.
        return Known::Nothing;
    }
    // The way through the router is seen, or nothing lies between.
    let closed = ours().find_map(|door: &Door| match door.plain.as_ref()? {
        Who::Refused => Some("what knocks is refused".to_owned()),
        Who::Silent => Some("what knocks is dropped".to_owned()),
        Who::Unreachable(why) => Some(format!("there is no way there: {why}")),
        Who::Other(_) => Some("somebody else answers there".to_owned()),
        Who::Ours => None,
    });
    closed.map_or(Known::Nothing, Known::Closed)
}

/// What an authority said that could not connect to port 80, which it names as a plain address.
fn said_closed(facts: &Facts) -> Option<String> {
    let failures = facts.certificates.of_names.iter();
    let mut failures = failures.filter_map(|of_name| of_name.failure.as_ref());
    let found = failures.find(|failure| {
        let text = failure.text.to_ascii_lowercase();
        let words = ["refused", "timeout", "timed out", "no route to host"];
        failure.kind == FailureKind::Validation
            && text.contains("http://")
            && words.iter().any(|word| text.contains(word))
    });
    found.map(|failure| one_line(&failure.text, MOST_CHARS))
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW, failure, well},
        *,
    };

    type Change = fn(&mut Facts);

    #[test]
    fn port_80_is_known_open_known_closed_or_not_known() {
        let authority = "203.0.113.7: Fetching http://a.example.org/.well-known/acme-challenge/x: Timeout during connect";
        let all: [(&str, &str, Health, bool, Change); 9] = [
            ("port-open", "so is port 80", Health::Well, false, |facts| {
                facts.doors[0].plain = Some(Who::Ours);
            }),
            (
                "port-open-443-only",
                "refused",
                Health::Well,
                false,
                |facts| {
                    facts.doors[0].plain = Some(Who::Refused);
                },
            ),
            ("port-80-closed", "dropped", Health::Wrong, true, |facts| {
                facts.doors[0].plain = Some(Who::Silent);
            }),
            // Somebody from outside came: what is seen from inside is wrong.
            ("port-open", "so is port 80", Health::Well, true, |facts| {
                facts.doors[0].plain = Some(Who::Silent);
                facts.seen.as_mut().unwrap().plain_visitors =
                    vec![("9.9.9.9".parse().unwrap(), NOW - 300)];
            }),
            // The router does not reach itself, so nothing of port 80 is seen.
            (
                "port-80-untold",
                "nobody from outside",
                Health::Unknown,
                true,
                |facts| {
                    facts.doors[0].who = Who::Silent;
                    facts.doors[0].plain = Some(Who::Silent);
                    facts.seen.as_mut().unwrap().visitors =
                        vec![("9.9.9.9".parse().unwrap(), NOW - 300)];
                },
            ),
            (
                "port-visited",
                "5 minutes ago",
                Health::Well,
                false,
                |facts| {
                    facts.doors[0].who = Who::Silent;
                    facts.doors[0].plain = Some(Who::Silent);
                    facts.seen.as_mut().unwrap().visitors =
                        vec![("9.9.9.9".parse().unwrap(), NOW - 300)];
                },
            ),
            ("port-open", "is open, and", Health::Well, false, |facts| {
                facts.doors[0].plain = None;
            }),
            ("port-closed", "443", Health::Wrong, true, |facts| {
                facts.doors[0].who = Who::Silent;
                facts.doors[0].plain = Some(Who::Silent);
            }),
            (
                "port-80-closed",
                "somebody else",
                Health::Wrong,
                true,
                |facts| {
                    facts.doors[0].plain =
                        Some(Who::Other(crate::net::doctor::facts::Stranger::default()));
                },
            ),
        ];
        for (state, words, health, is_by_http, change) in all {
            let mut facts = well();
            facts.certificates.is_by_http = is_by_http;
            change(&mut facts);
            let station = super::super::judge(&facts).into_iter().nth(3).unwrap();
            assert_eq!(
                (station.state, station.health),
                (state, health),
                "{}",
                station.says
            );
            assert!(station.says.contains(words), "{}", station.says);
        }
        // The authority is outside, and has tried.
        let mut facts = well();
        facts.certificates.is_by_http = true;
        facts.certificates.of_names[0].failure = Some(failure(FailureKind::Validation, authority));
        // That was hours ago, and now it is seen to be open.
        facts.doors[0].plain = Some(Who::Ours);
        let station = super::super::judge(&facts).into_iter().nth(3).unwrap();
        assert_eq!(station.state, "port-open", "{}", station.says);
        facts.doors[0].plain = Some(Who::Silent);
        let station = super::super::judge(&facts).into_iter().nth(3).unwrap();
        assert_eq!(station.state, "port-80-closed");
        assert!(
            station.says.contains("Timeout during connect"),
            "{}",
            station.says
        );
    }
}
