//! Where to begin, if several stations are wrong.

use super::{judge, tests::well};
use crate::{
    base::{Diagnosis, Place},
    net::{
        dns::Said,
        doctor::facts::{Facts, Running},
    },
};

#[test]
fn one_begins_with_what_the_rest_may_come_of() {
    let silent = |facts: &mut Facts| {
        facts.names[0].zone.clear();
        facts.names[0].resolver.as_mut().unwrap().1 = Said::Silent;
    };
    let stopped = |facts: &mut Facts| {
        facts.server.state = Running::No;
        facts.certificates.is_agreed = false;
        facts.certificates.of_names[0].shown = None;
    };
    let unplugged = |facts: &mut Facts| facts.home.outward = None;
    for (changes, begin) in [
        (vec![&silent as &dyn Fn(&mut Facts)], Place::Name),
        (vec![&silent, &unplugged], Place::Address),
        (vec![&stopped], Place::Server),
        (vec![&stopped, &silent], Place::Server),
        (vec![&stopped, &silent, &unplugged], Place::Address),
    ] {
        let mut facts = well();
        for change in changes {
            change(&mut facts);
        }
        let found = Diagnosis {
            at: facts.now,
            took_ms: 1,
            name: None,
            stations: judge(&facts),
            further: Vec::new(),
            further_left_out: 0,
        };
        assert_eq!(found.first_wrong().unwrap().place, begin);
    }
}
