//! What commands print. Whoever reads it may stop reading (`webstead status | head -1`): that is no mistake, and the
//! work goes on.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
};

use crate::base::{
    international,
    words::{without_numbers, without_steering},
};

/// Prints a line to standard output, as `println!` does.
macro_rules! say {
    () => {
        $crate::cli::say::line(format_args!(""))
    };
    ($($words:tt)*) => {
        $crate::cli::say::line(format_args!($($words)*))
    };
}

/// Prints a line to standard error, as `eprintln!` does.
macro_rules! warn_of {
    ($($words:tt)*) => {
        $crate::cli::say::warning(format_args!($($words)*))
    };
}

/// Standard output, where that nobody reads any more is no error.
pub(super) struct Output(io::StdoutLock<'static>);

impl Output {
    /// Of this program.
    pub(super) fn new() -> Self {
        Self(io::stdout().lock())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_closed(self.0.write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_closed(self.0.flush(), ())
    }
}

fn unless_closed<T>(done: io::Result<T>, instead: T) -> io::Result<T> {
    match done {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(instead),
        done => done,
    }
}

/// See [`say!`]. International names are as people write them.
pub(super) fn line(words: Arguments<'_>) {
    text(format_args!("{words}\n"));
}

/// Prints text for people, as [`line()`] does.
pub(super) fn text(words: Arguments<'_>) {
    let words = words.to_string();
    let words = international::in_text(&words);
    raw(format_args!("{}", without_steering(&words)));
}

/// Prints to standard output, for programs, as it is. Where it cannot be written, such as on a full disk, the program
/// ends with an error: what is missing there is not to be taken for all.
pub(super) fn raw(words: Arguments<'_>) {
    let mut out = Output::new();
    if let Err(e) = out.write_fmt(words).and_then(|()| out.flush()) {
        warning(format_args!("webstead: writing to standard output: {e}"));
        std::process::exit(1);
    }
}

/// See [`warn_of!`]. If nobody can be warned, nothing helps.
pub(super) fn warning(words: Arguments<'_>) {
    let words = words.to_string();
    let words = without_numbers(&words);
    let words = international::in_text(&words);
    let _ = writeln!(io::stderr().lock(), "{}", without_steering(&words));
}
