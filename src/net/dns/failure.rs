//! Why a name could not be asked for or changed.

use serde::{Deserialize, Serialize};

use super::no_answer::NoAnswer;
use crate::base::{self, Timestamp};

/// Why a name could not be asked for or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of reason it is, which decides what helps.
    pub kind: FailureKind,
    /// What happened, in the provider's own words where it said something.
    pub text: String,
    /// When the provider wants to be asked again, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Whether it is known that nothing was changed; counts only for who has just tried.
    #[serde(skip)]
    pub is_untouched: bool,
}

/// What kind of reason there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Nobody could be asked: perhaps there is no line. That is no fault of the name or the provider, and nobody is
    /// bothered by another try.
    Unreachable,
    /// The provider was reached, but has trouble, or answered what is no answer.
    Trouble,
    /// The provider was asked too often.
    RateLimited,
    /// The provider will not do this; the owner may change its mind there.
    Refused,
    /// The provider will not do this, and wants not to be asked again before something changes here.
    Final,
    /// The provider does not take this address, and may take another one.
    Address,
    /// Something here keeps us from asking.
    Setup,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            retry_at: None,
            is_untouched: false,
        }
    }

    /// The same, and nothing was changed.
    pub(super) fn untouched(self) -> Self {
        Self {
            is_untouched: true,
            ..self
        }
    }

    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Unreachable, text)
    }

    pub(super) fn trouble(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Trouble, text)
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, text)
    }

    /// Something of this machine: a file, a setting, a name that is none.
    pub(super) fn setup(why: impl std::fmt::Display) -> Self {
        Self::new(FailureKind::Setup, why.to_string()).untouched()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<NoAnswer> for Failure {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Unsent(words) => Self::unreachable(words).untouched(),
            NoAnswer::Silent(words) => Self::unreachable(words),
            NoAnswer::Garbled(words) => Self::trouble(words),
        }
    }
}

impl From<base::Error> for Failure {
    fn from(error: base::Error) -> Self {
        Self::setup(error)
    }
}
