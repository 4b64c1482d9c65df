//! Objects: pieces of content, each under a name made from it, so that nothing is stored twice.

use std::{borrow::Cow, fmt, str::FromStr};

use brotlic::{CompressionMode, Quality, WindowSize};
use data_encoding::HEXLOWER;
use ring::digest::SHA256;

use super::seal::Key;
use crate::base::{Error, Result};

/// The most content that one object has.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;
/// What a seal and a little of brotli may add to it.
const MAX_ADDED_BYTES: usize = 1024;
/// Brotli's quality 2 compresses a database to a fifth as fast as a card of a small board can read it.
const QUALITY: u8 = 2;
/// Window of brotli for content of up to 64 KiB, and for what is larger: 2^16 and 2^20 bytes.
const WINDOW_BITS: [u8; 2] = [16, 20];
/// Of something large, so much is tried; pictures and films do not become smaller.
const SAMPLE_BYTES: usize = 64 * 1024;

/// Where an object is and how it was written: 64 hexadecimal digits, and `.br` if brotli made it smaller.
///
/// The digits are the SHA-256 of the content, or, in a sealed repository, its HMAC, so that the name tells
/// nothing to who does not have the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Reference {
    digest: [u8; 32],
    is_compressed: bool,
}

impl Reference {
    /// The file of the object in its repository.
    pub(super) fn file(&self) -> String {
        let name = self.to_string();
        format!("objects/{}/{name}", &name[..2])
    }

    /// The reference that a file of a repository belongs to.
    pub(super) fn of_file(file: &str) -> Option<Self> {
        let (folder, name) = file.strip_prefix("objects/")?.split_once('/')?;
        let reference: Self = name.parse().ok()?;
        name.starts_with(folder)
            .then_some(reference)
            .filter(|found| found.file() == file)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.digest))?;
        f.write_str(if self.is_compressed { ".br" } else { "" })
    }
}

impl FromStr for Reference {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (hex, is_compressed) = match text.strip_suffix(".br") {
            Some(hex) => (hex, true),
            None => (text, false),
        };
        let digest = HEXLOWER.decode(hex.as_bytes()).ok();
        let digest = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let short: String = text.chars().take(80).collect();
        let wrong = || Error::Damaged(format!("{short:?} is not the name of an object"));
        Ok(Self {
            digest: digest.ok_or_else(wrong)?,
            is_compressed,
        })
    }
}

impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The digest by which content is named.
pub(super) fn digest_of(content: &[u8], key: Option<&Key>) -> [u8; 32] {
    match key {
        Some(key) => key.name(content),
        None => sha256(content),
    }
}

/// SHA-256 as ring has it: for the smallest boards in their own machine language.
pub(super) fn sha256(content: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&SHA256, content).as_ref());
    digest
}

/// Both names that content with this digest can have.
pub(super) fn candidates(digest: [u8; 32]) -> [Reference; 2] {
    [true, false].map(|is_compressed| Reference {
        digest,
        is_compressed,
    })
}

/// Content as it is written, with its reference.
pub(super) fn pack<'a>(
    content: &'a [u8],
    digest: [u8; 32],
    key: Option<&Key>,
) -> Result<(Reference, Cow<'a, [u8]>)> {
    let compressed = compress(content);
    let reference = Reference {
        digest,
        is_compressed: compressed.is_some(),
    };
    let bytes = compressed.map_or(Cow::Borrowed(content), Cow::Owned);
    match key {
        Some(key) => {
            let sealed = key.seal(reference.to_string().as_bytes(), bytes.into_owned())?;
            Ok((reference, Cow::Owned(sealed)))
        }
        None => Ok((reference, bytes)),
    }
}

/// The most bytes that an object of so much content may have where it is stored.
pub(super) fn most_stored(max_bytes: usize) -> usize {
    max_bytes.min(MAX_BYTES) + MAX_ADDED_BYTES
}

/// The content of an object: at most `max_bytes`, and what its name says.
///
/// # Errors
/// [`Error::Damaged`] if it is damaged.
pub(super) fn unpack(
    reference: &Reference,
    stored: Vec<u8>,
    max_bytes: usize,
    key: Option<&Key>,
) -> Result<Vec<u8>> {
    let damaged = || Error::Damaged(format!("the object {reference} is damaged"));
    let bytes = match key {
        Some(key) => key.open(reference.to_string().as_bytes(), stored),
        None => Some(stored),
    };
    let bytes = bytes.ok_or_else(damaged)?;
    let content = if reference.is_compressed {
        // However much it would become: no more than this is written.
        let mut content = vec![0; max_bytes.min(MAX_BYTES)];
        let written = brotlic::decompress(&bytes, &mut content).map_err(|_| damaged())?;
        content.truncate(written);
        content
    } else {
        bytes
    };
    if content.len() > max_bytes || digest_of(&content, key) != reference.digest {
        return Err(damaged());
    }
    Ok(content)
}

