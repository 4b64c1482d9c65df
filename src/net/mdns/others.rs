//! What others say and ask, and what it means for our names.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use domain::base::Rtype;

use super::{
    link::{Family, Group, System},
    message::{Message, Owner, Question, Record},
    records::OurNames,
    responder::{Responder, To, response},
};

/// Who loses a name to somebody who wants it at the same time, asks again after this (RFC 6762 section 8.2).
const AFTER_A_LOSS: Duration = Duration::from_secs(1);
/// How long who asks from another port believes an answer (RFC 6762 section 6.7).
const SIMPLE_TTL_S: u32 = 10;

/// Whose an address record is.
enum Says {
    /// It is another machine's.
    Another,
    /// Another program of this machine has our name, and says our addresses.
    System,
    /// It says that it has it no longer.
    SystemGoes,
    /// Somebody repeats what we say.
    Nothing,
}

impl Responder {
    /// Somebody says something.
    pub(super) fn heard(&mut self, at: usize, from: IpAddr, message: &Message, now: Instant) {
        let records = message.answers.iter().chain(&message.additional);
        self.heard_of_wanted(from, records.clone());
        let (mut of_host, mut is_website_taken) = (Says::Nothing, false);
        let website = self.records_of(Group::Website, at);
        for record in records {
            if is_address(record) && record.owner == self.names.host {
                of_host = match (of_host, self.says(record, from)) {
                    // One of ours among several is ours.
                    (Says::System, _) | (_, Says::System) => Says::System,
                    (Says::Another, _) | (_, Says::Another) => Says::Another,
                    (Says::SystemGoes, _) | (_, Says::SystemGoes) => Says::SystemGoes,
                    _ => Says::Nothing,
                };
            } else if record.owner == self.names.instance && record.ttl_s > 0 {
                let is_of_kind = website.iter().any(|ours| ours.kind == record.kind);
                is_website_taken |= is_of_kind && !website.iter().any(|ours| ours.says(record));
            }
        }
        match of_host {
            Says::System => self.leave_to_the_system(at, now),
            Says::SystemGoes => {
                if let Some(system) = &mut self.links[at].system {
                    *system = System::goes(now);
                }
            }
            // If the system has the name, it is the system that has the conflict.
            Says::Another if self.links[at].system.is_none() => self.host_is_taken(at, now),
            Says::Another | Says::Nothing => {}
        }
        if is_website_taken {
            self.website_is_taken(at, now);
        }
    }

    fn says(&self, record: &Record, from: IpAddr) -> Says {
        match (self.own.contains(&from), record.ttl_s) {
            (true, 0) => Says::SystemGoes,
            (true, _) => Says::System,
            (false, 0) => Says::Nothing,
            (false, _) if address_of(record).is_some_and(|ip| self.own.contains(&ip)) => {
                Says::Nothing
            }
            (false, _) => Says::Another,
        }
    }

    /// Whether an address of another machine is said.
    pub(super) fn is_of_another(&self, record: &Record, from: IpAddr) -> bool {
        is_address(record) && matches!(self.says(record, from), Says::Another)
    }

    /// The name is said by another program of this machine, which has it for all of its services.
    fn leave_to_the_system(&mut self, at: usize, now: Instant) {
        let link = &mut self.links[at];
        if link.system.is_none() {
            log::info!(
                "{} is announced on {} by this system's own responder; that is left to it",
                self.names.host,
                link.network.name
            );
        }
        link.system = Some(System::heard(now));
    }

    /// Somebody is about to take names (RFC 6762 section 8.2).
    pub(super) fn somebody_intends(
        &mut self,
        at: usize,
        from: IpAddr,
        message: &Message,
        now: Instant,
    ) {
        self.heard_of_wanted(from, &message.intended);
        let of = |name: &Owner| -> Vec<&Record> {
            let records = message.intended.iter();
            records.filter(|record| record.owner == *name).collect()
        };
        let for_host: Vec<&Record> = of(&self.names.host);
        let is_ours = |record: &&&Record| {
            is_address(record) && address_of(record).is_some_and(|ip| self.own.contains(&ip))
        };
        if self.own.contains(&from) && for_host.iter().any(|record| is_ours(&record)) {
            // Two programs of one machine would answer each other for ever.
            self.leave_to_the_system(at, now);
            return;
        }
        if !self.links[at].is_probing() {
            return;
        }
        let wanted = self.links[at].addresses(&self.names);
        let website = self.records_of(Group::Website, at);
        let lost = [(for_host, wanted), (of(&self.names.instance), website)]
            .iter()
            .any(|(theirs, ours)| {
                !theirs.is_empty()
                    && !ours.is_empty()
                    && in_order(ours.iter()) < in_order(theirs.iter().copied())
            });
        if lost {
            self.links[at].probe_at(now + AFTER_A_LOSS);
        }
    }

