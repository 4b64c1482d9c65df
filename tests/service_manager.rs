//! The socket on which a service manager hears from the program (`sd_notify(3)`).

use std::{
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crate::site::command;

/// How long a word is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service manager, as far as the program that it starts can tell.
pub(crate) struct ServiceManager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl ServiceManager {
    /// One that listens at a path where nothing is.
    pub(crate) fn at(path: PathBuf) -> Self {
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { path, socket }
    }

    /// Starts a server on a data folder; with a watchdog, it is to say so often that it is alive.
    pub(crate) fn start(&self, data: &Path, watchdog: Option<Duration>) -> Child {
        let mut server = command(data);
        server
            .args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .env("NOTIFY_SOCKET", &self.path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(watchdog) = watchdog {
            server.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
        server.spawn().unwrap()
    }

    /// The next that is said.
    pub(crate) fn hear(&self) -> String {
        let mut message = [0; 512];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// All that is said until this word is in it; the last has it.
    pub(crate) fn hear_until(&self, word: &str) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear());
            if heard.last().is_some_and(|said| said.contains(word)) {
                return heard;
            }
            assert!(Instant::now() < end, "{word}: {heard:?}");
        }
    }
}
