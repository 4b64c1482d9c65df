//! The socket in the data folder by which the owner's commands ask the running server for something.
//!
//! Who may write to it may ask: its mode is 0600, and it belongs to whom the folder belongs to. A request is a line of
//! JSON; the answers are lines of JSON, of which the last says how it went.

use std::{
    cell::Cell,
    fs::{self, File},
    io::{self, BufRead, BufReader as LineReader, ErrorKind, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{MetadataExt, lchown},
            net,
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{Mode, fchmod};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{
        mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel},
        watch,
    },
    time::{sleep, timeout},
};

use crate::{
    base::{Error, Result, files},
    config::Config,
    db::{DataFolder, ServerLock},
};

/// The socket's name in the data folder.
const NAME: &str = "server.sock";
/// No request is longer.
const MOST_BYTES: u64 = 64 * 1024;
/// Time for a request to be said.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time for a server to say that it has heard.
const HEARD_WITHIN: Duration = Duration::from_secs(20);
/// Time beyond that of its steps for a server to say more: it may have to end what somebody else has asked for.
const MORE_WITHIN: Duration = Duration::from_mins(10);
/// How often it is looked whether a disk that was read-only takes the socket.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Requests that wait for their turn.
const MOST_WAITING: usize = 8;

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To go on as the program that lies on the disk now, if that is another one than the one that runs; else to read
    /// the settings again.
    Reload,
    /// To let another program take over.
    Upgrade {
        /// Where it lies; not said: where the running one lay when it was started.
        program: Option<PathBuf>,
        /// Where it will lie when it has taken over, if that is elsewhere: who asks puts it there, and has to be there
        /// until then.
        #[serde(default)]
        place: Option<PathBuf>,
        /// Whether who asks is told when the other one is ready, and says then that nothing ends them any more: before
        /// that, it does not lead.
        #[serde(default)]
        confirms: bool,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    /// At once: somebody is there.
    Heard,
    Progress(String),
    /// All is done that can be taken back. Who asked answers with a line, or is not there any more.
    Ready,
    Done(String),
    Failed(String),
}

/// A request that waits for its answer.
pub(super) struct Ask {
    pub(super) request: Request,
    pub(super) answers: Answers,
}

/// Where answers go; nobody may be there.
#[derive(Clone)]
pub(super) struct Answers(Option<Asker>);

/// Who has asked.
#[derive(Clone)]
struct Asker {
    answers: UnboundedSender<Answer>,
    /// Whether they have said more since.
    has_confirmed: watch::Receiver<bool>,
}

impl Answers {
    /// For what nobody waits for.
    pub(super) fn to_nobody() -> Self {
        Self(None)
    }

    /// Tells how it gets on.
    pub(super) fn progress(&self, text: String) {
        self.send(Answer::Progress(text));
    }

    /// Tells how it went.
    pub(super) fn outcome(&self, outcome: Result<String>) {
        self.send(match outcome {
            Ok(text) => Answer::Done(text),
            Err(e) => Answer::Failed(e.to_string()),
        });
    }

    /// Whether who has asked is there no more.
    pub(super) fn are_unheard(&self) -> bool {
        let asker = self.0.as_ref();
        asker.is_some_and(|asker| asker.answers.is_closed())
    }

    /// Tells that all is done that can be taken back, and waits for the word that nothing ends who has asked any more;
    /// says whether it came.
    pub(super) async fn are_confirmed(&self) -> bool {
        self.send(Answer::Ready);
        let Some(asker) = &self.0 else {
            return true;
        };
        let mut has_confirmed = asker.has_confirmed.clone();
        let word = has_confirmed.wait_for(|has| *has);
        timeout(PATIENCE, word).await.is_ok_and(|word| word.is_ok())
    }

    fn send(&self, answer: Answer) {
        if let Some(asker) = &self.0 {
            // Who has asked may be gone.
            let _ = asker.answers.send(answer);
        }
    }
}

/// The socket, open.
pub(super) struct Control {
    root: PathBuf,
    /// `None` on a disk that is read-only: it is opened when that takes it.
    listener: Option<UnixListener>,
    asks: Sender<Ask>,
}

