//! The whole server, assembled on one screen.

mod certificates;
pub mod control;
pub mod guard;
pub mod handover;
mod hosts;
mod names;
mod naming;
mod promises;
mod readings;
mod reload;
mod room;
mod running;
mod signals;
mod watch;

use std::{
    io::IsTerminal as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use actix_server::{Server, ServerBuilder};
use actix_web::{
    App as ActixApp,
    middleware::from_fn,
    web::{Data, FormConfig, PayloadConfig, ServiceConfig},
};
use serde::{Deserialize, Serialize};

use self::{
    certificates::Certificates,
    control::Control,
    handover::{Before, Predecessor, Program},
    hosts::{Served, own_names, together},
    names::{Effective, effective},
    naming::Naming,
    readings::Sources,
    reload::Reload,
    running::{Over, Running},
    signals::Signals,
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
    db::{DataFolder, Database, MediaStore, ServerLock},
    edge::{
        incoming::{self, Incoming, MAX_FORM_BYTES},
        pipeline::{self, Edge},
    },
    jobs::{self, Jobs, service_manager},
    net::{
        accept::{self, Door},
        admission::Admission,
        handshakes::Handshakes,
        leaving::Leaving,
        listen::{self, Listeners},
        names::local_names,
        probe,
        trust::TrustedProxies,
    },
};

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
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// Where the program lies.
    #[serde(default)]
    pub program: PathBuf,
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

/// Serves a site until it is asked to stop (Ctrl-C or SIGTERM), then finishes what is in flight; or until another
/// process goes on.
///
/// `reread` gives the settings anew when that is asked for (SIGHUP); `started` is called once requests are
/// answered. `predecessor`: the process whose place this one takes.
///
/// # Errors
/// What keeps the server from starting: the data folder, the certificate, the ports.
pub fn run(
    config: Config,
    folder: DataFolder,
    mut predecessor: Option<Predecessor>,
    reread: impl Fn() -> Result<Config>,
    started: impl FnOnce(&Started),
) -> Result<()> {
    room::raise_descriptors();
    let program = predecessor.as_ref().map(|before| before.program().into());
    let program = Program::own(program)?;
    let has_terminal = predecessor
        .as_ref()
        .map_or_else(|| std::io::stdin().is_terminal(), Predecessor::has_terminal);
    let (mut lock, listeners) = hold(&folder, &config, predecessor.as_mut())?;
    let (database, media, setup) = open(&folder, predecessor.as_ref())?;
    let setup_path = setup.path();

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

    let leaving = Leaving::default();
    let edge = Data::new(Edge::new(
        database.clone(),
        (folder.root().to_path_buf(), folder.public()),
        hosts,
        pipeline::Shared {
            names: certificates.names(),
            challenges: certificates.challenges(),
            trusted: Arc::clone(&trusted),
            limited: Arc::clone(&limited),
            leaving: leaving.clone(),
        },
        edge_settings(&config),
        listeners.https_address.port(),
    )?);
    let watch = watched(&edge, &database, admission.clone(), handshakes, &limited);
    let root = folder.root();
    let (naming, pages) = live(&edge, &certificates, &database, &folder, &config, watch);
    let app = App::new(database.clone(), media, setup, certificates.names())?;
    let app = Data::new(app);
    let reload = Reload::new(
        reread,
        Arc::clone(&naming),
        edge.clone(),
        admission.clone(),
        (config.listen, config.upgrade),
    );
    let (for_guards, last_seen) = (Data::new(database.clone()), Data::new(LastSeen::default()));

    let incoming = Data::new(Incoming::new(Arc::clone(&limited)));
    let kept = (edge.clone(), app.clone(), database.clone());
    let stays = predecessor.is_none() && !service_manager::is_there();
    let outcome = actix_web::rt::System::new().block_on(async {
        let site = move || {
            ActixApp::new()
                .app_data(edge.clone())
                .app_data(app.clone())
                .configure(|routes| pages.add_to(routes))
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
        let (edge, app, database) = kept;
        let serve = |server: ServerBuilder, listener, door: &Door| {
            let (door, leaving, site) = (door.clone(), leaving.clone(), site.clone());
            let serve = move || accept::serve(door.clone(), leaving.clone(), site());
            let server = server.listen("site", listener, serve);
            server.map_err(|e| Error::Internal(format!("starting to listen: {e}")))
        };
        let builder = || {
            Server::build()
                .worker_max_blocking_threads(BLOCKING_THREADS)
                .disable_signals()
        };
        let taking = match predecessor {
            Some(predecessor) => {
                let private = listen::private()?;
                let address = private.local_addr().map_err(Error::internal)?;
                predecessor.progress("asking itself for the first page");
                let server = serve(builder().workers(1), private, &https)?.run();
                prove(server, root.to_path_buf(), address, &trusted).await?;
                Some(predecessor.ready().await?)
            }
            None => None,
        };

        let sockets = listeners.copies()?;
        let server = serve(builder(), listeners.https, &https)?;
        let server = serve(server, listeners.http, &http)?.run();

        // Before the address is told: who knows it may ask to stop.
        let signals = Signals::listen(has_terminal)?;
        let (control, asked) = Control::open(root)?;
        let addresses = listen::shown_addresses(listeners.https_address, &names);
        let ready = Started {
            addresses,
            setup_path,
            https_address: listeners.https_address,
            is_announced,
            version: env!("CARGO_PKG_VERSION").into(),
            program: program.path.clone(),
        };
        let note = serde_json::to_string(&ready).map_err(Error::internal)?;
        lock.note(&note)?;
        let before = match taking {
            Some(taking) => taking.serving().await?,
            None => Before::default(),
        };
        service_manager::ready(ready.addresses.first().map_or("", String::as_str));
        if stays || service_manager::is_there() {
            started(&ready);
        }
        let before = Rc::new(before);
        let _control = Jobs::of(control.serve());
        let _alone = Jobs::of(until_alone(
            Rc::clone(&before),
            database.clone(),
            Arc::clone(&naming),
        ));
        let start_jobs = {
            let (database, edge) = (database.clone(), edge.clone());
            move || {
                let of_names = (Arc::clone(&certificates), Arc::clone(&naming));
                start_background((database.clone(), edge.clone()), of_names)
            }
        };
        let running = Running {
            jobs: Some(start_jobs()),
            start_jobs,
            signals,
            asked,
            reload,
            edge,
            app,
            admission,
            leaving,
            database,
            sockets,
            lock,
            note,
            program,
            before,
            has_terminal,
            stays,
        };
        running.until_over(server).await
    });
    database.close();
    match outcome? {
        Over::Stopped => Control::remove(root),
        Over::HandedOver if stays => {
            let Err(e) = guard::become_guard(&folder);
            log::warn!("{e}");
        }
        Over::HandedOver => {}
    }
    log::info!("stopped");
    Ok(())
}

/// The lock of the data folder and the listening sockets: new ones, or those of the process before.
fn hold(
    folder: &DataFolder,
    config: &Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<(ServerLock, Listeners)> {
    let given = predecessor.and_then(|before| before.lock().zip(before.sockets()));
    match given {
        Some((lock, (https, http))) => Ok((ServerLock::shared(lock), Listeners::of(https, http)?)),
        None => Ok((folder.lock_for_server()?, listen::bind(&config.listen)?)),
    }
}

/// Asks a server for its first page as a visitor would, and ends it.
async fn prove(
    server: Server,
    data: PathBuf,
    address: SocketAddr,
    trusted: &TrustedProxies,
) -> Result<()> {
    let is_announced = probe::is_announced(address, trusted);
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    let ask = move || probe::first_page(&data, address, is_announced);
    let answered = tokio::task::spawn_blocking(ask).await;
    handle.stop(false).await;
    let _ = server.await;
    match answered.map_err(Error::internal)?? {
        status if status < 500 => Ok(()),
        status => Err(Error::Internal(format!(
            "the first page is an error ({status})"
        ))),
    }
}

/// Waits until no older process is left, and then takes what it may have changed at last.
async fn until_alone(before: Rc<Before>, database: Database, naming: Arc<Naming>) {
    before.ended().await;
    database.watch_others_no_more();
    if let Err(e) = naming.take_over().await {
        log::warn!("names and hosts were not looked at again: {e}");
    }
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
fn open(
    folder: &DataFolder,
    predecessor: Option<&Predecessor>,
) -> Result<(Database, MediaStore, SetupLink)> {
    if let Some(predecessor) = predecessor {
        predecessor.progress("opening the database");
    }
    let database = Database::open(&folder.database())?;
    if predecessor.is_some() {
        database.watch_others()?;
    }
    let media = MediaStore::new(folder);
    media.sweep_temporary();
    let is_new = !database.read_blocking(users::has_users)?;
    let shown = predecessor.and_then(Predecessor::setup);
    let setup = match shown.filter(|_| is_new) {
        Some(token) => SetupLink::of(token),
        None => SetupLink::new(is_new)?,
    };
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

/// Starts what is done beside the requests, for as long as the answer is kept.
fn start_background(
    (database, edge): (Database, Data<Edge>),
    (certificates, naming): (Arc<Certificates>, Arc<Naming>),
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
