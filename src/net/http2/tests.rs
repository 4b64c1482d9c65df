//! A real client of HTTP/2 at the other end of the wire.

use std::{
    cell::Cell,
    future::{Future as _, pending, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use actix_http::{Request, Response, StatusCode};
use actix_service::fn_service;
use actix_web::{
    body::{BodyStream, BoxBody, SizedStream},
    web::Bytes,
};
use futures_util::{StreamExt as _, stream};
use h2::client::{self, SendRequest};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, copy, duplex,
        split,
    },
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::{JoinHandle, LocalSet, spawn_local, yield_now},
    time::{Instant, sleep, timeout},
};

use super::{MOST_HEAD_BYTES, linger, serve};
use crate::net::{Flow, Peer};

const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// What the application behind has seen.
#[derive(Default)]
struct Seen {
    pieces: Cell<usize>,
    given_up: Cell<usize>,
}

struct GivenUp(Rc<Seen>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.set(self.0.given_up.get() + 1);
    }
}

fn application(path: &str, seen: &Rc<Seen>) -> Response<BoxBody> {
    let body = match path {
        "/small" => BoxBody::new("a small page"),
        "/large" => {
            let seen = Rc::clone(seen);
            let pieces = stream::iter(0..100u8).map(move |n| {
                seen.pieces.set(seen.pieces.get() + 1);
                Ok::<_, io::Error>(Bytes::from(vec![n; 50_000]))
            });
            BoxBody::new(SizedStream::new(5_000_000, pieces))
        }
        "/cut-short" => {
            let pieces = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"half"))]);
            BoxBody::new(SizedStream::new(8, pieces))
        }
        "/events" => {
            let guard = GivenUp(Rc::clone(seen));
            let first = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"event"))]);
            let more = stream::once(async move {
                let _guard = guard;
                pending().await
            });
            BoxBody::new(BodyStream::new(first.chain(more)))
        }
        _ => BoxBody::new(()),
    };
    Response::with_body(StatusCode::OK, body)
}

/// A connection between a client and an application.
struct Wire {
    client: SendRequest<Bytes>,
    frames: JoinHandle<Result<(), h2::Error>>,
    served: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
    seen: Rc<Seen>,
    is_reading: Rc<Cell<bool>>,
}

/// Lets a client with this window for each answer talk to an application.
async fn wire(window: u32) -> Wire {
    let (ours, theirs) = duplex(64 * 1024);
    wire_over(ours, theirs, window).await
}

/// The same over two ends of a connection.
async fn wire_over(
    ours: impl AsyncRead + AsyncWrite + Unpin + 'static,
    theirs: impl AsyncRead + AsyncWrite + Unpin + 'static,
    window: u32,
) -> Wire {
    let seen = Rc::<Seen>::default();
    let peer = Peer {
        address: ([192, 0, 2, 1], 1).into(),
        is_tls: true,
        server_name: None,
        flow: Rc::new(Flow::default()),
        is_one_of_many: false,
    };
    let seen_by_app = Rc::clone(&seen);
    let app = fn_service(move |request: Request| {
        let seen = Rc::clone(&seen_by_app);
        async move {
            let path = request.uri().path().to_owned();
            if path == "/slow" {
                sleep(Duration::from_secs(5)).await;
            }
            Ok::<_, Response<BoxBody>>(application(&path, &seen))
        }
    });
    let (stop, stopped) = oneshot::channel();
    let stopping = async {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    };
    let served = spawn_local(serve(
        ours,
        peer,
        Rc::new(app),
        (KEEP_ALIVE, super::MOST_REQUESTS),
        stopping,
    ));
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(window)
        .initial_connection_window_size(1 << 30)
        .max_header_list_size(1 << 24);
    let (client, mut frames) = builder.handshake::<_, Bytes>(theirs).await.unwrap();
    let is_reading = Rc::new(Cell::new(true));
    let goes_on = Rc::clone(&is_reading);
    let frames = poll_fn(move |context| {
        if goes_on.get() {
            Pin::new(&mut frames).poll(context)
        } else {
            Poll::Pending
        }
    });
    Wire {
        client,
        frames: spawn_local(frames),
        served,
        stop,
        seen,
        is_reading,
    }
}

