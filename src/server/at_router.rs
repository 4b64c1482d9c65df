//! The router as the running server sees it, for the owner's page: what it was asked, and one look at a time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::naming::Naming;
use crate::{
    app::names::live::{Granted, LiveRouter, RouterSeen, RouterState, Soon},
    base::Timestamp,
    net::router::{self, Keeper, Kept, PortSeen, Seen},
};

/// Looks when it is asked to, and keeps what it saw.
pub(super) struct AtRouter {
    data: PathBuf,
    keeper: Arc<Keeper>,
    naming: Arc<Naming>,
    turn: tokio::sync::Mutex<()>,
    last: Mutex<Option<RouterSeen>>,
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
        let ports = self.keeper.wanted().ports;
        let seen = router::look(ports.as_ref().map_or(&[][..], |ports| &ports[..])).await;
        let seen = in_words(&seen);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }
}

impl LiveRouter for AtRouter {
    fn state(&self) -> RouterState {
        let kept = Kept::load(&self.data);
        let wanted = self.keeper.wanted();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = kept.mapped.iter().filter(|one| !one.is_over());
        let granted = granted.map(|one| Granted {
            what: format!(
                "Port {} to port {} of this machine",
                one.external, one.internal
            ),
            protocol: one.protocol.to_string(),
            until: one.until.map(Timestamp),
        });
        RouterState {
            is_asked: wanted.is_open,
            is_of_file: self.naming.file().router.open_ports.is_some(),
            is_under_way: !self.keeper.is_done(),
            granted: granted.collect(),
            trouble: kept.trouble,
            seen: last.clone(),
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

/// What was seen, for the owner.
fn in_words(seen: &Seen) -> RouterSeen {
    let gateway = seen.gateway.as_ref().map_err(Clone::clone);
    let port = |port: &PortSeen| (port.is_right(), format!("Its {port}"));
    let silent = seen.protocols.iter().filter_map(|(protocol, spoken)| {
        let why = spoken.as_ref().err()?;
        Some((protocol.to_string(), why.clone()))
    });
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
        strangers: seen.strangers.iter().map(ToString::to_string).collect(),
    }
}
