//! The running server: does what signals and the owner's commands ask for, until it stops or another process goes on.

use std::{
    net::TcpListener,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_server::{Server, ServerHandle};
use actix_web::web::Data;
use futures_util::FutureExt as _;
use tokio::{sync::mpsc::Receiver, time::sleep};

use super::{
    announced::Told,
    control::{Answers, Ask, Control, Request},
    guard,
    handover::{Before, Program, Successor, hello},
    reload::Reload,
    signals::{Signals, Wish},
};
use crate::{
    app::visit::App,
    base::{Error, Result},
    config::Config,
    db::{DataFolder, Database, ServerLock, Waits, sweep_left},
    edge::pipeline::Edge,
    jobs::{Jobs, service_manager},
    net::{admission::Admission, leaving::Leaving, mdns::Announcer},
};

/// Time for requests in flight when the server is asked to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// For how long connections without a request are left open when another process goes on: who is about to ask on one
/// is answered, and sent to a new one.
const IDLE: Duration = Duration::from_secs(10);
/// Who presses Ctrl-C asks every process of the terminal, and the guard passes it on: that is once.
const ECHO: Duration = Duration::from_secs(1);
/// How long nothing must be there: a connection may just be on its way to its thread.
const QUIET: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How the server has ended.
pub(super) enum Over {
    /// It was asked to stop.
    Stopped,
    /// Another process serves.
    HandedOver,
}

/// Which program is to go on; not said: the one that lies on the disk now.
#[derive(Default)]
struct Wanted {
    program: Option<PathBuf>,
    /// Where it will lie, if who asks puts it elsewhere.
    place: Option<PathBuf>,
    /// Whether who asks says when nothing ends them any more.
    confirms: bool,
}

/// What the running server has in its hands.
pub(super) struct Running<Reread, Start> {
    pub(super) root: PathBuf,
    pub(super) signals: Signals,
    /// What takes requests, and those that it has taken.
    pub(super) control: Jobs,
    pub(super) asked: Receiver<Ask>,
    pub(super) reload: Reload<Reread>,
    pub(super) edge: Data<Edge>,
    pub(super) app: Data<App>,
    pub(super) admission: Admission,
    pub(super) leaving: Leaving,
    pub(super) database: Database,
    /// The sockets for HTTPS and for plain HTTP.
    pub(super) sockets: (TcpListener, TcpListener),
    pub(super) lock: ServerLock,
    /// What was left beside the lock.
    pub(super) told: Arc<Told>,
    pub(super) announcer: Option<Announcer>,
    pub(super) program: Program,
    /// Older processes that have not ended.
    pub(super) before: Rc<Before>,
    pub(super) has_terminal: bool,
    /// Whether this process stays around the one that goes on: see [`guard`].
    pub(super) stays: bool,
    /// Starts what is done beside the requests.
    pub(super) start_jobs: Start,
    pub(super) jobs: Option<Jobs>,
    /// While another process leads and this one finishes, what is saved here waits for that one.
    pub(super) waits: Option<Waits>,
}

impl<Reread: Fn() -> Result<Config>, Start: Fn() -> Jobs> Running<Reread, Start> {
    /// Serves until it is over.
    ///
    /// # Errors
    /// If the server ends by itself.
    pub(super) async fn until_over(mut self, server: Server) -> Result<Over> {
        let handle = server.handle();
        let over = async {
            if let Some(successor) = self.until_asked_to_end().await {
                self.finish(&handle, &successor).await;
                return Over::HandedOver;
            }
            self.stop(&handle).await;
            Over::Stopped
        };
        // A dropped server closes the connections that browsers keep open without a request on them.
        tokio::select! {
            outcome = server => {
                outcome.map_err(|e| Error::Internal(format!("serving: {e}")))?;
                Err(Error::Internal("the server has ended by itself".into()))
            }
            over = over => Ok(over),
        }
    }

    /// Does what is asked; returns with the process that goes on, or with none when the server is to stop.
    async fn until_asked_to_end(&mut self) -> Option<Successor> {
        loop {
            let Ask { request, answers } = tokio::select! {
                wish = self.signals.next() => match wish {
                    Wish::Stop => return None,
                    Wish::Reload => Ask { request: Request::Reload, answers: Answers::to_nobody() },
                },
                Some(ask) = self.asked.recv() => ask,
            };
            let wanted = match request {
                Request::Reload if !self.program.was_replaced() => {
                    let outcome = self.reload.now().await;
                    answers.outcome(outcome);
                    continue;
                }
                Request::Reload => Wanted::default(),
                Request::Upgrade {
                    program,
                    place,
                    confirms,
                } => Wanted {
                    program,
                    place,
                    confirms,
                },
            };
            // Where the other one changes the form of the database, nobody can save for as long as that takes.
            let waits = self.database.wait_for_others();
            match self.hand_over(wanted, &answers).await {
                Ok(Some(successor)) => {
                    self.waits = Some(waits);
                    let text = format!("process {} serves now", successor.process());
                    log::info!("handed over: {text}");
                    answers.outcome(Ok(text));
                    return Some(successor);
                }
                Ok(None) => {
                    let text = "asked to stop meanwhile, so nobody goes on";
                    answers.outcome(Err(Error::Invalid(text.into())));
                    return None;
                }
                Err(e) => {
                    log::error!("not handed over, this process goes on: {e}");
                    sweep_left(&DataFolder::at(&self.root));
                    answers.outcome(Err(e));
                }
            }
        }
    }

    /// Lets a program take over; `None` if this process was asked to stop before that.
    async fn hand_over(&mut self, wanted: Wanted, answers: &Answers) -> Result<Option<Successor>> {
        let Wanted {
            program,
            place,
            confirms,
        } = wanted;
        let program = program.unwrap_or_else(|| self.program.path.clone());
        let is_put_by_who_asks = place.is_some();
        let place = place.unwrap_or_else(|| program.clone());
        log::info!("handing over to {}", program.display());
        if self.stays {
            guard::prepare()?;
        }
        let patience = self.reload.upgrade().ready();
        let before: Vec<OwnedFd> = self.before.descriptors().map_err(Error::internal)?;
        let oldest = (!before.is_empty()).then(|| self.before.schema());
        let hello = hello(self.app.setup.token(), self.has_terminal, place, oldest);
        let (https, http) = &self.sockets;
        let own: [BorrowedFd<'_>; 3] = [https.as_fd(), http.as_fd(), self.lock.as_fd()];
        let descriptors: Vec<_> = own
            .into_iter()
            .chain(before.iter().map(OwnedFd::as_fd))
            .collect();
        let tell = |text: String| {
            log::info!("handing over: {text}");
            // `systemctl reload` has a limit, too.
            service_manager::needs_time();
            answers.progress(text);
        };
        let mut successor = tokio::select! {
            started = Successor::start(&program, &hello, &descriptors, patience, tell) => started?,
            () = self.signals.next_stop() => return Ok(None),
        };
        let is_there = !confirms || answers.are_confirmed().await;
        if !is_there || is_put_by_who_asks && answers.are_unheard() {
            return Err(Error::Invalid(
                "who asked for it has ended, and nobody would put the new program in its place"
                    .into(),
            ));
        }
        // The point of no return is at its end; until there, everything can be taken back.
        self.database.watch_others()?;
        self.jobs = None;
        // No goodbye: the other says it in a moment.
        self.announcer = None;
        if let Err(e) = successor.go().await {
            drop(successor);
            self.take_back();
            return Err(e);
        }
        service_manager::is_succeeded_by(successor.process());
        successor.lead().await;
        Ok(Some(successor))
    }

    /// Goes on as if nothing had been.
    fn take_back(&mut self) {
        if let Err(e) = self.told.tell() {
            log::warn!("{e}");
        }
        // The other may have taken its place.
        match Control::open(&self.root) {
            Ok((control, asked)) => {
                self.control = Jobs::of(control.serve());
                self.asked = asked;
            }
            Err(e) => log::warn!("{e}"),
        }
        self.database.watch_others_no_more();
        self.jobs = Some((self.start_jobs)());
        self.announcer = self.told.announce();
    }

    /// Takes no more connections, and lets those that are there end in peace.
    async fn finish(&mut self, handle: &ServerHandle, successor: &Successor) {
        // Who waits to be accepted is accepted by the other process.
        handle.pause().await;
        self.leaving.begin();
        let finish = self.reload.upgrade().finish();
        let (admission, edge, leaving) = (&self.admission, &self.edge, &self.leaving);
        let nothing_left = async {
            let mut quiet = Duration::ZERO;
            while quiet < QUIET {
                sleep(LOOK_EVERY).await;
                let is_quiet = admission.open() == 0 && edge.requests_under_way() == 0;
                quiet = if is_quiet {
                    quiet + LOOK_EVERY
                } else {
                    Duration::ZERO
                };
            }
        };
        let idle_end = async {
            sleep(IDLE).await;
            leaving.close_idle();
            std::future::pending::<()>().await;
        };
        let (signals, stays) = (&mut self.signals, self.stays);
        let asked_to_stop = async {
            signals.next_stop().await;
            if stays {
                // Who has started this process, and stops it, means the site.
                guard::stop(successor.process());
            }
            leaving.close_idle();
            edge.quiet().await;
        };
        tokio::select! {
            () = nothing_left => log::info!("finished what was in flight"),
            () = idle_end => {}
            () = asked_to_stop => {}
            () = sleep(finish) => log::warn!(
                "not everything was finished within {} seconds ([upgrade] finish_s): {} connections are closed",
                finish.as_secs(),
                admission.open()
            ),
        }
    }

    /// Finishes what is in flight, within some time.
    async fn stop(&mut self, handle: &ServerHandle) {
        service_manager::stopping();
        log::info!("stopping: finishing what is in flight");
        handle.pause().await;
        self.leaving.close_idle();
        if let Some(announcer) = self.announcer.take() {
            announcer.say_goodbye().await;
        }
        let (edge, signals) = (&self.edge, &mut self.signals);
        let asked_again = async {
            sleep(ECHO).await;
            while signals.next_stop().now_or_never().is_some() {}
            signals.next_stop().await;
        };
        tokio::select! {
            () = edge.quiet() => {}
            () = sleep(STOP_WITHIN) => log::warn!("not everything was finished"),
            () = asked_again => {
                log::warn!("asked to stop again: stopping now");
                std::process::exit(130);
            }
        }
    }
}
