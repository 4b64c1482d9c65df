//! The whole server, assembled on one screen.

mod certificates;
mod hosts;
mod names;
mod naming;
mod promises;
mod readings;
mod reload;
mod room;
mod signals;
mod watch;

use std::{net::SocketAddr, path::Path, sync::Arc};

use actix_server::Server;
use actix_web::{
    App as ActixApp,
    middleware::from_fn,
    web::{Data, FormConfig, PayloadConfig, ServiceConfig},
};
use serde::{Deserialize, Serialize};

use self::{
    certificates::Certificates,
    hosts::{Served, own_names, together},
    names::{Effective, effective},
    naming::Naming,
    readings::Sources,
    reload::Reload,
    signals::{Signals, Wish},
    watch::Watcher,
};
pub use self::{
    hosts::stored_problems,
    names::{stored_name_problems, with_stored},
};
use crate::{
    app::{
        self, errors,
        hosts::{live::LiveHosts, queries::list_hosts},
        names::{live::LiveNames, queries::list_names},
        traffic::live::Watch,
        visit::App,
    },
    auth::{
        csrf,
        sessions::{self, LastSeen},
        setup::SetupLink,
        users,
    },
    base::{Error, Limited, Result},
    config::Config,
    db::{DataFolder, Database, MediaStore},
    edge::{
        incoming::{self, Incoming, MAX_FORM_BYTES},
        pipeline::{self, Edge},
    },
    jobs::{self, Jobs, service_manager},
    net::{
        accept::{self, Door},
        admission::Admission,
        handshakes::Handshakes,
        listen,
        names::local_names,
        probe,
        trust::TrustedProxies,
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
    /// Whether a connection from this machine itself must begin with a PROXY header.
    #[serde(default)]
    pub is_announced: bool,
}

impl Started {
    /// Asks the server with this data folder for its first page and returns the status, such as 200.
    ///
    /// # Errors
    /// As [`probe::first_page`].
    pub fn ask(&self, data: &Path) -> Result<u16> {
        let ask = |is_announced| probe::first_page(data, self.https_address, is_announced);
        // Settings may have changed since it told.
        ask(self.is_announced).or_else(|e| ask(!self.is_announced).map_err(|_| e))
    }
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
/// `reread` gives the settings anew when that is asked for (SIGHUP); `started` is called once requests are
/// answered.
///
/// # Errors
/// What keeps the server from starting: the data folder, the certificate, the ports.
pub fn run(
    config: Config,
    folder: DataFolder,
    reread: impl Fn() -> Result<Config>,
    started: impl FnOnce(&Started),
) -> Result<()> {
    room::raise_descriptors();
    let mut lock = folder.lock_for_server()?;
    let (database, media, setup) = open(&folder)?;
    let setup_path = setup.path();

    let listeners = listen::bind(&config.listen)?;
    let names = local_names();
    let stored = database.read_blocking(list_hosts)?;
    let counts = counting(&config, &database)?;
    let own = own_names(&counts.names, &names);
    let (settings, hosts) = together(&config.hosts, &stored, &own, folder.root(), None)?;
    let (tls, certificates) = Certificates::new(&folder, &names, &counts, &settings)?;
    let limited = Arc::new(Limited::default());
    let admission = Admission::new(edge_settings(&config).limits, Arc::clone(&limited));
    let trusted = Arc::new(TrustedProxies::new(config.trusted_proxies.clone()));
    let is_announced = probe::is_announced(listeners.https_address, &trusted);
    let handshakes = Arc::new(Handshakes::default());
    let https = Door::https(
        tls,
        admission.clone(),
        Arc::clone(&trusted),
        Arc::clone(&handshakes),
    );
    let http = https.http();

    let edge = Data::new(Edge::new(
        database.clone(),
        (folder.root().to_path_buf(), folder.public()),
        hosts,
        pipeline::Shared {
            names: certificates.names(),
            challenges: certificates.challenges(),
            trusted,
            limited: Arc::clone(&limited),
        },
        edge_settings(&config),
        listeners.https_address.port(),
    )?);
    let admission_to_reload = admission.clone();
    let watch = watched(&edge, &database, admission, handshakes, &limited);
    let (naming, asked) = live(&edge, &certificates, &database, &folder, &config, watch);
    let app = App::new(database.clone(), media, setup, certificates.names())?;
    let app = Data::new(app);
    let (reloaded, for_edge) = (Arc::clone(&naming), edge.clone());
    let reload = Reload::new(
        reread,
        reloaded,
        for_edge,
        admission_to_reload,
        config.listen,
    );
    let (for_guards, last_seen) = (Data::new(database.clone()), Data::new(LastSeen::default()));

    let incoming = Data::new(Incoming::new(Arc::clone(&limited)));
    let (background, for_stop) = ((database.clone(), edge.clone()), edge.clone());
    let noted = &mut lock;
    let outcome = actix_web::rt::System::new().block_on(async move {
        let site = move || {
            ActixApp::new()
                .app_data(edge.clone())
                .app_data(app.clone())
                .configure(|routes| asked.add_to(routes))
                .app_data(Data::from(Arc::clone(&limited)))
                .app_data(for_guards.clone())
                .app_data(last_seen.clone())
                .app_data(FormConfig::default().limit(MAX_FORM_BYTES))
                .app_data(PayloadConfig::new(MAX_FORM_BYTES))
                .app_data(incoming.clone())
                // The last one named is the first that a request meets.
                .wrap(from_fn(incoming::bounded))
                .wrap(from_fn(csrf::refuse_other_sites))
                .wrap(from_fn(errors::middleware::pages))
                .wrap(from_fn(pipeline::pipeline))
                .configure(app::configure)
        };
        let mut server = Server::build()
            .worker_max_blocking_threads(BLOCKING_THREADS)
            .shutdown_timeout(SHUTDOWN_S)
            .disable_signals();
        for (listener, door) in [(listeners.https, https), (listeners.http, http)] {
            let (stopping, site) = (server.graceful_shutdown_signal(), site.clone());
            let serve = move || accept::serve(door.clone(), stopping.clone(), site());
            server = server
                .listen("site", listener, serve)
                .map_err(|e| Error::Internal(format!("starting to listen: {e}")))?;
        }
        let server = server.run();

        // Before the address is told: who knows it may ask to stop.
        let signals = Signals::listen()?;
        let addresses = listen::shown_addresses(listeners.https_address, &names);
        let ready = Started {
            addresses,
            setup_path,
            https_address: listeners.https_address,
            is_announced,
        };
        noted.note(&serde_json::to_string(&ready).map_err(Error::internal)?)?;
        service_manager::ready(ready.addresses.first().map_or("", String::as_str));
        started(&ready);
        let _background = start_background(background, certificates, naming);
        until_stopped(server, signals, reload, &for_stop).await
    });
    database.close();
    log::info!("stopped");
    outcome
}

/// The settings that count: the file's, with the names that were set in the browser.
fn counting(file: &Config, database: &Database) -> Result<Effective> {
    let effective = effective(file, &database.read_blocking(list_names)?);
    for why in &effective.problems {
        log::warn!("of the site's name, set in the browser: {why}");
    }
    Ok(effective)
}

/// The settings that the edge has, within what the system allows.
fn edge_settings(config: &Config) -> pipeline::Settings {
    pipeline::Settings {
        limits: room::fitting(config.limits),
        cache: config.cache,
        pages: config.pages,
        log: config.log,
    }
}

/// What there is in the data folder, and the link that sets the site up if it has no owner yet.
fn open(folder: &DataFolder) -> Result<(Database, MediaStore, SetupLink)> {
    let database = Database::open(&folder.database())?;
    let media = MediaStore::new(folder);
    media.sweep_temporary();
    let setup = SetupLink::new(!database.read_blocking(users::has_users)?)?;
    Ok((database, media, setup))
}

/// What pages ask the running server.
#[derive(Clone)]
struct Asked {
    hosts: Data<dyn LiveHosts>,
    names: Data<dyn LiveNames>,
    watch: Data<dyn Watch>,
}

impl Asked {
    fn add_to(&self, routes: &mut ServiceConfig) {
        routes
            .app_data(self.hosts.clone())
            .app_data(self.names.clone())
            .app_data(self.watch.clone());
    }
}

/// The hosts and the names of the running server, as they change and as pages ask for them.
fn live(
    edge: &Data<Edge>,
    certificates: &Arc<Certificates>,
    database: &Database,
    folder: &DataFolder,
    file: &Config,
    watch: Data<dyn Watch>,
) -> (Arc<Naming>, Asked) {
    let (root, names) = (folder.root(), local_names());
    let hosts = Served::new(
        edge,
        certificates,
        database,
        root,
        file.hosts.clone(),
        &names,
    );
    let naming = Naming::new(Arc::clone(&hosts), database, file.clone(), &names);
    let asked = Asked {
        hosts: Data::from(hosts as Arc<dyn LiveHosts>),
        names: Data::from(Arc::clone(&naming) as Arc<dyn LiveNames>),
        watch,
    };
    (naming, asked)
}

/// Lets `/metrics` and the owner's page see what the modules have seen.
fn watched(
    edge: &Data<Edge>,
    database: &Database,
    admission: Admission,
    handshakes: Arc<Handshakes>,
    limited: &Arc<Limited>,
) -> Data<dyn Watch> {
    Sources {
        database: database.clone(),
        admission: admission.clone(),
        handshakes,
        limited: Arc::clone(limited),
        // The edge has the numbers; it would never end if they had the edge.
        edge: Arc::downgrade(&edge.clone().into_inner()),
    }
    .show_in(edge);
    let watcher: Arc<dyn Watch> = Arc::new(Watcher {
        edge: edge.clone(),
        admission,
        limited: Arc::clone(limited),
    });
    Data::from(watcher)
}

/// Serves until a signal asks to stop, and then until nothing is in flight.
async fn until_stopped(
    server: Server,
    mut signals: Signals,
    reload: Reload<impl Fn() -> Result<Config>>,
    edge: &Edge,
) -> Result<()> {
    let handle = server.handle();
    let idle = async {
        while signals.next().await == Wish::Reload {
            reload.now().await;
        }
        service_manager::stopping();
        log::info!("stopping: finishing what is in flight");
        actix_web::rt::spawn(async move {
            signals.next_stop().await;
            log::warn!("asked to stop again: stopping now");
            std::process::exit(130);
        });
        // The command is sent by now; `server` below ends when it is done, if that is sooner.
        drop(handle.stop(true));
        edge.quiet().await;
    };
    // A dropped server closes the connections that browsers keep open without a request on them.
    let outcome = tokio::select! {
        outcome = server => outcome,
        () = idle => Ok(()),
    };
    outcome.map_err(|e| Error::Internal(format!("serving: {e}")))
}

/// Starts what is done beside the requests, for as long as the answer is kept.
fn start_background(
    (database, edge): (Database, Data<Edge>),
    certificates: Arc<Certificates>,
    naming: Arc<Naming>,
) -> Jobs {
    let sweeps: Vec<fn(_) -> _> = vec![sessions::sweep_expired];
    let mut jobs = Jobs::default();
    jobs.start(jobs::sweep_daily(database.clone(), sweeps));
    jobs.start(service_manager::keep_alive(database));
    let local = Arc::clone(&certificates);
    jobs.start(jobs::every_minute(move || local.look()));
    jobs.start(async move { certificates.keep().await });
    jobs.start(async move { edge.watch_upstreams().await });
    jobs.start(async move { naming.watch().await });
    jobs
}
