//! The form of a place for backups, and the keys that it stands for in `webstead.toml`.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What an address of SFTP does not have as it is, in a user's name and in a path.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\');
const IN_USER: &AsciiSet = &IN_PATH.add(b'/').add(b':').add(b'@').add(b'[').add(b']');

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder of this machine.
    Folder,
    /// A bucket of a store that speaks S3.
    Bucket,
    /// A folder on another machine, by SFTP.
    Machine,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Folder, Self::Bucket, Self::Machine];

    /// As addresses of pages have it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Bucket => "s3",
            Self::Machine => "sftp",
        }
    }

    /// As people know it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Folder => "A folder: another disk, a stick, a share of your network",
            Self::Bucket => "A store that speaks S3, away from home",
            Self::Machine => "Another machine, by SFTP",
        }
    }

    /// The kind of this id.
    pub fn find(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }
}

/// The fields as they were typed. Never logged: secrets are among them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PlaceForm {
    /// The kind of place.
    pub kind: String,
    /// The folder, here or on the other machine.
    pub folder: String,
    /// The address of the store.
    pub endpoint: String,
    /// The region of the bucket.
    pub region: String,
    /// The bucket, and what names in it begin with.
    pub bucket: String,
    /// The key that the store gave out.
    pub key_id: String,
    /// The other machine.
    pub host: String,
    /// Its port.
    pub port: String,
    /// Our name there.
    pub user: String,
    /// The key by which it is known.
    pub host_key: String,
    /// The secret half of the store's key, or the password on the other machine.
    pub secret: String,
    /// What the form was made for: a digest of what was stored.
    pub seen: String,
    /// The place that the owner was shown already.
    pub looked: String,
    /// `look` to see what is there, and change nothing.
    pub action: String,
    /// The owner's.
    pub password: String,
}

