//! The addresses of this machine to which the internet leads, one of each kind.

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{outside, pause, source::Source};
use crate::net::{
    interfaces,
    router::{self, External},
};

/// How often the router or somebody outside is asked. A name follows within a minute.
const ASKED_EVERY: Duration = Duration::from_secs(45);
/// The longest pause after answers that are none.
const MOST_PAUSE_S: i64 = 30 * 60;
/// How long there must be no address before those that were published are taken away: routers restart.
const GONE_AFTER: Duration = Duration::from_mins(10);

/// An address of this machine, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// The address, to which the internet leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// From where it is known, as the settings call it: `interfaces`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Why there is none, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

impl Found {
    fn none(why: impl Into<String>) -> Self {
        Self {
            why_not: Some(why.into()),
            ..Self::default()
        }
    }
}

/// Finds the address of one kind, again and again.
pub(super) struct Finder {
    is_v4: bool,
    /// What each who was asked said last.
    asked: Vec<Asked>,
    /// Since when there is surely none.
    none_since: Option<Instant>,
}

/// What the router or somebody outside said last.
struct Asked {
    source: Source,
    said: Result<IpAddr, String>,
    /// Whether nobody else knows better: the provider shares the address that others would see.
    is_last_word: bool,
    failures: u32,
    again_at: Instant,
}

impl Finder {
    pub(super) fn new(is_v4: bool) -> Self {
        Self {
            is_v4,
            asked: Vec::new(),
            none_since: None,
        }
    }

    /// Forgets what was said, so that it is asked for at once.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
    }

    /// Whether there has been no address for a while, so that what was published leads nowhere.
    pub(super) fn is_gone(&self) -> bool {
        self.none_since
            .is_some_and(|since| since.elapsed() >= GONE_AFTER)
    }

    /// The address now; `before` is the one that counted until now, and is kept while there is no reason against it.
    pub(super) async fn find(
        &mut self,
        sources: &[Source],
        roots: Option<&PathBuf>,
        before: Option<IpAddr>,
    ) -> Found {
        let mut why = None;
        for source in sources {
            let said = match source {
                Source::Interfaces => self.of_interfaces(before),
                Source::Router | Source::Outside(_) => self.of_other(source, roots).await,
            };
            match said {
                Ok(address) => {
                    self.none_since = None;
                    return Found {
                        address: Some(address),
                        source: Some(source.name().to_owned()),
                        why_not: None,
                    };
                }
                Err(text) => why = Some(text),
            }
            let mut asked = self.asked.iter();
            if asked.any(|asked| asked.source == *source && asked.is_last_word) {
                self.none_since.get_or_insert_with(Instant::now);
                return Found::none(why.unwrap_or_default());
            }
        }
        // That nobody outside answers says nothing of IPv4; a machine has its own address of IPv6, or none.
        let is_sure = if self.is_v4 {
            !sources
                .iter()
                .any(|source| matches!(source, Source::Outside(_)))
        } else {
            interfaces::has_v6() == Some(false)
        };
        if is_sure {
            self.none_since.get_or_insert_with(Instant::now);
        } else {
            self.none_since = None;
        }
        Found::none(why.unwrap_or_else(|| "nobody was asked".into()))
    }

    fn of_interfaces(&self, before: Option<IpAddr>) -> Result<IpAddr, String> {
        let all: Vec<IpAddr> = if self.is_v4 {
            interfaces::v4().into_iter().map(IpAddr::V4).collect()
        } else {
            let known = interfaces::v6().ok_or(
                "it is not known which IPv6 addresses this machine has: /proc/self/net/if_inet6 cannot be read",
            )?;
            known.into_iter().map(IpAddr::V6).collect()
        };
        let same = before.filter(|before| all.contains(before));
        same.or_else(|| all.first().copied()).ok_or_else(|| {
            let (kind, more) = if self.is_v4 {
                ("IPv4", "")
            } else {
                ("IPv6", " and that stays")
            };
            format!("no interface has an {kind} address to which the internet leads{more}")
        })
    }

    /// What the router or somebody outside says, who is not asked more often than necessary.
    async fn of_other(
        &mut self,
        source: &Source,
        roots: Option<&PathBuf>,
    ) -> Result<IpAddr, String> {
        let now = Instant::now();
        let last = self.asked.iter().find(|last| last.source == *source);
        if let Some(last) = last.filter(|last| now < last.again_at) {
            return last.said.clone();
        }
        let failures = last.map_or(0, |last| last.failures);
        let mut is_last_word = false;
        let said = match source {
            Source::Outside(url) => {
                outside::ask(url, self.is_v4, roots.map(PathBuf::as_path)).await
            }
            _ if self.is_v4 => {
                let external = router::external_ipv4().await;
                is_last_word = matches!(external, External::Shared(_));
                external.reachable().map(IpAddr::V4)
            }
            _ => Err("routers are asked for IPv4 only".into()),
        };
        let said = said.and_then(|address| {
            // Through one that changes daily, it has been seen; that one is not published.
            let is_own = !self.is_v4 && interfaces::has_v6() == Some(true) && !is_stable(address);
            if is_own {
                return Err(format!(
                    "{address} is seen outside, but this machine has no IPv6 address that stays"
                ));
            }
            Ok(address)
        });
        let failures = if said.is_ok() {
            0
        } else {
            failures.saturating_add(1)
        };
        let pause = match failures {
            0 => ASKED_EVERY,
            more => {
                let doubled = 45i64.saturating_mul(1 << more.min(10)).min(MOST_PAUSE_S);
                let seconds = pause::spread_out(doubled, pause::chance());
                Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
            }
        };
        self.asked.retain(|last| last.source != *source);
        self.asked.push(Asked {
            source: source.clone(),
            said: said.clone(),
            is_last_word,
            failures,
            again_at: Instant::now() + pause,
        });
        said
    }
}

fn is_stable(address: IpAddr) -> bool {
    interfaces::v6()
        .into_iter()
        .flatten()
        .any(|v6| IpAddr::V6(v6) == address)
}
