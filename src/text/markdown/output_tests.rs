//! Tests of rendering: what Markdown becomes.

use super::*;

/// The HTML of Markdown, without options.
fn html(markdown: &str) -> String {
    render(markdown, &Options::default()).html
}

/// What was removed, as `line: what`.
fn removed(markdown: &str) -> Vec<String> {
    let removed = render(markdown, &Options::default()).removed;
    let each = removed.into_iter();
    each.map(|r| format!("{}: {}", r.line, r.what)).collect()
}

#[test]
fn markdown_becomes_the_html_of_its_kind() {
    for (markdown, expected) in [
        (
            "One *two* **three** ~~four~~ `a<b`",
            "<p>One <em>two</em> <strong>three</strong> <del>four</del> <code>a&lt;b</code></p>\n",
        ),
        ("a \"quote\" -- it's", "<p>a \"quote\" -- it's</p>\n"),
        ("a  \nb", "<p>a<br>\nb</p>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("3. a", "<ol start=\"3\">\n<li>a</li>\n</ol>\n"),
        ("> a", "<blockquote>\n<p>a</p>\n</blockquote>\n"),
        ("---", "<hr>\n"),
        ("[a](/b \"c\")", "<p><a href=\"/b\" title=\"c\">a</a></p>\n"),
        (
            "[a](https://b.example/)",
            "<p><a href=\"https://b.example/\" rel=\"noopener\">a</a></p>\n",
        ),
        (
            "<a@b.example>",
            "<p><a href=\"mailto:a@b.example\">a@b.example</a></p>\n",
        ),
        (
            "![a *b*](c.png)",
            "<p><img src=\"c.png\" alt=\"a b\" loading=\"lazy\" decoding=\"async\"></p>\n",
        ),
        (
            "![](c.png)",
            "<p><img src=\"c.png\" alt=\"\" loading=\"lazy\" decoding=\"async\"></p>\n",
        ),
        (
            "    a < b",
            "<pre tabindex=\"0\"><code>a &lt; b</code></pre>\n",
        ),
        (
            "```klingon\na\n```",
            "<pre tabindex=\"0\"><code class=\"language-klingon\">a\n</code></pre>\n",
        ),
    ] {
        assert_eq!(html(markdown), expected, "{markdown}");
    }
}

#[test]
fn code_of_a_known_language_is_coloured() {
    let html = html("```Rust,ignore\nfn main() {}\n```");
    assert!(
        html.starts_with("<pre tabindex=\"0\"><code class=\"language-rust\"><span class=\"hl-"),
        "{html}"
    );
}

#[test]
fn every_heading_has_an_id_of_its_own_and_a_link() {
    let rendered = render(
        "## Čapek's *robots*\n\n## Čapek's robots\n\n### x {#own .wide}\n\n## …",
        &Options::default(),
    );
    let ids: Vec<_> = rendered
        .headings
        .iter()
        .map(|h| (h.level, h.id.as_str(), h.text.as_str()))
        .collect();
    assert_eq!(
        ids,
        [
            (2, "capeks-robots", "Čapek's robots"),
            (2, "capeks-robots-2", "Čapek's robots"),
            (3, "own", "x"),
            (2, "section", "…"),
        ]
    );
    let link = "<h3 id=\"own\" class=\"wide\">x <a class=\"anchor\" href=\"#own\" aria-label=\"Link to this section\">#</a></h3>";
    assert!(rendered.html.contains(link), "{}", rendered.html);
}

#[test]
fn headings_start_below_the_title_of_the_page_and_skip_no_level() {
    for (markdown, levels) in [
        ("## a\n\n### b", vec![2, 3]),
        ("# a\n\n## b\n\n###### c\n\n### d", vec![2, 3, 4, 4]),
        ("## a\n\n<h1>b</h1>\n\n## c", vec![2, 2, 3]),
        ("```\n# no\n```\n\n#### a\n\n#### b", vec![2, 2]),
    ] {
        let headings = render(markdown, &Options::default()).headings;
        assert_eq!(
            headings.iter().map(|h| h.level).collect::<Vec<_>>(),
            levels,
            "{markdown}"
        );
    }
}

#[test]
fn tables_task_lists_alerts_and_footnotes_can_be_used_without_eyes_or_mouse() {
    let table = html("a | b\n--|--:\n1 | 2");
    assert!(table.starts_with("<div class=\"table\" role=\"group\" tabindex=\"0\" aria-label=\"Table\"><table><thead><tr><th scope=\"col\">a</th><th scope=\"col\" class=\"align-right\">b</th></tr></thead>"), "{table}");
    let tasks = html("- [x] a\n- [ ] b");
    assert!(
        tasks
            .contains("<input type=\"checkbox\" aria-label=\"Done\" disabled=\"\" checked=\"\"> a"),
        "{tasks}"
    );
    assert!(
        tasks.contains("<input type=\"checkbox\" aria-label=\"To do\" disabled=\"\"> b"),
        "{tasks}"
    );
    let alert = html("> [!WARNING]\n> a");
    assert!(alert.contains("<div class=\"alert alert-warning\" role=\"note\">\n<p class=\"alert-title\">Warning</p>\n<p>a</p>"), "{alert}");
    let notes = html("a[^x] b[^x]\n\n[^x]: c");
    assert!(notes.contains("<sup class=\"footnote-ref\"><a href=\"#fn-1\" id=\"fnref-1\" aria-label=\"Footnote 1\">1</a></sup>"), "{notes}");
    assert!(
        notes.contains("<li id=\"fn-1\"><p>c <a class=\"footnote-back\" href=\"#fnref-1\""),
        "{notes}"
    );
    assert!(notes.contains("href=\"#fnref-1-2\""), "{notes}");
}

