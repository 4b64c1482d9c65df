//! Which names the site has, and who certifies them: what `webstead.toml` says, and what was set in the browser.

use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::backup_place;
use crate::{
    app::{
        backups::queries::find_place,
        hosts::queries::{StoredHost, list_hosts},
        names::queries::{StoredNames, list_names},
    },
    base::{Names, Result},
    config::Config,
    db::{DataFolder, open_to_look},
    net::{
        acme::{self, Wanted},
        dns,
        names::DomainName,
        router,
    },
};

/// The settings that count, where those of the browser fill what the file leaves open.
pub(super) struct Effective {
    /// The file's, with those of the browser.
    pub(super) config: Config,
    /// The names of the site.
    pub(super) names: Names,
    /// What is wrong with those of the browser: they are left out.
    pub(super) problems: Vec<String>,
}

/// What was set in the browser, read.
#[derive(Default)]
struct OfBrowser {
    domain: Option<DomainName>,
    also: Vec<DomainName>,
    former: Option<DomainName>,
    certificate: acme::Settings,
    dns: dns::Settings,
    router: router::Settings,
}

/// The settings of the file and of the browser together; the file wins, key by key.
pub(super) fn effective(file: &Config, stored: &StoredNames) -> Effective {
    let mut problems = Vec::new();
    let browser = OfBrowser::read(stored, &mut problems);
    let mut config = file.clone();
    let mut names = config.names();
    let mut is_free = |name: &DomainName| {
        let is_host = file.hosts.names().any(|host| host == name.as_str());
        if is_host {
            problems.push(format!(
                "{} is a host of webstead.toml, so it is no name of the site",
                name.as_str()
            ));
        }
        !is_host
    };
    if file.domain.is_none() {
        config.domain = browser.domain.filter(&mut is_free);
        let domain = config.domain.as_ref().map(|name| name.as_str().to_owned());
        let former = browser.former.filter(&mut is_free);
        let former = former.map(String::from).filter(|_| domain.is_some());
        match former.filter(|former| Some(former) != domain.as_ref()) {
            Some(former) => {
                names.domain = Some(former);
                names.next = domain;
            }
            None => names.domain = domain,
        }
    }
    if file.also.is_empty() {
        config.also = browser.also.into_iter().filter(&mut is_free).collect();
        names.also = config.also.iter().cloned().map(String::from).collect();
    }
    let (own, theirs) = (&mut config.certificate, browser.certificate);
    own.agree_to_terms |= theirs.agree_to_terms;
    own.contact = own.contact.take().or(theirs.contact);
    own.challenge = own.challenge.or(theirs.challenge);
    own.profile = own.profile.take().or(theirs.profile);
    own.key = own.key.or(theirs.key);
    if own.authority.is_none() {
        own.authority = theirs.authority;
    }
    if own.names.is_empty() {
        own.names = theirs.names;
    }
    config.router.open_ports = config.router.open_ports.or(browser.router.open_ports);
    if config.dns == dns::Settings::default() {
        config.dns = browser.dns;
    }
    Effective {
        config,
        names,
        problems,
    }
}

impl Effective {
    /// Writes down what will not be as it is wished; `hosts` are those that were set in the browser.
    pub(super) fn log_problems(&self, hosts: &[StoredHost]) {
        for why in &self.problems {
            log::warn!("of the site's name, set in the browser: {why}");
        }
        let (wrong, doubtful) = certificate_problems(&self.config, hosts);
        for why in wrong.iter().chain(&doubtful) {
            log::warn!("{why}");
        }
    }
}

/// What keeps names from their certificates as it is set, and what may; `hosts` are those that were set in the browser.
pub fn certificate_problems(counting: &Config, hosts: &[StoredHost]) -> (Vec<String>, Vec<String>) {
    let (certificate, dns) = (&counting.certificate, &counting.dns);
    let of_site = counting.names();
    let of_site = of_site.all().chain(counting.hosts.names());
    let hosts = hosts.iter().filter(|host| host.is_wanted());
    let hosts = hosts.map(|host| host.name.as_str());
    let names: Vec<String> = of_site.chain(hosts).map(str::to_owned).collect();
    let more = certificate.names.iter().map(acme::CertificateName::as_str);
    let all = names.iter().map(String::as_str).chain(more);
    let mut wrong = certificate.unproved(&names, dns);
    wrong.extend(dns.zone_problem(all));
    (wrong, certificate.doubtful(&names, dns))
}

