//! The password on another machine: it is kept with the machine and the user that it is for, and goes to no other.

use std::path::Path;

use super::PASSWORD_SECRET;
use crate::{
    backup::sftp::Place,
    base::{Error, Result, secrets},
};

/// Whose it is: who we are on which machine, at which port.
fn owner_of(place: &Place) -> String {
    format!("{}@{}", place.user, place.machine())
}

/// A password as it is kept, for this place alone.
///
/// # Errors
/// [`Error::Invalid`] if it is none.
pub fn bound(place: &Place, password: &str) -> Result<String> {
    let password = password.trim();
    if password.is_empty() || password.contains(['\r', '\n']) {
        let what =
            "a password has at least one character, and no end of line in it; nothing was changed";
        return Err(Error::Invalid(what.into()));
    }
    Ok(format!("{}\n{password}", owner_of(place)))
}

/// The password that is kept for this place; one for another place is none.
///
/// # Errors
/// [`Error::Io`]
pub(super) fn kept_for(data: &Path, place: &Place) -> Result<Option<String>> {
    let kept = secrets::read(data, PASSWORD_SECRET)?;
    Ok(kept.and_then(|kept| {
        let (whose, password) = kept.split_once('\n')?;
        (whose == owner_of(place)).then(|| password.trim().to_owned())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_its_user_machine_and_port_and_for_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let place = |text: &str| text.parse::<Place>().unwrap();
        let own = place("sftp://ada@nas.example/x");
        secrets::write(
            dir.path(),
            PASSWORD_SECRET,
            &bound(&own, " word \n").unwrap(),
        )
        .unwrap();
        for (text, expected) in [
            ("sftp://ada@nas.example/x", Some("word")),
            ("sftp://ada@nas.example:22/~/another", Some("word")),
            ("sftp://ada@nas.example:23/x", None),
            ("sftp://bob@nas.example/x", None),
            ("sftp://ada@nas.example.org/x", None),
        ] {
            let kept = kept_for(dir.path(), &place(text)).unwrap();
            assert_eq!(kept.as_deref(), expected, "{text}");
        }
        secrets::write(dir.path(), PASSWORD_SECRET, "a word of nobody").unwrap();
        assert_eq!(kept_for(dir.path(), &own).unwrap(), None);
        assert!(bound(&own, "").is_err() && bound(&own, "a\nb").is_err());
    }
}
