//! What tries have taught: which way failed when, how often an authority has looked in vain, and with which settings.

use std::{fs, path::Path, time::UNIX_EPOCH};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Challenge, Failure, Settings, keeper::Wanted, names::all_names, settings};
use crate::{
    base::{Timestamp, secrets},
    net::dns,
};

/// How often an authority may look for a proof in vain within an hour, for one name. Let's Encrypt allows five for each
/// account and name (<https://letsencrypt.org/docs/rate-limits/>, authorization failures); one of them is left for who
/// asks by hand.
pub(super) const MOST_REFUSED: usize = 4;
/// That hour, with a minute for the way there.
const WINDOW_S: i64 = 3600 + 60;

/// What tries have taught about a name; survives restarts and successes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tried {
    /// Ways that did not prove the name when they were tried last.
    failed: Vec<Failed>,
    /// When the authority has looked in vain, in the last hour.
    refused: Vec<Timestamp>,
    /// A digest of what the last try was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<String>,
    /// The authority of the last try: others have limits of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
}

/// A way that did not prove the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    challenge: Challenge,
    /// As the authority calls it: `connection`. For who looks into the file; programs before this one insist on it.
    problem: String,
    at: Timestamp,
}

impl Tried {
    /// The authority has looked for this proof, and there was something wrong with it.
    pub(super) fn note_refused(&mut self, challenge: Challenge, failure: &Failure, now: Timestamp) {
        let Some(problem) = failure.problem.clone() else {
            return;
        };
        self.forget(challenge);
        self.failed.push(Failed {
            challenge,
            problem,
            at: now,
        });
        self.refused.retain(|at| is_within(*at, now));
        self.refused.push(now);
    }

    /// This way has proved the name.
    pub(super) fn forget(&mut self, challenge: Challenge) {
        self.failed.retain(|failed| failed.challenge != challenge);
    }

    /// When this way failed, if it did when it was tried last.
    pub(super) fn failed_at(&self, challenge: Challenge) -> Option<Timestamp> {
        let mut failed = self.failed.iter();
        let failed = failed.find(|failed| failed.challenge == challenge);
        failed.map(|failed| failed.at)
    }

    /// When the authority may look again, if it has looked in vain too often.
    pub(super) fn rests_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut recent: Vec<Timestamp> = self.refused.clone();
        recent.retain(|at| is_within(*at, now));
        recent.sort_unstable();
        let first_that_counts = recent.len().checked_sub(MOST_REFUSED)?;
        let at = recent.get(first_that_counts)?;
        Some(Timestamp(at.0 + WINDOW_S))
    }

    /// Whether the last try was made with something else than this. Nobody knows what one of an older program was
    /// made with.
    pub(super) fn is_with_other(&self, digest: &str) -> bool {
        self.with.as_deref().is_some_and(|with| with != digest)
    }

    /// A try is made with this, at this authority.
    pub(super) fn note_with(&mut self, digest: String, authority: &str) {
        if self.at.as_deref().is_some_and(|at| at != authority) {
            self.refused.clear();
        }
        self.at = Some(authority.to_owned());
        self.with = Some(digest);
    }
}

/// Whether a moment is in the last hour. One that lies ahead was noted by a clock that was wrong.
fn is_within(at: Timestamp, now: Timestamp) -> bool {
    (0..WINDOW_S).contains(&(now.0 - at.0))
}

