//! What the old process does with what it has begun, and what the new one has to show before.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use rustls::{ClientConnection, StreamOwned};

use crate::{
    site::{OWNER, PASSWORD, Site},
    upgrade::{run, serving},
};

type Stream = StreamOwned<ClientConnection, TcpStream>;

const NEWER: &str = env!("CARGO_BIN_EXE_webstead");
/// More than the system holds of a connection that nobody reads.
const LARGE: u64 = 32 * 1024 * 1024;
/// Bytes of a form.
const FORM: usize = 4000;
/// What `[upgrade] finish_s` is set to.
const FINISH: Duration = Duration::from_secs(8);

/// Puts the same program into its place as another file, and lets it take over.
fn hand_over(program: &Path, site: &Site) {
    let (before, aside) = (serving(site), program.with_extension("aside"));
    fs::copy(NEWER, &aside).unwrap();
    fs::rename(&aside, program).unwrap();
    let (code, text) = run(Path::new(NEWER), site, &["reload"]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    assert_ne!(serving(site), before);
}

/// The cookie of a session.
fn cookie(site: &Site) -> String {
    let form = [("name", OWNER), ("password", PASSWORD)];
    let answer = site.post(&site.client(), "/sign-in").form(&form).send();
    let answer = answer.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// The body of a form that publishes a post.
fn form(title: &str) -> Vec<u8> {
    let mut form = format!("title={title}&action=publish&markdown=").into_bytes();
    form.resize(FORM, b'x');
    form
}

/// A request over HTTP/1.1, as far as its head.
fn begin(site: &Site, head: &str) -> Stream {
    let mut stream = site.connect("127.0.0.1");
    let host = "Host: localhost\r\nConnection: close\r\n\r\n";
    stream
        .write_all(format!("{head}{host}").as_bytes())
        .unwrap();
    stream
}

fn download(site: &Site) -> Stream {
    let mut stream = begin(site, "GET /large.bin HTTP/1.1\r\n");
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    stream
}

fn upload(site: &Site, cookie: &str, body: &[u8]) -> Stream {
    let head = format!(
        "POST /admin/posts HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {FORM}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n"
    );
    let mut stream = begin(site, &head);
    stream.write_all(&body[..FORM / 2]).unwrap();
    stream
}

/// Reads until nothing more comes, however that ends; gives how much it was.
fn rest(stream: &mut Stream) -> u64 {
    let (mut all, mut buffer) = (0, vec![0; 64 * 1024]);
    while let Ok(bytes @ 1..) = stream.read(&mut buffer) {
        all += bytes as u64;
    }
    all
}

#[test]
fn what_is_in_flight_is_finished_within_the_time_that_the_owner_sets_and_cut_after_it() {
    let (site, program, client) = Site::of_own_program();
    let settings = format!("[upgrade]\nfinish_s = {}\n", FINISH.as_secs());
    fs::write(site.data().join("webstead.toml"), settings).unwrap();
    assert_eq!(run(&program, &site, &["reload"]).0, Some(0));
    fs::create_dir_all(site.data().join("public")).unwrap();
    let large = fs::File::create(site.data().join("public/large.bin")).unwrap();
    large.set_len(LARGE).unwrap();
    let cookie = cookie(&site);
    let (quick, endless) = (form("Quick"), form("Endless"));
    let mut downloads = [download(&site), download(&site)];
    let mut uploads = [
        upload(&site, &cookie, &quick),
        upload(&site, &cookie, &endless),
    ];
    // Until all of them have come as far as the handlers.
    std::thread::sleep(Duration::from_millis(300));
    hand_over(&program, &site);
    let began = Instant::now();

    let (quick_upload, endless_upload) = uploads.split_at_mut(1);
    std::thread::scope(|scope| {
        let (stream, site) = (&mut endless_upload[0], &site);
        scope.spawn(move || {
            // A byte now and then, which is enough for who waits for it, and never all.
            for byte in &endless[FORM / 2..FORM - 1] {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
                assert!(
                    began.elapsed() < 4 * FINISH,
                    "nobody cuts it\n{}",
                    site.log()
                );
            }
        });
        quick_upload[0].write_all(&quick[FORM / 2..]).unwrap();
        let mut answer = [0; 12];
        quick_upload[0].read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 303", "{}", site.log());
        assert!(rest(&mut downloads[0]) + 1 > LARGE, "{}", site.log());
        assert!(
            began.elapsed() < FINISH,
            "this machine is too slow for this test"
        );
    });
    assert!(
        began.elapsed() + Duration::from_secs(1) > FINISH,
        "{}",
        site.log()
    );
    let got = rest(&mut downloads[1]);
    assert!(got < LARGE, "{got} bytes came, and nobody cut it");
    assert_eq!(site.text(&client, "/quick").0, 200);
    assert_eq!(site.text(&client, "/endless").0, 404);
    let log = site.log();
    assert!(
        log.contains("not everything was finished within 8 seconds"),
        "{log}"
    );
}

#[test]
fn a_program_that_opens_the_data_but_cannot_answer_a_page_does_not_take_over() {
    let (site, program, client) = Site::of_own_program();
    let process = serving(&site);
    let database = rusqlite::Connection::open(site.data().join("site.db")).unwrap();
    database
        .execute_batch("ALTER TABLE posts RENAME TO hidden")
        .unwrap();
    let aside = program.with_extension("aside");
    fs::copy(NEWER, &aside).unwrap();
    fs::rename(&aside, &program).unwrap();
    let (code, text) = run(Path::new(NEWER), &site, &["reload"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("the first page is an error (500)"), "{text}");
    assert_eq!(serving(&site), process);
    database
        .execute_batch("ALTER TABLE hidden RENAME TO posts")
        .unwrap();
    let (code, text) = run(Path::new(NEWER), &site, &["reload"]);
    assert_eq!(code, Some(0), "{text}\n{}", site.log());
    assert_eq!(site.text(&client, "/").0, 200);
}

/// A connection over HTTP/2, frame by frame (RFC 9113).
struct Frames(Stream);

/// Type, flags, stream and payload.
type Frame = (u8, u8, u32, Vec<u8>);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Frames {
    fn of(site: &Site) -> Self {
        let mut stream = site.connect_for("127.0.0.1", b"h2");
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).unwrap();
    }

    /// A request's head; each field is a literal (RFC 7541 section 6.2.2).
    fn ask(&mut self, flags: u8, fields: &[(&str, &str)]) {
        let mut head = Vec::new();
        for (name, value) in fields {
            head.push(0);
            for text in [name, value] {
                head.push(u8::try_from(text.len()).unwrap());
                head.extend(text.bytes());
            }
        }
        assert!(fields.iter().all(|(_, value)| value.len() < 127));
        self.send(HEADERS, flags | END_HEADERS, 1, &head);
    }

    /// The next frame that says something; what has to be answered is. `None` at the end.
    fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut payload).ok()?;
            match (head[3], head[4]) {
                (SETTINGS, 0) => self.send(SETTINGS, 1, 0, &[]),
                (PING, 0) => self.send(PING, 1, 0, &payload),
                (SETTINGS | PING, _) => {}
                (kind, flags) => return Some((kind, flags, stream, payload)),
            }
        }
    }

    /// Reads until the connection is about to end, for no fault of anybody.
    fn until_goaway(&mut self) {
        loop {
            let (kind, _, _, payload) = self.next().expect("it ended without a word");
            if kind == GOAWAY {
                assert_eq!(payload[4..8], [0; 4], "an error: {payload:?}");
                return;
            }
        }
    }

    /// Reads until the answer on the first stream is there as a whole.
    fn until_answered(&mut self) {
        loop {
            let (kind, flags, stream, payload) = self.next().expect("it ended without an answer");
            match kind {
                HEADERS | DATA if stream == 1 && flags & END_STREAM != 0 => return,
                HEADERS | DATA | GOAWAY | WINDOW_UPDATE => {}
                other => panic!("a frame of type {other}: {payload:?}"),
            }
        }
    }
}

