//! The certificate: whether browsers believe it, for how long, and why there is no better one.

use super::{ABOUT_NAMES, SET_NAME, quoted, span, when};
use crate::{
    base::{Health, Place, Station, Timestamp, one_line},
    net::{
        acme::{Failure, FailureKind},
        certificates::FILES_REMEDY,
        doctor::facts::{Facts, OfName, Running, Shown},
    },
};

const CERTIFICATE: Place = Place::Certificate;
/// A certificate whose renewal is due has a third of its life left; with less than this part it is late.
const LATE: i64 = 4;
/// The last seconds of a life in which there is no time to lose, however long it was.
const SOON_S: i64 = 10 * 24 * 3600;

/// Characters of what was said.
const MOST_CHARS: usize = 400;

pub(super) fn judge(facts: &Facts) -> Station {
    if facts.names.is_empty() {
        return Station::unknown(
            CERTIFICATE,
            "certificate-local",
            "The certificate is of this machine's own authority, which each browser must be told to believe.",
        )
        .remedy("Open /trust on each device once.")
        .page("/trust");
    }
    // Further names are judged by themselves.
    let mut all = facts.names.iter().zip(&facts.certificates.of_names);
    let first = all.next();
    first.map_or_else(
        || {
            Station::unknown(
                CERTIFICATE,
                "certificate-untold",
                "The certificates could not be looked at.",
            )
        },
        |(name, of_name)| judge_one(facts, of_name, name.is_public),
    )
}

/// How it stands with the certificate of one name.
pub(super) fn judge_one(facts: &Facts, of_name: &OfName, is_public: bool) -> Station {
    let name = &of_name.name;
    let failure = of_name.failure.as_ref();
    let shown = of_name.shown.as_ref();
    // Browsers do not believe the machine's own authority under a public name.
    let of_others = shown.filter(|shown| !shown.is_local);
    if let Some(shown) = of_others.filter(|shown| !is_over(shown, facts.now)) {
        let station = judge_shown(facts, of_name, shown);
        return match &of_name.files {
            Some(why) if station.health != Health::Wrong => unused_files(
                why,
                &format!(
                    " What is shown instead, of {}, holds for another {}.",
                    shown.issuer,
                    span(shown.until.0 - facts.now.0)
                ),
            ),
            _ => station,
        };
    }
    if let Some(why) = &of_name.files {
        return unused_files(why, "");
    }
    if !facts.certificates.is_agreed && !of_name.files_are_for.is_empty() {
        let says = format!(
            "Your own certificate is for {}, and not for {name}; browsers warn.",
            of_name.files_are_for.join(", ")
        );
        return Station::wrong(CERTIFICATE, "certificate-other-name", says)
            .remedy(format!(
                "Get one for {name} where that one came from, and name its files under [certificate] in webstead.toml; \
                 or agree to the terms of an authority, and the site gets it itself."
            ))
            .page(SET_NAME);
    }
    if let Some(failure) = failure {
        return judge_failure(facts, of_name, failure);
    }
    if let Some(shown) = of_others {
        let says = format!(
            "The certificate for {name} ended {} ago; browsers warn.",
            span(facts.now.0 - shown.until.0)
        );
        let station = Station::wrong(CERTIFICATE, "certificate-ended", says);
        return with_renewal(station, facts, of_name);
    }
    if !is_public {
        let says = format!("{name} has the certificate of this machine's own authority.");
        return Station::well(CERTIFICATE, "certificate-own-network", says).page("/trust");
    }
    if facts.certificates.is_agreed && of_name.is_askable {
        if facts.server.state == Running::No {
            let says = format!(
                "There is no certificate for {name} yet, and it is not asked for while the site does not run."
            );
            return Station::unknown(CERTIFICATE, "certificate-not-running", says);
        }
        let says = format!(
            "The certificate for {name} is on its way: the authority was asked, or will be within a minute."
        );
        return Station::unknown(CERTIFICATE, "certificate-coming", says)
            .remedy("Look here again in two minutes.");
    }
    let says = format!(
        "For {name} there is only the certificate of this machine's own authority; browsers warn."
    );
    if !of_name.is_askable {
        let end = name.rsplit('.').next().unwrap_or_default();
        return Station::wrong(CERTIFICATE, "certificate-not-asked", says).remedy(format!(
            "No authority of the internet certifies names that end with .{end}: take a name that is registered, or name \
             an authority that knows this one (authority under [certificate] in webstead.toml, or your own files)."
        ))
        .page(SET_NAME);
    }
    Station::wrong(CERTIFICATE, "certificate-not-asked", says)
        .remedy("Agree to the terms of an authority, and it is asked for one (agree_to_terms under [certificate] in webstead.toml does the same).")
        .page(SET_NAME)
}