/// A digest of everything that a try for a name depends on, and that its owner can change: settings, files and secrets.
///
/// Of files and secrets it is when they were written. A digest of a short password would be as good as the password to
/// whoever gets it.
pub(super) fn digest_of(data: &Path, name: &str, wanted: &Wanted) -> String {
    // A name or a file more is no reason to ask for the others.
    let settings = Settings {
        names: Vec::new(),
        files: Vec::new(),
        ..wanted.settings.clone()
    };
    let all_below = format!("*.{name}");
    let is_for_all = all_names(wanted).contains(&all_below);
    let written = |name| secrets::written_at(data, name);
    let files = [
        &settings.key_file,
        &settings.authority_roots,
        &wanted.dns.api_roots,
    ];
    let of_files = files.map(|file| {
        let file = fs::metadata(data.join(file.as_ref()?)).ok()?;
        file.modified().ok()
    });
    let of_secrets = [dns::SECRET_NAME, settings::SECRET_NAME].map(written);
    let moments = of_files.into_iter().chain(of_secrets).map(|at| {
        let since = at?.duration_since(UNIX_EPOCH).ok();
        since.map(|since| since.as_nanos().to_string())
    });
    let moments: Vec<_> = moments.collect();
    let settings = serde_json::to_string(&settings).unwrap_or_default();
    let all = format!("{settings} {:?} {is_for_all} {moments:?}", wanted.dns);
    HEXLOWER.encode(&Sha256::digest(all)[..8])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::FailureKind, *};

    fn refused(problem: &str) -> Failure {
        Failure {
            problem: Some(problem.to_owned()),
            ..Failure::new(FailureKind::Validation, "no")
        }
    }

    #[test]
    fn a_way_that_failed_is_remembered_until_it_proves_the_name() {
        let mut tried = Tried::default();
        let unseen = Failure::new(FailureKind::Validation, "it is not offered");
        tried.note_refused(Challenge::Http, &unseen, Timestamp(1));
        assert_eq!(tried, Tried::default(), "nobody has looked");
        tried.note_refused(Challenge::Http, &refused("connection"), Timestamp(1));
        tried.note_refused(Challenge::TlsAlpn, &refused("unauthorized"), Timestamp(2));
        let text = serde_json::to_string(&tried).unwrap();
        let mut tried: Tried = serde_json::from_str(&text).unwrap();
        let failed = [Challenge::Http, Challenge::TlsAlpn].map(|way| tried.failed_at(way));
        assert_eq!(failed, [Some(Timestamp(1)), Some(Timestamp(2))]);
        tried.forget(Challenge::Http);
        assert_eq!(tried.failed_at(Challenge::Http), None);
    }

    #[test]
    fn what_the_owner_changes_is_seen_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let usual = Wanted::default();
        let of = |name: &str, wanted: &Wanted| digest_of(data.path(), name, wanted);
        let before = of("a.example", &usual);
        let certificate = |toml: &str| Wanted {
            settings: toml::from_str(toml).unwrap(),
            ..usual.clone()
        };
        let dns = |toml: &str| Wanted {
            dns: toml::from_str(toml).unwrap(),
            ..usual.clone()
        };
        for (what, wanted, is_other) in [
            (
                "another name",
                certificate("names = [\"b.example\"]"),
                false,
            ),
            ("all below", certificate("names = [\"*.a.example\"]"), true),
            ("a way", certificate("challenge = \"http-01\""), true),
            ("the DNS", dns("check_at = [\"127.0.0.1:53\"]"), true),
        ] {
            assert_eq!(of("a.example", &wanted) != before, is_other, "{what}");
        }
        secrets::write(data.path(), dns::SECRET_NAME, "abc").unwrap();
        let with_secret = of("a.example", &usual);
        assert_ne!(with_secret, before, "the secret");
        assert!(!Tried::default().is_with_other(&before), "nobody knows");
        let mut tried = Tried::default();
        tried.note_with(before.clone(), "https://a.example/dir");
        assert!(tried.is_with_other(&with_secret) && !tried.is_with_other(&before));
    }

    #[test]
    fn each_authority_has_limits_of_its_own() {
        let (mut tried, now) = (Tried::default(), Timestamp(1_800_000_000));
        tried.note_with("a".into(), "https://a.example/dir");
        for _ in 0..MOST_REFUSED {
            tried.note_refused(Challenge::Http, &refused("connection"), now);
        }
        tried.note_with("b".into(), "https://a.example/dir");
        assert!(tried.rests_until(now).is_some());
        tried.note_with("b".into(), "https://b.example/dir");
        assert_eq!(tried.rests_until(now), None);
    }

    proptest! {
        #[test]
        fn an_authority_never_looks_in_vain_more_often_than_it_allows(
            pauses in prop::collection::vec(0i64..2000, 1..60),
        ) {
            let mut tried = Tried::default();
            let mut now = Timestamp(1_800_000_000);
            let mut looks: Vec<i64> = Vec::new();
            for pause in pauses {
                now.0 += pause;
                if let Some(until) = tried.rests_until(now) {
                    prop_assert!(until > now);
                    prop_assert!(tried.rests_until(until).is_none_or(|later| later > until));
                    continue;
                }
                tried.note_refused(Challenge::Http, &refused("connection"), now);
                looks.push(now.0);
            }
            for from in &looks {
                let within = looks.iter().filter(|at| (*from..from + 3600).contains(*at));
                prop_assert!(within.count() <= MOST_REFUSED);
            }
        }
    }
}
