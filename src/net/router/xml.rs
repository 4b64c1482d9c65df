//! Reads the XML of a router: a description of itself, or an answer.

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

/// No text that matters here is longer. What is longer is cut.
const MOST_TEXT: usize = 1024;

/// What is met on the way through a document. Names are without their prefix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Met<'a> {
    /// An element begins.
    Open(&'a str),
    /// An element ends, and this is the text since the last one began or ended.
    Close(&'a str, &'a str),
}

/// Walks through a document.
///
/// A document type is refused: no router needs one, and what it could declare is how XML is made to swell or to
/// fetch. So there are no entities but the five of XML itself.
///
/// # Errors
/// In words, with where it broke off.
pub(super) fn walk(document: &str, mut meet: impl FnMut(Met<'_>)) -> Result<(), String> {
    let mut reader = Reader::from_str(document);
    let mut text = String::new();
    let mut depth = 0_u32;
    loop {
        let event = reader.read_event();
        let broken =
            |why: &dyn std::fmt::Display| format!("at byte {}: {why}", reader.buffer_position());
        match event.map_err(|e| broken(&e))? {
            Event::Start(start) => {
                depth += 1;
                text.clear();
                meet(Met::Open(name(start.local_name().as_ref())));
            }
            Event::Empty(empty) => {
                let local = empty.local_name();
                let name = name(local.as_ref());
                meet(Met::Open(name));
                meet(Met::Close(name, ""));
                text.clear();
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                meet(Met::Close(name(end.local_name().as_ref()), text.trim()));
                text.clear();
            }
            Event::Text(part) => add(&mut text, &part.decode().map_err(|e| broken(&e))?),
            Event::CData(part) => add(&mut text, &part.decode().map_err(|e| broken(&e))?),
            Event::GeneralRef(part) => {
                if let Some(one) = part.resolve_char_ref().map_err(|e| broken(&e))? {
                    add(&mut text, one.encode_utf8(&mut [0; 4]));
                } else {
                    let name = part.decode().map_err(|e| broken(&e))?;
                    let known = resolve_predefined_entity(&name);
                    add(
                        &mut text,
                        known.ok_or_else(|| broken(&"an unknown entity"))?,
                    );
                }
            }
            Event::DocType(_) => return Err(broken(&"a document type")),
            Event::Eof if depth > 0 => return Err(broken(&"it ends too early")),
            Event::Eof => return Ok(()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

fn name(bytes: &[u8]) -> &str {
    // The document is a `str`, so this cannot fail.
    str::from_utf8(bytes).unwrap_or_default()
}

fn add(text: &mut String, more: &str) {
    let room = MOST_TEXT.saturating_sub(text.len());
    text.push_str(&more[..more.floor_char_boundary(room)]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Met, walk};

    fn closed(document: &str) -> Result<Vec<(String, String)>, String> {
        let mut all = Vec::new();
        walk(document, |met| {
            if let Met::Close(name, text) = met {
                all.push((name.to_owned(), text.to_owned()));
            }
        })?;
        Ok(all)
    }

    #[test]
    fn text_is_read_with_the_entities_of_xml_and_no_others() {
        let read = closed("<a:x xmlns:a='u'><y> 1 &amp; &#50;<![CDATA[<]]></y><z/></a:x>").unwrap();
        let read: Vec<_> = read.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        assert_eq!(read, [("y", "1 & 2<"), ("z", ""), ("x", "")]);
        for document in [
            "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>",
            "<!DOCTYPE x SYSTEM 'http://192.0.2.1/'><x/>",
            "<x>&file;</x>",
            "<x><y></x>",
            "<x>",
            "<x",
        ] {
            assert!(closed(document).is_err(), "{document}");
        }
    }

    #[test]
    fn long_text_is_cut() {
        let read = closed(&format!("<x>{}</x>", "ü".repeat(5000))).unwrap();
        assert_eq!(read[0].1.len(), super::MOST_TEXT);
    }

    proptest! {
        #[test]
        fn any_document_is_read_without_a_panic(document in "(<|>|/|&|;|!\\[CDATA\\[|\\]\\]|<a>|</a>|\\PC){0,60}") {
            let _ = closed(&document);
        }
    }
}
