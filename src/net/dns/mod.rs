//! Names in the DNS: asking for them, and changing them where the owner may.

mod ask;
mod secret;
mod settings;
mod update;
mod visible;

use std::{path::Path, pin::Pin};

pub use ask::{Answer, Data, ask, resolvers};
pub use secret::SECRET_NAME;
pub use settings::Settings;

use crate::base::Result;

/// Where the owner may change names: a DNS server, or the interface of a provider.
pub trait Zone {
    /// Adds a text to a name, beside those that it has.
    fn add_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a>;

    /// Takes one text away from a name; that it is not there is no error.
    fn remove_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a>;

    /// Returns when everybody who asks can see a text, or cannot be waited for any longer.
    fn await_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a>;
}

/// What is done over the network; the error says in words what kept it.
pub type Soon<'a> = Pin<Box<dyn Future<Output = std::result::Result<(), String>> + 'a>>;

/// The zone of these settings, with its secret from the data folder; `None` if none is set.
///
/// # Errors
/// [`Error::Invalid`](crate::base::Error::Invalid) if the secret is missing or is none.
pub fn zone_of(settings: &Settings, data: &Path) -> Result<Option<Box<dyn Zone>>> {
    Ok(match settings {
        Settings::None => None,
        Settings::Rfc2136(server) => {
            let secret = secret::read(data)?;
            Some(Box::new(update::Server::new(server, &secret)?))
        }
    })
}
