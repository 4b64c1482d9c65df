//! Whether the names that certificates are wanted for can have one as it is set: known before an authority is asked.

use std::net::IpAddr;

use super::{
    CertificateName, Challenge, Settings,
    names::{covered_by_star, is_public},
};
use crate::net::{
    dns,
    names::{is_in, not_a_host_name},
};

/// What to do where a proof needs the DNS, and nobody may change it.
const HOW: &str = "give [dns] a provider that has texts (in the browser: DNS provider), or choose dns-persist-01, whose \
                   record is made once by hand where the authority offers that";

impl Settings {
    /// Names that get no certificate as it is set, each in a sentence that says what to do. `names` are those of the
    /// site and its hosts.
    pub fn unproved(&self, names: &[String], dns: &dns::Settings) -> Vec<String> {
        if self.challenge == Some(Challenge::Dns) && !dns.has_texts() {
            return vec![format!(
                "challenge = \"dns-01\" proves names through the DNS, and nothing says where they are changed: {HOW}"
            )];
        }
        let more = self.names.iter().map(CertificateName::as_str);
        let unfit = more.clone().filter_map(|name| self.unfit(name));
        let of_site = names.iter().map(String::as_str);
        let asked = of_site.filter(|name| self.agree_to_terms && self.is_asked_about(name));
        // Those of the network at home have the machine's own certificate.
        let unfit = unfit.chain(asked.filter_map(not_a_host_name));
        let wrong_way = more.filter_map(|name| self.wrong_way(name));
        let outside = self.outside_the_zone(names, dns);
        let mut all: Vec<String> = Vec::new();
        // A name may be one of the site and of those for certificates, too.
        for sentence in unfit.chain(wrong_way).chain(outside) {
            if !all.contains(&sentence) {
                all.push(sentence);
            }
        }
        all
    }

    /// Names that may get no certificate, or a record alone that the owner makes proves them, each in a sentence that
    /// says so. `names` are those of the site and its hosts.
    pub fn doubtful(&self, names: &[String], dns: &dns::Settings) -> Vec<String> {
        let is_at_home = |name: &&String| self.agree_to_terms && !is_public(name, self);
        let at_home = names.iter().filter(is_at_home).map(|name| {
            format!(
                "{name} is a name that no authority of the internet certifies: it keeps the machine's own \
                 certificate, which only devices believe that were told to (/trust)"
            )
        });
        let by_hand = self.challenge.is_none() && !dns.has_texts();
        let more = self.names.iter().map(CertificateName::as_str);
        let all_below = more.filter(|name| by_hand && name.starts_with("*."));
        let all_below = all_below.map(|name| {
            format!(
                "{name} is proved through the DNS alone, and nothing says where names are changed: {HOW}"
            )
        });
        at_home.chain(all_below).collect()
    }

    /// Why a name that a certificate is wanted for gets none however it is proved, in a sentence that says what to do.
    pub fn unfit(&self, name: &str) -> Option<String> {
        if is_public(name, self) {
            return not_a_host_name(name);
        }
        let what = if name.parse::<IpAddr>().is_ok() {
            "is an address of a network of one's own, and others have the same"
        } else if name.contains('.') {
            "is a name of one's own network"
        } else {
            "has no dot in it, so it is a name of one's own network"
        };
        Some(format!(
            "{name} {what}: no authority of the internet certifies it; take it out of the names for certificates. \
             The machine's own certificate has its names at home by itself"
        ))
    }

    /// That a name cannot be proved in the way that is set.
    fn wrong_way(&self, name: &str) -> Option<String> {
        let way = self.challenge.filter(|way| !way.can_prove(name))?;
        Some(format!(
            "{name} cannot be proved by {}: all names below one (*.) are proved through the DNS alone, and \
             addresses never; choose another way, or none",
            way.name()
        ))
    }

    /// Those that are proved through the DNS and are not in the zone where it can be changed. That none of all is in
    /// it is another mistake ([`dns::Settings::zone_problem`]).
    fn outside_the_zone(&self, names: &[String], dns: &dns::Settings) -> Vec<String> {
        let more = self.names.iter().map(CertificateName::as_str);
        let all = names.iter().map(String::as_str).chain(more);
        let is_by_dns = |name: &str| match self.challenge {
            Some(way) => way == Challenge::Dns,
            None => name.starts_with("*."),
        };
        let Some(zone) = dns.zone().filter(|_| dns.has_texts()) else {
            return Vec::new();
        };
        if dns.zone_problem(all.clone()).is_some() {
            return Vec::new();
        }
        let is_outside = |name: &&str| {
            is_by_dns(name)
                && name.parse::<IpAddr>().is_err()
                && self.is_asked_about(name)
                && !is_in(name, zone)
        };
        let sentence = |name: &str| {
            let base = name.strip_prefix("*.").unwrap_or(name);
            format!(
                "{name} is to be proved through the DNS, and is not in zone = \"{zone}\" of [dns], so the text \
                 _acme-challenge.{base} cannot be written; leave challenge open so that names outside are proved \
                 at port 80 or 443, or take the name out"
            )
        };
        all.filter(is_outside).map(sentence).collect()
    }

