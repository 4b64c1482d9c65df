//! Programs behind Webstead.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::blocking::{Body, Client, RequestBuilder};

use crate::{
    hosts::{APP, FILES, with_files},
    site::Site,
    upstream::{Upstream, raw_upstream, start_websocket},
    waiting::until,
};

/// So many pieces of up to 1,000 bytes, slowly.
struct Drip(usize);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Ok(0);
        }
        self.0 -= 1;
        std::thread::sleep(Duration::from_millis(100));
        let length = buffer.len().min(1000);
        buffer[..length].fill(b'x');
        Ok(length)
    }
}

/// A site with a host that is these programs.
fn with_proxy(upstreams: &[String], keys: &str) -> Site {
    Site::with_settings(&format!("[hosts.\"{APP}\"]\nproxy = {upstreams:?}\n{keys}"))
}

#[test]
fn a_program_behind_is_asked_what_the_visitor_asked_and_who_asks() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    let client = site.client_for(&[APP]);
    let asked = client
        .post(site.url_of(APP, "/a/../b%2Fc?q=%20"))
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-mine", "kept")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(vec![b'x'; 300_000])
        .send()
        .unwrap();
    assert_eq!(asked.headers()["x-upstream"], "one");
    assert!(
        !asked.headers().contains_key("content-security-policy"),
        "nothing is added"
    );
    let text = asked.text().unwrap();
    let port = site.base.rsplit(':').next().unwrap();
    for line in [
        "POST /b%2Fc?q=%20".to_owned(),
        format!("host: {APP}:{port}"),
        "x-mine: kept".into(),
        "cookie: a=1; b=2".into(),
        "x-forwarded-for: 127.0.0.1".into(),
        "x-forwarded-proto: https".into(),
        format!("x-forwarded-host: {APP}:{port}"),
        "x-real-ip: 127.0.0.1".into(),
        "content-length: 300000".into(),
        "body: 300000 bytes".into(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in {text}");
    }
    let mut chunked = site.connect(APP);
    let request = format!(
        "POST /in HTTP/1.1\r\nHost: {APP}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    );
    chunked.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = chunked.read_to_string(&mut answer);
    assert!(answer.contains("body: 5 bytes"), "{answer}");
    let head = client.head(site.url_of(APP, "/")).send().unwrap();
    assert!(head.status() == 200 && head.headers()["content-length"] != "0");
    for _ in 0..20 {
        client
            .get(site.url_of(APP, "/"))
            .send()
            .unwrap()
            .text()
            .unwrap();
    }
    let connections = upstream.connections.load(Ordering::Relaxed);
    assert!(
        connections <= 4,
        "connections are used again, and there were {connections}"
    );
}

#[test]
fn a_body_goes_through_whatever_the_method_and_whether_its_length_is_said() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    let clients = [
        site.client_for(&[APP]),
        site.client_builder_for(&[APP])
            .http1_only()
            .build()
            .unwrap(),
    ];
    for (client, is_http1) in clients.iter().zip([false, true]) {
        for method in ["POST", "DELETE", "PROPFIND", "GET"] {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let asked = |body: Option<Body>| {
                let request = client.request(method.clone(), site.url_of(APP, "/"));
                let request = body.into_iter().fold(request, RequestBuilder::body);
                let sent = request.send();
                let sent = sent.unwrap_or_else(|e| panic!("{method}: {e:?}"));
                sent.text().unwrap()
            };
            // The client itself leaves such a body away over HTTP/1.1.
            if !(method == "GET" && is_http1) {
                let streamed = asked(Some(Body::new(Drip(2))));
                let is_whole = streamed.contains("body: 2000 bytes");
                assert!(is_whole, "{method}: {streamed}");
            }
            let known = asked(Some(Body::from("12345")));
            assert!(known.contains("body: 5 bytes"), "{method}: {known}");
            let none = asked(None);
            assert!(none.contains("body: 0 bytes"), "{method}: {none}");
            assert!(!none.contains("transfer-encoding"), "{method}: {none}");
        }
    }
}

