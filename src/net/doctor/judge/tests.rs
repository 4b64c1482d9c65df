//! States from what may be found; `tests/doctor.rs` makes those happen for which it has real servers.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::{judge, quoted, span};
use crate::{
    base::{Health, Place, Station, Timestamp, Verdict},
    net::{
        acme::{Failure, FailureKind},
        dns::Said,
        doctor::facts::{
            Certificates, Door, Facts, Home, Known, Mapping, Named, OfName, Router, Running, Seen,
            Server, Shown, Storage, Stranger, Who,
        },
    },
};

pub(super) const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 3600;

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A home behind a router that lets everybody in.
pub(super) fn well() -> Facts {
    let said = Said::Addresses(vec![ip("81.2.69.142")]);
    Facts {
        now: Timestamp(NOW),
        names: vec![Named {
            name: "a.example.org".into(),
            is_public: true,
            is_implied: false,
            resolver: Some(("192.168.1.1:53".parse().unwrap(), said.clone())),
            zone: vec![("ns1".into(), said.clone()), ("ns2".into(), said)],
        }],
        more: Vec::new(),
        home: Home {
            interfaces: vec![ip("192.168.1.20")],
            outward: Some(ip("192.168.1.20")),
            gateway: Some(ip("192.168.1.1")),
            router: Router {
                external: Some(ip("81.2.69.142")),
                ..Router::default()
            },
            ..Home::default()
        },
        homes: Vec::new(),
        doors: vec![door(Who::Ours)],
        certificates: Certificates {
            is_agreed: true,
            is_by_http: false,
            of_names: vec![OfName {
                name: "a.example.org".into(),
                shown: Some(Shown {
                    names: vec!["a.example.org".into()],
                    issuer: "Let's Encrypt E7".into(),
                    from: Timestamp(NOW - 20 * DAY),
                    until: Timestamp(NOW + 70 * DAY),
                    is_local: false,
                    is_known: Some(true),
                    is_for_name: true,
                }),
                is_askable: true,
                ..OfName::default()
            }],
            of_more: Vec::new(),
        },
        server: Server {
            state: Running::Yes("[::]:443".parse().unwrap()),
            first_page: Some(Ok(200)),
            clock_ahead: Some((1, "authority.example".into())),
            is_clock_kept: false,
            is_clock_unset: false,
        },
        seen: Some(Seen {
            since: NOW - 7200,
            answered: 500,
            ..Seen::default()
        }),
        storage: Storage {
            database: Verdict::Sound,
            free_bytes: Some(20_000_000_000),
            ..Storage::not_seen("/var/lib/webstead".as_ref(), String::new())
        },
    }
}

fn door(who: Who) -> Door {
    Door {
        at: SocketAddr::new(ip("81.2.69.142"), 443),
        is_here: false,
        who,
        plain: None,
    }
}

pub(super) fn failure(kind: FailureKind, text: &str) -> Failure {
    Failure::new(kind, text)
}

pub(super) fn station(facts: &Facts, place: Place) -> Station {
    let mut stations = judge(facts).into_iter();
    stations.find(|station| station.place == place).unwrap()
}

#[test]
fn all_is_well_where_nothing_is_wrong() {
    for station in judge(&well()) {
        assert_eq!(station.health, Health::Well, "{station:?}");
    }
    let facts = Facts {
        names: vec![],
        doors: vec![],
        ..well()
    };
    assert!(
        judge(&facts)
            .iter()
            .all(|station| station.health != Health::Wrong)
    );
}

/// Changes what is well into what is found.
pub(super) type Change = fn(&mut Facts);

/// The name has the old address, which is somebody else's by now.
fn behind_a_mute_router(facts: &mut Facts, is_now: bool) {
    facts.home.router.external = None;
    facts.doors[0].who = Who::Other(Stranger::default());
    facts.home.known = Some(Known {
        address: ip("81.2.69.143"),
        since: Some(Timestamp(NOW - 3 * DAY)),
        is_now,
    });
}