impl PlaceForm {
    /// The form that stands for these keys; for a place as the command line has it where they have none.
    pub fn of(keys: &str) -> Self {
        let table: Value = serde_json::from_str(keys).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let to = text(&table["to"]);
        if let Some(bucket) = to.strip_prefix("s3://") {
            return Self {
                kind: Kind::Bucket.id().into(),
                bucket: bucket.into(),
                endpoint: text(&table["s3"]["endpoint"]),
                region: text(&table["s3"]["region"]),
                key_id: text(&table["s3"]["key_id"]),
                ..Self::default()
            };
        }
        let Some(rest) = to.strip_prefix("sftp://") else {
            let kind = if to.is_empty() { "" } else { Kind::Folder.id() };
            return Self {
                kind: kind.into(),
                folder: to,
                ..Self::default()
            };
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (machine, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, machine) = machine.rsplit_once('@').unwrap_or(("", machine));
        let (host, port) = match machine.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
            _ => (machine, ""),
        };
        let path = if path == "~" || path.starts_with("~/") {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Self {
            kind: Kind::Machine.id().into(),
            user: decoded(user),
            host: decoded(host.trim_start_matches('[').trim_end_matches(']')),
            port: port.into(),
            folder: decoded(&path),
            host_key: text(&table["sftp"]["host_key"]),
            ..Self::default()
        }
    }

    /// The kind of place that is meant.
    pub fn kind(&self) -> Option<Kind> {
        Kind::find(&self.kind)
    }

    /// The keys that `[backup]` would have, as JSON. Values are as they were typed.
    pub fn keys(&self) -> String {
        let filled = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, text)| (*key, text.trim()));
            let pairs = pairs.filter(|(_, text)| !text.is_empty());
            let table: Map<String, Value> = pairs
                .map(|(key, text)| (key.to_owned(), text.into()))
                .collect();
            table
        };
        let keys = match self.kind() {
            Some(Kind::Bucket) => {
                let store = filled(&[
                    ("endpoint", &self.endpoint),
                    ("region", &self.region),
                    ("key_id", &self.key_id),
                ]);
                let bucket = self.bucket.trim().trim_end_matches('/');
                let bucket = bucket.strip_prefix("s3://").unwrap_or(bucket);
                json!({ "to": format!("s3://{bucket}"), "s3": store })
            }
            Some(Kind::Machine) => {
                let known = filled(&[("host_key", &self.host_key)]);
                json!({ "to": self.address(), "sftp": known })
            }
            _ => json!({ "to": self.folder.trim() }),
        };
        keys.to_string()
    }

    /// The place on another machine.
    fn address(&self) -> String {
        let host = self.host.trim();
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = match self.port.trim() {
            "" => String::new(),
            port => format!(":{port}"),
        };
        let path = self.folder.trim();
        // What is below one's own folder begins with ~.
        let path = path.strip_prefix('/').unwrap_or(path);
        format!(
            "sftp://{}@{host}{port}/{}",
            utf8_percent_encode(self.user.trim(), IN_USER),
            utf8_percent_encode(path, IN_PATH)
        )
    }

    /// The place, as it is shown.
    pub fn place(&self) -> String {
        let keys: Value = serde_json::from_str(&self.keys()).unwrap_or_default();
        keys["to"].as_str().unwrap_or_default().to_owned()
    }

    /// What is typed into fields, each with its name.
    pub fn typed(&self) -> [(&'static str, &str); 10] {
        [
            ("folder", &self.folder),
            ("endpoint", &self.endpoint),
            ("region", &self.region),
            ("bucket", &self.bucket),
            ("key_id", &self.key_id),
            ("host", &self.host),
            ("port", &self.port),
            ("user", &self.user),
            ("host_key", &self.host_key),
            ("secret", &self.secret),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(kind: Kind) -> PlaceForm {
        PlaceForm {
            kind: kind.id().into(),
            ..PlaceForm::default()
        }
    }

    #[test]
    fn what_is_typed_is_what_the_file_would_have_and_comes_back_as_it_was() {
        let folder = PlaceForm {
            folder: " /mnt/stick/backups ".into(),
            ..form(Kind::Folder)
        };
        assert_eq!(folder.keys(), r#"{"to":"/mnt/stick/backups"}"#);
        let bucket = PlaceForm {
            bucket: "my-bucket/site".into(),
            region: "eu-1".into(),
            key_id: "AK".into(),
            ..form(Kind::Bucket)
        };
        assert_eq!(
            bucket.keys(),
            r#"{"to":"s3://my-bucket/site","s3":{"region":"eu-1","key_id":"AK"}}"#
        );
        for (host, port, user, path, to) in [
            (
                "nas.example",
                "",
                "ada",
                "/a b",
                "sftp://ada@nas.example/a%20b",
            ),
            (
                "nas.example",
                "2222",
                "a@b",
                "~/x",
                "sftp://a%40b@nas.example:2222/~/x",
            ),
            ("2001:db8::1", "", "ada", "/x", "sftp://ada@[2001:db8::1]/x"),
            (
                "2001:db8::1",
                "23",
                "ada",
                "/x",
                "sftp://ada@[2001:db8::1]:23/x",
            ),
        ] {
            let machine = PlaceForm {
                host: host.into(),
                port: port.into(),
                user: user.into(),
                folder: path.into(),
                ..form(Kind::Machine)
            };
            assert_eq!(machine.place(), to);
            let back = PlaceForm::of(&machine.keys());
            assert!(back == machine, "{to}");
        }
        assert!(PlaceForm::of("").kind().is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_typed_becomes_values_and_never_other_keys(
            kind in 0usize..3, texts in proptest::collection::vec(".*", 9),
        ) {
            let typed = PlaceForm {
                folder: texts[0].clone(),
                endpoint: texts[1].clone(),
                region: texts[2].clone(),
                bucket: texts[3].clone(),
                key_id: texts[4].clone(),
                host: texts[5].clone(),
                port: texts[6].clone(),
                user: texts[7].clone(),
                host_key: texts[8].clone(),
                ..form(Kind::ALL[kind])
            };
            let keys: Value = serde_json::from_str(&typed.keys()).unwrap();
            prop_assert!(keys.as_object().unwrap().len() <= 2);
            let _ = PlaceForm::of(&texts[0]);
            let _ = PlaceForm::of(&typed.keys());
        }
    }
}
