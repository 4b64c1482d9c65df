//! Tests of the rules: several machines on one network, in time that is made up.

use std::net::Ipv4Addr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::{
    super::{PORT, networks::Network, records::OurNames},
    *,
};

const LINK: u32 = 2;

fn network(own: [u8; 4]) -> Network {
    let address = Ipv4Addr::from(own);
    Network {
        index: LINK,
        name: "eth0".to_owned(),
        addresses: vec![address.into()],
        reach: vec![IpNet::new(address.into(), 24).unwrap()],
    }
}

fn here(own: [u8; 4]) -> Here {
    Here {
        own: vec![Ipv4Addr::from(own).into()],
        networks: vec![network(own)],
    }
}

/// Machines on one network, where everybody hears everybody, and itself.
struct Room {
    now: Instant,
    machines: Vec<(Ipv4Addr, Responder)>,
    /// Everything that was said to all.
    said: Vec<(Instant, Ipv4Addr, Message)>,
}

impl Room {
    fn new() -> Self {
        Self {
            now: Instant::now(),
            machines: Vec::new(),
            said: Vec::new(),
        }
    }

    fn enter(&mut self, name: &str, own: [u8; 4]) {
        let mut responder = Responder::new(name, 443);
        responder.replace(here(own), self.now);
        self.machines.push((own.into(), responder));
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(10);
            self.step();
        }
    }

    /// Where two machines are to be called `pi`, and the second came when the first was there.
    fn with_two_of_one_name() -> Self {
        let mut room = Self::new();
        room.enter("pi", [10, 0, 0, 1]);
        room.wait(Duration::from_secs(3));
        room.enter("pi", [10, 0, 0, 2]);
        room.wait(Duration::from_secs(5));
        room
    }

    fn step(&mut self) {
        let mut messages = Vec::new();
        for (own, responder) in &mut self.machines {
            responder.tick(self.now);
            // A moment that has passed would be waited for without end.
            assert!(responder.next().is_none_or(|at| at >= self.now));
            messages.extend(responder.outgoing().into_iter().map(|m| (*own, m)));
        }
        while !messages.is_empty() {
            let mut answers = Vec::new();
            for (from, message) in messages {
                if matches!(message.to, To::One(_)) {
                    continue;
                }
                let read = Message::read(&message.bytes).unwrap();
                self.said.push((self.now, from, read));
                for (own, responder) in &mut self.machines {
                    responder.receive(LINK, (from, PORT).into(), &message.bytes, self.now);
                    answers.extend(responder.outgoing().into_iter().map(|m| (*own, m)));
                }
            }
            messages = answers;
        }
    }

    fn names(&self) -> Vec<String> {
        let names = self.machines.iter();
        names.map(|(_, responder)| responder.name()).collect()
    }

    fn are_settled(&self) -> bool {
        self.machines.iter().all(|(_, m)| m.is_settled())
    }

    /// Asks the first machine from another port, and gives its answer.
    fn ask(&mut self, from: [u8; 4], name: &str, kind: Rtype) -> Option<Message> {
        let question = Question {
            name: name.parse().unwrap(),
            kind,
            is_for_one: false,
        };
        let message = Message {
            id: 9,
            questions: vec![question],
            ..Message::default()
        };
        let first = &mut self.machines[0].1;
        let source = (Ipv4Addr::from(from), 40000).into();
        first.receive(LINK, source, &message.write(), self.now);
        let answer = first.outgoing().pop()?;
        assert_eq!(answer.to, To::One(source));
        Message::read(&answer.bytes)
    }
}

#[test]
fn a_name_is_asked_for_three_times_and_said_twice() {
    let mut room = Room::new();
    room.enter("pi", [10, 0, 0, 1]);
    room.wait(Duration::from_secs(5));
    assert!(room.are_settled());
    let kinds: Vec<_> = room.said.iter().map(|(_, _, m)| m.is_response).collect();
    assert_eq!(kinds, [false, false, false, true, true]);
    let gap = |i: usize| room.said[i].0 - room.said[i - 1].0;
    assert!(gap(1) >= BETWEEN_PROBES && gap(3) >= BETWEEN_PROBES);
    assert!(gap(4) >= BETWEEN_ANNOUNCEMENTS);
    // RFC 6762 section 10.2: what is only wanted does not end what others say.
    assert!(room.said[0].2.intended.iter().all(|r| !r.is_unique));
}

#[test]
fn machines_of_one_name_get_different_ones_whoever_comes_first() {
    assert_eq!(Room::with_two_of_one_name().names(), ["pi", "pi-2"]);

    // All at once.
    let mut room = Room::new();
    for last in 1..=5 {
        room.enter("pi", [10, 0, 0, last]);
    }
    room.wait(Duration::from_mins(1));
    let mut names = room.names();
    names.sort();
    assert_eq!(names, ["pi", "pi-2", "pi-3", "pi-4", "pi-5"]);
    assert!(room.are_settled());
}

