//! What is chosen for a name: how it is proved, which certificate it takes the place of, and whether what was issued
//! is used.

use instant_acme::CertificateIdentifier;

use super::{
    Challenge, Failure, FailureKind, Settings,
    account::authority_of,
    keeper::Wanted,
    kept::{Kept, State},
    order::Issued,
};
use crate::{
    base::Timestamp,
    net::{
        certificates::Chain,
        ports::{Port, Ports},
    },
};

/// What was issued, if it may take the place of what is there: a working certificate never makes way for a
/// broken one. `now` is what time it is for visitors.
pub(super) fn sound(
    issued: &Issued,
    names: &[String],
    old: Option<&Chain>,
    now: Timestamp,
) -> Result<Chain, Failure> {
    let refused = |why: String| {
        let text = format!("the authority sent a certificate that is not used: {why}");
        Failure::new(FailureKind::Refused, text)
    };
    let chain = Chain::parse(&issued.chain, &issued.key).map_err(|e| refused(e.to_string()))?;
    chain
        .check(names, now)
        .map_err(|e| refused(e.to_string()))?;
    match old {
        // One that was made later may end earlier: the owner wants short ones now.
        Some(old)
            if old.check(names, now).is_ok()
                && old.not_before() >= chain.not_before()
                && old.not_after() > chain.not_after() =>
        {
            Err(refused("the one there is newer and lasts longer".into()))
        }
        _ => Ok(chain),
    }
}

/// How a name is proved, best first: as the owner wants it; as it worked last; by a port that is open; as it may work;
/// what has failed last, the longest ago first, so that each has its turn; and by a port that is taken for closed.
pub(super) fn challenges_for(
    name: &str,
    wanted: &Wanted,
    state: &State,
    ports: Ports,
) -> Vec<Challenge> {
    let (own, worked) = (wanted.settings.challenge, state.challenge);
    let mut all = own.map_or_else(|| Challenge::ALL.to_vec(), |only| vec![only]);
    let known = |challenge: Challenge| match challenge {
        Challenge::Http => ports.http,
        Challenge::TlsAlpn => ports.https,
        Challenge::Dns | Challenge::DnsPersist => Port::Unknown,
    };
    all.sort_by_key(|challenge| {
        let failed_at = state.tried.failed_at(*challenge);
        let has_worked = Some(*challenge) == worked;
        // The router may be wrong. So it is never left out, where the authority has come in it is open, and once it has
        // failed it has its turn as others do.
        let is_closed = known(*challenge) == Port::Closed && !has_worked && failed_at.is_none();
        (is_closed, failed_at, !has_worked, known(*challenge))
    });
    let has_zone = wanted.dns.has_texts_for(name);
    all.retain(|challenge| {
        let is_open = match challenge {
            Challenge::Http | Challenge::TlsAlpn => true,
            Challenge::Dns => has_zone,
            // Elsewhere it is taken if the record is seen once it is offered.
            Challenge::DnsPersist => {
                worked == Some(*challenge) || (name.starts_with("*.") && !has_zone)
            }
        };
        challenge.can_prove(name) && (is_open || own.is_some())
    });
    all
}

