//! UPnP Internet Gateway Device, versions 1 and 2: what a router says and does when it is asked over SOAP.
//!
//! Sources: `WANIPConnection:1` and `:2` Service Standardized DCPs, UPnP Device Architecture 1.1 (section 3.2).

use std::{collections::HashMap, fmt::Write as _, net::Ipv4Addr};

use hyper::StatusCode;
use quick_xml::escape::escape;
use url::Url;

use super::{
    DESCRIPTION, Forward, Gateway, Mapping, Refusal,
    http::{self, Place, shown},
    ssdp::{self, NotFound},
    xml::{Met, walk},
};

/// The services that map ports, best first.
const SERVICES: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];
/// A router has one or two; with each further one we would wait longer.
const MOST_SERVICES: usize = 4;

/// The codes of refusals that mean something to us (section 2.4 of `WANIPConnection`).
mod code {
    pub(super) const INVALID_INDEX: u16 = 713;
    pub(super) const NO_SUCH_ENTRY: u16 = 714;
    pub(super) const CONFLICT: u16 = 718;
    pub(super) const ONLY_PERMANENT: u16 = 725;
    pub(super) const CONFLICT_WITH_OTHER: u16 = 729;
}

/// The service of a router that maps ports.
#[derive(Clone, Debug)]
pub(super) struct Igd {
    control: Place,
    service: &'static str,
}

impl Igd {
    #[cfg(test)]
    pub(super) fn at(control: Place) -> Self {
        Self {
            control,
            service: SERVICES[1],
        }
    }

    /// Finds the one that is connected, or else the first.
    pub(super) async fn find(gateway: Gateway) -> Result<Self, NotFound> {
        let place = ssdp::search(gateway).await?;
        let no = |why| NotFound {
            why,
            strangers: Vec::new(),
        };
        let described = http::get(&place).await.map_err(no)?;
        let all = read_description(&described, &place, gateway.address).map_err(no)?;
        for igd in &all {
            if igd.external().await.is_ok_and(|at| !at.is_unspecified()) {
                return Ok(igd.clone());
            }
        }
        all.into_iter()
            .next()
            .ok_or_else(|| no("it has nothing that maps ports".into()))
    }

    /// The address on the other side; `0.0.0.0` while there is none.
    pub(super) async fn external(&self) -> Result<Ipv4Addr, Refusal> {
        let said = self.ask("GetExternalIPAddress", &[]).await?;
        let address = said.get("NewExternalIPAddress").map(String::as_str);
        match address {
            None | Some("") => Ok(Ipv4Addr::UNSPECIFIED),
            Some(text) => text.parse().map_err(|_| {
                Refusal::Says(format!("it calls {:?} its external address", shown(text)))
            }),
        }
    }

    /// Where an external port leads.
    pub(super) async fn mapping(&self, external: u16, own: Ipv4Addr) -> Result<Mapping, Refusal> {
        let asked = self
            .ask("GetSpecificPortMappingEntry", &entry(external))
            .await;
        let said = match asked {
            Ok(said) => said,
            Err(Refusal::Code(code::NO_SUCH_ENTRY | code::INVALID_INDEX, _)) => {
                return Ok(Mapping::None);
            }
            Err(refusal) => return Err(refusal),
        };
        read_mapping(&said, own)
            .ok_or_else(|| Refusal::Says("it does not say where the port leads".into()))
    }