#[test]
fn the_wanted_name_is_taken_again_when_who_had_it_is_gone_and_not_before() {
    let mut room = Room::with_two_of_one_name();
    assert_eq!(room.names(), ["pi", "pi-2"]);
    room.said.clear();
    for _ in 0..60 {
        room.wait(Duration::from_mins(1));
        assert_eq!(room.names(), ["pi", "pi-2"]);
        assert!(room.are_settled());
    }
    // One question at a time, and its answer.
    let questions = room.said.iter().filter(|(_, _, m)| !m.is_response).count();
    assert!((5..=6).contains(&questions), "{questions} in an hour");
    assert!(room.said.len() <= 12, "{} messages", room.said.len());

    // It is gone without a word.
    room.machines.remove(0);
    room.wait(Duration::from_mins(12));
    assert_eq!(room.names(), ["pi"]);
    assert!(room.are_settled());
    let goodbyes = room.said.iter().flat_map(|(_, _, m)| &m.answers);
    let old = OurNames::new("pi-2", None).host;
    let is_over = |r: &&Record| r.ttl_s == 0 && r.owner == old;
    assert!(goodbyes.filter(is_over).count() > 0, "pi-2 is taken back");
}

#[test]
fn another_network_is_asked_at_once_for_the_wanted_name() {
    // The address alone is another one; the cable was out meanwhile; the network is at another interface.
    for (was_out, index) in [(false, LINK), (true, LINK), (false, LINK + 1)] {
        let mut room = Room::with_two_of_one_name();
        room.machines.remove(0);
        if was_out {
            let now = room.now;
            room.machines[0].1.replace(Here::default(), now);
            room.wait(Duration::from_mins(1));
        }
        let mut other = here([10, 0, 0, 3]);
        other.networks[0].index = index;
        let now = room.now;
        room.machines[0].1.replace(other, now);
        room.wait(Duration::from_secs(10));
        assert_eq!(room.names(), ["pi"], "out: {was_out}, at {index}");
    }
}

#[test]
fn a_wanted_name_whose_time_has_come_lets_nobody_wait_for_the_past_while_links_are_probing() {
    let mut responder = Responder::new("pi", 443);
    let now = Instant::now();
    responder.replace(here([10, 0, 0, 1]), now);
    (responder.number, responder.reclaim) = (2, Reclaim::At(now));
    let later = now + Duration::from_millis(100);
    responder.tick(later);
    assert!(!responder.is_settled() && responder.reclaim == Reclaim::At(now));
    assert!(responder.next().is_some_and(|at| at > later));
}

#[test]
fn several_that_wait_for_a_name_do_not_both_get_it() {
    let mut room = Room::new();
    for last in 1..=4 {
        room.enter("pi", [10, 0, 0, last]);
        room.wait(Duration::from_secs(5));
    }
    room.machines.remove(0);
    room.wait(Duration::from_mins(25));
    let mut names = room.names();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names[0], "pi");
    assert!(room.are_settled());
}

#[test]
fn two_networks_that_become_one_settle_it_once_more() {
    let mut rooms = [Room::new(), Room::new()];
    for (i, room) in (1..).zip(&mut rooms) {
        room.enter("pi", [10, 0, 0, i]);
        room.wait(Duration::from_secs(3));
    }
    let [mut one, other] = rooms;
    one.machines.extend(other.machines);
    one.now = one.now.max(other.now);
    // Somebody asks, and both answer.
    let question = Question {
        name: "pi.local".parse().unwrap(),
        kind: Rtype::A,
        is_for_one: false,
    };
    let message = Message {
        questions: vec![question],
        ..Message::default()
    };
    let source = (Ipv4Addr::new(10, 0, 0, 9), PORT).into();
    for (_, responder) in &mut one.machines {
        responder.receive(LINK, source, &message.write(), one.now);
    }
    one.wait(Duration::from_secs(10));
    let mut names = one.names();
    names.sort();
    assert_eq!(names, ["pi", "pi-2"]);
}

#[test]
fn who_asks_is_told_where_it_is_and_what_it_has_not() {
    let mut room = Room::new();
    room.enter("pi", [10, 0, 0, 1]);
    assert!(
        room.ask([10, 0, 0, 9], "pi.local", Rtype::A).is_none(),
        "not before it is ours"
    );
    room.wait(Duration::from_secs(3));
    let asker = [10, 0, 0, 9];
    let answer = room.ask(asker, "PI.Local", Rtype::A).unwrap();
    assert_eq!(answer.id, 9);
    assert_eq!(answer.answers[0].data, [10, 0, 0, 1]);
    // RFC 6762 section 6.7.
    assert!(answer.answers[0].ttl_s <= 10 && !answer.answers[0].is_unique);
    let none = room.ask(asker, "pi.local", Rtype::AAAA).unwrap();
    assert_eq!(none.answers[0].kind, Rtype::NSEC);
    let list = room.ask(asker, "_https._tcp.local", Rtype::PTR).unwrap();
    assert_eq!(list.answers[0].kind, Rtype::PTR);
    let more: Vec<Rtype> = list.additional.iter().map(|r| r.kind).collect();
    assert_eq!(more, [Rtype::SRV, Rtype::TXT, Rtype::A]);
    let kinds = "_services._dns-sd._udp.local";
    assert!(room.ask(asker, kinds, Rtype::PTR).is_some());
    assert!(room.ask(asker, "other.local", Rtype::A).is_none());
    assert!(
        room.ask([8, 8, 8, 8], "pi.local", Rtype::A).is_none(),
        "somebody elsewhere"
    );
    for _ in 0..1000 {
        let _ = room.ask(asker, "pi.local", Rtype::A);
    }
    assert!(room.ask(asker, "pi.local", Rtype::A).is_none(), "too many");
    room.wait(Duration::from_secs(2));
    assert!(room.ask(asker, "pi.local", Rtype::A).is_some());
}

