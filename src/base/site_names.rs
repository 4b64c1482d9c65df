//! The names of the site: the one that it has, and those that lead to it.

use std::sync::{Arc, PoisonError, RwLock};

/// The names of the site; one for all threads, and they may change while it runs.
#[derive(Debug, Default)]
pub struct SiteNames(RwLock<Arc<Names>>);

/// Names in lower case, as requests have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The site's own, such as `example.org`; without it, addresses are made from each request's host.
    pub domain: Option<String>,
    /// Others that lead to it.
    pub also: Vec<String>,
}

impl SiteNames {
    /// These names.
    pub fn new(names: Names) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(names))))
    }

    /// The names as they are now.
    pub fn now(&self) -> Arc<Names> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other names from now on.
    pub fn replace(&self, names: Names) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
    }
}

impl Names {
    /// The domain, if this name of a request leads to it and is another one: those that are set, and the domain
    /// with `www.` or without.
    pub fn leads_from(&self, name: &str) -> Option<&str> {
        let domain = self.domain.as_deref()?;
        let is_www = |longer: &str, shorter: &str| longer.strip_prefix("www.") == Some(shorter);
        let leads = self.also.iter().any(|also| also == name)
            || is_www(name, domain)
            || is_www(domain, name);
        (leads && name != domain).then_some(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn other_names_lead_to_the_domain_and_www_does_either_way() {
        let names = |domain: &str| Names {
            domain: Some(domain.to_owned()),
            also: vec!["other.example".to_owned(), domain.to_owned()],
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
}
