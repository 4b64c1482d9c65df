//! The one error of the program, and when to use which kind of it.
//!
//! An error is made where something goes wrong, passed up with `?`, and logged once, at the boundary:
//! `main.rs` for the command line, `edge/errors.rs` for a request.

use std::{fmt::Display, io, path::PathBuf};

use actix_web::{ResponseError, http::StatusCode};

use super::words::without_numbers;

/// `Result` with the program's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in kinds that decide what a person is told.
///
/// A visitor is told the kind, never the cause; the cause is for the log and the command line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody asked for a thing that is not there. A visitor gets 404.
    #[error("not found")]
    NotFound,

    /// It was there and was taken away. A visitor gets 410.
    #[error("gone")]
    Gone,

    /// The person must sign in first. A visitor gets 401 with the sign-in form.
    #[error("you are not signed in")]
    SignedOut {
        /// What they were sending, URL-encoded, so that it can be given back after signing in.
        kept_form: Option<String>,
    },

    /// The person, or where the request came from, is not allowed to do this. The text is shown.
    #[error("{0}")]
    Forbidden(String),

    /// Too many tries. The text is shown; `retry_after_s` is for the header of that name.
    #[error("too many tries: wait {retry_after_s} seconds")]
    TooMany {
        /// Seconds until it is worth trying again.
        retry_after_s: u64,
    },

    /// What a person typed or sent cannot be used. The text is shown, says what and where, and what to do.
    #[error("{0}")]
    Invalid(String),

    /// It is larger than we take. The text is shown.
    #[error("{0}")]
    TooLarge(String),

    /// What a change assumed does not hold any more; nothing was written. Holds the name of the
    /// guard (`Change::guard`) or the columns of the unique constraint (`addresses.path`).
    #[error("conflict: {0}")]
    Conflict(String),

    /// What is stored is not what was stored: it was read, and is wrong. The text is for the log and the command line.
    /// That something cannot be read is another error, see [`Verdict`](super::Verdict).
    #[error("{0}")]
    Damaged(String),

    /// There is no room or no permission to write; nothing was written. The text is shown.
    #[error("{0}")]
    CannotSave(String),

    /// The site is busy: a queue is full or a wait was too long. A visitor gets 503.
    #[error("busy: {0}")]
    Busy(&'static str),

    /// `SQLite` said no.
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),

    /// A file or socket operation failed. Use [`Error::io`] to say which.
    #[error("{what}: {}", without_numbers(&source.to_string()))]
    Io {
        /// What we were doing, with the path: `reading /etc/webstead.toml`.
        what: String,
        /// What the system said.
        source: io::Error,
    },

    /// A thing that should not happen. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// An I/O error with what was being done, e.g. `Error::io("reading", &path, e)`.
    pub fn io(doing: &str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            what: format!("{doing} {}", path.into().display()),
            source,
        }
    }

    /// An [`Error::Internal`] from anything that prints.
    pub fn internal(e: impl Display) -> Self {
        Self::Internal(e.to_string())
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::SignedOut { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::CannotSave(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Damaged(_) | Self::Database(_) | Self::Io { .. } | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}