#[test]
#[allow(clippy::too_many_lines)] // a table
fn each_state_has_its_name_and_says_what_it_is_about() {
    let table: &[(Place, &str, &[&str], Change)] = &[
        (
            Place::Name,
            "name-behind",
            &["81.2.69.143", "changed", "dynamic DNS"],
            |facts| {
                facts.home.router.external = Some(ip("81.2.69.143"));
                facts.doors[0].who = Who::Silent;
                facts.homes = vec![(ip("81.2.69.142"), Timestamp(NOW - 60))];
            },
        ),
        (Place::Name, "name-behind", &["follow"], |facts| {
            facts.home.router.external = Some(ip("81.2.69.143"));
            facts.home.follows = true;
            facts.doors[0].who = Who::Refused;
            facts.homes = vec![(ip("81.2.69.142"), Timestamp(NOW - 60))];
        }),
        (
            Place::Name,
            "name-elsewhere",
            &["81.2.69.142", "81.2.69.143"],
            |facts| {
                facts.home.router.external = Some(ip("81.2.69.143"));
                facts.doors[0].who = Who::Other(Stranger::default());
            },
        ),
        // Behind a router that says nothing, dynamic DNS knows.
        (
            Place::Name,
            "name-elsewhere",
            &["81.2.69.142", "81.2.69.143", "3 days ago"],
            |facts| behind_a_mute_router(facts, true),
        ),
        (
            Place::Port,
            "port-nowhere",
            &["does not lead here"],
            |facts| behind_a_mute_router(facts, true),
        ),
        (
            Place::Address,
            "address-untold",
            &["81.2.69.143", "3 days ago"],
            |facts| behind_a_mute_router(facts, true),
        ),
        // Nobody has looked since: that is no reason to call it wrong.
        (
            Place::Name,
            "name-untold",
            &["81.2.69.143", "2027-01-12 08:00 UTC"],
            |facts| behind_a_mute_router(facts, false),
        ),
        // Through a proxy or a tunnel it leads here nevertheless.
        (Place::Name, "name-well", &["here"], |facts| {
            facts.home.router.external = Some(ip("100.64.3.3"));
        }),
        (
            Place::Name,
            "name-changing",
            &["192.168.1.1", "81.2.69.9"],
            |facts| {
                let old = Said::Addresses(vec![ip("81.2.69.9")]);
                facts.names[0].resolver.as_mut().unwrap().1 = old;
            },
        ),
        (
            Place::Name,
            "name-broken",
            &["SERVFAIL", "DNSSEC"],
            |facts| {
                facts.names[0].zone.clear();
                facts.names[0].resolver.as_mut().unwrap().1 = Said::Failed("SERVFAIL".into());
            },
        ),
        (Place::Name, "resolver-unset", &["resolv.conf"], |facts| {
            facts.names[0].resolver = None;
            facts.names[0].zone.clear();
        }),
        // One of the servers is away: the others are enough.
        (Place::Name, "name-well", &[], |facts| {
            facts.names[0].zone[0].1 = Said::Silent;
        }),
        (
            Place::Address,
            "address-shared",
            &["100.64.3.3", "CGNAT"],
            |facts| {
                facts.home.router.external = Some(ip("100.64.3.3"));
                facts.doors[0].who = Who::Silent;
            },
        ),
        (
            Place::Address,
            "address-proved",
            &["81.2.69.142"],
            |facts| {
                facts.home.router.external = Some(ip("100.64.3.3"));
            },
        ),
        (
            Place::Address,
            "address-behind-another",
            &["192.168.178.2", "bridge"],
            |facts| {
                facts.home.router.external = Some(ip("192.168.178.2"));
                facts.doors[0].who = Who::Silent;
            },
        ),
        (
            Place::Address,
            "address-changes",
            &["dynamic DNS"],
            |facts| {
                facts.homes = [("81.2.69.142", NOW), ("81.2.69.9", NOW - DAY)]
                    .map(|(home, at)| (ip(home), Timestamp(at)))
                    .to_vec();
            },
        ),
        (
            Place::Router,
            "router-to-another",
            &["192.168.1.9", "192.168.1.20"],
            |facts| {
                facts.home.router.mapping = Mapping::To("192.168.1.9:443".parse().unwrap());
                facts.doors[0].who = Who::Silent;
            },
        ),
        (
            Place::Router,
            "router-unmapped",
            &["nobody", "192.168.1.20"],
            |facts| {
                facts.home.router.mapping = Mapping::Nobody;
                facts.doors[0].who = Who::Refused;
            },
        ),
        (Place::Router, "router-mapped", &["this machine"], |facts| {
            facts.home.router.mapping = Mapping::To("192.168.1.20:443".parse().unwrap());
            facts.doors[0].who = Who::Silent;
        }),
        (
            Place::Port,
            "port-untold",
            &["reach itself", "telephone"],
            |facts| {
                facts.home.router.mapping = Mapping::To("192.168.1.20:443".parse().unwrap());
                facts.doors[0].who = Who::Silent;
            },
        ),
        (Place::Router, "router-hairpin", &["inside"], |facts| {
            facts.doors[0].who = Who::Silent;
            facts.seen.as_mut().unwrap().visitors = vec![(ip("9.9.9.9"), NOW - 300)];
        }),
        (Place::Port, "port-visited", &["5 minutes ago"], |facts| {
            facts.doors[0].who = Who::Silent;
            facts.seen.as_mut().unwrap().visitors = vec![(ip("9.9.9.9"), NOW - 300)];
        }),
        // This home itself is nobody from outside, and who came a week ago says nothing of today.
        (Place::Port, "port-closed", &["7 days ago"], |facts| {
            facts.doors[0].who = Who::Silent;
            facts.seen.as_mut().unwrap().visitors = vec![
                (ip("81.2.69.142"), NOW - 300),
                (ip("9.9.9.9"), NOW - 7 * DAY),
            ];
        }),
        (Place::Port, "port-closed", &["for 2 hours"], |facts| {
            facts.doors[0].who = Who::Silent;
        }),
        (Place::Port, "port-closed", &["has come yet"], |facts| {
            facts.doors[0].who = Who::Silent;
            facts.seen.as_mut().unwrap().since = NOW;
        }),
        (
            Place::Port,
            "port-closed",
            &["Timeout during connect"],
            |facts| {
                facts.doors[0].who = Who::Silent;
                facts.certificates.of_names[0].failure = Some(failure(
                    FailureKind::Validation,
                    "81.2.69.142: Fetching http://a.example.org/x: Timeout during connect (likely firewall problem)",
                ));
            },
        ),
        (
            Place::Port,
            "port-other",
            &["8443", "webstead install"],
            |facts| {
                facts.doors[0].is_here = true;
                facts.doors[0].who = Who::Refused;
                facts.server.state = Running::Yes("[::]:8443".parse().unwrap());
            },
        ),
        (
            Place::Port,
            "port-not-running",
            &["does not run"],
            |facts| {
                facts.doors[0].who = Who::Refused;
                facts.server.state = Running::No;
            },
        ),
        (Place::Port, "port-nowhere", &[], |facts| {
            facts.doors.clear();
        }),
        (
            Place::Server,
            "clock-wrong",
            &["3 hours ahead", "authority.example"],
            |facts| {
                facts.server.clock_ahead.as_mut().unwrap().0 = 3 * 3600;
            },
        ),
        (
            Place::Server,
            "clock-wrong",
            &["10 minutes behind"],
            |facts| {
                facts.server.clock_ahead.as_mut().unwrap().0 = -600;
            },
        ),
        (
            Place::Server,
            "clock-untold",
            &["not be checked", "2027-01-15 08:00 UTC", "watch"],
            |facts| facts.server.clock_ahead = None,
        ),
        (Place::Server, "server-well", &[], |facts| {
            facts.server.clock_ahead = None;
            facts.server.is_clock_kept = true;
        }),
        (Place::Server, "server-starting", &[], |facts| {
            facts.server.state = Running::Starting;
        }),
        (
            Place::Application,
            "application-errors",
            &["6 of 506"],
            |facts| {
                facts.seen.as_mut().unwrap().failed = 6;
            },
        ),
        (Place::Application, "application-well", &[], |facts| {
            facts.seen.as_mut().unwrap().failed = 1;
        }),
        (
            Place::Database,
            "database-large",
            &["webstead check"],
            |facts| facts.storage.is_long = true,
        ),
    ];
    hold(table);
}

