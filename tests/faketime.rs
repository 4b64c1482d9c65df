//! A clock of a program's own, which can be set while it runs (libfaketime).

use std::{ffi::OsString, fs, path::PathBuf, process::Command};

use crate::tools::is_there;

/// The clock of one program.
pub(crate) struct Clock {
    dir: tempfile::TempDir,
    library: OsString,
}

impl Clock {
    /// One that says this, as faketime(1) takes it; `None`, said aloud, if that is not installed.
    pub(crate) fn saying(what: &str) -> Option<Self> {
        let found = Command::new("faketime")
            .args(["-m", "-f", "+0d", "printenv", "LD_PRELOAD"])
            .output();
        let library = found.ok().filter(|output| output.status.success());
        if !is_there("faketime", library.is_some()) {
            return None;
        }
        let library = String::from_utf8(library?.stdout).unwrap();
        let clock = Self {
            dir: tempfile::tempdir().unwrap(),
            library: library.trim().into(),
        };
        clock.set(what);
        Some(clock)
    }

    /// Sets it, to a time (`@1970-01-01 12:00:10`) or so far from what it really is (`+62d`, `-7h`).
    pub(crate) fn set(&self, what: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, format!("{what}\n")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// What a program needs to have this clock.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DONT_RESET", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ]
    }
}
