//! What was found on the way to the site: plain data, from which [`judge`](super::judge) makes sentences.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{
    base::{Timestamp, Verdict, network_of},
    net::{acme, dns::Said},
};

/// Everything that was found.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// When it was looked at.
    pub(super) now: Timestamp,
    /// The site's names, its domain first; none if it has none.
    pub(super) names: Vec<Named>,
    /// Names of other hosts, those in certificates, and the domain with `www.` or without.
    pub(super) more: Vec<Named>,
    /// The machine's place in its network.
    pub(super) home: Home,
    /// Addresses that this home has or had on the internet, each since when it was known.
    pub(super) homes: Vec<(IpAddr, Timestamp)>,
    /// Who answered under the addresses of the names.
    pub(super) doors: Vec<Door>,
    /// How it stands with certificates.
    pub(super) certificates: Certificates,
    /// The program.
    pub(super) server: Server,
    /// What the running program has seen, if it runs and tells.
    pub(super) seen: Option<Seen>,
    /// Data folder and database.
    pub(super) storage: Storage,
}

/// What the DNS says of a name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The name.
    pub(super) name: String,
    /// Whether it is one that the internet may know.
    pub(super) is_public: bool,
    /// Whether nobody has named it: the domain with `www.` or without.
    pub(super) is_implied: bool,
    /// What this machine's own resolver says, and which one that is; `None` if the system names none.
    pub(super) resolver: Option<(SocketAddr, Said)>,
    /// What each server of the zone says that could be asked.
    pub(super) zone: Vec<(String, Said)>,
}

/// The machine's place in its network.
#[derive(Clone, Debug, Default)]
pub(super) struct Home {
    /// Addresses of the machine's interfaces, without loopback.
    pub(super) interfaces: Vec<IpAddr>,
    /// The address from which the machine goes out over IPv4.
    pub(super) outward: Option<IpAddr>,
    /// The machine that it sends to what is not for its own network.
    pub(super) gateway: Option<IpAddr>,
    /// What the router says of itself.
    pub(super) router: Router,
    /// What its firewall does with visitors over IPv6.
    pub(super) firewall: Firewall,
    /// Whether the program lets the name follow the address.
    pub(super) follows: bool,
    /// The address of this home that dynamic DNS has found out.
    pub(super) known: Option<Known>,
}

/// What dynamic DNS has found out of the IPv4 address of this home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The last one.
    pub(super) address: IpAddr,
    /// Since when it is known.
    pub(super) since: Option<Timestamp>,
    /// Whether the running server has it so now; else nobody has looked since, or nobody answered.
    pub(super) is_now: bool,
}

/// What the router says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Router {
    /// The address that its provider gave it.
    pub(super) external: Option<IpAddr>,
    /// What becomes of what comes to port 443.
    pub(super) mapping: Mapping,
    /// Since when it is known to say that.
    pub(super) since: Option<Timestamp>,
    /// Whether it was asked for that, with the owner's consent.
    pub(super) is_asked: bool,
    /// What it was asked for and does not do, in sentences.
    pub(super) trouble: Vec<String>,
}

/// What a router's firewall does with visitors over IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Firewall {
    /// Nobody comes that way, or the router was not asked.
    #[default]
    NotKnown,
    /// It was asked to let them in to this address, and does.
    LetsIn(Ipv6Addr),
    /// It is off.
    Off,
    /// It was asked to let them in, and does not; in sentences.
    Refuses(Vec<String>),
    /// It can be asked to let them in.
    CanBeAsked,
    /// It is on, and lets nobody ask.
    LetsNobodyAsk,
    /// It knows no such request.
    NoSuchRequest,
}

/// What a router does with what comes to port 443.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mapping {
    /// It does not say.
    #[default]
    Untold,
    /// It passes it on to nobody.
    Nobody,
    /// It passes it on to this machine and port.
    To(SocketAddr),
}

/// Who answers under an address.
#[derive(Clone, Debug)]
pub(super) struct Door {
    /// Where.
    pub(super) at: SocketAddr,
    /// Whether it is an address of this machine itself, so that nothing lies between.
    pub(super) is_here: bool,
    /// Who.
    pub(super) who: Who,
    /// Who answers at port 80 there, over plain HTTP; `None` if it was not tried.
    pub(super) plain: Option<Who>,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// This site: it proved it.
    Ours,
    /// Somebody else, or something in between.
    Other(Stranger),
    /// The connection was refused.
    Refused,
    /// There was no answer in time.
    Silent,
    /// There is no way there.
    Unreachable(String),
}

/// What is known of who answered instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stranger {
    /// The names in the certificate, if one was shown.
    pub(super) names: Vec<String>,
    /// What its answer says of the program.
    pub(super) program: Option<String>,
}

/// How it stands with certificates.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    /// Whether the owner lets an authority be asked.
    pub(super) is_agreed: bool,
    /// Whether names are to be proved at port 80, and in no other way.
    pub(super) is_by_http: bool,
    /// For each name, in the same order.
    pub(super) of_names: Vec<OfName>,
    /// For each further name, in the same order.
    pub(super) of_more: Vec<OfName>,
}

