//! What is known of the ports at which an authority knocks, before it does.

use std::net::IpAddr;

use super::{doctor::Seen, front_door::FrontDoor, interfaces, router::External};
use crate::base::{Timestamp, network_of};

/// How long a visitor from outside counts as evidence that a port is open.
const FRESH_S: i64 = 24 * 3600;

/// What is known of a port, the best first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// Who knocks there comes to this site.
    Open,
    /// Nobody knows.
    #[default]
    Unknown,
    /// Nobody from outside gets there, as far as the router says.
    Closed,
}

/// What is known of port 80 and of port 443.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Port 80.
    pub http: Port,
    /// Port 443.
    pub https: Port,
}

/// What the router does with a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Does {
    /// Nobody knows.
    #[default]
    Untold,
    /// It passes it on to this machine.
    PassesOn,
    /// It does not.
    Refuses,
}

impl Does {
    fn of(is_granted: bool, is_refused: bool) -> Self {
        match (is_granted, is_refused) {
            (_, true) => Self::Refuses,
            (true, false) => Self::PassesOn,
            (false, false) => Self::Untold,
        }
    }
}

/// What was found out of one port.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    /// Somebody has met this site there: a visitor from outside not long ago, or the doctor.
    is_met: bool,
    /// What the router does with it.
    router: Does,
    /// Nobody outside gets to the router's own address.
    is_unreachable: bool,
    /// There is another way in, over IPv6, of which the router's address says nothing.
    has_v6: bool,
}

impl Ports {
    /// From what was noted of the door, and who was `seen` there. `homes`: addresses of this home on the internet.
    /// `external`: the router's, as it was heard last by who lets names follow, if that is done.
    pub fn known(
        door: &FrontDoor,
        seen: &Seen,
        homes: &[IpAddr],
        external: Option<&External>,
    ) -> Self {
        let has_v6 = interfaces::has_v6() != Some(false);
        Self::of(door, seen, homes, external, has_v6)
    }

    /// The same, for a machine with an address of IPv6 that the internet leads to, or without one.
    fn of(
        door: &FrontDoor,
        seen: &Seen,
        homes: &[IpAddr],
        external: Option<&External>,
        has_v6: bool,
    ) -> Self {
        let (against, now) = (door.against(), Timestamp::now());
        let external = external.and_then(External::is_unreachable);
        let all = Signs {
            is_unreachable: external.unwrap_or(against.is_unreachable),
            has_v6,
            ..Signs::default()
        };
        let was_visited = |visitors| is_met(visitors, homes, seen.closed_at, now);
        Self {
            http: judged(Signs {
                is_met: was_visited(&seen.plain_visitors),
                router: Does::of(false, against.is_http_refused),
                ..all
            }),
            https: judged(Signs {
                is_met: door.is_proved() || was_visited(&seen.visitors),
                router: Does::of(door.is_open(), against.is_https_refused),
                ..all
            }),
        }
    }

    /// The same behind somebody who ends TLS in front of this site: who comes to port 443 meets them, and so does an
    /// authority.
    #[must_use]
    pub fn behind_proxy(self) -> Self {
        Self {
            https: Port::Unknown,
            ..self
        }
    }
}

/// A router may grant a port at an address that nobody outside gets to, and may not know what was set on its own pages.
fn judged(signs: Signs) -> Port {
    let is_closed = (signs.is_unreachable || signs.router == Does::Refuses) && !signs.has_v6;
    match signs {
        _ if signs.is_met => Port::Open,
        _ if is_closed => Port::Closed,
        _ if signs.router == Does::PassesOn && !signs.is_unreachable => Port::Open,
        _ => Port::Unknown,
    }
}

