//! Tests of the sockets: what falls back, what is refused and in which words, and what is shown.

use std::{
    cell::RefCell,
    net::{Ipv4Addr, TcpStream},
};

use super::*;
use crate::net::names::{LocalName, names_of};

fn settings(toml: &str) -> Result<Settings, toml::de::Error> {
    toml::from_str(toml)
}

fn on(https: &str, http: &str) -> Settings {
    Settings {
        https: Some(https.parse().unwrap()),
        http: Some(http.parse().unwrap()),
    }
}

/// A system that refuses some addresses; gives the outcome and every address it was asked for.
fn bind_where(
    settings: &Settings,
    refuse: impl Fn(SocketAddr) -> Option<ErrorKind>,
) -> (Result<Listeners>, Vec<String>) {
    let asked = RefCell::new(Vec::new());
    let outcome = bind_with(settings, |address| {
        asked.borrow_mut().push(address.to_string());
        match refuse(address) {
            Some(kind) => Err(kind.into()),
            None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)),
        }
    });
    (outcome, asked.into_inner())
}

#[test]
fn settings_are_read_from_a_section_of_toml() {
    let parsed = settings("https = \"[::]:8443\"\nhttp = 8080").unwrap();
    assert_eq!(parsed, on("[::]:8443", "8080"));
    assert_eq!(settings("").unwrap(), Settings::default());
    for (toml, expected) in [
        ("htps = 443", "htps"),
        ("https = 65536", "65535"),
        ("https = -1", "65535"),
        ("https = true", "0.0.0.0:443"),
        ("https = \"example.org\"", "0.0.0.0:443"),
    ] {
        let message = settings(toml).unwrap_err().to_string();
        assert!(message.contains(expected), "{toml}: {message}");
    }
}

#[test]
fn what_is_not_set_falls_back_where_the_system_says_so_and_nowhere_else() {
    use ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let no_ipv6 = |a: SocketAddr| a.is_ipv6().then_some(AddrNotAvailable);
    let unprivileged = |a: SocketAddr| (a.port() < 1024).then_some(PermissionDenied);
    let only_http_denied = |a: SocketAddr| (a.port() == 80).then_some(PermissionDenied);
    let default = Settings::default();

    for (asked, expected) in [
        (bind_where(&default, |_| None), vec!["[::]:443", "[::]:80"]),
        (
            bind_where(&default, no_ipv6),
            vec!["[::]:443", "0.0.0.0:443", "[::]:80", "0.0.0.0:80"],
        ),
        (
            bind_where(&default, unprivileged),
            vec!["[::]:443", "[::]:8443", "[::]:80", "[::]:8080"],
        ),
        (
            bind_where(&default, only_http_denied),
            vec!["[::]:443", "[::]:80", "[::]:8080"],
        ),
    ] {
        asked.0.unwrap();
        assert_eq!(asked.1, expected);
    }

    for (settings, refused, key) in [
        (default, AddrInUse, "listen.https"),
        (on("443", "80"), PermissionDenied, "listen.https"),
        (on("127.0.0.1:443", "80"), AddrNotAvailable, "listen.https"),
    ] {
        let (outcome, asked) = bind_where(&settings, |_| Some(refused));
        let message = outcome.unwrap_err().to_string();
        assert!(
            message.contains(key) && message.contains("--https"),
            "{message}"
        );
        assert_eq!(asked.len(), 1, "{asked:?}");
    }
}

#[test]
fn a_busy_fallback_is_named_with_its_own_port() {
    let (outcome, _) = bind_where(&Settings::default(), |a| match a.port() {
        443 => Some(ErrorKind::PermissionDenied),
        _ => Some(ErrorKind::AddrInUse),
    });
    let message = outcome.unwrap_err().to_string();
    assert!(
        message.contains("port 8443 is used by another program"),
        "{message}"
    );
    assert!(message.contains("--https 8444"), "{message}");
}

