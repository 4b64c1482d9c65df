//! One network on which a name is announced: how far that is, and what was said there lately.

use std::time::{Duration, Instant};

use super::{
    conflicts::{CHANCE, at_most},
    message::Record,
    networks::Network,
    records::OurNames,
};

/// The least time between two of the same answers to everybody (RFC 6762 section 6).
const GAP: Duration = Duration::from_secs(1);
/// The same, where somebody is about to take a name (the same section).
const SHORT_GAP: Duration = Duration::from_millis(250);
/// Answers to one asker alone, in a second.
const MOST_ALONE: u32 = 50;
/// How often the system's responder is asked whether it still has the name.
const LOOK_EVERY: Duration = Duration::from_mins(2);
/// Times that it is asked before it counts as gone.
pub(super) const TIMES_ASKED: u8 = 3;
/// After which it counts as not having answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a message goes over a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// What belongs together in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// The machine's addresses.
    Host,
    /// Its website.
    Website,
    /// The list of websites, in which others are too.
    List,
    /// The list of kinds of services.
    Kinds,
}

impl Group {
    /// Whether others say something of the same name: then one waits a moment (RFC 6762 section 6).
    pub(super) fn is_shared(self) -> bool {
        matches!(self, Self::List | Self::Kinds)
    }
}

/// How far we are with our names (RFC 6762 section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// We ask whether somebody has them, three times.
    Probing { asked: u8, next: Instant },
    /// We say that they are ours, twice.
    Announcing { said: u8, next: Instant },
    /// We answer who asks.
    Settled,
}

/// Another responder of this machine (Avahi, systemd-resolved) that has the name: it is left to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct System {
    /// Times that it was asked since it was heard.
    pub(super) asked: u8,
    /// When it is asked again, or given up.
    pub(super) next: Instant,
}

impl System {
    pub(super) fn heard(now: Instant) -> Self {
        Self {
            asked: 0,
            next: now + LOOK_EVERY,
        }
    }

    /// It says that it goes.
    pub(super) fn goes(now: Instant) -> Self {
        Self {
            asked: TIMES_ASKED - 1,
            next: now,
        }
    }

    /// It is asked now.
    pub(super) fn ask(&mut self, now: Instant) {
        self.asked += 1;
        self.next = now + PATIENCE;
    }
}

/// An answer that waits for a moment.
#[derive(Clone, Copy, Debug)]
struct Pending {
    due: Instant,
    family: Family,
    group: Group,
}

/// A network, and how it stands with our names there.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) network: Network,
    pub(super) phase: Phase,
    pub(super) system: Option<System>,
    /// When something was said to everybody.
    last: Vec<(Group, Family, Instant)>,
    pending: Vec<Pending>,
    /// The second that is counted, and the answers in it.
    alone: (Instant, u32),
}

impl Link {
    /// On this network, nothing is known yet.
    pub(super) fn new(network: Network, now: Instant) -> Self {
        Self {
            network,
            phase: Phase::Probing {
                asked: 0,
                next: now + at_most(CHANCE),
            },
            system: None,
            last: Vec::new(),
            pending: Vec::new(),
            alone: (now, 0),
        }
    }

    /// Asks from the beginning whether somebody has our names.
    pub(super) fn probe_at(&mut self, next: Instant) {
        self.phase = Phase::Probing { asked: 0, next };
        self.pending.clear();
    }

    pub(super) fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. })
    }

    /// The addresses, unless another program of this machine says them.
    pub(super) fn addresses(&self, names: &OurNames) -> Vec<Record> {
        if self.system.is_some() {
            return Vec::new();
        }
        names.addresses(&self.network.addresses)
    }

    /// Whether this may be said to everybody now; it counts as said then.
    pub(super) fn may_say(
        &mut self,
        group: Group,
        family: Family,
        is_defence: bool,
        now: Instant,
    ) -> bool {
        let gap = if is_defence { SHORT_GAP } else { GAP };
        let is_it = |said: &&mut (Group, Family, Instant)| (said.0, said.1) == (group, family);
        match self.last.iter_mut().find(is_it) {
            Some(said) if now.saturating_duration_since(said.2) < gap => false,
            Some(said) => {
                said.2 = now;
                true
            }
            None => {
                self.last.push((group, family, now));
                true
            }
        }
    }

    /// Whether one more may be answered alone now.
    pub(super) fn may_answer_one(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.alone.0) >= Duration::from_secs(1) {
            self.alone = (now, 0);
        }
        self.alone.1 += 1;
        self.alone.1 <= MOST_ALONE
    }

    /// Answers in a moment, between 20 and 120 ms from now (RFC 6762 section 6).
    pub(super) fn answer_soon(&mut self, group: Group, family: Family, now: Instant) {
        let waits = |p: &Pending| (p.group, p.family) == (group, family);
        if !self.pending.iter().any(waits) {
            let due = now + Duration::from_millis(20) + at_most(Duration::from_millis(100));
            self.pending.push(Pending { due, family, group });
        }
    }

    /// The answers whose moment has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(Group, Family)> {
        let due = self.pending.iter().filter(|p| p.due <= now);
        let due: Vec<_> = due.map(|p| (p.group, p.family)).collect();
        self.pending.retain(|p| p.due > now);
        due
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Probing { next, .. } | Phase::Announcing { next, .. } => Some(next),
            Phase::Settled => None,
        };
        let pending = self.pending.iter().map(|p| p.due);
        let system = self.system.map(|system| system.next);
        phase.into_iter().chain(pending).chain(system).min()
    }
}
