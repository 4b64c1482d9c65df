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
    /// `router`: the router at home has it (UPnP, PCP or NAT-PMP).
    Router,
    /// `https://…`: somebody outside who sees it, and answers with it and nothing else.
    Outside(String),
}

impl Source {
    /// What is asked if the settings do not say, in this order.
    pub fn usual() -> Vec<Self> {
        let outside = Self::Outside(USUAL_OUTSIDE.into());
        vec![Self::Interfaces, Self::Router, outside]
    }

    /// As the settings call it.
    pub fn name(&self) -> &str {
        match self {
            Self::Interfaces => "interfaces",
            Self::Router => "router",
            Self::Outside(url) => url,
        }
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "interfaces" => return Ok(Self::Interfaces),
            "router" => return Ok(Self::Router),
            _ => {}
        }
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "https" && url.has_host() => Ok(Self::Outside(text)),
            _ => Err(format!(
                "addresses_from: {text:?} is nowhere to know an address from; write \"interfaces\", \"router\" or an address \
                 such as \"{USUAL_OUTSIDE}\""
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn a_source_is_called_as_the_settings_call_it_and_others_are_refused() {
        for source in Source::usual() {
            assert_eq!(Source::try_from(source.name().to_owned()), Ok(source));
        }
        assert_eq!(Source::usual()[1], Source::Router, "before anybody outside");
        for text in ["", "routers", "http://icanhazip.com", "https://"] {
            assert!(Source::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
