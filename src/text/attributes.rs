//! The attributes in rendered HTML, each with its place, in one pass.

use std::ops::Range;

/// An attribute of an element.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// The name of the element.
    pub(crate) element: &'a str,
    /// Its own name.
    pub(crate) name: &'a str,
    /// Its value, with its character references as they are written.
    pub(crate) value: &'a str,
    /// Where the value is.
    pub(crate) value_at: Range<usize>,
    /// Where all of it is, from the blank before its name to the quote after its value.
    pub(crate) at: Range<usize>,
}

/// All attributes of HTML that [`super::markdown::render`] gives, in order.
///
/// The serialiser writes ` name="value"` alone, and escapes `<` everywhere and quotes in values (HTML
/// Living Standard section 13.3). Quotes in text stay as they are, so only what is in a tag counts.
pub(crate) fn attributes(html: &str) -> impl Iterator<Item = Attribute<'_>> {
    // The element whose tag is being read, and how far.
    let (mut element, mut from) = (None, 0);
    std::iter::from_fn(move || {
        loop {
            let Some(name) = element else {
                let start = from + html[from..].find('<')? + 1;
                from = start + html[start..].find([' ', '>'])?;
                element = Some(&html[start..from]);
                continue;
            };
            let value_at = html[from..].strip_prefix(' ').and_then(|rest| {
                let equals = from + 1 + rest.find(['=', '>'])?;
                let start = equals + html[equals..].strip_prefix("=\"").map(|_| 2)?;
                Some(start..start + html[start..].find('"')?)
            });
            let Some(value_at) = value_at else {
                element = None;
                continue;
            };
            let at = from..value_at.end + 1;
            from = at.end;
            return Some(Attribute {
                element: name,
                name: &html[at.start + 1..value_at.start - 2],
                value: &html[value_at.clone()],
                value_at,
                at,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_found_in_tags_and_nowhere_else() {
        let html =
            "<p id=\"a\" class=\"b c\"> src=\"text\" <br><img alt=\"x > y\" src=\"\"></p> id=\"z\"";
        let found: Vec<_> = attributes(html)
            .map(|a| (a.element, a.name, a.value))
            .collect();
        assert_eq!(
            found,
            [
                ("p", "id", "a"),
                ("p", "class", "b c"),
                ("img", "alt", "x > y"),
                ("img", "src", "")
            ]
        );
        let id = attributes(html).next().expect("there is one");
        assert_eq!(&html[id.at], " id=\"a\"");
        assert_eq!(&html[id.value_at], "a");
    }

    proptest! {
        #[test]
        fn any_text_is_read_to_its_end(html in "[<>a=\" /ü]{0,60}") {
            let mut end = 0;
            for attribute in attributes(&html) {
                prop_assert!(attribute.at.start >= end && !attribute.name.contains('>'));
                end = attribute.at.end;
            }
        }
    }
}