#[test]
fn over_http_2_an_idle_connection_is_told_of_the_end_and_a_request_in_flight_is_finished() {
    let (site, program, client) = Site::of_own_program();
    let cookie = cookie(&site);
    let (mut idle, mut busy) = (Frames::of(&site), Frames::of(&site));
    let common = [(":scheme", "https"), (":authority", "localhost")];
    let get = [&[(":method", "GET"), (":path", "/")], &common[..]].concat();
    idle.ask(END_STREAM, &get);
    idle.until_answered();
    let length = FORM.to_string();
    let post = [
        &[(":method", "POST"), (":path", "/admin/posts")],
        &common[..],
        &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-length", length.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("cookie", cookie.as_str()),
        ],
    ]
    .concat();
    let form = form("In+flight");
    busy.ask(0, &post);
    busy.send(DATA, 0, 1, &form[..FORM / 2]);
    std::thread::sleep(Duration::from_millis(300));
    hand_over(&program, &site);

    let began = Instant::now();
    idle.until_goaway();
    while let Some((kind, ..)) = idle.next() {
        assert_eq!(kind, GOAWAY, "nothing else is said on an idle connection");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "and then it ends");
    busy.until_goaway();
    busy.send(DATA, END_STREAM, 1, &form[FORM / 2..]);
    busy.until_answered();
    assert_eq!(site.text(&client, "/in-flight").0, 200);
}
