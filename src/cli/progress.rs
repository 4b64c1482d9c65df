//! A bar on the terminal for long work; nothing where there is no terminal.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows what is being done and how much of it is done.
pub(super) struct Bar {
    bar: ProgressBar,
    doing: Mutex<String>,
}

impl Bar {
    /// A bar on standard error.
    pub(super) fn new() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target);
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
        // Together, because it is drawn after each: what was done of something longer is more than there is now.
        self.bar.update(|state| {
            state.set_pos(done as u64);
            state.set_len(total as u64);
        });
        if *shown != doing {
            doing.clone_into(&mut shown);
            self.bar.set_message(doing.to_owned());
            // Not every step is drawn. This one is, because the next may be long in coming.
            self.bar.suspend(|| {});
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::Bar;

    /// A terminal that remembers what was written on it.
    #[derive(Clone, Debug, Default)]
    struct Remembered(Arc<Mutex<String>>);

    impl TermLike for Remembered {
        fn width(&self) -> u16 {
            60
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            self.0.lock().unwrap().push('\n');
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Every `done/total` that was drawn for these steps.
    fn drawn(steps: &[(&str, usize, usize)]) -> Vec<(usize, usize)> {
        let terminal = Remembered::default();
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255);
        let bar = Bar::on(target);
        for (doing, done, total) in steps {
            bar.show(doing, *done, *total);
        }
        drop(bar);
        let text = terminal.0.lock().unwrap();
        let words = text.split_whitespace();
        let pairs = words.filter_map(|word| word.split_once('/'));
        pairs
            .map(|(done, total)| (done.parse().unwrap(), total.parse().unwrap()))
            .collect()
    }

    #[test]
    fn no_more_is_shown_as_done_than_there_is() {
        for steps in [
            // Something shorter comes after something longer.
            &[("files", 4, 5), ("looking", 0, 1)][..],
            // The database of one backup after that of another one.
            &[("database", 0, 1), ("database", 4, 9)],
            &[("database", 4, 9), ("database", 0, 1)],
        ] {
            let drawn = drawn(steps);
            assert!(!drawn.is_empty());
            for (done, total) in drawn {
                assert!(done <= total, "{done}/{total} of {steps:?}");
            }
        }
    }
}