#[test]
fn links_and_images_are_rewritten_wherever_they_stand() {
    let link = |address: &str| {
        address
            .strip_prefix("old/")
            .map(|rest| format!("/new/{rest}"))
    };
    let options = Options { link: Some(&link) };
    let rendered = render(
        "[a](old/a) ![b](old/b.png) [c](keep) [d][d]\n\n<p><a href=\"old/e\">e</a><img src=old/f.png></p>\n\n[d]: old/d",
        &options,
    );
    for address in [
        "/new/a",
        "/new/b.png",
        "keep",
        "/new/d",
        "/new/e",
        "/new/f.png",
    ] {
        assert!(
            rendered.html.contains(&format!("\"{address}\"")),
            "{address}: {}",
            rendered.html
        );
    }
    let evil = |_: &str| Some("javascript:alert(1)".to_owned());
    let rendered = render("[a](b) <a href=c>d</a>", &Options { link: Some(&evil) });
    assert!(!rendered.html.contains("javascript"), "{}", rendered.html);
}

#[test]
fn good_raw_html_stays_and_is_balanced() {
    for (markdown, expected) in [
        (
            "<details open>\n<summary>a</summary>\n\n*b*\n\n</details>",
            "<details open=\"\">\n<summary>a</summary>\n<p><em>b</em></p>\n</details>\n",
        ),
        (
            "a <kbd>b</kbd> <mark>c</mark><sub>d",
            "<p>a <kbd>b</kbd> <mark>c</mark><sub>d</sub></p>\n",
        ),
        (
            "<progress value=\"3\" max=\"5\" aria-label=\"x\"></progress>",
            "<p><progress value=\"3\" max=\"5\" aria-label=\"x\"></progress></p>",
        ),
        ("a &copy; &lt; b", "<p>a © &lt; b</p>\n"),
        ("</div>a</b>", "a"),
    ] {
        assert_eq!(html(markdown).trim_end(), expected.trim_end(), "{markdown}");
        assert_eq!(removed(markdown), [""; 0], "{markdown}");
    }
}

#[test]
fn what_is_not_allowed_is_named_with_its_line() {
    for (markdown, expected) in [
        ("a\n\n<script>x</script>\n\nb", vec!["3: <script>"]),
        ("a\nb <script>x</script> c", vec!["2: <script>"]),
        (
            "<div style=\"x\" onclick=\"y\">\n<font color=\"red\">a</font></div>",
            vec![
                "1: style attribute on <div>",
                "1: onclick attribute on <div>",
                "2: <font>",
            ],
        ),
        ("a\n\n[a](javascript:x)", vec!["3: javascript: link"]),
        (
            "<a href=\"java&#10;script&colon;x\">a</a>",
            vec!["1: javascript: link"],
        ),
        ("![a](data:image/svg+xml,x)", vec!["1: data: image"]),
        (
            "<table><tr><td align=left>a</td></tr></table>",
            vec!["1: align attribute on <td>"],
        ),
        ("<iframe src=\"/\"></iframe>", vec!["1: <iframe>"]),
        ("<center>a</center>", vec!["1: <center>"]),
        (
            "> a\n> <div\n> style=x>\n> <object>b</object></div>",
            vec!["2: style attribute on <div>", "4: <object>"],
        ),
    ] {
        assert_eq!(removed(markdown), expected, "{markdown}");
    }
}

#[test]
fn children_of_what_is_dropped_stay_unless_they_are_no_text() {
    assert_eq!(html("<center>a <font>b</font></center>").trim(), "a b");
    assert_eq!(
        html("<noscript><img src=\"a.png\" alt=\"b\"></noscript>").trim(),
        "<p><img src=\"a.png\" alt=\"b\" loading=\"lazy\" decoding=\"async\"></p>"
    );
    assert_eq!(
        html("a <script>b</script> <svg>c</svg> d"),
        "<p>a   d</p>\n"
    );
    let html = html("<style>\n\na\n\n</style>\n\nb");
    assert_eq!(html.trim(), "<p>b</p>");
}

#[test]
fn ids_of_raw_html_change_only_if_they_are_taken() {
    let html = html("## a\n\n<p id=\"a\">b</p>\n<p id=\"c\">d</p>");
    assert!(
        html.contains("id=\"a\"") && html.contains("id=\"text-a\"") && html.contains("id=\"c\""),
        "{html}"
    );
}
