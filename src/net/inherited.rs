//! Sockets that the service manager has opened for us (systemd's `.socket` units, `sd_listen_fds(3)`).
//!
//! It may open ports 80 and 443 where we may not, and it holds them while we are restarted: visitors
//! wait for a moment instead of being turned away.

use std::net::TcpListener;

use listenfd::ListenFd;
use socket2::SockRef;

use crate::base::{Error, Result};

/// The two sockets in the order of the unit: HTTPS, then plain HTTP. `None` if none were handed over.
///
/// # Errors
/// [`Error::Invalid`] if there is another number of them or one is no listening TCP socket.
pub(super) fn take() -> Result<Option<(TcpListener, TcpListener)>> {
    take_from(&mut ListenFd::from_env())
}

fn take_from(given: &mut ListenFd) -> Result<Option<(TcpListener, TcpListener)>> {
    let number = given.len();
    if number == 0 {
        return Ok(None);
    }
    if number != 2 {
        return Err(Error::Invalid(format!(
            "the service manager handed over {number} sockets, and two are needed: write two lines \
             ListenStream= into webstead.socket, first the one for HTTPS, then the one for plain HTTP"
        )));
    }
    Ok(Some((listener(given, 0)?, listener(given, 1)?)))
}

fn listener(given: &mut ListenFd, index: usize) -> Result<TcpListener> {
    let refused = |why: String| {
        Error::Invalid(format!(
            "socket {} of the service manager cannot be used ({why}); write it into webstead.socket as \
             ListenStream=443 or as an address and a port",
            index + 1
        ))
    };
    let listener = given
        .take_tcp_listener(index)
        .map_err(|e| refused(e.to_string()))?
        .ok_or_else(|| refused("it was taken before".into()))?;
    // As for the sockets that we open ourselves.
    listener
        .set_nonblocking(true)
        .and_then(|()| SockRef::from(&listener).set_tcp_nodelay(true))
        .map_err(|e| refused(e.to_string()))?;
    Ok(listener)
}
