//! Names in the DNS: asking for them, changing them where the owner may, and letting them follow this machine.

mod ask;
mod failure;
pub mod follow;
mod keys;
mod lookup;
mod no_answer;
mod providers;
mod said;
mod secret;
mod settings;
mod text;
mod update;
mod visible;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    pin::Pin,
};

pub use ask::{Answer, Data, ask, resolvers};
pub use failure::{Failure, FailureKind};
pub use lookup::{said_by_zone, texts_by_server};
pub use no_answer::NoAnswer;
pub(super) use no_answer::code_in_words;
pub use said::{Said, said_of};
pub(super) use said::{addresses_in, ask_in_time};
pub use secret::SECRET_NAME;
pub use settings::{Follow, Settings};

use self::settings::Provider;
use crate::base::Result;

/// Where the owner may change names: a DNS server, or the interface of a provider.
///
/// Only what is asked for is changed: other records of a name stay.
pub trait Zone {
    /// Adds a text to a name, beside those that it has. Not everybody has texts ([`Settings::has_texts`]).
    fn add_text<'a>(&'a self, _name: &'a str, _text: &'a str) -> Soon<'a> {
        no_texts()
    }

    /// Takes one text away from a name; that it is not there is no error.
    fn remove_text<'a>(&'a self, _name: &'a str, _text: &'a str) -> Soon<'a> {
        no_texts()
    }

    /// Returns when everybody who asks can see a text, or cannot be waited for any longer.
    fn await_text<'a>(&'a self, _name: &'a str, _text: &'a str) -> Soon<'a> {
        no_texts()
    }

    /// The addresses that a name has now.
    fn addresses<'a>(&'a self, name: &'a str) -> Soon<'a, Vec<IpAddr>>;

    /// Lets a name have these addresses and no others of their kinds; a kind that is not given stays as it is.
    fn set_addresses<'a>(&'a self, name: &'a str, wanted: Addresses) -> Soon<'a>;

    /// Takes one address away from a name; that it is not there is no error.
    fn remove_address<'a>(&'a self, name: &'a str, address: IpAddr) -> Soon<'a>;
}

/// What is done over the network.
pub type Soon<'a, T = ()> = Pin<Box<dyn Future<Output = std::result::Result<T, Failure>> + 'a>>;

fn no_texts<'a>() -> Soon<'a> {
    let text = "dyndns2 changes addresses only and has no place for a text, so nothing is proved by DNS with it";
    Box::pin(async move { Err(Failure::setup(text)) })
}

/// An address of each kind, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// For an A record.
    pub v4: Option<Ipv4Addr>,
    /// For an AAAA record.
    pub v6: Option<Ipv6Addr>,
}

impl Addresses {
    /// The first of each kind.
    pub fn of(all: &[IpAddr]) -> Self {
        Self {
            v4: all.iter().find_map(|address| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            }),
            v6: all.iter().find_map(|address| match address {
                IpAddr::V6(v6) => Some(*v6),
                IpAddr::V4(_) => None,
            }),
        }
    }

    /// Those that there are, IPv4 first.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.v4.map(IpAddr::V4);
        v4.into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

/// The zone of these settings, with its secret from the data folder; `None` if none is set.
///
/// # Errors
/// [`Error::Invalid`](crate::base::Error::Invalid) if the secret is missing or is none.
pub fn zone_of(settings: &Settings, data: &Path) -> Result<Option<Box<dyn Zone>>> {
    let Some(provider) = &settings.provider else {
        return Ok(None);
    };
    let secret = secret::read(data, settings)?;
    Ok(Some(match provider {
        Provider::Rfc2136(server) => Box::new(server_of(server, &secret, settings)?),
        Provider::Web(web) => {
            let roots = settings.roots(data);
            providers::zone_of(web, roots.as_deref(), &secret, &settings.check_at)?
        }
    }))
}

/// A secret as it is kept: its parts with one space between, if these settings can use it.
///
/// # Errors
/// [`Error::Invalid`](crate::base::Error::Invalid) with what is wrong with it.
pub fn usable_secret(settings: &Settings, text: &str) -> Result<String> {
    let parts = secret::parts(text, settings)?;
    if let Some(Provider::Rfc2136(server)) = &settings.provider {
        server_of(server, &parts, settings)?;
    }
    Ok(parts.join(" "))
}

fn server_of(
    server: &settings::Server,
    secret: &[String],
    settings: &Settings,
) -> Result<update::Server> {
    let secret = secret.first().map_or("", String::as_str);
    update::Server::new(server, secret, &settings.check_at)
}
