//! Who holds connections, sends or reads slowly, or bends HTTP/2: the site stays reachable for others, and
//! its memory stays bounded.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::blocking::Client;
use rustls::{ClientConnection, StreamOwned};

use crate::{site::Site, tools::is_there, waiting::until};

/// A visitor from another address than the attacker's.
fn neighbour(site: &Site) -> Client {
    site.client_builder()
        .local_address(IpAddr::from([127, 0, 0, 2]))
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

#[test]
fn slow_headers_bodies_ranges_and_readers_leave_the_site_reachable() {
    let is_installed = Command::new("slowhttptest")
        .arg("-h")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !is_there("slowhttptest", is_installed) {
        return;
    }
    let modes: [&[&str]; 4] = [
        &["-H", "-i", "1"],
        &["-B", "-i", "1"],
        &["-R", "-a", "1", "-b", "3000"],
        &[
            "-X", "-n", "1", "-z", "16", "-w", "8", "-y", "16", "-k", "3",
        ],
    ];
    std::thread::scope(|scope| {
        for mode in modes {
            scope.spawn(move || {
                let site = Site::start();
                let mut attack = Command::new("slowhttptest")
                    .args(mode)
                    .args(["-c", "600", "-r", "300", "-l", "8", "-p", "5"])
                    .args(["-u", &site.url("/archive")])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                let mut answered = 0;
                while attack.try_wait().unwrap().is_none() {
                    // A new connection each time, as a new visitor has.
                    let status = neighbour(&site)
                        .get(site.url("/"))
                        .send()
                        .map(|a| a.status());
                    assert!(
                        status.as_ref().is_ok_and(reqwest::StatusCode::is_success),
                        "{mode:?}: {status:?}"
                    );
                    answered += 1;
                    std::thread::sleep(Duration::from_millis(100));
                }
                assert!(answered > 10, "{mode:?} ended too soon");
                let peak = site.peak_memory_kib();
                assert!(peak < 128 * 1024, "{mode:?} took {peak} KiB");
            });
        }
    });
}

#[test]
fn one_network_cannot_take_all_places() {
    let site = Site::with_settings("[limits]\nconnections_per_network = 5");
    let port = site.base.rsplit(':').next().unwrap();
    let held: Vec<_> = (0..5)
        .map(|_| {
            let mut stream = site.connect("127.0.0.1");
            stream.conn.complete_io(&mut stream.sock).unwrap();
            stream
        })
        .collect();
    let mut sixth = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    sixth
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    assert!(
        matches!(sixth.read(&mut [0; 8]), Ok(0) | Err(_)),
        "it is closed at once"
    );
    assert_eq!(
        neighbour(&site)
            .get(site.url("/healthz"))
            .send()
            .unwrap()
            .status(),
        200
    );
    drop(held);
    until(&site, "the places are given back", || {
        site.client().get(site.url("/healthz")).send().is_ok()
    });
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A connection that has begun, with these settings.
fn begin(site: &Site, settings: &[u8]) -> Connection {
    let mut stream = site.connect_for("127.0.0.1", b"h2");
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    stream.write_all(&frame(4, 0, 0, settings)).unwrap();
    stream
}

/// `GET` of a path, in HPACK (RFC 7541).
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x41, 9]);
    block.extend(b"127.0.0.1");
    block
}

/// Sends pieces until the server closes or `most` were sent; says how many it took.
fn flood(stream: &mut Connection, most: usize, piece: impl Fn(u32) -> Vec<u8>) -> usize {
    stream
        .sock
        .set_write_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    for n in 0..most {
        let id = 1 + 2 * u32::try_from(n).unwrap();
        if stream.write_all(&piece(id)).is_err() {
            return n;
        }
    }
    most
}

