//! One certificate: when it is due, the try, and what is kept of that.

use std::{mem::replace, sync::Arc, time::SystemTime};

use instant_acme::Account;

use super::{
    Failure, FailureKind, account,
    attempt::{Attempt, Obtained, Occasion},
    choice::identifier_at,
    keeper::{Keeper, Wanted},
    kept::{self, Kept, Request},
    memory::Memory,
    report::{next_of, spread},
    schedule,
    tried::{Tried, digest_of},
    wire::Wire,
};
use crate::{base::Timestamp, db::DataFolder, net::certificates::clock};

/// Seconds after which an authority is asked again when a certificate is to be renewed; it may say otherwise.
const ADVICE_S: i64 = 6 * 3600;
/// What an authority may say (RFC 9773 section 4.3.2 wants reasonable limits).
const ADVICE_LIMITS_S: (i64, i64) = (60, 24 * 3600);

/// What is said where nothing is ordered, because nothing could be kept.
pub(super) const READ_ONLY: &str = "the data folder is on a disk that is read-only";

impl Keeper {
    /// Whether a certificate for this name is to be obtained now. Asks the authority for its advice, now and then.
    pub(super) async fn is_due(&self, memory: &mut Memory, name: &str, wanted: &Wanted) -> bool {
        let now = Timestamp::now();
        if !clock::is_believable(SystemTime::now()) {
            if !replace(&mut memory.is_clock_told, true) {
                log::warn!(
                    "the clock of this machine says {}: no certificate is obtained or renewed before it is right. It \
                     is looked at every few seconds; if it does not set itself, look whether this machine can reach \
                     a time server (timedatectl)",
                    Timestamp::of_clock().rfc3339()
                );
            }
            return false;
        }
        if replace(&mut memory.is_clock_told, false) {
            log::info!("the clock says {} now", now.rfc3339());
        }
        let kept = &memory.kept[name];
        let advice = kept.state.advice_until;
        if kept.chain.is_some() && advice.is_none_or(|at| schedule::has_come(at, now)) {
            self.ask_advice(memory, name, wanted).await;
        }
        let kept = &memory.kept[name];
        match kept.state.next_try {
            Some(at) if kept.state.failures > 0 => schedule::has_come(at, now),
            _ => next_of(kept, name) <= now,
        }
    }

    /// Asks the authority when it wants the certificate to be renewed (RFC 9773). No answer is no advice.
    async fn ask_advice(&self, memory: &mut Memory, name: &str, wanted: &Wanted) {
        let id = identifier_at(&wanted.settings, &memory.kept[name]);
        let advice = match (id, self.account(memory, wanted).await) {
            (Some(id), Ok((account, _))) => account.renewal_info(&id).await.ok(),
            _ => None,
        };
        let now = Timestamp::now();
        let Some(kept) = memory.kept.get_mut(name) else {
            return;
        };
        let mut pause = ADVICE_S;
        if let Some((info, again)) = advice {
            let window = &info.suggested_window;
            kept.state.advised = Some((
                Timestamp(window.start.unix_timestamp()),
                Timestamp(window.end.unix_timestamp()),
            ));
            let (least, most) = ADVICE_LIMITS_S;
            pause = i64::try_from(again.as_secs())
                .unwrap_or(most)
                .clamp(least, most);
        }
        kept.state.advice_until = Some(Timestamp(now.0 + pause));
        kept.keep_state(&self.data, name);
    }

    /// Obtains a certificate for a name, and keeps it if it is sound; else keeps why there is none.
    pub(super) async fn renew(
        &self,
        memory: &mut Memory,
        name: &str,
        wanted: &Wanted,
        asked: Option<Request>,
    ) {
        let digest = digest_of(&self.data, name, wanted);
        let Some(kept) = memory.kept.get(name) else {
            return;
        };
        let mut tried = kept.state.tried.clone();
        // The owner asks by hand: then the authority itself says if that is too often.
        let is_asked = asked.is_some();
        let occasion = match (asked, tried.is_with_other(&digest)) {
            (Some(Request::Renew), _) => Occasion::ByHand,
            (Some(Request::TryAgain), _) | (None, true) => Occasion::Changed,
            (None, false) => Occasion::Due,
        };
        tried.note_with(digest, account::authority_of(&wanted.settings));
        let mut outcome = self
            .obtain(memory, name, wanted, occasion, &mut tried)
            .await;
        let is_lost = |failure: &Failure| failure.kind == FailureKind::LostAccount;
        if outcome.as_ref().is_err_and(is_lost) {
            // That one was put aside. After a long time without the authority, the next try may be hours away.
            outcome = self
                .obtain(memory, name, wanted, occasion, &mut tried)
                .await;
        }
        let retry_at = memory
            .account
            .as_ref()
            .and_then(|(.., wire)| wire.take_retry_at());
        let Some(kept) = memory.kept.get_mut(name) else {
            return;
        };
        kept.state.tried = tried;
        match outcome {
            Ok(obtained) => note_obtained(kept, name, wanted, obtained, is_asked),
            Err(failure) => {
                let failure = Failure {
                    retry_at: failure.retry_at.or(retry_at),
                    ..failure
                };
                if note_failure(kept, name, failure, occasion) && !is_asked {
                    return;
                }
            }
        }
        kept.keep_state(&self.data, name);
    }

