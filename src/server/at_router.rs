//! The router as the running server sees it, for the owner's page: what it was asked, and one look at a time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::naming::Naming;
use crate::{
    app::names::live::{Granted, LiveRouter, RouterSeen, RouterState, Soon},
    base::Timestamp,
    edge::pipeline::Edge,
    net::{
        dns::follow,
        listen::Listeners,
        router::{self, Keeper, Kept, PortSeen, Seen},
    },
};

/// What keeps the ports of the router open for a site that listens there, and tells the edge whether they are.
pub(super) fn keeper(
    data: &Path,
    settings: router::Settings,
    listeners: &Listeners,
    edge: &Edge,
) -> Arc<Keeper> {
    let wanted = router::Wanted::of(settings, listeners);
    let front_door = Arc::clone(edge.front_door());
    Keeper::new(data, wanted, follow::published_v6, front_door)
}

/// Looks when it is asked to, and keeps what it saw.
pub(super) struct AtRouter {
    data: PathBuf,
    keeper: Arc<Keeper>,
    naming: Arc<Naming>,
    turn: tokio::sync::Mutex<()>,
    /// With the moment when that look began.
    last: Mutex<Option<(Instant, RouterSeen)>>,
}

impl AtRouter {
    /// Of the server that has its site in a folder.
    pub(super) fn new(data: &Path, keeper: Arc<Keeper>, naming: &Arc<Naming>) -> Arc<Self> {
        Arc::new(Self {
            data: data.to_path_buf(),
            keeper,
            naming: Arc::clone(naming),
            turn: tokio::sync::Mutex::default(),
            last: Mutex::default(),
        })
    }

    async fn see(&self) {
        let Ok(_turn) = self.turn.try_lock() else {
            // Somebody looks already; what they see is what we want to know.
            drop(self.turn.lock().await);
            return;
        };
        let began = Instant::now();
        let wanted = self.keeper.wanted();
        let ports = wanted.ports.as_ref().map_or(&[][..], |ports| &ports[..]);
        let data = self.data.clone();
        let published = actix_web::web::block(move || follow::published_v6(&data)).await;
        let seen = router::look(ports, published.ok().flatten()).await;
        note(&self.keeper, began, &wanted, &seen);
        let seen = in_words(&seen, wanted.ports6.as_ref().err());
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, seen));
    }
}

impl LiveRouter for AtRouter {
    fn state(&self) -> RouterState {
        let kept = Kept::load(&self.data);
        let wanted = self.keeper.wanted();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, before) = still_so(last.as_ref(), self.keeper.changed_at());
        let granted = kept.mapped.iter().filter(|one| !one.is_over());
        let granted = granted.map(|one| Granted {
            what: format!(
                "Port {} to port {} of this machine",
                one.external, one.internal
            ),
            protocol: one.protocol.to_string(),
            until: one.until.map(Timestamp),
        });
        let let_in = kept.holes.iter().filter(|one| !one.is_over());
        let let_in = let_in.map(|one| Granted {
            what: format!("Port {} of {}, over IPv6", one.port, one.own),
            protocol: one.protocol.to_string(),
            until: Some(Timestamp(one.until)),
        });
        RouterState {
            is_asked: wanted.is_open,
            is_of_file: self.naming.file().router.open_ports.is_some(),
            is_under_way: !self.keeper.is_done(),
            granted: granted.chain(let_in).collect(),
            trouble: kept.trouble.into_iter().chain(kept.trouble6).collect(),
            left_open: self.keeper.left_open(),
            seen,
            seen_before: before,
        }
    }

    fn look(self: Arc<Self>) -> Soon<'static, ()> {
        // Who asked may leave; what was begun is ended.
        let looking = actix_web::rt::spawn(async move { self.see().await });
        Box::pin(async move {
            if let Err(e) = looking.await {
                log::error!("looking at the router ended with a panic: {e}");
            }
        })
    }
}

/// Tells who asks for the ports what was seen in a look that `began` when these were `wanted`.
fn note(keeper: &Keeper, began: Instant, wanted: &router::Wanted, seen: &Seen) {
    let door = keeper.front_door();
    door.note_unreachable(seen.external.is_unreachable());
    // What it was asked for need not be shown, and is noted by who asks, who may have begun meanwhile.
    let is_noted_here = !wanted.is_open && is_of_now(began, keeper.changed_at());
    for port in seen.ports.iter().filter(|_| is_noted_here) {
        door.note_refused(port.wanted.external, port.is_refused());
    }
}

