//! A program on a disk that can be told to fail: builds `shim.c`, and talks with it.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Kinds of operations, as `shim.c` counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    Sync,
    /// A name that is made, changed or removed, and a file that is made shorter.
    Name,
    /// A file that is there and is opened.
    Open,
}

const FAIL_KINDS: u64 = 72;
const FAIL_AFTER: u64 = 80;
const FAIL_TIMES: u64 = 88;
const FAIL_WITH: u64 = 96;
const FAILED: u64 = 104;
const ONLY: u64 = 112;
const LAST: u64 = 176;

/// A folder whose disk can fail, with what it knows of the programs that use it.
pub(crate) struct Disk {
    _dir: tempfile::TempDir,
    /// Where the data folder may be made.
    pub(crate) root: PathBuf,
    control: File,
    log: Option<PathBuf>,
    page: PathBuf,
}

impl Disk {
    /// A disk that fails on demand; `None` where there is no C compiler.
    pub(crate) fn new() -> Option<Self> {
        Self::made(false)
    }

    /// One that remembers what was written in which order, for [`super::crash`].
    pub(crate) fn remembering() -> Option<Self> {
        Self::made(true)
    }

    fn made(remembers: bool) -> Option<Self> {
        shim()?;
        let dir = tempfile::tempdir().unwrap();
        let (root, page) = (dir.path().join("disk"), dir.path().join("control"));
        fs::create_dir(&root).unwrap();
        fs::write(&page, [0; 4096]).unwrap();
        let control = File::options().read(true).write(true).open(&page).unwrap();
        Some(Self {
            root: root.canonicalize().unwrap(),
            log: remembers.then(|| dir.path().join("log")),
            control,
            page,
            _dir: dir,
        })
    }

    /// What a program's environment needs to run on this disk.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut all = vec![
            ("LD_PRELOAD", shim().unwrap().into()),
            ("WEBSTEAD_DISK_ROOT", self.root.clone().into()),
            ("WEBSTEAD_DISK_CONTROL", self.page.clone().into()),
        ];
        all.extend(
            self.log
                .as_ref()
                .map(|log| ("WEBSTEAD_DISK_LOG", log.into())),
        );
        all
    }

    /// How many bytes the log of all changes has now.
    pub(crate) fn log_length(&self) -> u64 {
        let log = self.log.as_ref().unwrap();
        fs::metadata(log).map_or(0, |log| log.len())
    }

    /// The log of all changes.
    pub(crate) fn log(&self) -> Vec<u8> {
        fs::read(self.log.as_ref().unwrap()).unwrap()
    }

    /// Operations of a kind until now.
    pub(crate) fn seen(&self, kind: Kind) -> u64 {
        self.get(8 * kind as u64)
    }

    /// Bytes that were written until now.
    pub(crate) fn written(&self) -> u64 {
        self.get(64)
    }

    /// Lets `times` operations of these kinds fail, after `after` more have gone well; in paths that have
    /// `only` in them.
    pub(crate) fn fail(&self, kinds: &[Kind], only: &str, after: u64, times: u64, errno: i32) {
        self.mend();
        let mut name = [0; 64];
        name[..only.len()].copy_from_slice(only.as_bytes());
        self.control.write_all_at(&name, ONLY).unwrap();
        self.set(FAIL_AFTER, after);
        self.set(FAIL_TIMES, times);
        self.set(FAIL_WITH, errno.unsigned_abs().into());
        let kinds = kinds.iter().fold(0, |bits, kind| bits | 1 << *kind as u64);
        self.set(FAIL_KINDS, kinds);
    }

    /// Ends what [`Disk::fail`] began; gives how many operations have failed in all, and the last one.
    pub(crate) fn mend(&self) -> (u64, String) {
        self.set(FAIL_KINDS, 0);
        let mut last = [0; 256];
        self.control.read_exact_at(&mut last, LAST).unwrap();
        let end = last.iter().position(|byte| *byte == 0).unwrap();
        let last = String::from_utf8_lossy(&last[..end]).into_owned();
        (self.get(FAILED), last)
    }

    fn get(&self, at: u64) -> u64 {
        let mut number = [0; 8];
        self.control.read_exact_at(&mut number, at).unwrap();
        u64::from_ne_bytes(number)
    }

    fn set(&self, at: u64, number: u64) {
        self.control
            .write_all_at(&number.to_ne_bytes(), at)
            .unwrap();
    }
}

/// The library that is loaded into the program; built once.
fn shim() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/shim.c");
        let cc = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .args(["-ldl", "-lpthread"])
            .status();
        let is_built = cc.is_ok_and(|status| status.success());
        crate::tools::is_there("a C compiler", is_built).then_some((dir, library))
    });
    built.as_ref().map(|(_, library)| library.as_path())
}
