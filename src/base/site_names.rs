//! The names of the site: the one that it has, and those that lead to it.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

/// The names of the site; one for all threads, and they may change while it runs.
#[derive(Debug, Default)]
pub struct SiteNames {
    names: RwLock<Arc<Names>>,
    version: AtomicU64,
}

/// Names in lower case, as requests have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The site's own, such as `example.org`; without it, addresses are made from each request's host.
    pub domain: Option<String>,
    /// Others that lead to it.
    pub also: Vec<String>,
    /// The domain that there is to be: served as it is, and led away from nowhere, until it has answered.
    pub next: Option<String>,
}

impl SiteNames {
    /// These names.
    pub fn new(names: Names) -> Arc<Self> {
        Arc::new(Self {
            names: RwLock::new(Arc::new(names)),
            version: AtomicU64::new(0),
        })
    }

    /// The names as they are now.
    pub fn now(&self) -> Arc<Names> {
        Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other names from now on.
    pub fn replace(&self, names: Names) {
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Rises when the names change: what is made after asking for it has names that are at least as new.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

impl Names {
    /// All of them, once each: the domain first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let first = self.domain.iter().chain(&self.next);
        let is_new = |name: &&String| {
            Some(*name) != self.domain.as_ref() && Some(*name) != self.next.as_ref()
        };
        first
            .chain(self.also.iter().filter(is_new))
            .map(String::as_str)
    }

    /// The same name with `www.` or without, if that is one of those that lead to the domain.
    pub fn beside(&self, name: &str) -> Option<&str> {
        let is_partner = |also: &&String| is_www(also, name) || is_www(name, also);
        self.also.iter().find(is_partner).map(String::as_str)
    }

    /// The domain, if this name of a request leads to it and is another one: those that are set, and the domain
    /// with `www.` or without.
    pub fn leads_from(&self, name: &str) -> Option<&str> {
        let domain = self.domain.as_deref()?;
        let leads = self.also.iter().any(|also| also == name)
            || is_www(name, domain)
            || is_www(domain, name);
        let stays = name == domain || self.next.as_deref() == Some(name);
        (leads && !stays).then_some(domain)
    }
}

/// Whether one name is the other with `www.` before it.
fn is_www(longer: &str, shorter: &str) -> bool {
    longer.strip_prefix("www.") == Some(shorter)
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn other_names_lead_to_the_domain_and_www_does_either_way() {
        let names = |domain: &str| Names {
            domain: Some(domain.to_owned()),
            also: vec!["other.example".to_owned(), domain.to_owned()],
            next: None,
        };
        for (domain, asked, leads) in [
            ("example.org", "www.example.org", true),
            ("www.example.org", "example.org", true),
            ("example.org", "other.example", true),
            ("example.org", "example.org", false),
            ("www.example.org", "www.example.org", false),
            ("example.org", "www.other.example", false),
            ("example.org", "pi.local", false),
            ("example.org", "", false),
        ] {
            let got = names(domain).leads_from(asked).map(str::to_owned);
            assert_eq!(got, leads.then(|| domain.to_owned()), "{domain} {asked}");
        }
        assert_eq!(Names::default().leads_from("www.example.org"), None);
    }

    #[test]
    fn a_domain_that_has_not_answered_yet_is_neither_led_to_nor_away_from() {
        let names = Names {
            domain: Some("www.old.example".to_owned()),
            also: vec!["www.new.example".to_owned()],
            next: Some("old.example".to_owned()),
        };
        for (asked, leads) in [
            ("old.example", None),
            ("www.old.example", None),
            ("www.new.example", Some("www.old.example")),
            ("pi.local", None),
        ] {
            assert_eq!(names.leads_from(asked), leads, "{asked}");
        }
        let all: Vec<&str> = names.all().collect();
        assert_eq!(all, ["www.old.example", "old.example", "www.new.example"]);
    }
}
