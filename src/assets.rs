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
const SITE_CSS: &[&str] = &[
    "reset.css",
    "tokens.css",
    "base.css",
    "frame.css",
    "lists.css",
    "article.css",
    "prose.css",
    "code.css",
    "print.css",
];
/// What `css/admin.css` is made of.
const ADMIN_CSS: &[&str] = &["bar.css", "forms.css", "owner.css", "editor.css"];

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

/// An asset by its name, for the few that browsers ask for under a fixed address: `img/favicon.ico`.
pub fn named(name: &str) -> Option<Asset> {
    find(TABLE.href_by_name.get(name)?.strip_prefix("/assets/")?)
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

/// The named files of `assets/css/` one after the other, without comments and needless space.
fn joined(names: &[&str]) -> Cow<'static, [u8]> {
    let mut all = String::new();
    for name in names {
        if let Some(file) = Files::get(&format!("css/{name}")) {
            tighten(&String::from_utf8_lossy(&file.data), &mut all);
        }
    }
    Cow::Owned(all.into_bytes())
}

/// Leaves out comments, indentation, and space beside braces, colons, commas and semicolons.
///
/// It knows no strings: a string in our own style sheets must not hold `/*`, `; ` or the like.
fn tighten(css: &str, into: &mut String) {
    let mut rest = css;
    let mut bare = String::with_capacity(css.len());
    while let Some((before, after)) = rest.split_once("/*") {
        bare.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    bare.push_str(rest);
    for line in bare.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut line = line.to_owned();
        for (long, short) in [
            (" {", "{"),
            ("{ ", "{"),
            ("; ", ";"),
            (": ", ":"),
            (", ", ","),
            (";}", "}"),
        ] {
            line = line.replace(long, short);
        }
        if line.starts_with('}') && into.ends_with(';') {
            into.pop();
        }
        into.push_str(&line);
        // A selector list or a value may go on in the next line.
        if !line.ends_with(['{', '}', ';', ',']) {
            into.push(' ');
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{ADMIN_CSS, Files, SITE_CSS, find, href};

    #[test]
    fn an_asset_is_found_under_its_address_and_under_no_other_hash() {
        let address = href("css/site.css");
        let path = address
            .strip_prefix("/assets/")
            .expect("an asset's address");
        let asset = find(path).expect("the style sheet");
        assert_eq!(asset.content_type, "text/css; charset=utf-8");
        let hash = path.split('.').nth(1).expect("a hash");
        assert_eq!(hash.len(), 16);
        assert!(find(&path.replace(hash, "0123456789abcdef")).is_none());
        for wrong in ["", "css/site.css", "../schema.sql", "manual/1-start.md"] {
            assert!(find(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn every_style_sheet_is_served_once() {
        let mut listed: Vec<String> = [SITE_CSS, ADMIN_CSS]
            .concat()
            .iter()
            .map(|name| format!("css/{name}"))
            .collect();
        listed.sort();
        let mut present: Vec<String> = Files::iter()
            .filter(|name| name.starts_with("css/"))
            .map(String::from)
            .collect();
        present.sort();
        assert_eq!(listed, present);
    }

    #[test]
    fn the_visitors_style_sheet_stays_under_14_kb() {
        let address = href("css/site.css");
        let asset = find(&address["/assets/".len()..]).expect("the style sheet");
        assert!(asset.bytes.len() < 14 * 1024, "{} bytes", asset.bytes.len());
        let text = String::from_utf8_lossy(&asset.bytes);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert!(!text.contains("/*"));
    }
}