/// Smaller by a twentieth at least, or not at all.
fn compress(content: &[u8]) -> Option<Vec<u8>> {
    let is_large = content.len() > SAMPLE_BYTES;
    if is_large {
        let middle = (content.len() - SAMPLE_BYTES) / 2;
        shrink(&content[middle..middle + SAMPLE_BYTES], WINDOW_BITS[0])?;
    }
    shrink(content, WINDOW_BITS[usize::from(is_large)])
}

fn shrink(content: &[u8], window_bits: u8) -> Option<Vec<u8>> {
    let mut out = vec![0; content.len() - content.len() / 20];
    let quality = Quality::new(QUALITY).ok()?;
    let window = WindowSize::new(window_bits).ok()?;
    let mode = CompressionMode::Generic;
    // What does not fit is not worth it.
    let written = brotlic::compress(content, &mut out, quality, window, mode).ok()?;
    out.truncate(written);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round(content: &[u8], key: Option<&Key>) -> (Reference, Vec<u8>) {
        let (reference, stored) = pack(content, digest_of(content, key), key).unwrap();
        let stored = stored.into_owned();
        let back = unpack(&reference, stored.clone(), content.len(), key).unwrap();
        assert_eq!(back, content);
        assert_eq!(
            reference.to_string().parse::<Reference>().unwrap(),
            reference
        );
        assert_eq!(
            Reference::of_file(&reference.file()),
            Some(reference.clone())
        );
        (reference, stored)
    }

    #[test]
    fn what_can_become_smaller_does_and_the_rest_stays_as_it_is() {
        let text = "all work and no play ".repeat(10_000);
        let (reference, stored) = round(text.as_bytes(), None);
        assert!(reference.is_compressed && stored.len() < text.len() / 50);
        let mut noise = vec![0; 200_000];
        getrandom::fill(&mut noise).unwrap();
        let (reference, stored) = round(&noise, None);
        assert!(!reference.is_compressed && stored == noise);
        round(b"", None);
    }

    #[test]
    fn a_sealed_object_tells_nothing_without_the_key() {
        let (key, other) = (Key::new().unwrap(), Key::new().unwrap());
        let text = "a secret ".repeat(100);
        let (reference, stored) = round(text.as_bytes(), Some(&key));
        let (plain, _) = round(text.as_bytes(), None);
        assert_ne!(reference, plain, "the name would tell what it is");
        let (of_other, _) = round(text.as_bytes(), Some(&other));
        assert_ne!(reference, of_other);
        for wrong in [None, Some(&other)] {
            assert!(unpack(&reference, stored.clone(), 8192, wrong).is_err());
        }
    }

    #[test]
    fn an_object_that_grows_without_end_is_refused_before_it_does() {
        let zeros = vec![0u8; MAX_BYTES];
        let digest = digest_of(&zeros, None);
        let (reference, stored) = pack(&zeros, digest, None).unwrap();
        assert!(stored.len() < 1000, "{}", stored.len());
        let error = unpack(&reference, stored.into_owned(), 64 * 1024, None).unwrap_err();
        assert!(error.to_string().contains("damaged"), "{error}");
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        let hex = "a".repeat(64);
        for name in [
            "",
            "../../etc/passwd",
            &hex[1..],
            &hex.to_uppercase(),
            &format!("{hex}.gz"),
        ] {
            assert!(name.parse::<Reference>().is_err(), "{name}");
        }
        for file in [
            format!("objects/bb/{hex}"),
            format!("objects/{hex}"),
            "objects/aa/x".into(),
        ] {
            assert_eq!(Reference::of_file(&file), None, "{file}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_noticed(content in "[a-c]{1,400}", at in 0usize..10_000, bit in 0u8..8, is_sealed: bool) {
            let key = is_sealed.then(|| Key::new().unwrap());
            let key = key.as_ref();
            let (reference, stored) = pack(content.as_bytes(), digest_of(content.as_bytes(), key), key).unwrap();
            let mut stored = stored.into_owned();
            let at = at % stored.len();
            stored[at] ^= 1 << bit;
            // Brotli may ignore bits at its end; then the content is the same.
            if let Ok(back) = unpack(&reference, stored, 4096, key) {
                prop_assert_eq!(back, content.into_bytes());
            }
        }
    }
}
