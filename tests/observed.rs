//! What is seen of the traffic: numbers, lines, health, and who the visitor is behind a proxy.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    site::{OWNER, PASSWORD, Site},
    waiting::until,
};

/// The value of a line of `/metrics`.
fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("{name} is not in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_site_says_that_it_lives_is_ready_and_how_it_fares() {
    let (site, owner) = Site::with_owner();
    let visitor = site.client();
    assert_eq!(site.text(&visitor, "/healthz"), (200, "alive\n".into()));
    assert_eq!(site.text(&visitor, "/readyz"), (200, "ready\n".into()));
    for _ in 0..3 {
        assert_eq!(site.text(&visitor, "/archive").0, 200);
    }
    let answer = site.get(&visitor, "/metrics");
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = answer.text().unwrap();
    assert!(
        number(
            &text,
            "webstead_requests_total{host=\"site\",status=\"2xx\"}"
        ) >= 5.0
    );
    assert!(number(&text, "webstead_page_cache_total{outcome=\"hit\"}") >= 2.0);
    assert!(number(&text, "webstead_request_seconds_count{host=\"site\"}") >= 5.0);
    assert!(number(&text, "webstead_tls_handshakes_total{outcome=\"full\"}") >= 1.0);
    assert!(number(&text, "webstead_connections ") >= 1.0);
    assert!(number(&text, "webstead_database_commits_total") >= 1.0);
    assert!(number(&text, "webstead_process_resident_memory_bytes") > 1e6);
    let forwarded = |client: &reqwest::blocking::Client| {
        let request = client
            .get(site.url("/metrics"))
            .header("x-forwarded-for", "1.2.3.4");
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(
        forwarded(&visitor),
        403,
        "what a proxy here passes on comes from elsewhere"
    );
    assert_eq!(forwarded(&owner), 200, "who is signed in may see it");
    assert_eq!(forwarded(&site.sign_in(OWNER, PASSWORD)), 200);
}

#[test]
fn requests_are_written_as_lines_where_the_owner_wants_that() {
    let site = Site::with_settings("[log]\naccess = \"json\"");
    let visitor = site.client();
    let request = visitor.get(site.url("/archive?a=%22b"));
    request
        .header("user-agent", "a \"test\"")
        .send()
        .unwrap()
        .text()
        .unwrap();
    let lines = site.output_until("/archive");
    let line = lines
        .lines()
        .find(|line| line.contains("/archive"))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["method"], &line["status"]),
        (&"GET".into(), &200.into())
    );
    assert_eq!(line["target"], "/archive?a=%22b");
    assert_eq!(line["address"], "127.0.0.1");
    assert_eq!(line["user_agent"], "a \"test\"");
    assert!(line["bytes"].as_u64().unwrap() > 500, "{line}");
    let site = Site::with_settings("[log]\naccess = \"combined\"");
    site.text(&site.client(), "/archive");
    let lines = site.output_until("/archive");
    let line = lines
        .lines()
        .find(|line| line.contains("/archive"))
        .unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains("\"GET /archive HTTP/"), "{line}");
}

#[test]
fn behind_a_trusted_proxy_the_visitor_is_who_the_proxy_says_and_nobody_else_is_believed() {
    let settings = "[log]\naccess = \"json\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]";
    let site = Site::with_settings(settings);
    let ask = |path: &str| {
        let request = site.client().get(site.url(path));
        request
            .header("x-forwarded-for", "6.6.6.6, 203.0.113.9")
            .send()
            .unwrap();
        let lines = site.output_until(path);
        let line = lines
            .lines()
            .find(|line| line.contains(path))
            .unwrap()
            .to_owned();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["address"].clone()
    };
    assert_eq!(ask("/archive"), "203.0.113.9");
    // The proxy writes the other list, and passes this one on as the visitor wrote it.
    let other = "[log]\naccess = \"json\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n\
                 header = \"forwarded\"";
    let of_other = Site::with_settings(other);
    let client = of_other.client();
    let ask_for = |path: &str, to: &str| {
        let request = client.get(of_other.url(path));
        let request = request.header("x-forwarded-for", to);
        request
            .header("forwarded", "for=203.0.113.7")
            .send()
            .unwrap()
    };
    ask_for("/archive", "6.6.6.6");
    assert!(
        of_other
            .output_until("/archive")
            .contains("\"address\":\"203.0.113.7\"")
    );
    assert_eq!(ask_for("/metrics", "127.0.0.1").status(), 403);
    let site = Site::with_settings("[log]\naccess = \"json\"");
    let request = site.client().get(site.url("/archive"));
    request.header("x-forwarded-for", "6.6.6.6").send().unwrap();
    assert!(
        site.output_until("/archive")
            .contains("\"address\":\"127.0.0.1\"")
    );
}

