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
use quick_cache::{Equivalent, Weighter, sync::Cache};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::compression::{self, Encoding};

/// A larger body is not kept.
pub(super) const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;
/// Pages that are expected, for sizing the table.
const EXPECTED_PAGES: usize = 1024;

/// `[cache]` in webstead.toml.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Memory for rendered pages, in MiB, with their compressed forms. 0: nothing is kept.
    pub max_mib: u16,
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
    /// Headers of the application's, without those about the body's form.
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
        let kept = match encoding {
            _ if !self.is_compressible => None,
            Encoding::Identity => None,
            Encoding::Gzip => Some(&self.gzip),
            Encoding::Brotli => Some(&self.brotli),
        };
        let compressed = kept.and_then(|form| {
            form.get_or_init(|| compression::compress(&self.body, encoding).map(Bytes::from))
                .clone()
        });
        match compressed {
            Some(bytes) => (encoding, bytes),
            None => (Encoding::Identity, self.body.clone()),
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Page>> for ByBytes {
    fn weight(&self, key: &Key, page: &Arc<Page>) -> u64 {
        // Brotli and gzip of a page take less than half of it together, small ones less than the rest.
        (key.host.len() + key.target.len() + page.body.len() + page.body.len() / 2 + 512) as u64
    }
}

/// The kept pages. Shared by all threads.
pub(super) struct PageCache {
    pages: Cache<Key, Arc<Page>, ByBytes>,
}

impl PageCache {
    pub(super) fn new(settings: Settings) -> Self {
        let max_bytes = u64::from(settings.max_mib) * 1024 * 1024;
        Self {
            pages: Cache::with_weighter(EXPECTED_PAGES, max_bytes, ByBytes),
        }
    }

    /// The page, if it is kept and of this version of the site.
    pub(super) fn get(&self, key: KeyRef<'_>, version: u64) -> Option<Arc<Page>> {
        self.pages.get(&key).filter(|page| page.version == version)
    }

    /// Waits while another request renders the same page, and gets it; or `Err`: the caller renders it
    /// and hands it to the place that it got, for those who wait.
    pub(super) async fn get_or_place(
        &self,
        key: &Key,
        version: u64,
    ) -> Result<Arc<Page>, Place<'_>> {
        self.pages.remove_if(key, |page| page.version != version);
        match self.pages.get_value_or_guard_async(key).await {
            Ok(page) if page.version == version => Ok(page),
            Ok(_) => Err(Place(None)),
            Err(guard) => Err(Place(Some(guard))),
        }
    }
}

type Guard<'a> = quick_cache::sync::PlaceholderGuard<
    'a,
    Key,
    Arc<Page>,
    ByBytes,
    quick_cache::DefaultHashBuilder,
    quick_cache::sync::DefaultLifecycle<Key, Arc<Page>>,
>;

/// Where a page that is being rendered will be kept. Dropped: the next one who waits renders it.
pub(super) struct Place<'a>(Option<Guard<'a>>);

impl Place<'_> {
    /// Keeps the page and wakes those who wait for it.
    pub(super) fn put(self, page: &Arc<Page>) {
        if let Some(guard) = self.0 {
            // An error means that the page is larger than the cache or was removed meanwhile.
            let _ = guard.insert(Arc::clone(page));
        }
    }
}
