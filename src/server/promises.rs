//! Which names may promise browsers that they will be there over trusted HTTPS (RFC 6797), and which do now.
//!
//! A promise is given only where the certificate has renewed by itself at least once, and it is taken back where that
//! fails and the end is near. That is the last moment: a browser that was promised trusted HTTPS refuses what ended
//! with no way around it (section 8.4), and takes no header from there any more (section 8.1). Who has come by then
//! sees a warning, and who comes once all is well is promised anew. Somebody who could keep a home from its authority
//! for weeks would gain nothing that the end of the certificate does not give.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    app::names::live::{HttpsOnly, HttpsOnlyHost},
    base::{Names, Timestamp},
    edge::strict_transport::Promise,
    net::acme::Report,
};

/// The last part of a certificate's life in which a failure takes the promise back: a week of ninety days.
const END: i64 = 12;

/// What the owner has decided, as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    /// For how long; 0 takes back what was promised.
    pub(super) max_age_s: u32,
    /// Whether every name below the domain is promised too.
    pub(super) subdomains: bool,
    /// Other hosts that promise the same; `false`: what one promised is taken back.
    pub(super) hosts: BTreeMap<String, bool>,
}

/// What is known of the names.
pub(super) struct Known<'a> {
    pub(super) names: &'a Names,
    pub(super) hosts: &'a [String],
    /// Names of the machine, which its own authority speaks for.
    pub(super) of_machine: &'a [String],
    pub(super) reports: &'a [Report],
    pub(super) now: Timestamp,
}

/// How it stands, as the page shows it.
pub(super) fn https_only(wish: Option<&Wish>, known: &Known<'_>) -> HttpsOnly {
    let promises = known.promises(wish);
    let words = |promise: &Promise| match promise.max_age_s {
        0 => "To forget it.".to_owned(),
        age => format!(
            "To come over trusted HTTPS alone, for {} days from each visit{}.",
            age / 86_400,
            if promise.has_subdomains {
                ", and to every name below too"
            } else {
                ""
            }
        ),
    };
    let mut sent: Vec<_> = promises
        .iter()
        .map(|(name, promise)| (name.clone(), words(promise)))
        .collect();
    sent.sort();
    let given = wish.cloned().unwrap_or_default();
    let hosts = known.hosts.iter().map(|name| HttpsOnlyHost {
        name: name.clone(),
        is_on: given.hosts.get(name) == Some(&true),
        was_on: given.hosts.contains_key(name),
        reason: known.reason(name),
    });
    HttpsOnly {
        max_age_s: given.max_age_s,
        subdomains: given.subdomains,
        is_set: wish.is_some(),
        reasons: known.reasons(),
        reason_below: known.reason_below(),
        hosts: hosts.collect(),
        sent,
    }
}

