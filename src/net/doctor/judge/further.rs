//! Further names, each in a sentence: whether it leads here, and whether its certificate covers it.

use super::{certificate, name};
use crate::{
    base::{Further, Health, Place, Station},
    net::{
        dns::Said,
        doctor::{
            facts::{Facts, Named, OfName},
            name::is_no_name,
        },
    },
};

/// How it stands with each name but the first of the site, for which there are the stations.
pub(in crate::net::doctor) fn judge(facts: &Facts) -> Vec<Further> {
    let certificates = &facts.certificates;
    let of_site = facts.names.iter().zip(&certificates.of_names).skip(1);
    let more = facts.more.iter().zip(&certificates.of_more);
    let all = of_site.chain(more);
    let judged = all.filter_map(|(named, of_name)| {
        let station = judge_one(facts, named, of_name)?;
        let name = named.name.clone();
        Some(Further { name, station })
    });
    judged.collect()
}

fn judge_one(facts: &Facts, named: &Named, of_name: &OfName) -> Option<Station> {
    let by_certificate = certificate::judge_one(facts, of_name, named.is_public);
    if is_no_name(&named.name) {
        return Some(by_certificate);
    }
    // That there is none is no fault of one that nobody has named.
    let is_nowhere = !matches!(named.said(), Some(Said::Addresses(_)));
    if named.is_implied && is_nowhere {
        return None;
    }
    let by_name = name::judge_one(facts, named);
    let is_well = |station: &Station| station.health == Health::Well;
    if !is_well(&by_certificate)
        && (is_well(&by_name) || by_name.health == Health::Unknown && is_wrong(&by_certificate))
    {
        return Some(by_certificate);
    }
    if named.is_public && is_well(&by_name) {
        let says = format!("{} leads here, and its certificate holds.", named.name);
        return Some(Station::well(Place::Name, by_name.state, says));
    }
    Some(by_name)
}

fn is_wrong(station: &Station) -> bool {
    station.health == Health::Wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{
        acme::FailureKind,
        doctor::judge::tests::{Change, failure, ip, shown, station, well},
    };

    /// The second name of the site.
    fn also(facts: &mut Facts) -> (&mut Named, &mut OfName) {
        (&mut facts.names[1], &mut facts.certificates.of_names[1])
    }

    #[test]
    fn further_names_have_a_sentence_each_and_change_no_station() {
        let table: &[(&str, &[&str], Change)] = &[
            (
                "name-well",
                &["b.example.org leads here, and its certificate holds"],
                |_| {},
            ),
            ("name-missing", &["does not exist", "spelling"], |facts| {
                also(facts).0.zone = Vec::new();
                also(facts).0.resolver.as_mut().unwrap().1 = Said::NoSuchName(None);
            }),
            (
                "name-elsewhere",
                &["81.2.69.9", "change the A record"],
                |facts| {
                    let elsewhere = Said::Addresses(vec![ip("81.2.69.9")]);
                    also(facts).0.zone = Vec::new();
                    also(facts).0.resolver.as_mut().unwrap().1 = elsewhere;
                },
            ),
            (
                "certificate-other-name",
                &["is for a.example.org", "under also"],
                |facts| {
                    let shown = also(facts).1.shown.as_mut().unwrap();
                    shown.names = vec!["a.example.org".into()];
                    shown.is_for_name = false;
                },
            ),
            ("certificate-refused", &["“no”"], |facts| {
                also(facts).1.shown = None;
                also(facts).1.failure = Some(failure(FailureKind::Refused, "no"));
            }),
            ("name-local", &["your own network"], |facts| {
                also(facts).0.is_public = false;
                also(facts).1.shown.as_mut().unwrap().is_local = true;
            }),
            // All names below one are nothing that the DNS is asked for.
            ("certificate-well", &["70 days"], |facts| {
                also(facts).0.name = "*.example.org".into();
                also(facts).0.resolver = None;
            }),
            ("", &[], |facts| {
                also(facts).0.is_implied = true;
                also(facts).0.zone = Vec::new();
                also(facts).0.resolver.as_mut().unwrap().1 = Said::NoSuchName(None);
            }),
        ];
        for (state, words, change) in table {
            let mut facts = well();
            shown(&mut facts);
            let mut named = facts.names[0].clone();
            named.name = "b.example.org".into();
            facts.names.push(named);
            let mut of_name = facts.certificates.of_names[0].clone();
            of_name.name = "b.example.org".into();
            facts.certificates.of_names.push(of_name);
            change(&mut facts);
            let further = judge(&facts);
            let found = further.first().map(|further| &further.station);
            assert_eq!(found.map_or("", |station| station.state), *state);
            let text = format!("{found:?}");
            assert!(
                words.iter().all(|word| text.contains(word)),
                "{words:?}: {text}"
            );
            for place in [Place::Name, Place::Certificate] {
                assert_eq!(station(&facts, place).health, Health::Well, "{state}");
            }
        }
    }
}