#[test]
fn one_network_has_no_more_requests_under_way_than_half_of_what_there_may_be() {
    let upstream = Upstream::start("one");
    let settings = format!(
        "[limits]\nconnections = 16\nconnections_per_network = 16\n[hosts.\"{APP}\"]\nproxy = {:?}",
        upstream.url()
    );
    let site = Site::with_settings(&settings);
    let clients = [site.client_for(&[APP]), site.client_for(&[APP])];
    let get = |client: &Client, path: &str| client.get(site.url_of(APP, path)).send().unwrap();
    assert_eq!(get(&clients[0], "/").version(), reqwest::Version::HTTP_2);
    // On one connection, a browser waits and is not refused.
    let of_one: Vec<u16> = std::thread::scope(|threads| {
        let asked: Vec<_> = (0..11)
            .map(|_| threads.spawn(|| get(&clients[0], "/slow")))
            .collect();
        let answers = asked.into_iter().map(|thread| thread.join().unwrap());
        answers.map(|answer| answer.status().as_u16()).collect()
    });
    assert_eq!(of_one, [200; 11]);
    let statuses: Vec<u16> = std::thread::scope(|threads| {
        let (clients, get) = (&clients, &get);
        let asked: Vec<_> = (0..11)
            .map(|n| threads.spawn(move || get(&clients[n % 2], "/slow")))
            .collect();
        let answers = asked.into_iter().map(|thread| thread.join().unwrap());
        answers
            .map(|answer| {
                let is_refused = answer.status() == 503;
                assert_eq!(is_refused, answer.headers().contains_key("retry-after"));
                answer.status().as_u16()
            })
            .collect()
    });
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert_eq!(refused, 3, "{statuses:?}");
    assert_eq!(
        get(&clients[0], "/").status(),
        200,
        "their places are free again"
    );
    let metrics = site.text(&site.client(), "/metrics").1;
    assert!(metrics.contains("kind=\"requests\"} 3"), "{metrics}");
}

#[test]
fn an_answer_comes_piece_by_piece_and_without_what_is_between_neighbours() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    let client = site.client_for(&[APP]);
    let start = Instant::now();
    let mut events = client.get(site.url_of(APP, "/events")).send().unwrap();
    let mut first = [0; 9];
    events.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"data: 0\n\n");
    assert!(
        start.elapsed() < Duration::from_millis(850),
        "the first piece waits for no other"
    );
    let mut rest = String::new();
    events.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "data: 1\n\ndata: 2\n\n");
    let hop = client.get(site.url_of(APP, "/hop")).send().unwrap();
    assert!(!hop.headers().contains_key("x-secret") && !hop.headers().contains_key("keep-alive"));
    assert_eq!(hop.headers().get_all("set-cookie").iter().count(), 2);
    let broken = client.get(site.url_of(APP, "/break")).send().unwrap();
    let (status, text) = (broken.status(), broken.text());
    assert!(
        text.is_err(),
        "half an answer is not taken for a whole one: {status} {text:?}"
    );
    let log = site.log();
    assert_eq!(log.matches("broke off").count(), 1, "{log}");
    assert!(log.contains(": the answer broke off: "), "{log}");
}

