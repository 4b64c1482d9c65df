//! What the owner asks for by hand, beside the running server.

use std::path::{Path, PathBuf};

use super::state;
use crate::base::Result;

/// Asks the server that runs on this folder, or will, to look at all names now.
pub fn ask_to_update(data: &Path) -> Result<()> {
    state::write(data, &path(data), "")
}

/// Whether somebody has asked, and the server is not done yet.
pub fn is_asked(data: &Path) -> bool {
    path(data).exists()
}

/// The request was met.
pub(super) fn forget_request(data: &Path) {
    let _ = std::fs::remove_file(path(data));
}

fn path(data: &Path) -> PathBuf {
    state::folder(data).join("asked")
}
