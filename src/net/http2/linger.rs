//! The end of a connection whose visitor still reads.
//!
//! What was sent may lie in the memory of the system for as long as a slow visitor needs for it, and whoever reads says so
//! (`WINDOW_UPDATE`, RFC 9113 section 6.9). Where nobody takes that any more, because the socket was closed, the system
//! answers with a reset and throws away what was not delivered yet (RFC 1122 section 4.2.2.13; RFC 9112 section 9.6 says
//! the same of HTTP/1.1). So whoever has said the last word listens until the other end closes, too.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// The most time, whatever is heard: what lies in the memory of the system is some megabytes.
const AT_MOST: Duration = Duration::from_mins(10);

/// Listens, and forgets what it hears, until the other end closes or says nothing for some time.
pub(super) async fn linger(mut stream: impl AsyncRead + Unpin, patience: Duration) {
    let until_closed = async {
        let mut heard = [0; 256];
        while let Ok(Ok(1..)) = timeout(patience, stream.read(&mut heard)).await {}
    };
    // Who goes on talking for so long does not want to hear more.
    let _ = timeout(AT_MOST, until_closed).await;
}
