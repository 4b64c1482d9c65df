//! Firewalls that lie: on loopback, because no real one can be told to. Real ones are in `tests/router_ipv6.rs`.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;
use url::Url;

use super::*;
use crate::net::router::{firewall::SERVICE, http::Place};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Honest,
    Refuses,
    GivesNoNumber,
    IsOff,
    KeepsOpen,
}

/// What a firewall lets in: client, port and seconds by number; and who asked last.
#[derive(Default)]
struct Table {
    holes: BTreeMap<u16, [String; 3]>,
    last: u16,
    asked_from: Vec<String>,
}

fn field(text: &str, name: &str) -> String {
    let rest = text.split(&format!("<{name}>")).nth(1).unwrap_or_default();
    rest.split('<').next().unwrap_or_default().to_owned()
}

fn answer(mut socket: TcpStream, habit: Habit, table: &Mutex<Table>) {
    let mut text = String::new();
    let mut part = [0; 4096];
    while !text.contains("</s:Envelope>") {
        match socket.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&part[..length])),
        }
    }
    let mut table = table.lock().unwrap();
    table
        .asked_from
        .push(socket.peer_addr().unwrap().ip().to_string());
    assert!(text.contains(&format!("{SERVICE}#")), "{text}");
    let number: u16 = field(&text, "UniqueID").parse().unwrap_or_default();
    let fault = |code: u16| Err(format!("<errorCode>{code}</errorCode>"));
    let none = || Ok(String::new());
    let action = text.split("<u:").nth(1).unwrap_or_default();
    let action = action.split([' ', '>']).next().unwrap_or_default();
    let said = match action {
        "GetFirewallStatus" => Ok(format!(
            "<FirewallEnabled>{}</FirewallEnabled><InboundPinholeAllowed>1</InboundPinholeAllowed>",
            u8::from(habit != Habit::IsOff)
        )),
        "AddPinhole" if matches!(habit, Habit::Refuses | Habit::IsOff) => fault(606),
        "AddPinhole" => {
            assert_eq!(field(&text, "RemoteHost"), "");
            assert_eq!(
                (&*field(&text, "RemotePort"), &*field(&text, "Protocol")),
                ("0", "6")
            );
            let hole =
                ["InternalClient", "InternalPort", "LeaseTime"].map(|name| field(&text, name));
            table.last += 1;
            let number = table.last;
            table.holes.insert(number, hole);
            if habit == Habit::GivesNoNumber {
                Ok("<UniqueID>99999</UniqueID>".into())
            } else {
                Ok(format!("<UniqueID>{number}</UniqueID>"))
            }
        }
        "DeletePinhole" if habit == Habit::KeepsOpen => fault(606),
        _ if !table.holes.contains_key(&number) => fault(704),
        "UpdatePinhole" => {
            table.holes.get_mut(&number).unwrap()[2] = field(&text, "NewLeaseTime");
            none()
        }
        "GetPinholePackets" => Ok("<PinholePackets>0</PinholePackets>".into()),
        "DeletePinhole" => {
            table.holes.remove(&number);
            none()
        }
        other => panic!("{other} is no action of this service"),
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

const OWN: Ipv6Addr = Ipv6Addr::LOCALHOST;

async fn router(habit: Habit, listens: &str) -> (Router6, Arc<Mutex<Table>>) {
    let table = Arc::new(Mutex::new(Table::default()));
    let listener = TcpListener::bind(listens).unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(&table);
    thread::spawn(move || {
        for socket in listener.incoming() {
            answer(socket.unwrap(), habit, &shared);
        }
    });
    let url = Url::parse(&format!("http://127.0.0.1:{port}/c")).unwrap();
    let service = Service {
        control: Place::of(&url, Ipv4Addr::LOCALHOST).unwrap(),
        kind: SERVICE,
    };
    let gateway = Gateway6 {
        address: OWN,
        scope: 0,
        own: OWN,
    };
    let router = Router6 {
        upnp: Firewall::meet(&service, &gateway).await,
        gateway,
        pcp: Err("it does not answer".into()),
    };
    (router, table)
}

#[tokio::test]
async fn a_hole_is_made_kept_open_and_closed_again() {
    let dir = TempDir::new().unwrap();
    let (router, table) = router(Habit::Honest, "[::1]:0").await;
    let mut kept = Kept::default();
    let opened = open(&router, 443, &mut kept, dir.path()).await;
    assert_eq!(opened, Ok(Some(Protocol::Upnp)));
    let whole = ["::1", "443", "3600"].map(str::to_owned);
    assert_eq!(table.lock().unwrap().holes, BTreeMap::from([(1, whole)]));
    assert_eq!(Kept::load(dir.path()).holes.len(), 1, "it is on the disk");
    assert!(is_fine(&router, 443, &kept).await);
    assert!(!is_fine(&router, 80, &kept).await);

    // Renewed, it is the same one; a router that has forgotten it makes another.
    table.lock().unwrap().holes.get_mut(&1).unwrap()[2] = "9".into();
    open(&router, 443, &mut kept, dir.path()).await.unwrap();
    assert_eq!(table.lock().unwrap().holes[&1][2], "3600");
    table.lock().unwrap().holes.clear();
    assert!(!is_fine(&router, 443, &kept).await, "it is gone");
    open(&router, 443, &mut kept, dir.path()).await.unwrap();
    assert!(table.lock().unwrap().holes.contains_key(&2));
    assert!(is_fine(&router, 443, &kept).await);

    let mut hole = kept.hole(443).unwrap().clone();
    close(Ok(&router), &mut hole).await.unwrap();
    close(Ok(&router), &mut hole).await.unwrap();
    let table = table.lock().unwrap();
    assert!(table.holes.is_empty());
    assert!(
        table.asked_from.iter().all(|from| from == "::1"),
        "over IPv6"
    );
}

#[tokio::test]
async fn a_router_that_answers_over_ipv4_only_is_asked_there() {
    let dir = TempDir::new().unwrap();
    let (router, table) = router(Habit::Honest, "127.0.0.1:0").await;
    let opened = open(&router, 443, &mut Kept::default(), dir.path()).await;
    assert_eq!(opened, Ok(Some(Protocol::Upnp)));
    assert_eq!(table.lock().unwrap().asked_from, ["127.0.0.1", "127.0.0.1"]);
}

#[tokio::test]
async fn what_a_router_does_not_do_is_told_and_what_it_need_not_do_is_not() {
    for (habit, words) in [
        (Habit::Refuses, Some("606")),
        (Habit::GivesNoNumber, Some("no number")),
        (Habit::IsOff, None),
    ] {
        let dir = TempDir::new().unwrap();
        let (router, _) = router(habit, "[::1]:0").await;
        let mut kept = Kept::default();
        let opened = open(&router, 443, &mut kept, dir.path()).await;
        match words {
            Some(words) => {
                let why = opened.unwrap_err();
                assert!(why.contains(words) && why.contains("::1"), "{why}");
            }
            None => assert_eq!(opened, Ok(None)),
        }
        assert!(kept.holes.is_empty(), "{habit:?}");
    }
    let (mut router, _) = router(Habit::Honest, "[::1]:0").await;
    router.upnp = Err("it describes none".into());
    let dir = TempDir::new().unwrap();
    let opened = open(&router, 443, &mut Kept::default(), dir.path()).await;
    assert_eq!(
        opened,
        Ok(None),
        "who knows no such request does not refuse"
    );
}

#[tokio::test]
async fn what_a_router_did_not_answer_is_remembered_and_asked_for_as_the_same_again() {
    let dir = TempDir::new().unwrap();
    let (mut router, _) = router(Habit::Honest, "[::1]:0").await;
    // It spoke PCP a moment ago, and does not now.
    router.pcp = Ok(7);
    let mut kept = Kept::default();
    let opened = open(&router, 443, &mut kept, dir.path()).await;
    assert_eq!(opened, Ok(Some(Protocol::Upnp)));
    assert_eq!(kept.hole(443).unwrap().protocol, Protocol::Upnp);
    assert_eq!(kept.unsure.len(), 1);
    assert_eq!(kept.unsure[0].protocol, Protocol::Pcp);
    let nonce = kept.unsure[0].nonce;
    router.upnp = Err("it is gone".into());
    kept.holes.clear();
    assert_eq!(open(&router, 443, &mut kept, dir.path()).await, Ok(None));
    assert!(kept.holes.is_empty());
    assert_eq!(kept.unsure.len(), 1);
    assert_eq!(kept.unsure[0].nonce, nonce);
}

#[tokio::test]
async fn what_is_not_closed_is_told_with_its_end() {
    let dir = TempDir::new().unwrap();
    let (router, _) = router(Habit::KeepsOpen, "[::1]:0").await;
    let mut kept = Kept::default();
    open(&router, 443, &mut kept, dir.path()).await.unwrap();
    let mut hole = kept.hole(443).unwrap().clone();
    let why = close(Ok(&router), &mut hole).await.unwrap_err();
    assert!(
        why.contains("606") && why.contains("within 60 min"),
        "{why}"
    );
    let silent = "this machine has no router for IPv6".to_owned();
    let why = close(Err(&silent), &mut hole).await.unwrap_err();
    assert!(why.contains(&silent), "{why}");
    // When its time is over, there is nothing to ask.
    hole.until = Timestamp::now().0 - 9;
    close(Err(&silent), &mut hole).await.unwrap();
}