/// The certificate for a name.
#[derive(Clone, Debug, Default)]
pub(super) struct OfName {
    /// The name.
    pub(super) name: String,
    /// What a visitor is shown; what would be shown, if the program does not run.
    pub(super) shown: Option<Shown>,
    /// Why the last try to get one failed, if it did.
    pub(super) failure: Option<acme::Failure>,
    /// When it is tried again.
    pub(super) next: Option<Timestamp>,
    /// What is wrong with the owner's own files.
    pub(super) files: Option<String>,
    /// Whether what a visitor is shown is of the owner's own files.
    pub(super) is_own: bool,
    /// Whether the authority can be asked about this name.
    pub(super) is_askable: bool,
    /// The names that the owner's own files are for, if this one is not among them.
    pub(super) files_are_for: Vec<String>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The names that it is for.
    pub(super) names: Vec<String>,
    /// Who signed it.
    pub(super) issuer: String,
    /// From when on it holds.
    pub(super) from: Timestamp,
    /// Until when.
    pub(super) until: Timestamp,
    /// Whether it is the machine's own authority's.
    pub(super) is_local: bool,
    /// Whether this machine knows its authority; `None` where it knows none at all.
    pub(super) is_known: Option<bool>,
    /// Whether it is for the name.
    pub(super) is_for_name: bool,
}

/// The program.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Whether it runs.
    pub(super) state: Running,
    /// The status of its first page, or why there is none.
    pub(super) first_page: Option<Result<u16, String>>,
    /// How far the machine's clock is ahead of an authority's, in seconds, and whose; behind, if negative.
    pub(super) clock_ahead: Option<(i64, String)>,
    /// Whether the machine's time service says that it has set the clock.
    pub(super) is_clock_kept: bool,
    /// Whether the clock says a time before this program was made.
    pub(super) is_clock_unset: bool,
}

/// Whether the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// It does not.
    No,
    /// It has begun, and does not answer yet.
    Starting,
    /// It runs and listens there for HTTPS.
    Yes(SocketAddr),
    /// Its settings cannot be read; what is wrong with them.
    Unreadable(String),
}

/// What a running program has seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Since when it has looked.
    pub since: i64,
    /// Networks outside that came last, newest first, each with its last time.
    pub visitors: Vec<(IpAddr, i64)>,
    /// The same of those that came over plain HTTP.
    #[serde(default)]
    pub plain_visitors: Vec<(IpAddr, i64)>,
    /// When the router stopped to let visitors in.
    #[serde(default)]
    pub closed_at: Option<i64>,
    /// Requests of the last hour that were answered, and that failed.
    pub answered: u64,
    /// Those that failed.
    pub failed: u64,
    /// Programs behind that do not answer: host and address.
    pub programs_down: Vec<(String, String)>,
}

/// Data folder and database.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    /// How the database is, as far as it was looked at.
    pub(super) database: Verdict,
    /// Whether the database was too large to be looked at in time.
    pub(super) is_long: bool,
    /// Whether the disk does not let anybody write.
    pub(super) is_read_only: bool,
    /// What is left on the disk.
    pub(super) free_bytes: Option<u64>,
    /// The folder, as people write it.
    pub(super) folder: String,
}

impl Storage {
    /// Of a folder that nobody has looked at.
    pub(super) fn not_seen(folder: &Path, why: String) -> Self {
        Self {
            database: Verdict::NotSeen(why),
            is_long: false,
            is_read_only: false,
            free_bytes: None,
            folder: folder.display().to_string(),
        }
    }
}

impl Named {
    /// One that nobody was asked about yet.
    pub(super) fn unknown(name: &str, is_public: bool, is_implied: bool) -> Self {
        Self {
            name: name.to_owned(),
            is_public,
            is_implied,
            resolver: None,
            zone: Vec::new(),
        }
    }

    /// What counts: the servers of the zone know better than who repeats what they said.
    pub(super) fn said(&self) -> Option<&Said> {
        let mut zone = self.zone.iter().map(|(_, said)| said);
        let resolver = self.resolver.as_ref().map(|(_, said)| said);
        zone.find(|said| !said.is_nothing()).or(resolver)
    }

    /// The addresses to which it leads.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        match self.said() {
            Some(Said::Addresses(addresses)) => addresses.clone(),
            _ => Vec::new(),
        }
    }
}

impl Facts {
    /// Who answers under an address.
    pub(super) fn door(&self, address: IpAddr) -> Option<&Door> {
        self.doors.iter().find(|door| door.at.ip() == address)
    }

    /// Whether this site has proved that an address leads to it.
    pub(super) fn is_proved(&self, address: IpAddr) -> bool {
        self.door(address).is_some_and(|door| door.who == Who::Ours)
    }

    /// When somebody from outside came last over IPv6, or over IPv4. Who came from one of this home's own addresses
    /// is not from outside.
    pub(super) fn last_visitor(&self, is_v6: bool) -> Option<Timestamp> {
        let visitors = &self.seen.as_ref()?.visitors;
        self.last_of(visitors, |network| network.is_ipv6() == is_v6)
    }

    /// When somebody from outside came last over plain HTTP.
    pub(super) fn last_plain_visitor(&self) -> Option<Timestamp> {
        self.last_of(&self.seen.as_ref()?.plain_visitors, |_| true)
    }

    fn last_of(
        &self,
        visitors: &[(IpAddr, i64)],
        is_meant: impl Fn(IpAddr) -> bool,
    ) -> Option<Timestamp> {
        let own = |network: IpAddr| {
            let mut own = self
                .home
                .interfaces
                .iter()
                .chain(&self.home.router.external);
            own.any(|ip| network_of(*ip) == network)
                || self
                    .names
                    .iter()
                    .flat_map(Named::addresses)
                    .any(|ip| network_of(ip) == network)
        };
        let mut visitors = visitors.iter();
        let last = visitors.find(|(network, _)| is_meant(*network) && !own(*network));
        last.map(|(_, at)| Timestamp(*at))
    }
}