#[test]
fn a_trusted_proxy_may_say_the_visitors_address_before_the_first_byte() {
    let settings = "[log]\naccess = \"json\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n\
                    proxy_protocol = true";
    let site = Site::with_settings(settings);
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([203, 0, 113, 8, 127, 0, 0, 1, 0x12, 0x67, 1, 0xbb]);
    for (path, header, address) in [
        (
            "/archive?1",
            b"PROXY TCP4 203.0.113.9 127.0.0.1 4711 443\r\n".to_vec(),
            "203.0.113.9",
        ),
        ("/archive?2", binary, "203.0.113.8"),
        ("/archive?3", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let answer = site.raw_after(&header, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let lines = site.output_until(path);
        let line = lines.lines().find(|line| line.contains(path)).unwrap();
        assert!(
            line.contains(&format!("\"address\":\"{address}\"")),
            "{line}"
        );
    }
    for bad in [
        &b"PROXY TCP4 nonsense\r\n"[..],
        &[b'P'; 200],
        b"PROXY TCP4 1.2.3.4",
        // The beginning of a handshake: the header is not guessed at.
        b"\x16\x03\x01\x02\0\x01",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let port = site.base.rsplit(':').next().unwrap();
        let mut tcp = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let _ = tcp.write_all(bad);
        let _ = tcp.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = tcp.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let goes_on = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let answer = site.raw_after(b"PROXY UNKNOWN\r\n", goes_on);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(site.log().contains("make it send the PROXY protocol"));
    let status = crate::site::command(site.data())
        .arg("status")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("It answers over HTTPS"), "{said}");
}

#[test]
fn a_failure_has_one_id_in_the_log_and_on_the_page() {
    let site = Site::with_settings(
        "[log]\naccess = \"json\"\n[hosts.\"down.localhost\"]\nproxy = \"http://127.0.0.1:1\"",
    );
    let client = site.client_for(&["down.localhost"]);
    let page = client
        .get(site.url_of("down.localhost", "/x"))
        .send()
        .unwrap()
        .text()
        .unwrap();
    let id = crate::site::between(&page, "<code>", "</code>");
    let lines = site.output_until("\"/x\"");
    assert!(lines.contains(&format!("\"id\":\"{id}\"")), "{id}: {lines}");
    assert!(
        site.log()
            .contains(&format!("request {id}: down.localhost")),
        "{}",
        site.log()
    );
}

#[test]
fn who_comes_again_resumes_the_session_of_before() {
    let site = Site::start();
    let builder = site.client_builder().http1_only();
    let client = builder.pool_max_idle_per_host(0).build().unwrap();
    for _ in 0..3 {
        assert_eq!(site.text(&client, "/healthz").0, 200);
    }
    let text = site.text(&client, "/metrics").1;
    let resumed = number(&text, "webstead_tls_handshakes_total{outcome=\"resumed\"}");
    assert!(resumed >= 1.0, "{text}");
}

#[test]
fn settings_count_from_a_reload_on() {
    let site = Site::start();
    let client = site.client();
    let reload = |toml: &str, word: &str| {
        fs::write(site.data().join("webstead.toml"), toml).unwrap();
        let before = site.log().matches(word).count();
        site.signal("HUP");
        until(&site, word, || site.log().matches(word).count() > before);
    };
    let statuses = |count: usize| -> Vec<u16> {
        let paths = (0..count).map(|n| format!("/not-there-{n}"));
        let asked = paths.map(|path| {
            let request = client.get(site.url(&path));
            request.header("x-forwarded-for", "203.0.113.8").send()
        });
        asked
            .map(|answer| answer.unwrap().status().as_u16())
            .collect()
    };
    assert_eq!(statuses(4), [404; 4]);
    let settings = "[log]\naccess = \"json\"\n[trusted_proxies]\naddresses = [\"127.0.0.1\"]\n\
                    [pages]\nat_once = 2\nper_second = 1\n[cache]\nmax_mib = 0\n";
    reload(settings, "everything is as webstead.toml has it");
    let request = client.get(site.url("/archive"));
    let sent = request.header("x-forwarded-for", "203.0.113.9").send();
    assert_eq!(sent.unwrap().status(), 200);
    assert!(site.output_until("/archive").contains("203.0.113.9"));
    let statuses = statuses(4);
    assert_eq!((statuses[0], statuses[3]), (404, 429), "{statuses:?}");
    // What is taken and cannot work is said, and what to do as this server runs.
    reload(
        &format!(
            "{settings}[hosts.\"x.localhost\"]\nfiles = \"/nonexist\"\n\
             [backup]\nkeep_days = 0\nkeep_weeks = 0\nkeep_months = 0\n[local]\nname = \"other\"\n"
        ),
        "stop it, and start it as you did before",
    );
    let log = site.log();
    let line = log
        .lines()
        .rfind(|line| line.contains("reloaded, but"))
        .unwrap();
    for word in ["the folder /nonexist is not there", "are all 0"] {
        assert!(line.contains(word), "{line}");
    }
    let places = format!("{settings}[limits]\nconnections = 2\n");
    reload(
        &format!("domain = \"a.example\"\n{places}"),
        "everything is as webstead.toml has it",
    );
    // One of the places is the client's.
    let mut held: Vec<_> = (0..3).map(|_| site.connect("127.0.0.1")).collect();
    let request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let mut served = 0;
    for stream in &mut held {
        let is_served = stream.write_all(request).is_ok() && stream.read(&mut [0; 12]).is_ok();
        served += usize::from(is_served);
    }
    assert_eq!(served, 1);
}
