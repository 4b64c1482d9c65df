//! Asks somebody outside from which address this machine is seen, once over IPv4 and once over IPv6.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use hyper::{Request, body::Bytes, header::USER_AGENT};

use crate::{
    base::is_global,
    net::web_client::{Unanswered, WebClient},
};

/// No address is longer, with a line's end.
const MOST_BYTES: usize = 64;

/// Why nobody outside has told an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// Nobody could be asked, in words: perhaps there is no line.
    Unreachable(String),
    /// No address of the internet was answered, in words.
    Refused(String),
}

/// What somebody outside sees, over IPv4 or IPv6. `roots`: whom to believe, beside whom this machine trusts.
///
/// # Errors
/// [`Untold`]
pub(super) async fn ask(url: &str, is_v4: bool, roots: Option<&Path>) -> Result<IpAddr, Untold> {
    let any: IpAddr = if is_v4 {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let client = WebClient::over(roots, any).map_err(|e| Untold::Refused(e.to_string()))?;
    let request = Request::get(url)
        .header(USER_AGENT, concat!("Webstead/", env!("CARGO_PKG_VERSION")))
        .body(Bytes::new())
        .map_err(|e| Untold::Refused(e.to_string()))?;
    let answer = client.ask(request).await.map_err(|why| match why {
        Unanswered::Unconnected(why) => Untold::Unreachable(why),
        Unanswered::Unreachable(why) | Unanswered::TooLarge(why) => Untold::Refused(why),
    })?;
    if !answer.status().is_success() {
        return Err(Untold::Refused(format!("{url} says {}", answer.status())));
    }
    read(answer.body(), is_v4).map_err(|why| Untold::Refused(format!("{url} {why}")))
}

/// The address of an answer.
fn read(body: &[u8], is_v4: bool) -> Result<IpAddr, String> {
    let text = body
        .get(..body.len().min(MOST_BYTES + 1))
        .unwrap_or_default();
    let text = std::str::from_utf8(text).unwrap_or_default().trim();
    let address: IpAddr = match text.parse() {
        Ok(address) if body.len() <= MOST_BYTES => address,
        _ => return Err("answered what is no address".into()),
    };
    if address.is_ipv4() != is_v4 {
        return Err("answered with an address of the other kind".into());
    }
    if !is_global(address) {
        return Err(format!(
            "answered {address}, to which the internet does not lead"
        ));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;
    use crate::base::is_global;

    #[test]
    fn only_an_address_of_the_internet_counts() {
        for (body, is_v4, is_good) in [
            ("8.8.4.4\n", true, true),
            ("2a00:1450::1", false, true),
            ("8.8.4.4", false, false),
            ("2a00:1450::1", true, false),
            ("192.168.1.1", true, false),
            ("100.64.0.1", true, false),
            ("fd00::1", false, false),
            ("8.8.4.4 8.8.8.8", true, false),
            ("<html>8.8.4.4</html>", true, false),
            ("", true, false),
        ] {
            assert_eq!(read(body.as_bytes(), is_v4).is_ok(), is_good, "{body:?}");
        }
        assert!(read(format!("8.8.4.4{}", " ".repeat(100)).as_bytes(), true).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_answered_no_address_of_a_home_is_taken(
            body in proptest::collection::vec(any::<u8>(), 0..80), is_v4: bool,
        ) {
            if let Ok(address) = read(&body, is_v4) {
                prop_assert!(is_global(address) && address.is_ipv4() == is_v4);
            }
        }
    }
}
