//! `webstead.toml`: what must be known before the database opens. Everything in it is optional.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    backup,
    base::{Error, Names, Result, mistakes},
    edge::{hosts, observe::access_log, page_cache, render_limit},
    net::{acme, admission, dns, leaving, listen, mdns, names::DomainName, router, trust},
};

/// The file's name in the data folder.
pub const FILE_NAME: &str = "webstead.toml";
/// No sensible file is larger.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The settings of this machine. An unknown key is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file itself, which need not be there.
    #[serde(skip)]
    pub file: PathBuf,
    /// The site's domain, such as `example.org`; without it, addresses are made from each request's host.
    pub domain: Option<DomainName>,
    /// Other names, which lead to the domain.
    pub also: Vec<DomainName>,
    /// `[certificate]`: who is asked for the certificates of these names.
    pub certificate: acme::Settings,
    /// `[dns]`: where names can be changed.
    pub dns: dns::Settings,
    /// `[router]`: what the router at home may be asked.
    pub router: router::Settings,
    /// `[listen]`: where to listen.
    pub listen: listen::Settings,
    /// `[local]`: the machine's name on its own network.
    pub local: mdns::Settings,
    /// `[limits]`: how many connections there may be.
    pub limits: admission::Settings,
    /// `[trusted_proxies]`: whose word about the visitor's address counts.
    pub trusted_proxies: trust::Settings,
    /// `[hosts."NAME"]`: what else is served.
    pub hosts: hosts::Settings,
    /// `[log]`: what becomes of the requests' lines.
    pub log: access_log::Settings,
    /// `[cache]`: memory for rendered pages.
    pub cache: page_cache::Settings,
    /// `[backup]`: where backups go, and when.
    pub backup: backup::Settings,
    /// `[pages]`: how many pages are made for one visitor.
    pub pages: render_limit::Settings,
    /// `[upgrade]`: how another program takes over.
    pub upgrade: leaving::Settings,
}

impl Config {
    /// Reads `file`, or the data folder's `webstead.toml` if there is one.
    ///
    /// # Errors
    /// [`Error::Invalid`] with file, line, key and remedy.
    pub fn load(file: Option<&Path>, data: &Path) -> Result<Self> {
        let path = file.map_or_else(|| data.join(FILE_NAME), Path::to_path_buf);
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(e) if file.is_none() && e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self {
                    file: path,
                    ..Self::default()
                });
            }
            Err(e) => return Err(Error::io("reading", path, e)),
        };
        if size > MAX_FILE_BYTES {
            return Err(Error::Invalid(format!(
                "{} is too large for a settings file",
                path.display()
            )));
        }
        let bytes = std::fs::read(&path).map_err(|e| Error::io("reading", &path, e))?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|e| Error::Invalid(mistakes::no_text(&bytes, e.valid_up_to())));
        let config = text.and_then(Self::parse);
        let config = config.map_err(|e| Error::Invalid(format!("{}: {e}", path.display())))?;
        Ok(Self {
            file: path,
            ..config
        })
    }

    /// Reads the text of a settings file.
    ///
    /// # Errors
    /// [`Error::Invalid`] with line, column, key and remedy.
    pub fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| {
            let key = key_of(&e);
            Error::Invalid(mistakes::in_text(
                text,
                e.span(),
                e.message(),
                key.as_deref(),
            ))
        })?;
        let names = config.names();
        let is_own = |host: &str| {
            host == "localhost"
                || names
                    .domain
                    .iter()
                    .chain(&names.also)
                    .any(|own| own == host)
        };
        if let Some(host) = config.hosts.names().find(|host| is_own(host)) {
            return Err(Error::Invalid(format!(
                "hosts.\"{host}\": this is a name of the site itself; give the host another one"
            )));
        }
        Ok(config)
    }

    /// The names of the site.
    pub fn names(&self) -> Names {
        let also = self.also.iter().map(|name| name.as_str().to_owned());
        Names {
            domain: self.domain.as_ref().map(|name| name.as_str().to_owned()),
            also: also.collect(),
            next: None,
        }
    }
}

