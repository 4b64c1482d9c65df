//! The addresses of this machine to which the internet leads, one of each kind.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    outside::{self, Untold},
    pause::{self, UNREACHABLE_S},
    source::Source,
};
use crate::net::{
    interfaces,
    router::{self, External},
};

/// How often the router or somebody outside is asked. A name follows within a minute.
const ASKED_EVERY: Duration = Duration::from_secs(45);
/// The first pause after an answer that is none, doubled each time, and the longest one.
const FIRST_PAUSE_S: i64 = 45;
const MOST_PAUSE_S: i64 = 30 * 60;
/// The longest pause with a router that has told nothing yet: most never do.
const MOST_ROUTER_PAUSE_S: i64 = 5 * 60;
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
    /// The data folder, which has what the router was asked for.
    data: PathBuf,
    is_v4: bool,
    /// What each who was asked said last.
    asked: Vec<Asked>,
    /// What the router said of its address last, or that this machine has one of its own.
    pub(super) external: External,
    /// Since when there is surely none.
    none_since: Option<Instant>,
}

/// What the router or somebody outside said last.
struct Asked {
    source: Source,
    said: Result<IpAddr, String>,
    at: Instant,
    /// Whether nobody else knows better: the provider shares the address that others would see.
    is_last_word: bool,
    /// Whether it has ever said something.
    has_spoken: bool,
    /// Nobody could be asked.
    is_unreachable: bool,
    failures: u32,
    /// From 0 to 1, so that not all homes ask at once.
    spread: f64,
}

impl Asked {
    /// Of nobody yet.
    fn new(source: &Source) -> Self {
        Self {
            source: source.clone(),
            said: Err(String::new()),
            at: Instant::now(),
            is_last_word: false,
            has_spoken: false,
            is_unreachable: false,
            failures: 0,
            spread: pause::chance(),
        }
    }

    /// How long nobody is asked again. `has_way`: this machine has an address of the kind that is asked for, from which
    /// it could ask. `is_last`: nobody else is asked after this one.
    fn pause(&self, has_way: bool, is_last: bool) -> Duration {
        if self.failures == 0 {
            return ASKED_EVERY;
        }
        let doubled = FIRST_PAUSE_S.saturating_mul(1 << self.failures.min(10));
        let seconds = match self.source {
            // It is at home: asking it costs nobody anything.
            Source::Router if self.has_spoken || is_last => UNREACHABLE_S,
            Source::Router => doubled.min(MOST_ROUTER_PAUSE_S),
            _ if self.is_unreachable && has_way => UNREACHABLE_S,
            _ => doubled.min(MOST_PAUSE_S),
        };
        pause::seconds(pause::spread_out(seconds, self.spread))
    }
}

impl Finder {
    pub(super) fn new(is_v4: bool, data: &Path) -> Self {
        Self {
            data: data.to_path_buf(),
            is_v4,
            asked: Vec::new(),
            external: not_asked(),
            none_since: None,
        }
    }

