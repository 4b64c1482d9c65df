//! Tests of rendering: what nobody should be able to do with it.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// The tags of HTML that was made here: attribute values hold no `<` and no `>`.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<')
        .skip(1)
        .filter_map(|part| part.split('>').next())
}

/// Says what is dangerous in HTML.
fn danger(html: &str) -> Option<String> {
    for tag in tags(html) {
        let lower = tag.to_ascii_lowercase();
        let name: String = lower
            .chars()
            .skip_while(|c| *c == '/')
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let is_known = name == "input" || rules::element(&name).is_some();
        if !is_known {
            return Some(format!("<{tag}>"));
        }
        // Names of attributes stand outside of quotes.
        for (i, outside) in lower.split('"').step_by(2).enumerate() {
            let names = outside
                .split([' ', '=', '\n', '\t'])
                .skip(usize::from(i == 0));
            for attribute in names {
                if attribute.starts_with("on")
                    || matches!(attribute, "style" | "srcdoc" | "action" | "formaction")
                {
                    return Some(format!("<{tag}>"));
                }
            }
        }
        let value_is_script = lower.split('"').skip(1).step_by(2).any(|value| {
            let value: String = value
                .chars()
                .filter(|c| !c.is_control() && *c != ' ')
                .collect();
            value.starts_with("javascript:")
                || value.starts_with("vbscript:")
                || value.starts_with("data:text")
        });
        if value_is_script
            && !lower.contains("title=\"")
            && !lower.contains("alt=\"")
            && !lower.contains("aria-")
            && !lower.contains("class=\"")
        {
            return Some(format!("<{tag}>"));
        }
    }
    None
}

/// Pieces that attacks are made of.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "<script>",
        "</script>",
        "<script/src=//x>",
        "<style>",
        "</style>",
        "<svg>",
        "</svg>",
        "<svg/onload=alert(1)>",
        "<math>",
        "<mtext>",
        "<mglyph>",
        "<annotation-xml encoding=text/html>",
        "<img src=x onerror=alert(1)>",
        "<img src=\"javascript:alert(1)\">",
        "<a href=\"",
        "\">",
        "'>",
        "<a href=javascript:alert(1)>",
        "</a>",
        "[x](javascript:alert(1))",
        "![x](data:text/html,x)",
        "[x](<java\nscript:alert(1)>)",
        "<java&#115;cript:x>",
        "<table>",
        "</table>",
        "<tr>",
        "<td>",
        "<select>",
        "<option>",
        "<template>",
        "<textarea>",
        "</textarea>",
        "<title>",
        "</title>",
        "<noscript>",
        "</noscript>",
        "<p title=\"</noscript><script>x</script>\">",
        "<!--",
        "-->",
        "<!",
        "<?",
        "]]>",
        "<![CDATA[",
        "<iframe srcdoc=\"<script>x</script>\">",
        "<form action=x>",
        "<input type=image src=x onerror=y>",
        "<div style=\"a\" onclick='b'",
        " ONCLICK=x ",
        "/",
        ">",
        "<",
        "\"",
        "'",
        "`",
        "=",
        "&#x6a;",
        "&colon;",
        "&lt;script&gt;",
        "\n",
        "\n\n",
        "    ",
        "> ",
        "- ",
        "# ",
        "```html\n",
        "```\n",
        "*",
        "**",
        "[",
        "](",
        ")",
        "|",
        "\n--|--\n",
        "[^a]",
        "\n[^a]: ",
        "\u{0}",
        "\u{202e}",
        "<plaintext>",
        "<xmp>",
        "<base href=//x>",
        "<meta http-equiv=refresh content=0>",
        "<link rel=stylesheet href=x>",
        "<b>",
        "</b>",
        "<p>",
        "</p>",
        "<h1 id=\"x\">",
        "{#x onclick=y}",
        "<details ontoggle=x open>",
        "<a id=x name=y>",
    ];
    prop_oneof![
        4 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z <>=\"']{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_that_runs_is_ever_in_the_html(pieces in prop::collection::vec(piece(), 0..12)) {
        let markdown = pieces.concat();
        let rendered = render(&markdown, &Options::default());
        if let Some(found) = danger(&rendered.html) {
            prop_assert!(false, "{found} in {}", rendered.html);
        }
        let lines = markdown.split('\n').count();
        prop_assert!(rendered.removed.iter().all(|r| r.line >= 1 && r.line <= lines));
    }

    #[test]
    fn html_is_balanced_and_flat(pieces in prop::collection::vec(piece(), 0..12)) {
        let html = render(&pieces.concat(), &Options::default()).html;
        let mut open: Vec<&str> = Vec::new();
        for tag in tags(&html) {
            let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
            if matches!(name, "br" | "hr" | "img" | "input" | "wbr" | "col" | "source") {
                continue;
            }
            if tag.starts_with('/') {
                prop_assert_eq!(open.pop(), Some(name), "{}", html);
            } else {
                open.push(name);
            }
            prop_assert!(open.len() <= 2 * writer::MAX_DEPTH);
        }
        prop_assert!(open.is_empty(), "{}", html);
    }

    #[test]
    fn ids_are_unique(pieces in prop::collection::vec(piece(), 0..12)) {
        let html = render(&pieces.concat(), &Options::default()).html;
        let mut seen = std::collections::HashSet::new();
        for tag in tags(&html) {
            if let Some((_, rest)) = tag.split_once(" id=\"") {
                let id = rest.split('"').next().unwrap_or_default();
                prop_assert!(seen.insert(id.to_owned()), "{id} in {}", html);
            }
        }
    }
}