/// The setting whose value is wrong. A mistake says it only where it does not know the text around it.
fn key_of(mistake: &toml::de::Error) -> Option<String> {
    let mut alone = mistake.clone();
    alone.set_input(None);
    let said = alone.to_string();
    let key = said.trim_end().rsplit('\n').next()?.strip_prefix("in `")?;
    key.strip_suffix('`').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Config;

    #[test]
    fn an_empty_file_is_fine() {
        assert!(Config::parse("").unwrap().domain.is_none());
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_key() {
        let table = [
            ("a = 1", "line 1", "a"),
            ("\n\n[listen]\nhtps = \":443\"", "line 4", "htps"),
            ("[listen]\nhttps = \"nowhere\"", "line 2", "https"),
            ("[cache]\nmax_mib = -1", "line 2", "max_mib"),
            ("[cache]\nmax_mib = ", "line 2", "max_mib"),
            (
                "domain = \"https://example.org/\"",
                "line 1",
                "an address and not a name",
            ),
            ("also = [\"a b\"]", "line 1", "DNS"),
            (
                "[limits]\nconnections = 0",
                "line 2",
                "a whole number from 1 on",
            ),
            (
                "[cache]\nmax_mib = \"much\"",
                "line 2",
                "a whole number from 0 to 65535",
            ),
            ("[backup]\nkeep_days = 99999", "line 2", "from 0 to 65535"),
            (
                "[backup]\nkeep_days = 99999999999999999999999",
                "line 2, column 13",
                "99999999999999999999999 does not belong at backup.keep_days, but a whole number from 0 to 65535",
            ),
            (
                "[limits]\nconnections = 99999999999999999999999",
                "line 2, column 15",
                "limits.connections, but a whole number from 1 to ",
            ),
            (
                "[listen]\nhttps = 99999999999999999999999",
                "line 2, column 9",
                "listen.https, but a port from 0 to 65535",
            ),
            (
                "[cache]\nmax_mib = 9999999999999999999999999999999999999999",
                "line 2, column 11",
                "larger than any that belongs at cache.max_mib",
            ),
            (
                "[hosts.a]\nproxy = \"http://x\"\nanswer_timeout_s = 99999999999999999999999",
                "line 3, column 20",
                "answer_timeout_s, but a smaller one",
            ),
            (
                "[upgrade]\nready_s = 99999999999999999999999",
                "line 2",
                "from 1 to 86400",
            ),
            ("[upgrade]\nready_s = 0", "line 2", "from 1 to 86400"),
            ("[upgrade]\nready_s = -5", "line 2", "from 1 to 86400"),
            (
                "[upgrade]\nfinish_s = 99999999999",
                "line 2",
                "from 1 to 86400",
            ),
            (
                "[upgrade]\nkeys = [\"RWx\"]",
                "line 2",
                "no public key of minisign",
            ),
            (
                "[hosts.localhost]\nfiles = \"/srv\"",
                "localhost",
                "the site itself",
            ),
            (
                "domain = \"A.example\"\n[hosts.\"a.example\"]\nfiles = \"/srv\"",
                "a.example",
                "the site itself",
            ),
            ("[certificate]\nagree = true", "line 2", "agree"),
            ("[local]\nname = \"a b\"", "line 2", "name for a machine"),
        ];
        for (text, place, word) in table {
            let message = Config::parse(text).unwrap_err().to_string();
            assert!(
                message.contains(place) && message.contains(word),
                "{text:?} gave {message:?}"
            );
        }
    }

    #[test]
    fn a_file_that_is_no_text_is_named_with_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(super::FILE_NAME);
        std::fs::write(&file, b"# fine\n[local]\nname = \"k\xfcche\"\n").unwrap();
        let said = Config::load(None, dir.path()).unwrap_err().to_string();
        for words in [
            "webstead.toml: line 3, column 10",
            "name = \"k",
            "0xFC",
            "UTF-8",
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    proptest! {
        #[test]
        fn settings_that_are_broken_anywhere_get_words_and_no_panic(
            at in 0usize..600, with in "\\PC{0,3}|\n|\"|\\[", cut in 0usize..5,
        ) {
            let good = "domain = \"example.org\"\n[listen]\nhttps = \"[::]:443\"\n[limits]\nconnections = 9\n\
                        [trusted_proxies]\naddresses = [\"10.0.0.0/8\"]\nproxy_protocol = true\n\
                        [log]\naccess = \"json\"\n[cache]\nmax_mib = 1\n\
                        [backup]\nto = \"/mnt/x\"\nat = \"03:30\"\nkeep_days = 3\n[pages]\nper_second = 2\n\
                        [hosts.\"a.example.org\"]\nfiles = \"/srv\"\nlisting = true\n\
                        [hosts.\"a.example.org\".cache]\n\"*.css\" = \"1 hour\"\n\
                        [hosts.\"b.example.org\"]\nproxy = [\"http://127.0.0.1:1\"]\nhealth = \"/up\"\n";
            prop_assert!(Config::parse(good).is_ok());
            let (at, end) = (at.min(good.len()), (at + cut).min(good.len()));
            let broken = format!("{}{with}{}", &good[..at], &good[end..]);
            if let Err(e) = Config::parse(&broken) {
                prop_assert!(e.to_string().contains("line") || e.to_string().contains("hosts."), "{e}");
            }
        }
    }
}
