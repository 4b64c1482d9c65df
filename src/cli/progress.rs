//! A bar on the terminal for long work; nothing where there is no terminal.

use std::{sync::Mutex, sync::PoisonError};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows what is being done and how much of it is done.
pub(super) struct Bar {
    bar: ProgressBar,
    doing: Mutex<String>,
}

impl Bar {
    /// A bar on standard error.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg:16} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        Self {
            bar,
            doing: Mutex::new(String::new()),
        }
    }

    /// `done` of `total` are done.
    pub(super) fn show(&self, doing: &str, done: usize, total: usize) {
        let mut shown = self.doing.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown != doing {
            doing.clone_into(&mut shown);
            self.bar.set_message(doing.to_owned());
            self.bar.set_length(total as u64);
        }
        self.bar.set_position(done as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