    /// Forgets what was said, so that it is asked for at once.
    pub(super) fn forget(&mut self) {
        self.asked.clear();
        self.external = not_asked();
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
                Source::Interfaces => self.of_interfaces().and_then(|all| self.own(&all, before)),
                Source::Router | Source::Outside(_) => {
                    let is_last = sources.last() == Some(source);
                    self.of_other(source, is_last, roots).await
                }
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

    /// All that this machine has.
    fn of_interfaces(&self) -> Result<Vec<IpAddr>, String> {
        Ok(if self.is_v4 {
            interfaces::v4().into_iter().map(IpAddr::V4).collect()
        } else {
            let known = interfaces::v6().ok_or(
                "it is not known which IPv6 addresses this machine has: /proc/self/net/if_inet6 cannot be read",
            )?;
            known.into_iter().map(IpAddr::V6).collect()
        })
    }

    /// The one of this machine's own addresses that counts.
    fn own(&mut self, all: &[IpAddr], before: Option<IpAddr>) -> Result<IpAddr, String> {
        let same = before.filter(|before| all.contains(before));
        let own = same.or_else(|| all.first().copied());
        match own {
            Some(IpAddr::V4(own)) => self.external = External::Direct(own),
            // It had one.
            None if matches!(self.external, External::Direct(_)) => self.external = not_asked(),
            _ => {}
        }
        own.ok_or_else(|| {
            let (kind, more) = if self.is_v4 {
                ("IPv4", "")
            } else {
                ("IPv6", " and that stays")
            };
            format!("no interface has an {kind} address to which the internet leads{more}")
        })
    }

    /// What the router or somebody outside says, who is not asked more often than necessary. `is_last`: nobody is asked
    /// after this.
    async fn of_other(
        &mut self,
        source: &Source,
        is_last: bool,
        roots: Option<&PathBuf>,
    ) -> Result<IpAddr, String> {
        let place = self.asked.iter().position(|last| last.source == *source);
        let mut asked = match place {
            Some(place) if self.asked[place].at.elapsed() < self.pause(place, is_last) => {
                return self.asked[place].said.clone();
            }
            Some(place) => self.asked.swap_remove(place),
            None => Asked::new(source),
        };
        asked.is_last_word = false;
        asked.is_unreachable = false;
        let said = match source {
            Source::Outside(url) => {
                let told = outside::ask(url, self.is_v4, roots.map(PathBuf::as_path)).await;
                asked.is_unreachable = matches!(told, Err(Untold::Unreachable(_)));
                told.map_err(|(Untold::Unreachable(why) | Untold::Refused(why))| why)
            }
            _ if self.is_v4 => {
                let external = router::external_ipv4(&self.data).await;
                asked.is_last_word = matches!(external, External::Shared(_));
                asked.has_spoken |= !matches!(external, External::Unknown(_));
                let reachable = external.reachable().map(IpAddr::V4);
                self.external = external;
                reachable
            }
            _ => Err("routers are asked for IPv4 only".into()),
        };
        asked.said = said.and_then(|address| self.stays(address));
        asked.failures = match asked.said {
            Ok(_) => 0,
            Err(_) => asked.failures.saturating_add(1),
        };
        asked.at = Instant::now();
        asked.spread = pause::chance();
        let said = asked.said.clone();
        self.asked.push(asked);
        said
    }

    /// How long the one at this place is not asked again, as things are now.
    fn pause(&self, place: usize, is_last: bool) -> Duration {
        let has_way = if self.is_v4 {
            interfaces::has_v4()
        } else {
            interfaces::has_v6() != Some(false)
        };
        self.asked[place].pause(has_way, is_last)
    }

    /// An address that was seen outside, unless this machine changes it daily: that one is not published.
    fn stays(&self, address: IpAddr) -> Result<IpAddr, String> {
        if !self.is_v4 && interfaces::has_v6() == Some(true) && !is_stable(address) {
            return Err(format!(
                "{address} is seen outside, but this machine has no IPv6 address that stays"
            ));
        }
        Ok(address)
    }
}

fn not_asked() -> External {
    External::Unknown("the router was not asked".into())
}

fn is_stable(address: IpAddr) -> bool {
    interfaces::v6()
        .into_iter()
        .flatten()
        .any(|v6| IpAddr::V6(v6) == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_router_said_of_its_address_ends_with_one_of_ones_own_and_when_it_is_asked_anew() {
        let shared = External::Shared([100, 64, 3, 20].into());
        let public = IpAddr::from([11, 22, 33, 44]);
        // Nobody outside gets there, as far as that is known: after each of these.
        let mut finder = Finder::new(true, Path::new("nothing is kept here"));
        let mut after = |own: &[IpAddr]| {
            let _ = finder.own(own, None);
            finder.external.is_unreachable()
        };
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[public]), Some(false));
        assert_eq!(after(&[]), None, "the address is gone");
        finder.external = shared.clone();
        let _ = finder.own(&[], None);
        assert_eq!(finder.external, shared, "it knows better than no interface");
        let _ = finder.own(&[public], None);
        assert_eq!(finder.external.is_unreachable(), Some(false));
        finder.external = shared;
        finder.forget();
        assert_eq!(finder.external.is_unreachable(), None);
    }

    #[test]
    fn after_an_outage_of_hours_everybody_is_asked_within_a_minute_who_could_not_be_before() {
        let outside = Source::Outside("https://localhost".into());
        // Whether it is unreachable, has spoken before, has a way to go, and is the last one; seconds at most.
        for (source, unreachable, spoken, way, last, most_s) in [
            (&outside, true, false, true, true, 32),
            (&outside, true, false, false, true, 2250),
            (&outside, false, false, true, true, 2250),
            (&Source::Router, false, true, true, false, 32),
            (&Source::Router, false, false, true, true, 32),
            (&Source::Router, false, false, true, false, 375),
        ] {
            let pause = |failures, spread| {
                let asked = Asked {
                    is_unreachable: unreachable,
                    has_spoken: spoken,
                    failures,
                    spread,
                    ..Asked::new(source)
                };
                asked.pause(way, last).as_secs()
            };
            for failures in [1, 2, 5, 100] {
                assert!(
                    pause(failures, 1.0) <= most_s,
                    "{source:?} {failures} {most_s}"
                );
            }
            let is_capped_low = most_s < 60;
            assert_eq!(pause(4, 0.5) > 60, !is_capped_low, "{source:?} {most_s}");
            assert_eq!(pause(0, 1.0), ASKED_EVERY.as_secs());
        }
    }
}
