//! Where backups go: what `webstead.toml` says, and what was set in the browser.

use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::stores::{self, FEW_TRIES, PASSWORD_SECRET, STORE_SECRET, Ways};
use crate::{
    app::backups::{
        form::Kind,
        live::{FieldError, Found},
    },
    backup::{
        self, Keys, Settings, Target,
        s3::{Endpoint, Region},
        sftp::HostKey,
    },
    base::{Error, Result, secrets},
};

/// The settings that count, where those of the browser fill what the file leaves open; and what is wrong with the latter.
pub(super) fn effective(file: &Settings, stored: Option<&str>) -> (Settings, Option<String>) {
    let mut both = file.clone();
    let Some(stored) = stored.filter(|_| file.to.is_none()) else {
        return (both, None);
    };
    match serde_json::from_str::<Settings>(stored) {
        Ok(of_browser) => {
            both.to = of_browser.to;
            both.s3 = both.s3.or(of_browser.s3);
            both.sftp = both.sftp.or(of_browser.sftp);
            (both, None)
        }
        Err(e) => (
            both,
            Some(format!(
                "where backups go, set in the browser, cannot be read ({e}); set it again"
            )),
        ),
    }
}

/// Whether these keys are a place.
///
/// # Errors
/// The fields that are wrong, each with what to write.
pub(super) fn check(keys: &str, data: &Path) -> std::result::Result<(), Vec<FieldError>> {
    let typed: Value = serde_json::from_str(keys).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let to = text(&typed["to"]);
    let of_place = match &to {
        to if to.starts_with("s3://") => "bucket",
        to if to.starts_with("sftp://") => "host",
        _ => "folder",
    };
    let mut errors = Vec::new();
    match to.parse::<Target>() {
        Ok(_) if of_place == "folder" && !to.starts_with('/') => {
            let why = "Write the whole path, which begins with /, such as /mnt/stick/backups.";
            errors.push((of_place, why.to_owned()));
        }
        Ok(target) => errors.extend(target.problem(data).map(|why| (of_place, why))),
        Err(why) => errors.push((of_place, why)),
    }
    let mut check = |field: &'static str, text: String, parsed: fn(&str) -> Option<String>| {
        if !text.is_empty() {
            errors.extend(parsed(&text).map(|why| (field, why)));
        }
    };
    let (store, machine) = (&typed["s3"], &typed["sftp"]);
    check("endpoint", text(&store["endpoint"]), |text| {
        text.parse::<Endpoint>().err()
    });
    check("region", text(&store["region"]), |text| {
        text.parse::<Region>().err()
    });
    check("host_key", text(&machine["host_key"]), |text| {
        text.parse::<HostKey>().err()
    });
    if of_place == "bucket"
        && text(&store["endpoint"]).is_empty()
        && text(&store["region"]).is_empty()
    {
        let why =
            "Give the address of the store, or the region of the bucket if it is at Amazon's.";
        errors.push(("endpoint", why.to_owned()));
    }
    if errors.is_empty()
        && let Err(e) = serde_json::from_str::<Settings>(keys)
    {
        errors.push((of_place, e.to_string()));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Goes to the place of these settings, and says what is there. Changes nothing.
pub(super) fn look(settings: &Settings, data: &Path, secret: Option<String>) -> Found {
    match found(settings, data, secret) {
        Ok(found) => found,
        Err(e) => Found {
            texts: e.to_string().lines().map(str::to_owned).collect(),
            ..Found::default()
        },
    }
}

fn found(settings: &Settings, data: &Path, secret: Option<String>) -> Result<Found> {
    let to = settings.to.as_ref();
    let to = to.ok_or_else(|| Error::Invalid("no place is set for backups".into()))?;
    let to = to.seen_from(data);
    let ways = Ways {
        given_secret: secret,
        ..Ways::of(settings, data, FEW_TRIES)
    };
    if let Some(place) = to.on_machine()
        && let Some(key) = ways.shown_key(place)?
    {
        let text = format!(
            "{} was never met. It shows the key {key}, which stands in the form now. Compare it with what `ssh-keygen \
             -lf /etc/ssh/ssh_host_ed25519_key.pub` shows there. If it is the same, look once more.",
            place.host
        );
        return Ok(Found {
            texts: vec![text],
            shown_key: Some(key),
            is_fine: false,
        });
    }
    let target = ways.to(to);
    let mut texts = Vec::new();
    match target.look(data, &Keys::of_machine(data))? {
        Some(repository) => {
            let backups = backup::list(&repository)?;
            texts.push(match backups.first() {
                Some(last) => format!(
                    "There are {} backups in {target}. The last one is of {}, and of the site {:?}. If that is this \
                     site, they are gone on with.",
                    backups.len(),
                    last.made_at
                        .to_jiff()
                        .to_zoned(TimeZone::system())
                        .strftime("%Y-%m-%d %H:%M"),
                    last.site
                ),
                None => format!("{target} was made for backups, and there is none yet."),
            });
        }
        None => texts.push(format!(
            "There are no backups in {target} yet; the first one begins there."
        )),
    }
    if target.is_on_disk_of(data) {
        texts.push("It is on the same disk as the site, and would be lost with it.".into());
    }
    Ok(Found {
        is_fine: true,
        texts,
        shown_key: None,
    })
}

/// What the secret for such a place is called; a folder needs none.
fn secret_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Folder => None,
        Kind::Bucket => Some(STORE_SECRET),
        Kind::Machine => Some(PASSWORD_SECRET),
    }
}

