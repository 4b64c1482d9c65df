//! Every page that visitors see, rendered.

use super::Rendered;
use super::samples::{
    EVERYTHING, HOSTILE, RTL, extreme_summaries, home, link, month, post, private, shell, sign_in,
    site, summaries, year,
};
use crate::app::archive::views::ArchivePage;
use crate::app::errors::views::{BareErrorPage, ErrorPage};
use crate::app::help::views::HelpPage;
use crate::app::layout::{FieldErrors, Shell};
use crate::app::posts::views::PagePage;
use crate::app::tags::views::{TagPage, TagsPage};
use crate::app::users::views::SetupPage;
use std::sync::Arc;

/// Every page that visitors see.
pub(super) fn public_pages() -> Vec<Rendered> {
    [post_pages(), list_pages(), other_pages()].concat()
}

/// The first page, posts and pages.
fn post_pages() -> Vec<Rendered> {
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
    ]
}

/// Tags and the archive.
fn list_pages() -> Vec<Rendered> {
    let long = "W".repeat(10_000);
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let tag = |name: &str, posts| TagPage {
        shell: shell("/tags/x", name),
        name: name.to_owned(),
        posts,
        newer: None,
        older: None,
    };
    vec![
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
    ]
}

/// Errors, the way in, the manual.
fn other_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let error = |status, heading: &str, message: &str| ErrorPage {
        shell: shell("/nowhere", heading),
        status,
        heading: heading.to_owned(),
        message: message.to_owned(),
        request_id: Some("8f3a1c20".to_owned()),
        go_to: Some(link("The archive", "/archive")),
    };
    vec![
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