/// The settings of this folder that count: those of the file, and those that were set in the browser.
///
/// # Errors
/// If there is a database that cannot be read.
pub fn with_stored(file: &Config, folder: &DataFolder) -> Result<Config> {
    if !folder.database().exists() {
        return Ok(file.clone());
    }
    let connection = open_to_look(&folder.database())?;
    let mut config = effective(file, &list_names(&connection)?).config;
    let place = find_place(&connection)?;
    config.backup = backup_place::effective(&file.backup, place.keys.as_deref()).0;
    Ok(config)
}

/// What counts in a folder for the names of a site and their certificates.
pub struct Counting {
    /// The settings of the file and of the browser together.
    pub config: Config,
    /// The names of the site.
    pub names: Names,
    /// The names of its other hosts, of the file and of the browser.
    pub hosts: Vec<String>,
}

impl Counting {
    /// What counts in this folder.
    ///
    /// # Errors
    /// If there is a database that cannot be read.
    pub fn of(file: &Config, folder: &DataFolder) -> Result<Self> {
        let mut hosts: Vec<String> = file.hosts.names().map(str::to_owned).collect();
        if !folder.database().exists() {
            return Ok(Self {
                config: file.clone(),
                names: file.names(),
                hosts,
            });
        }
        let connection = open_to_look(&folder.database())?;
        let Effective { config, names, .. } = effective(file, &list_names(&connection)?);
        let wanted = stored_hosts(&connection)?.into_iter();
        for host in wanted.filter(StoredHost::is_wanted) {
            if !hosts.contains(&host.name) {
                hosts.push(host.name);
            }
        }
        Ok(Self {
            config,
            names,
            hosts,
        })
    }

    /// Which certificates there are to be.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            settings: self.config.certificate.clone(),
            dns: self.config.dns.clone(),
            names: self
                .names
                .all()
                .map(str::to_owned)
                .chain(self.hosts.iter().cloned())
                .collect(),
        }
    }
}

/// The hosts that were set in the browser; a database of before there were any has no table of them.
///
/// # Errors
/// If the database cannot be read.
pub fn stored_hosts(connection: &Connection) -> Result<Vec<StoredHost>> {
    let is_there = connection.table_exists(None, "hosts")?;
    if is_there {
        list_hosts(connection)
    } else {
        Ok(Vec::new())
    }
}

/// What is wrong with the names that were set in the browser, in words that name the remedy.
pub fn stored_name_problems(file: &Config, stored: &StoredNames) -> Vec<String> {
    let problems = effective(file, stored).problems.into_iter();
    let in_words = |why| format!("the site's name, set in the browser: {why}");
    problems.map(in_words).collect()
}

impl OfBrowser {
    /// What can be read of it; the rest is a problem.
    fn read(stored: &StoredNames, problems: &mut Vec<String>) -> Self {
        let mut table = |text: &Option<String>, what: &str| -> Map<String, Value> {
            let Some(text) = text.as_ref().filter(|text| !text.is_empty()) else {
                return Map::new();
            };
            serde_json::from_str(text).unwrap_or_else(|e| {
                problems.push(format!("{what} cannot be read ({e}); set it again"));
                Map::new()
            })
        };
        let mut names = table(&stored.names, "it");
        let mut dns = Map::new();
        let provider = table(&stored.dns, "the DNS provider");
        if !provider.is_empty() {
            dns.insert("dns".to_owned(), Value::Object(provider));
        }
        let mut router = Map::new();
        let asked = table(&stored.router, "what the router may be asked");
        if !asked.is_empty() {
            router.insert("router".to_owned(), Value::Object(asked));
        }
        Self {
            domain: part(&mut names, "domain", problems),
            also: part(&mut names, "also", problems),
            former: part(&mut names, "former", problems),
            certificate: part(&mut names, "certificate", problems),
            dns: part(&mut dns, "dns", problems),
            router: part(&mut router, "router", problems),
        }
    }
}

