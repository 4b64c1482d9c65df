//! The whole server, assembled on one screen.

mod announced;
mod at_router;
mod backup_list;
mod backup_place;
mod backups;
mod certificates;
pub mod control;
mod dns_token;
mod doctor;
pub mod guard;
pub mod handover;
mod hosts;
mod looks;
mod migration;
mod name_words;
mod names;
mod naming;
mod patience;
mod ports;
mod promises;
mod readings;
mod reload;
mod room;
mod running;
mod signals;
mod startup;
pub mod stores;
mod typed;
mod watch;

use std::{
    io::IsTerminal as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_server::ServerBuilder;
use actix_service::ServiceFactory;
use actix_web::{
    App as ActixApp,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web::{Data, FormConfig, PayloadConfig, ServiceConfig},
};
use serde::{Deserialize, Serialize};

use self::{
    announced::Local,
    at_router::AtRouter,
    backups::Backups,
    certificates::Certificates,
    control::Control,
    doctor::Doctor,
    handover::{Predecessor, Program},
    hosts::{Served, own_names, together},
    names::{Effective, effective},
    naming::Naming,
    readings::Sources,
    reload::Reload,
    running::Over,
    startup::Startup,
    watch::Watcher,
};
pub use self::{
    hosts::stored_problems,
    names::{Counting, certificate_problems, stored_hosts, stored_name_problems, with_stored},
    reload::file_problems,
};
use crate::{
    app::{
        self,
        backups::live::LiveBackups,
        doctor::live::LiveDoctor,
        errors,
        hosts::{
            live::LiveHosts,
            queries::{StoredHost, list_hosts},
        },
        names::{
            live::{LiveNames, LiveRouter},
            queries::list_names,
        },
        traffic::live::Watch,
        visit::App,
    },
    auth::{csrf, sessions::LastSeen, setup::SetupLink, users},
    backup::sweep_trials,
    base::{Error, Limited, Result},
    config::Config,
    db::{DataFolder, Database, MediaStore, ServerLock, sweep_left},
    edge::{
        incoming::{self, Incoming, MAX_FORM_BYTES},
        pipeline::{self, Edge},
    },
    jobs::{disk::DiskKeeper, service_manager},
    net::{
        accept::{self, Door},
        admission::Admission,
        handshakes::Handshakes,
        leaving::Leaving,
        listen::{self, Listeners},
        names::{Name, local_names},
        probe, router,
        trust::TrustedProxies,
    },
};

/// What a running server tells the person who started it, and who asks later ([`running`]).
#[derive(Clone, Serialize, Deserialize)]
pub struct Started {
    /// Addresses of the site, best first.
    pub addresses: Vec<String>,
    /// The one-time link's path, if the site has no owner yet.
    pub setup_path: Option<String>,
    /// Where HTTPS listens.
    pub https_address: SocketAddr,
    /// Where plain HTTP listens.
    #[serde(default)]
    pub http_address: Option<SocketAddr>,
    /// Whether a connection from this machine itself must begin with a PROXY header.
    #[serde(default)]
    pub is_announced: bool,
    /// Whether the machine's `.local` name is announced on its network.
    #[serde(default)]
    pub is_named: bool,
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// The schema that it was made for; 0 where it does not say so.
    #[serde(default)]
    pub schema: i64,
    /// Where the program lies.
    #[serde(default)]
    pub program: PathBuf,
    /// What proves that an answer is this server's ([`Edge::witness`]).
    #[serde(default)]
    pub secret: String,
}

impl Started {
    /// Asks the server with this data folder for its first page and returns the status, such as 200. `patience` is
    /// for each step of an answer.
    ///
    /// # Errors
    /// As [`probe::first_page`].
    pub fn ask(&self, data: &Path, patience: Duration) -> Result<u16> {
        let ask =
            |is_announced| probe::first_page(data, self.https_address, is_announced, patience);
        let began = Instant::now();
        ask(self.is_announced).or_else(|e| {
            if began.elapsed() >= patience {
                return Err(e);
            }
            // Settings may have changed since it told.
            ask(!self.is_announced).map_err(|_| e)
        })
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
    let before = predecessor.as_ref();
    let program = Program::own(before.map(|before| before.program().into()))?;
    let on_terminal = || std::io::stdin().is_terminal();
    let has_terminal = before.map_or_else(on_terminal, Predecessor::has_terminal);
    let (lock, listeners) = hold(&folder, &config, predecessor.as_mut())?;
    let until_the_end = lock.copy()?;
    let (database, media, setup) = open(&folder, predecessor.as_ref(), config.upgrade.ready())?;

    let local = Local::of(&config);
    let names = local_names(&local.name);
    let stored = database.read_blocking(list_hosts)?;
    let counts = counting(&config, &stored, &database)?;
    let own = own_names(&counts.names, &names);
    let (settings, hosts) = together(&config.hosts, &stored, &own, folder.root(), None)?;
    let (tls, certificates) = Certificates::new(&folder, &local.name, &counts, &settings)?;
    let limited = Arc::new(Limited::default());
    let admission = Admission::new(edge_settings(&config).limits, Arc::clone(&limited));
    let trusted = Arc::new(TrustedProxies::new(config.trusted_proxies.clone()));
    let handshakes = Arc::new(Handshakes::default());
    let https = Door::https(
        tls,
        admission.clone(),
        Arc::clone(&trusted),
        Arc::clone(&handshakes),
    );

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
        local.at_home(&listeners),
    )?);
    let watch = watched(&edge, &database, admission.clone(), handshakes, &limited);
    let router = at_router::keeper(folder.root(), counts.config.router, &listeners, &edge);
    let seen = (&names[..], watch, Arc::clone(&router));
    let (naming, backups, asked) = live(&edge, &certificates, &database, &folder, &config, seen);
    let app = App::new(database.clone(), media, setup, certificates.names())?;
    let app = Data::new(app);
    let reload = Reload::new(
        (reread, folder.root().to_path_buf()),
        (naming.clone(), backups.clone()),
        edge.clone(),
        admission.clone(),
        &config,
    );
    let keeper = Data::new(DiskKeeper::new(folder.root(), database.clone()));
    let site = Site {
        edge: edge.clone(),
        app: app.clone(),
        keeper: keeper.clone(),
        asked,
        for_guards: Data::new(database.clone()),
        last_seen: Data::default(),
        incoming: Data::new(Incoming::new(Arc::clone(&limited))),
        limited,
    };
    let parting = leaving.clone();
    let serve = move |server: ServerBuilder, listener, door: &Door| {
        let (door, leaving, site) = (door.clone(), parting.clone(), site.clone());
        let serve = move || accept::serve(door.clone(), leaving.clone(), site.application());
        let server = server.listen("site", listener, serve);
        server.map_err(|e| Error::Internal(format!("starting to listen: {e}")))
    };
    let stays = predecessor.is_none() && !service_manager::is_there();
    let startup = Startup {
        root: folder.root().to_path_buf(),
        predecessor,
        program,
        has_terminal,
        stays,
        lock,
        listeners,
        https,
        local,
        trusted,
        database: database.clone(),
        keeper: keeper.clone(),
        certificates,
        naming,
        backups,
        router,
        edge,
        app,
        admission,
        leaving,
        reload,
    };
    let outcome = actix_web::rt::System::new().block_on(startup.run(serve, started));
    close(database, &keeper);
    end(outcome?, &folder, until_the_end, stays);
    Ok(())
}

