//! The programs behind a host: which one is asked next, and which is left out for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::http::Uri;

/// How long a program that could not be reached is left out, if another one can be asked.
const LEFT_OUT: Duration = Duration::from_secs(10);

/// What became of the last request.
const NEVER: u8 = 0;
const WELL: u8 = 1;
const FAILED: u8 = 2;

/// One program behind a host.
pub(super) struct Upstream {
    /// Its scheme, host and port.
    pub(super) base: Uri,
    in_flight: AtomicUsize,
    /// Milliseconds since the start until which it is left out; 0: never failed, or well again.
    out_until_ms: AtomicU64,
    /// Whether the last health check failed.
    is_ill: AtomicBool,
    /// [`NEVER`], [`WELL`] or [`FAILED`].
    last: AtomicU8,
}

/// All programs behind a host, at least one.
pub(super) struct Upstreams {
    all: Vec<Arc<Upstream>>,
    started: Instant,
    turn: AtomicUsize,
}

/// A request to a program, until dropped.
pub(super) struct Load(Arc<Upstream>);

impl Upstreams {
    /// None has failed yet.
    pub(super) fn new(bases: impl IntoIterator<Item = Uri>) -> Self {
        let upstream = |base| {
            Arc::new(Upstream {
                base,
                in_flight: AtomicUsize::new(0),
                out_until_ms: AtomicU64::new(0),
                is_ill: AtomicBool::new(false),
                last: AtomicU8::new(NEVER),
            })
        };
        Self {
            all: bases.into_iter().map(upstream).collect(),
            started: Instant::now(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The program to ask: of those that are well the one with the fewest requests, in turn where they are
    /// even. If none is well, the one that failed longest ago. `except` names one that was tried just now.
    pub(super) fn choose(&self, except: Option<&Upstream>) -> Option<&Arc<Upstream>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = self.now_ms();
        let count = self.all.len();
        let in_turn = (0..count).map(|i| &self.all[turn.wrapping_add(i) % count]);
        in_turn
            .filter(|upstream| {
                except.is_none_or(|tried| !std::ptr::eq(tried, Arc::as_ptr(upstream)))
            })
            .min_by_key(|upstream| {
                let out_until = upstream.out_until_ms.load(Ordering::Relaxed);
                let is_ill = upstream.is_ill.load(Ordering::Relaxed);
                let out_for = out_until.saturating_sub(now);
                (is_ill, out_for, upstream.in_flight.load(Ordering::Relaxed))
            })
    }

    /// Every program.
    pub(super) fn all(&self) -> &[Arc<Upstream>] {
        &self.all
    }

    /// It could not be reached, or did not answer in time.
    pub(super) fn failed(&self, upstream: &Upstream) {
        upstream.last.store(FAILED, Ordering::Relaxed);
        let until = self.now_ms() + u64::try_from(LEFT_OUT.as_millis()).unwrap_or(u64::MAX);
        if upstream.out_until_ms.swap(until, Ordering::Relaxed) == 0 {
            log::warn!(
                "{} cannot be reached or does not answer; it is left out for a while",
                upstream.base
            );
        }
    }

    /// Every program with whether it was well when it was asked last; `None` if it never was.
    pub(super) fn states(&self) -> impl Iterator<Item = (&Upstream, Option<bool>)> {
        self.all.iter().map(|upstream| {
            let is_ill = upstream.is_ill.load(Ordering::Relaxed);
            let was_well = match upstream.last.load(Ordering::Relaxed) {
                NEVER => None,
                last => Some(last == WELL),
            };
            (&**upstream, if is_ill { Some(false) } else { was_well })
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Upstream {
    /// Counts a request.
    pub(super) fn load(self: &Arc<Self>) -> Load {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Load(Arc::clone(self))
    }

    /// It answered.
    pub(super) fn answered(&self) {
        // Read first: every request comes by here.
        if self.last.load(Ordering::Relaxed) != WELL {
            self.last.store(WELL, Ordering::Relaxed);
        }
        if self.out_until_ms.load(Ordering::Relaxed) != 0 {
            self.out_until_ms.store(0, Ordering::Relaxed);
            log::info!("{} answers again", self.base);
        }
    }

    /// What a health check found.
    pub(super) fn checked(&self, is_well: bool) {
        let was_ill = self.is_ill.swap(!is_well, Ordering::Relaxed);
        match (was_ill, is_well) {
            (false, false) => log::warn!("{} is not well; it is left out", self.base),
            (true, true) => log::info!("{} is well again", self.base),
            _ => {}
        }
        if is_well {
            self.answered();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Upstreams;

    fn three() -> Upstreams {
        Upstreams::new(["http://a", "http://b", "http://c"].map(|base| base.parse().unwrap()))
    }

    fn next(upstreams: &Upstreams) -> String {
        upstreams.choose(None).unwrap().base.to_string()
    }

    #[test]
    fn those_that_are_well_take_turns_and_who_has_fewer_requests_comes_first() {
        let upstreams = three();
        let order: Vec<_> = (0..4).map(|_| next(&upstreams)).collect();
        assert_eq!(order, ["http://a/", "http://b/", "http://c/", "http://a/"]);
        let _loads: Vec<_> = upstreams.all()[..2]
            .iter()
            .map(super::Upstream::load)
            .collect();
        assert!((0..4).all(|_| next(&upstreams) == "http://c/"));
    }

    #[test]
    fn who_fails_is_left_out_and_comes_back_and_the_last_one_is_asked_all_the_same() {
        let upstreams = three();
        upstreams.failed(&upstreams.all()[0]);
        upstreams.all()[1].checked(false);
        assert!((0..6).all(|_| next(&upstreams) == "http://c/"));
        upstreams.failed(&upstreams.all()[2]);
        assert_eq!(
            next(&upstreams),
            "http://a/",
            "all failed: the first to fail"
        );
        upstreams.all()[0].answered();
        upstreams.all()[1].checked(true);
        let seen: std::collections::BTreeSet<_> = (0..6).map(|_| next(&upstreams)).collect();
        assert_eq!(seen.len(), 2, "{seen:?}");
    }

    #[test]
    fn a_program_is_said_to_be_as_it_was_when_it_was_asked_last() {
        let upstreams = three();
        let states = || -> Vec<_> { upstreams.states().map(|(_, was_well)| was_well).collect() };
        assert_eq!(states(), [None, None, None]);
        upstreams.failed(&upstreams.all()[0]);
        upstreams.all()[1].answered();
        upstreams.all()[2].checked(false);
        assert_eq!(states(), [Some(false), Some(true), Some(false)]);
        upstreams.all()[0].answered();
        upstreams.all()[2].checked(true);
        assert_eq!(states(), [Some(true); 3]);
    }

    #[test]
    fn what_was_tried_just_now_is_not_tried_again() {
        let upstreams = three();
        let first = upstreams.choose(None).unwrap();
        assert_ne!(upstreams.choose(Some(first)).unwrap().base, first.base);
        let one = Upstreams::new(["http://a".parse().unwrap()]);
        assert!(one.choose(one.choose(None).map(|first| &**first)).is_none());
    }
}
