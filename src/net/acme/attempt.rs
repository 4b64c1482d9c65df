//! One try to get a certificate: each way that may prove the name, best first.

use std::{path::Path, sync::Arc};

use instant_acme::Account;

use super::{
    Challenge, Failure, FailureKind, Settings, account,
    choice::{challenges_for, identifier_at, sound},
    deviation,
    keeper::Wanted,
    kept::{self, Kept},
    lasting::Lasting,
    order::{self, Done, Issued, Stage, Wish},
    reach,
    tried::{MOST_REFUSED, Tried},
    wire::Wire,
};
use crate::{
    base::Timestamp,
    net::{certificates::Chain, challenges::Challenges, dns, ports::Ports},
};

/// What is said of a certificate that the disk did not take.
pub(super) const UNSAVED: &str =
    "there is a certificate, and it is shown; but it could not be kept";

/// What is tried, and with what.
pub(super) struct Attempt<'a> {
    pub(super) data: &'a Path,
    pub(super) name: &'a str,
    pub(super) wanted: &'a Wanted,
    /// What is known of the name.
    pub(super) kept: &'a Kept,
    pub(super) challenges: &'a Arc<Challenges>,
    pub(super) account: &'a Account,
    pub(super) wire: &'a Wire,
    /// What is known of the ports at which an authority knocks.
    pub(super) ports: Ports,
    pub(super) occasion: Occasion,
}

/// Why it is tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Its time has come: the authority may look in vain only so often.
    Due,
    /// The owner has changed something that it depends on: each way may be open now, and may be looked at only so often.
    Changed,
    /// The owner has asked for it, and knows better than the DNS.
    ByHand,
}

/// A certificate that was obtained, and kept.
pub(super) struct Obtained {
    pub(super) chain: Chain,
    /// How the name was proved.
    pub(super) challenge: Challenge,
    /// Until when the record in the DNS is good that proves it, if it says so.
    pub(super) record_until: Option<Timestamp>,
    /// What the disk did not take, and what it said.
    pub(super) unsaved: Option<(Issued, Failure)>,
}

