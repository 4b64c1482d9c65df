//! What can be asked of a host about its files.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use russh_sftp::{
    client::error::Error,
    protocol::{FileAttributes, OpenFlags, Packet, Status, StatusCode},
};

use super::{
    Failure,
    session::{Client, Session},
};

/// Bytes in one request: what every server takes (section 3 of the draft).
const CHUNK_BYTES: usize = 32 * 1024;
/// Requests for one file that are on their way at the same time.
const MOST_ON_THE_WAY: usize = 16;
/// Names in one folder; a repository has far fewer.
const MOST_NAMES: usize = 4_000_000;
/// What the kind of a file is in its mode, and a folder's and a file's.
const KIND_MASK: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;

/// What a folder has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a file.
    pub is_file: bool,
    /// Its size.
    pub bytes: u64,
    /// Seconds since 1970 of when it was written, by the clock of the host.
    pub written_at_s: Option<u32>,
}

/// What an error means; the connection is not good for anything more after some.
fn failure(error: Error) -> Failure {
    match error {
        Error::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => Failure::NotThere,
            StatusCode::PermissionDenied => Failure::NoRights,
            StatusCode::NoConnection | StatusCode::ConnectionLost => {
                Failure::Unreachable("the connection was lost".into())
            }
            code => {
                // Servers of few words say the code once more.
                let (code, said) = (code.to_string(), status.error_message);
                let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
                let is_more = !said.is_empty() && !said.eq_ignore_ascii_case(&code);
                Failure::Other(if is_more { said } else { code })
            }
        },
        Error::Timeout => Failure::Unreachable("it does not answer".into()),
        other => Failure::Unreachable(format!("the connection was lost ({other})")),
    }
}

fn attributes(mode: u32) -> FileAttributes {
    FileAttributes {
        permissions: Some(mode),
        ..FileAttributes::empty()
    }
}

impl Client {
    /// Does something on a connection, and forgets that if it was lost by it.
    async fn with<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        what: impl FnOnce(Arc<Session>) -> F,
    ) -> Result<T, Failure> {
        let session = self.session().await?;
        let done = what(Arc::clone(&session)).await;
        if matches!(done, Err(Failure::Unreachable(_))) {
            self.lost(&session).await;
        }
        done
    }

    /// Writes a file as it lies there. Who comes in between reads a part of it.
    ///
    /// # Errors
    /// [`Failure::NotThere`] if its folder is not, and others.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.with(|session| async move { session.write(path, OpenFlags::TRUNCATE, bytes).await })
            .await
    }

    /// Writes a file under a name for the meantime, and gives it its own when all of it is on the disk there.
    ///
    /// # Errors
    /// As [`Client::write`]; [`Failure::NotThere`] also if the folder of the other name is not.
    pub async fn write_whole(
        &self,
        meantime: &str,
        path: &str,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        self.with(|session| async move {
            let written = async {
                session.write(meantime, OpenFlags::EXCLUDE, bytes).await?;
                session.rename(meantime, path).await
            };
            let written = written.await;
            if written
                .as_ref()
                .is_err_and(|e| !matches!(e, Failure::Unreachable(_)))
            {
                let _ = session.files.remove(meantime).await;
            }
            written
        })
        .await
    }

    /// A file's content.
    ///
    /// # Errors
    /// [`Failure::NotThere`], [`Failure::TooLarge`] if it has more than `most` bytes, and others.
    pub async fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, Failure> {
        self.with(|session| async move { session.read(path, most).await })
            .await
    }

    /// What a folder has.
    ///
    /// # Errors
    /// [`Failure::NotThere`] if there is none, and others.
    pub async fn list(&self, path: &str) -> Result<Vec<Entry>, Failure> {
        self.with(|session| async move { session.list(path).await })
            .await
    }

    /// Removes a file, if it is there.
    pub async fn remove(&self, path: &str) -> Result<(), Failure> {
        self.with(|session| async move {
            match session.files.remove(path).await.map_err(failure) {
                Ok(_) | Err(Failure::NotThere) => Ok(()),
                Err(e) => Err(e),
            }
        })
        .await
    }

    /// Makes a folder, for us alone.
    ///
    /// # Errors
    /// [`Failure::NotThere`] if the one above is not, [`Failure::Other`] if it is there already, and others.
    pub async fn make_folder(&self, path: &str) -> Result<(), Failure> {
        self.with(|session| async move {
            let made = session.files.mkdir(path, attributes(0o700)).await;
            made.map(drop).map_err(failure)
        })
        .await
    }

    /// Bytes that are free on the disk of a folder, where the host says that.
    pub async fn free_bytes(&self, path: &str) -> Option<u64> {
        let session = self.session().await.ok()?;
        if !session.offers.contains_key("statvfs@openssh.com") {
            return None;
        }
        let found = session.files.statvfs(path).await.ok()?;
        Some(found.blocks_avail.saturating_mul(found.fragment_size))
    }
}

