//! That a DNS server gave no answer, or what is none, in words: who was asked, for what, what came, and what to do.

use std::net::SocketAddr;

use crate::base::words::{one_line, without_numbers};

/// Characters that are shown of what is no answer.
const MOST_SHOWN: usize = 40;

/// Who was asked, and for what: `the TXT of example.org`.
pub(super) struct Asked<'a> {
    pub(super) server: SocketAddr,
    pub(super) what: &'a str,
}

/// Why there is no answer, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The question could not be sent, so nothing came of it.
    #[error("{0}")]
    Unsent(String),
    /// Nothing came.
    #[error("{0}")]
    Silent(String),
    /// Something came that is no answer.
    #[error("{0}")]
    Garbled(String),
}

impl Asked<'_> {
    /// Nothing came; `how` is how one knows.
    pub(super) fn silent(&self, how: &str) -> NoAnswer {
        let (server, what, how) = (self.server, self.what, without_numbers(how));
        NoAnswer::Silent(format!(
            "the DNS server {server}, asked for {what}, gives no answer ({how}); look whether it runs, and whether a \
             firewall keeps port {} from this machine",
            server.port()
        ))
    }

    /// Something came that is no answer.
    pub(super) fn garbled(&self, came: &str) -> NoAnswer {
        let (server, what) = (self.server, self.what);
        NoAnswer::Garbled(format!(
            "the DNS server {server}, asked for {what}, sent {came}; look whether a DNS server is at that address, and \
             no other program or a router that answers for it"
        ))
    }
}

/// What somebody sent, shortly and without what steers a terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    if is_text(bytes) {
        let text = String::from_utf8_lossy(bytes);
        return format!("{:?}", one_line(&text, MOST_SHOWN));
    }
    format!("{} bytes", bytes.len())
}

/// Whether people could read it, as far as its beginning says.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let is_plain = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    !bytes.is_empty() && bytes.iter().take(MOST_SHOWN).all(is_plain)
}

/// What a DNS server says instead of an answer, with what that means and what to do (RFC 1035 section 4.1.1, RFC 2136
/// section 2.2): `SERVFAIL`.
pub(in crate::net) fn code_in_words(code: &str) -> String {
    let meaning = match code {
        "REFUSED" => {
            "it answers no such question of this machine: look whether it has this zone and lets this machine ask"
        }
        "SERVFAIL" => {
            "it cannot tell at the moment: its log says why, or the server's that it asks"
        }
        "NOTIMP" | "FORMERR" => {
            "it does not understand this: look whether it is the right server, and no simple one of a router"
        }
        _ => "its log may say why",
    };
    format!("{code}, so {meaning}")
}
