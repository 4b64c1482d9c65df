//! What a folder without an index shows, where its owner has asked for that.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use askama::Template;
use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::beneath::{self, Patience};
use crate::base::size_text;

/// More than a person reads; a folder that has more says so.
const MAX_ENTRIES: usize = 5_000;

/// What a name needs no encoding for in a path (RFC 3986 section 3.3, `unreserved`).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A file or folder that is shown.
struct Entry {
    /// As it is read.
    name: String,
    /// Relative to the folder.
    href: String,
    is_folder: bool,
    /// `1.2 MB`; empty for a folder.
    size: String,
    /// `2026-11-23 14:05`, UTC.
    modified: String,
}

#[derive(Template)]
#[template(path = "edge/listing.html")]
struct ListingPage<'a> {
    path: String,
    is_root: bool,
    entries: &'a [Entry],
    has_more: bool,
    style: &'static str,
}

/// The page that lists an open folder, which has the path `address`.
///
/// # Errors
/// What keeps the folder from being read.
pub(super) fn page(folder: File, address: &str, style: &'static str) -> io::Result<String> {
    let (entries, has_more) = read(folder)?;
    let page = ListingPage {
        path: percent_decode_str(address).decode_utf8_lossy().into_owned(),
        is_root: address == "/",
        entries: &entries,
        has_more,
        style,
    };
    page.render().map_err(io::Error::other)
}

/// The visible entries: folders first, then by name. Links that lead out of the folder are left out.
fn read(folder: File) -> io::Result<(Vec<Entry>, bool)> {
    let folder = OwnedFd::from(folder);
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.starts_with(b".") || name.contains(&b'\\') {
            continue;
        }
        if entries.len() == MAX_ENTRIES {
            return Ok((sorted(entries), true));
        }
        if let Some(entry) = describe(&folder, name) {
            entries.push(entry);
        }
    }
    Ok((sorted(entries), false))
}

/// `None` for what would not be served: links out of the folder, devices.
fn describe(folder: &OwnedFd, name: &[u8]) -> Option<Entry> {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let path = Path::new(OsStr::from_bytes(name));
    let found = statat(folder, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let (kind, size, seconds) = if FileType::from_raw_mode(found.st_mode) == FileType::Symlink {
        let target = beneath::open(folder.as_fd(), path, Patience::Any).ok()?;
        let found = rustix::fs::fstat(&target).ok()?;
        (
            FileType::from_raw_mode(found.st_mode),
            found.st_size,
            found.st_mtime,
        )
    } else {
        (
            FileType::from_raw_mode(found.st_mode),
            found.st_size,
            found.st_mtime,
        )
    };
    let is_folder = kind == FileType::Directory;
    if !is_folder && kind != FileType::RegularFile {
        return None;
    }
    let slash = if is_folder { "/" } else { "" };
    Some(Entry {
        name: format!("{}{slash}", String::from_utf8_lossy(name)),
        // "./" keeps a name with a colon from being a scheme (RFC 3986 section 4.2).
        href: format!("./{}{slash}", percent_encode(name, ENCODED)),
        is_folder,
        size: if is_folder {
            String::new()
        } else {
            size_text(u64::try_from(size).unwrap_or(0))
        },
        modified: time_text(seconds),
    })
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_cached_key(|entry| (!entry.is_folder, entry.name.to_lowercase()));
    entries
}

fn time_text(seconds: i64) -> String {
    let time = u64::try_from(seconds).map_or(UNIX_EPOCH, |s| UNIX_EPOCH + Duration::from_secs(s));
    let time = Timestamp::try_from(time.min(SystemTime::now())).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::time_text;

    #[test]
    fn times_are_for_people() {
        assert_eq!(time_text(0), "1970-01-01 00:00");
        assert_eq!(time_text(-5), "1970-01-01 00:00");
    }
}
