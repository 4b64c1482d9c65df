//! The form of a host, and the keys that it stands for in `webstead.toml`.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A folder.
    Files,
    /// Another program.
    Proxy,
}

/// The fields as they were typed. Never logged: the password is among them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HostForm {
    /// The name that visitors ask for.
    pub name: String,
    /// The folder.
    pub files: String,
    /// Where the programs listen, one on a line.
    pub proxy: String,
    /// Anything: folders list what is in them.
    pub listing: String,
    /// Anything: the first page answers every address.
    pub single_page: String,
    /// `PATTERN = TIME`, one on a line.
    pub cache: String,
    /// A path.
    pub health: String,
    /// A number of seconds.
    pub answer_timeout_s: String,
    /// `yes`, `no`, or nothing.
    pub keep_host: String,
    /// A file.
    pub certificate: String,
    /// The revision that the form was made for.
    pub revision: String,
    /// The owner's.
    pub password: String,
}

impl HostForm {
    /// The form that stands for these keys; what it has no field for is left out.
    pub fn of(name: &str, keys: &str) -> Self {
        let table: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
        let text = |key: &str| match table.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Array(all)) => lines(all.iter().filter_map(Value::as_str)),
            _ => String::new(),
        };
        let tick = |key: &str| match table.get(key) {
            Some(Value::Bool(true)) => "on".to_owned(),
            _ => String::new(),
        };
        let cache = table.get("cache").and_then(Value::as_object);
        let cache = cache.into_iter().flatten();
        Self {
            name: name.to_owned(),
            files: text("files"),
            proxy: text("proxy"),
            listing: tick("listing"),
            single_page: tick("single_page"),
            cache: lines(cache.filter_map(|(of, time)| Some(format!("{of} = {}", time.as_str()?)))),
            health: text("health"),
            answer_timeout_s: text("answer_timeout_s"),
            keep_host: match table.get("keep_host").and_then(Value::as_bool) {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => String::new(),
            },
            certificate: text("certificate"),
            revision: String::new(),
            password: String::new(),
        }
    }

    /// The keys that its table in `webstead.toml` would have, as JSON.
    ///
    /// # Errors
    /// The field that no key can be made of, and why.
    pub fn keys(&self, kind: Kind) -> Result<String, (&'static str, String)> {
        let mut table = Map::new();
        let mut set = |key: &str, value: Value| {
            table.insert(key.to_owned(), value);
        };
        match kind {
            Kind::Files => {
                set("files", self.files.trim().into());
                set("listing", (!self.listing.is_empty()).into());
                set("single_page", (!self.single_page.is_empty()).into());
                let mut rules = Map::new();
                for line in written(&self.cache) {
                    let (pattern, time) = line.rsplit_once('=').ok_or_else(|| {
                        let text = format!("“{line}” has no time; write it as /assets/* = 30 days");
                        ("cache", text)
                    })?;
                    rules.insert(pattern.trim().to_owned(), time.trim().into());
                }
                if !rules.is_empty() {
                    set("cache", rules.into());
                }
            }
            Kind::Proxy => {
                let programs = written(&self.proxy).map(Value::from).collect();
                set("proxy", Value::Array(programs));
                for (key, text) in [("health", &self.health), ("certificate", &self.certificate)] {
                    if !text.trim().is_empty() {
                        set(key, text.trim().into());
                    }
                }
                let seconds = self.answer_timeout_s.trim();
                if !seconds.is_empty() {
                    let seconds: i64 = seconds.parse().map_err(|_| {
                        let text = "Give a whole number of seconds from 1 to 3600.".to_owned();
                        ("answer_timeout_s", text)
                    })?;
                    set("answer_timeout_s", seconds.into());
                }
                match self.keep_host.as_str() {
                    "yes" => set("keep_host", true.into()),
                    "no" => set("keep_host", false.into()),
                    _ => {}
                }
            }
        }
        Ok(Value::Object(table).to_string())
    }
}

/// The field of the form that a mistake in the keys is about.
pub fn field_of(kind: Kind, mistake: &str) -> &'static str {
    let fields: &[&'static str] = match kind {
        Kind::Files => &["cache", "listing", "single_page"],
        Kind::Proxy => &["health", "answer_timeout_s", "certificate", "keep_host"],
    };
    let named = fields.iter().find(|field| mistake.starts_with(**field));
    named.copied().unwrap_or(match kind {
        Kind::Files => "files",
        Kind::Proxy => "proxy",
    })
}

/// What kind of host these keys are.
pub fn kind_of(keys: &str) -> Kind {
    let table: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    if table.contains_key("proxy") {
        Kind::Proxy
    } else {
        Kind::Files
    }
}

fn lines(all: impl Iterator<Item = impl AsRef<str>>) -> String {
    all.fold(String::new(), |mut text, line| {
        text.push_str(line.as_ref());
        text.push('\n');
        text
    })
}

fn written(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HostForm, Kind, kind_of};

    #[test]
    fn the_keys_are_those_of_the_file() {
        let files = HostForm {
            files: " /srv/a \"b\" ".into(),
            listing: "on".into(),
            cache: "*.css = 1 hour\n\n /a=b/* = forever\n".into(),
            ..HostForm::default()
        };
        let keys = files.keys(Kind::Files).unwrap();
        let expected = r#"{"files":"/srv/a \"b\"","listing":true,"single_page":false,"cache":{"*.css":"1 hour","/a=b/*":"forever"}}"#;
        assert_eq!(keys, expected);
        let proxy = HostForm {
            proxy: "http://127.0.0.1:1\r\nhttp://127.0.0.1:2".into(),
            answer_timeout_s: "x".into(),
            ..HostForm::default()
        };
        assert_eq!(proxy.keys(Kind::Proxy).unwrap_err().0, "answer_timeout_s");
        let cache = HostForm {
            cache: "forever".into(),
            ..HostForm::default()
        };
        assert_eq!(cache.keys(Kind::Files).unwrap_err().0, "cache");
    }

    proptest! {
        #[test]
        fn what_is_typed_becomes_values_and_never_other_keys(texts in proptest::collection::vec(".*", 6)) {
            let form = HostForm {
                files: texts[0].clone(),
                proxy: texts[1].clone(),
                cache: texts[2].clone(),
                health: texts[3].clone(),
                certificate: texts[4].clone(),
                keep_host: texts[5].clone(),
                ..HostForm::default()
            };
            for kind in [Kind::Files, Kind::Proxy] {
                let Ok(keys) = form.keys(kind) else { continue };
                prop_assert_eq!(kind_of(&keys), kind);
                let back = HostForm::of("", &keys);
                prop_assert_eq!(back.keys(kind).unwrap(), keys);
            }
        }
    }
}
