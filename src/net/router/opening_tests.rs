//! Routers that lie: on loopback, because no real one can be told to.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;
use url::Url;

use super::*;
use crate::net::router::{Gateway, http::Place, igd::Igd};

const FORWARD: Forward = Forward {
    external: 443,
    internal: 8443,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Honest,
    SaysYesAndDoesNothing,
    MapsAnotherPort,
    KnowsOnlyPermanent,
    ForgetsTheEnd,
    NamesAnotherMachine,
    Refuses,
}

/// What a router has mapped port 443 to: client, port, description, seconds.
type Entry = Arc<Mutex<Option<[String; 4]>>>;

fn field(text: &str, name: &str) -> String {
    let rest = text.split(&format!("<{name}>")).nth(1).unwrap_or_default();
    rest.split('<').next().unwrap_or_default().to_owned()
}

fn answer(mut socket: TcpStream, habit: Habit, entry: &Entry) {
    let mut text = String::new();
    let mut part = [0; 4096];
    while !text.contains("</s:Envelope>") {
        match socket.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&part[..length])),
        }
    }
    let fault = |code: u16| Err(format!("<errorCode>{code}</errorCode>"));
    let mut entry = entry.lock().unwrap();
    let said = if text.contains("<u:GetSpecificPortMappingEntry") {
        entry.as_ref().map_or(fault(714), |[client, port, description, lease]| {
            let enabled = u8::from(client != "off");
            let client = match habit {
                Habit::NamesAnotherMachine => "192.168.1.7".to_owned(),
                _ => client.replace("off", "127.0.0.1"),
            };
            Ok(format!(
                "<NewInternalClient>{client}</NewInternalClient><NewInternalPort>{port}</NewInternalPort>\
                 <NewEnabled>{enabled}</NewEnabled><NewPortMappingDescription>{description}</NewPortMappingDescription>\
                 <NewLeaseDuration>{lease}</NewLeaseDuration>"
            ))
        })
    } else if text.contains("<u:DeletePortMapping") {
        *entry = None;
        Ok(String::new())
    } else {
        let mut new = [
            "NewInternalClient",
            "NewInternalPort",
            "NewPortMappingDescription",
            "NewLeaseDuration",
        ]
        .map(|name| field(&text, name));
        match habit {
            Habit::Refuses => fault(606),
            Habit::KnowsOnlyPermanent if new[3] != "0" => fault(725),
            Habit::SaysYesAndDoesNothing => Ok(String::new()),
            _ => {
                match habit {
                    Habit::MapsAnotherPort => new[1] = "8444".into(),
                    Habit::ForgetsTheEnd => new[3] = "0".into(),
                    _ => {}
                }
                *entry = Some(new);
                Ok(String::new())
            }
        }
    };
    let (status, inner) = match said {
        Ok(inner) => ("200 OK", inner),
        Err(inner) => ("500 Internal Server Error", inner),
    };
    let body = format!("<s:Envelope xmlns:s=\"x\"><s:Body>{inner}</s:Body></s:Envelope>");
    let length = body.len();
    let _ = write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
}

fn router(habit: Habit, before: Option<[&str; 4]>) -> (Router, Entry) {
    let entry: Entry = Arc::new(Mutex::new(before.map(|before| before.map(str::to_owned))));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/c", listener.local_addr().unwrap());
    let shared = Arc::clone(&entry);
    thread::spawn(move || {
        for socket in listener.incoming() {
            answer(socket.unwrap(), habit, &shared);
        }
    });
    let own = Ipv4Addr::LOCALHOST;
    let place = Place::of(&Url::parse(&url).unwrap(), own).unwrap();
    let router = Router {
        gateway: Gateway { address: own, own },
        igd: Ok(Igd::at(place)),
        firewall: Err("it describes none".into()),
        pcp: Err("it does not answer".into()),
        nat_pmp: Err("it does not answer".into()),
        strangers: Vec::new(),
    };
    (router, entry)
}

#[tokio::test]
async fn what_a_router_says_it_did_is_looked_at() {
    for (habit, words) in [
        (Habit::Honest, None),
        (Habit::KnowsOnlyPermanent, None),
        (Habit::ForgetsTheEnd, None),
        (Habit::SaysYesAndDoesNothing, Some("does nothing")),
        (Habit::MapsAnotherPort, Some("port 8444")),
        (
            Habit::NamesAnotherMachine,
            Some("another machine (192.168.1.7, port 8443); that was taken back"),
        ),
        (Habit::Refuses, Some("606")),
    ] {
        let dir = TempDir::new().unwrap();
        let (router, entry) = router(habit, None);
        let mut kept = Kept::default();
        let opened = open(&router, FORWARD, &mut kept, dir.path()).await;
        match words {
            None => {
                assert_eq!(opened, Ok(Opened::ByUs(Protocol::Upnp)), "{habit:?}");
                let mapped = kept.of(443).unwrap().clone();
                assert_eq!(mapped.until.is_none(), habit != Habit::Honest);
                // It is found on the disk, and closed again.
                assert_eq!(Kept::load(dir.path()).mapped.len(), 1);
                close(&router, &mapped).await.unwrap();
            }
            Some(words) => {
                let why = opened.unwrap_err();
                assert!(why.contains(words), "{habit:?}: {why}");
                assert!(kept.mapped.is_empty(), "{habit:?}");
            }
        }
        assert_eq!(
            *entry.lock().unwrap(),
            None,
            "{habit:?} leaves nothing behind"
        );
    }
}

