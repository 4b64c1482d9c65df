//! Every page, rendered with usual and with extreme content, and what must hold for all of them.
//!
//! With `WEBSTEAD_GALLERY=DIR` the pages and their assets are also written there, to be looked at.

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use askama::Template;
use jiff::tz::TimeZone;

use super::archive::views::{ArchivePage, Dated, Month, YearPage};
use super::editor::views::{
    Conflict, DiffLine, EditForm, EditPage, EntryRow, ListPage, MediaRow, TrashPage, TrashRow,
};
use super::errors::views::{BareErrorPage, ErrorPage};
use super::help::views::HelpPage;
use super::home::views::{HomePage, Summary};
use super::layout::{FieldErrors, Link, Notice, NoticeKind, Reader, Shell, Site, Undo};
use super::posts::views::{PagePage, PostPage};
use super::settings::views::SettingsPage;
use super::tags::views::{TagPage, TagsPage};
use super::users::views::{AccountPage, SessionRow, SetupPage, SignInPage};
use crate::assets;
use crate::base::Timestamp;

/// What the renderer of Markdown makes of a text that has a bit of everything.
const EVERYTHING: &str = include_str!("gallery_test.html");
const HOSTILE: &str = "\"><script>alert(1)</script><b style='x'>&amp;";
const RTL: &str = "מדריך לבניית אתר: העולם הקטן שלנו ברשת";
/// 12 December 2014, 09:30 UTC.
const THEN: Timestamp = Timestamp(1_418_376_600);

fn site(title: &str, is_set_up: bool) -> Site {
    Site {
        title: title.to_owned(),
        tagline: "Notes from a small computer in the hall".to_owned(),
        language: "en".to_owned(),
        zone: TimeZone::UTC,
        menu: vec![link("About", "/about"), link("Projects", "/projects")],
        posts_per_page: 10,
        is_set_up,
    }
}

fn link(title: &str, href: &str) -> Link {
    Link {
        title: title.to_owned(),
        href: href.to_owned(),
    }
}

fn shell(path: &str, title: &str) -> Shell {
    Shell {
        site: Arc::new(site("The Lighthouse Journal", true)),
        base_url: "https://example.org".to_owned(),
        path: path.to_owned(),
        title: title.to_owned(),
        description: "What the sea brings in.".to_owned(),
        og_type: "website",
        og_image: None,
        published: None,
        reader: None,
        notice: None,
        is_private: false,
    }
}

fn private(path: &str, title: &str) -> Shell {
    Shell {
        reader: Some(Reader {
            display_name: "Ada Lovelace".to_owned(),
            is_owner: true,
        }),
        is_private: true,
        ..shell(path, title)
    }
}

fn notice(kind: NoticeKind, undo: bool) -> Option<Notice> {
    Some(Notice {
        kind,
        text: "“Rust 1.0, a timeline” is in the trash.".to_owned(),
        undo: undo.then(|| Undo {
            action: "/admin/posts/7/restore".to_owned(),
            label: "Undo".to_owned(),
        }),
    })
}

