//! Usual and extreme content for the gallery.

use crate::app::archive::views::{Dated, Month, YearPage};
use crate::app::editor::views::{
    Conflict, DiffLine, EditForm, EditPage, EntryRow, FieldDifference, ListPage, MediaRow,
};
use crate::app::home::views::HomePage;
use crate::app::layout::{FieldErrors, Link, Notice, NoticeKind, Reader, Shell, Site, Undo};
use crate::app::lists::Summary;
use crate::app::posts::views::PostPage;
use crate::app::users::views::{SessionRow, SignInPage};
use crate::base::{Id, Timestamp};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// What the renderer of Markdown makes of a text that has a bit of everything.
pub(super) const EVERYTHING: &str = include_str!("everything.html");
pub(super) const HOSTILE: &str = "\"><script>alert(1)</script><b style='x'>&amp;";
pub(super) const RTL: &str = "מדריך לבניית אתר: העולם הקטן שלנו ברשת";
/// 12 December 2014, 09:30 UTC.
pub(super) const THEN: Timestamp = Timestamp(1_418_376_600);

pub(super) fn site(title: &str, is_set_up: bool) -> Site {
    Site {
        id: Id(1),
        title: title.to_owned(),
        tagline: "Notes from a small computer in the hall".to_owned(),
        language: "en".to_owned(),
        zone: TimeZone::UTC,
        menu: vec![link("About", "/about"), link("Projects", "/projects")],
        posts_per_page: 10,
        is_set_up,
    }
}

pub(super) fn link(title: &str, href: &str) -> Link {
    Link {
        title: title.to_owned(),
        href: href.to_owned(),
    }
}

pub(super) fn shell(path: &str, title: &str) -> Shell {
    Shell {
        site: Arc::new(site("The Lighthouse Journal", true)),
        base_url: "https://example.org".to_owned(),
        path: path.to_owned(),
        query: String::new(),
        title: title.to_owned(),
        description: "What the sea brings in.".to_owned(),
        og_type: "website",
        og_image: None,
        published: None,
        reader: None,
        notice: None,
        alarms: Vec::new(),
        is_private: false,
    }
}

pub(super) fn private(path: &str, title: &str) -> Shell {
    Shell {
        reader: Some(Reader {
            display_name: "Ada Lovelace".to_owned(),
            is_owner: true,
        }),
        is_private: true,
        ..shell(path, title)
    }
}

pub(super) fn notice(kind: NoticeKind, undo: bool) -> Notice {
    Notice {
        kind,
        text: "“Rust 1.0, a timeline” is in the trash.".to_owned(),
        undo: undo.then(|| Undo {
            action: "/admin/posts/7/restore".to_owned(),
            label: "Undo".to_owned(),
        }),
    }
}

pub(super) fn errors() -> FieldErrors {
    FieldErrors(vec![
        (
            "title",
            "Give it a title of at most 300 characters; this one has 10,000.".to_owned(),
        ),
        (
            "address",
            "“/archive” is an address of the site itself. Choose another one.".to_owned(),
        ),
        (
            "published",
            "“soon” is not a date. Write it as 2014-12-12 09:30.".to_owned(),
        ),
    ])
}

pub(super) fn summaries() -> Vec<Summary> {
    let texts = [
        (
            "Building the lamp again, from parts that still exist",
            "The old lens came back from the workshop in spring. Here is what we learned about brass, salt, and why nobody paints the inside of a lantern room twice.",
        ),
        (
            "A week of fog",
            "Seven days without a horizon. The horn kept its minute, the logbook kept its lines, and the cat kept the only dry chair.",
        ),
        (
            "",
            "A note without a title, because some days are like that.",
        ),
        (
            "Why this site runs on the computer in the hall",
            "It needs less power than the door bell, it survives my mistakes, and when somebody asks where my words are, I can point at them.",
        ),
    ];
    texts
        .into_iter()
        .enumerate()
        .map(|(i, (title, description))| Summary {
            title: title.to_owned(),
            href: format!("/post-{i}"),
            description: description.to_owned(),
            published: Some(Timestamp(THEN.0 - 86_400 * 11 * i as i64)),
            authors: vec!["Ada Lovelace".to_owned()],
            tags: if i == 0 {
                vec![
                    link("Lamp room", "/tags/lamp-room"),
                    link("Brass", "/tags/brass"),
                ]
            } else {
                Vec::new()
            },
        })
        .collect()
}

pub(super) fn extreme_summaries() -> Vec<Summary> {
    [
        HOSTILE.to_owned(),
        RTL.to_owned(),
        "W".repeat(10_000),
        "👩‍👩‍👧‍👦".repeat(50),
    ]
    .into_iter()
    .map(|title| Summary {
        href: "/x".to_owned(),
        description: title.clone(),
        published: Some(Timestamp(253_402_300_799)),
        authors: vec![title.clone(), RTL.to_owned()],
        tags: vec![link(&title, "/tags/x"); 30],
        title,
    })
    .collect()
}

