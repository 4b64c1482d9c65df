//! Lines between the two processes, and descriptors with the first of them (unix(7), `SCM_RIGHTS`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// The most that are sent with a line: three, and a few processes that still finish something.
pub(super) const MOST_DESCRIPTORS: usize = 64;
/// No line is longer.
const MOST_BYTES: usize = 64 * 1024;

/// Sends a line with descriptors.
pub(super) fn send_with(
    stream: &UnixStream,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    if !with.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many older processes have not ended"));
    }
    let line = line_of(message)?;
    let sent = rustix::io::retry_on_intr(|| {
        sendmsg(
            stream,
            &[IoSlice::new(&line)],
            &mut with,
            SendFlags::NOSIGNAL,
        )
    })?;
    io::Write::write_all(&mut &*stream, &line[sent..])
}

/// Receives a line with its descriptors.
pub(super) fn receive_with<T: DeserializeOwned>(
    stream: impl AsFd,
) -> io::Result<(T, Vec<OwnedFd>)> {
    let (mut line, mut descriptors) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 4096];
        let received = recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut with,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        line.extend(&bytes[..received.bytes]);
        if received.bytes == 0 || line.len() > MOST_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((serde_json::from_slice(&line)?, descriptors))
}

/// Sends a line.
pub(super) fn send(stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    io::Write::write_all(&mut &*stream, &line_of(message)?)
}

fn line_of(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The same without waiting in a thread.
pub(super) struct Wire(BufReader<tokio::net::UnixStream>);

impl Wire {
    /// Takes a stream on.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = tokio::net::UnixStream::from_std(stream)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a line.
    pub(super) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.0.get_mut().write_all(&line_of(message)?).await
    }

    /// The next line; `None` when the other process has ended.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = String::new();
        let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
        match (&mut self.0).take(most).read_line(&mut line).await {
            Ok(0) => Ok(None),
            // Whoever dies with unread lines on the way.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Ok(_) => Ok(Some(serde_json::from_str(&line)?)),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::{fd::AsFd as _, unix::net::UnixStream},
    };

    use super::{receive_with, send_with};

    #[test]
    fn descriptors_arrive_with_their_line_and_lead_where_they_led() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let long = "x".repeat(9000);
        send_with(&ours, &long, &[writer.as_fd(), ours.as_fd()]).unwrap();
        drop(writer);
        let (line, descriptors): (String, _) = receive_with(&theirs).unwrap();
        assert_eq!((line, descriptors.len()), (long, 2));
        let mut writer = std::fs::File::from(descriptors.into_iter().next().unwrap());
        writer.write_all(b"hello").unwrap();
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello");
    }

    #[test]
    fn who_hangs_up_in_the_middle_of_a_line_has_said_nothing() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"\"half").unwrap();
        drop(ours);
        receive_with::<String>(&theirs).unwrap_err();
    }
}
