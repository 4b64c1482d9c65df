//! A DNS server that takes changes of its zone (RFC 2136), signed with a shared secret (RFC 8945).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use data_encoding::BASE64;
use domain::{
    base::{
        MessageBuilder, Name, Rtype, Ttl,
        iana::{Class, Opcode, Rcode},
        message_builder::AdditionalBuilder,
        rdata::UnknownRecordData,
    },
    rdata::{A, Aaaa, Txt, tsig::Time48},
    tsig::{ClientTransaction, Key, KeyName},
};

use super::{
    Addresses, Soon, Zone,
    ask::{over_tcp, random_id},
    failure::Failure,
    lookup,
    no_answer::{Asked, code_in_words},
    settings, visible,
};
use crate::{
    base::{Error, Result},
    net::names::is_in,
};

/// Seconds that others may keep what is changed: a proof is there for a minute, and an address may change any time.
const TTL_S: u32 = 60;

/// A server with what it takes to change its zone.
pub(super) struct Server {
    address: SocketAddr,
    /// Others that are asked whether a change is there.
    check_at: Vec<SocketAddr>,
    zone: Name<Vec<u8>>,
    shown_zone: String,
    key: Arc<Key>,
}

impl Server {
    /// The server of the settings; `secret` is the key in base64, as `tsig-keygen` shows it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the secret is none.
    pub(super) fn new(
        settings: &settings::Server,
        secret: &str,
        check_at: &[SocketAddr],
    ) -> Result<Self> {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!(
                "the secret for [dns] cannot be used: {why}; set it again with `webstead secret set dns`"
            ))
        };
        let bytes = BASE64
            .decode(secret.as_bytes())
            .map_err(|_| {
                wrong(&"it is not base64, as it stands between the quotes of secret \"…\" of the server's key")
            })?;
        let name: KeyName = settings.key.as_str().parse().map_err(|e| wrong(&e))?;
        let key = Key::new(settings.algorithm.into(), &bytes, name, None, None);
        Ok(Self {
            address: settings.address,
            check_at: check_at.to_vec(),
            zone: settings.zone.as_str().parse().map_err(Error::internal)?,
            shown_zone: settings.zone.as_str().to_owned(),
            key: Arc::new(key.map_err(|e| wrong(&e))?),
        })
    }

    /// Sends changes of a name, all or none of them, and reads what became of it.
    async fn change(&self, name: &str, changes: &[Change<'_>]) -> std::result::Result<(), Failure> {
        let words =
            |e: &dyn std::fmt::Display| Failure::setup(format!("{name} cannot be changed: {e}"));
        if !is_in(name, &self.shown_zone) {
            let zone = &self.shown_zone;
            return Err(Failure::setup(format!("{name} is not in the zone {zone}")));
        }
        let owner: Name<Vec<u8>> = name.parse().map_err(|e| words(&e))?;
        let mut message = MessageBuilder::new_vec();
        message
            .header_mut()
            .set_id(random_id().map_err(Failure::setup)?);
        message.header_mut().set_opcode(Opcode::UPDATE);
        let mut message = message.question();
        message
            .push((&self.zone, Rtype::SOA))
            .map_err(|e| words(&e))?;
        // Nothing is required beforehand; the changes are where answers have their authority (section 2).
        let mut message = message.answer().authority();
        let ttl = Ttl::from_secs(TTL_S);
        for change in changes {
            match *change {
                Change::Add(Value::Text(text)) => {
                    let data: Txt<Vec<u8>> =
                        Txt::build_from_slice(text.as_bytes()).map_err(|e| words(&e))?;
                    message.push((&owner, Class::IN, ttl, data))
                }
                Change::Add(Value::Address(IpAddr::V4(v4))) => {
                    message.push((&owner, Class::IN, ttl, A::new(v4)))
                }
                Change::Add(Value::Address(IpAddr::V6(v6))) => {
                    message.push((&owner, Class::IN, ttl, Aaaa::new(v6)))
                }
                // Section 2.5.4: a record of class NONE is taken away.
                Change::Remove(Value::Text(text)) => {
                    let data: Txt<Vec<u8>> =
                        Txt::build_from_slice(text.as_bytes()).map_err(|e| words(&e))?;
                    message.push((&owner, Class::NONE, Ttl::ZERO, data))
                }
                Change::Remove(Value::Address(IpAddr::V4(v4))) => {
                    message.push((&owner, Class::NONE, Ttl::ZERO, A::new(v4)))
                }
                Change::Remove(Value::Address(IpAddr::V6(v6))) => {
                    message.push((&owner, Class::NONE, Ttl::ZERO, Aaaa::new(v6)))
                }
                // Section 2.5.2: all records of a type are, if there is nothing in one of class ANY.
                Change::RemoveAll(kind) => {
                    let nothing =
                        UnknownRecordData::from_octets(kind, []).map_err(|e| words(&e))?;
                    message.push((&owner, Class::ANY, Ttl::ZERO, nothing))
                }
            }
            .map_err(|e| words(&e))?;
        }
        self.send(message.additional()).await
    }

    async fn send(
        &self,
        mut message: AdditionalBuilder<Vec<u8>>,
    ) -> std::result::Result<(), Failure> {
        let server = self.address;
        let signed = ClientTransaction::request(Arc::clone(&self.key), &mut message, Time48::now());
        let signed = signed.map_err(Failure::setup)?;
        let what = format!("a change of {}", self.shown_zone);
        let asked = Asked {
            server,
            what: &what,
        };
        let mut answer = over_tcp(&asked, &message.into_message()).await?;
        let rcode = answer.header().rcode();
        let verified = signed.answer(&mut answer, Time48::now());
        match (rcode, verified) {
            (Rcode::NOERROR, Ok(())) => Ok(()),
            (Rcode::NOTAUTH, _) => Err(Failure::refused(format!(
                "the DNS server {server} does not accept the key {}: its name, secret or algorithm is another one \
                 there, or the clock of one of the two is wrong",
                self.key.name()
            ))
            .untouched()),
            (Rcode::REFUSED, _) => Err(Failure::refused(format!(
                "the DNS server {server} refuses: the key {} may not change this name; let it there, such as with \
                 update-policy in BIND",
                self.key.name()
            ))
            .untouched()),
            (Rcode::NOTZONE, _) => Err(Failure::refused(format!(
                "the DNS server {server} does not have the zone {}; look at server and zone in [dns]",
                self.shown_zone
            ))
            .untouched()),
            (Rcode::NOERROR, Err(e)) => Err(Failure::trouble(format!(
                "the DNS server {server} answered without a signature that is right ({e}), so nobody knows whether \
                 it was changed; look whether it is the right server, and whether both clocks are right"
            ))),
            (rcode, _) => Err(Failure::trouble(format!(
                "the DNS server {server}, asked for {what}, says {}",
                code_in_words(&rcode.to_string())
            ))),
        }
    }

    async fn set(&self, name: &str, wanted: Addresses) -> std::result::Result<(), Failure> {
        let mut changes = Vec::new();
        for address in wanted.iter() {
            let kind = if address.is_ipv4() {
                Rtype::A
            } else {
                Rtype::AAAA
            };
            changes.push(Change::RemoveAll(kind));
            changes.push(Change::Add(Value::Address(address)));
        }
        self.change(name, &changes).await
    }

    async fn change_one(&self, name: &str, change: Change<'_>) -> std::result::Result<(), Failure> {
        self.change(name, &[change]).await
    }
}