pub(super) fn post(title: &str, html: &str) -> PostPage {
    PostPage {
        shell: Shell {
            og_type: "article",
            og_image: Some("https://example.org/media/x/lamp.jpg".to_owned()),
            published: Some(THEN),
            ..shell("/2014/12/12/lamp", title)
        },
        title: title.to_owned(),
        html: html.to_owned(),
        published: Some(THEN),
        updated: Some(Timestamp(THEN.0 + 864_000)),
        authors: vec!["Ada Lovelace".to_owned(), "Grace Hopper".to_owned()],
        tags: vec![
            link("Lamp room", "/tags/lamp-room"),
            link("Brass", "/tags/brass"),
        ],
        minutes: 7,
        previous: Some(link("A week of fog", "/post-1")),
        next: Some(link(
            "Why this site runs on the computer in the hall",
            "/post-3",
        )),
        edit_href: None,
        is_draft: false,
    }
}

pub(super) fn edit(title: &str, markdown: &str) -> EditPage {
    EditPage {
        shell: private("/admin/posts/7", "Edit post"),
        form: EditForm {
            id: Some("7".to_owned()),
            revision: 3,
            kind: "post".to_owned(),
            title: title.to_owned(),
            address: "/2014/12/12/lamp".to_owned(),
            tags: "Lamp room, Brass".to_owned(),
            authors: "Ada Lovelace; Grace Hopper".to_owned(),
            published: "2014-12-12 09:30".to_owned(),
            markdown: markdown.to_owned(),
            ..EditForm::default()
        },
        errors: FieldErrors::default(),
        conflict: None,
        preview_html: None,
        state: "published",
        view_href: Some("/2014/12/12/lamp".to_owned()),
        old_addresses: vec!["/lamp".to_owned()],
        tag_suggestions: vec!["Fog".to_owned(), "Brass".to_owned(), RTL.to_owned()],
        kept: false,
        media: vec![MediaRow {
            name: "lamp.jpg".to_owned(),
            href: "/media/x/lamp.jpg".to_owned(),
            markdown: "![The lamp](/media/x/lamp.jpg)".to_owned(),
        }],
    }
}

pub(super) const MARKDOWN: &str = "The old lens came back from the workshop in spring.\n\n## What we learned\n\n- **Brass** wants oil, *not* polish.\n- Salt wants everything.\n\n```rust\nfn main() {\n    println!(\"lit\");\n}\n```\n";

pub(super) fn conflict() -> EditPage {
    let line = |kind, text: &str| DiffLine {
        kind,
        text: text.to_owned(),
    };
    let differs = |name, theirs: &str, yours: &str| FieldDifference {
        name,
        theirs: theirs.to_owned(),
        yours: yours.to_owned(),
    };
    EditPage {
        conflict: Some(Conflict {
            saved: THEN,
            fields: vec![
                differs("Title", "Building the lamp", "Building the lamp again"),
                differs("Tags", "", "Lamp room, Brass"),
                differs("Description", HOSTILE, RTL),
            ],
            diff: vec![
                line(
                    "same",
                    "The old lens came back from the workshop in spring.",
                ),
                line("same", ""),
                line("theirs", "- Brass wants oil."),
                line("yours", "- **Brass** wants oil, *not* polish."),
                line("same", "- Salt wants everything."),
            ],
            their_revision: 4,
        }),
        ..edit("Building the lamp again", MARKDOWN)
    }
}

pub(super) fn list(entries: Vec<EntryRow>, query: &str) -> ListPage {
    ListPage {
        shell: Shell {
            notice: Some(notice(NoticeKind::Good, true)),
            ..private("/admin", "Everything")
        },
        entries,
        query: query.to_owned(),
        filter: "all".to_owned(),
        newer: None,
        older: Some("/admin?before=9".to_owned()),
        trash_count: 2,
        lacks_domain: true,
    }
}

pub(super) fn entry(title: &str, kind: &'static str, state: &'static str) -> EntryRow {
    EntryRow {
        id: "7".to_owned(),
        title: title.to_owned(),
        kind,
        state,
        edit_href: "/admin/posts/7".to_owned(),
        view_href: "/x".to_owned(),
        updated: THEN,
        published: (state == "published").then_some(THEN),
    }
}

pub(super) fn year(months: Vec<Month>) -> YearPage {
    YearPage {
        shell: shell("/archive/2014", "2014"),
        year: 2014,
        months,
        previous_year: Some(link("2013", "/archive/2013")),
        next_year: None,
        newer: None,
        older: Some("/archive/2014?before=3".to_owned()),
    }
}

pub(super) fn month(name: &str, titles: &[&str]) -> Month {
    Month {
        name: name.to_owned(),
        posts: titles
            .iter()
            .map(|title| Dated {
                title: (*title).to_owned(),
                href: "/x".to_owned(),
                published: THEN,
            })
            .collect(),
    }
}

pub(super) fn session(id: &str, device: &str, is_this: bool) -> SessionRow {
    SessionRow {
        id: id.to_owned(),
        device: device.to_owned(),
        since: THEN,
        last_seen: is_this.then_some(THEN),
        is_this,
    }
}

pub(super) fn sign_in(error: Option<&str>, kept: Option<&str>) -> SignInPage {
    SignInPage {
        shell: Shell {
            is_private: true,
            ..shell("/sign-in", "Sign in")
        },
        name: "ada".to_owned(),
        error: error.map(str::to_owned),
        kept_form: kept.map(str::to_owned),
        return_to: "/admin".to_owned(),
    }
}

pub(super) fn home(posts: Vec<Summary>) -> HomePage {
    HomePage {
        shell: shell("/", ""),
        posts,
        newer: Some("/?page=1".to_owned()),
        older: Some("/?page=3".to_owned()),
    }
}
