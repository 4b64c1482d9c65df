//! The whole server, assembled on one screen.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App as ActixApp, HttpServer,
    middleware::from_fn,
    web::{Data, FormConfig, PayloadConfig},
};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    app::{self, errors, visit::App},
    auth::{
        csrf,
        sessions::{self, LastSeen},
        setup::SetupLink,
        users,
    },
    base::{Error, Result},
    config::Config,
    db::{DataFolder, Database, MediaStore},
    edge::{
        incoming::{self, Incoming, MAX_FORM_BYTES},
        pipeline::{Edge, pipeline},
    },
    jobs::{self, service_manager},
    net::{
        certificates::{self, Renewal},
        listen, names, tls,
    },
};

/// Seconds that requests in flight have when the server is asked to stop.
const SHUTDOWN_S: u64 = 20;
/// Threads for the database and for rendering, of each worker.
const BLOCKING_THREADS: usize = 2;

/// What a running server tells the person who started it, and who asks later ([`running`]).
#[derive(Serialize, Deserialize)]
pub struct Started {
    /// Addresses of the site, best first.
    pub addresses: Vec<String>,
    /// The one-time link's path, if the site has no owner yet.
    pub setup_path: Option<String>,
    /// Where HTTPS listens.
    pub https_address: SocketAddr,
}

/// What the server that runs on this folder told when it started.
///
/// `None` if no server runs on it, or if it is not ready yet.
pub fn running(folder: &DataFolder) -> Result<Option<Started>> {
    let note = folder.running_server()?.and_then(|server| server.note);
    // A note of another version may have another form.
    Ok(note.and_then(|note| serde_json::from_str(&note).ok()))
}

/// Serves a site until it is asked to stop (Ctrl-C or SIGTERM), then finishes what is in flight.
///
/// `started` is called once requests are answered.
///
/// # Errors
/// What keeps the server from starting: the data folder, the certificate, the ports.
pub fn run(config: Config, folder: DataFolder, started: impl FnOnce(&Started)) -> Result<()> {
    let mut lock = folder.lock_for_server()?;
    let database = Database::open(&folder.database())?;
    let media = MediaStore::new(&folder);
    media.sweep_temporary();
    let setup = SetupLink::new(!database.read_blocking(users::has_users)?)?;
    let setup_path = setup.path();

    let listeners = listen::bind(&config.listen)?;
    log::info!(
        "listening on {} for HTTPS, and on {} for plain HTTP, which is sent on to HTTPS",
        listeners.https_address,
        listeners.http_address
    );
    let names = names::local_names();
    let certificate = certificates::local_certificate(folder.root(), &names)?;
    let shown = tls::CertificateStore::new(certificate);
    let tls = tls::server_config(Arc::clone(&shown))?;

    let https_port = listeners.https_address.port();
    let edge = Data::new(Edge::new(
        database.clone(),
        config.cache,
        folder.public(),
        https_port,
    )?);
    let quiet = edge.clone();
    let app = Data::new(App::new(database.clone(), media, setup, config.domain)?);
    let (for_guards, last_seen) = (Data::new(database.clone()), Data::new(LastSeen::default()));

    let incoming = Data::new(Incoming::default());
    let root = folder.root().to_path_buf();
    let (swept, watched) = (database.clone(), database.clone());
    let noted = &mut lock;
    let outcome = actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            ActixApp::new()
                .app_data(edge.clone())
                .app_data(app.clone())
                .app_data(for_guards.clone())
                .app_data(last_seen.clone())
                .app_data(FormConfig::default().limit(MAX_FORM_BYTES))
                .app_data(PayloadConfig::new(MAX_FORM_BYTES))
                .app_data(incoming.clone())
                // The last one named is the first that a request meets.
                .wrap(from_fn(incoming::bounded))
                .wrap(from_fn(csrf::refuse_other_sites))
                .wrap(from_fn(errors::middleware::pages))
                .wrap(from_fn(pipeline))
                .configure(app::configure)
        })
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .shutdown_timeout(SHUTDOWN_S)
        .client_request_timeout(Duration::from_secs(20))
        .disable_signals()
        .listen_rustls_0_23(listeners.https, tls)
        .and_then(|server| server.listen(listeners.http))
        .map_err(|e| Error::Internal(format!("starting to listen: {e}")))?
        .run();

        // Before the address is told: who knows it may ask to stop.
        let mut signals = StopSignals::listen()?;
        let addresses = listen::shown_addresses(listeners.https_address, &names);
        let ready = Started {
            addresses,
            setup_path,
            https_address: listeners.https_address,
        };
        noted.note(&serde_json::to_string(&ready).map_err(Error::internal)?)?;
        service_manager::ready(ready.addresses.first().map_or("", String::as_str));
        started(&ready);
        let sweeps: Vec<fn(_) -> _> = vec![sessions::sweep_expired];
        let daily = actix_web::rt::spawn(jobs::sweep_daily(swept, sweeps));
        let alive = actix_web::rt::spawn(service_manager::keep_alive(watched));
        let renewal = Arc::new(Renewal::new(root, shown, names));
        let renewal = actix_web::rt::spawn(jobs::every_minute(move || renewal.look()));
        let handle = server.handle();
        let idle = async move {
            signals.next().await;
            service_manager::stopping();
            log::info!("stopping: finishing what is in flight");
            actix_web::rt::spawn(async move {
                signals.next().await;
                log::warn!("asked to stop again: stopping now");
                std::process::exit(130);
            });
            // The command is sent by now; `server` below ends when it is done, if that is sooner.
            drop(handle.stop(true));
            quiet.quiet().await;
        };
        // A dropped server closes the connections that browsers keep open without a request on them.
        let outcome = tokio::select! {
            outcome = server => outcome,
            () = idle => Ok(()),
        };
        daily.abort();
        renewal.abort();
        alive.abort();
        outcome.map_err(|e| Error::Internal(format!("serving: {e}")))
    });
    database.close();
    log::info!("stopped");
    outcome
}

/// Ctrl-C, SIGTERM and the end of the terminal (SIGHUP), heard from the moment this is made.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self> {
        let hear = |kind| signal(kind).map_err(Error::internal);
        Ok(Self {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
            hang_up: hear(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
