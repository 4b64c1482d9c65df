//! The old process's side: starts the new one, hears how it gets on, and lets it take over.

use std::{
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    Hello, Report, VARIABLE, Word,
    output::{self, Output},
    refuse_foreign,
    tether::Tether,
    wire::{Wire, send_with},
};
use crate::base::{Error, Result, words::one_line};

/// How often it is looked whether it prints too much.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it may say that it gets on, at once; and then once a second. What is more is not told.
const MOST_WORDS: u64 = 20;
/// What is told of one of them, in characters.
const MOST_OF_WORD: usize = 400;

/// How long it may take from the word that it may go on, until it has taken a step that takes no time. The service
/// manager hears nothing meanwhile, and wants a sign of life every 30 seconds; the last one may be 15 seconds old.
const STEP: Duration = Duration::from_secs(10);

/// What is waited for.
#[derive(Clone, Copy)]
enum Step {
    /// To be ready, or to get on with that.
    Ready,
    /// To take connections.
    Serving,
}

/// A process that is to take over. It is ended when this is dropped before it leads.
pub(in crate::server) struct Successor {
    child: Child,
    wire: Wire,
    output: Output,
    tether: Tether,
    leads: bool,
}

impl Successor {
    /// Starts a program as this process was started, and waits until it has proved itself; `tell` hears how it gets on.
    /// `patience` is for each thing that it does.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not for this machine, [`Error::Internal`] with why it is not fit. It runs no more
    /// then.
    pub(in crate::server) async fn start(
        program: &Path,
        hello: &Hello,
        descriptors: &[BorrowedFd<'_>],
        patience: Duration,
        mut tell: impl FnMut(String),
    ) -> Result<Self> {
        refuse_foreign(program)?;
        let not_started = |e: io::Error| {
            let program = program.display();
            Error::Internal(format!("the new program, {program}, does not start: {e}"))
        };
        let (ours, theirs) = UnixStream::pair().map_err(not_started)?;
        let child = Command::new(program)
            .args(std::env::args_os().skip(1))
            .env(VARIABLE, "1")
            // They say what holds for this process.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(not_started)?;
        let mut successor = Self {
            output: Output::of(child.id()),
            tether: Tether::tie(child.id()),
            child,
            wire: Wire::new(ours.try_clone().map_err(not_started)?).map_err(not_started)?,
            leads: false,
        };
        // Fits into the socket, so it does not wait.
        match send_with(&ours, hello, descriptors) {
            // It has hung up. Why, is said by how it ended.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            sent => sent.map_err(not_started)?,
        }
        drop(ours);
        let (began, mut told) = (Instant::now(), 0);
        loop {
            match successor.hear(patience, Step::Ready).await? {
                Report::Progress(_) if told > MOST_WORDS + began.elapsed().as_secs() => {}
                Report::Progress(text) => {
                    told += 1;
                    tell(one_line(&text, MOST_OF_WORD));
                }
                Report::Ready { version } => {
                    let version = one_line(&version, MOST_OF_WORD);
                    tell(format!("the new program, version {version}, is ready"));
                    return Ok(successor);
                }
                other => return Err(successor.strange(&other)),
            }
        }
    }

    /// Lets it take connections, and returns when it does.
    ///
    /// # Errors
    /// As [`Successor::start`].
    pub(in crate::server) async fn go(&mut self) -> Result<()> {
        self.say(Word::Go).await?;
        match self.hear(STEP, Step::Serving).await? {
            // Here ends what can be taken back.
            Report::Serving if self.output.look_no_more() => Ok(()),
            Report::Serving => Err(prints_without_end()),
            other => Err(self.strange(&other)),
        }
    }

    /// Tells that everything is its own now; it lives on without us.
    pub(in crate::server) async fn lead(&mut self) {
        self.leads = true;
        self.tether.untie();
        if let Err(e) = self.say(Word::Lead).await {
            log::warn!("{e}");
        }
    }

    /// The process's number.
    pub(in crate::server) fn process(&self) -> u32 {
        self.child.id()
    }

    async fn say(&mut self, word: Word) -> Result<()> {
        let sent = self.wire.send(&word).await;
        sent.map_err(|e| Error::Internal(format!("the new program does not listen: {e}")))
    }

    /// What it says next.
    async fn hear(&mut self, patience: Duration, step: Step) -> Result<Report> {
        let output = &self.output;
        let prints_too_much = async {
            while !output.is_too_much() {
                sleep(LOOK_EVERY).await;
            }
        };
        let heard = tokio::select! {
            heard = timeout(patience, self.wire.receive()) => heard,
            () = prints_too_much => return Err(prints_without_end()),
        };
        let Ok(heard) = heard else {
            let seconds = patience.as_secs();
            return Err(Error::Internal(match step {
                Step::Ready => format!(
                    "the new program was not ready within {seconds} seconds, nor did it say that it gets on ([upgrade] \
                     ready_s in webstead.toml)"
                ),
                Step::Serving => format!(
                    "the new program said that it is ready, but took no connections within {seconds} seconds, which is \
                     more than it needs anywhere; it hangs, or this machine has far too much to do"
                ),
            }));
        };
        match heard {
            Ok(Some(Report::Failed(why))) => Err(Error::Internal(format!(
                "the new program is not fit: {why}"
            ))),
            Ok(Some(report)) => Ok(report),
            // For that it was ended.
            Ok(None) if self.output.is_too_much() => Err(prints_without_end()),
            Ok(None) => Err(self.ended().await),
            Err(e) => Err(Error::Internal(format!(
                "the new program says what nobody understands: {e}"
            ))),
        }
    }

    /// How it ended, which it has or is about to.
    async fn ended(&mut self) -> Error {
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Error::Internal(format!(
                    "the new program ended before it was ready ({})",
                    in_words(status)
                ));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Error::Internal("the new program hung up before it was ready".into())
    }

    fn strange(&self, report: &Report) -> Error {
        let process = self.process();
        Error::Internal(format!(
            "the new program (process {process}) said {report:?} out of turn"
        ))
    }
}

fn prints_without_end() -> Error {
    Error::Internal(format!(
        "the new program prints without end: more than {} MiB before it was ready; the log has what it said",
        output::MOST_BYTES >> 20
    ))
}

fn in_words(status: ExitStatus) -> String {
    match status.code() {
        Some(0) => "as if it had nothing to do".into(),
        Some(code) => format!("exit code {code}; what it said is in the log"),
        // signal(7)
        None => format!("{status}"),
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.leads {
            // It may have ended.
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.tether.untie();
        }
    }
}