/// What is done to a name.
#[derive(Clone, Copy)]
enum Change<'a> {
    Add(Value<'a>),
    Remove(Value<'a>),
    RemoveAll(Rtype),
}

/// What a name may have.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Address(IpAddr),
}

impl Zone for Server {
    fn add_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.change_one(name, Change::Add(Value::Text(text))))
    }

    fn remove_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.change_one(name, Change::Remove(Value::Text(text))))
    }

    fn await_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        // It may copy its zone to others, who are asked by the world.
        let asked = (Some(self.address), &*self.check_at);
        Box::pin(visible::everywhere(&self.shown_zone, asked, name, text))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Soon<'a, Vec<IpAddr>> {
        Box::pin(async move { lookup::addresses(name, &[self.address]).await })
    }

    fn set_addresses<'a>(&'a self, name: &'a str, wanted: Addresses) -> Soon<'a> {
        Box::pin(self.set(name, wanted))
    }

    fn remove_address<'a>(&'a self, name: &'a str, address: IpAddr) -> Soon<'a> {
        Box::pin(self.change_one(name, Change::Remove(Value::Address(address))))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::{Server, Zone as _};
    use crate::net::dns::{Settings, settings::Provider};

    /// What comes of a change where a server answers with this code, unsigned.
    async fn changed(code: u8) -> crate::net::dns::Failure {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let settings =
            format!("provider = \"rfc2136\"\nserver = \"{at}\"\nzone = \"a.example\"\nkey = \"k\"");
        let settings: Settings = toml::from_str(&settings).unwrap();
        let Some(Provider::Rfc2136(server)) = &settings.provider else {
            panic!("it is one");
        };
        let server = Server::new(server, "c2VjcmV0", &[]).unwrap();
        let serve = async {
            let mut stream = listener.accept().await.unwrap().0;
            let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut question).await.unwrap();
            // The same number, an answer to an update (RFC 2136 section 2.2), and nothing else.
            let answer = [
                0,
                12,
                question[0],
                question[1],
                0xa8,
                code,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ];
            stream.write_all(&answer).await.unwrap();
        };
        let (done, ()) = tokio::join!(server.add_text("_acme-challenge.a.example", "x"), serve);
        let failure = done.unwrap_err();
        assert!(failure.text.contains(&at.to_string()), "{failure}");
        failure
    }

    #[tokio::test]
    async fn it_is_known_whether_a_change_that_failed_may_have_been_made() {
        for (code, word, is_untouched) in [
            (5, "may not change this name", true),
            (9, "does not accept the key k", true),
            (10, "does not have the zone a.example", true),
            (2, "SERVFAIL", false),
            (0, "nobody knows whether it was changed", false),
        ] {
            let failure = changed(code).await;
            assert!(failure.text.contains(word), "{failure}");
            assert_eq!(failure.is_untouched, is_untouched, "{failure}");
        }
    }
}
