//! A DNS server that takes changes of its zone (RFC 2136), signed with a shared secret (RFC 8945).

use std::{net::SocketAddr, sync::Arc};

use data_encoding::BASE64;
use domain::{
    base::{
        MessageBuilder, Name, Rtype, Ttl,
        iana::{Class, Opcode, Rcode},
        message_builder::AdditionalBuilder,
    },
    rdata::{Txt, tsig::Time48},
    tsig::{ClientTransaction, Key, KeyName},
};

use super::{
    Soon, Zone,
    ask::{over_tcp, random_id},
    settings, visible,
};
use crate::base::{Error, Result};

/// Seconds that others may keep a proof: it is there for a minute.
const TEXT_TTL_S: u32 = 60;

/// A server with what it takes to change its zone.
pub(super) struct Server {
    address: SocketAddr,
    zone: Name<Vec<u8>>,
    shown_zone: String,
    key: Arc<Key>,
}

impl Server {
    /// The server of the settings; `secret` is the key in base64, as `tsig-keygen` shows it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the secret is none.
    pub(super) fn new(settings: &settings::Server, secret: &str) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!(
                "the secret for [dns] cannot be used: {why}; set it again with `webstead secret set dns`"
            ))
        };
        let bytes = BASE64
            .decode(secret.as_bytes())
            .map_err(|_| wrong(&"it is not base64, as in secret \"…\" of the server's key"))?;
        let name: KeyName = settings.key.as_str().parse().map_err(|e| wrong(&e))?;
        let key = Key::new(settings.algorithm.into(), &bytes, name, None, None);
        Ok(Self {
            address: settings.address.0,
            zone: settings.zone.as_str().parse().map_err(Error::internal)?,
            shown_zone: settings.zone.as_str().to_owned(),
            key: Arc::new(key.map_err(|e| wrong(&e))?),
        })
    }

    /// Sends a change and reads what became of it.
    async fn change(&self, name: &str, text: &str, what: What) -> std::result::Result<(), String> {
        let words = |e: &dyn std::fmt::Display| format!("{name} cannot be changed: {e}");
        let is_in_zone =
            name == self.shown_zone || name.ends_with(&format!(".{}", self.shown_zone));
        if !is_in_zone {
            return Err(format!("{name} is not in the zone {}", self.shown_zone));
        }
        let owner: Name<Vec<u8>> = name.parse().map_err(|e| words(&e))?;
        let text: Txt<Vec<u8>> = Txt::build_from_slice(text.as_bytes()).map_err(|e| words(&e))?;
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(random_id()?);
        message.header_mut().set_opcode(Opcode::UPDATE);
        let mut message = message.question();
        message
            .push((&self.zone, Rtype::SOA))
            .map_err(|e| words(&e))?;
        // Nothing is required beforehand; the changes are where answers have their authority (section 2).
        let mut message = message.answer().authority();
        let (class, ttl) = match what {
            What::Add => (Class::IN, Ttl::from_secs(TEXT_TTL_S)),
            // Section 2.5.4: a record of class NONE is taken away.
            What::Remove => (Class::NONE, Ttl::ZERO),
        };
        let record = (&owner, class, ttl, text);
        message.push(record).map_err(|e| words(&e))?;
        self.send(message.additional()).await
    }

    async fn send(
        &self,
        mut message: AdditionalBuilder<Vec<u8>>,
    ) -> std::result::Result<(), String> {
        let server = self.address;
        let signed = ClientTransaction::request(Arc::clone(&self.key), &mut message, Time48::now());
        let signed = signed.map_err(|e| e.to_string())?;
        let mut answer = over_tcp(server, &message.into_message()).await?;
        let rcode = answer.header().rcode();
        let verified = signed.answer(&mut answer, Time48::now());
        match (rcode, verified) {
            (Rcode::NOERROR, Ok(())) => Ok(()),
            (Rcode::NOTAUTH, _) => Err(format!(
                "{server} does not accept the key {}: its name, secret or algorithm is another one there, or \
                 the clock of one of the two is wrong",
                self.key.name()
            )),
            (Rcode::REFUSED, _) => Err(format!(
                "{server} refuses: the key {} may not change this name",
                self.key.name()
            )),
            (Rcode::NOTZONE, _) => Err(format!("{server} does not have this zone")),
            (Rcode::NOERROR, Err(e)) => Err(format!(
                "{server} answered without a signature that is right ({e}), so nobody knows whether it was \
                 changed"
            )),
            (rcode, _) => Err(format!("{server} says {rcode}")),
        }
    }
}

#[derive(Clone, Copy)]
enum What {
    Add,
    Remove,
}

impl Zone for Server {
    fn add_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.change(name, text, What::Add))
    }

    fn remove_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.change(name, text, What::Remove))
    }

    fn await_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        // It may copy its zone to others, who are asked by the world.
        Box::pin(visible::everywhere(
            &self.shown_zone,
            Some(self.address),
            name,
            text,
        ))
    }
}
