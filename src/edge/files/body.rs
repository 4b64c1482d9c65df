//! The body of an answer that comes from a file: read piece by piece, as fast as the visitor takes it.

use std::{
    collections::VecDeque,
    fs::File,
    future::Future,
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::FileExt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, MessageBody},
    web::Bytes,
};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::{sync::SemaphorePermit, task::JoinHandle};

/// What is read at once: memory for each visitor who takes a large file.
const PIECE_BYTES: u64 = 64 * 1024;

/// A piece of the body.
#[derive(Debug)]
pub(super) enum Segment {
    /// What lies between parts of a file.
    Text(Bytes),
    /// Bytes of the file.
    OfFile(Range<u64>),
}

/// The bytes of a file.
#[derive(Clone)]
pub(super) enum Content {
    /// Open for reading.
    Open(Arc<File>),
    /// All of them.
    Memory(Bytes),
}

/// A page that was made for one visitor, with its turn, which another one gets when it is sent.
pub(super) struct Listed {
    page: Option<Bytes>,
    _turn: SemaphorePermit<'static>,
}

impl Listed {
    pub(super) fn new(page: String, turn: SemaphorePermit<'static>) -> Self {
        Self {
            page: Some(page.into()),
            _turn: turn,
        }
    }
}

impl MessageBody for Listed {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.page.as_ref().map_or(0, |page| page.len() as u64))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(self.page.take().map(Ok))
    }
}

/// Segments in their order. A file that is cut short while it is sent ends the connection, so that the
/// visitor sees that something is missing.
pub(super) struct FileBody {
    content: Content,
    segments: VecDeque<Segment>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    pub(super) fn new(content: Content, segments: impl IntoIterator<Item = Segment>) -> Self {
        Self {
            content,
            segments: segments.into_iter().collect(),
            reading: None,
        }
    }
}

impl MessageBody for FileBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        let bytes = self.segments.iter().map(|segment| match segment {
            Segment::Text(text) => text.len() as u64,
            Segment::OfFile(range) => range.end - range.start,
        });
        BodySize::Sized(bytes.sum())
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = match Pin::new(reading).poll(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(read) => read.unwrap_or_else(|e| Err(io::Error::other(e))),
                };
                self.reading = None;
                return Poll::Ready(Some(read));
            }
            let range = match self.segments.pop_front() {
                None => return Poll::Ready(None),
                Some(Segment::Text(text)) => return Poll::Ready(Some(Ok(text))),
                Some(Segment::OfFile(range)) if range.is_empty() => continue,
                Some(Segment::OfFile(range)) => range,
            };
            let file = match &self.content {
                Content::Open(file) => Arc::clone(file),
                Content::Memory(bytes) => {
                    let part = part(bytes, &range);
                    let cut_short = || io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(part.ok_or_else(cut_short)));
                }
            };
            let piece = range.start..range.end.min(range.start + PIECE_BYTES);
            if let Some(bytes) = read_from_memory(&file, &piece) {
                let read = range.start + bytes.len() as u64;
                self.segments.push_front(Segment::OfFile(read..range.end));
                return Poll::Ready(Some(Ok(bytes)));
            }
            self.segments
                .push_front(Segment::OfFile(piece.end..range.end));
            self.reading = Some(tokio::task::spawn_blocking(move || read(&file, &piece)));
        }
    }
}

fn part(bytes: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let (start, end) = (
        usize::try_from(range.start).ok()?,
        usize::try_from(range.end).ok()?,
    );
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

fn length(piece: &Range<u64>) -> usize {
    usize::try_from(piece.end - piece.start).unwrap_or_default()
}

/// What the kernel has in memory of a piece; `None` if it must ask the disk, which would make others wait.
pub(super) fn read_from_memory(file: &File, piece: &Range<u64>) -> Option<Bytes> {
    let mut buffer = vec![0; length(piece)];
    let slices = &mut [IoSliceMut::new(&mut buffer)];
    match preadv2(file, slices, piece.start, ReadWriteFlags::NOWAIT) {
        Ok(bytes @ 1..) => {
            buffer.truncate(bytes);
            Some(buffer.into())
        }
        _ => None,
    }
}

/// The whole piece, however long it takes.
fn read(file: &File, piece: &Range<u64>) -> io::Result<Bytes> {
    let mut buffer = vec![0; length(piece)];
    file.read_exact_at(&mut buffer, piece.start)?;
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use std::{fs, future::poll_fn, pin::pin};

    use actix_web::{
        body::{BodySize, MessageBody},
        web::Bytes,
    };

    use super::{Content, FileBody, PIECE_BYTES, Segment};

    async fn all(body: FileBody) -> std::io::Result<Vec<u8>> {
        let mut body = pin!(body);
        let mut bytes = Vec::new();
        while let Some(piece) = poll_fn(|context| body.as_mut().poll_next(context)).await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn segments_come_in_their_order_and_are_as_long_as_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..3 * PIECE_BYTES + 7).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        let end = content.len() as u64;
        let body = FileBody::new(
            Content::Open(fs::File::open(&path).unwrap().into()),
            [
                Segment::OfFile(0..end),
                Segment::Text(Bytes::from_static(b"between")),
                Segment::OfFile(5..9),
                Segment::OfFile(3..3),
            ],
        );
        let said = body.size();
        let bytes = all(body).await.unwrap();
        assert_eq!(said, BodySize::Sized(bytes.len() as u64));
        assert_eq!(bytes, [&content[..], b"between", &content[5..9]].concat());
    }

    #[tokio::test]
    async fn a_file_that_is_cut_short_is_an_error_and_no_shorter_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "short").unwrap();
        let body = FileBody::new(
            Content::Open(fs::File::open(&path).unwrap().into()),
            [Segment::OfFile(0..10)],
        );
        assert!(all(body).await.is_err());
        let kept = Content::Memory(Bytes::from_static(b"short"));
        let body = FileBody::new(kept.clone(), [Segment::OfFile(0..10)]);
        assert!(all(body).await.is_err());
        let body = FileBody::new(kept, [Segment::OfFile(1..3), Segment::OfFile(4..5)]);
        assert_eq!(all(body).await.unwrap(), b"hot");
    }
}