fn errors() -> FieldErrors {
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

fn summaries() -> Vec<Summary> {
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

fn extreme_summaries() -> Vec<Summary> {
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

fn post(title: &str, html: &str) -> PostPage {
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

fn edit(title: &str, markdown: &str) -> EditPage {
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

const MARKDOWN: &str = "The old lens came back from the workshop in spring.\n\n## What we learned\n\n- **Brass** wants oil, *not* polish.\n- Salt wants everything.\n\n```rust\nfn main() {\n    println!(\"lit\");\n}\n```\n";

fn conflict() -> EditPage {
    let line = |kind, text: &str| DiffLine {
        kind,
        text: text.to_owned(),
    };
    EditPage {
        conflict: Some(Conflict {
            theirs_by_when: "Grace Hopper, 3 minutes ago".to_owned(),
            their_title: "Building the lamp".to_owned(),
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

fn list(entries: Vec<EntryRow>, query: &str) -> ListPage {
    ListPage {
        shell: Shell {
            notice: notice(NoticeKind::Good, true),
            ..private("/admin", "Everything")
        },
        entries,
        query: query.to_owned(),
        filter: "all".to_owned(),
        newer: None,
        older: Some("/admin?before=9".to_owned()),
        trash_count: 2,
    }
}

fn entry(title: &str, kind: &'static str, state: &'static str) -> EntryRow {
    EntryRow {
        id: "7".to_owned(),
        title: title.to_owned(),
        kind,
        state,
        edit_href: "/admin/posts/7".to_owned(),
        view_href: (state == "published").then(|| "/x".to_owned()),
        updated: THEN,
        published: (state == "published").then_some(THEN),
    }
}

fn year(months: Vec<Month>) -> YearPage {
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

fn month(name: &str, titles: &[&str]) -> Month {
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

fn session(id: &str, device: &str, is_this: bool) -> SessionRow {
    SessionRow {
        id: id.to_owned(),
        device: device.to_owned(),
        since: THEN,
        last_seen: is_this.then_some(THEN),
        is_this,
    }
}

fn sign_in(error: Option<&str>, kept: Option<&str>) -> SignInPage {
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

fn home(posts: Vec<Summary>) -> HomePage {
    HomePage {
        shell: shell("/", ""),
        posts,
        newer: Some("/?page=1".to_owned()),
        older: Some("/?page=3".to_owned()),
    }
}

fn public_pages() -> Vec<(&'static str, String)> {
    let long = "W".repeat(10_000);
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let mut new = home(Vec::new());
    new.shell.site = Arc::new(site("", false));
    let mut begun = home(Vec::new());
    begun.shell.reader = private("/", "").reader;
    let mut empty = home(Vec::new());
    (empty.newer, empty.older) = (None, None);
    let mut draft = post("Not ready yet", "<p>Soon.</p>");
    draft.is_draft = true;
    draft.published = None;
    draft.updated = None;
    draft.edit_href = Some("/admin/posts/7".to_owned());
    draft.shell.reader = private("/", "").reader;
    let mut rtl = post(RTL, &format!("<p>{}</p>", RTL.repeat(5)));
    let mut hebrew = site(RTL, true);
    hebrew.language = "he".to_owned();
    rtl.shell.site = Arc::new(hebrew);
    let page = |title: &str| PagePage {
        shell: shell("/about", title),
        title: title.to_owned(),
        html: "<p>I keep the light.</p>".to_owned(),
        edit_href: None,
        is_draft: false,
    };
    let tag = |name: &str, posts| TagPage {
        shell: shell("/tags/x", name),
        name: name.to_owned(),
        posts,
        newer: None,
        older: None,
    };
    let error = |status, heading: &str, message: &str| ErrorPage {
        shell: shell("/nowhere", heading),
        status,
        heading: heading.to_owned(),
        message: message.to_owned(),
        request_id: Some("8f3a1c20".to_owned()),
        go_to: Some(link("The archive", "/archive")),
    };
    vec![
        ("home", render(&home(summaries()))),
        ("home-new", render(&new)),
        ("home-begun", render(&begun)),
        ("home-empty", render(&empty)),
        ("home-extreme", render(&home(extreme_summaries()))),
        (
            "post",
            render(&post(
                "Building the lamp again, from parts that still exist",
                EVERYTHING,
            )),
        ),
        ("post-draft", render(&draft)),
        ("post-rtl", render(&rtl)),
        ("post-extreme", render(&post(&long, "<p>x</p>"))),
        ("post-hostile", render(&post(HOSTILE, ""))),
        ("page", render(&page("About"))),
        ("page-untitled", render(&page(""))),
        (
            "tags",
            render(&TagsPage {
                shell: shell("/tags", "Tags"),
                tags: vec![
                    link("Brass", "/tags/brass"),
                    link(RTL, "/tags/x"),
                    link(HOSTILE, "/tags/y"),
                ],
            }),
        ),
        (
            "tags-empty",
            render(&TagsPage {
                shell: shell("/tags", "Tags"),
                tags: Vec::new(),
            }),
        ),
        ("tag", render(&tag("Lamp room", summaries()))),
        ("tag-extreme", render(&tag(&long, Vec::new()))),
        (
            "archive",
            render(&ArchivePage {
                shell: shell("/archive", "Archive"),
                years: (2010..2025)
                    .rev()
                    .map(|y| link(&y.to_string(), &format!("/archive/{y}")))
                    .collect(),
            }),
        ),
        (
            "archive-empty",
            render(&ArchivePage {
                shell: shell("/archive", "Archive"),
                years: Vec::new(),
            }),
        ),
        (
            "year",
            render(&year(vec![
                month(
                    "December",
                    &[
                        "A week of fog",
                        "Building the lamp again, from parts that still exist",
                        RTL,
                    ],
                ),
                month("March", &["", "Ice on the gallery rail"]),
            ])),
        ),
        (
            "year-extreme",
            render(&year(vec![month("May", &[&long, HOSTILE])])),
        ),
        ("year-empty", render(&year(Vec::new()))),
        (
            "not-found",
            render(&error(
                404,
                "There is nothing at this address",
                "It may have moved, or the link has a mistake. The archive has everything that was ever published here.",
            )),
        ),
        ("error-hostile", render(&error(500, HOSTILE, HOSTILE))),
        (
            "error-bare",
            render(&BareErrorPage {
                status: 500,
                heading: "Something went wrong here".to_owned(),
                message: "It is our fault, not yours. Please try again in a minute.".to_owned(),
                request_id: None,
            }),
        ),
        ("sign-in", render(&sign_in(None, None))),
        (
            "sign-in-kept",
            render(&sign_in(
                Some("This name and password do not fit together."),
                Some(HOSTILE),
            )),
        ),
        (
            "setup",
            render(&SetupPage {
                shell: Shell {
                    site: Arc::new(site("", false)),
                    ..shell("/setup", "Welcome")
                },
                token: HOSTILE.to_owned(),
                site_title: String::new(),
                display_name: "Ada".to_owned(),
                name: "ada".to_owned(),
                errors: FieldErrors(vec![(
                    "password",
                    "This password is too short: use at least 12 characters.".to_owned(),
                )]),
            }),
        ),
        (
            "help",
            render(&HelpPage {
                shell: shell("/help/writing", "Writing"),
                chapters: vec![
                    link("Start", "/help"),
                    link("Writing", "/help/writing"),
                    link("When something is wrong", "/help/wrong"),
                ],
                title: "Writing".to_owned(),
                html: EVERYTHING.to_owned(),
            }),
        ),
    ]
}

fn editing_pages() -> Vec<(&'static str, String)> {
    let long = "W".repeat(10_000);
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let new = EditPage {
        form: EditForm {
            kind: "page".to_owned(),
            ..EditForm::default()
        },
        state: "new",
        view_href: None,
        old_addresses: Vec::new(),
        tag_suggestions: Vec::new(),
        media: Vec::new(),
        ..edit("", "")
    };
    let faulty = EditPage {
        errors: errors(),
        kept: true,
        state: "draft",
        ..edit(&long, HOSTILE)
    };
    let seen = EditPage {
        preview_html: Some(EVERYTHING.to_owned()),
        ..edit(HOSTILE, "\n\n</textarea><script>alert(1)</script>")
    };
    let trash = |entries| TrashPage {
        shell: Shell {
            notice: notice(NoticeKind::Warning, false),
            ..private("/admin/trash", "Trash")
        },
        entries,
    };
    let thrown = |title: &str, kind| TrashRow {
        id: "7".to_owned(),
        title: title.to_owned(),
        kind,
        trashed: THEN,
    };
    vec![
        ("edit", render(&edit("Building the lamp again", MARKDOWN))),
        ("edit-new", render(&new)),
        ("edit-faulty", render(&faulty)),
        ("edit-preview", render(&seen)),
        ("edit-conflict", render(&conflict())),
        (
            "list",
            render(&list(
                vec![
                    entry(
                        "Building the lamp again, from parts that still exist",
                        "post",
                        "draft",
                    ),
                    entry("About", "page", "published"),
                    entry("A week of fog", "post", "published"),
                    entry(RTL, "post", "published"),
                ],
                "",
            )),
        ),
        (
            "list-extreme",
            render(&list(
                vec![
                    entry(&long, "post", "draft"),
                    entry(HOSTILE, "page", "published"),
                    entry("", "post", "draft"),
                ],
                HOSTILE,
            )),
        ),
        ("list-empty", render(&list(Vec::new(), ""))),
        ("list-nothing-found", render(&list(Vec::new(), "zebra"))),
        (
            "trash",
            render(&trash(vec![
                thrown("A bad idea", "post"),
                thrown(HOSTILE, "page"),
                thrown("", "post"),
            ])),
        ),
        ("trash-empty", render(&trash(Vec::new()))),
        (
            "account",
            render(&AccountPage {
                shell: private("/admin/account", "Your account"),
                sessions: vec![
                    session("1", "Firefox on Linux", true),
                    session("2", "Safari on an iPhone", false),
                    session("3", HOSTILE, false),
                ],
                errors: FieldErrors(vec![(
                    "current",
                    "This is not your current password.".to_owned(),
                )]),
            }),
        ),
        (
            "settings",
            render(&SettingsPage {
                shell: Shell {
                    notice: notice(NoticeKind::Bad, false),
                    ..private("/admin/settings", "Settings")
                },
                title: "The Lighthouse Journal".to_owned(),
                tagline: HOSTILE.to_owned(),
                language: "en".to_owned(),
                time_zone: "Mars/Olympus".to_owned(),
                posts_per_page: "10".to_owned(),
                errors: FieldErrors(vec![(
                    "time_zone",
                    "“Mars/Olympus” is not a time zone. Write it as Europe/Zurich.".to_owned(),
                )]),
            }),
        ),
    ]
}

fn every_page() -> Vec<(&'static str, String)> {
    [public_pages(), editing_pages()].concat()
}

/// The values of an attribute in a page.
fn attribute<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    html.split(&format!(" {name}=\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn a_page_has_one_first_heading_and_unique_ids_and_its_references_lead_somewhere() {
    for (name, html) in every_page() {
        assert_eq!(html.matches("<h1").count(), 1, "{name}: first headings");
        let ids = attribute(&html, "id");
        let unique: HashSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{name}: {ids:?}");
        let references = ["for", "aria-describedby", "aria-labelledby"];
        for id in references.iter().flat_map(|r| attribute(&html, r)) {
            assert!(unique.contains(id), "{name}: nothing has the id {id}");
        }
    }
}

#[test]
fn a_page_needs_no_inline_style_or_script_and_what_people_type_stays_text() {
    for (name, html) in every_page() {
        assert!(
            !html.contains("<script>") && !html.contains("<style"),
            "{name}"
        );
        assert!(!html.contains("<b style"), "{name}: markup got through");
        // `style='x'` of the hostile text may be there as text, where its quotes are escaped.
        assert!(
            !html.contains("style=\"") && !html.contains("style='"),
            "{name}"
        );
        for handler in ["onclick=", "onload=", "onsubmit=", "javascript:"] {
            assert!(!html.contains(handler), "{name}: {handler}");
        }
    }
}

#[test]
fn every_asset_that_a_page_names_exists() {
    for (name, html) in every_page() {
        let named = ["href", "src"]
            .into_iter()
            .flat_map(|a| attribute(&html, a));
        for address in named.filter_map(|a| a.strip_prefix("/assets/")) {
            assert!(assets::find(address).is_some(), "{name}: {address}");
        }
    }
    assert!(assets::named("img/favicon.ico").is_some());
    assert!(assets::named("img/apple-touch-icon.png").is_some());
}

#[test]
fn visitors_get_neither_the_editors_styles_nor_its_scripts() {
    let (_, html) = &public_pages()[0];
    assert!(!html.contains("/css/admin.") && !html.contains("<script"));
    assert!(html.contains("rel=\"canonical\" href=\"https://example.org/\""));
    for (name, html) in editing_pages() {
        assert!(
            html.contains("noindex") && !html.contains("og:title"),
            "{name}"
        );
    }
}

#[test]
fn a_right_to_left_language_turns_the_page() {
    let pages = public_pages();
    let (_, html) = pages
        .iter()
        .find(|(name, _)| *name == "post-rtl")
        .expect("the page");
    assert!(html.contains("<html lang=\"he\" dir=\"rtl\">"));
}

#[test]
fn the_text_in_the_editor_is_exactly_what_was_typed() {
    let page = edit("", "\n\n  two empty lines first\n")
        .render()
        .expect("it renders");
    // HTML drops one line break after the tag (WHATWG 13.2.6.4.7), so the template writes one.
    let text = page
        .split("id=\"_markdown\"")
        .nth(1)
        .and_then(|rest| rest.split_once('>'));
    let (_, text) = text.expect("the field");
    assert!(
        text.starts_with("\n\n\n  two empty lines first\n</textarea>"),
        "{text:.80}"
    );
}

#[test]
fn a_form_comes_back_filled_in_and_with_the_message_beside_its_field() {
    let page = sign_in(None, None).render().expect("it renders");
    assert!(page.contains("id=\"_name\" name=\"name\" value=\"ada\""));
    let pages = editing_pages();
    let (_, page) = pages
        .iter()
        .find(|(name, _)| *name == "settings")
        .expect("the page");
    assert!(page.contains("aria-invalid=\"true\" aria-describedby=\"_time_zone-error\">"));
    assert!(page.contains("name=\"time_zone\" value=\"Mars/Olympus\""));
    assert!(page.contains("id=\"_time_zone-error\">“Mars/Olympus” is not"));
}

#[test]
fn the_gallery_is_written_where_it_is_asked_for() {
    let Some(folder) = std::env::var_os("WEBSTEAD_GALLERY") else {
        return;
    };
    let folder = Path::new(&folder);
    for (name, html) in every_page() {
        for address in ["href", "src"]
            .into_iter()
            .flat_map(|a| attribute(&html, a))
        {
            let asset = address.strip_prefix("/assets/").and_then(assets::find);
            if let Some(asset) = asset {
                let file = folder.join(&address[1..]);
                fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                fs::write(file, &asset.bytes).expect("written");
            }
        }
        fs::write(folder.join(format!("{name}.html")), html).expect("written");
    }
}