/// What it is called while another one has its place.
fn aside(name: &str) -> String {
    format!("{name}-before")
}

/// Whether there is a secret for such a place.
pub(super) fn has_secret(data: &Path, kind: Kind) -> bool {
    let name = secret_of(kind);
    name.is_some_and(|name| secrets::read(data, name).is_ok_and(|found| found.is_some()))
}

/// Keeps another secret for the place of these keys, and puts the one before aside.
///
/// # Errors
/// [`Error::Invalid`] if it is none.
pub(super) fn keep_secret(data: &Path, kind: Kind, keys: &str, secret: &str) -> Result<()> {
    let Some(name) = secret_of(kind) else {
        return Ok(());
    };
    let settings: Settings = serde_json::from_str(keys).map_err(Error::internal)?;
    let place = settings.to.as_ref().and_then(Target::on_machine);
    let secret = match place {
        Some(place) => stores::bound(place, secret)?,
        None => secret.to_owned(),
    };
    match secrets::read(data, name)? {
        Some(before) => secrets::write(data, &aside(name), &before)?,
        None => drop(secrets::remove(data, &aside(name))?),
    }
    secrets::write(data, name, &secret)
}

/// Brings back the secret that was put aside, if one was; the other one is put aside then.
///
/// # Errors
/// [`Error::Io`]
pub(super) fn put_secret_back(data: &Path, kind: Kind) -> Result<()> {
    let Some(name) = secret_of(kind) else {
        return Ok(());
    };
    let Some(before) = secrets::read(data, &aside(name))? else {
        return Ok(());
    };
    match secrets::read(data, name)? {
        Some(now) => secrets::write(data, &aside(name), &now)?,
        None => drop(secrets::remove(data, &aside(name))?),
    }
    secrets::write(data, name, &before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_wins_and_the_browser_fills_what_it_leaves_open() {
        let file = |text: &str| toml::from_str::<Settings>(text).unwrap();
        let stored =
            r#"{"to":"s3://my-bucket","s3":{"endpoint":"https://s3.example.com","key_id":"A"}}"#;
        let (both, problem) = effective(&file("keep_days = 3"), Some(stored));
        assert_eq!(both.to.unwrap().to_string(), "s3://my-bucket");
        assert_eq!((both.keep_days, problem), (3, None));
        assert_eq!(both.s3.key_id.as_deref(), Some("A"));
        let (both, _) = effective(&file("to = \"/mnt/x\""), Some(stored));
        assert_eq!(both.to.unwrap().to_string(), "/mnt/x");
        assert_eq!(both.s3.key_id, None);
        let (both, _) = effective(&file("[s3]\nkey_id = \"B\""), Some(stored));
        assert_eq!(both.s3.key_id.as_deref(), Some("B"));
        for broken in ["{", "7", r#"{"to":7}"#, r#"{"too":"x"}"#] {
            let (both, problem) = effective(&file(""), Some(broken));
            assert!(both.to.is_none() && problem.unwrap().contains("set it again"));
        }
    }

    #[test]
    fn what_is_wrong_stands_beside_its_field() {
        let dir = tempfile::tempdir().unwrap();
        let inside = format!(r#"{{"to":"{}/x"}}"#, dir.path().display());
        for (keys, field) in [
            (r#"{"to":"backups"}"#, "folder"),
            (r#"{"to":"gopher://x"}"#, "folder"),
            (&*inside, "folder"),
            (r#"{"to":"s3://X","s3":{"region":"a"}}"#, "bucket"),
            (r#"{"to":"s3://my-bucket","s3":{}}"#, "endpoint"),
            (
                r#"{"to":"s3://my-bucket","s3":{"endpoint":"x"}}"#,
                "endpoint",
            ),
            (r#"{"to":"s3://my-bucket","s3":{"region":"A B"}}"#, "region"),
            (r#"{"to":"sftp://nas.example/x"}"#, "host"),
            (
                r#"{"to":"sftp://a@nas.example/x","sftp":{"host_key":"x"}}"#,
                "host_key",
            ),
        ] {
            let errors = check(keys, dir.path()).unwrap_err();
            assert_eq!(errors.len(), 1, "{keys}: {errors:?}");
            assert_eq!(errors[0].0, field, "{keys}: {errors:?}");
        }
        for keys in [
            r#"{"to":"/mnt/stick"}"#,
            r#"{"to":"s3://my-bucket/x","s3":{"region":"eu-1","key_id":"a"}}"#,
            r#"{"to":"sftp://a@nas.example/~/x","sftp":{}}"#,
        ] {
            assert_eq!(check(keys, dir.path()), Ok(()), "{keys}");
        }
    }

    #[test]
    fn a_secret_makes_way_for_another_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let kept = || secrets::read(dir.path(), STORE_SECRET).unwrap();
        put_secret_back(dir.path(), Kind::Bucket).unwrap();
        let keys = r#"{"to":"s3://my-bucket"}"#;
        keep_secret(dir.path(), Kind::Bucket, keys, "first").unwrap();
        assert!(has_secret(dir.path(), Kind::Bucket) && !has_secret(dir.path(), Kind::Machine));
        keep_secret(dir.path(), Kind::Bucket, keys, "second").unwrap();
        put_secret_back(dir.path(), Kind::Bucket).unwrap();
        assert_eq!(kept().as_deref(), Some("first"));
        put_secret_back(dir.path(), Kind::Bucket).unwrap();
        assert_eq!(kept().as_deref(), Some("second"));
    }
}
