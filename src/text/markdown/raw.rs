//! Raw HTML in a text: what is allowed is written again, the rest is noted.

use super::{
    raw_html::{Token, Tokens, decoded},
    rules::{self, Element, Kind},
    url,
    writer::{Closing, Open, Writer, attribute},
};

/// Where pieces of raw HTML come from: where each starts in the HTML, and where in the Markdown.
pub(super) type Origins<'o> = &'o [(usize, usize)];

/// Values of `rel` that say something about the link and do nothing.
const RELS: &[&str] = &[
    "author",
    "bookmark",
    "external",
    "help",
    "license",
    "me",
    "nofollow",
    "noopener",
    "noreferrer",
    "sponsored",
    "tag",
    "ugc",
];

/// Elements that an HTML parser closes by itself before another of the first kind, unless one of
/// the second is in between (Living Standard section 13.1.2.4).
const CLOSED_BY: &[(&str, &[&str], &[&str])] = &[
    ("li", &["li"], &["ol", "ul"]),
    ("dt", &["dt", "dd"], &["dl"]),
    ("dd", &["dt", "dd"], &["dl"]),
    ("rt", &["rt", "rp"], &["ruby"]),
    ("rp", &["rt", "rp"], &["ruby"]),
    ("td", &["td", "th"], &["tr", "table"]),
    ("th", &["td", "th"], &["tr", "table"]),
    ("tr", &["tr", "caption", "colgroup"], &["table"]),
    (
        "thead",
        &["caption", "colgroup", "thead", "tbody", "tfoot", "tr"],
        &["table"],
    ),
    (
        "tbody",
        &["caption", "colgroup", "thead", "tbody", "tfoot", "tr"],
        &["table"],
    ),
    (
        "tfoot",
        &["caption", "colgroup", "thead", "tbody", "tfoot", "tr"],
        &["table"],
    ),
    ("colgroup", &["caption", "colgroup"], &["table"]),
];