    /// Asks for a mapping; no seconds are for ever. It takes the place of one of this machine.
    pub(super) async fn map(
        &self,
        own: Ipv4Addr,
        forward: Forward,
        lease_s: u32,
    ) -> Result<(), Refusal> {
        let mut arguments = entry(forward.external).to_vec();
        arguments.extend([
            ("NewInternalPort", forward.internal.to_string()),
            ("NewInternalClient", own.to_string()),
            ("NewEnabled", "1".into()),
            ("NewPortMappingDescription", DESCRIPTION.into()),
            ("NewLeaseDuration", lease_s.to_string()),
        ]);
        match self.ask("AddPortMapping", &arguments).await {
            Ok(_) => Ok(()),
            Err(Refusal::Code(code::ONLY_PERMANENT, _)) => Err(Refusal::OnlyPermanent),
            Err(Refusal::Code(code::CONFLICT | code::CONFLICT_WITH_OTHER, _)) => {
                Err(Refusal::Taken)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Ends a mapping; one that is not there is ended already.
    pub(super) async fn unmap(&self, external: u16) -> Result<(), Refusal> {
        match self.ask("DeletePortMapping", &entry(external)).await {
            Ok(_) | Err(Refusal::Code(code::NO_SUCH_ENTRY, _)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn ask(
        &self,
        action: &str,
        arguments: &[(&str, String)],
    ) -> Result<HashMap<String, String>, Refusal> {
        let called = format!("{}#{action}", self.service);
        let body = envelope(self.service, action, arguments);
        let answer = http::post(&self.control, &called, body).await;
        let (status, text) = answer.map_err(Refusal::Silent)?;
        read_answer(status, &text)
    }
}

/// What names a mapping: from anywhere, to this port, with TCP.
fn entry(external: u16) -> [(&'static str, String); 3] {
    [
        ("NewRemoteHost", String::new()),
        ("NewExternalPort", external.to_string()),
        ("NewProtocol", "TCP".into()),
    ]
}

fn envelope(service: &str, action: &str, arguments: &[(&str, String)]) -> String {
    let mut inner = String::new();
    for (name, value) in arguments {
        let value = escape(value.as_str());
        // Writing to a string cannot fail.
        let _ = write!(inner, "<{name}>{value}</{name}>");
    }
    format!(
        "<?xml version=\"1.0\"?>\r\n<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body><u:{action} \
         xmlns:u=\"{service}\">{inner}</u:{action}></s:Body></s:Envelope>\r\n"
    )
}

/// The arguments of an answer, or the refusal in it.
fn read_answer(status: StatusCode, text: &str) -> Result<HashMap<String, String>, Refusal> {
    let mut said = HashMap::new();
    let walked = walk(text, |met| {
        if let Met::Close(name, text) = met {
            said.insert(name.to_owned(), text.to_owned());
        }
    });
    let field = |name: &str| said.get(name).map_or("", String::as_str);
    if let Ok(code) = field("errorCode").parse() {
        return Err(Refusal::Code(code, shown(field("errorDescription"))));
    }
    if status != StatusCode::OK {
        return Err(Refusal::Says(format!("it answers with {status}")));
    }
    walked.map_err(|e| Refusal::Says(format!("its answer is no XML ({e})")))?;
    Ok(said)
}

fn read_mapping(said: &HashMap<String, String>, own: Ipv4Addr) -> Option<Mapping> {
    let field = |name: &str| said.get(name).map_or("", String::as_str);
    let address: Ipv4Addr = field("NewInternalClient").parse().ok()?;
    let port: u16 = field("NewInternalPort").parse().ok()?;
    if matches!(field("NewEnabled"), "0" | "false" | "no") {
        return Some(Mapping::Off { address, port });
    }
    if address != own {
        return Some(Mapping::OtherMachine { address, port });
    }
    let lease_s = field("NewLeaseDuration").parse().unwrap_or(0);
    Some(Mapping::Here {
        port,
        lease_s: (lease_s > 0).then_some(lease_s),
        description: shown(field("NewPortMappingDescription")),
    })
}

/// The services of a description that map ports, best first.
fn read_description(text: &str, from: &Place, router: Ipv4Addr) -> Result<Vec<Igd>, String> {
    let (mut base, mut kind, mut control) = (None, String::new(), String::new());
    let mut found = Vec::new();
    walk(text, |met| match met {
        Met::Open("service") => {
            kind.clear();
            control.clear();
        }
        Met::Close("URLBase", text) if !text.is_empty() => base = Some(text.to_owned()),
        Met::Close("serviceType", text) => text.clone_into(&mut kind),
        Met::Close("controlURL", text) => text.clone_into(&mut control),
        Met::Close("service", _) => {
            let place = SERVICES.iter().position(|known| *known == kind);
            found.extend(place.map(|place| (place, control.clone())));
        }
        _ => {}
    })
    .map_err(|e| format!("its description is no XML ({e})"))?;
    // Relative to URLBase where there is one (UPnP Device Architecture 1.0, section 2.1), or to where it was.
    let base = base.unwrap_or_else(|| from.to_string());
    let base = Url::parse(&base).map_err(|_| format!("it is nowhere ({})", shown(&base)))?;
    found.sort_by_key(|(place, _)| *place);
    found.truncate(MOST_SERVICES);
    let igds = found.into_iter().map(|(place, control)| {
        let url = base
            .join(&control)
            .map_err(|_| format!("it is nowhere ({})", shown(&control)))?;
        Ok(Igd {
            control: Place::of(&url, router)?,
            service: SERVICES[place],
        })
    });
    igds.collect()
}

#[cfg(test)]
#[path = "igd_tests.rs"]
mod tests;
