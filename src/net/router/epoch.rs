//! Whether a router has started anew and forgotten everything, by the seconds that it counts.

use std::time::Instant;

/// After so many restarts in a row, seen at as many questions, it is the router's clock that stands still.
const MOST_RESTARTS: u32 = 3;

/// When a router was asked last, and its seconds then.
#[derive(Default)]
pub(super) struct Epoch {
    last: Option<(Instant, u32)>,
    /// How many times in a row it seemed to have started anew.
    restarts: u32,
}

impl Epoch {
    /// Whether the router's seconds say that it has started anew and knows nothing more (RFC 6887 section 8.5, RFC 6886
    /// section 3.6).
    pub(super) fn is_anew(&mut self, seconds: Option<u32>) -> bool {
        let Some(now_s) = seconds else {
            return false;
        };
        let before = self.last.replace((Instant::now(), now_s));
        let is_anew =
            before.is_some_and(|(at, then_s)| is_anew(then_s, now_s, at.elapsed().as_secs()));
        let is_believed = self.is_believed(is_anew);
        if is_believed {
            log::info!("the router has started anew; what it was asked for is asked for again");
        }
        is_believed
    }

    /// Seconds that do not pass, or jump each time, say nothing of restarts.
    fn is_believed(&mut self, is_anew: bool) -> bool {
        self.restarts = if is_anew {
            self.restarts.saturating_add(1)
        } else {
            0
        };
        if self.restarts == MOST_RESTARTS + 1 {
            log::info!(
                "the router's seconds do not pass as they must, and are not believed any more"
            );
        }
        is_anew && self.restarts <= MOST_RESTARTS
    }
}

/// Two seconds and a sixteenth of the time are no difference.
fn is_anew(then_s: u32, now_s: u32, passed_s: u64) -> bool {
    let (Some(server), client) = (
        now_s.checked_add(1).and_then(|now| now.checked_sub(then_s)),
        passed_s,
    ) else {
        return true;
    };
    let server = u64::from(server.saturating_sub(1));
    client + 2 < server - server / 16 || server + 2 < client - client / 16
}

#[cfg(test)]
mod tests {
    use super::{Epoch, is_anew};

    #[test]
    fn seconds_that_stand_still_are_not_believed_for_ever() {
        let mut epoch = Epoch::default();
        let believed = [true, true, true, true, true, false, true];
        let believed = believed.map(|is_anew| epoch.is_believed(is_anew));
        assert_eq!(believed, [true, true, true, false, false, false, true]);
    }

    #[test]
    fn a_router_that_started_anew_is_known_by_its_seconds() {
        for (then, now, passed, anew) in [
            (100, 400, 300, false),
            (100, 398, 300, false),
            (100, 5, 300, true),
            // In the time since, it has counted further than before.
            (100, 150, 300, true),
            (100, 4000, 300, true),
            (100, 99, 0, false),
            (0, 3600, 3500, false),
        ] {
            assert_eq!(is_anew(then, now, passed), anew, "{then} {now} {passed}");
        }
    }
}
