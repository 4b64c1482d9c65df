//! Which file an address means.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io::{self, ErrorKind},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    beneath::{self, Patience},
    body::{self, Content},
    folder::Folder,
    path::Wanted,
};
use crate::edge::compression::{self, Accepted};

/// What a folder is answered with.
const INDEX: &str = "index.html";
/// What an address may leave out.
const PAGE_ENDING: &str = ".html";
/// Copying a tree need not keep fractions of a second.
const SAME_AGE: Duration = Duration::from_secs(1);

/// What was found for an address.
pub(super) enum Found {
    /// A file to send.
    File(Box<Selected>),
    /// A folder that can be shown, asked for without its slash.
    Folder,
    /// A folder without an index, open, whose content may be listed.
    Listing(File),
}

/// A file in the form that will be sent.
#[derive(Clone)]
pub(super) struct Selected {
    /// Its path in the folder, as an address: `/about.html`. That of the plain file, if a compressed one is sent.
    pub(super) address: String,
    /// Its bytes.
    pub(super) content: Content,
    /// Its length in bytes.
    pub(super) length: u64,
    /// When it was changed.
    pub(super) modified: SystemTime,
    /// As `Content-Type` has it.
    pub(super) content_type: String,
    /// As `Content-Encoding` has it.
    pub(super) encoding: Option<&'static str>,
    /// Whether who accepts another encoding may get other bytes.
    pub(super) varies: bool,
}

impl Selected {
    /// Reads the file whole, if that makes nobody wait; says whether its bytes are in memory now.
    pub(super) fn take_into_memory(&mut self) -> bool {
        let Content::Open(file) = &self.content else {
            return true;
        };
        match body::read_from_memory(file, &(0..self.length)) {
            // Else it is being written at this moment.
            Some(bytes) if bytes.len() as u64 == self.length => {
                self.content = Content::Memory(bytes);
                true
            }
            _ => false,
        }
    }
}

/// Looks for the file that is wanted.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] if the disk must be asked and there is no patience for it; else what keeps a
/// file that is there from being opened.
pub(super) fn find(
    folder: &Folder,
    wanted: &Wanted,
    accepted: Accepted,
    patience: Patience,
) -> io::Result<Option<Found>> {
    let Some(root) = folder.root.open(patience)? else {
        return Ok(None);
    };
    let look = Look {
        root: root.as_fd(),
        accepted,
        patience,
    };
    let index = || look.file(wanted.path.join(INDEX));
    if wanted.is_folder {
        if let Some(index) = index()? {
            return Ok(Some(Found::File(index)));
        }
        let listed = folder
            .listing
            .then(|| look.open(&wanted.path))
            .transpose()?
            .flatten();
        let listed = listed.filter(|(_, found)| found.is_dir());
        return Ok(listed.map(|(open, _)| Found::Listing(open)));
    }
    if let Some((file, found)) = look.open(&wanted.path)? {
        if found.is_file() {
            let selected = look.select(&wanted.path, file, &found)?;
            return Ok(Some(Found::File(selected)));
        }
        if found.is_dir() && (folder.listing || index()?.is_some()) {
            return Ok(Some(Found::Folder));
        }
    }
    Ok(look
        .file(with_ending(&wanted.path, PAGE_ENDING))?
        .map(Found::File))
}

/// One search below a folder.
struct Look<'a> {
    root: BorrowedFd<'a>,
    accepted: Accepted,
    patience: Patience,
}

impl Look<'_> {
    fn open(&self, path: &Path) -> io::Result<Option<(File, Metadata)>> {
        let Some(file) = there(beneath::open(self.root, path, self.patience))? else {
            return Ok(None);
        };
        let metadata = file.metadata()?;
        Ok(Some((file, metadata)))
    }

    /// A regular file at this path.
    fn file(&self, path: PathBuf) -> io::Result<Option<Box<Selected>>> {
        match self.open(&path)? {
            Some((file, found)) if found.is_file() => self.select(&path, file, &found).map(Some),
            _ => Ok(None),
        }
    }

    /// The file itself, or the compressed one beside it that the visitor accepts.
    fn select(&self, path: &Path, file: File, found: &Metadata) -> io::Result<Box<Selected>> {
        let content_type = content_type_of(path);
        let varies = compression::is_compressible(&content_type);
        let modified = found.modified()?;
        let mut selected = Selected {
            address: format!("/{}", path.to_string_lossy()),
            content: Content::Open(Arc::new(file)),
            length: found.len(),
            modified,
            content_type,
            encoding: None,
            varies,
        };
        if varies {
            for (encoding, ending) in self.accepted.endings() {
                let Some((file, found)) = self.open(&with_ending(path, ending))? else {
                    continue;
                };
                let made = found.modified()?;
                if found.is_file() && made + SAME_AGE >= modified {
                    selected.content = Content::Open(Arc::new(file));
                    selected.length = found.len();
                    selected.modified = made;
                    selected.encoding = Some(encoding);
                    break;
                }
            }
        }
        Ok(Box::new(selected))
    }
}

/// `None` for what is not there.
fn there<T>(opened: io::Result<T>) -> io::Result<Option<T>> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// The media type by the name's ending; texts are UTF-8.
fn content_type_of(path: &Path) -> String {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let is_text = kind.type_() == "text"
        || matches!(
            kind.essence_str(),
            "application/javascript" | "application/json"
        );
    if is_text {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    }
}
