//! What the bench programs share: a post that is like real ones.

use webstead::{
    app::posts::post::{Content, Kind, Rendered},
    base::Timestamp,
    text::address::Address,
};

/// About what a post of a real blog has: headings, links, code, a table. 4 KB of Markdown.
pub fn text() -> String {
    let paragraph = "We are happy to announce a new version of the thing that this site is about. It is \
        *faster*, **smaller** and has [fewer surprises](https://example.org/surprises) than the one before. ";
    let mut text = String::new();
    for part in 1..=4 {
        text.push_str(&format!("## Part {part}\n\n{}\n\n", paragraph.repeat(4)));
        text.push_str("```rust\nfn main() {\n    let n: usize = (1..10).map(|i| i * i).sum();\n    println!(\"{n}\");\n}\n```\n\n");
        text.push_str("| what | before | now |\n|---|---|---|\n| start | 9 s | 1 s |\n| memory | 200 MB | 16 MB |\n\n");
    }
    text
}

/// Post number `number`, published at `at` (seconds since 1970).
pub fn post(number: usize, at: i64, markdown: &str) -> Content {
    Content {
        kind: Kind::Post,
        title: format!("Announcing version {number} of the thing"),
        description: String::new(),
        markdown: markdown.to_owned(),
        tags: vec!["news".into(), format!("series {}", number % 10)],
        authors: vec!["Ada Lovelace".into(), "The Release Team".into()],
        address: Address::from_stored(format!("/posts/version-{number}")),
        published_at: Some(Timestamp(at)),
        draft_at: None,
    }
}

/// The text as a new site stores it.
pub fn rendered(markdown: &str) -> Rendered {
    Rendered::from_markdown(markdown).packed_with(markdown)
}
