//! The doctor: looks at every station of the way from a visitor to the site, and says how it stands.
//!
//! [`look`] finds out, and changes nothing; [`judge`] makes sentences of what was found, and asks nobody. What the doctor
//! must know the next time is in its own [`notes`].

mod certificates;
mod clock;
mod facts;
mod home;
mod judge;
mod name;
mod notes;
mod router;
mod storage;
mod visit;
mod witness;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all, join4};
use hyper::header::SERVER;
use rustls::pki_types::CertificateDer;
use tokio::{task::spawn_blocking, time::timeout};

use self::{
    certificates::Known,
    facts::{Certificates, Door, Facts, Named, Stranger, Who},
    visit::{Answered, Asked, Nobody, visit, visit_plain},
};
pub use self::{
    facts::{Running, Seen},
    judge::{OPEN_STATES, UNREACHABLE_STATES},
    witness::{Testimony, Witness},
};
use super::{acme, certificates::Said as SaidByCertificate, dns, probe};
use crate::base::{Diagnosis, Names, Timestamp, is_global};

/// Time for all of it; what is not known then is not known.
const PATIENCE: Duration = Duration::from_secs(25);
/// Where visitors knock.
const HTTPS: u16 = 443;
/// Where they knock who type a name alone, and authorities (RFC 8555 section 8.3).
const HTTP: u16 = 80;
/// Addresses of all names that are tried.
const MOST_DOORS: usize = 8;
/// Names of the site that are looked at, and further ones.
const MOST_NAMES: usize = 8;
const MOST_MORE: usize = 12;

/// Whose way is looked at.
#[derive(Clone, Debug)]
pub struct Patient {
    /// The data folder.
    pub data: PathBuf,
    /// The names of the site.
    pub names: Names,
    /// The names of its other hosts.
    pub hosts: Vec<String>,
    /// `[certificate]`
    pub certificate: acme::Settings,
    /// `[dns]`
    pub dns: dns::Settings,
    /// Whether it runs, and where.
    pub state: Running,
    /// How the running server is asked.
    pub way_in: Option<WayIn>,
    /// What the running server has seen, if that is known already.
    pub seen: Option<Seen>,
}

/// How a running server is asked on this machine.
#[derive(Clone, Debug)]
pub struct WayIn {
    /// Where it listens for HTTPS.
    pub https: SocketAddr,
    /// Whether a connection from this machine itself must begin with a PROXY header.
    pub is_announced: bool,
    /// Its secret ([`Witness::secret`]).
    pub secret: String,
}

impl Patient {
    /// Which certificates there are to be.
    fn wanted(&self) -> acme::Wanted {
        let of_site = self.names.all().map(str::to_owned);
        acme::Wanted {
            settings: self.certificate.clone(),
            dns: self.dns.clone(),
            names: of_site.chain(self.hosts.iter().cloned()).collect(),
        }
    }

    /// The site's names, what there is to be first: it counts more than what there was.
    fn own_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.all().map(str::to_owned).collect();
        names.sort_by_key(|name| Some(name) != self.names.next.as_ref());
        names
    }

    /// Names of other hosts and in certificates, and the domain with `www.` or without, which leads to it.
    fn more_names(&self) -> Vec<Named> {
        let is_public = |name: &str| acme::is_public(name, &self.certificate);
        let of_certificates = self.certificate.names.iter();
        let of_certificates = of_certificates.map(acme::CertificateName::as_str);
        let hosts = self.hosts.iter().map(String::as_str);
        let named = hosts.chain(of_certificates).map(|name| (name, false));
        let domain = self.own_names().into_iter().next();
        let partner = domain.map(|domain| match domain.strip_prefix("www.") {
            Some(bare) => bare.to_owned(),
            None => format!("www.{domain}"),
        });
        let implied = partner.iter().map(|name| (name.as_str(), true));
        let mut more: Vec<Named> = Vec::new();
        for (name, is_implied) in named.chain(implied) {
            let is_known = self.names.all().any(|own| own == name)
                || more.iter().any(|named| named.name == name);
            let named = Named::unknown(name, is_public(name), is_implied);
            if !is_known && (named.is_public || !is_implied) {
                more.push(named);
            }
        }
        more
    }
}

/// Looks at the whole way, for half a minute at most, and says how it stands. Changes nothing but the doctor's own note of
/// the addresses that this home has.
pub async fn examine(patient: Patient) -> Diagnosis {
    let began = Instant::now();
    let (facts, further_left_out) = Box::pin(look(&patient)).await;
    let own = home::own(&facts.home);
    let (data, router) = (patient.data.clone(), facts.home.router.clone());
    // Who may only read, as a guest of the folder, notes nothing.
    let noted = spawn_blocking(move || notes::note(&data, &own, &router)).await;
    if let Ok(Err(e)) = noted {
        log::debug!("the doctor's note was not kept: {e}");
    }
    Diagnosis {
        at: facts.now,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        stations: judge::judge(&facts),
        further: judge::further(&facts),
        further_left_out,
        name: patient.names.next.or(patient.names.domain),
    }
}

