//! An authority that says when certificates are to be renewed and is told which ones were (RFC 9773): Pebble with that
//! much before it, because Debian's does not have it. Everything else goes on to Pebble as it came.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use reqwest::blocking::Client;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};

use crate::pebble::Pebble;

/// What becomes of an order that says what it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replacing {
    /// It is taken, and said again in the answer.
    Taken,
    /// The whole order is refused with this error.
    Refused(&'static str),
    /// The field is not known.
    Ignored,
}

/// What the authority was asked, and how it answers.
pub(crate) struct Said {
    /// The identifiers of certificates that it was asked about.
    pub(crate) asked: Vec<String>,
    /// Each order that it took: what it replaces, and the profile.
    pub(crate) orders: Vec<[Option<String>; 2]>,
    /// How many orders it refused for what they replace.
    pub(crate) refused: usize,
    pub(crate) replacing: Replacing,
    /// Which certificates are to be renewed at once: those that were asked about, up to this number.
    pub(crate) early: usize,
    /// By how many hours its clock is ahead of the real one, as its answers say.
    pub(crate) ahead_h: i64,
    /// What it sends instead of a certificate that was issued: made from the request for that.
    pub(crate) lie: Option<Lie>,
    /// What was asked to be signed last.
    csr: Vec<u8>,
    /// Requests to addresses with this in them are not answered: after or before Pebble has had them.
    pub(crate) cut: Option<(&'static str, Cut)>,
    /// Requests to addresses with this in them are answered so: with this status, these words and `Retry-After`.
    pub(crate) busy: Option<(&'static str, u16, &'static str, u32)>,
    /// How many requests were not answered.
    pub(crate) cuts: usize,
}

/// Makes a chain in PEM of a request to sign one.
pub(crate) type Lie = Arc<dyn Fn(&[u8]) -> String + Send + Sync>;

/// When a connection breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// On the way there.
    Before,
    /// On the way back.
    After,
}

/// The front of a Pebble.
pub(crate) struct Ari {
    port: u16,
    said: Arc<Mutex<Said>>,
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ari {
    pub(crate) fn start(pebble: &Pebble) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(Said {
            asked: Vec::new(),
            orders: Vec::new(),
            refused: 0,
            replacing: Replacing::Taken,
            early: 0,
            ahead_h: 0,
            lie: None,
            csr: Vec::new(),
            cut: None,
            busy: None,
            cuts: 0,
        }));
        let [certificate, key] = pebble.identity();
        let certificate = CertificateDer::from_pem_slice(&fs::read(certificate).unwrap()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&fs::read(key).unwrap()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let (config, client) = (Arc::new(config), pebble.client());
        let (behind, seen) = (pebble.directory().replace("/dir", ""), Arc::clone(&said));
        // Ends with the tests.
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let (client, behind, seen) = (client.clone(), behind.clone(), Arc::clone(&seen));
                std::thread::spawn(move || {
                    serve(StreamOwned::new(tls, socket), |request| {
                        answer(request, port, &client, &behind, &seen)
                    })
                });
            }
        });
        Self { port, said }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The section `[certificate]` of a site that asks this authority.
    pub(crate) fn settings(&self, pebble: &Pebble) -> String {
        pebble
            .settings()
            .replace(&pebble.directory(), &self.directory())
    }

    pub(crate) fn said<T>(&self, look: impl FnOnce(&mut Said) -> T) -> T {
        look(&mut self.said.lock().unwrap())
    }
}

