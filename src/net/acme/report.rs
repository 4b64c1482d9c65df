//! How it stands with a certificate.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Failure, keeper::LOOK_EVERY_S, kept::Kept, schedule};
use crate::{base::Timestamp, net::certificates::Chain};

/// How it stands with the certificate for a name.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name.
    pub name: String,
    /// The certificate that is shown for it, if it is not the machine's own authority's.
    pub chain: Option<Arc<Chain>>,
    /// Whether the owner's own files have it.
    pub is_own: bool,
    /// The name for all names below one whose certificate covers it and is renewed instead of one for it alone.
    pub covered_by: Option<String>,
    /// Why the last try failed, if it did.
    pub failure: Option<Failure>,
    /// When it is renewed or tried again; `None` for the owner's own files.
    pub next: Option<Timestamp>,
    /// How many times it was renewed by itself.
    pub renewals: u32,
    /// Until when the record in the DNS is good that proved the name, if it says so.
    pub record_until: Option<Timestamp>,
    /// Whether the authority is being asked, or is about to be.
    pub is_under_way: bool,
}

impl Report {
    /// Whether there is a certificate for the name that browsers take at this moment.
    pub fn is_good(&self, now: Timestamp) -> bool {
        let chain = self.chain.as_ref();
        chain.is_some_and(|chain| chain.not_before() <= now && now < chain.not_after())
    }
}

/// What is known of the certificate for a name.
pub(super) fn report_of(name: &str, kept: &Kept) -> Report {
    Report {
        name: name.to_owned(),
        chain: kept.chain.clone(),
        is_own: false,
        covered_by: None,
        failure: kept.state.failure.clone(),
        next: Some(match kept.unsaved {
            // Keeping it is tried all the time.
            Some(_) => Timestamp(Timestamp::now().0 + LOOK_EVERY_S),
            None => next_of(kept, name),
        }),
        renewals: kept.state.renewals,
        record_until: kept.state.record_until,
        is_under_way: false,
    }
}

/// When the certificate for a name is renewed or tried again.
pub(super) fn next_of(kept: &Kept, name: &str) -> Timestamp {
    match (&kept.chain, kept.state.next_try) {
        (_, Some(at)) if kept.state.failures > 0 => at,
        // Something was changed since it failed.
        (_, None) if kept.state.failures > 0 => Timestamp(0),
        (None, _) => Timestamp(0),
        (Some(chain), _) => {
            let (from, until) = (chain.not_before(), chain.not_after());
            schedule::renewal_time(from, until, kept.state.advised, spread(name, until.0))
        }
    }
}

/// A number from 0 to 1 that stays the same for a name and a moment.
pub(super) fn spread(name: &str, moment: i64) -> f64 {
    let digest = Sha256::digest(format!("{name} {moment}"));
    f64::from(u16::from_be_bytes([digest[0], digest[1]])) / f64::from(u16::MAX)
}
