//! Looks whether a proof that stays in the DNS is there (`dns-persist-01`), and puts it there where names may be changed.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use instant_acme::Account;

use super::{
    Failure, FailureKind,
    account::Known,
    keeper::Wanted as Site,
    names::all_names,
    persist::{Asker, Issuer, Offer, Record, Standing, Wanted},
    wire::Wire,
};
use crate::{
    base::Timestamp,
    net::dns::{self, Zone},
};

/// What it takes to look.
pub(super) struct Lasting<'a> {
    asker: Asker,
    issuer: Issuer,
    check_at: &'a [SocketAddr],
    /// Every name that a certificate is wanted for.
    names: Vec<String>,
    /// The authority did not take a record that looks right.
    is_refused: AtomicBool,
}

/// A record that is there, or what it is to be; and all texts that are there.
pub(super) struct Seen {
    pub(super) wanted: Wanted,
    pub(super) standing: Standing,
    texts: Vec<String>,
}

impl<'a> Lasting<'a> {
    pub(super) fn new(account: &Account, wire: &Wire, known: Known, site: &'a Site) -> Self {
        let mut issuer = wire.issuer();
        if issuer.names.is_empty() {
            issuer.names = known.issuers;
        }
        let key = account.key_thumbprint().to_owned();
        Self {
            asker: Asker {
                url: account.id().to_owned(),
                keys: [key].into_iter().chain(known.former_keys).collect(),
            },
            issuer,
            check_at: &site.dns.check_at,
            names: all_names(site),
            is_refused: AtomicBool::new(false),
        }
    }

    /// Whether the authority has not taken a record that looks right: other ways of proving a name do without, then.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    pub(super) fn note_refused(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    /// The record for a name; `None` as long as nobody knows how the authority calls itself.
    fn wanted(&self, name: &str, offer: Option<&Offer>) -> Option<Wanted> {
        let all_below = format!("*.{name}");
        let is_for_all = self.names.contains(&all_below);
        Wanted::new(name, is_for_all, &self.asker, &self.issuer, offer)
    }

    /// The record that a name is to have, if that is known beforehand.
    pub(super) fn record(&self, name: &str) -> Option<Record> {
        self.wanted(name, None).map(|wanted| wanted.record)
    }

    /// Looks for the record of a name; `None` if it is not known what to look for.
    ///
    /// # Errors
    /// If no DNS server can be asked.
    pub(super) async fn look(
        &self,
        name: &str,
        offer: Option<&Offer>,
    ) -> Result<Option<Seen>, Failure> {
        let Some(wanted) = self.wanted(name, offer) else {
            return Ok(None);
        };
        let found = dns::texts_by_server(&wanted.record.at, self.check_at).await?;
        let now = Timestamp::now();
        // An authority may ask any of them: the one that has least counts.
        let standings = found.iter().map(|texts| wanted.standing(texts, now));
        Ok(Some(Seen {
            standing: standings
                .max_by_key(Standing::rank)
                .unwrap_or(Standing::Missing),
            texts: found.into_iter().flatten().collect(),
            wanted,
        }))
    }

    /// Whether the record of a name is there, and good for now.
    pub(super) async fn is_there(&self, name: &str) -> bool {
        let seen = self.look(name, None).await;
        matches!(seen, Ok(Some(seen)) if matches!(seen.standing, Standing::Right(_)))
    }

    /// Makes sure that the record is there before the authority is asked: puts it there if there is a zone for it.
    ///
    /// # Errors
    /// With the record that the owner is to make.
    pub(super) async fn ensure(&self, name: &str, zone: Option<&dyn Zone>) -> Result<(), Failure> {
        // How it calls itself is in its offer, which is looked at then.
        let Some(seen) = self.look(name, None).await? else {
            return Ok(());
        };
        match (&seen.standing, zone) {
            (Standing::Right(_), _) => Ok(()),
            (_, None) => Err(seen.failure()),
            (_, Some(zone)) => seen.put(zone).await,
        }
    }
}

impl Seen {
    /// Puts the record into the DNS, and takes away those of this account that do not do any more.
    async fn put(&self, zone: &dyn Zone) -> Result<(), Failure> {
        let record = &self.wanted.record;
        let put = async {
            zone.add_text(&record.at, &record.text).await?;
            for text in self.wanted.spent(&self.texts, Timestamp::now()) {
                zone.remove_text(&record.at, text).await?;
            }
            zone.await_text(&record.at, &record.text).await
        };
        let put: Result<(), dns::Failure> = put.await;
        put.map_err(|e| {
            let failure = Failure::from(e);
            Failure {
                record: Some(record.clone()),
                ..failure
            }
        })?;
        log::info!("{} has the text now that proves the name", record.at);
        Ok(())
    }

    /// What is wrong, with the record that the owner is to make.
    pub(super) fn failure(&self) -> Failure {
        Failure {
            record: Some(self.wanted.record.clone()),
            ..Failure::new(FailureKind::Record, self.in_words())
        }
    }

    /// How it stands, in words.
    pub(super) fn in_words(&self) -> String {
        let at = &self.wanted.record.at;
        match &self.standing {
            Standing::Right(None) => format!("the text at {at} is there"),
            Standing::Right(Some(until)) => {
                format!(
                    "the text at {at} is there, and good until {}",
                    until.rfc3339()
                )
            }
            Standing::Over(until) => format!("the text at {at} was good until {}", until.rfc3339()),
            Standing::NameAlone => format!(
                "the text at {at} is for that name alone and not for all below it (policy=wildcard)"
            ),
            Standing::OtherAccount => {
                format!("the text at {at} is for another account than this site's")
            }
            Standing::Garbled => format!("the text at {at} is not written as it must be"),
            Standing::Missing => format!("the DNS has no text for this authority at {at}"),
        }
    }
}
