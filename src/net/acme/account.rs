//! The account at an authority: made once, kept in `tls/acme/`.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::SystemTime,
};

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER};
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, LetsEncrypt, NewAccount};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Failure, FailureKind, Settings, rollover, settings::OF_ROOTS, wire::Wire};
use crate::{
    base::{Error, Result},
    net::{certificates::files, web_client::WebClient},
};

/// The folder below `tls/`.
const FOLDER: &str = "acme";

/// How often it is asked again if it did not take a request's number, beside the three times of each request.
pub(super) const MORE_NONCES: usize = 4;

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The authority's directory.
    pub(super) authority: String,
    /// What the authority knows as the address for incidents.
    pub(super) contact: Option<String>,
    /// Thumbprints of the keys that it had before, newest first: records in the DNS may name it by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) former_keys: Vec<String>,
    /// How the authority calls itself in records, where it has said so in an offer and does not in its directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) issuers: Vec<String>,
    pub(super) credentials: AccountCredentials,
}

/// What is kept of an account beside what opens it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Thumbprints of the keys that it had before.
    pub(super) former_keys: Vec<String>,
    /// How the authority has called itself.
    pub(super) issuers: Vec<String>,
}

/// The authority that is asked where the settings name none.
pub(in crate::net) fn authority_of(settings: &Settings) -> &str {
    let own = settings.authority.as_ref();
    own.map_or(LetsEncrypt::Production.url(), |own| own.as_str())
}

/// Asks once more, and again, where the authority refuses one nonce after the other (RFC 8555 section 6.5).
pub(super) async fn despite_nonces<T>(
    mut ask: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    for _ in 0..MORE_NONCES {
        match ask().await {
            Err(failure) if failure.kind == FailureKind::Nonce => {}
            done => return done,
        }
    }
    ask().await
}

/// A connection to the authority with the account of these settings.
pub(super) async fn connect(data: &Path, settings: &Settings) -> Result<(Account, Wire), Failure> {
    let roots = settings.authority_roots.as_ref();
    let roots = roots.map(|file| data.join(file));
    let client = WebClient::new(roots.as_deref()).map_err(|e| match roots {
        Some(_) => Failure::setup(format!("{OF_ROOTS}: {e}")),
        None => Failure::setup(e),
    })?;
    let wire = Wire::new(client, authority_of(settings));
    match despite_nonces(async || open(data, settings, &wire).await).await {
        Ok(account) => Ok((account, wire)),
        Err(failure) => Err(Failure {
            retry_at: failure.retry_at.or(wire.take_retry_at()),
            ..failure
        }),
    }
}

/// When the file with a key that may be the account's next one was written, if there is one; and the account's own.
pub(super) type Written = [Option<SystemTime>; 2];

/// When what there is of the account was written.
pub(super) fn written_at(data: &Path, settings: &Settings) -> Written {
    let path = path_of(data, authority_of(settings));
    [rollover::next_key_of(&path), path].map(|file| {
        let metadata = std::fs::metadata(file);
        metadata.and_then(|metadata| metadata.modified()).ok()
    })
}

