//! How long a router is left alone that could not be asked.

use std::time::Duration;

use super::keeper::LOOK_EVERY;

/// After a failure: doubled each time, up to RFC 6887's half an hour for what stays so (section 7.4).
const FIRST_RETRY: Duration = Duration::from_mins(1);
const LAST_RETRY: Duration = Duration::from_mins(30);

/// Whether a router that has answered before is away, such as one that is switched off behind a switch that is not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Absence {
    has_answered: bool,
    is_silent: bool,
}

impl Absence {
    /// How it was met now; `was_asked` if it has granted something before.
    pub(super) fn note(&mut self, is_silent: bool, was_asked: bool) {
        self.is_silent = is_silent;
        self.has_answered |= was_asked || !is_silent;
    }

    /// Time until the next try, after so many failures. One that has never answered will hardly do so, and one that
    /// refuses has said so.
    pub(super) fn pause_after(self, failures: u32) -> Duration {
        if self.has_answered && self.is_silent {
            return LOOK_EVERY;
        }
        let doubled = FIRST_RETRY * 2_u32.pow(failures.saturating_sub(1).min(8));
        doubled.min(LAST_RETRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_is_away_is_asked_each_minute_and_one_that_refuses_ever_more_rarely() {
        // Whether it is silent, and whether it was asked for something before.
        for (rounds, pauses) in [
            (&[(false, false), (true, false)][..], [1, 1, 1]),
            (&[(true, true)], [1, 1, 1]),
            (&[(true, false)], [1, 4, 30]),
            (&[(false, false)], [1, 4, 30]),
            (&[(true, true), (false, true)], [1, 4, 30]),
        ] {
            let mut absence = Absence::default();
            for (is_silent, was_asked) in rounds {
                absence.note(*is_silent, *was_asked);
            }
            let found = [1, 3, 90].map(|failures| absence.pause_after(failures));
            assert_eq!(
                found,
                pauses.map(|minutes| LOOK_EVERY * minutes),
                "{rounds:?}"
            );
        }
        assert_eq!(LAST_RETRY, LOOK_EVERY * 30);
    }
}
