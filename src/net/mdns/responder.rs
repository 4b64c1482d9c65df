//! What a machine says of its name, and when: the rules of RFC 6762, without sockets.
//!
//! A responder is told which networks there are, what was received and what time it is; it says what is to be sent.
//! It keeps nothing of what others send, so that nobody fills its memory. There is one name for all networks: the
//! first conflict on one of them gives another name to all.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use domain::base::Rtype;

use super::{
    conflicts::Conflicts,
    link::{Family, Group, Link, Phase, TIMES_ASKED},
    message::{Message, Question, Record},
    networks::Here,
    reclaim::Reclaim,
    records::OurNames,
};

/// Between two questions whether somebody has a name (RFC 6762 section 8.1).
const BETWEEN_PROBES: Duration = Duration::from_millis(250);
/// Questions before a name is ours.
const PROBES: u8 = 3;
/// Between two announcements (RFC 6762 section 8.3).
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_secs(1);
const ANNOUNCEMENTS: u8 = 2;
/// After the last number, the first name is tried again.
const LAST_NUMBER: u32 = 99;
/// Messages of our own that are known when they come back.
const KNOWN_MESSAGES: usize = 64;

/// Who gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Everybody on the network, over all there is.
    All,
    /// Everybody on the network.
    Everybody(Family),
    /// Who asked.
    One(SocketAddr),
}

/// A message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// The number of the interface.
    pub(super) link: u32,
    pub(super) to: To,
    pub(super) bytes: Vec<u8>,
}

/// What a machine says of its name.
#[derive(Debug)]
pub(super) struct Responder {
    wanted: String,
    port: u16,
    /// 1 for the wanted name, 2 for the one with `-2`.
    number: u32,
    /// The same, for the website.
    website_number: u32,
    pub(super) names: OurNames,
    pub(super) own: Vec<IpAddr>,
    pub(super) links: Vec<Link>,
    conflicts: Conflicts,
    /// When the wanted name is asked for again, if it is not ours.
    pub(super) reclaim: Reclaim,
    /// Of what was sent to everybody: it comes back, and over another network of ours too.
    sent: VecDeque<u64>,
    outgoing: Vec<Outgoing>,
}

impl Responder {
    /// For a machine with this name, which is one label, and a website on this port.
    pub(super) fn new(wanted: &str, port: u16) -> Self {
        Self {
            wanted: wanted.to_owned(),
            port,
            number: 1,
            website_number: 1,
            names: OurNames::new(wanted, None),
            own: Vec::new(),
            links: Vec::new(),
            conflicts: Conflicts::default(),
            reclaim: Reclaim::Never,
            sent: VecDeque::new(),
            outgoing: Vec::new(),
        }
    }

    /// The name, with a number if another machine has the wanted one.
    pub(super) fn name(&self) -> String {
        match self.number {
            1 => self.wanted.clone(),
            number => format!("{}-{number}", self.wanted),
        }
    }

    /// The name that it is to have.
    pub(super) fn wanted(&self) -> &str {
        &self.wanted
    }

    /// Whether it has that.
    pub(super) fn has_wanted(&self) -> bool {
        self.number == 1
    }

    /// Whether the name is the machine's on all of its networks.
    pub(super) fn is_settled(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(|link| !link.is_probing())
    }

    /// These are the networks from now on.
    pub(super) fn replace(&mut self, here: Here, now: Instant) {
        self.own = here.own;
        let is_there = |link: &Link| here.networks.iter().any(|n| n.index == link.network.index);
        self.links.retain(is_there);
        let mut is_other = false;
        for network in here.networks {
            let is_it = |link: &&mut Link| link.network.index == network.index;
            match self.links.iter_mut().find(is_it) {
                Some(link) if link.network == network => {}
                Some(link) => {
                    link.network = network;
                    is_other = true;
                    // RFC 6762 section 8.4: what has changed is said again.
                    if !link.is_probing() {
                        link.phase = Phase::Announcing { said: 0, next: now };
                    }
                }
                None => {
                    is_other = true;
                    self.links.push(Link::new(network, now));
                }
            }
        }
        if is_other {
            self.reclaim_soon(now);
        }
    }