/// What the certificate of a name is called at the authority of these settings (RFC 9773 section 4.1); `None` if it is
/// not from there, or nobody knows.
pub(super) fn identifier_at(
    settings: &Settings,
    kept: &Kept,
) -> Option<CertificateIdentifier<'static>> {
    if kept.state.authority.as_deref() != Some(authority_of(settings)) {
        return None;
    }
    let leaf = kept.chain.as_ref()?.leaf();
    let id = CertificateIdentifier::try_from(leaf).ok();
    id.map(CertificateIdentifier::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_comes_first_and_what_has_failed_last() {
        let (http, alpn, dns) = (Challenge::Http, Challenge::TlsAlpn, Challenge::Dns);
        let by_hand = "";
        let with_zone = "provider = \"gandi\"\nzone = \"a.example\"";
        let elsewhere = "provider = \"gandi\"\nzone = \"b.example\"";
        for (provider, worked, failed, expected) in [
            (by_hand, None, &[][..], &[http, alpn][..]),
            (with_zone, None, &[], &[http, alpn, dns]),
            (with_zone, Some(dns), &[], &[dns, http, alpn]),
            (by_hand, None, &[http], &[alpn, http]),
            (by_hand, None, &[alpn, http], &[alpn, http]),
            (by_hand, None, &[http, alpn], &[http, alpn]),
            (with_zone, None, &[http, alpn], &[dns, http, alpn]),
            // It has failed since.
            (with_zone, Some(http), &[http], &[alpn, dns, http]),
            // A zone that does not have it proves nothing.
            (elsewhere, None, &[], &[http, alpn]),
        ] {
            let wanted = Wanted {
                dns: toml::from_str(provider).unwrap(),
                ..Wanted::default()
            };
            let mut state = State {
                challenge: worked,
                ..State::default()
            };
            for (at, way) in (1..).zip(failed) {
                let failure = Failure {
                    problem: Some("connection".into()),
                    ..Failure::new(FailureKind::Validation, "closed")
                };
                state.tried.note_refused(*way, &failure, Timestamp(at));
            }
            let found = challenges_for("a.example", &wanted, &state, Ports::default());
            assert_eq!(found, expected, "{provider:?} {worked:?} {failed:?}");
        }
    }

    #[test]
    #[rustfmt::skip] // a table, one line for each pair of ports
    fn a_port_that_is_taken_for_closed_is_tried_last_and_never_left_out() {
        use Port::{Closed, Open, Unknown};
        let (http, alpn, dns) = (Challenge::Http, Challenge::TlsAlpn, Challenge::Dns);
        let order = |zone: &str, own, worked, failed: &[Challenge], (http, https)| {
            let settings = Settings { challenge: own, ..Settings::default() };
            let wanted = Wanted { settings, dns: toml::from_str(zone).unwrap(), ..Wanted::default() };
            let mut state = State { challenge: worked, ..State::default() };
            for (at, way) in (1..).zip(failed) {
                let failure = Failure {
                    problem: Some("connection".into()),
                    ..Failure::new(FailureKind::Validation, "closed")
                };
                state.tried.note_refused(*way, &failure, Timestamp(at));
            }
            challenges_for("a.example", &wanted, &state, Ports { http, https })
        };
        let zone = "provider = \"gandi\"\nzone = \"a.example\"";
        for (ports, by_hand, with_zone) in [
            ((Open, Open), &[http, alpn][..], &[http, alpn, dns][..]),
            ((Open, Unknown), &[http, alpn], &[http, alpn, dns]),
            ((Open, Closed), &[http, alpn], &[http, dns, alpn]),
            ((Unknown, Open), &[alpn, http], &[alpn, http, dns]),
            ((Unknown, Unknown), &[http, alpn], &[http, alpn, dns]),
            ((Unknown, Closed), &[http, alpn], &[http, dns, alpn]),
            ((Closed, Open), &[alpn, http], &[alpn, dns, http]),
            ((Closed, Unknown), &[alpn, http], &[alpn, dns, http]),
            // They are tried all the same: the router may be wrong.
            ((Closed, Closed), &[http, alpn], &[dns, http, alpn]),
        ] {
            assert_eq!(order("", None, None, &[], ports), by_hand, "{ports:?}");
            assert_eq!(order(zone, None, None, &[], ports), with_zone, "{ports:?}");
            for own in [http, alpn, dns] {
                assert_eq!(order(zone, Some(own), None, &[], ports), [own], "{ports:?}");
            }
        }
        for (worked, failed, ports, expected) in [
            // It has worked with whatever is said of it.
            (Some(http), &[][..], (Closed, Closed), &[http, dns, alpn][..]),
            (Some(alpn), &[], (Open, Closed), &[alpn, http, dns]),
            (Some(dns), &[], (Open, Open), &[dns, http, alpn]),
            // Until it does not any more.
            (Some(http), &[http], (Closed, Closed), &[dns, http, alpn]),
            (Some(dns), &[http, alpn], (Closed, Closed), &[dns, http, alpn]),
            // That it is open now, or seems so, does not undo what failed.
            (None, &[http], (Open, Unknown), &[alpn, dns, http]),
            (None, &[dns], (Unknown, Closed), &[http, dns, alpn]),
            (None, &[dns], (Closed, Closed), &[dns, http, alpn]),
            // Where each has failed, each has its turn.
            (None, &[http, alpn, dns], (Closed, Closed), &[http, alpn, dns]),
        ] {
            let found = order(zone, None, worked, failed, ports);
            assert_eq!(found, expected, "{worked:?} {failed:?} {ports:?}");
        }
    }
}
