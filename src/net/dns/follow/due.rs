//! Whether a name is looked at now: a decision, without files and providers.

use std::{net::IpAddr, time::Instant};

use super::{pause, state::NameState};
use crate::{base::Timestamp, net::dns::FailureKind};

/// When this process has looked at a name.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// The addresses that it was to have.
    pub(super) wanted: Vec<IpAddr>,
    /// When it is looked at again though nothing has changed here.
    pub(super) again_at: Instant,
}

impl Looked {
    fn is_over(&self, wanted: &[IpAddr]) -> bool {
        self.wanted != wanted || Instant::now() >= self.again_at
    }
}

/// Whether a name is looked at now. `with` stands for the settings and the secret, `has_gone` is that an address which
/// was published leads nowhere.
pub(super) fn is_due(
    state: &NameState,
    looked: Option<&Looked>,
    wanted: &[IpAddr],
    with: &str,
    has_gone: bool,
    now: Timestamp,
) -> bool {
    let is_over = looked.is_none_or(|looked| looked.is_over(wanted));
    let Some(failure) = &state.failure else {
        return has_gone || is_over;
    };
    // The owner has put something right, or tries to.
    if state.failed_with != with {
        return true;
    }
    let has_come = state.next_try.is_none_or(|at| pause::has_come(at, now));
    // That there is none for a while, and then the same, is no other address.
    let is_other = !wanted.is_empty() && wanted != state.failed_for;
    match failure.kind {
        FailureKind::Unreachable => is_over,
        FailureKind::Final => false,
        FailureKind::Address => is_other,
        // It has said when it wants to be asked again.
        FailureKind::RateLimited => has_come,
        FailureKind::Trouble if failure.retry_at.is_some() => has_come,
        FailureKind::Trouble | FailureKind::Refused => is_other || has_come,
        // What is repaired by hand shows at once.
        FailureKind::Setup => looked.is_none() || has_come,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::dns::Failure;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn addresses(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn failed(kind: FailureKind, retry_at: Option<i64>, times: u32) -> NameState {
        let mut state = NameState::default();
        for _ in 0..times {
            let failure = Failure {
                retry_at: retry_at.map(|s| Timestamp(Timestamp::now().0 + s)),
                ..Failure::new(kind, "no")
            };
            state.note(failure, &addresses(&["8.8.4.4"]), "a");
        }
        state
    }

    /// Whether it is due a minute after the last of so many failures, of which there was one each time.
    fn is_due_soon(state: &NameState, wanted: &[&str], with: &str) -> bool {
        let wanted = addresses(wanted);
        let looked = Looked {
            wanted: state.failed_for.clone(),
            again_at: Instant::now() + Duration::from_hours(1),
        };
        let now = Timestamp(Timestamp::now().0 + 60);
        is_due(state, Some(&looked), &wanted, with, false, now)
    }

    #[test]
    fn another_address_or_token_lifts_a_pause_unless_the_provider_has_asked_for_it() {
        let (same, other) = (&["8.8.4.4"][..], &["8.8.8.8"][..]);
        for (kind, retry_at, of_address, of_token) in [
            (FailureKind::Unreachable, None, true, true),
            (FailureKind::Trouble, None, true, true),
            (FailureKind::Trouble, Some(1800), false, true),
            (FailureKind::RateLimited, Some(600), false, true),
            (FailureKind::Refused, None, true, true),
            (FailureKind::Final, None, false, true),
            (FailureKind::Address, None, true, true),
            (FailureKind::Setup, None, false, true),
        ] {
            let state = failed(kind, retry_at, 9);
            assert!(!is_due_soon(&state, same, "a"), "{kind:?}: nothing changed");
            assert_eq!(is_due_soon(&state, other, "a"), of_address, "{kind:?}");
            assert_eq!(is_due_soon(&state, same, "b"), of_token, "{kind:?}");
            if kind != FailureKind::Unreachable {
                assert!(!is_due_soon(&state, &[], "a"), "{kind:?}: the line went");
            }
        }
    }

    #[test]
    fn hours_without_a_line_are_no_failures_and_leave_no_pause_behind() {
        let state = failed(FailureKind::Unreachable, None, 500);
        assert_eq!((state.failures, state.next_try), (0, None));
        assert_eq!(
            state,
            failed(FailureKind::Unreachable, None, 1),
            "nothing to write"
        );
        let wanted = addresses(&["8.8.4.4"]);
        assert!(is_due(&state, None, &wanted, "a", false, NOW), "a restart");
        let over = Looked {
            wanted: wanted.clone(),
            again_at: Instant::now(),
        };
        assert!(is_due(&state, Some(&over), &wanted, "a", false, NOW));
    }

    #[test]
    fn a_restart_does_not_lift_what_a_provider_wants() {
        let wanted = addresses(&["8.8.4.4"]);
        for (kind, retry_at) in [
            (FailureKind::RateLimited, Some(600)),
            (FailureKind::Trouble, None),
            (FailureKind::Refused, None),
            (FailureKind::Final, None),
            (FailureKind::Address, None),
        ] {
            let state = failed(kind, retry_at, 4);
            let now = Timestamp::now();
            assert!(!is_due(&state, None, &wanted, "a", true, now), "{kind:?}");
            let later = Timestamp(now.0 + 24 * 3600);
            let is_last = matches!(kind, FailureKind::Final | FailureKind::Address);
            assert_eq!(
                is_due(&state, None, &wanted, "a", true, later),
                !is_last,
                "{kind:?}"
            );
        }
    }
}