#[test]
fn a_program_that_is_down_gets_a_page_of_ours_and_another_one_takes_its_place() {
    let (one, two) = (Upstream::start("one"), Upstream::start("two"));
    let address = one.address;
    let site = with_proxy(&[one.url(), two.url()], "");
    let client = site.client_for(&[APP]);
    let get = || client.get(site.url_of(APP, "/")).send().unwrap();
    let names = |n: usize| -> std::collections::BTreeSet<String> {
        (0..n)
            .map(|_| get().headers()["x-upstream"].to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(6).len(), 2, "both are asked");
    drop(one);
    assert_eq!(
        names(6).into_iter().collect::<Vec<_>>(),
        ["two"],
        "nobody notices"
    );
    let form = client
        .post(site.url_of(APP, "/"))
        .body("form")
        .send()
        .unwrap();
    assert!(
        form.text().unwrap().contains("body: 4 bytes"),
        "also not who sends a form"
    );
    drop(two);
    let down = get();
    assert_eq!(down.status(), 502);
    assert_eq!(down.headers()["retry-after"], "10");
    let page = down.text().unwrap();
    assert!(page.contains("gives no answer at the moment"), "{page}");
    let id = crate::site::between(&page, "<code>", "</code>");
    assert!(site.log().contains(id), "the log has the id of the page");
    let _one = Upstream::start_on("one", address);
    assert_eq!(
        get().headers()["x-upstream"],
        "one",
        "it is asked again as soon as there is no other"
    );
}

#[test]
fn nobody_notices_that_one_program_is_down_and_the_other_ends_its_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let faulty = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            if counted.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    let site = with_proxy(
        &["http://127.0.0.1:1".into(), format!("http://{faulty}")],
        "",
    );
    let client = site.client_for(&[APP]);
    for n in 0..8 {
        let answer = client.get(site.url_of(APP, "/")).send().unwrap();
        assert_eq!(answer.status(), 200, "the {n}th: {}", site.log());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 16, "each was asked twice");
    let before = asked.load(Ordering::Relaxed);
    let form = client
        .post(site.url_of(APP, "/"))
        .body("pay")
        .send()
        .unwrap();
    assert_eq!(
        form.status(),
        502,
        "what may have been done is not done again"
    );
    assert_eq!(asked.load(Ordering::Relaxed), before + 1);
}

#[test]
fn an_answer_with_a_head_that_is_too_large_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n", "x".repeat(300_000));
            let _ = stream.write_all(format!("{head}content-length: 0\r\n\r\n").as_bytes());
        }
    });
    let site = with_proxy(&[format!("http://{address}")], "");
    let client = site.client_for(&[APP]);
    let get = || client.get(site.url_of(APP, "/")).send().unwrap().status();
    assert_eq!(get(), 502);
    assert!(site.log().contains("head is too large"), "{}", site.log());
}

#[test]
fn a_program_that_is_unwell_is_left_out_and_one_that_is_slow_is_not_waited_for() {
    let (one, two) = (Upstream::start("one"), Upstream::start("two"));
    // "two" has no such page and answers everything; "one" is unwell from the start.
    let site = with_proxy(
        &[format!("http://{}", one.address)],
        "health = \"/unwell\"\nanswer_timeout_s = 1",
    );
    let client = site.client_for(&[APP]);
    let slow = client.get(site.url_of(APP, "/slow")).send().unwrap();
    assert_eq!(slow.status(), 504);
    let upload = client.post(site.url_of(APP, "/")).body(Body::new(Drip(20)));
    let taken = upload.send().unwrap();
    assert_eq!(taken.status(), 200, "an upload may take its time");
    drop(two);
    let word = "is not well";
    until(&site, word, || site.log().contains(word));
    let alone = client.get(site.url_of(APP, "/")).send().unwrap();
    assert_eq!(alone.status(), 200, "the only one is asked all the same");
}

#[test]
fn a_program_that_wants_its_public_name_is_asked_by_it_whether_it_is_well() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "health = \"/picky\"");
    until(&site, "it is asked", || {
        upstream.connections.load(Ordering::Relaxed) > 0
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!site.log().contains("is not well"), "{}", site.log());
}

#[test]
fn a_request_that_its_visitor_took_back_is_no_failure_of_the_site() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    let client = site.client_builder_for(&[APP]);
    let client = client.timeout(Duration::from_millis(300)).build().unwrap();
    client.get(site.url_of(APP, "/slow")).send().unwrap_err();
    drop(client);
    let taken_back = "webstead_requests_total{host=\"none\",status=\"4xx\"} 1";
    until(&site, "it is counted", || {
        let metrics = site.text(&site.client(), "/metrics").1;
        assert!(!metrics.contains("status=\"5xx\"} 1"), "{metrics}");
        metrics.contains(taken_back)
    });
}

