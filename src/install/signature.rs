//! Who has made a program: a signature in minisign's format beside the file.

use std::{ffi::OsString, fs, io::ErrorKind, path::Path};

use minisign_verify::{PublicKey, Signature};

use crate::base::{Error, Result, minisign::public_key};

/// Keys that are compiled in.
const RELEASE_KEYS: &str = include_str!("release_keys.txt");

/// A key whose signature is believed: what `minisign -G` shows and writes, as a line beginning with `RW`.
pub struct Key(PublicKey);

impl Key {
    /// Reads a key as it is typed.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is none.
    pub fn parse(text: &str) -> Result<Self> {
        public_key(text).map(Self).map_err(Error::Invalid)
    }

    /// Those that are compiled in.
    ///
    /// # Errors
    /// As [`Key::parse`].
    pub fn compiled_in() -> Result<Vec<Self>> {
        let lines = RELEASE_KEYS.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.map(Self::parse).collect()
    }
}

/// Looks whether the signature beside `file` (`FILE.minisig`) is one of `keys` under these bytes, and gives the comment
/// that was signed with them.
///
/// # Errors
/// [`Error::Invalid`] if there is none, or one of somebody else, or of another file.
pub fn verify(file: &Path, bytes: &[u8], keys: &[Key]) -> Result<String> {
    let refused = |why: String| {
        Error::Invalid(format!(
            "{why}. Whoever gave you the file may have changed it. If you have built it yourself, or trust it for \
             another reason, --unsigned takes it as it is"
        ))
    };
    let mut path = OsString::from(file);
    path.push(".minisig");
    let path = Path::new(&path);
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(refused(format!(
                "{} is not signed: there is no {}",
                file.display(),
                path.display()
            )));
        }
        Err(e) => return Err(Error::io("reading", path, e)),
    };
    let signature = Signature::decode(&text)
        .map_err(|e| refused(format!("{} is no signature ({e})", path.display())))?;
    if keys.is_empty() {
        return Err(refused(
            "there is a signature, but no key to look at it with: give the one of whom you trust with --key".into(),
        ));
    }
    let is_of = |key: &&Key| key.0.verify(bytes, &signature, false).is_ok();
    if keys.iter().any(|key| is_of(&key)) {
        return Ok(signature.trusted_comment().to_owned());
    }
    Err(refused(format!(
        "the signature {} is not that of anybody who is trusted, or not of this file",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Key, verify};

    // Of minisign's own documentation: the word "test".
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
        RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
        trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
        wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";

    #[test]
    fn a_file_is_taken_with_the_signature_of_a_trusted_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("program");
        let keys = [Key::parse(KEY).unwrap()];
        let refusal = verify(&file, b"test", &keys).unwrap_err().to_string();
        assert!(refusal.contains("is not signed"), "{refusal}");
        let signature = dir.path().join("program.minisig");
        fs::write(&signature, SIGNATURE).unwrap();
        assert!(verify(&file, b"test", &keys).unwrap().contains("file:test"));
        verify(&file, b"tesT", &keys).unwrap_err();
        verify(&file, b"test", &[]).unwrap_err();
        fs::write(&signature, SIGNATURE.replace("prehashed", "prehushed")).unwrap();
        verify(&file, b"test", &keys).unwrap_err();
        fs::write(&signature, "nonsense").unwrap();
        verify(&file, b"test", &keys).unwrap_err();
    }

    #[test]
    fn the_keys_that_are_compiled_in_are_keys() {
        Key::compiled_in().unwrap();
        assert!(Key::parse("RWnonsense").is_err());
    }
}
