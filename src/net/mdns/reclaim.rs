//! The wanted name, for a machine that had to take another one: whether it is free again.
//!
//! The machine keeps the name that it has while it asks, once and rarely, and only takes the wanted one if nobody says
//! that it is theirs. Then it asks three times more, as for every new name (RFC 6762 section 8.1). So who has the name
//! is asked little, and a name changes only when it really is free.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use domain::base::Rtype;

use super::{
    conflicts::at_most,
    message::{Message, Question, Record},
    records::OurNames,
    responder::{Responder, To},
};

/// How often it is asked, and by how much longer it may be, by chance, so that not all ask at once.
const EVERY: Duration = Duration::from_mins(10);
const CHANCE: Duration = Duration::from_mins(1);
/// After the network has changed.
const SOON: Duration = Duration::from_secs(2);
/// Time for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far we are with that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reclaim {
    /// There is nothing to ask, or it is not known yet when.
    #[default]
    Never,
    /// It is asked then.
    At(Instant),
    /// It was asked, and if nobody has answered until then, it is free.
    Asked(Instant),
}

impl Reclaim {
    /// When there is something to do.
    pub(super) fn next(self) -> Option<Instant> {
        match self {
            Self::Never => None,
            Self::At(at) | Self::Asked(at) => Some(at),
        }
    }
}

impl Responder {
    /// Asks whether the wanted name is free, when it is time for that, and takes it if it is.
    pub(super) fn reclaim_in_time(&mut self, now: Instant) {
        if self.has_wanted() {
            self.reclaim = Reclaim::Never;
            return;
        }
        if !self.is_settled() {
            // When it is to be asked stays; an answer that was waited for counts no more.
            if matches!(self.reclaim, Reclaim::Asked(_)) {
                self.reclaim = Reclaim::Never;
            }
            return;
        }
        match self.reclaim {
            Reclaim::Never => self.reclaim = Reclaim::At(now + EVERY + at_most(CHANCE)),
            Reclaim::At(at) if at <= now => {
                self.ask_for_wanted();
                self.reclaim = Reclaim::Asked(now + PATIENCE);
            }
            Reclaim::Asked(until) if until <= now => {
                self.reclaim = Reclaim::Never;
                self.say_goodbye();
                self.take_wanted(now);
            }
            Reclaim::At(_) | Reclaim::Asked(_) => {}
        }
    }

    /// The network is another one: who had the name may not be there.
    pub(super) fn reclaim_soon(&mut self, now: Instant) {
        if !self.has_wanted() {
            self.reclaim = Reclaim::At(now + SOON + at_most(SOON));
        }
    }

    /// Somebody says something, or is about to take a name: whether that is the one that we have asked for.
    pub(super) fn heard_of_wanted<'a>(
        &mut self,
        from: IpAddr,
        records: impl IntoIterator<Item = &'a Record>,
    ) {
        if !matches!(self.reclaim, Reclaim::Asked(_)) {
            return;
        }
        let host = self.wanted_names().host;
        let mut records = records.into_iter();
        if records.any(|record| record.owner == host && self.is_of_another(record, from)) {
            self.reclaim = Reclaim::Never;
        }
    }

    fn ask_for_wanted(&mut self) {
        let question = Question {
            name: self.wanted_names().host,
            kind: Rtype::ANY,
            is_for_one: false,
        };
        let message = Message {
            questions: vec![question],
            ..Message::default()
        };
        for at in 0..self.links.len() {
            self.send(at, To::All, &message);
        }
    }

    fn wanted_names(&self) -> OurNames {
        OurNames::new(self.wanted(), None)
    }
}