impl Known<'_> {
    /// Why the names of the site may not promise anything yet; none if they may.
    pub(super) fn reasons(&self) -> Vec<String> {
        let Some(domain) = &self.names.domain else {
            return vec!["The site has no domain.".to_owned()];
        };
        if let Some(next) = &self.names.next {
            return vec![format!(
                "{next} is to take the place of {domain}; wait until it has."
            )];
        }
        self.of_site()
            .filter_map(|name| self.reason(name))
            .collect()
    }

    /// Why a name may not promise anything yet.
    pub(super) fn reason(&self, name: &str) -> Option<String> {
        match self.report(name) {
            Some(report) if report.is_own => Some(format!(
                "{name} has a certificate from your own files; whether something renews that cannot be seen from \
                 here."
            )),
            Some(report) if !report.is_good(self.now) => {
                Some(format!("{name} has no certificate that browsers trust."))
            }
            Some(report) if report.renewals == 0 => Some(format!(
                "The certificate of {name} has not been renewed by itself yet."
            )),
            Some(_) => None,
            None => Some(format!("{name} has no certificate that browsers trust.")),
        }
    }

    /// Why not every name below the domain may be promised.
    pub(super) fn reason_below(&self) -> Option<String> {
        let domain = self.names.domain.as_deref()?;
        let is_below = |name: &&String| {
            let above = name.strip_suffix(domain);
            above.is_some_and(|above| above.ends_with('.'))
        };
        if let Some(name) = self.of_machine.iter().find(is_below) {
            return Some(format!(
                "{name} is a name of this machine, with a certificate of its own authority."
            ));
        }
        let all = self.hosts.iter().chain(&self.names.also);
        all.filter(is_below).find_map(|name| self.reason(name))
    }

    /// What each name promises, as its owner wishes and as it can be kept.
    pub(super) fn promises(&self, wish: Option<&Wish>) -> HashMap<String, Promise> {
        let Some(wish) = wish else {
            return HashMap::new();
        };
        let below = wish.subdomains && self.reason_below().is_none();
        let of_site = self.of_site().map(|name| (name, true));
        let is_host = |name: &&String| self.hosts.contains(name);
        let of_hosts = wish.hosts.iter().filter(|(name, _)| is_host(name));
        let of_hosts = of_hosts.map(|(name, is_on)| (name, *is_on));
        let promise = |(name, is_on): (&String, bool)| {
            let is_domain = self.names.domain.as_ref() == Some(name);
            let max_age_s = if !is_on || wish.max_age_s == 0 || self.is_near_its_end(name) {
                0
            } else if self.reason(name).is_none() {
                wish.max_age_s
            } else {
                return None;
            };
            let promise = Promise {
                max_age_s,
                has_subdomains: is_domain && below,
            };
            Some((name.clone(), promise))
        };
        of_site.chain(of_hosts).filter_map(promise).collect()
    }

    /// The names of the site that visitors may know, once each.
    fn of_site(&self) -> impl Iterator<Item = &String> {
        let also = self.names.also.iter();
        let also = also.filter(|name| self.names.domain.as_ref() != Some(*name));
        self.names.domain.iter().chain(also)
    }

    /// What is known of a name, or of all names below the one above it.
    fn report(&self, name: &str) -> Option<&Report> {
        let find = |wanted: &str| self.reports.iter().find(|report| report.name == wanted);
        let own = find(name);
        match own {
            // Somebody else's certificate covers it.
            Some(report) if report.next.is_none() && !report.is_own => {
                let above = name.split_once('.').map(|(_, above)| format!("*.{above}"));
                above.and_then(|above| find(&above)).or(own)
            }
            own => own,
        }
    }

    fn is_near_its_end(&self, name: &str) -> bool {
        let Some(report) = self.report(name) else {
            return false;
        };
        let (Some(chain), Some(_)) = (&report.chain, &report.failure) else {
            return false;
        };
        let (from, until) = (chain.not_before(), chain.not_after());
        until.0 - self.now.0 < (until.0 - from.0) / END
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::net::{
        acme::{Failure, FailureKind},
        certificates::Chain,
    };

    const DAY: i64 = 24 * 3600;

    /// How it stands with a name whose certificate holds for 90 days, from day 0.
    fn report(name: &str, renewals: u32, fails: bool) -> Report {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let moment = |day| time::OffsetDateTime::from_unix_timestamp(day * DAY).unwrap();
        (params.not_before, params.not_after) = (moment(0), moment(90));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Report {
            name: name.to_owned(),
            chain: Some(Arc::new(Chain::parse(&pem, &key.serialize_pem()).unwrap())),
            is_own: false,
            covered_by: None,
            failure: fails.then(|| Failure {
                kind: FailureKind::Unreachable,
                text: "down".into(),
                retry_at: None,
                record: None,
                problem: None,
                is_of_zone: false,
            }),
            next: Some(Timestamp(60 * DAY)),
            renewals,
            record_until: None,
            is_under_way: false,
        }
    }

    fn names(domain: &str, also: &[&str]) -> Names {
        Names {
            domain: Some(domain.to_owned()),
            also: also.iter().map(ToString::to_string).collect(),
            next: None,
        }
    }

    fn wish(max_age_s: u32, subdomains: bool, hosts: &[(&str, bool)]) -> Wish {
        let hosts = hosts
            .iter()
            .map(|(name, is_on)| ((*name).to_owned(), *is_on));
        Wish {
            max_age_s,
            subdomains,
            hosts: hosts.collect(),
        }
    }

    fn known<'a>(day: i64, names: &'a Names, reports: &'a [Report]) -> Known<'a> {
        Known {
            names,
            hosts: &[],
            of_machine: &[],
            reports,
            now: Timestamp(day * DAY),
        }
    }

    #[test]
    fn only_what_has_renewed_is_promised_and_what_fails_near_its_end_is_taken_back() {
        let reports = [
            report("a.example", 1, false),
            report("www.a.example", 0, false),
            report("files.a.example", 2, true),
            report("pi.local", 5, false),
        ];
        let both = names("a.example", &["www.a.example"]);
        assert!(known(10, &both, &reports).reasons()[0].contains("www.a.example"));
        assert!(
            known(10, &names("a.example", &[]), &reports)
                .reasons()
                .is_empty()
        );
        assert!(
            !known(95, &names("a.example", &[]), &reports)
                .reasons()
                .is_empty(),
            "it has ended"
        );
        assert!(!known(10, &Names::default(), &reports).reasons().is_empty());
        let on = wish(100, false, &[]);
        let age = |day, names: &Names, wish: Option<&Wish>, name: &str| {
            let promises = known(day, names, &reports).promises(wish);
            promises.get(name).map(|promise| promise.max_age_s)
        };
        assert_eq!(age(10, &both, None, "a.example"), None);
        assert_eq!(age(10, &both, Some(&on), "a.example"), Some(100));
        assert_eq!(age(10, &both, Some(&on), "www.a.example"), None);
        assert_eq!(
            age(10, &both, Some(&on), "pi.local"),
            None,
            "no name of the site"
        );
        let off = wish(0, false, &[]);
        assert_eq!(age(10, &both, Some(&off), "a.example"), Some(0));
        let failing = names("files.a.example", &[]);
        assert_eq!(age(80, &failing, Some(&on), "files.a.example"), Some(100));
        assert_eq!(age(83, &failing, Some(&on), "files.a.example"), Some(0));
    }

    #[test]
    fn every_name_below_is_promised_only_while_each_that_is_known_has_proved_itself() {
        let reports = [
            report("a.example", 1, false),
            report("*.b.a.example", 1, false),
            Report {
                next: None,
                ..report("x.b.a.example", 0, false)
            },
            report("files.a.example", 0, false),
        ];
        let names = names("a.example", &[]);
        let all = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (hosts, of_machine, may) in [
            (&["x.b.a.example", "nota.example"][..], &["pi"][..], true),
            (&["files.a.example"], &[], false),
            (&["unknown.a.example"], &[], false),
            (&[], &["pi.a.example"], false),
        ] {
            let (hosts, of_machine) = (all(hosts), all(of_machine));
            let known = Known {
                hosts: &hosts,
                of_machine: &of_machine,
                ..known(1, &names, &reports)
            };
            assert_eq!(
                known.reason_below().is_none(),
                may,
                "{hosts:?} {of_machine:?}"
            );
            let promise = known.promises(Some(&wish(9, true, &[])))["a.example"];
            assert_eq!(promise.has_subdomains, may);
        }
        let hosts = all(&["x.b.a.example", "files.a.example"]);
        let chosen = [
            ("x.b.a.example", true),
            ("files.a.example", false),
            ("gone.example", true),
        ];
        let known = Known {
            hosts: &hosts,
            ..known(1, &names, &reports)
        };
        let promises = known.promises(Some(&wish(9, false, &chosen)));
        let mut ages: Vec<_> = promises
            .iter()
            .map(|(name, p)| (name.as_str(), p.max_age_s))
            .collect();
        ages.sort_unstable();
        assert_eq!(
            ages,
            [
                ("a.example", 9),
                ("files.a.example", 0),
                ("x.b.a.example", 9)
            ]
        );
    }
}
