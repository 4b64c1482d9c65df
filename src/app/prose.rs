//! Sentences for people as a page shows them: what stands in backticks is code, and international names are as people
//! write them. What others have said is in some of them, so everything is escaped.

use askama::filters::Safe;

use crate::base::international;

/// A sentence as HTML: `` `webstead check` `` is `<code>webstead check</code>`. A terminal shows it as it is.
pub fn prose(text: impl AsRef<str>) -> Safe<String> {
    let text = international::in_text(text.as_ref());
    let mut html = String::with_capacity(text.len() + 16);
    let mut rest: &str = &text;
    while let Some((before, after)) = rest.split_once('`') {
        match after.split_once('`') {
            Some((code, behind)) if !code.is_empty() => {
                escape(before, &mut html);
                html.push_str("<code>");
                escape(code, &mut html);
                html.push_str("</code>");
                rest = behind;
            }
            _ => break,
        }
    }
    escape(rest, &mut html);
    Safe(html)
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // A terminal is steered by these, and a page shows nothing of them.
            c if c.is_control() && !c.is_whitespace() => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::prose;

    #[test]
    fn what_stands_in_backticks_is_code_and_everything_is_escaped() {
        for (text, html) in [
            ("Look.", "Look."),
            (
                "`webstead check` says it: `a`, `b`.",
                "<code>webstead check</code> says it: <code>a</code>, <code>b</code>.",
            ),
            ("one ` alone", "one ` alone"),
            ("`a` and ` alone", "<code>a</code> and ` alone"),
            ("``", "``"),
            (
                "`<script>alert(1)</script>` <b>&\"'",
                "<code>&lt;script&gt;alert(1)&lt;/script&gt;</code> &lt;b&gt;&amp;&quot;&#39;",
            ),
            (
                "`</code><img src=x onerror=y>`",
                "<code>&lt;/code&gt;&lt;img src=x onerror=y&gt;</code>",
            ),
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            (
                "xn--bcher-kva.example `xn--bcher-kva.example`",
                "bücher.example (xn--bcher-kva.example) <code>xn--bcher-kva.example</code>",
            ),
        ] {
            assert_eq!(prose(text).0, html, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_others_say_no_tag_but_code_comes_of_it(text in "[`<>&\"'a-z/=\\PC]{0,60}") {
            let html = prose(&text).0;
            let bare = html.replace("<code>", "").replace("</code>", "");
            prop_assert!(!bare.contains(['<', '>', '"', '\'']), "{}", html);
            prop_assert_eq!(html.matches("<code>").count(), html.matches("</code>").count());
        }
    }
}