/// Files of the owner's that do not fit, and what becomes of visitors.
fn unused_files(why: &str, meanwhile: &str) -> Station {
    let says = format!("Your own certificate is not used: {why}.{meanwhile}");
    Station::wrong(CERTIFICATE, "certificate-files", says).remedy(FILES_REMEDY)
}

fn is_over(shown: &Shown, now: Timestamp) -> bool {
    now >= shown.until
}

/// A certificate of others that has not ended.
fn judge_shown(facts: &Facts, of_name: &OfName, shown: &Shown) -> Station {
    let name = &of_name.name;
    if !shown.is_for_name {
        let says = format!(
            "For {name}, visitors are shown a certificate that is for {}; browsers warn.",
            shown.names.join(", ")
        );
        return Station::wrong(CERTIFICATE, "certificate-other-name", says)
            .remedy(format!(
                "Get one for {name}: name it as domain or under also in webstead.toml."
            ))
            .page(ABOUT_NAMES);
    }
    if facts.now < shown.from {
        let says = format!(
            "The certificate for {name} holds only from {} on.",
            when(shown.from)
        );
        return Station::wrong(CERTIFICATE, "certificate-not-yet", says)
            .remedy("That is most likely the clock of this machine, which is wrong: see the station of the server.");
    }
    if shown.is_known == Some(false) {
        let says = format!(
            "The certificate for {name} is of {}, which this machine does not know; browsers will not either.",
            shown.issuer
        );
        return Station::wrong(CERTIFICATE, "certificate-unknown-authority", says).remedy(
            "If it is an authority for tests (staging), take its address away where it is set: in the browser under Settings, \
             Name, More, or as authority under [certificate] in webstead.toml. If it is your own, tell this \
             machine and each device to trust it.",
        );
    }
    let left = shown.until.0 - facts.now.0;
    let life = shown.until.0 - shown.from.0;
    let is_late = left < life / LATE && (left < SOON_S || of_name.failure.is_some());
    if !is_late {
        let from = if of_name.is_own {
            " from your own files"
        } else {
            ""
        };
        let says = format!(
            "The certificate for {name}{from}, of {}, holds for another {}",
            shown.issuer,
            span(left)
        );
        return with_refusal(facts, of_name, shown, &says);
    }
    let says = format!(
        "The certificate for {name} ends in {}, at {}",
        span(left),
        when(shown.until)
    );
    let Some(failure) = &of_name.failure else {
        let station = Station::wrong(CERTIFICATE, "certificate-ends", format!("{says}."));
        return with_renewal(station, facts, of_name);
    };
    let behind = judge_failure(facts, of_name, failure);
    Station {
        says: format!("{says}, and is not renewed: {}", behind.says),
        state: "certificate-ends",
        ..behind
    }
}

/// A certificate that has time, unless its renewal was refused: that is told at once, because it does not mend itself.
fn with_refusal(facts: &Facts, of_name: &OfName, shown: &Shown, says: &str) -> Station {
    let failure = of_name.failure.as_ref();
    let Some(failure) = failure.filter(|_| facts.certificates.is_agreed && !of_name.is_own) else {
        return Station::well(CERTIFICATE, "certificate-well", format!("{says}."));
    };
    let behind = judge_failure(facts, of_name, failure);
    let says = format!("{says}, and is not renewed: {}", behind.says);
    let (state, health) = match failure.kind {
        // An authority that is away for a while is asked again, and there is time.
        FailureKind::Unreachable | FailureKind::Nonce | FailureKind::LostAccount => {
            return Station::well(CERTIFICATE, "certificate-well", says);
        }
        // So is one that wants patience, if that ends in time.
        FailureKind::RateLimited if end_of_limit(failure).is_some_and(|end| end < shown.until) => {
            ("certificate-renewal-waits", Health::Unknown)
        }
        _ => ("certificate-not-renewed", Health::Wrong),
    };
    Station {
        health,
        state,
        says,
        ..behind
    }
}