impl Control {
    /// Opens the socket in the folder in the place of one that is there, and gives what is asked.
    ///
    /// # Errors
    /// [`Error::CannotSave`] if it cannot be made.
    pub(super) fn open(root: &Path) -> Result<(Self, Receiver<Ask>)> {
        let listener = match listen(root).and_then(UnixListener::from_std) {
            Ok(listener) => Some(listener),
            Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem => None,
            Err(e) => {
                let path = root.join(NAME);
                let why = format!("{} cannot be made: {e}", path.display());
                return Err(Error::CannotSave(why));
            }
        };
        let (asks, asked) = channel(MOST_WAITING);
        let root = root.to_path_buf();
        let control = Self {
            root,
            listener,
            asks,
        };
        Ok((control, asked))
    }

    /// Takes what is asked, for as long as it is not dropped.
    pub(super) async fn serve(self) {
        let listener = match self.listener {
            Some(listener) => listener,
            None => when_possible(&self.root).await,
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let asks = self.asks.clone();
                    actix_web::rt::spawn(async move {
                        if let Err(e) = answer(stream, asks).await {
                            log::debug!("who asked for something is gone: {e}");
                        }
                    });
                }
                Err(e) => {
                    log::warn!("{NAME}: {e}");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Takes the socket away, at the end of the last process: without the lock, it could be that of the next one.
    pub(super) fn remove(root: &Path, _lock: &ServerLock) {
        let _ = fs::remove_file(root.join(NAME));
    }
}

/// Opens the socket as soon as the disk takes it.
async fn when_possible(root: &Path) -> UnixListener {
    loop {
        sleep(LOOK_EVERY).await;
        if let Ok(listener) = listen(root).and_then(UnixListener::from_std) {
            return listener;
        }
    }
}

/// The path by which the system finds the socket: those of sockets may have 108 bytes (unix(7)), and a folder may be
/// deep.
fn short(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))
}

fn listen(root: &Path) -> io::Result<net::UnixListener> {
    let folder = File::open(root)?;
    let path = short(&folder);
    files::remove_if_there(&path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file that is made has the mode of the socket (Linux), so there is no moment in which others may write to it.
    fchmod(&socket, Mode::from_raw_mode(0o600))?;
    socket.bind(&SockAddr::unix(&path)?)?;
    let owner = folder.metadata()?;
    if owner.uid() != rustix::process::geteuid().as_raw() {
        // Root serves a folder of somebody else.
        let _ = lchown(&path, Some(owner.uid()), Some(owner.gid()));
    }
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    Ok(OwnedFd::from(socket).into())
}

async fn answer(stream: UnixStream, asks: Sender<Ask>) -> io::Result<()> {
    let who = stream.peer_cred()?.uid();
    let may_name_programs = who == 0 || who == rustix::process::geteuid().as_raw();
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(MOST_BYTES));
    timeout(PATIENCE, read.read_line(&mut line)).await??;
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(e) => {
            let text = format!("this version of Webstead does not know what was asked for: {e}");
            return write.write_all(&line_of(&Answer::Failed(text))?).await;
        }
    };
    // Where root serves somebody's folder, that somebody may ask for the program that is there, but not for any other.
    let names_one = matches!(
        &request,
        Request::Upgrade { program, place, .. } if program.is_some() || place.is_some()
    );
    if names_one && !may_name_programs {
        let text =
            "the server runs as another user, and takes the place of its program from nobody else";
        return write
            .write_all(&line_of(&Answer::Failed(text.to_owned()))?)
            .await;
    }
    write.write_all(&line_of(&Answer::Heard)?).await?;
    let (sender, mut answers): (_, UnboundedReceiver<Answer>) = unbounded_channel();
    let (confirmed, has_confirmed) = watch::channel(false);
    let answers_to = Answers(Some(Asker {
        answers: sender,
        has_confirmed,
    }));
    let ask = Ask {
        request,
        answers: answers_to,
    };
    if asks.send(ask).await.is_err() {
        return Err(ErrorKind::BrokenPipe.into());
    }
    loop {
        let mut more = [0; 64];
        tokio::select! {
            answer = answers.recv() => match answer {
                Some(answer) => write.write_all(&line_of(&answer)?).await?,
                None => return Ok(()),
            },
            // There is nothing more to say but that one word, and goodbye.
            read = read.read(&mut more) => match read? {
                0 => return Ok(()),
                _ => drop(confirmed.send(true)),
            },
        }
    }
}