impl Session {
    async fn write(&self, path: &str, how: OpenFlags, bytes: &[u8]) -> Result<(), Failure> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | how;
        let opened = self.files.open(path, flags, attributes(0o600)).await;
        let handle = &opened.map_err(failure)?.handle;
        let written = async {
            let chunks = (0..bytes.len()).step_by(CHUNK_BYTES);
            let requests = chunks.map(|at| self.chunk(handle, at, bytes));
            stream::iter(requests)
                .buffered(MOST_ON_THE_WAY)
                .try_for_each(|()| async { Ok(()) })
                .await?;
            if self.offers.contains_key("fsync@openssh.com") {
                self.files.fsync(handle).await?;
            }
            Ok(())
        };
        let written = written.await.map_err(failure);
        // Some servers say only now that a disk is full.
        let closed = self.files.close(handle).await.map_err(failure);
        written.and(closed.map(drop))
    }

    /// Writes what a file has from somewhere on, as much as one request carries.
    async fn chunk(&self, handle: &str, at: usize, bytes: &[u8]) -> Result<(), Error> {
        let end = bytes.len().min(at + CHUNK_BYTES);
        let chunk = bytes[at..end].to_vec();
        self.files.write(handle, at as u64, chunk).await.map(drop)
    }

    /// Gives a file another name, in whose place nothing is left.
    async fn rename(&self, from: &str, to: &str) -> Result<(), Failure> {
        const AT_ONCE: &str = "posix-rename@openssh.com";
        if self.offers.contains_key(AT_ONCE) {
            let names = [from, to].map(|name| {
                let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
                [&length.to_be_bytes()[..], name.as_bytes()].concat()
            });
            return match self.files.extended(AT_ONCE, names.concat()).await {
                Ok(Packet::Status(Status {
                    status_code: StatusCode::Ok,
                    ..
                })) => Ok(()),
                Ok(Packet::Status(status)) => Err(failure(Error::Status(status))),
                Ok(_) => Err(Failure::Unreachable("it answers something else".into())),
                Err(e) => Err(failure(e)),
            };
        }
        match self.files.rename(from, to).await.map_err(failure) {
            // Version 3 replaces nothing, and for a moment there is neither. What is replaced here is written once more: a
            // damaged object, the first file, which is made anew from the backups, or a file whose answer was lost.
            Err(Failure::Other(_)) => {
                let removed = self.files.remove(to).await.map_err(failure);
                removed?;
                self.files.rename(from, to).await.map(drop).map_err(failure)
            }
            done => done.map(drop),
        }
    }

    async fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, Failure> {
        let opened = self
            .files
            .open(path, OpenFlags::READ, FileAttributes::empty());
        let handle = opened.await.map_err(failure)?.handle;
        let content = self.content(&handle, most).await;
        let _ = self.files.close(handle).await;
        content
    }

    async fn content(&self, handle: &str, most: usize) -> Result<Vec<u8>, Failure> {
        let found = self.files.fstat(handle).await.map_err(failure)?;
        let bytes = usize::try_from(found.attrs.len()).unwrap_or(usize::MAX);
        if bytes > most {
            return Err(Failure::TooLarge);
        }
        let parts = (0..bytes).step_by(CHUNK_BYTES).map(|at| {
            let wanted = CHUNK_BYTES.min(bytes - at);
            self.part(handle, at, wanted)
        });
        let parts: Vec<Vec<u8>> = stream::iter(parts)
            .buffered(MOST_ON_THE_WAY)
            .try_collect()
            .await?;
        Ok(parts.concat())
    }

    /// A part of a file, which a host may give in smaller ones; less than wanted at its end.
    async fn part(&self, handle: &str, at: usize, wanted: usize) -> Result<Vec<u8>, Failure> {
        let mut part = Vec::with_capacity(wanted);
        while part.len() < wanted {
            let rest = u32::try_from(wanted - part.len()).unwrap_or(u32::MAX);
            let read = self.files.read(handle, (at + part.len()) as u64, rest);
            match read.await {
                Ok(data) if data.data.is_empty() => break,
                Ok(data) => part.extend_from_slice(&data.data),
                Err(Error::Status(status)) if status.status_code == StatusCode::Eof => break,
                Err(e) => return Err(failure(e)),
            }
        }
        part.truncate(wanted);
        Ok(part)
    }

    async fn list(&self, path: &str) -> Result<Vec<Entry>, Failure> {
        let opened = self.files.opendir(path).await;
        let handle = opened.map_err(failure)?.handle;
        let mut entries = Vec::new();
        let listed = loop {
            match self.files.readdir(handle.as_str()).await {
                Ok(names) => entries.extend(names.files.into_iter().map(|file| {
                    let kind = file.attrs.permissions.map(|mode| mode & KIND_MASK);
                    Entry {
                        is_folder: kind == Some(FOLDER),
                        // A server that says nothing of it has told of what it has.
                        is_file: kind.is_none_or(|kind| kind == FILE),
                        bytes: file.attrs.len(),
                        written_at_s: file.attrs.mtime,
                        name: file.filename,
                    }
                })),
                Err(Error::Status(status)) if status.status_code == StatusCode::Eof => {
                    break Ok(());
                }
                Err(e) => break Err(failure(e)),
            }
            if entries.len() > MOST_NAMES {
                break Err(Failure::TooLarge);
            }
        };
        let _ = self.files.close(handle).await;
        listed?;
        entries.retain(|entry| entry.name != "." && entry.name != "..");
        Ok(entries)
    }
}