/// The error codes of GOAWAY in what the server sends until it closes.
fn farewell(stream: &mut Connection) -> Vec<u32> {
    stream
        .sock
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let (mut codes, mut rest) = (Vec::new(), &bytes[..]);
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let kind = rest[3];
        let Some(payload) = rest.get(9..9 + length) else {
            break;
        };
        if kind == 7 && length >= 8 {
            codes.push(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        rest = &rest[9 + length..];
    }
    codes
}

/// RFC 9113 section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

/// That a site has never had more memory than it may, and answers.
#[track_caller]
fn is_small_and_well(site: &Site) {
    let peak = site.peak_memory_kib();
    assert!(peak < 96 * 1024, "{peak} KiB");
    assert_eq!(site.text(&site.client(), "/healthz").0, 200);
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_end_the_connection() {
    // CVE-2023-44487
    let site = Site::start();
    let mut stream = begin(&site, &[]);
    flood(&mut stream, 50_000, |id| {
        let mut both = frame(1, 5, id, &get("/archive"));
        both.extend(frame(3, 0, id, &8u32.to_be_bytes()));
        both
    });
    let codes = farewell(&mut stream);
    assert!(
        codes.contains(&ENHANCE_YOUR_CALM) || codes.is_empty(),
        "{codes:?}"
    );
    assert!(
        stream.write_all(&frame(6, 0, 0, &[0; 8])).is_err() || codes.contains(&ENHANCE_YOUR_CALM)
    );
    is_small_and_well(&site);
}

#[test]
fn headers_that_never_end_end_the_connection() {
    // The CONTINUATION flood: CERT/CC VU#421644.
    let site = Site::start();
    let mut stream = begin(&site, &[]);
    stream.write_all(&frame(1, 1, 1, &get("/archive"))).unwrap();
    let mut field = vec![0x00, 1, b'x', 0x7f, 0x81, 0x7d];
    field.extend([b'y'; 16_000]);
    let taken = flood(&mut stream, 20_000, |_| frame(9, 0, 1, &field));
    assert!(taken < 20_000, "the server read on for ever");
    is_small_and_well(&site);
}

#[test]
fn floods_of_pings_and_settings_take_no_memory() {
    let site = Site::start();
    for kind in [6, 4] {
        let payload: &[u8] = if kind == 6 { &[0; 8] } else { &[] };
        let mut stream = begin(&site, &[]);
        // Nobody reads the answers.
        flood(&mut stream, 200_000, |_| frame(kind, 0, 0, payload));
    }
    is_small_and_well(&site);
}

#[test]
fn answers_that_nobody_takes_are_few_and_are_given_up() {
    let site = Site::start();
    let no_window = [0, 4, 0, 0, 0, 0];
    let mut stream = begin(&site, &no_window);
    let public = site.data().join("public");
    std::fs::create_dir(&public).unwrap();
    std::fs::write(public.join("large.bin"), vec![7; 1 << 20]).unwrap();
    flood(&mut stream, 5_000, |id| frame(1, 5, id, &get("/archive")));
    let mut of_files = begin(&site, &no_window);
    flood(&mut of_files, 5_000, |id| {
        frame(1, 5, id, &get("/large.bin"))
    });
    let peak = site.peak_memory_kib();
    assert!(peak < 96 * 1024, "{peak} KiB");
    assert_eq!(
        site.text(&site.client(), "/archive").0,
        200,
        "others are answered"
    );
    assert_eq!(
        neighbour(&site).get(site.url("/")).send().unwrap().status(),
        200
    );
    // They count when they have ended, and what comes in between does not make them move.
    let ended = || -> f64 {
        let metrics = site.text(&site.client(), "/metrics").1;
        let of_requests = metrics
            .lines()
            .filter(|line| line.starts_with("webstead_requests_total"));
        of_requests
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum()
    };
    let before = ended();
    let deadline = std::time::Instant::now() + Duration::from_secs(100);
    while ended() - before < 300.0 {
        assert!(
            std::time::Instant::now() < deadline,
            "they are held for ever"
        );
        stream.write_all(&frame(6, 0, 0, &[0; 8])).unwrap();
        of_files.write_all(&frame(6, 0, 0, &[0; 8])).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn who_comes_when_many_are_there_does_not_keep_a_place_for_nothing() {
    let site = Site::with_settings("[limits]\nconnections = 6\nconnections_per_network = 6");
    let request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let ask = |stream: &mut Connection| {
        stream.write_all(request).unwrap();
        stream.read(&mut [0; 4096]).unwrap()
    };
    // One after the other: those that come together are let in in any order.
    let mut held: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = site.connect("127.0.0.1");
            assert!(ask(&mut stream) > 0);
            stream
        })
        .collect();
    let mut of_http2 = begin(&site, &[]);
    let start = std::time::Instant::now();
    let mut bytes = Vec::new();
    let _ = of_http2.read_to_end(&mut bytes);
    let _ = held[3].read_to_end(&mut bytes);
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(25), "{waited:?}");
    assert!(ask(&mut held[0]) > 0, "who came when there was room stays");
}