impl Attempt<'_> {
    /// Obtains a certificate and keeps it, if it is sound. What it teaches goes into `tried`.
    ///
    /// # Errors
    /// What keeps the DNS from being changed, because that can be put right; else the failure of the way that was
    /// thought best, of those that the authority was asked about; that a record is missing only if it was not asked at
    /// all, because then it may be looked again soon.
    pub(super) async fn make(&self, tried: &mut Tried) -> Result<Obtained, Failure> {
        let settings = &self.wanted.settings;
        if let Some(ahead_s) = self.wire.ahead_s().await {
            deviation::check(ahead_s, Timestamp::of_clock())?;
        }
        if let Some(profile) = &settings.profile {
            self.wire.check_profile(profile)?;
        }
        let known = account::known(self.data, settings)?;
        let lasting = Lasting::new(self.account, self.wire, known, self.wanted);
        let mut failures = Vec::new();
        for challenge in self.ways(&lasting, &mut failures).await {
            if self.is_hopeless(challenge, tried, &failures) {
                continue;
            }
            loop {
                let was_refused = lasting.is_refused();
                match self.by(challenge, &lasting).await {
                    // Another way may be open.
                    Err(failure) if failure.is_of_proof() => {
                        log::info!(
                            "{} was not proved by {}: {}",
                            self.name,
                            challenge.name(),
                            failure.text
                        );
                        tried.note_refused(challenge, &failure, Timestamp::now());
                        failures.push(failure);
                    }
                    other => {
                        if let Ok(obtained) = &other {
                            tried.forget(obtained.challenge);
                        }
                        return other;
                    }
                }
                // A record was taken in its place, and is not from now on.
                let is_untried = lasting.is_refused() && !was_refused;
                if !is_untried || challenge == Challenge::DnsPersist {
                    break;
                }
            }
        }
        let rests = tried.rests_until(Timestamp::now());
        Err(told_of(failures).unwrap_or_else(|| rests.map_or_else(|| self.no_way(), resting)))
    }

    /// The ways that may be open, best first. Where the DNS says that nobody can come by this name, only those through
    /// the DNS are, and why is the first of the failures.
    async fn ways(&self, lasting: &Lasting<'_>, failures: &mut Vec<Failure>) -> Vec<Challenge> {
        let mut ways = challenges_for(self.name, self.wanted, &self.kept.state, self.ports);
        let is_by_visit = |way: &Challenge| matches!(way, Challenge::Http | Challenge::TlsAlpn);
        // Who answers may be somebody in between. So what has worked counts more, and what the owner says.
        let works = ways.first() == self.kept.state.challenge.as_ref();
        if !works
            && self.occasion != Occasion::ByHand
            && ways.iter().any(is_by_visit)
            && let Some(failure) = reach::closed(self.name, self.wanted).await
        {
            ways.retain(|way| !is_by_visit(way));
            failures.push(failure);
            let is_free = self.wanted.settings.challenge.is_none();
            if is_free
                && !ways.contains(&Challenge::DnsPersist)
                && lasting.is_there(self.name).await
            {
                ways.push(Challenge::DnsPersist);
            }
        }
        ways
    }

    /// Whether it is better not to ask now: the authority has looked in vain too often, or this way has failed before, and
    /// another one was tried already. Each has its turn, so that it is seen when a port is opened.
    fn is_hopeless(&self, challenge: Challenge, tried: &Tried, failures: &[Failure]) -> bool {
        let has_asked = failures.iter().any(|failure| failure.problem.is_some());
        let has_failed = self.kept.state.tried.failed_at(challenge).is_some();
        let is_too_often = tried.rests_until(Timestamp::now()).is_some();
        match self.occasion {
            Occasion::Due => is_too_often || (has_asked && has_failed),
            Occasion::Changed => is_too_often,
            Occasion::ByHand => false,
        }
    }

    /// By one way.
    async fn by(&self, challenge: Challenge, lasting: &Lasting<'_>) -> Result<Obtained, Failure> {
        let settings = &self.wanted.settings;
        let dns = &self.wanted.dns;
        let is_zone_needed = match challenge {
            Challenge::Dns => true,
            Challenge::DnsPersist => dns.has_lasting_texts(),
            Challenge::Http | Challenge::TlsAlpn => false,
        };
        let zone = if is_zone_needed {
            dns::zone_of(dns, self.data).map_err(Failure::of_zone)?
        } else {
            None
        };
        if challenge == Challenge::DnsPersist {
            lasting.ensure(self.name, zone.as_deref()).await?;
        }
        kept::probe(self.data)?;
        let names = [self.name.to_owned()];
        let key = settings.own_key(self.data)?;
        let replaces = identifier_at(settings, self.kept);
        let wish = Wish {
            names: &names,
            challenge,
            is_set: settings.challenge.is_some(),
            profile: settings.profile.as_deref(),
            key: key.as_ref(),
            kind: settings.key.unwrap_or_default(),
            replaces: replaces.as_ref(),
        };
        let stage = Stage {
            challenges: self.challenges,
            zone: zone.as_deref(),
            wire: self.wire,
            lasting,
        };
        let mut done = order::order(self.account, &wish, &stage).await;
        for _ in 0..account::MORE_NONCES {
            let is_of_nonce = |failure: &Failure| failure.kind == FailureKind::Nonce;
            if !done.as_ref().is_err_and(is_of_nonce) {
                break;
            }
            done = order::order(self.account, &wish, &stage).await;
        }
        if challenge == Challenge::DnsPersist && !self.note_issuers(settings) {
            // Next time it is asked again.
            done = done.map_err(Failure::after_order);
        }
        let Done {
            issued,
            challenge,
            record_until,
        } = done?;
        // What time it is for visitors: a clock that is a little behind is no reason to order another one.
        let ahead_s = self.wire.last_ahead_s().unwrap_or_default();
        let now = Timestamp(Timestamp::now().0 - ahead_s.min(0));
        let chain = sound(&issued, &names, self.kept.chain.as_deref(), now)?;
        let saved = kept::save(self.data, self.name, &issued);
        let unsaved = saved.err().map(|e| {
            let text = format!("{UNSAVED}, and is lost at the next start: {e}");
            (issued, Failure::new(FailureKind::Setup, text))
        });
        Ok(Obtained {
            chain,
            challenge,
            record_until,
            unsaved,
        })
    }

    /// Keeps how the authority calls itself in records, where its directory does not say so: from then on the record
    /// is looked for before anything is asked. Says whether that is new.
    fn note_issuers(&self, settings: &Settings) -> bool {
        let offered = self.wire.offer().map(|offer| offer.issuers);
        let is_known = !self.wire.issuer().names.is_empty();
        let Some(issuers) = offered.filter(|issuers| !is_known && !issuers.is_empty()) else {
            return false;
        };
        account::note_issuers(self.data, settings, issuers).unwrap_or_else(|e| {
            log::warn!("how the authority calls itself was not kept: {e}");
            false
        })
    }

    /// Why there is no way to prove this name.
    fn no_way(&self) -> Failure {
        let text = match self.wanted.settings.challenge {
            Some(way @ (Challenge::Dns | Challenge::DnsPersist)) => format!(
                "an address is proved by http-01 or tls-alpn-01 and not by {}; set another challenge, or none",
                way.name()
            ),
            Some(way) => format!(
                "all names below one (*.) are proved through the DNS, by dns-01 or dns-persist-01, and not by {}; set \
                 another challenge, or none",
                way.name()
            ),
            None => "there is no way to prove this name".to_owned(),
        };
        Failure::new(FailureKind::Setup, text)
    }
}