/// Closes the database, which writes once more.
fn close(database: Database, keeper: &DiskKeeper) {
    database.close();
    keeper.leave_the_rest();
}

/// What is done when nothing is served any more; only then may another process serve the folder.
fn end(over: Over, folder: &DataFolder, lock: ServerLock, stays: bool) {
    match over {
        Over::Stopped => Control::remove(folder.root(), &lock),
        Over::HandedOver if stays => {
            drop(lock);
            let Err(e) = guard::become_guard(folder);
            log::warn!("{e}");
        }
        Over::HandedOver => {}
    }
    log::info!("stopped");
}

/// What every worker's application has.
#[derive(Clone)]
struct Site {
    edge: Data<Edge>,
    app: Data<App>,
    keeper: Data<DiskKeeper>,
    asked: Asked,
    for_guards: Data<Database>,
    last_seen: Data<LastSeen>,
    incoming: Data<Incoming>,
    limited: Arc<Limited>,
}

impl Site {
    /// The way of a request.
    fn application(
        &self,
    ) -> ActixApp<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = actix_web::Error,
            InitError = (),
        > + use<>,
    > {
        ActixApp::new()
            .app_data(self.edge.clone())
            .app_data(self.app.clone())
            .app_data(self.keeper.clone())
            .configure(|routes| self.asked.add_to(routes))
            .app_data(Data::from(Arc::clone(&self.limited)))
            .app_data(self.for_guards.clone())
            .app_data(self.last_seen.clone())
            .app_data(FormConfig::default().limit(MAX_FORM_BYTES))
            .app_data(PayloadConfig::new(MAX_FORM_BYTES))
            .app_data(self.incoming.clone())
            // The last one named is the first that a request meets.
            .wrap(from_fn(incoming::bounded))
            .wrap(from_fn(csrf::refuse_other_sites))
            .wrap(from_fn(errors::middleware::pages))
            .wrap(from_fn(pipeline::pipeline))
            .configure(app::configure)
    }
}

