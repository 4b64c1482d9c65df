//! The page cache: public pages, rendered once and kept in a bounded amount of memory.
//!
//! A page is valid for the version of the site at which it was rendered and for no other; so nobody
//! sees a stale page, and no code has to remember to invalidate. What may be kept says so itself with
//! `Cache-Control: public`, as to any shared cache (RFC 9111 section 5.2.2.9).

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use actix_web::{
    http::header::{HeaderName, HeaderValue},
    web::Bytes,
};
use data_encoding::HEXLOWER;
use quick_cache::{Equivalent, OptionsBuilder, Weighter, sync::Cache};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::compression::{self, Encoding};

/// A larger body is not kept.
pub(super) const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// The least memory that a shard has, unless the whole cache has less: the largest page with its forms.
const SHARD_BYTES: u64 = 4 * 1024 * 1024;
/// More shards do not help on so few cores.
const MAX_SHARDS: usize = 16;
/// Requests that may wait for pages which others have asked for.
const MOST_WAITING: usize = 4096;
/// Pages that are expected, for sizing the table.
const EXPECTED_PAGES: usize = 1024;

/// `[cache]` in webstead.toml.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Memory for rendered pages, in MiB, with their compressed forms. 0: nothing is kept.
    pub max_mib: u16,
}

impl Settings {
    fn max_bytes(self) -> u64 {
        u64::from(self.max_mib) * 1024 * 1024
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_mib: 16 }
    }
}

/// What a page is kept under: the host that was asked (pages hold absolute addresses) and the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    host: Box<str>,
    target: Box<str>,
}

/// A [`Key`] that is only looked up.
#[derive(Clone, Copy)]
pub(super) struct KeyRef<'a> {
    /// Host and port as they were asked for.
    pub(super) host: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
}

impl KeyRef<'_> {
    pub(super) fn to_key(self) -> Key {
        Key {
            host: self.host.into(),
            target: self.target.into(),
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef {
            host: &self.host,
            target: &self.target,
        }
        .hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.host.hash(state);
        self.target.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.host == *key.host && *self.target == *key.target
    }
}

/// A rendered page with its compressed forms.
pub(super) struct Page {
    /// The version of the site at which it was rendered.
    pub(super) version: u64,
    /// All headers but those about the body's form: an answer from the cache adds only these.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// `W/"…"`: of the body's content, weak because it stands for all encodings (RFC 9110 section 8.8.1).
    pub(super) etag: HeaderValue,
    body: Bytes,
    is_compressible: bool,
    gzip: OnceLock<Option<Bytes>>,
    brotli: OnceLock<Option<Bytes>>,
}

