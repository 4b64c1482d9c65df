//! Style sheets, scripts and pictures, compiled in and served under the hash of their content.
//!
//! An address holds the first 16 hex digits of the SHA-256 of what is there, so it can be kept for
//! ever. Style sheets are written one file per component and served as two: what visitors need,
//! and what only editors need.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _, sync::LazyLock};

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

/// The files of `assets/`; the manual's chapters are in it too, but are not served as files.
#[derive(RustEmbed)]
#[folder = "assets/"]
pub struct Files;

/// What `css/site.css` is made of, in the order of the layers.
const SITE_CSS: &[&str] = &[];
/// What `css/admin.css` is made of.
const ADMIN_CSS: &[&str] = &[];

/// A file that can be served.
#[derive(Clone, Debug)]
pub struct Asset {
    /// What is in it.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub content_type: &'static str,
}

struct Table {
    href_by_name: HashMap<String, String>,
    asset_by_path: HashMap<String, Asset>,
}

static TABLE: LazyLock<Table> = LazyLock::new(build);

/// The address of an asset: `css/site.css` is at `/assets/css/site.0123456789abcdef.css`.
///
/// A name that does not exist leads to an address where nothing is; a test finds those.
pub fn href(name: &str) -> String {
    TABLE
        .href_by_name
        .get(name)
        .cloned()
        .unwrap_or_else(|| format!("/assets/{name}"))
}

/// The asset at what follows `/assets/` in an address; only when the hash in it is right.
pub fn find(path: &str) -> Option<Asset> {
    let found: &'static Asset = TABLE.asset_by_path.get(path)?;
    Some(Asset {
        bytes: Cow::Borrowed(&found.bytes),
        content_type: found.content_type,
    })
}

fn build() -> Table {
    let mut table = Table {
        href_by_name: HashMap::new(),
        asset_by_path: HashMap::new(),
    };
    table.insert("css/site.css", joined(SITE_CSS));
    table.insert("css/admin.css", joined(ADMIN_CSS));
    for name in Files::iter() {
        let is_served = name.starts_with("js/") || name.starts_with("img/");
        if let Some(file) = Files::get(&name).filter(|_| is_served) {
            table.insert(&name, file.data);
        }
    }
    table
}

impl Table {
    fn insert(&mut self, name: &str, bytes: Cow<'static, [u8]>) {
        let mut hash = String::with_capacity(16);
        for byte in &Sha256::digest(&bytes)[..8] {
            let _ = write!(hash, "{byte:02x}");
        }
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let path = format!("{stem}.{hash}.{extension}");
        self.href_by_name
            .insert(name.to_owned(), format!("/assets/{path}"));
        let content_type = content_type(extension);
        self.asset_by_path.insert(
            path,
            Asset {
                bytes,
                content_type,
            },
        );
    }
}

fn joined(names: &[&str]) -> Cow<'static, [u8]> {
    let mut all = Vec::new();
    for name in names {
        if let Some(file) = Files::get(&format!("css/{name}")) {
            all.extend_from_slice(&file.data);
        }
    }
    Cow::Owned(all)
}

fn content_type(extension: &str) -> &'static str {
    match extension {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "ico" => "image/x-icon",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}