/// Finds out everything; what does not depend on each other is asked at the same time. Says too how many names were left
/// out.
async fn look(patient: &Patient) -> (Facts, usize) {
    let now = Timestamp::now();
    let mut names = patient.own_names();
    let mut more = patient.more_names();
    let all = names.len() + more.len();
    names.truncate(MOST_NAMES);
    more.truncate(MOST_MORE);
    let of_site = names.len();
    let left_out = all - of_site - more.len();
    names.extend(more.iter().map(|named| named.name.clone()));
    let clock_kept = spawn_blocking(clock::is_kept_right);
    let data = patient.data.clone();
    let wanted = patient.wanted();
    let of_disk = spawn_blocking(move || {
        let report = dns::follow::kept(&data);
        let homes = notes::homes(&data, &report);
        (
            storage::look(&data),
            Known::read(&data, &wanted),
            report,
            homes,
        )
    });
    let (at_names, inside, ahead, disk) = join4(
        Box::pin(look_at_names(patient, &names[..of_site], more)),
        Box::pin(look_inside(patient, &names)),
        Box::pin(timeout(PATIENCE, clock::ahead(patient))),
        of_disk,
    )
    .await;
    let (mut home, mut names, doors) = at_names;
    let (storage, known, homes) = match disk {
        Ok((storage, known, report, homes)) => {
            let is_watched = home.follows && matches!(patient.state, Running::Yes(_));
            home.known = home::known(&report, is_watched);
            (storage, Some(known), homes)
        }
        Err(e) => (
            facts::Storage::not_seen(&patient.data, e.to_string()),
            None,
            Vec::new(),
        ),
    };
    let of_names = known.iter().flat_map(|known| {
        let shown = names.iter().zip(&inside.shown);
        shown.map(|(name, shown)| known.of_name(patient, &name.name, shown.as_deref(), now))
    });
    let mut of_names: Vec<_> = of_names.collect();
    let of_more = of_names.split_off(of_site.min(of_names.len()));
    let more = names.split_off(of_site.min(names.len()));
    let certificates = Certificates {
        is_agreed: patient.certificate.agree_to_terms,
        is_by_http: patient.certificate.challenge == Some(acme::Challenge::Http),
        of_names,
        of_more,
    };
    let facts = Facts {
        now,
        certificates,
        names,
        more,
        home,
        homes,
        doors,
        server: facts::Server {
            state: patient.state.clone(),
            first_page: inside.first_page,
            clock_ahead: ahead.unwrap_or_default(),
            is_clock_kept: clock_kept.await.unwrap_or_default(),
            is_clock_unset: clock::is_unset(),
        },
        seen: patient.seen.clone().or(inside.seen),
        storage,
    };
    (facts, left_out)
}

/// What the names of the site and more of them lead to, and who is there.
async fn look_at_names(
    patient: &Patient,
    names: &[String],
    more: Vec<Named>,
) -> (facts::Home, Vec<Named>, Vec<Door>) {
    let is_public = |name: &str| acme::is_public(name, &patient.certificate);
    let unknown = names
        .iter()
        .map(|name| Named::unknown(name, is_public(name), false));
    let of_site = unknown.map(|unknown| (unknown, false));
    let more = more.into_iter().map(|unknown| (unknown, true));
    let asked = of_site.chain(more).map(|(unknown, is_brief)| async move {
        let looked = timeout(PATIENCE, name::look(unknown.clone(), is_brief)).await;
        looked.unwrap_or(unknown)
    });
    let at_home = async {
        let mut home = spawn_blocking(home::look).await.unwrap_or_default();
        // One that stands in between: who has a public address has none.
        let own = home.outward.filter(|own| !is_global(*own));
        let has_v6 = home
            .interfaces
            .iter()
            .any(|ip| ip.is_ipv6() && is_global(*ip));
        if !names.is_empty() && (own.is_some() || has_v6) {
            let port = match patient.state {
                Running::Yes(https) => https.port(),
                _ => HTTPS,
            };
            let own = own.map(|own| SocketAddr::new(own, port));
            (home.router, home.firewall) = Box::pin(router::ask(own, &patient.data)).await;
            // Asked for after the answer: who came until then came before it.
            let now = Timestamp::now();
            home.router.since = notes::said_since(&patient.data, home.router.mapping, now);
        }
        home
    };
    let (mut home, found) = join(at_home, join_all(asked)).await;
    home.follows = patient.dns.follow != dns::Follow::Nothing;
    let mut to_try: Vec<(&str, IpAddr)> = Vec::new();
    for name in &found {
        for address in name.addresses() {
            if !to_try.iter().any(|(_, known)| *known == address) {
                to_try.push((&name.name, address));
            }
        }
    }
    to_try.truncate(MOST_DOORS);
    let tried = to_try.into_iter().map(|(name, address)| {
        let is_here = home.interfaces.contains(&address) || address.is_loopback();
        async move {
            let at = SocketAddr::new(address, HTTPS);
            let plain = SocketAddr::new(address, HTTP);
            let way_in = patient.way_in.as_ref();
            let (who, plain) = join(
                Box::pin(who_is_at(at, name, way_in)),
                Box::pin(who_is_at(plain, name, way_in)),
            )
            .await;
            let plain = Some(plain);
            Door {
                at,
                is_here,
                who,
                plain,
            }
        }
    });
    let doors = join_all(tried).await;
    (home, found, doors)
}