/// One key of what was stored; what cannot be read counts as not set.
fn part<T: Default + for<'de> Deserialize<'de>>(
    table: &mut Map<String, Value>,
    key: &str,
    problems: &mut Vec<String>,
) -> T {
    let Some(value) = table.remove(key).filter(|value| !value.is_null()) else {
        return T::default();
    };
    serde_json::from_value(value).unwrap_or_else(|e| {
        problems.push(format!("{key} is not used: {e}; set it again"));
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(names: &str) -> StoredNames {
        StoredNames {
            names: Some(names.to_owned()),
            ..StoredNames::default()
        }
    }

    const FULL: &str = r#"{"domain":"new.example","also":["www.new.example"],"former":"old.example",
        "certificate":{"agree_to_terms":true,"contact":"a@b.example","challenge":"http-01"}}"#;

    #[test]
    fn the_browser_fills_what_the_file_leaves_open_and_the_file_wins() {
        let both = effective(&Config::default(), &stored(FULL));
        assert!(both.problems.is_empty(), "{:?}", both.problems);
        assert_eq!(both.names.domain.as_deref(), Some("old.example"));
        assert_eq!(both.names.next.as_deref(), Some("new.example"));
        assert_eq!(both.names.also, ["www.new.example"]);
        assert!(both.config.certificate.agree_to_terms);

        let file = "domain = \"file.example\"\n[certificate]\ncontact = \"c@d.example\"\n";
        let both = effective(&Config::parse(file).unwrap(), &stored(FULL));
        assert_eq!(both.names.domain.as_deref(), Some("file.example"));
        assert_eq!(both.names.next, None);
        let certificate = both.config.certificate;
        assert_eq!(certificate.contact.unwrap().uri(), "mailto:c@d.example");
        assert!(certificate.challenge.is_some() && certificate.agree_to_terms);
    }

    #[test]
    fn the_router_is_asked_with_consent_from_either_place_and_a_no_of_the_file_counts() {
        let yes = r#"{"open_ports":true}"#;
        for (file, browser, is_open, is_sound) in [
            ("", None, false, true),
            ("", Some(yes), true, true),
            ("[router]\nopen_ports = true", None, true, true),
            ("[router]\nopen_ports = false", Some(yes), false, true),
            ("", Some(r#"{"open_port":true}"#), false, false),
        ] {
            let stored = StoredNames {
                router: browser.map(str::to_owned),
                ..StoredNames::default()
            };
            let both = effective(&Config::parse(file).unwrap(), &stored);
            assert_eq!(both.config.router.is_open(), is_open, "{file} {browser:?}");
            assert_eq!(both.problems.is_empty(), is_sound, "{:?}", both.problems);
        }
    }

    #[test]
    fn a_host_of_the_file_is_no_name_of_the_site_and_what_cannot_be_read_is_left_out() {
        let file = "[hosts.\"new.example\"]\nproxy = \"http://127.0.0.1:1\"\n";
        let both = effective(&Config::parse(file).unwrap(), &stored(FULL));
        assert_eq!((both.names.domain, both.names.next), (None, None));
        assert!(both.problems[0].contains("new.example"));
        for (broken, domain) in [
            ("{", None),
            ("[]", None),
            (r#"{"domain":7}"#, None),
            (
                r#"{"domain":"a.example","also":7,"certificate":{"x":1}}"#,
                Some("a.example"),
            ),
        ] {
            let both = effective(&Config::default(), &stored(broken));
            assert_eq!(both.names.domain.as_deref(), domain, "{broken}");
            assert!(!both.problems.is_empty(), "{broken}");
        }
    }
}