/// What was seen last, if nothing has changed since that look began; else when that was.
fn still_so(
    last: Option<&(Instant, RouterSeen)>,
    changed_at: Option<Instant>,
) -> (Option<RouterSeen>, Option<Timestamp>) {
    match last {
        None => (None, None),
        Some((began, seen)) if is_of_now(*began, changed_at) => (Some(seen.clone()), None),
        Some((_, seen)) => (None, Some(seen.at)),
    }
}

/// Whether nothing has changed since a look began.
fn is_of_now(began: Instant, changed_at: Option<Instant>) -> bool {
    changed_at.is_none_or(|changed| began > changed)
}

/// What was seen, for the owner; with why nobody finds the site over IPv6, if that is so.
fn in_words(seen: &Seen, not_over_ipv6: Option<&String>) -> RouterSeen {
    let gateway = seen.gateway.as_ref().map_err(Clone::clone);
    let port = |port: &PortSeen| (port.is_right(), format!("Its {port}"));
    let silent = seen.protocols.iter().filter_map(|(protocol, spoken)| {
        let why = spoken.as_ref().err()?;
        Some((protocol.to_string(), why.clone()))
    });
    let ipv6 = seen.ipv6.as_ref().map_err(Clone::clone);
    let speaks = seen.protocols.iter().filter(|(_, spoken)| spoken.is_ok());
    RouterSeen {
        at: Timestamp::now(),
        gateway: gateway.map(ToString::to_string),
        speaks: speaks.map(|(protocol, _)| protocol.to_string()).collect(),
        silent: silent.collect(),
        external: seen
            .external
            .reachable()
            .map(|address| format!("The internet knows it as {address}.")),
        ports: seen.ports.iter().map(port).collect(),
        ipv6: ipv6.map(|seen| {
            let not_found =
                not_over_ipv6.map(|why| format!("Nobody finds the site over IPv6: {why}."));
            let said = [seen.gateway.to_string(), format!("{}.", seen.firewall)];
            said.into_iter().chain(not_found).collect()
        }),
        strangers: seen.strangers.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::{
        front_door::FrontDoor,
        router::{External, Forward, Mapping, Wanted},
    };

    #[test]
    fn a_look_notes_no_refusal_of_a_router_that_was_asked_while_it_looked() {
        let ports = Forward::to(8443, 8080);
        let wanted = Wanted {
            is_open: false,
            ports: Ok(ports),
            ports6: Ok(Vec::new()),
        };
        let seen = Seen {
            gateway: Err(String::new()),
            protocols: Vec::new(),
            external: External::Unknown(String::new()),
            ports: ports
                .map(|wanted| PortSeen {
                    wanted,
                    mapping: Mapping::None,
                })
                .to_vec(),
            strangers: Vec::new(),
            ipv6: Err(String::new()),
        };
        for is_asked_meanwhile in [false, true] {
            let door = Arc::new(FrontDoor::default());
            let data = Path::new("nothing is kept here");
            let keeper = Keeper::new(data, wanted.clone(), |_| None, Arc::clone(&door));
            let began = Instant::now();
            keeper.replace(is_asked_meanwhile);
            note(&keeper, began, &wanted, &seen);
            let against = door.against();
            let refused = [against.is_http_refused, against.is_https_refused];
            assert_eq!(refused, [!is_asked_meanwhile; 2]);
        }
    }

    #[test]
    fn what_was_seen_before_a_change_is_not_shown_beside_what_is_now() {
        let seen = RouterSeen {
            at: Timestamp(1_800_000_000),
            gateway: Ok(String::new()),
            speaks: Vec::new(),
            silent: Vec::new(),
            external: Err(String::new()),
            ports: Vec::new(),
            ipv6: Err(String::new()),
            strangers: Vec::new(),
        };
        let began = Instant::now();
        let later = began + Duration::from_secs(1);
        let at = Some(seen.at);
        let last = (began, seen);
        let shown = |changed| {
            let (seen, before) = still_so(Some(&last), changed);
            (seen.is_some(), before)
        };
        assert_eq!(shown(None), (true, None));
        assert_eq!(
            shown(began.checked_sub(Duration::from_secs(1))),
            (true, None)
        );
        // A look that was under way may have seen either.
        assert_eq!(shown(Some(later)), (false, at));
        assert_eq!(shown(Some(began)), (false, at));
        assert!(still_so(None, Some(later)).0.is_none());
    }
}
