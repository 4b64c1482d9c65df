//! `[backup.s3]` in `webstead.toml`, and buckets as people write them.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::Deserialize;
use url::{Host, Url};

use crate::base::{Error, Result, paths};

/// How the address of a bucket begins.
pub(in crate::backup) const SCHEME: &str = "s3://";
/// What stores of one region only take; Amazon's first one.
const USUAL_REGION: &str = "us-east-1";

/// A store that speaks S3, and who we are there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// Its address; Amazon's, of the region, if it is not set.
    pub endpoint: Option<Endpoint>,
    /// The region of the bucket.
    pub region: Option<Region>,
    /// The key that it gave out; its secret half is the secret `s3`.
    pub key_id: Option<String>,
    /// A file in PEM with whom to believe that the store is who it says, beside whom this machine trusts.
    #[serde(deserialize_with = "paths::written_or_none")]
    pub roots: Option<PathBuf>,
}

impl S3Settings {
    /// These, and what they leave open from others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            endpoint: self.endpoint.or(others.endpoint),
            region: self.region.or(others.region),
            key_id: self.key_id.or(others.key_id),
            roots: self.roots.or(others.roots),
        }
    }

    /// Whether all is said that is needed to get at a bucket.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is missing.
    pub fn check(&self) -> Result<()> {
        self.place()?;
        self.key_id().map(drop)
    }

    /// The address of the store, without anything after the host, and the region.
    pub(super) fn place(&self) -> Result<(String, String)> {
        let region = self.region.as_ref().map(|Region(region)| region.as_str());
        let origin = match (&self.endpoint, region) {
            (Some(Endpoint(origin)), _) => origin.clone(),
            (None, Some(region)) => format!("https://s3.{region}.amazonaws.com"),
            (None, None) => {
                return Err(Error::Invalid(
                    "say whose store the bucket is in: `endpoint` under [backup.s3] in webstead.toml (--endpoint by \
                     hand), or only `region` (--region) for Amazon's"
                        .into(),
                ));
            }
        };
        Ok((origin, region.unwrap_or(USUAL_REGION).to_owned()))
    }

    /// The key.
    pub(super) fn key_id(&self) -> Result<&str> {
        self.key_id.as_deref().ok_or_else(|| {
            Error::Invalid(
                "say which key the store has given you: `key_id` under [backup.s3] in webstead.toml, or --key-id by hand"
                    .into(),
            )
        })
    }

    /// The file with more authorities, seen from the data folder.
    #[must_use]
    pub fn roots_from(&self, data: &Path) -> Option<PathBuf> {
        self.roots.as_ref().map(|roots| data.join(roots))
    }
}

/// The address of a store: `https://HOST`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Endpoint(String);

impl TryFrom<String> for Endpoint {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Endpoint {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not the address of a store; write one such as \"https://s3.example.com\", without the bucket"
            )
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_here = match url.host().ok_or_else(wrong)? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => IpAddr::from(address).is_loopback(),
            Host::Ipv6(address) => IpAddr::from(address).is_loopback(),
        };
        match url.scheme() {
            "https" if is_bare => {}
            "http" if is_bare && is_here => {}
            "http" if is_bare => {
                return Err(format!(
                    "{text:?} would send the site over the network for everybody to read; write https://, or give a \
                     loopback address"
                ));
            }
            _ => return Err(wrong()),
        }
        // Without the port that goes without saying, as the header Host has it.
        Ok(Self(url.origin().ascii_serialization()))
    }
}

/// A region: `eu-central-1`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct Region(String);

impl TryFrom<String> for Region {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Region {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > 63 || !text.bytes().all(is_plain) {
            return Err(format!(
                "{text:?} is not a region; write one such as \"eu-central-1\""
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A bucket, and where in it the backups are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backup) struct Bucket {
    /// Its name.
    pub(super) name: String,
    /// What every name in it begins with: nothing, or something with a slash at its end.
    pub(super) prefix: String,
}

impl FromStr for Bucket {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a place for backups: {why}; write one such as \"s3://my-bucket/site\""
            )
        };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("no s3://"))?;
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        let is_of_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        let ends_well = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        if !(3..=63).contains(&bytes.len())
            || !name.bytes().all(is_of_name)
            || !ends_well(bytes.first())
            || !ends_well(bytes.last())
            || name.contains("..")
        {
            return Err(wrong(
                "the name of a bucket has 3 to 63 small letters, digits, dashes and dots",
            ));
        }
        let prefix = prefix.trim_end_matches('/');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_part = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_plain)
        };
        if prefix.len() > 512 || (!prefix.is_empty() && !prefix.split('/').all(is_part)) {
            return Err(wrong(
                "what follows the bucket has letters, digits, dashes, dots and single slashes",
            ));
        }
        let mut prefix = prefix.to_owned();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        Ok(Self {
            name: name.to_owned(),
            prefix,
        })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.prefix.trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        write!(f, "{SCHEME}{}{slash}{prefix}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_addresses_are_read_and_mistakes_have_a_remedy() {
        for (text, shown) in [
            ("s3://my-bucket", "s3://my-bucket"),
            ("s3://my-bucket/", "s3://my-bucket"),
            ("s3://my.bucket/a/b_c/", "s3://my.bucket/a/b_c"),
        ] {
            assert_eq!(text.parse::<Bucket>().unwrap().to_string(), shown);
        }
        for text in [
            "s3://",
            "s3://ab",
            "s3://My-Bucket",
            "s3://-bucket",
            "s3://my..bucket",
            "s3://my-bucket/../other",
            "s3://my-bucket//x",
            "s3://my-bucket/a b",
            "s3://my-bucket/a?b",
        ] {
            let error = text.parse::<Bucket>().unwrap_err();
            assert!(error.contains("s3://my-bucket/site"), "{error}");
        }
        for (text, origin) in [
            ("https://s3.example.com", "https://s3.example.com"),
            ("https://s3.example.com:443/", "https://s3.example.com"),
            ("https://nas.local:9000", "https://nas.local:9000"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().0, origin);
        }
        for (text, word) in [
            ("s3.example.com", "https://"),
            ("http://nas.local:9000", "everybody"),
            ("https://s3.example.com/bucket", "without the bucket"),
            ("https://key:secret@s3.example.com", "without the bucket"),
            ("ftp://s3.example.com", "https://"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        let settings = S3Settings::default();
        assert!(settings.place().unwrap_err().to_string().contains("region"));
        let region = Some("eu-central-1".parse().unwrap());
        let amazon = S3Settings { region, ..settings };
        assert_eq!(
            amazon.place().unwrap().0,
            "https://s3.eu-central-1.amazonaws.com"
        );
        assert!("eu/x".parse::<Region>().is_err());
    }
}
