//! Who has come from outside, and what that says of the way.

use super::span;
use crate::{
    base::Timestamp,
    net::doctor::facts::{Facts, Mapping},
};

/// How long a visitor from outside counts as evidence that the door is open.
const FRESH_S: i64 = 24 * 3600;

/// When somebody came from outside, if that says something of what is now.
pub(super) fn fresh_visitor(facts: &Facts, is_v6: bool) -> Option<Timestamp> {
    let at = facts.last_visitor(is_v6)?;
    let is_newer = is_v6 || denied_since(facts).is_none_or(|since| at.0 > since.0);
    (is_newer && is_evidence(facts, at)).then_some(at)
}

/// Whether a visit says that the door is open: it is not long ago, and the door was not closed since.
pub(super) fn is_evidence(facts: &Facts, at: Timestamp) -> bool {
    let closed_at = facts.seen.as_ref().and_then(|seen| seen.closed_at);
    facts.now.0 - at.0 < FRESH_S && closed_at.is_none_or(|closed| at.0 > closed)
}

/// Since when the router says that it lets nobody in to this machine, if it does. Who came later knows better: many a
/// router does not tell what was set on its own pages.
fn denied_since(facts: &Facts) -> Option<Timestamp> {
    let router = &facts.home.router;
    let is_denied = match router.mapping {
        Mapping::Untold => false,
        Mapping::Nobody => true,
        Mapping::To(to) => facts.home.outward.is_some_and(|own| own != to.ip()),
    };
    is_denied.then(|| router.since.unwrap_or(facts.now))
}

/// How long ago the last visitor from outside came.
pub(super) fn ago(facts: &Facts, at: Timestamp) -> String {
    match facts.now.0 - at.0 {
        ..=59 => "less than a minute ago".into(),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// Who has come from outside, for the end of a sentence.
pub(super) fn visitors(facts: &Facts) -> String {
    if let Some(at) = facts.last_visitor(false) {
        return format!(
            ", and the last visitor from outside came {}",
            ago(facts, at)
        );
    }
    match facts.seen.as_ref().map(|seen| facts.now.0 - seen.since) {
        None => String::new(),
        Some(..=59) => ", and nobody from outside has come yet".into(),
        Some(seconds) => format!(", and nobody from outside has come for {}", span(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW, ip, station, well},
        *,
    };
    use crate::{base::Place, net::doctor::facts::Who};

    #[test]
    fn who_came_before_the_door_was_closed_does_not_prove_that_it_is_open() {
        let another = Mapping::To("192.168.1.9:443".parse().unwrap());
        let here = Mapping::To("192.168.1.20:443".parse().unwrap());
        // What the router says, since when, when the door was closed, and when somebody came last.
        for (mapping, since, closed_at, came, router, port) in [
            (
                Mapping::Untold,
                0,
                None,
                300,
                "router-hairpin",
                "port-visited",
            ),
            (here, 600, None, 300, "router-hairpin", "port-visited"),
            (
                Mapping::Nobody,
                60,
                None,
                300,
                "router-unmapped",
                "port-closed",
            ),
            (another, 60, None, 300, "router-to-another", "port-closed"),
            // Set on its own pages, which it does not tell.
            (
                Mapping::Nobody,
                600,
                None,
                300,
                "router-hairpin",
                "port-visited",
            ),
            (another, 600, None, 300, "router-hairpin", "port-visited"),
            (
                Mapping::Untold,
                0,
                Some(60),
                300,
                "router-untold",
                "port-closed",
            ),
            (
                Mapping::Untold,
                0,
                Some(600),
                300,
                "router-hairpin",
                "port-visited",
            ),
            (
                Mapping::Nobody,
                6000,
                Some(60),
                300,
                "router-unmapped",
                "port-closed",
            ),
        ] {
            let mut facts = well();
            facts.doors[0].who = Who::Silent;
            facts.home.router.mapping = mapping;
            facts.home.router.since = Some(Timestamp(NOW - since));
            let seen = facts.seen.as_mut().unwrap();
            seen.closed_at = closed_at.map(|ago| NOW - ago);
            seen.visitors = vec![(ip("9.9.9.9"), NOW - came)];
            let found = [Place::Router, Place::Port].map(|place| station(&facts, place));
            let case = format!("{mapping:?} {since} {closed_at:?}: {found:?}");
            assert_eq!(found[0].state, router, "{case}");
            assert_eq!(found[1].state, port, "{case}");
            assert!(!found[1].says.contains("nobody from outside"), "{case}");
        }
    }
}