/// The account with these settings: the one that is kept, else a new one, which is on the disk before it is used.
async fn open(data: &Path, settings: &Settings, wire: &Wire) -> Result<Account, Failure> {
    let authority = authority_of(settings);
    let path = path_of(data, authority);
    let contact = settings.contact.as_ref().map(super::settings::Contact::uri);
    let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
    rollover::settle(&path, settings, wire).await?;
    let builder = Account::builder_with_http(Box::new(wire.clone()));
    if let Some(kept) = read(&path)? {
        let account = builder.from_credentials(copy(&kept.credentials)?).await?;
        if kept.contact != contact {
            account.update_contacts(&contacts).await?;
            note_contact(data, &path, &kept.credentials, contact)?;
        }
        return Ok(account);
    }
    if !settings.agree_to_terms {
        let text = "nobody has agreed to the authority's terms of service; set agree_to_terms = true in \
                    [certificate] of webstead.toml";
        return Err(Failure::new(FailureKind::Setup, text));
    }
    let external = settings.external_account.as_ref().map(|external| {
        let key = decode(&external.key_in(data)?)?;
        Ok::<_, Failure>(ExternalAccountKey::new(external.id.clone(), &key))
    });
    let wanted = NewAccount {
        contact: &contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let external = external.transpose()?;
    let made = builder.create(&wanted, authority.to_owned(), external.as_ref());
    let made = made.await.map_err(|e| match external {
        Some(_) => of_external_account(e.into()),
        None => e.into(),
    });
    let (account, credentials) = made?;
    let kept = Kept {
        authority: authority.to_owned(),
        contact,
        former_keys: Vec::new(),
        issuers: Vec::new(),
        credentials,
    };
    write(data, &kept)?;
    Ok(account)
}

/// What is kept of the account of these settings.
pub(super) fn known(data: &Path, settings: &Settings) -> Result<Known> {
    let kept = read(&path_of(data, authority_of(settings)))?;
    Ok(kept.map_or_else(Known::default, |kept| Known {
        former_keys: kept.former_keys,
        issuers: kept.issuers,
    }))
}

/// Keeps how the authority calls itself in records; says whether that is new.
pub(super) fn note_issuers(data: &Path, settings: &Settings, issuers: Vec<String>) -> Result<bool> {
    amend(data, &path_of(data, authority_of(settings)), |kept| {
        let is_new = kept.issuers != issuers;
        kept.issuers = issuers;
        Ok(is_new)
    })
}

/// Keeps what the authority knows as the address for incidents of the account that was opened with these credentials. If
/// it has others meanwhile, whoever opens it next tells the authority again.
fn note_contact(
    data: &Path,
    path: &Path,
    opened: &AccountCredentials,
    contact: Option<String>,
) -> Result<bool> {
    let opened = text_of(opened)?;
    amend(data, path, |kept| {
        kept.contact = contact;
        Ok(text_of(&kept.credentials)? == opened)
    })
}

/// Changes what is kept now, if `change` says so: since it was read, a command or the server may have put another key in
/// place, which must not be written over.
fn amend(data: &Path, path: &Path, change: impl FnOnce(&mut Kept) -> Result<bool>) -> Result<bool> {
    let _turn = turn(path);
    let Some(mut kept) = read(path)? else {
        return Ok(false);
    };
    let is_changed = change(&mut kept)?;
    if is_changed {
        write_at(data, path, &kept)?;
    }
    Ok(is_changed)
}

/// Held by who reads and writes the file of an account, or puts another in its place. Only for moments, and without it
/// where the disk knows no locks.
pub(super) fn turn(path: &Path) -> Option<File> {
    let folder = File::open(path.parent()?).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Puts the account aside that its authority does not know any more; the next one is new.
pub(super) fn put_aside(data: &Path, settings: &Settings) -> Result<()> {
    let path = path_of(data, authority_of(settings));
    let aside = path.with_extension("lost");
    std::fs::rename(&path, &aside).map_err(|e| Error::io("putting aside", path, e))
}

/// One file for each authority: its name, and a digest for those of one machine.
pub(super) fn path_of(data: &Path, authority: &str) -> PathBuf {
    let host = url::Url::parse(authority).ok();
    let host = host
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or("authority");
    let digest = HEXLOWER.encode(&Sha256::digest(authority)[..4]);
    let safe: String = host
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    files::folder(data)
        .join(FOLDER)
        .join(format!("{safe}-{digest}.json"))
}

/// What is kept in this file, if it is there.
pub(super) fn read(path: &Path) -> Result<Option<Kept>> {
    let Some(text) = files::read_secret(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text).map(Some).map_err(|e| {
        Error::Invalid(format!(
            "{} is damaged ({e}); put it back from a backup, or move it away to get a new account",
            path.display()
        ))
    })
}

fn write(data: &Path, kept: &Kept) -> Result<()> {
    write_at(data, &path_of(data, &kept.authority), kept)
}

/// Keeps an account in this file; it is on the disk then.
pub(super) fn write_at(data: &Path, path: &Path, kept: &Kept) -> Result<()> {
    let text = serde_json::to_string_pretty(kept).map_err(Error::internal)?;
    files::create_folder_in(data, FOLDER)?;
    files::write(path, &text, files::SECRET)
}

/// Credentials are neither cloned nor lent; as text they are both.
fn copy(credentials: &AccountCredentials) -> Result<AccountCredentials> {
    serde_json::from_str(&text_of(credentials)?).map_err(Error::internal)
}

fn text_of(credentials: &AccountCredentials) -> Result<String> {
    serde_json::to_string(credentials).map_err(Error::internal)
}

/// Whether this is the key of an external account.
///
/// # Errors
/// [`Error::Invalid`] with what to do.
pub fn check_external_key(key: &str) -> Result<()> {
    let decoded = decode(key).map_err(|failure| Error::Invalid(failure.text))?;
    if decoded.is_empty() {
        return Err(Error::Invalid(
            "the key of external_account is empty".into(),
        ));
    }
    Ok(())
}

/// That an authority does not take an account that it made beforehand, with what to do: its words are often those of a
/// library.
fn of_external_account(failure: Failure) -> Failure {
    if !matches!(failure.kind, FailureKind::Refused | FailureKind::Validation) {
        return failure;
    }
    let text = format!(
        "the authority does not take the account that it gave you (external_account in [certificate]): {}; copy its id and \
         its key once more, both whole, and set the key with `webstead secret set external-account`",
        failure.text
    );
    Failure {
        kind: FailureKind::Setup,
        text,
        ..failure
    }
}

/// The key of an external account: base64url as RFC 8555 has it, or as some authorities show it.
fn decode(key: &str) -> Result<Vec<u8>, Failure> {
    let key = key.trim().as_bytes();
    let mut kinds = [BASE64URL_NOPAD, BASE64URL, BASE64_NOPAD, BASE64].into_iter();
    kinds.find_map(|kind| kind.decode(key).ok()).ok_or_else(|| {
        let text = "the key of external_account is not base64url (letters, digits, - and _), so nobody takes it; copy it alone \
                    and whole, as the authority shows it (webstead secret set external-account)";
        Failure::new(FailureKind::Setup, text)
    })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, thread};

    use super::{
        Kept, note_contact, note_issuers, path_of, read, rollover, text_of, write, write_at,
    };
    use crate::net::acme::Settings;

    /// An account with one key or another.
    fn account(key: &str) -> Kept {
        let credentials = serde_json::json!({ "id": "https://ca.example/1", "key_pkcs8": key, "directory": null });
        Kept {
            authority: super::authority_of(&Settings::default()).to_owned(),
            contact: None,
            former_keys: Vec::new(),
            issuers: Vec::new(),
            credentials: serde_json::from_value(credentials).unwrap(),
        }
    }

    fn key_in(path: &Path) -> String {
        text_of(&read(path).unwrap().unwrap().credentials).unwrap()
    }

    #[test]
    fn a_contact_is_noted_with_the_key_that_it_was_told_with_and_never_undoes_a_change_of_the_key()
    {
        let dir = tempfile::tempdir().unwrap();
        let (first, next) = (account("AAAA"), account("BBBB"));
        let path = path_of(dir.path(), &first.authority);
        let contact = || Some("mailto:ada@example.org".to_owned());
        let note = || note_contact(dir.path(), &path, &first.credentials, contact()).unwrap();
        assert!(!note(), "there is none");
        write(dir.path(), &first).unwrap();
        assert!(note());
        assert_eq!(read(&path).unwrap().unwrap().contact, contact());
        write(dir.path(), &next).unwrap();
        assert!(!note());
        assert_eq!(key_in(&path), text_of(&next.credentials).unwrap());
        assert_eq!(read(&path).unwrap().unwrap().contact, None);
    }

    #[test]
    fn a_key_of_an_external_account_is_base64url_and_one_that_is_refused_is_told_with_what_to_do() {
        for (key, is_one) in [
            (
                "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W",
                true,
            ),
            ("ab-_", true),
            (" YWJj\n", true),
            ("YWI=", true),
            ("*** nope", false),
            ("", false),
            ("abcde", false),
        ] {
            let checked = super::check_external_key(key);
            assert_eq!(checked.is_ok(), is_one, "{key:?}");
            let why = checked.err().map(|e| e.to_string()).unwrap_or_default();
            assert!(!why.contains("nope"), "a secret stays one: {why}");
        }
        let said = "square/go-jose: error in cryptographic primitive";
        let refused = super::Failure::new(super::FailureKind::Refused, said);
        let told = super::of_external_account(refused);
        assert!(
            told.text.contains(said) && told.text.contains("copy its id"),
            "{told:?}"
        );
        let away = super::Failure::unreachable("away");
        assert_eq!(super::of_external_account(away.clone()), away);
    }

    #[test]
    fn who_refuses_one_nonce_after_the_other_is_asked_again_and_who_refuses_something_else_is_not()
    {
        let nonce = || super::Failure::new(super::FailureKind::Nonce, "bad nonce");
        let refused = || super::Failure::new(super::FailureKind::Refused, "no");
        for (answers, expected, asked) in [
            (vec![Ok(1)], Ok(1), 1),
            (vec![Err(nonce()), Err(nonce()), Ok(1)], Ok(1), 3),
            (vec![Err(nonce()), Err(refused()), Ok(1)], Err(refused()), 2),
            (vec![Err(nonce()); 9], Err(nonce()), 1 + super::MORE_NONCES),
        ] {
            let mut count = 0;
            let done = actix_web::rt::System::new().block_on(super::despite_nonces(async || {
                count += 1;
                answers[count - 1].clone()
            }));
            assert_eq!((done, count), (expected, asked));
        }
    }

    #[test]
    fn a_key_that_is_put_in_place_while_something_is_noted_stays_there() {
        let dir = tempfile::tempdir().unwrap();
        let (data, settings) = (dir.path(), Settings::default());
        let (first, next) = (account("AAAA"), account("BBBB"));
        let path = path_of(data, &first.authority);
        for _ in 0..20 {
            write(data, &first).unwrap();
            write_at(data, &rollover::next_key_of(&path), &next).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    for n in 0..10 {
                        note_issuers(data, &settings, vec![n.to_string()]).unwrap();
                    }
                });
                scope.spawn(|| rollover::put_in_place(&path).unwrap());
            });
            assert_eq!(key_in(&path), text_of(&next.credentials).unwrap());
        }
    }
}
