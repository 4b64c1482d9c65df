//! What is seen of the router's firewall for IPv6. Nothing is changed on it.

use std::fmt;

use super::{Gateway6, Protocol, hole::Router6, soap::Service};

/// The router of this machine for IPv6, as it is seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen6 {
    /// Which machine it is, and which address visitors come to.
    pub gateway: Gateway6,
    /// What becomes of them.
    pub firewall: Lets,
}

/// What a router's firewall says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lets {
    /// How it stands (UPnP).
    Says {
        /// Whether it keeps visitors out.
        is_on: bool,
        /// Whether it can be asked to let some in: in these languages; none if it lets nobody ask.
        asked_in: Vec<Protocol>,
    },
    /// It can be asked (PCP), and does not say how it stands.
    CanBeAsked,
    /// It knows no such request; in words, why that is known.
    NoSuchRequest(String),
}

impl Seen6 {
    /// Looks. `service` is what it describes over UPnP.
    pub(super) async fn look(gateway: Gateway6, service: Result<&Service, &String>) -> Self {
        let router = Router6::meet(gateway, service).await;
        let pcp = router.pcp.is_ok().then_some(Protocol::Pcp);
        let firewall = match (&router.upnp, &router.pcp) {
            (Ok(firewall), _) => Lets::Says {
                is_on: firewall.is_on,
                asked_in: pcp
                    .into_iter()
                    .chain(firewall.lets_ask.then_some(Protocol::Upnp))
                    .collect(),
            },
            (Err(_), Ok(_)) => Lets::CanBeAsked,
            (Err(upnp), Err(pcp)) => Lets::NoSuchRequest(format!("UPnP: {upnp}; PCP: {pcp}")),
        };
        Self { gateway, firewall }
    }
}

/// A sentence about the firewall, without its full stop.
impl fmt::Display for Lets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ITS: &str = "Its firewall for IPv6";
        match self {
            Self::Says { is_on: false, .. } => {
                write!(f, "{ITS} is off: it lets everything through")
            }
            Self::Says { asked_in, .. } if asked_in.is_empty() => {
                write!(f, "{ITS} is on, and lets nobody ask for an opening")
            }
            Self::Says { asked_in, .. } => {
                let all: Vec<String> = asked_in.iter().map(ToString::to_string).collect();
                let all = all.join(" or ");
                write!(
                    f,
                    "{ITS} is on, and can be asked to let visitors in ({all})"
                )
            }
            Self::CanBeAsked => write!(
                f,
                "{ITS} can be asked to let visitors in (PCP), and does not say how it stands"
            ),
            Self::NoSuchRequest(why) => write!(
                f,
                "{ITS}, if it has one, knows no request to let visitors in ({why})"
            ),
        }
    }
}
