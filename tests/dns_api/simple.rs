//! Providers that change addresses by one request: `DuckDNS` and dyndns2; and somebody who tells addresses.

use super::{
    Protocol, Reply, Seen,
    protocols::{TOKEN, assert_polite},
};

/// `DuckDNS`, as in <https://www.duckdns.org/spec.jsp>, with the one domain `home`.
#[derive(Default)]
pub(crate) struct DuckDns {
    pub(crate) ip: String,
    pub(crate) ipv6: String,
    pub(crate) txt: String,
}

impl Protocol for DuckDns {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        assert_eq!(seen.line(), "GET /update");
        assert_eq!(seen.query("verbose"), Some("true"));
        for key in seen.query_keys() {
            let known = ["clear", "domains", "ip", "ipv6", "token", "txt", "verbose"];
            assert!(known.contains(&key), "{key}");
        }
        if seen.query("token") != Some(TOKEN) || seen.query("domains") != Some("home") {
            return Reply::text(200, "KO");
        }
        let is_clear = seen
            .query("clear")
            .inspect(|value| assert_eq!(*value, "true"))
            .is_some();
        if let Some(txt) = seen.query("txt") {
            assert!(seen.query("ip").is_none() && seen.query("ipv6").is_none());
            self.txt = if is_clear {
                String::new()
            } else {
                txt.to_owned()
            };
            return Reply::text(200, &format!("OK\n{}\nUPDATED", self.txt));
        }
        if is_clear {
            (self.ip, self.ipv6) = (String::new(), String::new());
        } else {
            let (ip, ipv6) = (seen.query("ip"), seen.query("ipv6"));
            assert!(ip.is_some() || ipv6.is_some(), "it would take whoever asks");
            if let Some(ip) = ip {
                ip.parse::<std::net::Ipv4Addr>().unwrap();
                ip.clone_into(&mut self.ip);
            }
            if let Some(ipv6) = ipv6 {
                ipv6.parse::<std::net::Ipv6Addr>().unwrap();
                ipv6.clone_into(&mut self.ipv6);
            }
        }
        Reply::text(200, &format!("OK\n{}\n{}\nUPDATED", self.ip, self.ipv6))
    }
}

/// dyndns2, as in <https://help.dyn.com/remote-access-api/perform-update/>, `return-codes/`, and
/// <https://www.noip.com/integrate/request> (User-Agent, several addresses). The account is `ada` with [`TOKEN`].
#[derive(Default)]
pub(crate) struct DynDns2 {
    pub(crate) address: String,
    /// Answers this instead of changing anything.
    pub(crate) says: Option<&'static str>,
}

impl Protocol for DynDns2 {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        assert_eq!(seen.line(), "GET /nic/update");
        assert_eq!(seen.query_keys(), ["hostname", "myip"]);
        let (_, contact) = seen.header("user-agent").split_once(' ').unwrap();
        assert!(contact.contains('@'));
        // Basic, of ada:tok-0123456789abcdef (RFC 7617).
        if seen.header("authorization") != "Basic YWRhOnRvay0wMTIzNDU2Nzg5YWJjZGVm" {
            return Reply::text(200, "badauth");
        }
        if let Some(says) = self.says {
            return Reply::text(200, says);
        }
        if seen.query("hostname") != Some("home.dyn.test") {
            return Reply::text(200, "nohost");
        }
        let address = seen.query("myip").unwrap();
        for one in address.split(',') {
            one.parse::<std::net::IpAddr>().unwrap();
        }
        if self.address == address {
            return Reply::text(200, &format!("nochg {address}"));
        }
        address.clone_into(&mut self.address);
        Reply::text(200, &format!("good {address}"))
    }
}

/// Somebody outside who tells an address.
pub(crate) struct Outside {
    /// What is told over IPv4; over IPv6 nobody is there.
    pub(crate) says: String,
}

impl Protocol for Outside {
    fn answer(&mut self, seen: &Seen) -> Reply {
        assert_polite(seen);
        assert_eq!(seen.line(), "GET /");
        Reply::text(200, &format!("{}\n", self.says))
    }
}
