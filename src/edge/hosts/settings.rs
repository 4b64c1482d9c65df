//! `[hosts."NAME"]` of `webstead.toml`: what else is served, by the name that visitors ask for.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::name;
use crate::{
    base::mistakes,
    edge::{files, proxy},
};

/// The hosts beside the site, by their names in lower case.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub(super) BTreeMap<String, Host>);

/// What is served under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Files(files::Settings),
    Proxy(proxy::Settings),
}

impl Settings {
    /// Adds a host that was set in the browser, with the keys that its table in `webstead.toml` would have, as
    /// JSON. Looks where its folder or its certificate is, below the folder `data` if that is not absolute.
    ///
    /// # Errors
    /// Why it cannot be served, and what to write; also if the name is taken.
    pub fn add(&mut self, name: &str, keys: &str, data: &Path) -> Result<(), String> {
        let name = name::typed(name)?;
        if self.0.contains_key(&name) {
            return Err(format!("{name} is another host already"));
        }
        let keys = serde_json::from_str(keys).map_err(|e| e.to_string())?;
        let host = host_of(keys)?;
        if let Host::Files(files) = &host
            && let Some(why) = files::from_the_browser(&files.files, data)
        {
            return Err(why);
        }
        super::Host::new(&name, &host, data)?;
        self.0.insert(name, host);
        Ok(())
    }

    /// The names, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = BTreeMap::<String, toml::Table>::deserialize(from)?;
        let mut hosts = BTreeMap::new();
        for (text, table) in written {
            let name =
                name::typed(&text).map_err(|why| D::Error::custom(format!("hosts: {why}")))?;
            let host = host_of(table)
                .map_err(|why| D::Error::custom(format!("hosts.\"{text}\": {}", why.trim())))?;
            if hosts.insert(name, host).is_some() {
                let why = format!("hosts.\"{text}\": this host is there twice");
                return Err(D::Error::custom(why));
            }
        }
        Ok(Self(hosts))
    }
}

/// Which kind of host a table is, by the key that every host of the kind has.
fn host_of(table: toml::Table) -> Result<Host, String> {
    let words = |e: toml::de::Error| mistakes::in_words(e.message(), None);
    match (table.contains_key("files"), table.contains_key("proxy")) {
        (true, false) => table.try_into().map(Host::Files).map_err(words),
        (false, true) => {
            let settings: proxy::Settings = table.try_into().map_err(words)?;
            settings.check()?;
            Ok(Host::Proxy(settings))
        }
        (true, true) => Err("a host has files or a proxy, not both; give one another name".into()),
        (false, false) => Err(
            "it is not said what is served; write files = \"/a/folder\" or \
             proxy = \"http://127.0.0.1:8123\""
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, Settings};

    #[test]
    fn hosts_are_read_and_mistakes_are_named() {
        let good = "[\"Files.Example.org\"]\nfiles = \"/srv\"\nlisting = true\n\
                    [\"ha.example.org\"]\nproxy = \"http://127.0.0.1:8123\"\n\
                    [\"two.example.org\"]\nproxy = [\"http://10.0.0.1\", \"https://10.0.0.2:8443\"]\n";
        let hosts: Settings = toml::from_str(good).unwrap();
        assert!(matches!(hosts.0["files.example.org"], Host::Files(_)));
        assert!(matches!(hosts.0["ha.example.org"], Host::Proxy(_)));
        assert_eq!(hosts.names().count(), 3);
        for (bad, word) in [
            ("[\"a.b\"]", "not said what"),
            ("[\"a.b\"]\nfiles = \"/\"\nproxy = \"http://x\"", "not both"),
            ("[\"a.b\"]\nfiles = \"/\"\nlsting = true", "lsting"),
            ("[\"a.b\"]\nfiles = 1", "text in quotation marks"),
            ("[\"a.b\"]\nfiles = \"~/www\"", "/home/ada/www"),
            (
                "[\"a.b\"]\nproxy = \"https://x\"\ncertificate = \"~/x.pem\"",
                "/home/ada/x.pem",
            ),
            ("[\"https://a.b\"]\nfiles = \"/\"", "an address"),
            (
                "[\"a.b\"]\nfiles = \"/\"\n[\"A.b\"]\nfiles = \"/\"",
                "twice",
            ),
            ("[\"a.b\"]\nproxy = \"127.0.0.1:80\"", "http://"),
            ("[\"a.b\"]\nproxy = \"ftp://x\"", "http://"),
            ("[\"a.b\"]\nproxy = \"http://x/path\"", "path"),
            ("[\"a.b\"]\nproxy = \"http://x:99999\"", "port"),
            ("[\"a.b\"]\nproxy = \"http://x:0\"", "port"),
            ("[\"a.b\"]\nproxy = []", "no upstream"),
            ("[\"a.b\"]\nproxy = \"http://x\"\nhealth = \"up\"", "slash"),
            (
                "[\"a.b\"]\nfiles = \"/\"\n[\"a.b\".cache]\n\"*\" = \"soon\"",
                "soon",
            ),
        ] {
            let message = toml::from_str::<Settings>(bad).unwrap_err().to_string();
            assert!(message.contains(word), "{bad:?} gave {message}");
        }
    }
}