/// Whether one of these has come from outside: not long ago, and not before the door was closed.
fn is_met(
    visitors: &[(IpAddr, i64)],
    homes: &[IpAddr],
    closed_at: Option<i64>,
    now: Timestamp,
) -> bool {
    visitors.iter().any(|(network, at)| {
        let is_own = homes.iter().any(|home| network_of(*home) == *network);
        !is_own && now.0 - at < FRESH_S && closed_at.is_none_or(|closed| *at > closed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_in_knows_better_than_the_router_whose_address_counts_more_than_what_it_grants() {
        use Does::{PassesOn, Refuses, Untold};
        use Port::{Closed, Open, Unknown};
        // Whether somebody was met there, what the router does, and whether nobody gets to its address; and what is known
        // then of a machine without IPv6 and of one with it.
        for (is_met, router, is_unreachable, expected) in [
            (false, Untold, false, [Unknown, Unknown]),
            (false, Untold, true, [Closed, Unknown]),
            (false, Refuses, false, [Closed, Unknown]),
            (false, Refuses, true, [Closed, Unknown]),
            (false, PassesOn, false, [Open, Open]),
            (false, PassesOn, true, [Closed, Unknown]),
            (true, Untold, false, [Open, Open]),
            (true, Untold, true, [Open, Open]),
            (true, Refuses, false, [Open, Open]),
            (true, Refuses, true, [Open, Open]),
            (true, PassesOn, false, [Open, Open]),
            (true, PassesOn, true, [Open, Open]),
        ] {
            let found = [false, true].map(|has_v6| {
                judged(Signs {
                    is_met,
                    router,
                    is_unreachable,
                    has_v6,
                })
            });
            assert_eq!(found, expected, "{is_met} {router:?} {is_unreachable}");
        }
    }

    #[test]
    fn a_visitor_counts_for_a_day_if_it_is_not_of_this_home_and_the_door_was_not_closed_since() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let homes = [ip("11.22.33.44"), ip("2a0b:1::20")];
        let now = Timestamp(1_800_000_000);
        for (network, ago, closed_ago, expected) in [
            ("9.9.9.9", 60, None, true),
            ("9.9.9.9", 60, Some(600), true),
            ("9.9.9.9", 600, Some(60), false),
            ("9.9.9.9", FRESH_S, None, false),
            ("11.22.33.44", 60, None, false),
            ("2a0b:1::", 60, None, false),
        ] {
            let seen = [(ip(network), now.0 - ago)];
            let closed_at = closed_ago.map(|ago| now.0 - ago);
            let found = is_met(&seen, &homes, closed_at, now);
            assert_eq!(found, expected, "{network} {ago} {closed_ago:?}");
        }
    }

    #[test]
    fn what_is_noted_of_the_door_decides_of_each_port() {
        let ip = |text: &str| text.parse().unwrap();
        let (shared, public) = (
            External::Shared(ip("100.64.3.20")),
            External::Public(ip("11.22.33.44")),
        );
        // A machine with IPv6 has another way in.
        for (has_v6, closed) in [(false, Port::Closed), (true, Port::Unknown)] {
            let known = |door: &FrontDoor, external: Option<&External>| {
                let ports = Ports::of(door, &Seen::default(), &[], external, has_v6);
                [ports.http, ports.https]
            };
            let door = FrontDoor::default();
            assert_eq!(known(&door, None), [Port::Unknown; 2]);
            assert_eq!(known(&door, Some(&shared)), [closed; 2]);
            door.note_unreachable(Some(true));
            assert_eq!(known(&door, None), [closed; 2]);
            assert_eq!(known(&door, Some(&public)), [Port::Unknown; 2]);
            door.note_unreachable(Some(false));
            door.note_refused(80, true);
            door.note_router(true);
            assert_eq!(known(&door, None), [closed, Port::Open]);
            door.forget_refusals();
            assert_eq!(known(&door, None), [Port::Unknown, Port::Open]);
        }
    }

    #[test]
    fn whatever_is_noted_of_port_443_says_nothing_behind_a_proxy_that_ends_tls() {
        let door = FrontDoor::default();
        door.note_doctor(true, door.closings());
        let seen = Seen::default();
        let proved = Ports::of(&door, &seen, &[], None, false);
        assert_eq!(proved.https, Port::Open);
        let http = Port::Closed;
        for https in [proved.https, Port::Unknown, Port::Closed] {
            let found = Ports { http, https }.behind_proxy();
            assert_eq!((found.http, found.https), (http, Port::Unknown));
        }
    }
}
