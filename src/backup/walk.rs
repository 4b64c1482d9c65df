//! Finds the files that may change, below a folder.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::base::{Error, Result};

/// Files below a folder, each by its path in the backup, which begins with `path`; no link is followed. What is left out
/// is told to `warn`.
pub(super) fn walk(
    dir: &Path,
    path: &str,
    found: &mut Vec<(String, PathBuf)>,
    warn: &mut dyn FnMut(String),
) -> Result<()> {
    let reading = |e| Error::io("reading", dir, e);
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(reading)?,
    };
    for entry in entries {
        let entry = entry.map_err(reading)?;
        let kind = entry.file_type().map_err(reading)?;
        let shown = entry.file_name().to_string_lossy().into_owned();
        let Ok(name) = entry.file_name().into_string() else {
            warn(format!(
                "{path}/{shown} has a name that is not text, so it is not in this backup"
            ));
            continue;
        };
        let below = format!("{path}/{name}");
        if kind.is_dir() {
            walk(&entry.path(), &below, found, warn)?;
        } else if kind.is_file() {
            found.push((below, entry.path()));
        } else {
            warn(format!(
                "{below} is a link or something else that is no file, so it is not in this backup"
            ));
        }
    }
    Ok(())
}
