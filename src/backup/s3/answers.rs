//! What a store answers: lists, and refusals in XML.

use jiff::Timestamp;
use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

/// No text that matters here is longer. What is longer is cut.
const MOST_TEXT: usize = 2048;

/// A file in a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name in the bucket.
    pub(super) key: String,
    /// Its size.
    pub(super) bytes: u64,
    /// When it was written, by the clock of the store.
    pub(super) written_at: Option<Timestamp>,
}

/// A part of a list (`ListObjectsV2`).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) found: Vec<Found>,
    /// What to ask for the next part with, if there is one.
    pub(super) next: Option<String>,
}

impl Listed {
    /// Reads one; <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
    ///
    /// # Errors
    /// In words.
    pub(super) fn parse(document: &[u8]) -> Result<Self, String> {
        let (mut listed, mut root) = (Self::default(), String::new());
        let (mut file, mut is_cut, mut next) = (Found::default(), false, None);
        walk(document, |path, text| {
            if let [only] = path {
                root.clone_from(only);
            }
            match path {
                [_, contents, name] if contents == "Contents" => match name.as_str() {
                    "Key" => text.clone_into(&mut file.key),
                    "Size" => file.bytes = text.parse().unwrap_or_default(),
                    "LastModified" => file.written_at = text.parse().ok(),
                    _ => {}
                },
                [_, contents] if contents == "Contents" => {
                    listed.found.push(std::mem::take(&mut file));
                }
                [_, name] if name == "IsTruncated" => is_cut = text == "true",
                [_, name] if name == "NextContinuationToken" => next = Some(text.to_owned()),
                _ => {}
            }
        })?;
        if root != "ListBucketResult" {
            return Err("the answer is not a list".into());
        }
        if is_cut {
            // Without it a list would end too soon, and what is there would be taken for lost.
            listed.next = Some(
                next.filter(|next| !next.is_empty())
                    .ok_or("a list is cut")?,
            );
        }
        Ok(listed)
    }
}

/// What a store says when it does not do what it was asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its word for it, such as `NoSuchBucket`; none if the answer has none.
    pub(super) code: String,
    /// The same for people.
    pub(super) message: String,
    /// The region that it would like better.
    pub(super) region: String,
}

impl Refusal {
    /// Reads one; what cannot be read says nothing.
    pub(super) fn parse(document: &[u8]) -> Self {
        let mut this = Self::default();
        let _ = walk(document, |path, text| {
            if let [error, name] = path
                && error == "Error"
            {
                match name.as_str() {
                    "Code" => text.clone_into(&mut this.code),
                    "Message" => text.clone_into(&mut this.message),
                    "Region" => text.clone_into(&mut this.region),
                    _ => {}
                }
            }
        });
        this
    }
}

/// Calls for each element at its end, with the names on the way to it, and its text. A document type is refused: what
/// it could declare is how XML is made to swell.
fn walk(document: &[u8], mut meet: impl FnMut(&[String], &str)) -> Result<(), String> {
    const DEEPEST: usize = 16;
    let document = std::str::from_utf8(document).map_err(|e| e.to_string())?;
    let mut reader = Reader::from_str(document);
    let (mut path, mut text) = (Vec::new(), String::new());
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(start) => {
                path.push(name(start.local_name().as_ref()));
                text.clear();
                if path.len() > DEEPEST {
                    return Err("it is nested too deeply".into());
                }
            }
            Event::Empty(empty) => {
                path.push(name(empty.local_name().as_ref()));
                meet(&path, "");
                path.pop();
            }
            Event::End(_) => {
                meet(&path, text.trim());
                path.pop();
                text.clear();
            }
            Event::Text(part) => add(&mut text, &part.decode().map_err(|e| e.to_string())?),
            Event::CData(part) => add(&mut text, &part.decode().map_err(|e| e.to_string())?),
            Event::GeneralRef(part) => {
                if let Some(one) = part.resolve_char_ref().map_err(|e| e.to_string())? {
                    add(&mut text, one.encode_utf8(&mut [0; 4]));
                } else {
                    let name = part.decode().map_err(|e| e.to_string())?;
                    add(
                        &mut text,
                        resolve_predefined_entity(&name).ok_or("an unknown entity")?,
                    );
                }
            }
            Event::DocType(_) => return Err("it has a document type".into()),
            Event::Eof if path.is_empty() => return Ok(()),
            Event::Eof => return Err("it breaks off".into()),
            _ => {}
        }
    }
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn add(text: &mut String, part: &str) {
    let room = MOST_TEXT.saturating_sub(text.len());
    text.extend(part.chars().take(room));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_and_a_refusal_are_read() {
        let list = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b=</NextContinuationToken>
            <Contents><Key>x/y</Key><LastModified>2026-11-27T01:00:00.000Z</LastModified><Size>12</Size>
            <Owner><ID>z</ID></Owner></Contents><Contents><Key>z</Key><Size>0</Size></Contents></ListBucketResult>"#;
        let listed = Listed::parse(list).unwrap();
        assert_eq!(listed.next.as_deref(), Some("a&b="));
        assert_eq!(listed.found.len(), 2);
        assert_eq!((&*listed.found[0].key, listed.found[0].bytes), ("x/y", 12));
        assert!(listed.found[0].written_at.is_some());
        let cut = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert!(Listed::parse(cut).is_err());
        assert!(Listed::parse(&list[..200]).is_err());
        assert!(Listed::parse(b"").is_err() && Listed::parse(b"<html></html>").is_err());
        assert!(Listed::parse(b"<!DOCTYPE x [<!ENTITY y 'z'>]><ListBucketResult/>").is_err());
        let refusal = b"<Error><Code>NoSuchBucket</Code><Message>No.</Message></Error>";
        assert_eq!(Refusal::parse(refusal).code, "NoSuchBucket");
    }

    proptest! {
        #[test]
        fn whatever_a_store_answers_there_are_words_and_no_panic(text in "(<[A-Za-z/!]*>|&[a-z#0-9]*;|\\PC)*") {
            let _ = Listed::parse(text.as_bytes());
            let _ = Refusal::parse(text.as_bytes());
        }
    }
}
