//! Asks another machine for files.

use std::{
    sync::{Arc, mpsc as blocking},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    time::timeout,
};

use crate::{
    backup::sftp::{Entry, Refused, Remote},
    base::{Error, Result},
    net::ssh::{Client, Failure, Login},
};

/// Time for saying goodbye.
const TO_LEAVE: Duration = Duration::from_secs(1);

/// Who makes backups waits; what goes over the network does not. This has a thread for the latter, which ends with it.
pub(super) struct Messenger {
    client: Arc<Client>,
    runtime: Handle,
    /// The thread ends when this is dropped.
    _alive: oneshot::Sender<()>,
}

impl Messenger {
    pub(super) fn new(login: Login) -> Result<Self> {
        let client = Arc::new(Client::new(login));
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::internal)?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        let of_thread = Arc::clone(&client);
        let begun = thread::Builder::new()
            .name("machine".into())
            .spawn(move || {
                runtime.block_on(async {
                    let _ = ended.await;
                    let _ = timeout(TO_LEAVE, of_thread.leave()).await;
                });
            });
        begun.map_err(|e| Error::io("starting", "a thread", e))?;
        Ok(Self {
            client,
            runtime: handle,
            _alive: alive,
        })
    }

    /// Goes there, and is let in.
    pub(super) fn greet(&self) -> Result<(), Refused> {
        let client = Arc::clone(&self.client);
        self.wait(async move { client.greet().await })
    }

    /// Lets the machine be known by this key.
    pub(super) fn trust(&self, host_key: &str) {
        self.client.trust(host_key);
    }

    /// Waits for something that the thread does.
    fn wait<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Refused> {
        let (waits, answer) = blocking::channel();
        self.runtime.spawn(async move {
            // Who does not wait any more does not want it.
            let _ = waits.send(what.await);
        });
        match answer.recv() {
            Ok(answer) => answer.map_err(refused),
            Err(_) => Err(Refused::Unreachable(
                "the thread for the network has ended".into(),
            )),
        }
    }
}

fn refused(failure: Failure) -> Refused {
    match failure {
        Failure::Unreachable(why) => Refused::Unreachable(why),
        Failure::UnknownHost(key) => Refused::UnknownHost(key),
        Failure::OtherHost(key) => Refused::OtherHost(key),
        Failure::NotLetIn => Refused::NotLetIn,
        Failure::NoFiles(why) => Refused::NoFiles(why),
        Failure::NotThere => Refused::NotThere,
        Failure::NoRights => Refused::NoRights,
        Failure::TooLarge => Refused::TooLarge,
        Failure::Other(why) => Refused::Other(why),
    }
}

impl Remote for Messenger {
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Refused> {
        let (client, path) = (Arc::clone(&self.client), path.to_owned());
        let bytes = bytes.to_vec();
        self.wait(async move { client.write(&path, &bytes).await })
    }

    fn write_whole(&self, meantime: &str, path: &str, bytes: &[u8]) -> Result<(), Refused> {
        let client = Arc::clone(&self.client);
        let (meantime, path, bytes) = (meantime.to_owned(), path.to_owned(), bytes.to_vec());
        self.wait(async move { client.write_whole(&meantime, &path, &bytes).await })
    }

    fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, Refused> {
        let (client, path) = (Arc::clone(&self.client), path.to_owned());
        self.wait(async move { client.read(&path, most).await })
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, Refused> {
        let (client, path) = (Arc::clone(&self.client), path.to_owned());
        let entries = self.wait(async move { client.list(&path).await })?;
        let entries = entries.into_iter().map(|entry| Entry {
            name: entry.name,
            is_folder: entry.is_folder,
            is_file: entry.is_file,
            bytes: entry.bytes,
            written_at_s: entry.written_at_s,
        });
        Ok(entries.collect())
    }

    fn remove(&self, path: &str) -> Result<(), Refused> {
        let (client, path) = (Arc::clone(&self.client), path.to_owned());
        self.wait(async move { client.remove(&path).await })
    }

    fn make_folder(&self, path: &str) -> Result<(), Refused> {
        let (client, path) = (Arc::clone(&self.client), path.to_owned());
        self.wait(async move { client.make_folder(&path).await })
    }

    fn free_bytes(&self, path: &str) -> Option<u64> {
        let (client, path) = (Arc::clone(&self.client), path.to_owned());
        let free = self.wait(async move { Ok(client.free_bytes(&path).await) });
        free.ok().flatten()
    }
}
