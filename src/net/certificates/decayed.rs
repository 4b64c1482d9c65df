//! A certificate of the site that is not what was written: it is told, and kept aside, and another one is made.

use std::{fs, path::Path};

use super::{
    authority::LocalAuthority,
    files,
    leaf::{CERT_FILE, KEY_FILE, is_whole},
};
use crate::base::Result;

/// What is behind the name of a file that was put aside.
const ASIDE: &str = ".damaged";
/// Who notices that there is another one.
const MEANS: &str = "Who trusts the authority of this machine (/trust) notices nothing of that; a browser that was told to \
                     accept the certificate itself asks once more. If it comes again, take a new card";

fn both() -> String {
    format!("tls/{CERT_FILE} and tls/{KEY_FILE}")
}

/// Puts both files aside, where others take their names, and tells.
pub(super) fn put_aside(folder: &Path) {
    let mut kept = Vec::new();
    for name in [CERT_FILE, KEY_FILE] {
        let aside = format!("{name}{ASIDE}");
        match fs::rename(folder.join(name), folder.join(&aside)) {
            Ok(()) => kept.push(format!("tls/{aside}")),
            Err(e) => log::warn!("tls/{name} could not be put aside: {e}"),
        }
    }
    log::error!(
        "{}, the site's certificate with its key, are not what was written, as on a card that decays, or after a power cut \
         while they were made. They are made anew; what was there is kept as {}. {MEANS}",
        both(),
        kept.join(" and ")
    );
}

/// What is wrong with the authority's certificate for the site, and what was.
///
/// # Errors
/// As [`LocalAuthority::check`].
pub fn look_at_local(data_dir: &Path) -> Result<(Vec<String>, Vec<String>)> {
    LocalAuthority::check(data_dir)?;
    let folder = files::folder(data_dir);
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let read = |name: &str| files::read(&folder.join(name));
    if let (Some(certificate), Some(key)) = (read(CERT_FILE)?, read(KEY_FILE)?)
        && !is_whole(&certificate, &key)
    {
        problems.push(format!(
            "{}, the site's certificate with its key, are not what was written; the next start makes them anew. {MEANS}",
            both()
        ));
    }
    let aside = [CERT_FILE, KEY_FILE].map(|name| format!("{name}{ASIDE}"));
    let aside = aside.iter().filter(|name| folder.join(name).exists());
    let aside: Vec<String> = aside.map(|name| format!("tls/{name}")).collect();
    if !aside.is_empty() {
        warnings.push(format!(
            "{} were damaged and were made anew; what was damaged is kept as {}, to be removed when you have read this. \
             {MEANS}",
            both(),
            aside.join(" and ")
        ));
    }
    Ok((problems, warnings))
}