    /// Something was received on this network.
    pub(super) fn receive(&mut self, link: u32, source: SocketAddr, bytes: &[u8], now: Instant) {
        if self.sent.contains(&mark(bytes)) {
            return;
        }
        let Some(at) = self.links.iter().position(|l| l.network.index == link) else {
            return;
        };
        let Some(message) = Message::read(bytes) else {
            return;
        };
        if message.is_response {
            // RFC 6762 section 6: an answer comes from this port.
            if source.port() == super::PORT {
                self.heard(at, source.ip(), &message, now);
            }
            return;
        }
        if !message.intended.is_empty() {
            self.somebody_intends(at, source.ip(), &message, now);
        }
        self.asked(at, source, &message, now);
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        for at in 0..self.links.len() {
            self.look_for_the_system(at, now);
            for (group, family) in self.links[at].due(now) {
                if self.links[at].may_say(group, family, false, now) {
                    let answers = self.records_of(group, at);
                    self.say(at, &[group], answers, To::Everybody(family));
                }
            }
            match self.links[at].phase {
                Phase::Probing { asked, next } if next <= now && asked < PROBES => {
                    self.probe(at);
                    self.links[at].phase = Phase::Probing {
                        asked: asked + 1,
                        next: now + BETWEEN_PROBES,
                    };
                }
                Phase::Probing { next, .. } if next <= now => self.announce(at, 0, now),
                Phase::Announcing { said, next } if next <= now => self.announce(at, said, now),
                _ => {}
            }
        }
        self.reclaim_in_time(now);
    }