impl Writer<'_> {
    /// Writes raw HTML. Gives the name of an element whose content must be dropped until its end
    /// tag, if that end is not in this piece.
    pub(super) fn raw(&mut self, html: &str, origins: Origins<'_>) -> Option<&'static str> {
        let mut tokens = Tokens::new(html);
        let mut dropping = None;
        while let Some(token) = tokens.next() {
            match token {
                Token::Comment => {}
                Token::Text(text) => self.raw_text(text),
                Token::Close { name } => self.raw_close(&name),
                Token::Open {
                    name,
                    attributes,
                    at,
                } => {
                    let offset = offset(origins, at);
                    if let Some(element) = rules::element(&name) {
                        self.raw_open(element, attributes, offset);
                        continue;
                    }
                    let shown: String = name.chars().take(40).collect();
                    self.remove(offset, format!("<{shown}>"));
                    if let Some(name) = rules::DROPPED_WITH_CONTENT.iter().find(|n| **n == name) {
                        dropping = (!tokens.skip_past_close(name)).then_some(*name);
                    }
                }
            }
        }
        dropping
    }

    fn raw_text(&mut self, text: &str) {
        let text = decoded(text);
        self.text(&text);
    }

    fn raw_open(
        &mut self,
        element: &'static Element,
        attributes: Vec<(String, String)>,
        offset: usize,
    ) {
        let name = element.name;
        let is_block = matches!(element.kind, Kind::Block | Kind::VoidBlock);
        if is_block && self.is_in_heading() {
            return self.remove(offset, format!("<{name}> in a heading"));
        }
        if name == "a" && self.is_open("a") {
            return self.remove(offset, "<a> in a link".to_owned());
        }
        if is_block && element.parents.is_empty() {
            self.end_paragraph();
        }
        self.close_implied(name);
        let parent = self.frame.stack.last().map(|open| open.name);
        if !element.parents.is_empty() && !parent.is_some_and(|p| element.parents.contains(&p)) {
            return self.remove(
                offset,
                format!("<{name}> outside of <{}>", element.parents[0]),
            );
        }
        let is_void = matches!(element.kind, Kind::Void | Kind::VoidBlock);
        if !is_void && !self.has_room() {
            return self.remove(offset, format!("<{name}> nested too deeply"));
        }
        let Some((written, id)) = self.raw_attributes(element, attributes, offset) else {
            return;
        };
        if let Some(level) = level(name) {
            self.open_heading(level, id, written);
            self.frame.stack.push(Open {
                name,
                close: Closing::Heading,
                serial: 0,
            });
            return;
        }
        let mut start = format!("<{name}");
        if let Some(id) = id {
            attribute(&mut start, "id", &self.ids.claim_raw(&id));
        }
        start.push_str(&written);
        start.push('>');
        if name == "table" {
            self.html("<div class=\"table\" role=\"group\" tabindex=\"0\" aria-label=\"Table\">");
        }
        self.html(&start);
        if !is_void {
            let close = if name == "table" {
                Closing::With("</table></div>")
            } else {
                Closing::Tag
            };
            self.frame.stack.push(Open {
                name,
                close,
                serial: 0,
            });
        }
    }

    /// Closes what a start tag closes by itself, as far as raw HTML opened it.
    fn close_implied(&mut self, name: &str) {
        let Some((_, closes, until)) = CLOSED_BY.iter().find(|(opens, ..)| *opens == name) else {
            return;
        };
        let mut to = None;
        for (depth, open) in self.frame.stack.iter().enumerate().rev() {
            if open.serial != 0 || until.contains(&open.name) {
                break;
            }
            if closes.contains(&open.name) {
                to = Some(depth);
            }
        }
        if let Some(depth) = to {
            self.close_to(depth);
        }
    }

    /// Closes the innermost raw element of that name, unless Markdown was opened in it since.
    fn raw_close(&mut self, name: &str) {
        let mut found = None;
        for (depth, open) in self.frame.stack.iter().enumerate().rev() {
            if open.serial != 0 {
                break;
            }
            if open.name == name || (level(name).is_some() && level(open.name).is_some()) {
                found = Some(depth);
                break;
            }
        }
        if let Some(depth) = found {
            self.close_to(depth);
        }
    }

    /// The attributes as they are written, and the id; `None` if the element cannot do without one
    /// that may not be there.
    fn raw_attributes(
        &mut self,
        element: &Element,
        attributes: Vec<(String, String)>,
        offset: usize,
    ) -> Option<(String, Option<String>)> {
        let name = element.name;
        let (mut written, mut id, mut anchor, mut rel) = (String::new(), None, None, String::new());
        let (mut has_alt, mut has_address, mut is_external) = (false, false, false);
        for (attribute_name, value) in attributes {
            let key = attribute_name.as_str();
            if key == "name" && name == "a" {
                // What anchors were before they were ids.
                anchor = Some(value);
                continue;
            }
            if !rules::is_allowed(element, key) || !rules::is_valid(name, key, &value) {
                let shown: String = key.chars().take(40).collect();
                self.remove(offset, format!("{shown} attribute on <{name}>"));
                continue;
            }
            match key {
                "id" => id = Some(value.trim().to_owned()),
                "rel" => rel = value,
                // Written below for every player.
                "controls" => {}
                _ if rules::ADDRESS_ATTRIBUTES.contains(&key) => {
                    let Some(address) = self.destination(name, &value, offset) else {
                        continue;
                    };
                    has_address |= key == "src" && !address.is_empty();
                    is_external |= key == "href" && url::is_external(&address);
                    attribute(&mut written, key, &address);
                }
                _ => {
                    has_alt |= key == "alt";
                    attribute(&mut written, key, &value);
                }
            }
        }
        match name {
            "img" if !has_address => {
                self.remove(offset, "image without an address".to_owned());
                return None;
            }
            "source" if !has_address => return None,
            "img" => {
                if !has_alt {
                    written.push_str(" alt=\"\"");
                }
                written.push_str(" loading=\"lazy\" decoding=\"async\"");
            }
            "a" => {
                let mut rels: Vec<&str> = rel
                    .split_ascii_whitespace()
                    .filter(|word| RELS.contains(word))
                    .collect();
                if is_external && !rels.contains(&"noopener") {
                    rels.push("noopener");
                }
                if !rels.is_empty() {
                    attribute(&mut written, "rel", &rels.join(" "));
                }
            }
            "audio" | "video" => written.push_str(" controls"),
            "pre" => written.push_str(" tabindex=\"0\""),
            _ => {}
        }
        let anchor = anchor.filter(|anchor| rules::is_valid("a", "id", anchor));
        Some((written, id.or(anchor)))
    }
}

/// Where in the Markdown a place of collected raw HTML is.
fn offset(origins: Origins<'_>, at: usize) -> usize {
    let next = origins.partition_point(|&(start, _)| start <= at);
    let (start, source) = origins[next.saturating_sub(1)];
    source + (at - start)
}

/// The level of a heading's name.
fn level(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}
