//! What HTML a text may hold: elements, where they may stand, and their attributes.

/// An element that is allowed.
pub(super) struct Element {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How it sits among others.
    pub kind: Kind,
    /// Attributes it may have beside [`GLOBAL_ATTRIBUTES`] and `aria-*`.
    pub attributes: &'static [&'static str],
    /// Elements one of which must be right around it; empty: anywhere.
    pub parents: &'static [&'static str],
}

/// How an element sits among others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It ends an open paragraph and is not allowed in a heading.
    Block,
    /// It stands within a line.
    Inline,
    /// It has no content, within a line.
    Void,
    /// It has no content and ends an open paragraph.
    VoidBlock,
}

/// Attributes that every element may have.
pub(super) const GLOBAL_ATTRIBUTES: &[&str] = &["class", "dir", "id", "lang", "role", "title"];

/// Values of `role` that cannot mislead a screen reader about the page around the text.
pub(super) const ROLES: &[&str] = &["img", "note", "presentation", "group"];

/// Attributes that hold an address.
pub(super) const ADDRESS_ATTRIBUTES: &[&str] = &["cite", "href", "poster", "src"];

/// Elements that go together with all that is in them; the content of the others is kept.
pub(super) const DROPPED_WITH_CONTENT: &[&str] = &[
    "canvas",
    "datalist",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "plaintext",
    "script",
    "select",
    "style",
    "svg",
    "template",
    "textarea",
    "title",
    "xmp",
];

/// The rules of an element; `None` if it is not allowed.
pub(super) fn element(name: &str) -> Option<&'static Element> {
    ELEMENTS.iter().find(|element| element.name == name)
}

const fn block(name: &'static str, attributes: &'static [&'static str]) -> Element {
    part(name, attributes, &[])
}

const fn part(
    name: &'static str,
    attributes: &'static [&'static str],
    parents: &'static [&'static str],
) -> Element {
    Element {
        name,
        kind: Kind::Block,
        attributes,
        parents,
    }
}

const fn inline(name: &'static str, attributes: &'static [&'static str]) -> Element {
    Element {
        name,
        kind: Kind::Inline,
        attributes,
        parents: &[],
    }
}

const fn void(
    name: &'static str,
    attributes: &'static [&'static str],
    parents: &'static [&'static str],
) -> Element {
    Element {
        name,
        kind: Kind::Void,
        attributes,
        parents,
    }
}

const TABLE_PARTS: &[&str] = &["table"];
const ROWS_IN: &[&str] = &["table", "thead", "tbody", "tfoot"];
const CELL: &[&str] = &["colspan", "headers", "rowspan"];
const HEAD_CELL: &[&str] = &["abbr", "colspan", "headers", "rowspan", "scope"];
const PLAYER: &[&str] = &[
    "controls", "height", "loop", "muted", "poster", "preload", "src", "width",
];

/// Every element that is allowed. Obsolete ones (HTML Living Standard section 16.2) are not.
pub(super) static ELEMENTS: &[Element] = &[
    inline("a", &["download", "href", "hreflang", "rel", "type"]),
    inline("abbr", &[]),
    block("address", &[]),
    block("article", &[]),
    block("aside", &[]),
    inline("audio", &["controls", "loop", "muted", "preload", "src"]),
    inline("b", &[]),
    inline("bdi", &[]),
    inline("bdo", &[]),
    block("blockquote", &["cite"]),
    void("br", &[], &[]),
    part("caption", &[], TABLE_PARTS),
    inline("cite", &[]),
    inline("code", &[]),
    void("col", &["span"], &["colgroup", "table"]),
    part("colgroup", &["span"], TABLE_PARTS),
    inline("data", &["value"]),
    part("dd", &[], &["dl", "div"]),
    inline("del", &["cite", "datetime"]),
    block("details", &["name", "open"]),
    inline("dfn", &[]),
    block("div", &[]),
    block("dl", &[]),
    part("dt", &[], &["dl", "div"]),
    inline("em", &[]),
    part("figcaption", &[], &["figure"]),
    block("figure", &[]),
    block("h1", &[]),
    block("h2", &[]),
    block("h3", &[]),
    block("h4", &[]),
    block("h5", &[]),
    block("h6", &[]),
    Element {
        name: "hr",
        kind: Kind::VoidBlock,
        attributes: &[],
        parents: &[],
    },
    inline("i", &[]),
    void("img", &["alt", "height", "src", "width"], &[]),
    inline("ins", &["cite", "datetime"]),
    inline("kbd", &[]),
    part("li", &["value"], &["ol", "ul"]),
    inline("mark", &[]),
    block("ol", &["reversed", "start", "type"]),
    block("p", &[]),
    block("pre", &[]),
    inline("progress", &["max", "value"]),
    inline("q", &["cite"]),
    part("rp", &[], &["ruby"]),
    part("rt", &[], &["ruby"]),
    inline("ruby", &[]),
    inline("s", &[]),
    inline("samp", &[]),
    block("section", &[]),
    inline("small", &[]),
    void("source", &["src", "type"], &["audio", "video"]),
    inline("span", &[]),
    inline("strong", &[]),
    inline("sub", &[]),
    part("summary", &[], &["details"]),
    inline("sup", &[]),
    block("table", &[]),
    part("tbody", &[], TABLE_PARTS),
    part("td", CELL, &["tr"]),
    part("tfoot", &[], TABLE_PARTS),
    part("th", HEAD_CELL, &["tr"]),
    part("thead", &[], TABLE_PARTS),
    inline("time", &["datetime"]),
    part("tr", &[], ROWS_IN),
    inline("u", &[]),
    block("ul", &[]),
    inline("var", &[]),
    inline("video", PLAYER),
    void("wbr", &[], &[]),
];

/// Whether an attribute may stand on an element at all.
pub(super) fn is_allowed(element: &Element, attribute: &str) -> bool {
    GLOBAL_ATTRIBUTES.contains(&attribute)
        || element.attributes.contains(&attribute)
        || attribute
            .strip_prefix("aria-")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase()))
}

/// Whether a value is one that the attribute may have.
pub(super) fn is_valid(element: &str, attribute: &str, value: &str) -> bool {
    let value = value.trim();
    match attribute {
        "role" => ROLES.contains(&value),
        "id" => !value.is_empty() && !value.contains(char::is_whitespace),
        "dir" => matches!(value, "ltr" | "rtl" | "auto"),
        "scope" => matches!(value, "row" | "col" | "rowgroup" | "colgroup"),
        "preload" => matches!(value, "none" | "metadata" | "auto"),
        "type" if element == "ol" => matches!(value, "1" | "a" | "A" | "i" | "I"),
        "width" | "height" => is_number(value),
        "colspan" | "rowspan" | "span" => is_number(value) && value.len() <= 3 && value != "0",
        "start" => is_integer(value),
        "value" if element == "li" => is_integer(value),
        "value" | "max" if element == "progress" => value
            .parse::<f64>()
            .is_ok_and(|n| n.is_finite() && n >= 0.0),
        _ => true,
    }
}

fn is_number(value: &str) -> bool {
    !value.is_empty() && value.len() <= 5 && value.bytes().all(|b| b.is_ascii_digit())
}

fn is_integer(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit())
}