fn line_of(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Whether a server runs on a folder that can be asked. An older one cannot.
///
/// # Errors
/// [`Error::Forbidden`] to who may not ask, [`Error::Invalid`] where the disk is read-only.
pub fn can_be_asked(folder: &DataFolder) -> Result<bool> {
    if folder.running_server()?.is_none() {
        return Ok(false);
    }
    let root = File::open(folder.root()).map_err(|e| Error::io("opening", folder.root(), e))?;
    match net::UnixStream::connect(short(&root)) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Err(not_yours()),
        Err(_) if folder.is_on_read_only_disk() => Err(is_read_only()),
        Err(_) => Ok(false),
    }
}

fn is_read_only() -> Error {
    Error::Invalid(
        "the disk of the data folder is read-only, so the running server cannot be asked; have the disk take writes \
         again, or restart the server"
            .into(),
    )
}

fn not_yours() -> Error {
    Error::Forbidden(
        "only the owner of the data folder may ask the server for this; try again with sudo in front".into(),
    )
}

/// Asks the server that runs on a folder, and waits until it is done; `tell` hears how it gets on.
///
/// # Errors
/// [`Error::Invalid`] if no server runs there or an older one, else what the server says.
pub fn ask(folder: &DataFolder, request: &Request, tell: impl FnMut(&str)) -> Result<String> {
    ask_and_confirm(folder, request, tell, || Ok(()))
}

/// [`ask`], where who asks has to be there at the end: `confirm` sees to it when all is done that can be taken back.
///
/// # Errors
/// As [`ask`], and what `confirm` says; then everything is taken back.
pub fn ask_and_confirm(
    folder: &DataFolder,
    request: &Request,
    mut tell: impl FnMut(&str),
    confirm: impl Fn() -> Result<()>,
) -> Result<String> {
    if folder.running_server()?.is_none() {
        return Err(Error::Invalid(format!(
            "the site in {} does not run",
            folder.root().display()
        )));
    }
    let root = File::open(folder.root()).map_err(|e| Error::io("opening", folder.root(), e))?;
    let stream = net::UnixStream::connect(short(&root)).map_err(|e| match e.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused if folder.is_on_read_only_disk() => {
            is_read_only()
        }
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Error::Invalid(
            "the running server is still starting, or is of a version that cannot be asked; restart it".into(),
        ),
        ErrorKind::PermissionDenied => not_yours(),
        _ => Error::io("asking the server at", folder.root().join(NAME), e),
    })?;
    let config = Config::load(None, folder.root()).unwrap_or_default();
    let more_within = MORE_WITHIN + config.upgrade.ready();
    let limit = Cell::new(HEARD_WITHIN);
    let lost = |e: io::Error| match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Internal(format!(
            "the server is there and does not answer, for {} seconds now: it hangs, or has far too much to do. Its log \
             may say why; restart it",
            limit.get().as_secs()
        )),
        _ => Error::Internal(format!("the server did not answer: {e}")),
    };
    let wait = || stream.set_read_timeout(Some(limit.get()));
    wait().map_err(lost)?;
    let line = line_of(request).map_err(lost)?;
    (&stream).write_all(&line).map_err(lost)?;
    for line in LineReader::new(&stream).lines() {
        let answer = serde_json::from_str(&line.map_err(lost)?);
        // It has its own limits for what it does, and each word begins them anew.
        limit.set(more_within);
        wait().map_err(lost)?;
        match answer.map_err(Error::internal)? {
            Answer::Heard => {}
            Answer::Progress(text) => tell(&text),
            Answer::Ready => {
                confirm()?;
                (&stream).write_all(b"\n").map_err(lost)?;
            }
            Answer::Done(text) => return Ok(text),
            Answer::Failed(text) => return Err(Error::Invalid(text)),
        }
    }
    Err(Error::Internal(
        "the server ended before it was done; its log says why".into(),
    ))
}
