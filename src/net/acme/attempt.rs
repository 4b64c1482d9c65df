//! One try to get a certificate: each way that may prove the name, best first.

use std::{path::Path, sync::Arc};

use instant_acme::Account;

use super::{
    Challenge, Failure, FailureKind, Settings, account,
    choice::{challenges_for, identifier_at, sound},
    keeper::Wanted,
    kept::{self, Kept},
    lasting::Lasting,
    order::{self, Done, Stage, Wish},
    wire::Wire,
};
use crate::{
    base::Timestamp,
    net::{certificates::Chain, challenges::Challenges, dns},
};

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
}

/// A certificate that was obtained, and kept.
pub(super) struct Obtained {
    pub(super) chain: Chain,
    /// How the name was proved.
    pub(super) challenge: Challenge,
    /// Until when the record in the DNS is good that proves it, if it says so.
    pub(super) record_until: Option<Timestamp>,
}

impl Attempt<'_> {
    /// Obtains a certificate and keeps it, if it is sound.
    ///
    /// # Errors
    /// The failure of the way that was thought best.
    pub(super) async fn make(&self) -> Result<Obtained, Failure> {
        let settings = &self.wanted.settings;
        let worked = self.kept.state.challenge;
        let known = account::known(self.data, settings)?;
        let lasting = Lasting::new(self.account, self.wire, known, self.wanted);
        let mut first = None;
        for challenge in challenges_for(self.name, self.wanted, worked) {
            match self.by(challenge, &lasting).await {
                // Another way may be open.
                Err(failure) if failure.is_of_proof() => {
                    log::info!(
                        "{} was not proved by {}: {}",
                        self.name,
                        challenge.name(),
                        failure.text
                    );
                    first.get_or_insert(failure);
                }
                other => return other,
            }
        }
        Err(first.unwrap_or_else(|| self.no_way()))
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
            dns::zone_of(dns, self.data)?
        } else {
            None
        };
        if challenge == Challenge::DnsPersist {
            lasting.ensure(self.name, zone.as_deref()).await?;
        }
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
        if challenge == Challenge::DnsPersist {
            self.note_issuers(settings);
        }
        let Done {
            issued,
            challenge,
            record_until,
        } = done?;
        let chain = sound(&issued, &names, self.kept.chain.as_deref())?;
        kept::save(self.data, self.name, &issued)?;
        Ok(Obtained {
            chain,
            challenge,
            record_until,
        })
    }

    /// Keeps how the authority calls itself in records, where its directory does not say so: from then on the record
    /// is looked for before anything is asked.
    fn note_issuers(&self, settings: &Settings) {
        let offered = self.wire.offer().map(|offer| offer.issuers);
        let is_known = !self.wire.issuer().names.is_empty();
        if let Some(issuers) = offered.filter(|issuers| !is_known && !issuers.is_empty())
            && let Err(e) = account::note_issuers(self.data, settings, issuers)
        {
            log::warn!("how the authority calls itself was not kept: {e}");
        }
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