/// The lock of the data folder and the listening sockets: new ones, or those of the process before.
fn hold(
    folder: &DataFolder,
    config: &Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<(ServerLock, Listeners)> {
    let given = predecessor.and_then(|before| before.lock().zip(before.sockets()));
    if let Some((lock, (https, http))) = given {
        let lock = ServerLock::shared(lock, folder);
        return Ok((lock, Listeners::of(https, http)?));
    }
    let lock = folder.lock_for_server()?;
    sweep_left(folder);
    sweep_trials(folder.root());
    Ok((lock, listen::bind(&config.listen)?))
}

/// The settings that count: the file's, with the names that were set in the browser.
fn counting(file: &Config, hosts: &[StoredHost], database: &Database) -> Result<Effective> {
    let effective = effective(file, &database.read_blocking(list_names)?);
    effective.log_problems(hosts);
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
    ready: Duration,
) -> Result<(Database, MediaStore, SetupLink)> {
    let database = migration::open(folder, predecessor, ready)?;
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
    backups: Data<dyn LiveBackups>,
    doctor: Data<dyn LiveDoctor>,
    router: Data<dyn LiveRouter>,
}

impl Asked {
    fn add_to(&self, routes: &mut ServiceConfig) {
        routes
            .app_data(self.hosts.clone())
            .app_data(self.names.clone())
            .app_data(self.watch.clone())
            .app_data(self.backups.clone())
            .app_data(self.doctor.clone())
            .app_data(self.router.clone());
    }
}

/// The hosts, the names and the backups of the running server, as they change and as pages ask for them.
fn live(
    edge: &Data<Edge>,
    certificates: &Arc<Certificates>,
    database: &Database,
    folder: &DataFolder,
    file: &Config,
    (names, watch, router): (&[Name], Data<dyn Watch>, Arc<router::Keeper>),
) -> (Arc<Naming>, Arc<Backups>, Asked) {
    let root = folder.root();
    let hosts = Served::new(
        edge,
        certificates,
        database,
        root,
        file.hosts.clone(),
        names,
    );
    let of_machine = (names, Arc::clone(&router));
    let naming = Naming::new(Arc::clone(&hosts), database, file.clone(), of_machine);
    let router = AtRouter::new(root, router, &naming);
    let backups = Backups::new(folder, database, file);
    let doctor = Doctor::new(root.to_path_buf(), edge.clone(), certificates);
    let asked = Asked {
        hosts: Data::from(hosts as Arc<dyn LiveHosts>),
        names: Data::from(Arc::clone(&naming) as Arc<dyn LiveNames>),
        watch,
        backups: Data::from(Arc::clone(&backups) as Arc<dyn LiveBackups>),
        doctor: Data::from(Arc::new(doctor) as Arc<dyn LiveDoctor>),
        router: Data::from(router as Arc<dyn LiveRouter>),
    };
    (naming, backups, asked)
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
