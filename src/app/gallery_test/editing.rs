//! Every page that only editors see, rendered.

use super::Rendered;
use super::samples::{
    EVERYTHING, HOSTILE, MARKDOWN, RTL, THEN, conflict, edit, entry, errors, list, notice, private,
    session,
};
use crate::app::editor::views::{EditForm, EditPage, TrashPage, TrashRow};
use crate::app::layout::{FieldErrors, NoticeKind, Shell};
use crate::app::settings::views::SettingsPage;
use crate::app::users::views::AccountPage;

/// Every page that only editors see.
pub(super) fn editing_pages() -> Vec<Rendered> {
    [writing_pages(), keeping_pages()].concat()
}

/// The editor and the list of everything.
fn writing_pages() -> Vec<Rendered> {
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
    ]
}

/// The trash, the account, the settings.
fn keeping_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let trash = |entries| TrashPage {
        shell: Shell {
            notice: Some(notice(NoticeKind::Warning, false)),
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
                    notice: Some(notice(NoticeKind::Bad, false)),
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