fn with_renewal(station: Station, facts: &Facts, of_name: &OfName) -> Station {
    if of_name.is_own {
        station.remedy(
            "It is of your own files: put a new certificate with its key in their place (files under [certificate] in \
             webstead.toml). They are looked at every few seconds.",
        )
    } else if facts.certificates.is_agreed {
        let name = &of_name.name;
        station.remedy(format!("Ask for another one: `sudo webstead certificate renew {name}`."))
    } else {
        station.remedy("Renew it where it came from, or agree to the terms of an authority, and the site renews it itself.")
    }
    .page(ABOUT_NAMES)
}

/// Why the last try failed, in the authority's own words.
fn judge_failure(facts: &Facts, of_name: &OfName, failure: &Failure) -> Station {
    let name = &of_name.name;
    let words = quoted(&failure.text);
    let next = of_name.next.filter(|next| *next > facts.now);
    let again = next.map_or_else(String::new, |next| {
        format!(" It is tried again {}.", when(next))
    });
    match failure.kind {
        FailureKind::RateLimited => {
            let until = end_of_limit(failure).map_or_else(
                || "for a while".to_owned(),
                |end| format!("until {}", when(end)),
            );
            let says = format!(
                "The authority gives no certificate for {name} {until}, because it was asked too often. It says {words}"
            );
            Station::wrong(CERTIFICATE, "certificate-rate-limit", says).remedy(
                "Wait: it is asked again then by itself. Asking by hand before makes it longer.",
            )
        }
        FailureKind::Validation => {
            let says = format!(
                "The authority could not see that {name} leads here. It says {words}{again}"
            );
            Station::wrong(CERTIFICATE, "certificate-not-proved", says)
                .remedy("Put right what is wrong before this station: name, address, router, port.")
                .page(ABOUT_NAMES)
        }
        FailureKind::Record => {
            let says = format!(
                "The authority is not asked for a certificate for {name} before a record in the DNS is there: {}.",
                one_line(&failure.words(), MOST_CHARS)
            );
            Station::wrong(CERTIFICATE, "certificate-no-record", says)
                .remedy("Make that record once, by hand, at your DNS provider; it stays there.")
                .page("/help/a-name-and-a-certificate#a-record-that-stays")
        }
        FailureKind::Name => {
            let says = format!(
                "There is no certificate for {name}: {}.",
                one_line(&failure.text, MOST_CHARS)
            );
            Station::wrong(CERTIFICATE, "certificate-no-way", says)
                .remedy("Put right what is wrong before this station: name, address. The authority is asked as soon as the DNS knows it.")
                .page(ABOUT_NAMES)
        }
        FailureKind::Clock => {
            let says = format!(
                "There is no new certificate for {name}: {}.",
                one_line(&failure.text, MOST_CHARS)
            );
            Station::wrong(CERTIFICATE, "certificate-clock", says)
                .remedy("Set the clock right (timedatectl); it is compared every few minutes.")
        }
        FailureKind::Unreachable if failure.is_of_trouble() => {
            let says = format!(
                "The authority was reached, and gives no certificate for {name} now: {words}.{again}"
            );
            Station::wrong(CERTIFICATE, "certificate-authority-silent", says)
                .remedy("Wait: it is asked again by itself.")
        }
        FailureKind::Unreachable | FailureKind::Nonce | FailureKind::LostAccount => {
            let says = format!("The authority was not reached: {words}.{again}");
            Station::wrong(CERTIFICATE, "certificate-authority-silent", says)
                .remedy(failure.advice_on_reaching().unwrap_or(
                    "Look whether this machine reaches the internet. If it does, the authority has a bad day: wait.",
                ))
        }
        FailureKind::Refused => {
            let says =
                format!("The authority refuses a certificate for {name}. It says {words}{again}");
            Station::wrong(CERTIFICATE, "certificate-refused", says)
                .remedy("Do what these words ask for; then `sudo webstead certificate renew` tries it at once.")
                .page(ABOUT_NAMES)
        }
        FailureKind::Setup => {
            let says = format!("The certificate for {name} cannot be asked for: {words}.");
            Station::wrong(CERTIFICATE, "certificate-setup", says)
                .remedy("Correct that: in the browser under Settings, Name, in webstead.toml, or in the data folder.")
                .page(SET_NAME)
        }
    }
}