    pub(super) async fn obtain(
        &self,
        memory: &mut Memory,
        name: &str,
        wanted: &Wanted,
        occasion: Occasion,
        tried: &mut Tried,
    ) -> Result<Obtained, Failure> {
        if DataFolder::at(&self.data).is_on_read_only_disk() {
            let text = format!("{READ_ONLY}, so a certificate could not be kept");
            return Err(Failure::new(FailureKind::Setup, text));
        }
        if account::written_at(&self.data, &wanted.settings) == [None, None] {
            kept::probe(&self.data)?;
        }
        // An account is found to be lost when it is opened, too, if something is to be changed about it.
        let obtained = match self.account(memory, wanted).await {
            Ok((account, wire)) => {
                let attempt = Attempt {
                    data: &self.data,
                    name,
                    wanted,
                    kept: &memory.kept[name],
                    challenges: &self.challenges,
                    account: &account,
                    wire: &wire,
                    ports: memory.ports,
                    occasion,
                };
                attempt.make(tried).await
            }
            Err(failure) => Err(failure),
        };
        let is_lost = |failure: &Failure| failure.kind == FailureKind::LostAccount;
        if obtained.as_ref().is_err_and(is_lost) {
            memory.account = None;
            account::put_aside(&self.data, &wanted.settings)?;
        }
        obtained
    }

    /// The account, opened with these settings.
    async fn account(
        &self,
        memory: &mut Memory,
        wanted: &Wanted,
    ) -> Result<(Account, Wire), Failure> {
        let settings = &wanted.settings;
        let written = account::written_at(&self.data, settings);
        if let Some((of, at, account, wire)) = &memory.account
            && of == settings
            && *at == written
        {
            return Ok((account.clone(), wire.clone()));
        }
        let (account, wire) = account::connect(&self.data, settings).await?;
        let written = account::written_at(&self.data, settings);
        memory.account = Some((settings.clone(), written, account.clone(), wire.clone()));
        Ok((account, wire))
    }
}

/// Keeps what was obtained.
fn note_obtained(kept: &mut Kept, name: &str, wanted: &Wanted, obtained: Obtained, is_asked: bool) {
    let chain = obtained.chain;
    log::info!(
        "{name} has a certificate of {} until {}",
        chain.issuer(),
        chain.not_after().rfc3339()
    );
    if let Some(until) = obtained.record_until.filter(|at| *at < chain.not_after()) {
        log::warn!(
            "the text in the DNS that proves {name} is good until {} only; put another one in its place before the \
             certificate is to be renewed",
            until.rfc3339()
        );
    }
    let was_there = kept.chain.replace(Arc::new(chain)).is_some();
    let renewals = kept.state.renewals + u32::from(was_there && !is_asked);
    kept.state = kept::State {
        challenge: Some(obtained.challenge),
        record_until: obtained.record_until,
        authority: Some(account::authority_of(&wanted.settings).to_owned()),
        renewals,
        tried: std::mem::take(&mut kept.state.tried),
        ..kept::State::default()
    };
    kept.unsaved = None;
    if let Some((issued, failure)) = obtained.unsaved {
        log::error!("{name}: {}", failure.text);
        kept.unsaved = Some(issued);
        kept.state.failure = Some(failure);
    }
}

/// Keeps why there is nothing, and when it is tried again. Says whether that is what is known already: it is looked for
/// every few minutes, perhaps for days, and said and written once.
fn note_failure(kept: &mut Kept, name: &str, failure: Failure, occasion: Occasion) -> bool {
    let is_known = failure.is_of_waiting() && kept.state.failure.as_ref() == Some(&failure);
    if !is_known {
        log::warn!("no certificate for {name}: {}", failure.words());
    }
    let now = Timestamp::now();
    let until = kept.chain.as_ref().map(|chain| chain.not_after());
    let before = kept.state.failure.as_ref();
    let by_owner = occasion != Occasion::Due;
    kept.state.failures = schedule::counted(kept.state.failures, before, &failure, by_owner);
    let spread = spread(name, now.0);
    let next = schedule::next_try(kept.state.failures, &failure, until, now, spread);
    // However near the end is: who has looked in vain too often looks no more.
    let rests_until = kept.state.tried.rests_until(now).unwrap_or(next);
    kept.state.next_try = Some(next.max(rests_until));
    kept.state.failure = Some(failure);
    is_known
}
