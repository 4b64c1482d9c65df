//! The new process's side: takes what the old one gives, and says how it gets on.

use std::{
    fs::File,
    io,
    net::TcpListener,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::net::{RecvFlags, recv};

use super::{
    Hello, PROTOCOL, Report, VARIABLE, Word,
    wire::{Wire, receive_with, send},
};
use crate::{
    auth::unsaved,
    base::{Error, Result},
    db::schema_version,
};

/// The schema of the first program that could hand over.
const FIRST_SCHEMA: i64 = 3;

/// The process before, which still serves.
pub struct Predecessor {
    stream: UnixStream,
    hello: Hello,
    sockets: Option<(TcpListener, TcpListener)>,
    lock: Option<File>,
    /// It and older ones that have not ended, at whose end these close.
    before: Vec<UnixStream>,
}

impl Predecessor {
    /// The process that has started this one, if this one is to take over.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not say what it has to.
    pub fn of_this_process() -> Result<Option<Self>> {
        if std::env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let taken = Self::take().map_err(|e| {
            Error::Invalid(format!(
                "{VARIABLE} is set, as a running Webstead does for the one that takes over, but there is none \
                 ({e}); unset it to start a server"
            ))
        });
        taken.map(Some)
    }

    fn take() -> io::Result<Self> {
        let stream = io::stdin().as_fd().try_clone_to_owned()?;
        let stream = UnixStream::from(stream);
        let (mut hello, descriptors): (Hello, _) = receive_with(&stream)?;
        // Nobody else shall read from there.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        if hello.protocol != PROTOCOL {
            return Err(io::Error::other(format!(
                "it speaks version {} of the handover, and this program version {PROTOCOL}; upgrade by a \
                 restart",
                hello.protocol
            )));
        }
        unsaved::take_over(std::mem::take(&mut hello.sessions));
        let mut descriptors = descriptors.into_iter();
        let mut next = || {
            let missing = || io::Error::other("it gave too few descriptors");
            descriptors.next().ok_or_else(missing)
        };
        let sockets = Some((next()?.into(), next()?.into()));
        let lock = Some(next()?.into());
        let mut before = vec![stream.try_clone()?];
        before.extend(descriptors.map(UnixStream::from));
        Ok(Self {
            stream,
            hello,
            sockets,
            lock,
            before,
        })
    }

    /// Says what is being done.
    pub(in crate::server) fn progress(&self, what: &str) {
        self.say(&Report::Progress(what.to_owned()));
    }

    /// What says why this process cannot take over, if it comes to that.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no descriptor.
    pub fn complaint(&self) -> Result<impl FnOnce(&Error) + use<>> {
        let stream = self.stream.try_clone().map_err(Error::internal)?;
        Ok(move |e: &Error| {
            let _ = stream.set_nonblocking(false);
            let _ = send(&stream, &Report::Failed(e.to_string()));
        })
    }

    fn say(&self, report: &Report) {
        // Whether the other is there is seen when it is heard.
        let _ = send(&self.stream, report);
    }

    /// The listening sockets, once.
    pub(in crate::server) fn sockets(&mut self) -> Option<(TcpListener, TcpListener)> {
        self.sockets.take()
    }

    /// The lock of the data folder, once.
    pub(in crate::server) fn lock(&mut self) -> Option<File> {
        self.lock.take()
    }

    /// The secret of the link that sets the site up.
    pub(in crate::server) fn setup(&self) -> Option<&str> {
        self.hello.setup.as_deref()
    }

    /// Whether the first process was started from a terminal.
    pub(in crate::server) fn has_terminal(&self) -> bool {
        self.hello.has_terminal
    }

    /// Where the program lies.
    pub(in crate::server) fn program(&self) -> &Path {
        &self.hello.program
    }

    /// The schema that the oldest of the processes that work with the database meanwhile was made for.
    pub(in crate::server) fn schema(&self) -> i64 {
        // Who does not say so is not older than the first program that could hand over.
        self.hello.schema.unwrap_or(FIRST_SCHEMA)
    }

    /// Says that this process is fit, and waits until it may take connections.
    ///
    /// # Errors
    /// [`Error::Internal`] if the old process has ended, or has changed its mind.
    pub(in crate::server) async fn ready(self) -> Result<Taking> {
        let lost = |e: io::Error| Error::Internal(format!("the running server is gone: {e}"));
        let (schema, before) = (self.schema(), self.before);
        let mut wire = Wire::new(self.stream).map_err(lost)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        wire.send(&Report::Ready { version }).await.map_err(lost)?;
        let mut taking = Taking {
            wire,
            before: Before {
                streams: before,
                schema,
            },
        };
        taking.heard(Word::Go).await?;
        Ok(taking)
    }
}