#[test]
fn an_address_that_changes_is_said_and_one_that_goes_is_taken_back() {
    let mut room = Room::new();
    room.enter("pi", [10, 0, 0, 1]);
    room.wait(Duration::from_secs(3));
    room.said.clear();
    let now = room.now;
    room.machines[0].1.replace(here([10, 0, 0, 77]), now);
    room.wait(Duration::from_secs(3));
    assert!(room.said.iter().all(|(_, _, m)| m.is_response));
    assert_eq!(room.said[0].2.answers[0].data, [10, 0, 0, 77]);
    room.said.clear();
    room.machines[0].1.say_goodbye();
    room.step();
    let goodbye = &room.said[0].2;
    assert!(goodbye.answers.len() == 4 && goodbye.answers.iter().all(|r| r.ttl_s == 0));
}

/// What a responder of the same machine says.
fn of_system(ttl_s: u32) -> Vec<u8> {
    let names = OurNames::new("pi", None);
    let mut answers = names.addresses(&[Ipv4Addr::new(10, 0, 0, 1).into()]);
    answers[0].ttl_s = ttl_s;
    response(answers, Vec::new()).write()
}

#[test]
fn a_name_that_the_system_announces_is_left_to_it_until_it_goes() {
    let mut room = Room::new();
    room.enter("pi", [10, 0, 0, 1]);
    let own = (Ipv4Addr::new(10, 0, 0, 1), PORT).into();
    room.wait(Duration::from_millis(300));
    let now = room.now;
    room.machines[0].1.receive(LINK, own, &of_system(120), now);
    room.wait(Duration::from_secs(3));
    let host = |room: &Room| {
        let records = room.said.iter().flat_map(|(_, _, m)| &m.answers);
        records.filter(|r| r.kind == Rtype::A).count()
    };
    assert_eq!((host(&room), room.names()), (0, vec!["pi".to_owned()]));
    assert!(room.are_settled());
    let list = room.ask([10, 0, 0, 9], "_https._tcp.local", Rtype::PTR);
    assert!(list.is_some(), "the website is announced");
    // While it is there, it answers now and then; then it goes.
    for _ in 0..5 {
        room.wait(Duration::from_mins(2));
        let now = room.now;
        room.machines[0].1.receive(LINK, own, &of_system(120), now);
    }
    assert_eq!(host(&room), 0);
    let now = room.now;
    room.machines[0].1.receive(LINK, own, &of_system(0), now);
    room.wait(Duration::from_secs(5));
    assert!(host(&room) > 0);
}

#[test]
fn who_takes_every_name_does_not_make_us_run() {
    let mut room = Room::new();
    room.enter("pi", [10, 0, 0, 1]);
    let hostile = (Ipv4Addr::new(10, 0, 0, 66), PORT).into();
    for _ in 0..6 * 3600 {
        room.wait(Duration::from_millis(100));
        let now = room.now;
        let responder = &mut room.machines[0].1;
        let answers = responder
            .names
            .addresses(&[Ipv4Addr::new(10, 0, 0, 66).into()]);
        responder.receive(LINK, hostile, &response(answers, Vec::new()).write(), now);
    }
    // 36 minutes.
    assert!(room.said.len() < 500, "{} messages", room.said.len());
    room.wait(Duration::from_mins(2));
    assert!(room.are_settled(), "it ends when he does");
}

proptest! {
    #[test]
    fn nothing_that_is_received_makes_it_panic_or_grow(
        messages in proptest::collection::vec(
            (any::<bool>(), 0usize..80, proptest::collection::vec(any::<u8>(), 0..40), any::<u16>(), any::<u8>()), 1..60,
        ),
    ) {
        let mut room = Room::new();
        room.enter("pi", [10, 0, 0, 1]);
        room.wait(Duration::from_secs(3));
        for (is_response, at, bytes, port, last) in messages {
            let mut message = response(room.machines[0].1.records_of(Group::Host, 0), Vec::new());
            message.is_response = is_response;
            let mut wire = message.write();
            for (i, byte) in bytes.iter().enumerate() {
                if let Some(there) = wire.get_mut(at + i) {
                    *there = *byte;
                }
            }
            let source = (Ipv4Addr::new(10, 0, 0, last), port).into();
            let now = room.now;
            room.machines[0].1.receive(LINK, source, &wire, now);
            room.wait(Duration::from_millis(20));
        }
        prop_assert!(room.machines[0].1.sent.len() <= KNOWN_MESSAGES);
        room.wait(Duration::from_secs(130));
        prop_assert!(room.are_settled());
    }
}