/// When an authority that was asked too often may be asked again, if it says so.
fn end_of_limit(failure: &Failure) -> Option<Timestamp> {
    failure.retry_at.or_else(|| end_in_words(&failure.text))
}

/// The end of a limit in the words of Let's Encrypt, whose answers say `retry after 2026-11-27 08:15:00 UTC`
/// (<https://letsencrypt.org/docs/rate-limits/>).
fn end_in_words(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("retry after ")?;
    let moment = rest.get(..20)?;
    let moment = moment.trim_end_matches(['Z', ' ']).replace(' ', "T");
    let moment: jiff::Timestamp = format!("{moment}Z").parse().ok()?;
    Some(moment.into())
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod states;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CERTIFICATE, Facts, FailureKind, Timestamp, end_in_words};
    use crate::net::doctor::judge::tests::{failure, station, well};

    #[test]
    fn what_keeps_a_certificate_from_being_asked_for_is_told_with_what_helps() {
        let fails = |facts: &mut Facts, kind, text| {
            facts.certificates.of_names[0].shown = None;
            facts.certificates.of_names[0].failure = Some(failure(kind, text));
        };
        let of = |change: &dyn Fn(&mut Facts)| {
            let mut facts = well();
            change(&mut facts);
            station(&facts, CERTIFICATE)
        };
        for (found, state, says, helps) in [
            (
                of(&|facts| {
                    let of_name = &mut facts.certificates.of_names[0];
                    of_name.is_own = true;
                    let shown = of_name.shown.as_mut().unwrap();
                    shown.until = Timestamp(facts.now.0 - 2 * 24 * 3600);
                }),
                "certificate-ended",
                "2 days ago",
                "your own files",
            ),
            (
                of(&|facts| fails(facts, FailureKind::Name, "there is no name a.example.org")),
                "certificate-no-way",
                "there is no name",
                "as soon as the DNS knows it",
            ),
            (
                of(&|facts| fails(facts, FailureKind::Clock, "the clock is 3 hours behind")),
                "certificate-clock",
                "3 hours behind",
                "timedatectl",
            ),
        ] {
            assert_eq!(found.state, state);
            assert!(found.says.contains(says), "{found:?}");
            let remedy = format!("{:?}", found.remedy);
            assert!(
                remedy.contains(helps) && !remedy.contains("certificate renew"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn the_end_of_a_limit_is_read_from_the_authoritys_words() {
        let usual = "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, \
                     retry after 2026-11-27 08:15:00 UTC: see https://letsencrypt.org/docs/rate-limits/";
        let end = |text: &str| end_in_words(text).map(Timestamp::rfc3339);
        assert_eq!(end(usual).as_deref(), Some("2026-11-27T08:15:00Z"));
        let with_t = "retry after 2026-11-27T08:15:00Z";
        assert_eq!(end(with_t).as_deref(), Some("2026-11-27T08:15:00Z"));
        for text in [
            "",
            "retry after",
            "retry after tomorrow, or the day after that",
            "retry after 2026-99-99 99:99:99 UTC",
        ] {
            assert_eq!(end(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_authority_says_is_read_without_a_panic(text in "(retry after )?\\PC{0,40}") {
            let _ = end_in_words(&text);
        }
    }
}