    /// Somebody asks something.
    pub(super) fn asked(&mut self, at: usize, source: SocketAddr, message: &Message, now: Instant) {
        if self.links[at].is_probing() {
            return;
        }
        let mut found: Vec<(Group, Vec<Record>)> = Vec::new();
        for question in &message.questions {
            let Some((group, mut records)) = self.answer(at, question) else {
                continue;
            };
            // RFC 6762 section 7.1: who knows it, and has half of its time left, is not told.
            let is_known = |record: &Record| {
                let known = message.answers.iter();
                known
                    .filter(|known| known.says(record))
                    .any(|known| known.ttl_s >= record.ttl_s / 2)
            };
            records.retain(|record| !is_known(record));
            let told = |record: &Record| found.iter().any(|(_, f)| f.contains(record));
            records.retain(|record| !told(record));
            if !records.is_empty() {
                found.push((group, records));
            }
        }
        let is_simple = source.port() != super::PORT;
        let is_defence = !message.intended.is_empty();
        let for_one = message.questions.iter().all(|q| q.is_for_one);
        if found.is_empty() {
        } else if is_simple || (for_one && !is_defence) {
            self.answer_one(at, source, message, found, now);
        } else {
            self.answer_everybody(at, source.ip(), found, is_defence, now);
        }
    }

    fn answer_one(
        &mut self,
        at: usize,
        source: SocketAddr,
        message: &Message,
        found: Vec<(Group, Vec<Record>)>,
        now: Instant,
    ) {
        // Who is elsewhere may be somebody that is to be flooded with answers (RFC 6762 section 11).
        if !self.links[at].network.has(source.ip()) || !self.links[at].may_answer_one(now) {
            return;
        }
        let groups: Vec<Group> = found.iter().map(|(group, _)| *group).collect();
        let answers: Vec<Record> = found.into_iter().flat_map(|(_, records)| records).collect();
        let additional = self.additional(at, &groups, &answers);
        let mut answer = response(answers, additional);
        if source.port() != super::PORT {
            // It knows only unicast DNS (RFC 6762 section 6.7).
            answer.id = message.id;
            answer.questions.clone_from(&message.questions);
            for record in answer.answers.iter_mut().chain(&mut answer.additional) {
                record.ttl_s = record.ttl_s.min(SIMPLE_TTL_S);
                record.is_unique = false;
            }
        }
        self.send(at, To::One(source), &answer);
    }

    fn answer_everybody(
        &mut self,
        at: usize,
        from: IpAddr,
        found: Vec<(Group, Vec<Record>)>,
        is_defence: bool,
        now: Instant,
    ) {
        let family = if from.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        let (mut groups, mut answers) = (Vec::new(), Vec::new());
        let link = &mut self.links[at];
        for (group, records) in found {
            if group.is_shared() && !is_defence {
                link.answer_soon(group, family, now);
            } else if groups.contains(&group) || link.may_say(group, family, is_defence, now) {
                groups.push(group);
                answers.extend(records);
            }
        }
        if !answers.is_empty() {
            self.say(at, &groups, answers, To::Everybody(family));
        }
    }

    /// What there is to say to a question, if it is about us.
    fn answer(&self, at: usize, question: &Question) -> Option<(Group, Vec<Record>)> {
        let names = &self.names;
        let groups = [
            (Group::Host, &names.host),
            (Group::Website, &names.instance),
            (Group::List, &names.service),
            (Group::Kinds, &names.kinds),
        ];
        let (group, owner) = groups
            .into_iter()
            .find(|(_, name)| **name == question.name)?;
        let all = self.records_of(group, at);
        if all.is_empty() {
            return None;
        }
        let is_asked = |record: &&Record| [record.kind, Rtype::ANY].contains(&question.kind);
        let records: Vec<Record> = all.iter().filter(is_asked).cloned().collect();
        if !records.is_empty() {
            return Some((group, records));
        }
        // Of a name that others have too, nobody can say what it has not.
        let mut kinds: Vec<Rtype> = all.iter().map(|record| record.kind).collect();
        kinds.dedup();
        (!group.is_shared()).then(|| (group, vec![OurNames::nothing_but(owner, &kinds)]))
    }
}

fn is_address(record: &Record) -> bool {
    matches!(record.kind, Rtype::A | Rtype::AAAA)
}

fn address_of(record: &Record) -> Option<IpAddr> {
    match record.kind {
        Rtype::A => <[u8; 4]>::try_from(record.data.as_slice())
            .ok()
            .map(IpAddr::from),
        Rtype::AAAA => <[u8; 16]>::try_from(record.data.as_slice())
            .ok()
            .map(IpAddr::from),
        _ => None,
    }
}

/// As two lists are compared: whose is later in the order has the name (RFC 6762 section 8.2.1).
fn in_order<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<(u16, &'a [u8])> {
    let mut list: Vec<_> = records
        .map(|record| (record.kind.to_int(), record.data.as_slice()))
        .collect();
    list.sort_unstable();
    list
}