impl Wire {
    /// Asks for a path.
    fn get(&mut self, path: &str) -> client::ResponseFuture {
        let request = http::Request::get(format!("https://example.org{path}"));
        let request = request.body(()).unwrap();
        self.client.send_request(request, true).unwrap().0
    }
}

/// The pieces of a body, each with whether it ended the stream.
async fn read(mut body: h2::RecvStream) -> Result<Vec<(Bytes, bool)>, h2::Error> {
    let mut pieces = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        pieces.push((piece, body.is_end_stream()));
    }
    Ok(pieces)
}

/// Runs a test on one thread, where the time of waiting passes at once.
fn on_one_thread(test: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let all = timeout(Duration::from_hours(1), test());
        all.await.expect("the test hangs");
    });
}

#[test]
fn the_last_piece_of_an_answer_ends_it() {
    on_one_thread(async || {
        let mut wire = wire(65_535).await;
        let answer = wire.get("/small").await.unwrap();
        assert_eq!(answer.headers()["content-length"], "12");
        assert!(answer.headers().contains_key("date"));
        let pieces = read(answer.into_body()).await.unwrap();
        assert_eq!(pieces, [(Bytes::from_static(b"a small page"), true)]);
        let empty = wire.get("/none").await.unwrap();
        assert!(empty.body().is_end_stream(), "nothing is to come");
    });
}

#[test]
fn a_large_answer_arrives_whole_and_one_that_breaks_off_is_seen_to() {
    on_one_thread(async || {
        let mut wire = wire(1000).await;
        let pieces = read(wire.get("/large").await.unwrap().into_body());
        let pieces = pieces.await.unwrap();
        let all: Vec<u8> = pieces
            .iter()
            .flat_map(|(piece, _)| piece.to_vec())
            .collect();
        let expected: Vec<u8> = (0..100u8).flat_map(|n| vec![n; 50_000]).collect();
        assert!(all == expected);
        let broken = match wire.get("/cut-short").await {
            Ok(answer) => read(answer.into_body()).await.unwrap_err(),
            Err(e) => e,
        };
        assert_eq!(broken.reason(), Some(h2::Reason::INTERNAL_ERROR));
    });
}

#[test]
fn nothing_is_read_for_answers_that_nobody_takes() {
    on_one_thread(async || {
        let mut wire = wire(0).await;
        let mut held = Vec::new();
        for _ in 0..100 {
            held.push(wire.get("/large").await.unwrap());
        }
        assert_eq!(wire.seen.pieces.get(), 0);
        wire.frames.abort();
        assert!(wire.served.await.unwrap().is_ok());
    });
}

#[test]
fn all_answers_of_a_connection_together_have_a_bounded_part_in_memory() {
    on_one_thread(async || {
        let mut wire = wire(1 << 30).await;
        wire.client.clone().ready().await.unwrap();
        let asked: Vec<_> = (0..100).map(|_| wire.get("/large")).collect();
        yield_now().await;
        wire.is_reading.set(false);
        sleep(Duration::from_secs(1)).await;
        let bytes = wire.seen.pieces.get() * 50_000;
        assert!(
            (1..2_500_000).contains(&bytes),
            "{bytes} bytes were read for a visitor who takes none"
        );
        drop(asked);
    });
}

#[test]
fn an_answer_ends_when_its_visitor_takes_the_request_back() {
    on_one_thread(async || {
        let mut wire = wire(65_535).await;
        let answer = wire.get("/events").await.unwrap();
        let mut body = answer.into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "event");
        drop(body);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(wire.seen.given_up.get(), 1, "it went on for nobody");
        assert!(wire.get("/small").await.is_ok(), "the connection goes on");
    });
}

