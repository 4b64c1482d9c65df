//! The form of the site's names, and the keys that it stands for in `webstead.toml`.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::base::international::as_written;

/// The fields as they were typed. Never logged: the password is among them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NameForm {
    /// The domain, as people write it.
    pub domain: String,
    /// `bare`: `www.` leads to the name without it; `www`: the other way round; else nothing is done about it.
    pub www: String,
    /// Other names, one on a line.
    pub also: String,
    /// Anything: the owner agrees to the authority's terms.
    pub agree: String,
    /// An address of mail.
    pub contact: String,
    /// The authority's directory.
    pub authority: String,
    /// How it is proved that a name leads here; may be empty.
    pub challenge: String,
    /// The kind of certificate.
    pub profile: String,
    /// The kind of key that it is for; may be empty.
    pub key: String,
    /// More names to get certificates for, one on a line.
    pub more_names: String,
    /// What the form was made for: a digest of what was stored.
    pub seen: String,
    /// The domain whose way the owner was shown already.
    pub looked: String,
    /// `look` to see where the names lead, and change nothing.
    pub action: String,
    /// The owner's.
    pub password: String,
}

impl NameForm {
    /// The form that stands for these keys.
    pub fn of(keys: &str) -> Self {
        let table: Value = serde_json::from_str(keys).unwrap_or_default();
        let certificate = &table["certificate"];
        let text = |key: &str| certificate[key].as_str().unwrap_or_default().to_owned();
        let domain = table["domain"].as_str().unwrap_or_default();
        let mut also = names_of(&table["also"]);
        let bare = domain.strip_prefix("www.").unwrap_or(domain);
        let with_www = format!("www.{bare}");
        let www = match also
            .iter()
            .position(|name| *name == bare || *name == with_www)
        {
            Some(at) if !domain.is_empty() => {
                also.remove(at);
                if domain == bare { "bare" } else { "www" }
            }
            _ => "",
        };
        let agrees = certificate["agree_to_terms"].as_bool() == Some(true);
        Self {
            domain: as_written(if www.is_empty() { domain } else { bare }).into_owned(),
            www: www.to_owned(),
            also: lines(also.into_iter().map(|name| as_written(name).into_owned())),
            agree: if agrees { "on" } else { "" }.to_owned(),
            contact: text("contact"),
            authority: text("authority"),
            challenge: text("challenge"),
            profile: text("profile"),
            key: text("key"),
            more_names: lines(
                names_of(&certificate["names"])
                    .into_iter()
                    .map(|name| as_written(name).into_owned()),
            ),
            ..Self::default()
        }
    }

    /// The keys that `webstead.toml` would have, as JSON, with every name as it was typed.
    pub fn keys(&self) -> String {
        let typed = self.domain.trim();
        let starts_with_www = typed
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case("www."));
        let bare = if starts_with_www { &typed[4..] } else { typed };
        let with_www = format!("www.{bare}");
        let (domain, other) = match self.www.as_str() {
            // What is no name has no www. either: it is told once what is wrong.
            _ if typed.is_empty() || !could_be_a_name(typed) => (typed, None),
            "bare" => (bare, Some(with_www.as_str())),
            "www" => (with_www.as_str(), Some(bare)),
            _ => (typed, None),
        };
        let also: Vec<&str> = other.into_iter().chain(written(&self.also)).collect();
        let mut certificate = Map::new();
        certificate.insert("agree_to_terms".into(), (!self.agree.is_empty()).into());
        for (key, text) in [
            ("contact", &self.contact),
            ("authority", &self.authority),
            ("challenge", &self.challenge),
            ("profile", &self.profile),
            ("key", &self.key),
        ] {
            certificate.insert(key.into(), text.trim().into());
        }
        let more: Vec<&str> = written(&self.more_names).collect();
        certificate.insert("names".into(), more.into());
        json!({ "domain": domain, "also": also, "certificate": certificate }).to_string()
    }

    /// What the file sets takes the place of what was typed.
    pub fn overlay(&mut self, of_file: &[(&'static str, String)]) {
        for (field, value) in of_file {
            let of_form = match *field {
                "domain" => &mut self.domain,
                "also" => &mut self.also,
                "agree" => &mut self.agree,
                "contact" => &mut self.contact,
                "authority" => &mut self.authority,
                "challenge" => &mut self.challenge,
                "profile" => &mut self.profile,
                "key" => &mut self.key,
                "more_names" => &mut self.more_names,
                _ => continue,
            };
            // Names are shown as people write them, one on a line.
            *of_form = lines(value.split('\n').map(|line| as_written(line).into_owned()));
        }
    }
}

fn names_of(value: &Value) -> Vec<&str> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).collect()
}

