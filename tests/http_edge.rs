//! HTTP/1.1 at its edges: bytes as an attacker or an old program sends them, and the status they get.
//!
//! Drawn from RFC 9110 and RFC 9112. What could be read in two ways by two servers (request smuggling) has
//! to be refused, and the connection closed, so that nothing of it is taken for another request.

use std::io::{ErrorKind, Read, Write};

use crate::site::Site;

/// Requests as they are sent, and the statuses that they may get, in order; 0: the connection is closed
/// without an answer.
/// `\n` stands for CR LF, and `␊` for a bare LF.
const TABLE: &[(&str, &[&[u16]])] = &[
    // RFC 9112 section 3: the request line.
    ("GET / HTTP/1.1\nHost: h\n\n", &[&[200]]),
    ("GET / HTTP/1.0\n\n", &[&[200, 400]]),
    ("GET /\n\n", &[&[400]]),
    ("GET / HTTP/2.0\nHost: h\n\n", &[&[400, 505]]),
    ("GET / HTTP/1.2\nHost: h\n\n", &[&[400, 200, 505]]),
    ("GET / HTTP/9\nHost: h\n\n", &[&[400]]),
    ("GET  / HTTP/1.1\nHost: h\n\n", &[&[400]]),
    ("G\u{0}T / HTTP/1.1\nHost: h\n\n", &[&[400]]),
    ("GET /\u{0} HTTP/1.1\nHost: h\n\n", &[&[400]]),
    ("GET /a b HTTP/1.1\nHost: h\n\n", &[&[400]]),
    ("GET /#x HTTP/1.1\nHost: h\n\n", &[&[400, 200, 404]]),
    // Section 3.2.2: the absolute form is accepted; 3.2.3 and 3.2.4: the others are not ours.
    ("GET https://h/ HTTP/1.1\nHost: h\n\n", &[&[200]]),
    ("GET h/ HTTP/1.1\nHost: h\n\n", &[&[400, 404]]),
    ("OPTIONS * HTTP/1.1\nHost: h\n\n", &[&[200, 204, 400]]),
    ("CONNECT h:443 HTTP/1.1\nHost: h:443\n\n", &[&[400, 405]]),
    (
        "CONNECT h:443 HTTP/1.1\nHost: h:443\nUpgrade: websocket\nConnection: upgrade\n\n",
        &[&[400, 405]],
    ),
    // Section 3.2: exactly one Host.
    ("GET / HTTP/1.1\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: a\nHost: b\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: a, b\n\n", &[&[400]]),
    // Section 3.2: a Host that is none; programs behind would build addresses from it.
    ("GET / HTTP/1.1\nHost: h:x@evil.example\n\n", &[&[400]]),
    (
        "GET / HTTP/1.1\nHost: h:1\", for=127.0.0.1;host=\"x\n\n",
        &[&[400]],
    ),
    ("GET / HTTP/1.1\nHost: h/../x\n\n", &[&[400]]),
    // Section 2.2: line ends, and blank lines before a request.
    ("\n\nGET / HTTP/1.1\nHost: h\n\n", &[&[200]]),
    ("GET / HTTP/1.1\nHost: h\nX: a\rb\n\n", &[&[400]]),
    // Section 5: fields.
    ("GET / HTTP/1.1\nHost: h\nX : a\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: h\n X: a\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: h\nX: a\n folded\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: h\n: a\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: h\nX\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: h\nX\u{0}: a\n\n", &[&[400]]),
    ("GET / HTTP/1.1\nHost: h\nX: a\u{0}b\n\n", &[&[400]]),
    // Section 6.3: what is ambiguous about a body's length.
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: 3\nContent-Length: 4\n\nabc",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: 3, 3\n\nabc",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: +3\n\nabc",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: -1\n\n",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: 0x3\n\nabc",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: 99999999999999999999\n\n",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\n",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nContent-Length: 3\n\n0\n\n",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked, identity\n\n0\n\n",
        &[&[400, 501]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: xchunked\n\n0\n\n",
        &[&[400, 501]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\n",
        &[&[400, 501]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding : chunked\n\n0\n\n",
        &[&[400]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: \u{b}chunked\n\n0\n\n",
        &[&[400, 501]],
    ),
    (
        "POST / HTTP/1.0\nHost: h\nTransfer-Encoding: chunked\n\n0\n\n",
        &[&[400, 403]],
    ),
    // Section 7.1: chunks. A form that is whole is refused as one of another site (403).
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
        &[&[403]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3;ext=1\nabc\n0\nTrailer: 1\n\n",
        &[&[403]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\nzz\nabc\n0\n\n",
        &[&[400, 403, 0]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n-1\nabc\n0\n\n",
        &[&[400, 403, 0]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\nffffffffffffffffff\nabc\n0\n\n",
        &[&[400, 403, 0]],
    ),
    (
        "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\nabcdef\n0\n\n",
        &[&[400, 403, 0]],
    ),
    // RFC 9110 section 9: methods.
    ("TRACE / HTTP/1.1\nHost: h\nCookie: a=b\n\n", &[&[405]]),
    ("BREW / HTTP/1.1\nHost: h\n\n", &[&[405, 501]]),
    ("get / HTTP/1.1\nHost: h\n\n", &[&[405, 501, 400]]),
    ("PUT / HTTP/1.1\nHost: h\nContent-Length: 0\n\n", &[&[405]]),
    // Section 10.1.1: an expectation that nobody can meet.
    (
        "GET / HTTP/1.1\nHost: h\nExpect: a miracle\n\n",
        &[&[417, 200]],
    ),
    // Two requests in one piece are two requests.
    (
        "GET /archive HTTP/1.1\nHost: h\n\nGET /nothing HTTP/1.1\nHost: h\n\n",
        &[&[200], &[404]],
    ),
    // What follows a refused request is not looked at.
    (
        "POST / HTTP/1.1\nHost: h\nContent-Length: 3\nTransfer-Encoding: chunked\n\n0\n\nGET /archive HTTP/1.1\nHost: h\n\n",
        &[&[400]],
    ),
    (
        "GET / HTTP/1.1\nHost: h\nContent-Length: 40\nContent-Length: 0\n\nGET /archive HTTP/1.1\nHost: h\nX: y\n\n",
        &[&[400]],
    ),
    // Bare LF at the end of lines: the parser below takes it as section 2.2 allows.
    ("GET / HTTP/1.1␊Host: h␊␊", &[&[200, 400]]),
];

/// The statuses of the answers in what came back.
fn statuses(answer: &str) -> Vec<u16> {
    answer
        .match_indices("HTTP/1.")
        .filter_map(|(at, _)| answer.get(at + 9..at + 12)?.parse().ok())
        .filter(|status| *status != 100)
        .collect()
}

/// The statuses that come back for bytes, until the server closes or says nothing for a second; `[0]` if it
/// closes without an answer.
fn answer_to(site: &Site, bytes: &[u8]) -> Vec<u16> {
    let mut stream = site.connect("127.0.0.1");
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
    let second = Some(std::time::Duration::from_secs(1));
    stream.sock.set_read_timeout(second).unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    let is_closed = match end {
        Ok(bytes) => bytes == 0,
        // Who still sends when the server closes is reset.
        Err(e) if [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&e.kind()) => true,
        Err(_) => stream.sock.read(&mut [0]).is_ok_and(|bytes| bytes == 0),
    };
    let statuses = statuses(&String::from_utf8_lossy(&answer));
    if statuses.is_empty() && is_closed {
        return vec![0];
    }
    statuses
}

#[test]
fn bytes_at_the_edge_of_http_get_the_status_of_the_rfc() {
    let site = Site::start();
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let ask = |row: &(&str, &[&[u16]])| {
            let bytes = row.0.replace('\n', "\r\n").replace('␊', "\n");
            let got = answer_to(&site, bytes.as_bytes());
            let fits = got.len() == row.1.len()
                && got
                    .iter()
                    .zip(row.1)
                    .all(|(status, allowed)| allowed.contains(status));
            (!fits).then(|| format!("{:?} gave {got:?}, and not {:?}", row.0, row.1))
        };
        let asked: Vec<_> = TABLE
            .iter()
            .map(|row| scope.spawn(move || ask(row)))
            .collect();
        wrong.extend(asked.into_iter().filter_map(|asked| asked.join().unwrap()));
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(site.text(&site.client(), "/healthz").0, 200);
}

#[test]
fn what_is_larger_than_any_request_is_refused_without_being_kept() {
    let site = Site::start();
    let long = "x".repeat(300_000);
    for (request, allowed) in [
        (
            format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
            [400, 414],
        ),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"),
            [400, 431],
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\n{}\r\n",
                "X: y\r\n".repeat(3_000)
            ),
            [400, 431],
        ),
        (format!("{long} / HTTP/1.1\r\nHost: h\r\n\r\n"), [400, 405]),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n".to_owned() + &long,
            [403, 413],
        ),
    ] {
        let got = answer_to(&site, request.as_bytes());
        assert!(
            got.first()
                .is_some_and(|status| [0, 431].contains(status) || allowed.contains(status)),
            "{}… gave {got:?}",
            &request[..20]
        );
    }
    assert_eq!(site.text(&site.client(), "/healthz").0, 200);
}
