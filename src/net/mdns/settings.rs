//! `[local]` of `webstead.toml`: the machine's name on its own network.

use serde::{Deserialize, Serialize};

/// The longest name: with a number behind it, it is still a label of DNS (63 bytes, RFC 1035 section 2.3.4).
const MOST_CHARS: usize = 59;

/// Section `[local]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the machine is called, without `.local`; if it is not set, as the system calls it.
    pub name: Option<Label>,
    /// Whether the name is announced.
    pub announce: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            announce: true,
        }
    }
}

/// One label of a DNS name, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let label = text.to_ascii_lowercase();
        let label = label.strip_suffix(".local").unwrap_or(&label);
        // RFC 1123 section 2.1.
        let is_good = !label.is_empty()
            && label.len() <= MOST_CHARS
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-');
        if is_good {
            Ok(Self(label.to_owned()))
        } else {
            Err(format!(
                "{text:?} is no name for a machine; write one such as \"pi\": letters, digits and hyphens, {MOST_CHARS} \
                 at most"
            ))
        }
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

#[cfg(test)]
mod tests {
    use super::Label;

    #[test]
    fn a_machine_has_a_name_of_one_label() {
        for (text, expected) in [
            ("pi", Some("pi")),
            ("Pi.local", Some("pi")),
            ("my-site-2", Some("my-site-2")),
            ("", None),
            (".local", None),
            ("a.b", None),
            ("-a", None),
            ("a-", None),
            ("größe", None),
            ("a b", None),
            (&"a".repeat(60), None),
        ] {
            let label = Label::try_from(text.to_owned());
            assert_eq!(label.ok().as_ref().map(Label::as_str), expected, "{text:?}");
        }
    }
}