/// Attacks on the time and the stack, as repeated text.
const BOMBS: &[(&str, &str)] = &[
    ("quotes", "> "),
    ("lists", "- "),
    ("numbered lists", "1. "),
    ("quotes and lists", "> - "),
    ("emphasis", "*a "),
    ("strong", "**a"),
    ("both", "*_"),
    ("strike", "~~a "),
    ("brackets", "["),
    ("images", "!["),
    ("links", "[a]("),
    ("links in links", "[a](b"),
    ("references", "[a][b]"),
    ("footnotes", "[^a]"),
    ("footnote definitions", "[^a]: b\n\n"),
    ("backticks", "`a``b```c"),
    ("divs", "<div>"),
    ("divs on lines", "<div>\n\n"),
    ("bold", "<b>"),
    ("bold with classes", "<b class=\"a\"><i>"),
    ("misnested", "<b><p></b>"),
    ("links of HTML", "<a href=\"/\">x"),
    ("tables", "<table><tr><td>"),
    ("text in tables", "<table>x<b>"),
    ("rows", "<table><tr>"),
    ("lists of HTML", "<ul><li>"),
    ("unclosed tags", "<a "),
    ("unclosed quotes", "<a b=\""),
    ("comments", "<!---->"),
    ("unclosed comments", "<!--"),
    ("comments in a block", "<div><!-- a -->"),
    ("processing", "<?"),
    ("CDATA", "<![CDATA["),
    ("scripts", "<script>"),
    ("scripts that end", "<script></script>"),
    ("inline scripts", "a <script>"),
    ("svg", "<svg>"),
    ("selects", "<select><option>"),
    ("ids in text", " id=\"a\""),
    ("doubled ids", "<b id=\"a\">x</b>"),
    ("entities", "&amp;&unknown;"),
    ("unknown entities", "<b>&abcdefghij;"),
    ("headings", "# a\n"),
    ("HTML headings", "<h2>a"),
    ("table columns", "|a"),
    ("tasks", "- [ ] a\n"),
    ("alerts", "> [!NOTE]\n"),
    ("attributes", "<div a=b c=d>"),
    ("email", "<a@b"),
    ("ids", "<p id=a>"),
    ("equal headings", "## a\n\n"),
    ("hard breaks", "a\\\n"),
    ("end tags", "</b></p></div>"),
];

#[test]
fn no_repeated_text_takes_more_than_linear_time() {
    let mut slow = Vec::new();
    for (name, text) in BOMBS {
        for (start, end) in [("", ""), ("<table>", ""), ("<div>\n", "")] {
            let markdown = format!("{start}{}{end}", text.repeat(200_000 / text.len()));
            let started = Instant::now();
            let rendered = render(&markdown, &Options::default());
            let took = started.elapsed();
            assert_eq!(danger(&rendered.html), None, "{name}");
            assert!(rendered.html.len() < 40 * markdown.len(), "{name}");
            if took > Duration::from_secs(8) {
                slow.push(format!("{name} after {start:?}: {took:?}"));
            }
        }
    }
    // Most take 20 ms. The limit leaves room for a debug build on a machine that is busy with others;
    // what is quadratic takes far longer at this size.
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn containers_that_are_carried_on_for_many_lines_stay_cheap() {
    let deep =
        |marker: &str, n: usize, line: &str| format!("{}\n{}", marker.repeat(n), line.repeat(n));
    let wide_table = format!(
        "{}\n{}\n{}",
        "|a".repeat(2_000),
        "|-".repeat(2_000),
        "|\n".repeat(50_000)
    );
    let reference = format!("[a]: /{}\n\n{}", "b".repeat(50_000), "[a] ".repeat(20_000));
    for (name, markdown) in [
        ("blank lines in deep lists", deep("- ", 50_000, "\n")),
        ("lazy lines in deep quotes", deep("> ", 50_000, "a\n")),
        ("short rows in a wide table", wide_table),
        ("a long address used often", reference),
    ] {
        let started = Instant::now();
        let rendered = render(&markdown, &Options::default());
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        assert!(
            rendered.html.len() < 20_000_000,
            "{name}: {}",
            rendered.html.len()
        );
    }
}
