//! Whether who knocks at port 443 of this home comes to this site, as far as that is known; and what speaks against it,
//! of port 80 too.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use super::router::{HTTP, HTTPS};
use crate::base::Timestamp;

/// What others have found out, who look at it anyway; one for all threads.
#[derive(Debug, Default)]
pub struct FrontDoor {
    by_router: AtomicBool,
    by_doctor: AtomicBool,
    /// Seconds of Unix time; 0 for never.
    closed_at: AtomicI64,
    closings: AtomicU64,
    against: Mutex<Against>,
}

/// What speaks against it, as who has looked last says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Against {
    /// Nobody outside gets to the router's own address: the provider shares it, or another router stands in front.
    pub is_unreachable: bool,
    /// The router does not pass port 80 on to this machine: it refuses, or says so.
    pub is_http_refused: bool,
    /// The same of port 443.
    pub is_https_refused: bool,
}

impl FrontDoor {
    /// The router passes it on, or does not.
    pub fn note_router(&self, is_open: bool) {
        let was_open = self.by_router.swap(is_open, Ordering::Relaxed);
        if was_open && !is_open {
            self.closings.fetch_add(1, Ordering::SeqCst);
            self.by_doctor.store(false, Ordering::SeqCst);
            self.closed_at.store(Timestamp::now().0, Ordering::Relaxed);
        }
    }

    /// How often the router has closed it: who looks for a while asks before, and tells it [`FrontDoor::note_doctor`].
    pub fn closings(&self) -> u64 {
        self.closings.load(Ordering::SeqCst)
    }

    /// The doctor has knocked there, and this site has answered, or has not. If it was closed since that look began,
    /// what was seen says nothing of now.
    pub fn note_doctor(&self, is_open: bool, closings_before: u64) {
        self.by_doctor.store(is_open, Ordering::SeqCst);
        // Asked afterwards, so that a door that is closed at this moment stays closed.
        if self.closings() != closings_before {
            self.by_doctor.store(false, Ordering::SeqCst);
        }
    }

    /// Somebody has looked whether the router's own address is one that nobody outside gets to. If that was not told
    /// (`None`), what is known of it stays.
    pub fn note_unreachable(&self, is_unreachable: Option<bool>) {
        if let Some(is_unreachable) = is_unreachable {
            self.locked().is_unreachable = is_unreachable;
        }
    }

    /// The router refuses to pass a port on, or says that it does not; or neither.
    pub fn note_refused(&self, external: u16, is_refused: bool) {
        let mut against = self.locked();
        match external {
            HTTPS => against.is_https_refused = is_refused,
            HTTP => against.is_http_refused = is_refused,
            _ => {}
        }
    }

    /// Nobody asks the router for ports any more. That changes nothing of its address.
    pub fn forget_refusals(&self) {
        let mut against = self.locked();
        against.is_http_refused = false;
        against.is_https_refused = false;
    }

    /// What speaks against it.
    pub fn against(&self) -> Against {
        *self.locked()
    }

    fn locked(&self) -> MutexGuard<'_, Against> {
        self.against.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the doctor has met this site there.
    pub fn is_proved(&self) -> bool {
        self.by_doctor.load(Ordering::Relaxed)
    }

    /// Whether one of them says so.
    pub fn is_open(&self) -> bool {
        self.by_router.load(Ordering::Relaxed) || self.by_doctor.load(Ordering::Relaxed)
    }

    /// When the router stopped to pass it on, because the owner wanted that or by itself: who came before says nothing
    /// of what is now.
    pub fn closed_at(&self) -> Option<Timestamp> {
        let at = self.closed_at.load(Ordering::Relaxed);
        (at > 0).then_some(Timestamp(at))
    }
}

#[cfg(test)]
mod tests {
    use super::{Against, FrontDoor};

    #[test]
    fn it_is_open_if_one_says_so_and_closed_only_where_it_was_open() {
        let door = FrontDoor::default();
        door.note_router(false);
        assert!(!door.is_open() && door.closed_at().is_none());
        door.note_doctor(true, door.closings());
        assert!(door.is_open());
        door.note_router(true);
        door.note_router(false);
        assert!(!door.is_open(), "what the doctor saw was before");
        assert!(door.closed_at().is_some());
    }

    #[test]
    fn an_address_that_nobody_gets_to_is_known_until_another_is_seen_whatever_becomes_of_the_ports()
    {
        let door = FrontDoor::default();
        let unreachable = Against {
            is_unreachable: true,
            ..Against::default()
        };
        door.note_unreachable(Some(true));
        door.note_unreachable(None);
        assert_eq!(door.against(), unreachable, "a look that found nothing out");
        door.note_refused(80, true);
        door.note_refused(443, true);
        door.forget_refusals();
        assert_eq!(door.against(), unreachable, "refusals are forgotten");
        door.note_unreachable(Some(false));
        assert_eq!(door.against(), Against::default());
    }

    #[test]
    fn a_door_that_was_closed_while_the_doctor_looked_stays_closed_until_the_next_look() {
        let door = FrontDoor::default();
        door.note_router(true);
        let before = door.closings();
        door.note_router(false);
        door.note_doctor(true, before);
        assert!(!door.is_open());
        door.note_doctor(true, door.closings());
        assert!(door.is_open());
    }
}