    /// Whether an authority is asked about a name by itself: the internet knows it, and no certificate for all names
    /// below one covers it.
    fn is_asked_about(&self, name: &str) -> bool {
        is_public(name, self) && !covered_by_star(name, &self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    /// What is said of the settings of a certificate and of the DNS, with these names of the site.
    fn said(certificate: &str, dns: &str, names: &[&str]) -> Vec<String> {
        let settings: Settings = toml::from_str(certificate).unwrap();
        let dns = toml::from_str(dns).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let doubtful = settings.doubtful(&names, &dns).into_iter();
        let unproved = settings.unproved(&names, &dns).into_iter();
        unproved.chain(doubtful).collect()
    }

    /// That this is said, each with these words, and nothing else.
    fn assert_said(certificate: &str, dns: &str, names: &[&str], words: &[&str]) {
        let found = said(certificate, dns, names);
        assert_eq!(
            found.len(),
            words.len(),
            "{certificate} {dns} {names:?}: {found:?}"
        );
        let mut all = found.iter().zip(words);
        assert!(all.all(|(text, word)| text.contains(word)), "{found:?}");
    }

    #[test]
    fn names_that_get_no_certificate_are_known_before_an_authority_is_asked() {
        let with = "provider = \"gandi\"\nzone = \"a.net\"";
        let by_dns = "challenge = \"dns-01\"";
        for (certificate, dns, names, words) in [
            ("", "", &[][..], &[][..]),
            (by_dns, "", &[], &["nothing says where they are changed"]),
            (by_dns, with, &[], &[]),
            (
                "challenge = \"dns-persist-01\"\nnames = [\"*.a.net\"]",
                "",
                &[],
                &[],
            ),
            (
                "names = [\"*.a.net\", \"b.net\"]",
                "",
                &[],
                &["*.a.net is proved through the DNS alone"],
            ),
            ("names = [\"*.a.net\", \"8.8.8.8\"]", with, &[], &[]),
            (
                "challenge = \"http-01\"\nnames = [\"*.a.net\"]",
                with,
                &[],
                &["*.a.net cannot be proved by http-01"],
            ),
            (
                "challenge = \"dns-01\"\nnames = [\"8.8.8.8\"]",
                with,
                &["a.net"],
                &["8.8.8.8 cannot be proved by dns-01"],
            ),
            // The zone.
            (by_dns, with, &["a.net", "www.a.net"], &[]),
            (
                by_dns,
                with,
                &["a.net", "b.net", "pi.local"],
                &["b.net is to be proved through the DNS, and is not in zone = \"a.net\""],
            ),
            (
                "challenge = \"dns-01\"\nnames = [\"b.net\"]",
                with,
                &["b.net", "c.net", "a.net"],
                &["b.net is to be proved", "c.net is to be proved"],
            ),
            // Told as one mistake elsewhere.
            (by_dns, with, &["b.net", "c.net"], &[]),
            ("", with, &["a.net", "b.net"], &[]),
            (
                "names = [\"*.b.net\"]",
                with,
                &["a.net"],
                &["*.b.net is to be proved through the DNS"],
            ),
        ] {
            assert_said(certificate, dns, names, words);
        }
    }

    #[test]
    fn names_that_nobody_certifies_are_told_once() {
        let with = "provider = \"gandi\"\nzone = \"a.net\"";
        let agreed = "agree_to_terms = true";
        for (certificate, dns, names, words) in [
            (agreed, "", &["a.net"][..], &[][..]),
            (
                "names = [\"foo.local\", \"pi\", \"192.168.1.5\"]",
                "",
                &[],
                &[
                    "foo.local is a name of one's own network",
                    "pi has no dot",
                    "192.168.1.5 is an address",
                ],
            ),
            (
                agreed,
                "",
                &["a.net", "foo.local"],
                &["foo.local is a name that no authority"],
            ),
            ("", "", &["foo.local", "my_pi.net"], &[]),
            (
                agreed,
                "",
                &["my_pi.net"],
                &["my_pi.net has a _ in it, which no host name may have"],
            ),
            (
                "names = [\"my_pi.net\"]",
                "",
                &[],
                &["my_pi.net has a _ in it"],
            ),
            (
                "names = [\"my_pi.net\"]\nagree_to_terms = true",
                "",
                &["my_pi.net"],
                &["my_pi.net has a _ in it"],
            ),
            (
                "names = [\"*.a.net\"]\nagree_to_terms = true",
                with,
                &["my_pi.a.net"],
                &[],
            ),
        ] {
            assert_said(certificate, dns, names, words);
        }
    }
}