/// Who answers under an address: this site proves it, everybody else cannot.
async fn who_is_at(at: SocketAddr, name: &str, way_in: Option<&WayIn>) -> Who {
    let number = witness::random_text().unwrap_or_default();
    let path = format!("{}{number}", witness::PROOF);
    let asked = Asked {
        host: name,
        path: &path,
        is_announced: false,
    };
    let answered = match at.port() {
        HTTP => visit_plain(at, asked).await,
        _ => visit(at, asked).await,
    };
    match answered {
        Err(Nobody::Refused) => Who::Refused,
        Err(Nobody::Silent) => Who::Silent,
        Err(Nobody::Unreachable(why)) => Who::Unreachable(why),
        Err(Nobody::NoTls(_)) => Who::Other(Stranger::default()),
        Ok(answered) => {
            let is_ours = way_in.is_some_and(|way_in| {
                let proof = witness::proof(&way_in.secret, &number);
                answered.text() == Some(proof.as_str())
            });
            if is_ours {
                Who::Ours
            } else {
                Who::Other(stranger(&answered))
            }
        }
    }
}

fn stranger(answered: &Answered) -> Stranger {
    let said = answered.certificates.first().map(SaidByCertificate::by);
    Stranger {
        names: said.and_then(Result::ok).map_or_else(Vec::new, |s| s.names),
        program: answered.header(SERVER),
    }
}

/// What the running server shows and says on this machine itself.
#[derive(Default)]
struct Inside {
    /// The certificates for each name.
    shown: Vec<Option<Vec<CertificateDer<'static>>>>,
    first_page: Option<Result<u16, String>>,
    seen: Option<Seen>,
}

async fn look_inside(patient: &Patient, names: &[String]) -> Inside {
    let Some(way_in) = &patient.way_in else {
        return Inside {
            shown: names.iter().map(|_| None).collect(),
            ..Inside::default()
        };
    };
    let at = probe::reachable(way_in.https);
    let ask = |host: String, path: String| async move {
        let asked = Asked {
            host: &host,
            path: &path,
            is_announced: way_in.is_announced,
        };
        visit(at, asked).await
    };
    let domain = patient.own_names().into_iter().next();
    let first_page = ask(domain.unwrap_or_else(|| "localhost".into()), "/".into());
    let key = witness::key_to_seen(&way_in.secret);
    let seen = ask("localhost".into(), format!("{}{key}", witness::SEEN));
    // Who asks for an address from inside is shown another one, and nobody asks for all names below one.
    let shown = names.iter().map(|name| {
        let asked = (!name::is_no_name(name)).then(|| ask(name.clone(), "/healthz".into()));
        async move {
            match asked {
                Some(asked) => asked.await.ok(),
                None => None,
            }
        }
    });
    let (first_page, (seen, shown)) = join(first_page, join(seen, join_all(shown))).await;
    let seen = seen
        .ok()
        .and_then(|seen| serde_json::from_str(seen.text()?).ok());
    Inside {
        shown: shown
            .into_iter()
            .map(|shown| shown.map(|shown| shown.certificates))
            .collect(),
        first_page: Some(match first_page {
            Ok(answered) => answered.answer.map(|(status, ..)| status.as_u16()),
            Err(Nobody::Refused) => Err("the connection was refused".into()),
            Err(Nobody::Silent) => Err("there was no answer in time".into()),
            Err(Nobody::Unreachable(why) | Nobody::NoTls(why)) => Err(why),
        }),
        seen,
    }
}
