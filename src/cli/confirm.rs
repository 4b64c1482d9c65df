//! Asks before what cannot be undone.

use std::io::{self, BufRead, IsTerminal};

use super::say;
use crate::base::{Error, Result};

/// Goes on if the person types `word`, after being told `what` happens then.
///
/// # Errors
/// [`Error::Invalid`] if they type something else, or if nobody can be asked; `otherwise` says what to do then.
pub(super) fn confirm(what: &str, word: &str, otherwise: &str) -> Result<()> {
    let nothing = |why: &str| Error::Invalid(format!("{why}: nothing was changed"));
    if !io::stdin().is_terminal() {
        return Err(nothing(otherwise));
    }
    say::text(format_args!("{what} Type `{word}` to go on: "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(Error::internal)?;
    if answer.trim() == word {
        return Ok(());
    }
    Err(nothing(&format!("the answer was not `{word}`")))
}