#[tokio::test]
async fn what_somebody_else_has_or_made_is_left_alone() {
    for (before, outcome) in [
        (
            ["192.168.1.7", "443", "games", "0"],
            Err("another machine (192.168.1.7"),
        ),
        (
            ["127.0.0.1", "9000", "games", "0"],
            Err("port 9000 of this machine"),
        ),
        (["127.0.0.1", "8443", "by hand", "0"], Ok(Opened::Already)),
    ] {
        let dir = TempDir::new().unwrap();
        let (router, entry) = router(Habit::Honest, Some(before));
        let mut kept = Kept::default();
        match (open(&router, FORWARD, &mut kept, dir.path()).await, outcome) {
            (Ok(opened), Ok(expected)) => assert_eq!(opened, expected),
            (Err(why), Err(words)) => assert!(why.contains(words), "{why}"),
            (opened, expected) => panic!("{opened:?} and not {expected:?}"),
        }
        assert!(kept.mapped.is_empty(), "it is not ours to close");
        assert_eq!(*entry.lock().unwrap(), Some(before.map(str::to_owned)));
    }
}

/// What was asked for over UPnP, to end at this time.
fn asked_for(router: &Router, until: i64) -> Mapped {
    Mapped {
        external: 443,
        internal: 8443,
        own: router.gateway.own,
        router: router.gateway.address,
        protocol: Protocol::Upnp,
        until: Some(until),
        lease_s: 3600,
        nonce: [0; 12],
        outside: None,
    }
}

#[tokio::test]
async fn what_the_owner_changed_on_the_router_stays_as_it_is() {
    let now = Timestamp::now().0;
    for (client, port, words) in [
        ("127.0.0.1", "9000", "changed on its own pages"),
        ("off", "8443", "switched off"),
    ] {
        let dir = TempDir::new().unwrap();
        let changed = [client, port, "Webstead", "0"];
        let (router, entry) = router(Habit::Honest, Some(changed));
        let mut kept = Kept::default();
        kept.remember(asked_for(&router, now + 99));
        // Once more is no other matter.
        for _ in 0..2 {
            let why = open(&router, FORWARD, &mut kept, dir.path()).await;
            let why = why.unwrap_err();
            assert!(why.contains(words), "{why}");
        }
        close(&router, kept.of(443).unwrap()).await.unwrap();
        assert_eq!(*entry.lock().unwrap(), Some(changed.map(str::to_owned)));
    }
}

#[tokio::test]
async fn a_port_that_is_open_after_its_time_is_closed_if_it_is_ours() {
    let over = Timestamp::now().0 - 99;
    for (description, is_closed) in [("Webstead", true), ("by hand", false)] {
        let before = ["127.0.0.1", "8443", description, "0"];
        let (router, entry) = router(Habit::Honest, Some(before));
        let mapped = asked_for(&router, over);
        close(&router, &mapped).await.unwrap();
        assert_eq!(entry.lock().unwrap().is_none(), is_closed, "{description}");
    }
}

#[tokio::test]
async fn what_was_granted_is_closed_though_the_router_calls_it_another_machines() {
    let now = Timestamp::now().0;
    for (port, description, until, is_closed) in [
        ("8443", "Webstead", now + 99, true),
        ("8443", "games", now + 99, false),
        ("443", "Webstead", now + 99, false),
        ("8443", "Webstead", now - 99, false),
    ] {
        let dir = TempDir::new().unwrap();
        let before = ["127.0.0.1", port, description, "0"];
        let (router, entry) = router(Habit::NamesAnotherMachine, Some(before));
        let mut kept = Kept::default();
        let mapped = asked_for(&router, until);
        kept.remember(mapped.clone());
        // A renewal takes nothing from anybody, and forgets nothing that is ours.
        let why = open(&router, FORWARD, &mut kept, dir.path()).await;
        assert!(why.unwrap_err().contains("another machine"));
        let case = format!("{port} {description} {}", until - now);
        assert_eq!(kept.of(443).is_some(), is_closed, "{case}");
        close(&router, &mapped).await.unwrap();
        assert_eq!(entry.lock().unwrap().is_none(), is_closed, "{case}");
    }
}

#[tokio::test]
async fn a_machine_with_a_new_address_takes_its_own_port_along() {
    let dir = TempDir::new().unwrap();
    let (router, entry) = router(
        Habit::Honest,
        Some(["192.168.1.7", "8443", "Webstead", "99"]),
    );
    let mut kept = Kept::default();
    kept.remember(Mapped {
        external: 443,
        internal: 8443,
        own: Ipv4Addr::new(192, 168, 1, 7),
        router: router.gateway.address,
        protocol: Protocol::Upnp,
        until: Some(Timestamp::now().0 + 99),
        lease_s: 3600,
        nonce: [0; 12],
        outside: None,
    });
    let opened = open(&router, FORWARD, &mut kept, dir.path()).await;
    assert_eq!(opened, Ok(Opened::ByUs(Protocol::Upnp)));
    assert_eq!(entry.lock().unwrap().as_ref().unwrap()[0], "127.0.0.1");
    // By now it is another machine's: closing does not touch it.
    let others = ["192.168.1.8", "443", "games", "0"].map(str::to_owned);
    *entry.lock().unwrap() = Some(others.clone());
    close(&router, kept.of(443).unwrap()).await.unwrap();
    assert_eq!(*entry.lock().unwrap(), Some(others));
}
