//! What is known of the site's names, in words for their owner.

use std::sync::Arc;

use crate::{
    app::names::live::{CertificateState, FilesTrouble, Following, FollowingName, OutOfTime},
    base::Timestamp,
    net::{
        acme::{self, Report},
        certificates::{Chain, FILES_REMEDY, FilesState, Trust},
        dns::{
            FailureKind,
            follow::{self, Found},
        },
        leads,
    },
};

/// How it stands with a certificate.
pub(super) fn state_of(report: Report, settings: &acme::Settings) -> CertificateState {
    let is_public = acme::is_public(&report.name, settings);
    let unasked = match (&report.chain, report.next) {
        (None, None) if !is_public => Some(
            "No authority of the internet knows this name, so the machine's own certificate is shown for it.",
        ),
        (None, None) if !settings.agree_to_terms => Some(
            "Nobody is asked for a certificate before you agree to the authority's terms. Until then the \
             machine's own is shown, and browsers warn.",
        ),
        (None, None) => Some("The certificate for all names below the one above it will cover it."),
        _ => None,
    };
    let is_waiting = |failure: &acme::Failure| failure.kind == acme::FailureKind::Record;
    let is_waiting = report.failure.as_ref().is_some_and(is_waiting);
    let record = report.failure.as_ref().and_then(|failure| {
        let record = failure.record.clone()?;
        Some((record.at, record.text))
    });
    let failure = report.failure.map(|failure| {
        let advice = failure.advice().to_owned();
        (failure.text, advice)
    });
    let trust = report.chain.as_ref().and_then(|chain| chain.trust());
    let now = Timestamp::now();
    let is_out_of_time = report.chain.as_ref().and_then(|chain| {
        if now >= chain.not_after() {
            return Some(OutOfTime::Ended);
        }
        let from = chain.not_before();
        (now < from).then_some(OutOfTime::Before(from))
    });
    let of = |chain: Arc<Chain>| (chain.issuer().to_owned(), chain.not_after());
    CertificateState {
        name: report.name,
        of: report.chain.map(of),
        is_trusted: match trust {
            Some(Trust::Known) => Some(true),
            Some(Trust::Unknown) => Some(false),
            Some(Trust::Untold) | None => None,
        },
        is_out_of_time,
        is_own: report.is_own,
        covered_by: report.covered_by,
        is_under_way: report.is_under_way,
        failure,
        is_waiting,
        record,
        record_until: report.record_until,
        next: report.next,
        renewals: report.renewals,
        unasked: unasked.map(str::to_owned),
    }
}

/// What is wrong with the owner's own files, if something is.
pub(super) fn trouble_of(state: FilesState) -> Option<FilesTrouble> {
    Some(FilesTrouble {
        file: state.files.certificate.display().to_string(),
        words: state.problem?,
        advice: FILES_REMEDY.to_owned(),
        shown_until: state.chain.map(|chain| chain.not_after()),
    })
}

/// Whether all is well with where a name leads, and what was found.
pub(super) fn in_words(looked: &leads::Looked) -> (bool, String) {
    let (is_fine, mut text) = of_lead(&looked.lead);
    if looked.is_only_v6 {
        text += " It has an address of IPv6 alone, so who has only IPv4, as many networks do, does not get there: if \
                 your router has an IPv4 address that the internet leads to, make an A record with it too.";
    }
    (is_fine, text)
}

fn of_lead(lead: &leads::Lead) -> (bool, String) {
    use leads::Lead;
    let text = match lead {
        Lead::Here(address) => return (true, format!("It leads here, to {address}.")),
        Lead::Elsewhere(address) => format!(
            "It leads to {address}, and something else answers there. If that is not your router (some show their \
             own page to those inside), give the name the address that your router has, and let the router \
             forward ports 80 and 443 to this machine."
        ),
        Lead::Silent(address) => format!(
            "It leads to {address}, where nothing answers as far as this machine can see. Many routers do not \
             let you see yourself from inside, so it may be right; if not, let the router forward ports 80 and 443 \
             to this machine."
        ),
        Lead::Home(address) => format!(
            "It leads to {address}, which is an address of a home network: nobody outside can open it, and the \
             authority cannot either, unless it is proved through the DNS."
        ),
        Lead::Shared(address) => format!(
            "It leads to {address}, an address that a provider shares among its customers (CGNAT, RFC 6598): nobody \
             outside can open it, and no router at home can change that. Ask your provider for an IPv4 address of \
             your own, or give the name this machine's IPv6 address (an AAAA record)."
        ),
        Lead::Loopback(address) => format!(
            "It leads to {address}, which is for each machine itself: nobody else gets here by it. Give the name the \
             address of your router."
        ),
        Lead::NoAddress => {
            "It exists and has no address. Make an A record for it at your DNS provider, with the address of your \
             router."
                .to_owned()
        }
        Lead::Missing => {
            "There is no such name yet. Make an A record for it at your DNS provider, with the address of your \
             router; it takes up to an hour until everybody knows it."
                .to_owned()
        }
        Lead::Unknown(why) => format!("Nobody could be asked where it leads: {why}."),
    };
    (false, text)
}

