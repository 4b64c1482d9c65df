//! A service of a router, asked over SOAP (UPnP Device Architecture 1.1, section 3.2), and where it describes them.

use std::{collections::HashMap, fmt::Write as _, net::Ipv4Addr};

use hyper::StatusCode;
use quick_xml::escape::escape;
use url::Url;

use super::{
    Refusal,
    http::{self, Place, shown},
    xml::{Met, walk},
};

/// A router has one or two of each kind; with each further one we would wait longer.
const MOST_SERVICES: usize = 4;

/// Where a service is asked, and what it is called.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) control: Place,
    pub(super) kind: &'static str,
}

impl Service {
    /// Asks for an action.
    pub(super) async fn ask(
        &self,
        action: &str,
        arguments: &[(&str, String)],
    ) -> Result<HashMap<String, String>, Refusal> {
        let called = format!("{}#{action}", self.kind);
        let body = envelope(self.kind, action, arguments);
        let answer = http::post(&self.control, &called, body).await;
        let (status, text) = answer.map_err(Refusal::Silent)?;
        read_answer(status, &text)
    }
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
pub(super) fn read_answer(
    status: StatusCode,
    text: &str,
) -> Result<HashMap<String, String>, Refusal> {
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

/// The services of these kinds that a description names, in the order of `kinds`. Each is a place on the router.
pub(super) fn read_description(
    text: &str,
    from: &Place,
    router: Ipv4Addr,
    kinds: &[&'static str],
) -> Result<Vec<Service>, String> {
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
            let place = kinds.iter().position(|known| *known == kind);
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
    let services = found.into_iter().map(|(place, control)| {
        let url = base
            .join(&control)
            .map_err(|_| format!("it is nowhere ({})", shown(&control)))?;
        Ok(Service {
            control: Place::of(&url, router)?,
            kind: kinds[place],
        })
    });
    services.collect()
}

#[cfg(test)]
#[path = "soap_tests.rs"]
mod tests;
