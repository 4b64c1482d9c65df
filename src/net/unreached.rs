//! Why a server was not reached, in words for people: libraries say it for programmers.

use std::{error::Error, io};

use rustls::{CertificateError, Error as TlsError};

use crate::base::words::without_numbers;

/// What is said of a certificate whose authority this machine does not know.
pub(super) const UNKNOWN_AUTHORITY: &str =
    "its certificate is of an authority that this machine does not know";
/// What is said of one that is for somebody else.
pub(super) const OTHER_NAMES: &str = "its certificate is for other names";
/// What is said of a port at which nobody is.
pub(super) const NOBODY: &str = "nobody listens there";
/// What is said where something else than TLS is spoken.
pub(super) const NO_TLS: &str = "at this port nobody speaks HTTPS";
/// What is said of a name that was not found.
pub(super) const NO_NAME: &str = "the DNS knows no such name, or cannot be asked";

/// Why it was not reached: what the first cause that is known means, else the last cause.
pub(super) fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    let mut last = String::new();
    while let Some(e) = cause {
        if let Some(words) = known(e) {
            return words;
        }
        last = e.to_string();
        cause = e.source();
    }
    if last.starts_with("failed to lookup address information") {
        return NO_NAME.into();
    }
    without_numbers(&last).into_owned()
}

fn known(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tls) = error.downcast_ref::<TlsError>() {
        return Some(of_tls(tls));
    }
    let io = error.downcast_ref::<io::Error>()?;
    // What an error of the system has in it is no source of it.
    if let Some(inner) = io.get_ref()
        && let Some(words) = known(inner)
    {
        return Some(words);
    }
    Some(match io.kind() {
        io::ErrorKind::ConnectionRefused => format!("{NOBODY} (connection refused)"),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => "the connection was cut off".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no way there".into()
        }
        io::ErrorKind::TimedOut => "there was no answer in time".into(),
        _ => return None,
    })
}

fn of_tls(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => UNKNOWN_AUTHORITY.into(),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired, by the clock of this machine".into()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet, by the clock of this machine".into()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                OTHER_NAMES.into()
            }
            CertificateError::Revoked => "its certificate was revoked".into(),
            other => format!("its certificate cannot be believed ({other:?})"),
        },
        TlsError::InvalidMessage(_) => NO_TLS.into(),
        TlsError::AlertReceived(alert) => format!("it ended the handshake ({alert:?})"),
        other => format!("no connection by TLS came about ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use rustls::InvalidMessage;

    use super::*;

    #[test]
    fn what_libraries_say_is_told_in_words() {
        let tls = |error: TlsError| io::Error::new(io::ErrorKind::InvalidData, error);
        let certificate = |error| tls(TlsError::InvalidCertificate(error));
        for (error, words) in [
            (
                certificate(CertificateError::UnknownIssuer),
                UNKNOWN_AUTHORITY,
            ),
            (certificate(CertificateError::Expired), "has expired"),
            (
                certificate(CertificateError::NotValidYet),
                "is not valid yet",
            ),
            (certificate(CertificateError::NotValidForName), OTHER_NAMES),
            (
                tls(TlsError::InvalidMessage(InvalidMessage::InvalidContentType)),
                NO_TLS,
            ),
            (io::ErrorKind::ConnectionRefused.into(), NOBODY),
            (io::ErrorKind::UnexpectedEof.into(), "cut off"),
            (
                io::Error::other("failed to lookup address information: Name or service not known"),
                NO_NAME,
            ),
            (io::Error::from_raw_os_error(28), "No space left on device"),
        ] {
            let said = in_words(&error);
            assert!(said.contains(words), "{words}: {said}");
            assert!(!said.contains("os error"), "{said}");
        }
    }
}