/// Holds the doctor to states with these words.
pub(super) fn hold(table: &[(Place, &str, &[&str], Change)]) {
    for (place, state, words, change) in table {
        let mut facts = well();
        change(&mut facts);
        let station = station(&facts, *place);
        let shown = format!("{station:?}");
        assert_eq!(station.state, *state, "{shown}");
        for word in *words {
            assert!(shown.contains(word), "{word}: {shown}");
        }
        let needs_remedy = station.health == Health::Wrong;
        assert!(!needs_remedy || station.remedy.is_some(), "{shown}");
    }
}

pub(super) fn shown(facts: &mut Facts) -> &mut Shown {
    facts.certificates.of_names[0].shown.as_mut().unwrap()
}

#[test]
fn lengths_of_time_are_said_in_one_unit() {
    for (seconds, expected) in [
        (1, "1 second"),
        (-90, "90 seconds"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (3 * DAY, "3 days"),
    ] {
        assert_eq!(span(seconds), expected);
    }
}

proptest! {
    #[test]
    fn what_others_say_is_quoted_in_one_line_that_ends(words in "\\PC{0,600}|[a\\n ]{0,900}") {
        let quoted = quoted(&words);
        prop_assert!(quoted.starts_with('“') && quoted.ends_with('”'));
        prop_assert!(quoted.chars().count() <= 403 && !quoted.contains('\n'), "{}", quoted);
    }

    #[test]
    fn every_station_is_judged_whatever_was_found(
        who in 0usize..5, running in 0usize..3, external in any::<Option<[u8; 4]>>(), outward in any::<Option<[u8; 4]>>(),
        addresses in proptest::collection::vec(any::<[u8; 4]>(), 0..3), clock in any::<i32>(), until in any::<i32>(),
    ) {
        let mut facts = well();
        let whos = [Who::Ours, Who::Other(Stranger::default()), Who::Refused, Who::Silent, Who::Unreachable("x".into())];
        facts.doors[0].who = whos[who].clone();
        facts.server.state = [Running::No, Running::Starting, Running::Yes("[::]:443".parse().unwrap())][running].clone();
        facts.server.clock_ahead = Some((clock.into(), "x".into()));
        facts.home.router.external = external.map(IpAddr::from);
        facts.home.outward = outward.map(IpAddr::from);
        let said = Said::Addresses(addresses.into_iter().map(IpAddr::from).collect());
        facts.names[0].zone = vec![("ns".into(), said)];
        shown(&mut facts).until = Timestamp(until.into());
        let stations = judge(&facts);
        prop_assert_eq!(stations.len(), 8);
        for station in stations {
            prop_assert!(station.says.ends_with(['.', '”']), "{}", station.says);
            prop_assert!(station.health != Health::Wrong || station.remedy.is_some(), "{}", station.state);
        }
    }
}
