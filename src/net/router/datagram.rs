//! Asks the router with one datagram and waits for its answer, as NAT-PMP and PCP do.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

use super::Refusal;

/// How long each try waits: from a quarter of a second, doubled (RFC 6886 section 3.1). That goes on for a
/// minute there; a router that has not answered by now is none that speaks the protocol.
const WAITS: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// No message of these protocols is longer (RFC 6887 section 7).
const MOST_BYTES: usize = 1100;

/// Sends `request` from `own` to `router` until `read` takes an answer. What it gives `None` for is not an answer
/// to this request, and is waited over.
///
/// The socket is connected: what others send does not reach it.
///
/// # Errors
/// [`Refusal::Silent`] if nothing comes, and what `read` says.
pub(super) async fn ask<T>(
    own: SocketAddr,
    router: SocketAddr,
    request: &[u8],
    read: impl Fn(&[u8]) -> Option<Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let broken = |e: io::Error| {
        Refusal::Silent(match e.kind() {
            ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            _ => format!("it cannot be asked: {e}"),
        })
    };
    let socket = UdpSocket::bind(own).await.map_err(broken)?;
    socket.connect(router).await.map_err(broken)?;
    // One byte more, to see what is too long.
    let mut answer = [0; MOST_BYTES + 1];
    for wait in WAITS {
        socket.send(request).await.map_err(broken)?;
        let until = Instant::now() + wait;
        while let Ok(received) = timeout_at(until, socket.recv(&mut answer)).await {
            let length = received.map_err(broken)?;
            if length <= MOST_BYTES
                && let Some(outcome) = read(&answer[..length])
            {
                return outcome;
            }
        }
    }
    Err(Refusal::Silent("it does not answer".into()))
}