impl Page {
    pub(super) fn new(version: u64, headers: Vec<(HeaderName, HeaderValue)>, body: Bytes) -> Self {
        let content_type = headers
            .iter()
            .find(|(name, _)| name == actix_web::http::header::CONTENT_TYPE)
            .and_then(|(_, value)| value.to_str().ok())
            .unwrap_or("");
        let digest = HEXLOWER.encode(&Sha256::digest(&body)[..12]);
        let etag = HeaderValue::from_str(&format!("W/\"{digest}\""))
            .unwrap_or_else(|_| HeaderValue::from_static("W/\"\""));
        Self {
            version,
            etag,
            is_compressible: compression::is_worth_it(content_type, body.len()),
            headers,
            body,
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// The body in `encoding` or, if that does not help, as it is. Compresses at the first call.
    pub(super) fn body(&self, encoding: Encoding) -> (Encoding, Bytes) {
        let compressed = self.form(encoding).and_then(|form| {
            form.get_or_init(|| compression::compress(&self.body, encoding).map(Bytes::from))
                .clone()
        });
        self.compressed_or_plain(encoding, compressed)
    }

    /// [`Page::body`], if there is nothing to compress any more.
    pub(super) fn made_body(&self, encoding: Encoding) -> Option<(Encoding, Bytes)> {
        match self.form(encoding) {
            None => Some(self.plain_body()),
            Some(form) => {
                let compressed = form.get()?.clone();
                Some(self.compressed_or_plain(encoding, compressed))
            }
        }
    }

    /// The body as it is.
    pub(super) fn plain_body(&self) -> (Encoding, Bytes) {
        (Encoding::Identity, self.body.clone())
    }

    fn form(&self, encoding: Encoding) -> Option<&OnceLock<Option<Bytes>>> {
        match encoding {
            _ if !self.is_compressible => None,
            Encoding::Identity => None,
            Encoding::Gzip => Some(&self.gzip),
            Encoding::Brotli => Some(&self.brotli),
        }
    }

    fn compressed_or_plain(
        &self,
        encoding: Encoding,
        compressed: Option<Bytes>,
    ) -> (Encoding, Bytes) {
        compressed.map_or_else(|| self.plain_body(), |bytes| (encoding, bytes))
    }
}

/// What is known of an address at a version of the site.
#[derive(Clone)]
pub(super) enum Kept {
    /// Its page.
    Page(Arc<Page>),
    /// What is there cannot be kept, so nobody waits for anybody else who asks for it.
    Pass(u64),
}

impl Kept {
    fn version(&self) -> u64 {
        match self {
            Self::Page(page) => page.version,
            Self::Pass(version) => *version,
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Kept> for ByBytes {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let body = match kept {
            // Brotli and gzip of text usually take less than half of it together.
            Kept::Page(page) => page.body.len() + page.body.len() / 2 + 512,
            Kept::Pass(_) => 0,
        };
        (key.host.len() + key.target.len() + body + 128) as u64
    }
}

/// The kept pages. Shared by all threads.
pub(super) struct PageCache {
    pages: Cache<Key, Kept, ByBytes>,
    waiting: Semaphore,
}

/// Why a page cannot be had.
pub(super) enum Missing<'a> {
    /// Nobody has rendered it yet.
    Place(Place<'a>),
    /// Too many wait already.
    Crowded,
}

impl PageCache {
    pub(super) fn new(settings: Settings) -> Self {
        let max_bytes = settings.max_bytes();
        // Each shard has its part of the memory to itself, and the largest page must fit into it.
        let shards = usize::try_from(max_bytes / SHARD_BYTES)
            .unwrap_or(1)
            .clamp(1, MAX_SHARDS);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(EXPECTED_PAGES)
            .weight_capacity(max_bytes)
            .shards(shards)
            .build()
            .expect("the number of pages and the memory are given");
        Self {
            pages: Cache::with_options(
                options,
                ByBytes,
                quick_cache::DefaultHashBuilder::default(),
                quick_cache::sync::DefaultLifecycle::default(),
            ),
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    /// Keeps more or less from now on.
    pub(super) fn resize(&self, settings: Settings) {
        self.pages.set_capacity(settings.max_bytes());
    }

    /// What is known of an address, at this version of the site or a later one.
    pub(super) fn get(&self, key: KeyRef<'_>, version: u64) -> Option<Kept> {
        self.pages
            .get(&key)
            .filter(|kept| kept.version() >= version)
    }

    /// Pages that are kept, and the bytes that they are counted for.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.pages.len(), self.pages.weight())
    }

    /// Waits while another request renders the same page, and gets it; or `Err`: the caller renders it
    /// and hands it to the place that it got, for those who wait.
    pub(super) async fn get_or_place(&self, key: &Key, version: u64) -> Result<Kept, Missing<'_>> {
        let Ok(_waits) = self.waiting.try_acquire() else {
            return Err(Missing::Crowded);
        };
        loop {
            self.pages.remove_if(key, |kept| kept.version() < version);
            match self.pages.get_value_or_guard_async(key).await {
                Ok(kept) if kept.version() >= version => return Ok(kept),
                // We have waited for somebody who began before the site changed.
                Ok(_) => {}
                Err(guard) => return Err(Missing::Place(Place(guard))),
            }
        }
    }
}

type Guard<'a> = quick_cache::sync::PlaceholderGuard<
    'a,
    Key,
    Kept,
    ByBytes,
    quick_cache::DefaultHashBuilder,
    quick_cache::sync::DefaultLifecycle<Key, Kept>,
>;

/// Where a page that is being rendered will be kept. Dropped: the next one who waits renders it.
pub(super) struct Place<'a>(Guard<'a>);

impl Place<'_> {
    /// Keeps the page and wakes those who wait for it.
    pub(super) fn put(self, page: &Arc<Page>) {
        // An error means that the page is larger than the cache or was removed meanwhile.
        let _ = self.0.insert(Kept::Page(Arc::clone(page)));
    }

    /// Remembers that what is there cannot be kept; those who wait render it themselves.
    pub(super) fn pass(self, version: u64) {
        let _ = self.0.insert(Kept::Pass(version));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    fn key(target: &str) -> Key {
        KeyRef {
            host: "localhost",
            target,
        }
        .to_key()
    }

    fn page(version: u64, bytes: usize) -> Arc<Page> {
        Arc::new(Page::new(version, vec![], Bytes::from(vec![b'x'; bytes])))
    }

    #[tokio::test]
    async fn who_waited_for_a_page_of_the_site_before_it_changed_renders_it_once_more_for_all() {
        let cache = PageCache::new(Settings::default());
        let key = key("/");
        let Err(Missing::Place(old)) = cache.get_or_place(&key, 1).await else {
            panic!("nothing is kept yet");
        };
        let rendered = std::sync::atomic::AtomicUsize::new(0);
        let visitor = || async {
            match cache.get_or_place(&key, 2).await {
                Ok(Kept::Page(page)) => assert_eq!(page.version, 2),
                Ok(Kept::Pass(_)) => panic!("it can be kept"),
                Err(Missing::Crowded) => panic!("there is room for three"),
                Err(Missing::Place(place)) => {
                    rendered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    place.put(&page(2, 10));
                }
            }
        };
        let first = async {
            tokio::task::yield_now().await;
            old.put(&page(1, 10));
        };
        tokio::join!(visitor(), visitor(), visitor(), first);
        assert_eq!(rendered.into_inner(), 1);
    }

    #[tokio::test]
    async fn only_so_many_wait_for_a_page_and_who_waits_gets_it() {
        let cache = PageCache::new(Settings::default());
        let key = key("/");
        let Err(Missing::Place(place)) = cache.get_or_place(&key, 1).await else {
            panic!("nothing is kept yet");
        };
        let waiting = (0..MOST_WAITING).map(|_| cache.get_or_place(&key, 1));
        let mut waiting = Box::pin(join_all(waiting));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(matches!(
            cache.get_or_place(&key, 1).await,
            Err(Missing::Crowded)
        ));
        place.put(&page(1, 10));
        let got = waiting.await;
        assert!(got.iter().all(|kept| matches!(kept, Ok(Kept::Page(_)))));
        assert!(cache.get_or_place(&key, 1).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_what_cannot_be_kept() {
        let cache = PageCache::new(Settings::default());
        let key = key("/media/photo");
        let Err(Missing::Place(place)) = cache.get_or_place(&key, 1).await else {
            panic!("nothing is kept yet");
        };
        place.pass(1);
        for _ in 0..2 {
            assert!(matches!(
                cache.get_or_place(&key, 1).await,
                Ok(Kept::Pass(1))
            ));
        }
        assert!(cache.get_or_place(&key, 2).await.is_err());
    }

    #[tokio::test]
    async fn the_largest_page_that_may_be_kept_is_kept() {
        let cache = PageCache::new(Settings::default());
        let key = key("/large");
        let Err(Missing::Place(place)) = cache.get_or_place(&key, 1).await else {
            panic!("nothing is kept yet");
        };
        place.put(&page(1, MAX_BODY_BYTES));
        assert!(cache.get_or_place(&key, 1).await.is_ok());
    }
}