/// How it stands with the names that follow.
pub(super) fn following_of(report: follow::Report) -> Following {
    let wanted = report.wanted();
    let address = |kind: &str, found: &Found| match (&found.address, &found.source, &found.why_not)
    {
        (Some(address), Some(source), _) => match source.as_str() {
            "interfaces" => format!("{kind}: {address}, which the machine has itself."),
            "router" => format!("{kind}: {address}, as the router says."),
            outside => format!("{kind}: {address}, as {outside} sees it."),
        },
        (_, _, Some(why)) => format!("{kind}: none, because {why}."),
        _ => format!("{kind}: not known yet."),
    };
    let addresses = vec![address("IPv4", &report.v4), address("IPv6", &report.v6)];
    let names = report.names.into_iter().map(|(name, state)| {
        let is_stopped = state.is_stopped();
        let has_all = wanted.iter().all(|address| state.has.contains(address));
        FollowingName {
            name,
            is_known: state.is_known(),
            has: state.has.iter().map(ToString::to_string).collect(),
            since: state.since,
            is_right: has_all && !wanted.is_empty(),
            is_stopped,
            next: state.next_try,
            failure: state.failure.map(|failure| {
                let advice = advice(failure.kind).to_owned();
                (failure.text, advice)
            }),
        }
    });
    Following {
        addresses,
        names: names.collect(),
    }
}

/// What to do about a name that does not follow.
fn advice(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Unreachable => {
            "The provider cannot be reached. It is tried again all the time; if that stays so, look whether this \
             machine reaches the internet, and whether the provider has a fault."
        }
        FailureKind::Trouble => {
            "The provider has trouble. There is nothing to do; if that stays so, look there whether it says why."
        }
        FailureKind::RateLimited => {
            "The provider wants to be asked less often. There is nothing to do: it is."
        }
        FailureKind::Refused => {
            "Look at the provider whether its secret (token, key, password) may change this name, and whether the name is in the zone."
        }
        FailureKind::Final => {
            "The provider wants not to be asked again like this. Put right there what it says, save the secret once \
             more, or compare now."
        }
        FailureKind::Address => {
            "Look at the provider which addresses it takes. The next one that this home gets is tried by itself."
        }
        FailureKind::Setup => {
            "Something is missing here. Look at the provider's fields, and save its secret once more."
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::in_words;
    use crate::net::leads::{Lead, Looked};

    #[test]
    fn where_a_name_leads_is_told_with_what_to_do() {
        let of = |text: &str| text.parse::<IpAddr>().unwrap();
        for (lead, is_only_v6, words, is_fine) in [
            (
                Lead::Here(of("8.8.8.8")),
                false,
                "leads here, to 8.8.8.8.",
                true,
            ),
            (
                Lead::Here(of("2a00::1")),
                true,
                "make an A record with it too",
                true,
            ),
            (Lead::Silent(of("2a00::1")), true, "IPv6 alone", false),
            (
                Lead::Home(of("192.168.1.5")),
                false,
                "a home network",
                false,
            ),
            (
                Lead::Shared(of("100.64.3.20")),
                false,
                "shares among its customers (CGNAT",
                false,
            ),
            (
                Lead::Shared(of("100.64.3.20")),
                false,
                "Ask your provider",
                false,
            ),
            (
                Lead::Loopback(of("127.0.0.1")),
                false,
                "each machine itself",
                false,
            ),
            (Lead::Missing, false, "no such name yet", false),
        ] {
            let said = in_words(&Looked {
                lead: lead.clone(),
                is_only_v6,
            });
            assert_eq!(said.0, is_fine, "{lead:?}");
            assert!(said.1.contains(words), "{lead:?}: {}", said.1);
            let is_home = matches!(lead, Lead::Home(_));
            assert_eq!(said.1.contains("home network"), is_home, "{}", said.1);
        }
    }
}