#[test]
fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    on_one_thread(async || {
        let mut wire = wire(65_535).await;
        let one = http::HeaderValue::from_bytes(&[b'x'; 8000]).unwrap();
        let many = usize::try_from(MOST_HEAD_BYTES).unwrap() / 8000 + 1;
        let mut request = http::Request::get("https://example.org/small");
        for n in 0..many {
            request = request.header(format!("x-{n}"), one.clone());
        }
        let request = request.body(()).unwrap();
        let answer = wire.client.send_request(request, true).unwrap().0.await;
        assert_eq!(answer.unwrap().status(), 431);
        assert!(wire.get("/small").await.is_ok());
    });
}

#[test]
fn what_is_not_used_ends_and_what_is_used_stays() {
    on_one_thread(async || {
        let mut idle = wire(65_535).await;
        idle.get("/small").await.unwrap();
        let begun = Instant::now();
        idle.served.await.unwrap().unwrap();
        let lasted = begun.elapsed();
        assert!(
            lasted >= KEEP_ALIVE && lasted < 2 * KEEP_ALIVE,
            "{lasted:?}"
        );

        let mut used = wire(65_535).await;
        let events = used.get("/events").await.unwrap();
        sleep(10 * KEEP_ALIVE).await;
        assert!(!used.served.is_finished(), "an answer goes on");
        // The visitor is lost: nobody answers pings.
        used.is_reading.set(false);
        let lost = used.served.await.unwrap();
        assert_eq!(lost.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(events);
        assert_eq!(used.seen.given_up.get(), 1);
    });
}

#[test]
fn who_is_being_answered_when_the_server_stops_gets_all_of_it() {
    on_one_thread(async || {
        let mut wire = wire(65_535).await;
        let slow = wire.get("/slow");
        sleep(Duration::from_secs(1)).await;
        wire.stop.send(()).unwrap();
        assert!(slow.await.is_ok());
        wire.served.await.unwrap().unwrap();
    });
}

/// Passes on what the server sends in pieces that come one after the other, as over a slow line, and what the client says
/// at once; ends when one of the two cannot go on.
async fn slow_line(server: TcpStream, client: DuplexStream) {
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = split(client);
    let said = spawn_local(async move { copy(&mut from_client, &mut to_server).await });
    let mut piece = [0; 8 * 1024];
    while let Ok(bytes @ 1..) = from_server.read(&mut piece).await {
        // The other end of the socket gets on meanwhile.
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1)))
            .await
            .unwrap();
        if to_client.write_all(&piece[..bytes]).await.is_err() {
            break;
        }
    }
    drop(to_client);
    let _ = said.await;
}

#[test]
fn who_reads_slowly_when_the_server_stops_gets_all_of_it() {
    on_one_thread(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // Most of it waits in the socket of the server.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let line = socket.connect(listener.local_addr().unwrap());
        let (line, accepted) = tokio::join!(line, listener.accept());
        let (line_end, client) = duplex(16 * 1024);
        let line = spawn_local(slow_line(line.unwrap(), line_end));
        let mut wire = wire_over(accepted.unwrap().0, client, 256 * 1024).await;
        let answer = wire.get("/large").await.unwrap();
        wire.stop.send(()).unwrap();
        let pieces = read(answer.into_body()).await.unwrap();
        let bytes: usize = pieces.iter().map(|(piece, _)| piece.len()).sum();
        assert_eq!(bytes, 5_000_000);
        wire.frames.await.unwrap().unwrap();
        wire.served.await.unwrap().unwrap();
        line.await.unwrap();
    });
}

#[test]
fn who_does_not_close_is_not_waited_for_for_ever() {
    on_one_thread(async || {
        let (ours, theirs) = duplex(64 * 1024);
        let begun = Instant::now();
        linger::linger(ours, KEEP_ALIVE).await;
        assert_eq!(begun.elapsed(), KEEP_ALIVE, "says nothing");
        drop(theirs);
        let (ours, mut theirs) = duplex(64 * 1024);
        let talks = spawn_local(async move {
            while theirs.write_all(b"more").await.is_ok() {
                sleep(KEEP_ALIVE / 2).await;
            }
        });
        let begun = Instant::now();
        linger::linger(ours, KEEP_ALIVE).await;
        assert!(begun.elapsed() < 20 * KEEP_ALIVE, "goes on talking");
        talks.await.unwrap();
    });
}