#[test]
fn a_busy_port_names_the_setting_the_address_and_the_remedy() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = other.local_addr().unwrap();
    for (settings, key, option) in [
        (
            on(&busy.to_string(), "127.0.0.1:0"),
            "listen.https",
            "--https 8443",
        ),
        (
            on("127.0.0.1:0", &busy.to_string()),
            "listen.http",
            "--http 8080",
        ),
    ] {
        let message = bind(&settings).unwrap_err().to_string();
        let sport = format!("sport = :{}", busy.port());
        for part in [
            key,
            option,
            &busy.to_string(),
            "used by another program",
            &sport,
        ] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }
}

#[test]
fn two_settings_with_one_port_are_told_apart_from_another_program() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let message = bind(&on(&free, &free)).unwrap_err().to_string();
    assert!(
        message.contains("already taken by listen.https"),
        "{message}"
    );
    assert!(message.contains("listen.http or --http"), "{message}");
}

#[test]
fn an_address_of_another_machine_is_refused() {
    // 203.0.113.0/24 is for documentation (RFC 5737): no machine should have it.
    let message = bind(&on("203.0.113.77:8443", "0")).unwrap_err().to_string();
    assert!(
        message.contains("this machine has no such address"),
        "{message}"
    );
    assert!(
        message.contains("203.0.113.77:8443") && message.contains("listen.https"),
        "{message}"
    );
}

#[test]
fn port_zero_gives_the_real_port_and_both_families_are_served() {
    let listeners = bind(&on("0", "127.0.0.1:0")).unwrap();
    assert_ne!(listeners.https_address.port(), 0);
    assert_eq!(
        listeners.https_address,
        listeners.https.local_addr().unwrap()
    );
    assert_eq!(listeners.http_address, listeners.http.local_addr().unwrap());
    assert_eq!(
        listeners.http.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    TcpStream::connect((Ipv4Addr::LOCALHOST, listeners.https_address.port())).unwrap();
    if listeners.https_address.is_ipv6() {
        TcpStream::connect(("::1", listeners.https_address.port())).unwrap();
    }
}

#[test]
fn a_restarted_server_gets_its_port_back_at_once() {
    let first = bind(&on("127.0.0.1:0", "127.0.0.1:0")).unwrap();
    let address = first.https_address;
    let client = TcpStream::connect(address).unwrap();
    first.https.set_nonblocking(false).unwrap();
    // The side that closes first is the one that waits.
    drop(first.https.accept().unwrap());
    drop(first);
    drop(client);
    bind(&on(&address.to_string(), "127.0.0.1:0")).unwrap();
}

#[test]
fn addresses_are_shown_as_a_person_types_them() {
    let pi = ["192.168.1.20", "10.0.0.2", "fd00::5"];
    let v6_only = ["fd00::5"];
    for (bound, addresses, expected) in [
        (
            "[::]:443",
            &pi[..],
            vec![
                "https://localhost",
                "https://pi.local",
                "https://10.0.0.2",
                "https://192.168.1.20",
            ],
        ),
        (
            "0.0.0.0:8443",
            &pi[..1],
            vec![
                "https://localhost:8443",
                "https://pi.local:8443",
                "https://192.168.1.20:8443",
            ],
        ),
        (
            "[::]:8443",
            &v6_only,
            vec![
                "https://localhost:8443",
                "https://pi.local:8443",
                "https://[fd00::5]:8443",
            ],
        ),
        (
            "0.0.0.0:443",
            &v6_only,
            vec!["https://localhost", "https://pi.local"],
        ),
        ("127.0.0.1:8443", &pi, vec!["https://localhost:8443"]),
        ("[::1]:443", &pi, vec!["https://localhost"]),
        ("192.168.1.20:443", &pi, vec!["https://192.168.1.20"]),
        ("[fd00::5]:8443", &pi, vec!["https://[fd00::5]:8443"]),
    ] {
        let local = LocalName::new(Some(&"pi".to_owned().try_into().unwrap()));
        let names = names_of("pi", &local, addresses.iter().map(|a| a.parse().unwrap()));
        assert_eq!(
            shown_addresses(bound.parse().unwrap(), &names),
            expected,
            "{bound}"
        );
    }
}
