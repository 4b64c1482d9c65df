//! Section `[router]` of `webstead.toml`.

use serde::Deserialize;

use crate::net::{address::Address, listen};

/// What may be asked of the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether it is asked to pass visitors on to this machine: the owner's consent. Without it, nothing is opened.
    /// `Some(false)` in the file keeps it from being given in the browser.
    pub open_ports: Option<bool>,
}

impl Settings {
    /// Whether the owner has consented.
    pub fn is_open(self) -> bool {
        self.open_ports == Some(true)
    }

    /// What keeps the ports from being opened, in words that name the remedy, for a site that listens like this.
    pub fn problem(self, listen: &listen::Settings) -> Option<String> {
        let hidden = [("https", listen.https), ("http", listen.http)];
        let (key, address) = hidden.iter().find_map(|(key, address)| match address {
            Some(Address::Socket(address)) if address.ip().to_canonical().is_loopback() => {
                Some((key, address))
            }
            _ => None,
        })?;
        self.is_open().then(|| {
            format!(
                "[router] open_ports: the site listens on {address}, which the router cannot reach; take {key} out of \
                 [listen], or open_ports out of [router]"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::net::listen;

    #[test]
    fn ports_that_lead_to_where_the_site_does_not_listen_are_a_problem() {
        for (router, listen, is_sound) in [
            ("open_ports = true", "", true),
            ("open_ports = true", "https = 8443", true),
            ("open_ports = true", "https = \"127.0.0.1:8443\"", false),
            ("open_ports = true", "http = \"[::1]:8080\"", false),
            ("open_ports = false", "https = \"127.0.0.1:8443\"", true),
            ("", "https = \"127.0.0.1:8443\"", true),
        ] {
            let settings: Settings = toml::from_str(router).unwrap();
            let listen: listen::Settings = toml::from_str(listen).unwrap();
            let problem = settings.problem(&listen);
            assert_eq!(problem.is_none(), is_sound, "{router}: {problem:?}");
        }
    }
}