fn lines(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join("\n")
}

/// Whether it looks like a name, and like no address of a page, of mail or of a machine.
fn could_be_a_name(typed: &str) -> bool {
    let is_other = |c: char| ":/\\@[".contains(c) || c.is_whitespace();
    !typed.contains(is_other) && typed.parse::<IpAddr>().is_err()
}

fn written(text: &str) -> impl Iterator<Item = &str> {
    let all = text.split([',', '\n', '\r', ' ', '\t']);
    all.map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::NameForm;

    fn keys(domain: &str, www: &str, also: &str) -> (String, Vec<String>) {
        let form = NameForm {
            domain: domain.into(),
            www: www.into(),
            also: also.into(),
            ..NameForm::default()
        };
        let keys: Value = serde_json::from_str(&form.keys()).unwrap();
        let also = keys["also"].as_array().unwrap().iter();
        (
            keys["domain"].as_str().unwrap().to_owned(),
            also.map(|name| name.as_str().unwrap().to_owned()).collect(),
        )
    }

    #[test]
    fn www_leads_one_way_or_the_other_or_is_left_alone() {
        for (typed, www, domain, also) in [
            (
                "example.org",
                "bare",
                "example.org",
                &["www.example.org"][..],
            ),
            (
                "WWW.example.org",
                "bare",
                "example.org",
                &["www.example.org"],
            ),
            ("example.org", "www", "www.example.org", &["example.org"]),
            (
                "www.example.org",
                "www",
                "www.example.org",
                &["example.org"],
            ),
            ("example.org", "", "example.org", &[]),
            (" www.example.org ", "", "www.example.org", &[]),
            ("", "bare", "", &[]),
            ("üüüü", "www", "www.üüüü", &["üüüü"]),
            ("https://example.org", "www", "https://example.org", &[]),
            ("example.org:443", "bare", "example.org:443", &[]),
            ("ada@example.org", "www", "ada@example.org", &[]),
            ("192.0.2.1", "bare", "192.0.2.1", &[]),
        ] {
            assert_eq!(keys(typed, www, "").0, domain, "{typed} {www}");
            assert_eq!(keys(typed, www, "").1, also, "{typed} {www}");
        }
        let (_, also) = keys("a.example", "bare", "b.example, c.example\r\nd.example ");
        assert_eq!(
            also,
            ["www.a.example", "b.example", "c.example", "d.example"]
        );
    }

    #[test]
    fn names_are_shown_as_people_write_them() {
        let stored = r#"{"domain":"xn--bcher-kva.example","also":["www.xn--bcher-kva.example","xn--4ca.example"],
            "certificate":{"agree_to_terms":true,"contact":"a@b.example"}}"#;
        let form = NameForm::of(stored);
        assert_eq!(form.domain, "bücher.example");
        assert_eq!(
            (form.www.as_str(), form.also.as_str()),
            ("bare", "ä.example")
        );
        assert_eq!(
            (form.agree.as_str(), form.contact.as_str()),
            ("on", "a@b.example")
        );
    }

    proptest! {
        #[test]
        fn what_is_typed_becomes_values_and_never_other_keys(texts in proptest::collection::vec(".*", 9)) {
            let form = NameForm {
                domain: texts[0].clone(),
                www: texts[1].clone(),
                also: texts[2].clone(),
                contact: texts[3].clone(),
                authority: texts[4].clone(),
                challenge: texts[5].clone(),
                profile: texts[6].clone(),
                more_names: texts[7].clone(),
                key: texts[8].clone(),
                ..NameForm::default()
            };
            let keys: Value = serde_json::from_str(&form.keys()).unwrap();
            prop_assert_eq!(keys.as_object().unwrap().len(), 3);
            prop_assert_eq!(keys["certificate"].as_object().unwrap().len(), 7);
            let _ = NameForm::of(&texts[0]);
        }
    }
}
