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
        let (sender, tasks) = mpsc::sync_channel::<Task>(MOST_WAITING);
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
        Ok(Self(sender))
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
