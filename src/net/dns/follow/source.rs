//! Where an address of this machine may be known from.

use serde::Deserialize;
use url::Url;

/// Who is asked for the address under which a home is seen, if its machine cannot know. It answers with that
/// address, over IPv4 and IPv6, and learns nothing else (<https://major.io/p/a-new-future-for-icanhazip/>).
const USUAL_OUTSIDE: &str = "https://icanhazip.com";

/// Where an address of this machine may be known from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Source {
    /// `interfaces`: an interface of this machine has it.
    Interfaces,
    /// `https://…`: somebody outside who sees it, and answers with it and nothing else.
    Outside(String),
}

impl Source {
    /// What is asked if the settings do not say, in this order.
    pub fn usual() -> Vec<Self> {
        vec![Self::Interfaces, Self::Outside(USUAL_OUTSIDE.into())]
    }

    /// As the settings call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Interfaces => "interfaces",
            Self::Outside(url) => url,
        }
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "interfaces" {
            return Ok(Self::Interfaces);
        }
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "https" && url.has_host() => Ok(Self::Outside(text)),
            _ => Err(format!(
                "addresses_from: {text:?} is nowhere to know an address from; write \"interfaces\" or an address \
                 such as \"{USUAL_OUTSIDE}\""
            )),
        }
    }
}