/// That the authority is left alone, because it has looked in vain too often.
fn resting(until: Timestamp) -> Failure {
    let text = format!(
        "the authority has looked {MOST_REFUSED} times in vain within an hour, and allows little more, so it is asked \
         again at {}",
        until.rfc3339()
    );
    Failure {
        retry_at: Some(until),
        ..Failure::new(FailureKind::Validation, text)
    }
}

/// Which of the failures of all ways, the best first, is told: what keeps the DNS from being changed before others.
fn told_of(failures: Vec<Failure>) -> Option<Failure> {
    let is_asked =
        |failure: &Failure| !matches!(failure.kind, FailureKind::Record | FailureKind::Name);
    let of_zone = failures.iter().position(|failure| failure.is_of_zone);
    let at = of_zone.or_else(|| failures.iter().position(is_asked));
    let at = at.unwrap_or_default();
    failures.into_iter().nth(at)
}

#[cfg(test)]
mod tests {
    use super::{Failure, FailureKind, told_of};

    #[test]
    fn a_missing_record_does_not_hide_what_the_authority_said() {
        let failures = |kinds: &[FailureKind]| -> Vec<Failure> {
            let all = kinds.iter().enumerate();
            all.map(|(at, kind)| Failure::new(*kind, at.to_string()))
                .collect()
        };
        let (record, said) = (FailureKind::Record, FailureKind::Validation);
        for (kinds, told) in [
            (&[][..], None),
            (&[record], Some("0")),
            (&[record, said, said], Some("1")),
            (&[said, record], Some("0")),
        ] {
            let found = told_of(failures(kinds)).map(|failure| failure.text);
            assert_eq!(found.as_deref(), told, "{kinds:?}");
        }
        let mut all = failures(&[said, said, FailureKind::Setup]);
        all[2].is_of_zone = true;
        let found = told_of(all).map(|failure| failure.text);
        assert_eq!(found.as_deref(), Some("2"), "its owner has set it wrong");
        let after = Failure::new(record, "not there").after_order();
        assert_eq!(after.kind, said, "the authority was asked");
        assert!(after.advice().contains("exactly"), "{}", after.advice());
    }
}