/// One request for each connection; `None` where nothing can be said: nobody is behind.
fn serve(
    mut stream: StreamOwned<ServerConnection, TcpStream>,
    answer: impl FnOnce(Request) -> Option<Answer>,
) -> Option<()> {
    let limit = Some(Duration::from_secs(20));
    stream.sock.set_read_timeout(limit).ok()?;
    let mut reader = BufReader::new(&mut stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let (method, rest) = first.split_once(' ')?;
    let path = rest.split(' ').next()?.to_owned();
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(": ") {
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = answer(Request {
        method: method.to_owned(),
        path,
        headers,
        body,
    })?;
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head = format!("{head}{name}: {value}\r\n");
    }
    head = format!("{head}Content-Length: {}\r\n\r\n", answer.body.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&answer.body).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn answer(
    request: Request,
    port: u16,
    client: &Client,
    behind: &str,
    said: &Mutex<Said>,
) -> Option<Answer> {
    if let Some(id) = request.path.strip_prefix("/renewal/") {
        return Some(advise(id, &mut said.lock().unwrap()));
    }
    let payload = serde_json::from_slice::<Value>(&request.body).ok();
    let payload = payload.and_then(|jws| {
        BASE64URL_NOPAD
            .decode(jws["payload"].as_str()?.as_bytes())
            .ok()
    });
    let payload = payload.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let csr = payload.as_ref().and_then(|payload| payload["csr"].as_str());
    if let Some(csr) = csr {
        said.lock().unwrap().csr = BASE64URL_NOPAD.decode(csr.as_bytes()).unwrap();
    }
    let order = payload.filter(|payload| payload["identifiers"].is_array());
    let of_order = |key: &str| {
        let value = order.as_ref().and_then(|order| order[key].as_str());
        value.map(str::to_owned)
    };
    let replaces = of_order("replaces");
    let replacing = said.lock().unwrap().replacing;
    if let (Replacing::Refused(error), true) = (replacing, replaces.is_some()) {
        said.lock().unwrap().refused += 1;
        let problem =
            json!({ "type": format!("urn:ietf:params:acme:error:{error}"), "detail": "no" });
        return Some(Answer::json(409, &problem));
    }
    let is_directory = request.path == "/dir";
    let busy = said.lock().unwrap().busy;
    if let Some((path, status, words, after_s)) = busy
        && request.path.contains(path)
    {
        let is_head = request.method == "HEAD";
        return Some(Answer {
            status,
            headers: vec![("Retry-After".into(), after_s.to_string())],
            body: if is_head { Vec::new() } else { words.into() },
        });
    }
    let cut = said.lock().unwrap().cut;
    let cut = cut.filter(|(path, _)| request.path.contains(path));
    if let Some((_, cut)) = cut {
        said.lock().unwrap().cuts += 1;
        if cut == Cut::After {
            forward(request, client, behind);
        }
        return None;
    }
    let mut answer = forward(request, client, behind)?;
    {
        let said = said.lock().unwrap();
        answer.turn_clock(said.ahead_h);
        if let (true, Some(lie)) = (answer.is_certificate(), &said.lie) {
            answer.body = lie(&said.csr).into_bytes();
        }
    }
    if is_directory {
        let at = format!("https://localhost:{port}/renewal");
        answer.change(|directory| {
            directory["renewalInfo"] = at.into();
            // Debian's Pebble has none, and takes what is asked for.
            let kinds = json!({ "classic": "the usual", "shortlived": "six days" });
            directory["meta"]["profiles"] = kinds;
        });
    }
    if order.is_some() && answer.status == 201 {
        let mut said = said.lock().unwrap();
        said.orders.push([replaces.clone(), of_order("profile")]);
        if let (Some(id), Replacing::Taken) = (replaces, replacing) {
            answer.change(|order| order["replaces"] = id.into());
        }
    }
    Some(answer)
}

/// When a certificate is to be renewed: long ago, or not before another two months.
fn advise(id: &str, said: &mut Said) -> Answer {
    if !said.asked.iter().any(|known| known == id) {
        said.asked.push(id.to_owned());
    }
    let is_early = said.asked.iter().take(said.early).any(|known| known == id);
    let days = if is_early { -2 } else { 61 };
    let at = |days: i64| {
        let at = Timestamp::now().as_second() + days * 24 * 3600;
        Timestamp::from_second(at).unwrap().to_string()
    };
    let window = json!({ "suggestedWindow": { "start": at(days), "end": at(days + 1) } });
    let mut answer = Answer::json(200, &window);
    answer.headers.push(("Retry-After".into(), "21600".into()));
    answer
}

impl Answer {
    fn json(status: u16, json: &Value) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: json.to_string().into_bytes(),
        }
    }

    fn is_certificate(&self) -> bool {
        let kind = |(name, value): &(String, String)| {
            name == "content-type" && value.starts_with("application/pem-certificate-chain")
        };
        self.headers.iter().any(kind)
    }

    fn turn_clock(&mut self, ahead_h: i64) {
        self.headers.retain(|(name, _)| name != "date");
        let at = Timestamp::now() + jiff::SignedDuration::from_hours(ahead_h);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at);
        self.headers.push(("date".into(), date.unwrap()));
    }

    fn change(&mut self, change: impl FnOnce(&mut Value)) {
        let mut json: Value = serde_json::from_slice(&self.body).unwrap();
        change(&mut json);
        self.body = json.to_string().into_bytes();
    }
}

fn forward(request: Request, client: &Client, behind: &str) -> Option<Answer> {
    let method = request.method.parse().unwrap();
    let mut forwarded = client.request(method, format!("{behind}{}", request.path));
    // With the name of the front, which Pebble makes its addresses of.
    for (name, value) in request.headers {
        if !["connection", "content-length"].contains(&name.as_str()) {
            forwarded = forwarded.header(name, value);
        }
    }
    let answer = forwarded.body(request.body).send().ok()?;
    let headers = answer.headers().iter().filter(|(name, _)| {
        !["connection", "content-length", "transfer-encoding"].contains(&name.as_str())
    });
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    Some(Answer {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body: answer.bytes().ok()?.to_vec(),
    })
}
