//! Escaping text for HTML, and reading the character references back.

/// Adds text as it can stand between tags.
pub(super) fn text(text: &str, html: &mut String) {
    html.reserve(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            // NUL is no character of HTML (WHATWG HTML section 13.2.3.5).
            '\0' => html.push('\u{fffd}'),
            _ => html.push(c),
        }
    }
}

/// Character references that are worth knowing by name: those of HTML text that this program
/// writes, and those that hide a scheme (`javascript&colon;`).
const NAMED: &[(&str, &str)] = &[
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", "\u{a0}"),
    ("colon", ":"),
    ("sol", "/"),
    ("num", "#"),
    ("quest", "?"),
    ("lpar", "("),
    ("rpar", ")"),
    ("period", "."),
    ("Tab", "\t"),
    ("NewLine", "\n"),
    ("hellip", "…"),
    ("mdash", "—"),
    ("ndash", "–"),
    ("copy", "©"),
    ("rarr", "→"),
    ("larr", "←"),
];

/// Text with its character references read: numeric ones and those in [`NAMED`]; others stay.
pub(crate) fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (read, length) = reference(rest);
        out.push_str(&read);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// What the reference at the start of the text stands for, and how many bytes it takes.
fn reference(text: &str) -> (String, usize) {
    let as_it_is = || ("&".to_owned(), 1);
    let body = &text[1..];
    if let Some(number) = body.strip_prefix('#') {
        let (digits, radix, prefix) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16, 3),
            None => (number, 10, 2),
        };
        let length = digits
            .bytes()
            .take_while(|b| char::from(*b).is_digit(radix))
            .count();
        if length == 0 {
            return as_it_is();
        }
        let code = u32::from_str_radix(&digits[..length], radix).unwrap_or(0xfffd);
        let c = char::from_u32(code).filter(|c| *c != '\0');
        let semicolon = usize::from(digits[length..].starts_with(';'));
        return (
            c.unwrap_or('\u{fffd}').to_string(),
            prefix + length + semicolon,
        );
    }
    let length = body
        .bytes()
        .take(32)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    if !body[length..].starts_with(';') {
        return as_it_is();
    }
    NAMED
        .iter()
        .find(|(name, _)| *name == &body[..length])
        .map_or_else(as_it_is, |(_, value)| ((*value).to_owned(), length + 2))
}
