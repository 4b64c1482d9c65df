//! Address, router and port: whether somebody outside can knock here.

use std::net::IpAddr;

use super::{
    ABOUT_NAMES, ABOUT_TUNNELS, ASK_ROUTER,
    name::{age, is_elsewhere},
    quoted,
    visitors::{ago, fresh_visitor, visitors},
};
use crate::{
    base::{Place, Station, Timestamp, is_global, is_shared, one_line},
    net::{
        acme::FailureKind,
        doctor::{
            facts::{Door, Facts, Mapping, Running, Stranger, Who},
            home::seen_outside,
        },
    },
};

/// Characters of what a stranger calls itself, or an authority says.
pub(super) const MOST_CHARS: usize = 200;
/// The state in which the ports are open.
pub(super) const OPEN: &str = "port-open";
/// The states in which nobody outside gets to the address.
pub(super) const SHARED: &str = "address-shared";
pub(super) const BEHIND_ANOTHER: &str = "address-behind-another";
/// What everybody can do to see it from outside.
const TELEPHONE: &str = "open the site on a telephone whose Wi-Fi is off";

/// What can be known of the way in over the addresses of the names.
enum Way<'a> {
    /// No name that leads anywhere.
    Nowhere,
    /// This site answers, through a router or a proxy.
    Open(&'a Door),
    /// It answers at an address of this machine itself: what stands in front of it is not seen from here.
    Here(&'a Door),
    /// It does not answer from here; somebody from outside came nevertheless.
    OnlyFromOutside(Timestamp),
    /// Somebody else answers.
    Stranger(&'a Door, &'a Stranger),
    /// Nobody does.
    Closed(&'a Door),
}

fn way(facts: &Facts) -> Way<'_> {
    // What is behind an address that is somebody else's says nothing of this home.
    let is_here = |ip: IpAddr| is_global(ip) && !is_elsewhere(facts, ip);
    let doors = || facts.doors.iter().filter(move |door| is_here(door.at.ip()));
    let is_ours = |door: &&Door| door.who == Who::Ours;
    if let Some(door) = doors().filter(is_ours).find(|door| !door.is_here) {
        return Way::Open(door);
    }
    if let Some(door) = doors().find(is_ours) {
        return Way::Here(door);
    }
    // IPv4 first: that is where routers stand in the way.
    let Some(door) = doors()
        .find(|door| door.at.is_ipv4())
        .or_else(|| doors().next())
    else {
        return Way::Nowhere;
    };
    match fresh_visitor(facts, door.at.is_ipv6()) {
        Some(at) if !door.is_here => return Way::OnlyFromOutside(at),
        _ => {}
    }
    match &door.who {
        Who::Other(stranger) => Way::Stranger(door, stranger),
        _ => Way::Closed(door),
    }
}

pub(super) fn judge_address(facts: &Facts) -> Station {
    const ADDRESS: Place = Place::Address;
    let home = &facts.home;
    let open = match way(facts) {
        Way::Open(door) => Some(door.at.ip()),
        _ => None,
    };
    let Some(outward) = home.outward else {
        return match home
            .interfaces
            .iter()
            .find(|ip| ip.is_ipv6() && is_global(**ip))
        {
            Some(v6) => Station::well(
                ADDRESS,
                "address-only-ipv6",
                format!("This machine has no address of IPv4; its address of IPv6 is {v6}."),
            ),
            None => Station::wrong(
                ADDRESS,
                "address-none",
                "This machine is not connected: it has no way to the internet.",
            )
            .remedy("Look at the cable or the Wi-Fi, and whether the router is on.")
            .cause(),
        };
    };
    if facts.names.is_empty() && !is_global(outward) {
        let says = format!("In your own network, this machine has the address {outward}.");
        return Station::well(ADDRESS, "address-private", says);
    }
    // What the router was given counts, or what this machine was given where there is no router.
    let given = home.router.external.unwrap_or(outward);
    let is_of_router = home.router.external.is_some();
    if is_global(given) {
        let whose = if is_of_router {
            "Your router"
        } else {
            "This machine"
        };
        let says = format!("{whose} has the public address {given}.");
        let mut homes = facts.homes.iter();
        let has_moved = homes.any(|(home, _)| home.is_ipv4() && *home != given);
        if has_moved && !home.follows {
            let says = format!("{says} It was another one before: it changes.");
            return Station::well(ADDRESS, "address-changes", says)
                .remedy("Let the name follow the address (dynamic DNS), so that a change is no interruption.")
                .page(ABOUT_NAMES);
        }
        return Station::well(ADDRESS, "address-well", says);
    }
    if let Some(open) = open {
        let says = format!("Visitors find this home under {open}.");
        return Station::well(ADDRESS, "address-proved", says);
    }
    if is_shared(given) {
        let says = format!(
            "Your provider gave you {given}, an address that many homes share (CGNAT); from outside, nobody can be let in over IPv4."
        );
        return Station::wrong(ADDRESS, SHARED, says)
            .remedy(
                "Ask your provider for a public address of IPv4 (many give one for the asking), or put a tunnel or a small \
                 rented server in front.",
            )
            .page(ABOUT_TUNNELS);
    }
    if is_of_router {
        let says = format!(
            "Your router has the address {given}, which is a private one: another router stands between it and the internet."
        );
        return Station::wrong(ADDRESS, BEHIND_ANOTHER, says).remedy(
            "Let the outer router (often the provider's box) forward ports 443 and 80 to the inner one, or switch it to \
             \"bridge mode\".",
        );
    }
    let seen = seen_outside(home).map_or_else(String::new, |known| {
        let age = age(facts, known);
        format!(" Dynamic DNS found {}{age}.", known.address)
    });
    let says = format!(
        "This machine has the private address {outward}, as behind every router; which public one your home has, the router does not say.{seen}"
    );
    Station::unknown(ADDRESS, "address-untold", says)
        .remedy("Look in the router for its address on the internet. If it begins with 100.64 to 100.127, your provider shares it.")
}

pub(super) fn judge_router(facts: &Facts) -> Station {
    const ROUTER: Place = Place::Router;
    let home = &facts.home;
    let Some(outward) = home.outward else {
        let says = "This machine knows no router, so nothing can be said of it.";
        return Station::unknown(ROUTER, "router-none-known", says);
    };
    if facts.names.is_empty() {
        let says =
            "Without a name nobody comes from outside, so the router need not let anybody in.";
        return Station::unknown(ROUTER, "router-not-needed", says);
    }
    match way(facts) {
        Way::Open(_) => {
            let says = "What knocks at your address is passed on to this machine.";
            return Station::well(ROUTER, "router-well", says);
        }
        Way::OnlyFromOutside(_) => {
            let says = "The router lets visitors in, but not this home itself: it cannot reach its own address from \
                        inside, as many routers cannot.";
            return Station::well(ROUTER, "router-hairpin", says).remedy(
                "Nothing is wrong. At home, use the machine's .local name or its address.",
            );
        }
        _ => {}
    }
    if is_global(outward) {
        let says = "There is none: this machine has a public address itself.";
        return Station::well(ROUTER, "router-none", says);
    }
    let forward = format!(
        "In the router, forward port 443 to {outward} port {}, and port 80 likewise.",
        own_port(facts)
    );
    match home.router.mapping {
        Mapping::To(to) if to.ip() != outward => {
            let says = format!(
                "The router passes on what comes to port 443 to {to}, and that is not this machine ({outward})."
            );
            return Station::wrong(ROUTER, "router-to-another", says)
                .remedy(forward)
                .page(ASK_ROUTER);
        }
        Mapping::To(to) => {
            let says = format!("The router says that it passes on port 443 to {to}, this machine.");
            return Station::well(ROUTER, "router-mapped", says);
        }
        Mapping::Nobody | Mapping::Untold if !home.router.trouble.is_empty() => {
            let says = format!(
                "The router was asked to pass visitors on, and does not: {}.",
                home.router.trouble.join("; ")
            );
            return Station::wrong(ROUTER, "router-refused", says)
                .remedy(format!(
                    "{forward} Or let it do what it is asked: on its own pages there is a switch for UPnP, often for \
                     each machine."
                ))
                .page(ASK_ROUTER);
        }
        Mapping::Nobody => {
            let says = "The router says that it passes on port 443 to nobody.";
            let remedy = if home.router.is_asked {
                forward
            } else {
                format!("{forward} Or let the site ask the router for it.")
            };
            return Station::wrong(ROUTER, "router-unmapped", says)
                .remedy(remedy)
                .page(ASK_ROUTER);
        }
        Mapping::Untold => {}
    }
    let who = home
        .gateway
        .map_or_else(String::new, |gateway| format!(" ({gateway})"));
    let says = format!("The router{who} does not say to whom it passes on what.");
    Station::unknown(ROUTER, "router-untold", says)
        .remedy(forward)
        .page(ABOUT_NAMES)
}

pub(super) fn judge_port(facts: &Facts) -> Station {
    const PORT: Place = Place::Port;
    match way(facts) {
        Way::Nowhere if facts.names.is_empty() => {
            let says = match (&facts.server.state, &facts.server.first_page) {
                (Running::Yes(at), Some(Ok(_))) => format!(
                    "Without a name nobody outside knocks; on this machine the site answers on port {}.",
                    at.port()
                ),
                _ => "Without a name nobody outside knocks.".to_owned(),
            };
            Station::unknown(PORT, "port-no-name", says)
        }
        Way::Nowhere => {
            let says = "As long as the name does not lead here, there is no door to knock at.";
            Station::unknown(PORT, "port-nowhere", says)
        }
        Way::Open(door) => {
            let says = format!(
                "Port 443 at {} is open, and this site answers.",
                door.at.ip()
            );
            Station::well(PORT, OPEN, says)
        }
        Way::OnlyFromOutside(at) => {
            let says = format!(
                "Port 443 is open: the last visitor from outside came {}.",
                ago(facts, at)
            );
            Station::well(PORT, "port-visited", says)
        }
        Way::Here(door) if let Some(at) = fresh_visitor(facts, door.at.is_ipv6()) => {
            let says = format!(
                "Port 443 is open: the last visitor from outside came {}.",
                ago(facts, at)
            );
            Station::well(PORT, "port-visited", says)
        }
        Way::Here(door) => {
            let says = format!(
                "The site answers at {} port 443 from here; whether a firewall in front lets others in, only \
                 others can see, and none has come yet.",
                door.at.ip()
            );
            Station::unknown(PORT, "port-only-here", says)
                .remedy(format!("To find out, {TELEPHONE}, and look here again."))
        }
        Way::Stranger(door, stranger) => judge_stranger(facts, door, stranger),
        Way::Closed(door) => judge_closed(facts, door),
    }
}

fn judge_stranger(facts: &Facts, door: &Door, stranger: &Stranger) -> Station {
    const PORT: Place = Place::Port;
    if !is_running(facts) {
        let says = "Somebody answers, but not this site, because it does not run.";
        return Station::unknown(PORT, "port-not-running", says);
    }
    let who = match (&stranger.names[..], &stranger.program) {
        ([], None) => "which does not even speak HTTPS".to_owned(),
        ([], Some(program)) => format!("which calls itself {}", one_line(program, MOST_CHARS)),
        (names, _) => {
            let few: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
            format!(
                "with a certificate for {}",
                one_line(&few.join(", "), MOST_CHARS)
            )
        }
    };
    let says = format!(
        "Port 443 at {} is open, but somebody else answers, {who}: the router itself, another machine, or another program.",
        door.at.ip()
    );
    let says = if door.is_here {
        format!("Another program on this machine answers at port 443, {who}.")
    } else {
        says
    };
    let remedy = if door.is_here {
        "Stop that program (`sudo ss -ltnp 'sport = :443'` shows it), or let the site have port 443.".to_owned()
    } else {
        format!(
            "In the router, forward port 443 to {} port {}, and switch off its own page on the internet side (\"remote \
             access\").",
            here(facts),
            own_port(facts)
        )
    };
    Station::wrong(PORT, "port-somebody-else", says)
        .remedy(remedy)
        .page(ABOUT_NAMES)
}

fn judge_closed(facts: &Facts, door: &Door) -> Station {
    const PORT: Place = Place::Port;
    if !is_running(facts) {
        let says = "Nobody answers, because the site does not run.";
        return Station::unknown(PORT, "port-not-running", says);
    }
    let address = door.at.ip();
    let port = own_port(facts);
    if door.is_here && port != 443 {
        let says = format!("Visitors knock at port 443, and the site listens on {port}.");
        return Station::wrong(PORT, "port-other", says)
            .remedy("Install it as a service (`sudo webstead install`), which may use port 443.")
            .page("/help/as-a-service");
    }
    let how = match &door.who {
        Who::Silent => "nobody answers: what knocks is dropped".to_owned(),
        Who::Unreachable(why) => format!("there is no way there ({why})"),
        _ => "what knocks is refused".to_owned(),
    };
    if door.at.is_ipv6() {
        let says = format!("At {address} port 443 {how}.");
        return Station::wrong(PORT, "port-closed-ipv6", says).remedy(format!(
            "Let the router's firewall open port 443 of IPv6 for {address}, and the site listen on all addresses."
        ));
    }
    let seen_by_authority = said_closed(facts);
    let forward = format!(
        "In the router, forward port 443 to {} port {port}, and port 80 likewise.",
        here(facts)
    );
    if let Some(words) = seen_by_authority {
        let says = format!(
            "Port 443 at {address} is closed: {how}, and the authority said {}.",
            quoted(&words)
        );
        return Station::wrong(PORT, "port-closed", says)
            .remedy(forward)
            .page(ABOUT_NAMES);
    }
    if let Mapping::To(to) = facts.home.router.mapping
        && to.ip() == facts.home.outward.unwrap_or(to.ip())
    {
        let says = format!(
            "From inside, {how} at {address} port 443. The router says that it lets visitors in; it may be unable to reach itself."
        );
        return Station::unknown(PORT, "port-untold", says)
            .remedy(format!("To find out, {TELEPHONE}, and look here again."));
    }
    let visitors = visitors(facts);
    let says = format!("Port 443 at {address} seems closed: from here, {how}{visitors}.");
    Station::wrong(PORT, "port-closed", says)
        .remedy(format!("{forward} If that is done already, {TELEPHONE}: some routers cannot reach themselves from inside."))
        .page(ABOUT_NAMES)
}

/// What an authority said that could not connect.
fn said_closed(facts: &Facts) -> Option<String> {
    let failures = facts
        .certificates
        .of_names
        .iter()
        .filter_map(|of_name| of_name.failure.as_ref());
    let mut could_not = failures.filter(|failure| {
        let text = failure.text.to_ascii_lowercase();
        let words = ["refused", "timeout", "timed out", "no route to host"];
        failure.kind == FailureKind::Validation && words.iter().any(|word| text.contains(word))
    });
    could_not.next().map(|failure| failure.text.clone())
}

fn is_running(facts: &Facts) -> bool {
    matches!(facts.server.state, Running::Yes(_))
}

/// The port on which the site listens for HTTPS.
fn own_port(facts: &Facts) -> u16 {
    match facts.server.state {
        Running::Yes(https) => https.port(),
        _ => 443,
    }
}

/// This machine, as the router knows it.
pub(super) fn here(facts: &Facts) -> String {
    let outward = facts.home.outward;
    outward.map_or_else(|| "this machine".into(), |ip| ip.to_string())
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{station, well},
        *,
    };

    #[test]
    fn that_the_site_answers_is_said_where_it_was_seen_and_nowhere_else() {
        let running = || Running::Yes("[::]:8443".parse().unwrap());
        for (state, first_page, is_seen) in [
            (running(), Some(Ok(200)), true),
            (running(), Some(Err("refused".to_owned())), false),
            (running(), None, false),
            (Running::Starting, None, false),
            (Running::No, None, false),
            (Running::Unreadable("x".into()), None, false),
        ] {
            let mut facts = well();
            facts.names.clear();
            facts.doors.clear();
            facts.server.state = state;
            facts.server.first_page = first_page;
            let said = station(&facts, Place::Port);
            assert_eq!(said.state, "port-no-name");
            let shown = format!("{:?}: {}", facts.server.state, said.says);
            assert_eq!(
                said.says.contains("answers on port 8443"),
                is_seen,
                "{shown}"
            );
            assert_eq!(said.says.contains("answer"), is_seen, "{shown}");
        }
    }
}