    /// When [`Responder::tick`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let of_links = self.links.iter().filter_map(Link::next);
        // As long as it is not known what this machine is called, the wanted name waits, also when its time has come.
        let reclaim = self.reclaim.next().filter(|_| self.is_settled());
        of_links.chain(reclaim).min()
    }

    /// Takes what is to be sent.
    pub(super) fn outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// Says that nothing of it is so any longer (RFC 6762 section 10.1).
    pub(super) fn say_goodbye(&mut self) {
        for at in 0..self.links.len() {
            if self.links[at].is_probing() {
                continue;
            }
            let mut answers = self.everything(at);
            for record in &mut answers {
                record.ttl_s = 0;
            }
            self.send(at, To::All, &response(answers, Vec::new()));
        }
    }

    /// Another machine has the name.
    pub(super) fn host_is_taken(&mut self, at: usize, now: Instant) {
        let again = now + self.conflicts.one_more(now);
        if !self.links[at].is_probing() {
            // RFC 6762 section 9: first we ask once more whose it is.
            self.links[at].probe_at(again);
            return;
        }
        self.number = self.number % LAST_NUMBER + 1;
        self.website_number = 1;
        self.rename(again);
        for link in &mut self.links {
            link.system = None;
        }
    }

    /// Another website has the website's name.
    pub(super) fn website_is_taken(&mut self, at: usize, now: Instant) {
        let again = now + self.conflicts.one_more(now);
        if self.links[at].is_probing() {
            self.website_number = self.website_number % LAST_NUMBER + 1;
            self.rename(again);
        } else {
            self.links[at].probe_at(again);
        }
    }

    /// Takes the wanted name, if nobody says that it is theirs.
    pub(super) fn take_wanted(&mut self, now: Instant) {
        (self.number, self.website_number) = (1, 1);
        self.rename(now);
    }

    fn rename(&mut self, again: Instant) {
        let number = (self.website_number > 1).then_some(self.website_number);
        self.names = OurNames::new(&self.name(), number);
        for link in &mut self.links {
            link.probe_at(again);
        }
    }

    /// Asks the system's responder, if it has the name, whether that is still so; if not, the name is ours.
    fn look_for_the_system(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        let Some(system) = link.system.as_mut().filter(|system| system.next <= now) else {
            return;
        };
        if system.asked >= TIMES_ASKED {
            link.system = None;
            link.probe_at(now + super::conflicts::at_most(BETWEEN_ANNOUNCEMENTS));
            return;
        }
        system.ask(now);
        let question = Question {
            name: self.names.host.clone(),
            kind: Rtype::ANY,
            is_for_one: false,
        };
        let message = Message {
            questions: vec![question],
            ..Message::default()
        };
        self.send(at, To::All, &message);
    }

    /// Asks whether somebody has our names, and says what we want them for (RFC 6762 sections 8.1 and 8.2).
    fn probe(&mut self, at: usize) {
        let mut intended = self.links[at].addresses(&self.names);
        let mut names = vec![&self.names.host, &self.names.instance];
        if intended.is_empty() {
            names.remove(0);
        }
        let question = |name: &&super::message::Owner| Question {
            name: (*name).clone(),
            kind: Rtype::ANY,
            // RFC 6762 section 15.1: where there are several responders, an answer to one of them gets lost.
            is_for_one: false,
        };
        let questions = names.iter().map(question).collect();
        intended.extend(self.names.website(self.port));
        for record in &mut intended {
            record.is_unique = false;
        }
        let message = Message {
            questions,
            intended,
            ..Message::default()
        };
        self.send(at, To::All, &message);
    }

    fn announce(&mut self, at: usize, said: u8, now: Instant) {
        let answers = self.everything(at);
        self.send(at, To::All, &response(answers, Vec::new()));
        self.links[at].phase = if said + 1 < ANNOUNCEMENTS {
            Phase::Announcing {
                said: said + 1,
                next: now + BETWEEN_ANNOUNCEMENTS,
            }
        } else {
            Phase::Settled
        };
    }

    /// All that there is to say on a network unasked.
    fn everything(&self, at: usize) -> Vec<Record> {
        let mut records = self.links[at].addresses(&self.names);
        records.extend(self.names.website(self.port));
        records.push(self.names.in_the_list());
        records
    }

    /// What a network is told of one thing.
    pub(super) fn records_of(&self, group: Group, at: usize) -> Vec<Record> {
        match group {
            Group::Host => self.links[at].addresses(&self.names),
            Group::Website => self.names.website(self.port),
            Group::List => vec![self.names.in_the_list()],
            Group::Kinds => vec![self.names.in_the_list_of_kinds()],
        }
    }

    /// Says this, with what who asks for it will ask for next.
    pub(super) fn say(&mut self, at: usize, groups: &[Group], answers: Vec<Record>, to: To) {
        let additional = self.additional(at, groups, &answers);
        self.send(at, to, &response(answers, additional));
    }

    /// RFC 6763 section 12, and RFC 6762 section 6.2.
    pub(super) fn additional(
        &self,
        at: usize,
        groups: &[Group],
        answers: &[Record],
    ) -> Vec<Record> {
        let mut more = Vec::new();
        if groups.contains(&Group::List) {
            more.extend(self.records_of(Group::Website, at));
        }
        if groups.iter().any(|group| *group != Group::Kinds) {
            more.extend(self.records_of(Group::Host, at));
        }
        more.retain(|record| !answers.iter().any(|answer| answer.says(record)));
        more
    }

    /// Sends a message.
    pub(super) fn send(&mut self, at: usize, to: To, message: &Message) {
        let bytes = message.write();
        if !matches!(to, To::One(_)) {
            if self.sent.len() == KNOWN_MESSAGES {
                self.sent.pop_front();
            }
            self.sent.push_back(mark(&bytes));
        }
        let link = self.links[at].network.index;
        self.outgoing.push(Outgoing { link, to, bytes });
    }
}

/// An answer.
pub(super) fn response(answers: Vec<Record>, additional: Vec<Record>) -> Message {
    Message {
        is_response: true,
        answers,
        additional,
        ..Message::default()
    }
}

fn mark(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[path = "responder_tests.rs"]
mod tests;
