//! The one thread that compresses pages.
//!
//! A page is compressed once for each version of the site, so one thread is enough; and brotli takes more
//! than a megabyte for its tables, which an allocator keeps for every thread that ever had them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use actix_web::web::Bytes;
use tokio::sync::oneshot;

use super::{compression::Encoding, page_cache::Page};
use crate::base::{Error, Result};

/// Pages that may wait: more than half a second's work for a small board.
const MOST_WAITING: usize = 64;

/// A page to be compressed, and who waits for it.
type Task = (Arc<Page>, Encoding, oneshot::Sender<(Encoding, Bytes)>);

/// Sends pages to the thread, which ends when this is dropped.
pub(super) struct Compressor(mpsc::SyncSender<Task>);

impl Compressor {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives us no thread.
    pub(super) fn start() -> Result<Self> {
        let (this, tasks) = Self::with_room_for(MOST_WAITING);
        thread::Builder::new()
            .name("compress".into())
            .spawn(move || {
                for (page, encoding, waiting) in tasks {
                    // A page that cannot be compressed is sent as it is, and the next one is compressed.
                    let made = catch_unwind(AssertUnwindSafe(|| page.body(encoding)));
                    // Who waited may be gone.
                    let _ = made.map(|body| waiting.send(body));
                }
            })
            .map_err(|e| Error::Internal(format!("starting a thread: {e}")))?;
        Ok(this)
    }

    fn with_room_for(tasks: usize) -> (Self, mpsc::Receiver<Task>) {
        let (sender, tasks) = mpsc::sync_channel(tasks);
        (Self(sender), tasks)
    }

    /// The body of a page in an encoding, compressed if it was not before.
    pub(super) async fn body(&self, page: &Arc<Page>, encoding: Encoding) -> (Encoding, Bytes) {
        if let Some(made) = page.made_body(encoding) {
            return made;
        }
        let (waiting, made) = oneshot::channel();
        // Where too many wait, a page is sent as it is.
        let _ = self.0.try_send((Arc::clone(page), encoding, waiting));
        made.await.unwrap_or_else(|_| page.plain_body())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_page_for_which_there_is_no_room_is_sent_as_it_is() {
        // Nobody takes the tasks.
        let (compressor, _tasks) = Compressor::with_room_for(2);
        let kind = (
            actix_web::http::header::CONTENT_TYPE,
            actix_web::http::header::HeaderValue::from_static("text/html"),
        );
        let body = Bytes::from("all work and no play ".repeat(500));
        let page = Arc::new(Page::new(1, vec![kind], body.clone()));
        let mut waiting = [0, 1].map(|_| Box::pin(compressor.body(&page, Encoding::Gzip)));
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none(), "it waits");
        }
        let third = compressor.body(&page, Encoding::Gzip).now_or_never();
        assert_eq!(third, Some((Encoding::Identity, body)));
    }
}
