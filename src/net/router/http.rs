//! Asks the router over plain HTTP, and believes it little: one answer, of a limited size, in a limited time, and
//! from the router itself. Where it sends on to is not looked at.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use url::{Host, Url};

use super::Gateway6;

/// Time for a whole answer. Routers are slow, but they are in the same house. A control point waits for 30
/// seconds (UPnP Device Architecture 1.1, section 3.2.2), while a person waits for us.
const PATIENCE: Duration = Duration::from_secs(6);
/// Bytes of an answer. Descriptions of real routers have up to 20 KB.
const MOST_BYTES: usize = 128 * 1024;
/// Bytes of its head; hyper takes no less.
const MOST_HEAD_BYTES: usize = 8 * 1024;

/// A place on the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where it listens.
    pub(super) at: SocketAddr,
    /// From which IPv6 address of this machine it is asked, if not from any.
    own: Option<SocketAddr>,
    /// Path and query.
    path: String,
}

impl Place {
    /// What an address names, if that is a place on the machine `router`.
    ///
    /// Everything that a router calls an address goes through here: a LOCATION or a control URL that leads to
    /// another machine would make us send requests there.
    ///
    /// # Errors
    /// In words, with the address.
    pub(super) fn of(url: &Url, router: Ipv4Addr) -> Result<Self, String> {
        let is_its_own = url.scheme() == "http"
            && url.host() == Some(Host::Ipv4(router))
            && url.username().is_empty()
            && url.password().is_none();
        if !is_its_own {
            return Err(format!("it leads elsewhere ({})", shown(url.as_str())));
        }
        let query = url.query().map(|query| format!("?{query}"));
        Ok(Self {
            at: SocketAddrV4::new(router, url.port_or_known_default().unwrap_or(80)).into(),
            own: None,
            path: format!("{}{}", url.path(), query.unwrap_or_default()),
        })
    }

    /// The same place of the same router, asked over IPv6. A device is the same over both (UPnP Device Architecture
    /// 1.1, annex A), and what is not there is not believed to be.
    pub(super) fn over_ipv6(&self, gateway: &Gateway6) -> Self {
        Self {
            at: gateway.at(self.at.port()),
            own: Some(gateway.own_end()),
            path: self.path.clone(),
        }
    }

    /// Host and port, without the number of an interface of this machine (RFC 6874 section 3).
    fn host(&self) -> String {
        match self.at {
            SocketAddr::V4(at) => at.to_string(),
            SocketAddr::V6(at) => format!("[{}]:{}", at.ip(), at.port()),
        }
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let Some(own) = self.own else {
            return TcpStream::connect(self.at).await;
        };
        let socket = TcpSocket::new_v6()?;
        socket.bind(own)?;
        socket.connect(self.at).await
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host(), self.path)
    }
}

/// What another program says, fit for a line of ours: short, and without what moves the cursor.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

/// Fetches a text.
pub(super) async fn get(place: &Place) -> Result<String, String> {
    let request = Request::get(place.path.as_str());
    let (status, text) = exchange(place, request, String::new()).await?;
    if status == StatusCode::OK {
        return Ok(text);
    }
    Err(format!("{place} answers with {status}"))
}

/// Asks for an action (UPnP Device Architecture 1.1, section 3.2.1). A refusal comes with status 500.
pub(super) async fn post(
    place: &Place,
    action: &str,
    body: String,
) -> Result<(StatusCode, String), String> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(place.path.as_str())
        .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
        .header(
            HeaderName::from_static("soapaction"),
            format!("\"{action}\""),
        );
    exchange(place, request, body).await
}

async fn exchange(
    place: &Place,
    request: hyper::http::request::Builder,
    body: String,
) -> Result<(StatusCode, String), String> {
    let request = request
        .header(HOST, place.host())
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| format!("{place} cannot be asked: {e}"))?;
    let asked = async {
        let cannot = |e: &dyn fmt::Display| format!("{place} cannot be asked: {e}");
        let stream = place.connect().await.map_err(|e| cannot(&e))?;
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(MOST_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| cannot(&e))?;
        // Ends with what it is for.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|e| cannot(&e))?.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body.map_err(|e| format!("the answer of {place} broke off: {e}"))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((head.status, text))
    };
    let late = |_| {
        let seconds = PATIENCE.as_secs();
        Err(format!("{place} did not answer within {seconds} s"))
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
        thread,
        time::Instant,
    };

    use url::Url;

    use super::{PATIENCE, Place, get};

    #[test]
    fn only_the_router_itself_is_a_place_on_it() {
        let router = Ipv4Addr::new(192, 168, 1, 1);
        for good in [
            "http://192.168.1.1/",
            "http://192.168.1.1:49000/igddesc.xml?a=b",
        ] {
            let place = Place::of(&Url::parse(good).unwrap(), router).unwrap();
            assert_eq!(
                place.to_string().replace(":80/", "/"),
                good,
                "what was named is asked"
            );
        }
        for bad in [
            "http://192.168.1.2/",
            "http://127.0.0.1/",
            "http://router.example/",
            "https://192.168.1.1/",
            "file:///etc/passwd",
            "http://a@192.168.1.1/",
            "http://[::ffff:192.168.1.1]/",
        ] {
            let refusal = Place::of(&Url::parse(bad).unwrap(), router).unwrap_err();
            assert!(refusal.contains("elsewhere"), "{refusal}");
        }
    }

    /// Answers one connection with `begin`, and then with `more` for as long as somebody takes it.
    fn server(begin: &'static str, more: Option<&'static [u8]>) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.read(&mut [0; 1024]);
            let _ = socket.write_all(begin.as_bytes());
            match more {
                Some(more) => while socket.write_all(more).is_ok() {},
                None => thread::sleep(PATIENCE * 2),
            }
        });
        let url = Url::parse(&format!("http://127.0.0.1:{port}/d.xml")).unwrap();
        Place::of(&url, Ipv4Addr::LOCALHOST).unwrap()
    }

    #[tokio::test]
    async fn answers_without_end_and_without_haste_are_given_up() {
        let endless = [
            ("HTTP/1.1 200 OK\r\n\r\n", "length limit"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "broke off",
            ),
            ("HTTP/1.1 200 OK\r\nX: ", "cannot be asked"),
            ("", "cannot be asked"),
        ];
        for (begin, why) in endless {
            let chunk = b"fffff\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
            let refusal = get(&server(begin, Some(chunk))).await.unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
        let elsewhere =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n";
        let refusal = get(&server(elsewhere, None)).await.unwrap_err();
        assert!(refusal.contains("302"), "{refusal}");
        let before = Instant::now();
        let refusal = get(&server("HTTP/1.1 200 OK\r\n\r\n<a>", None)).await;
        assert!(refusal.unwrap_err().contains("did not answer within"));
        assert!(before.elapsed() < PATIENCE * 2);
    }
}
