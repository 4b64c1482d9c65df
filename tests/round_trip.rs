//! Whatever somebody types is either refused with a reason or kept letter by letter.

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use reqwest::StatusCode;

use crate::site::{Site, between};

/// Reads character references as a browser does, as far as this program writes them.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("&#") {
        out.push_str(&rest[..at]);
        let end = at + rest[at..].find(';').unwrap();
        let code: u32 = rest[at + 2..end].parse().unwrap();
        out.push(char::from_u32(code).unwrap());
        rest = &rest[end + 1..];
    }
    out + rest
}

/// What a browser would send back from the text field of the editor.
fn text_field(html: &str) -> String {
    let field = between(html, "name=\"markdown\"", "</textarea>");
    // A page's line ends are made one kind when it is read (section 13.2.3.5).
    let raw = field[field.find('>').unwrap() + 1..]
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let text = unescape(&raw);
    // The first line feed after the tag belongs to the tag (WHATWG HTML section 13.2.6.4.7).
    text.strip_prefix('\n').unwrap_or(&text).to_owned()
}

#[test]
fn what_was_typed_is_kept_letter_by_letter_or_refused_with_the_form_filled_in() {
    let (site, editor) = Site::with_owner();
    let mut runner = TestRunner::new(Config {
        cases: 96,
        failure_persistence: None,
        ..Config::default()
    });
    let title = prop_oneof![
        "\\PC{1,40}",
        any::<String>(),
        "[ <>&\"'\u{202e}\u{0}🦀a-z/.]{0,12}",
    ];
    let markdown = prop_oneof![
        any::<String>(),
        "[\\n\\r\\t #*_`~<>&|\\[\\]()!:\"'=a-z0-9-]{0,200}",
        "\n{0,3}( |\t){0,3}</textarea>[a-z<&;]{0,10}",
    ];
    let other = prop_oneof!["\\PC{0,30}", any::<String>()];
    let inputs = (title, markdown, other.clone(), other);
    runner
        .run(&inputs, |(title, markdown, tags, description)| {
            let form = [
                ("title", title.as_str()),
                ("markdown", markdown.as_str()),
                ("tags", tags.as_str()),
                ("description", description.as_str()),
                ("action", "publish"),
            ];
            let answer = site
                .post(&editor, "/admin/posts")
                .form(&form)
                .send()
                .unwrap();
            let status = answer.status();
            let typed = markdown.replace("\r\n", "\n").replace('\r', "\n");
            let page = match status {
                StatusCode::SEE_OTHER => {
                    let edit = answer.headers()["location"].to_str().unwrap().to_owned();
                    let (status, html) = site.text(&editor, &edit);
                    prop_assert_eq!(status, 200);
                    html
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    let html = answer.text().unwrap();
                    prop_assert!(
                        html.contains("class=\"field-error\""),
                        "no reason: {}",
                        html
                    );
                    html
                }
                other => return Err(TestCaseError::fail(format!("{other}"))),
            };
            if !markdown.contains('\0') {
                prop_assert_eq!(text_field(&page), typed);
            }
            Ok(())
        })
        .unwrap();
    let visitor = site.client();
    let (mut path, mut met) = ("/".to_owned(), 0);
    loop {
        let (status, html) = site.text(&visitor, &path);
        assert_eq!(status, 200, "{path}");
        for entry in html.split("<h2").skip(1) {
            let href = between(entry, "href=\"", "\"");
            assert_eq!(site.text(&visitor, &unescape(href)).0, 200, "{href}");
            met += 1;
        }
        if !html.contains("rel=\"next\"") {
            break;
        }
        path = between(&html, "rel=\"next\" href=\"", "\"").to_owned();
    }
    assert!(met > 20, "only {met} posts were published");
    assert!(!site.log().contains("panic"), "{}", site.log());
}