#[test]
fn who_speaks_an_old_version_gets_no_chunks_and_the_end_of_the_connection() {
    let upstream = Upstream::start("one");
    let site = with_proxy(&[upstream.url()], "");
    for more in ["", "Connection: keep-alive\r\n"] {
        let mut stream = site.connect(APP);
        let request = format!("GET /events HTTP/1.0\r\nHost: {APP}\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.0 200") && !head.contains("chunked"),
            "{head}"
        );
        assert_eq!(body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    }
}

#[test]
fn an_answer_that_says_two_lengths_is_as_long_as_its_chunks() {
    let upstream = raw_upstream(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let site = with_proxy(&[upstream], "");
    let of_http1 = site
        .client_builder_for(&[APP])
        .http1_only()
        .build()
        .unwrap();
    for client in [of_http1, site.client_for(&[APP])] {
        let answer = client.get(site.url_of(APP, "/")).send().unwrap();
        assert_eq!(answer.text().unwrap(), "hello");
    }
}

#[test]
fn a_program_that_hangs_is_left_out_and_one_that_is_this_server_is_noticed() {
    let hung = TcpListener::bind("127.0.0.1:0").unwrap();
    let well = Upstream::start("well");
    let hangs = format!("http://{}", hung.local_addr().unwrap());
    let site = with_proxy(&[hangs, well.url()], "answer_timeout_s = 1");
    let client = site.client_for(&[APP]);
    let statuses: Vec<u16> = (0..6)
        .map(|_| {
            client
                .get(site.url_of(APP, "/"))
                .send()
                .unwrap()
                .status()
                .as_u16()
        })
        .collect();
    let late = statuses.iter().filter(|status| **status == 504).count();
    assert_eq!(late, 1, "{statuses:?}");
    let around = format!(
        "[hosts.\"{APP}\"]\nproxy = \"{}\"\ncertificate = \"tls/authority-cert.pem\"\nkeep_host = true",
        site.base
    );
    std::fs::write(site.data().join("webstead.toml"), around).unwrap();
    let before = site.log().matches("reloaded:").count();
    site.signal("HUP");
    until(&site, "the settings are read", || {
        site.log().matches("reloaded:").count() > before
    });
    let round = client.get(site.url_of(APP, "/")).send().unwrap();
    assert_eq!(round.status(), 508);
    let trace = reqwest::Method::from_bytes(b"TRACE").unwrap();
    let traced = client.request(trace, site.url_of(APP, "/")).send().unwrap();
    assert_eq!(traced.status(), 405);
}

#[test]
fn websockets_go_through() {
    let site = with_proxy(&[format!("http://{}", start_websocket())], "");
    let stream = site.connect(APP);
    let (mut socket, answer) = tungstenite::client(format!("wss://{APP}/live"), stream).unwrap();
    assert_eq!(answer.status(), 101);
    for text in ["hello", "again", &"long ".repeat(20_000)] {
        socket.send(text.into()).unwrap();
        assert_eq!(
            socket.read().unwrap().to_text().unwrap(),
            text.to_uppercase()
        );
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

#[test]
fn another_webstead_can_be_behind_over_its_own_https() {
    let (behind, _folder) = with_files("", &[("index.html", "from behind")]);
    let certificate = behind.data().join("tls/authority-cert.pem");
    let keys = format!(
        "certificate = \"{}\"\nkeep_host = false",
        certificate.display()
    );
    let upstream = behind.url_of(FILES, "");
    // The name below `localhost` is found by every resolver (RFC 6761 section 6.3), or else by its address.
    let upstream = if std::net::ToSocketAddrs::to_socket_addrs(&(FILES, 1)).is_ok() {
        upstream
    } else {
        behind.base.clone()
    };
    let by_name = upstream.contains(FILES);
    let site = with_proxy(&[upstream], &keys);
    let client = site.client_for(&[APP]);
    let answer = client.get(site.url_of(APP, "/")).send().unwrap();
    assert!(
        answer.status().as_u16() < 400,
        "{}: {}",
        answer.status(),
        site.log()
    );
    assert!(!by_name || answer.text().unwrap() == "from behind");
}