/// The way from the first connection to the end of the process before.
pub(in crate::server) struct Taking {
    wire: Wire,
    before: Before,
}

impl Taking {
    /// Says that this process takes connections, and waits until it leads.
    ///
    /// # Errors
    /// As [`Predecessor::ready`].
    pub(in crate::server) async fn serving(mut self) -> Result<Before> {
        let sent = self.wire.send(&Report::Serving).await;
        sent.map_err(Error::internal)?;
        self.heard(Word::Lead).await?;
        Ok(self.before)
    }

    async fn heard(&mut self, wanted: Word) -> Result<()> {
        match self.wire.receive::<Word>().await {
            Ok(Some(word)) if word == wanted => Ok(()),
            Ok(Some(word)) => Err(Error::Internal(format!("{word:?} was said out of turn"))),
            Ok(None) => Err(Error::Internal(
                "the running server has not handed over".into(),
            )),
            Err(e) => Err(Error::Internal(format!("the running server: {e}"))),
        }
    }
}

/// The processes before this one that have not ended.
#[derive(Default)]
pub(in crate::server) struct Before {
    streams: Vec<UnixStream>,
    /// What the oldest of them was made for.
    schema: i64,
}

impl Before {
    /// Returns when they have.
    pub(in crate::server) async fn ended(&self) {
        for stream in &self.streams {
            let Ok(mut wire) = stream.try_clone().and_then(Wire::new) else {
                continue;
            };
            // They have said all that they had to say.
            while let Ok(Some(())) = wire.receive::<()>().await {}
        }
    }

    /// What a process after this one waits for: those that have not ended yet.
    pub(in crate::server) fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        let has_ended = |stream: &UnixStream| {
            let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            recv(stream, &mut [0; 1], look).is_ok_and(|(_, bytes)| bytes == 0)
        };
        let all = self.streams.iter().filter(|stream| !has_ended(stream));
        all.map(|stream| stream.try_clone().map(OwnedFd::from))
            .collect()
    }

    /// The schema that the oldest of them was made for.
    pub(in crate::server) fn schema(&self) -> i64 {
        self.schema
    }
}

/// What this process begins with when it hands over. `oldest_before`: the schema of the oldest process that
/// has not ended before it.
pub(in crate::server) fn hello(
    setup: Option<String>,
    has_terminal: bool,
    program: PathBuf,
    oldest_before: Option<i64>,
) -> Hello {
    let own = schema_version();
    Hello {
        protocol: PROTOCOL,
        setup,
        has_terminal,
        program,
        schema: Some(oldest_before.map_or(own, |oldest| oldest.min(own))),
        sessions: unsaved::all(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Before, UnixStream};

    #[test]
    fn a_process_that_has_ended_is_waited_for_no_more() {
        let (ended, its_end) = UnixStream::pair().unwrap();
        let (alive, _its_end) = UnixStream::pair().unwrap();
        let before = Before {
            streams: vec![ended, alive],
            schema: 6,
        };
        assert_eq!(before.descriptors().unwrap().len(), 2);
        drop(its_end);
        assert_eq!(before.descriptors().unwrap().len(), 1);
    }
}
