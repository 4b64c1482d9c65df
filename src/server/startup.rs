//! From the assembled server to the running one: alone, or in the place of another process.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use actix_server::{Server, ServerBuilder};
use actix_web::web::Data;

use super::{
    Started,
    announced::{Local, Told},
    backups::{self, Backups},
    certificates::Certificates,
    control::Control,
    handover::{Before, Predecessor, Program},
    naming::Naming,
    ports::AtPorts,
    reload::Reload,
    running::{Over, Running},
    signals::Signals,
};
use crate::{
    app::{names::live::LiveNames as _, posts::changes, visit::App},
    auth::sessions,
    base::{Error, Result},
    config::Config,
    db::{Database, ServerLock, schema_version},
    edge::pipeline::Edge,
    jobs::{self, Jobs, disk::DiskKeeper, service_manager},
    net::{
        accept::Door,
        admission::Admission,
        leaving::Leaving,
        listen::{self, Listeners},
        probe, router,
        trust::TrustedProxies,
    },
};

/// Threads for the database and for rendering, of each worker.
const BLOCKING_THREADS: usize = 2;

/// The assembled server.
pub(super) struct Startup<Reread> {
    pub(super) root: PathBuf,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) program: Program,
    pub(super) has_terminal: bool,
    pub(super) stays: bool,
    pub(super) lock: ServerLock,
    pub(super) listeners: Listeners,
    pub(super) https: Door,
    pub(super) local: Local,
    pub(super) trusted: Arc<TrustedProxies>,
    pub(super) database: Database,
    pub(super) keeper: Data<DiskKeeper>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) naming: Arc<Naming>,
    pub(super) backups: Arc<Backups>,
    pub(super) router: Arc<router::Keeper>,
    pub(super) edge: Data<Edge>,
    pub(super) app: Data<App>,
    pub(super) admission: Admission,
    pub(super) leaving: Leaving,
    pub(super) reload: Reload<Reread>,
}

impl<Reread: Fn() -> Result<Config>> Startup<Reread> {
    /// Serves until it is over. `serve` adds the application behind a door to a server; `started` is called once
    /// requests are answered, but not when another process was there before.
    ///
    /// # Errors
    /// What keeps it from serving.
    pub(super) async fn run(
        mut self,
        serve: impl Fn(ServerBuilder, TcpListener, &Door) -> Result<ServerBuilder>,
        started: impl FnOnce(&Started),
    ) -> Result<Over> {
        let is_first = self.predecessor.is_none();
        let taking = match self.predecessor.take() {
            Some(predecessor) => {
                let private = listen::private()?;
                let address = private.local_addr().map_err(Error::internal)?;
                predecessor.progress("asking itself for the first page");
                let server = serve(builder().workers(1), private, &self.https)?.run();
                prove(server, self.root.clone(), address, &self.trusted).await?;
                Some(predecessor.ready().await?)
            }
            None => None,
        };

        let sockets = self.listeners.copies()?;
        let (copy, certificates) = (self.lock.copy()?, Arc::clone(&self.certificates));
        let told = Told::new(copy, self.ready(), self.local.clone(), certificates);
        let server = serve(builder(), self.listeners.https, &self.https)?;
        let server = serve(server, self.listeners.http, &self.https.http())?.run();

        // Before the address is told: who knows it may ask to stop.
        let signals = Signals::listen(self.has_terminal)?;
        let (control, asked) = Control::open(&self.root)?;
        let ready = told.tell()?;
        let before = Rc::new(match taking {
            Some(taking) => taking.serving().await?,
            None => Before::default(),
        });
        service_manager::ready(ready.addresses.first().map_or("", String::as_str));
        if is_first {
            started(&ready);
        }
        let (database, naming) = (self.database.clone(), Arc::clone(&self.naming));
        let _alone = Jobs::of(until_alone(Rc::clone(&before), database, naming));
        let (database, edge) = (self.database.clone(), self.edge.clone());
        let keeper = self.keeper.into_inner();
        let (certificates, naming) = (self.certificates, self.naming);
        let (backups, router) = (self.backups, self.router);
        let of_others = Arc::clone(&told);
        let start_jobs = move || {
            let of_names = (Arc::clone(&certificates), Arc::clone(&naming));
            let keeper = Arc::clone(&keeper);
            let beside = (database.clone(), edge.clone(), keeper);
            let of_machine = (backups.clone(), Arc::clone(&router));
            let mut jobs = start_background(beside, of_names, of_machine);
            jobs.start(Arc::clone(&of_others).tell_when_possible());
            jobs
        };
        let running = Running {
            root: self.root,
            jobs: Some(start_jobs()),
            start_jobs,
            signals,
            control: Jobs::of(control.serve()),
            asked,
            reload: self.reload,
            edge: self.edge,
            app: self.app,
            admission: self.admission,
            leaving: self.leaving,
            database: self.database,
            sockets,
            lock: self.lock,
            announcer: told.announce(),
            told,
            program: self.program,
            before,
            has_terminal: self.has_terminal,
            stays: self.stays,
            waits: None,
        };
        running.until_over(server).await
    }

    /// What is told to who started the server, and who asks later, as far as it stays the same.
    fn ready(&self) -> Started {
        let https_address = self.listeners.https_address;
        Started {
            // They may change; see [`Told`].
            addresses: Vec::new(),
            is_named: false,
            setup_path: self.app.setup.path(),
            https_address,
            http_address: Some(self.listeners.http_address),
            is_announced: probe::is_announced(https_address, &self.trusted),
            secret: self.edge.witness().secret().to_owned(),
            version: env!("CARGO_PKG_VERSION").into(),
            schema: schema_version(),
            program: self.program.path.clone(),
        }
    }
}

fn builder() -> ServerBuilder {
    Server::build()
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .disable_signals()
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
    let ask = move || probe::first_page(&data, address, is_announced, probe::PATIENCE);
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
    // The one before may be writing a large log back.
    let waits = database.wait_for_others();
    before.ended().await;
    drop(waits);
    database.watch_others_no_more();
    if let Err(e) = naming.take_over().await {
        log::warn!("names and hosts were not looked at again: {e}");
    }
}

/// Starts what is done beside the requests, for as long as the answer is kept.
fn start_background(
    (database, edge, keeper): (Database, Data<Edge>, Arc<DiskKeeper>),
    (certificates, naming): (Arc<Certificates>, Arc<Naming>),
    (backups, router): (Arc<Backups>, Arc<router::Keeper>),
) -> Jobs {
    let sweeps: Vec<fn(_) -> _> = vec![sessions::sweep_expired];
    let mut jobs = Jobs::default();
    jobs.start(jobs::sweep_daily(database.clone(), sweeps));
    let follow: Vec<fn(&_) -> _> = vec![sessions::follow_clock, changes::follow_clock];
    let of_clock = Arc::clone(&certificates);
    let renew = move || of_clock.look();
    jobs.start(jobs::clock::watch(database.clone(), follow, renew));
    jobs.start(service_manager::keep_alive(database));
    jobs.start(keeper.keep());
    let ports = AtPorts {
        edge: edge.clone(),
        certificates: Arc::clone(&certificates),
        router: Arc::clone(&router),
    };
    let local = Arc::clone(&certificates);
    jobs.start(jobs::every_minute(move || local.look()));
    let names = Arc::clone(&certificates);
    jobs.start(async move { names.follow().await });
    jobs.start(async move { certificates.keep(async || ports.known().await).await });
    jobs.start(async move { edge.watch_upstreams().await });
    jobs.start(async move { naming.watch().await });
    jobs.start(backups::keep(backups));
    jobs.start(async move { router.run().await });
    jobs
}
