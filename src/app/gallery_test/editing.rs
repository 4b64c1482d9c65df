//! Every page that only editors see, rendered.

use super::Rendered;
use super::doctor::doctor_pages;
use super::names::{name_pages, router_pages};
use super::samples::{
    EVERYTHING, HOSTILE, MARKDOWN, RTL, THEN, conflict, edit, entry, errors, list, notice, private,
    session,
};
use crate::app::disk::views::{CheckRow, DayRow, DiskPage};
use crate::app::editor::views::{EditForm, EditPage, TrashPage, TrashRow};
use crate::app::hosts::{
    form::{HostForm, Kind},
    views::{HostPage, HostRow, HostsPage, RemovedRow},
};
use crate::app::layout::{FieldErrors, NoticeKind, Shell};
use crate::app::settings::views::SettingsPage;
use crate::app::traffic::{
    live::{Answered, Minute},
    views::{LimitedRow, TrafficPage, bars, words},
};
use crate::app::users::views::AccountPage;
use crate::base::LimitKind;
use crate::db::Trouble;
use crate::jobs::disk::{Check, Day};

/// Every page that only editors see.
pub(super) fn editing_pages() -> Vec<Rendered> {
    [
        writing_pages(),
        keeping_pages(),
        name_pages(),
        router_pages(),
        host_pages(),
        traffic_pages(),
        disk_pages(),
        doctor_pages(),
    ]
    .concat()
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

/// Other hosts.
fn host_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let row = |name: &str, kind, serves: &[&str], problem: &str, edit: bool| HostRow {
        name: name.to_owned(),
        href: format!("https://{name}/"),
        edit: edit.then(|| "/admin/hosts/7".to_owned()),
        kind,
        serves: serves.iter().map(ToString::to_string).collect(),
        problems: (!problem.is_empty())
            .then(|| problem.to_owned())
            .into_iter()
            .collect(),
    };
    let list = |hosts, removed| HostsPage {
        shell: private("/admin/hosts", "Other hosts"),
        hosts,
        removed,
    };
    let form = |kind, form, errors| HostPage {
        shell: private("/admin/hosts/7", "A host"),
        kind,
        action: "/admin/hosts/7".to_owned(),
        is_there: true,
        form,
        errors: FieldErrors(errors),
    };
    let silent = "nothing answers at http://127.0.0.1:8123 (Connection refused); start the program, or \
                  correct the address";
    vec![
        (
            "hosts",
            render(&list(
                vec![
                    row("files.pi.local", "folder", &["/srv/files"], "", true),
                    row(
                        "ha.pi.local",
                        "program",
                        &["http://127.0.0.1:8123"],
                        silent,
                        true,
                    ),
                    row(
                        "tv.pi.local",
                        "program",
                        &["http://10.0.0.7:8096"],
                        "",
                        false,
                    ),
                ],
                vec![RemovedRow {
                    id: "9".to_owned(),
                    name: "old.pi.local".to_owned(),
                }],
            )),
        ),
        (
            "hosts-extreme",
            render(&list(
                vec![row(
                    &"w".repeat(250),
                    "folder",
                    &[&format!("/{}", "W".repeat(2000)), HOSTILE],
                    HOSTILE,
                    true,
                )],
                Vec::new(),
            )),
        ),
        ("hosts-empty", render(&list(Vec::new(), Vec::new()))),
        (
            "host-files",
            render(&form(
                Kind::Files,
                HostForm {
                    name: "files.pi.local".to_owned(),
                    files: "/srv/files".to_owned(),
                    listing: "on".to_owned(),
                    cache: "/assets/* = 30 days\n".to_owned(),
                    ..HostForm::default()
                },
                Vec::new(),
            )),
        ),
        (
            "host-proxy-faulty",
            render(&form(
                Kind::Proxy,
                HostForm {
                    name: HOSTILE.to_owned(),
                    proxy: format!("\n</textarea>{HOSTILE}"),
                    keep_host: "no".to_owned(),
                    ..HostForm::default()
                },
                vec![
                    ("name", "It is not a name that DNS allows.".to_owned()),
                    ("proxy", "It has a path.".to_owned()),
                    ("password", "This is not your password.".to_owned()),
                ],
            )),
        ),
    ]
}

/// The traffic: a busy hour, and a machine that was just started.
fn traffic_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let hour: Vec<Minute> = (0..60u64)
        .map(|n| Minute {
            well: 20 + (n * 37) % 90 + if n > 40 { 300 } else { 0 },
            refused: if n % 7 == 0 { 40 } else { 3 },
            failed: u64::from(n == 44) * 25,
        })
        .collect();
    let limited = |kind: &LimitKind| {
        let (what, advice) = words(*kind);
        LimitedRow {
            network: "198.51.100.23".to_owned(),
            times: 1234,
            first: THEN,
            last: THEN,
            what,
            advice,
        }
    };
    let request = |status, target: &str| Answered {
        at: THEN,
        id: "7f3a-000012".to_owned(),
        address: "2001:db8:85a3::8a2e:370:7334".parse().ok(),
        host: "lighthouse.example.org".to_owned(),
        method: "GET".to_owned(),
        target: target.to_owned(),
        status,
        took_ms: 1.234,
    };
    let page = |hour: &[Minute]| TrafficPage {
        shell: private("/admin/traffic", "Traffic"),
        bars: bars(hour).0,
        picture: "Requests in the last hour: 9,200 answered, 560 refused or not found, 25 failed."
            .to_owned(),
        numbers: vec![("connections now", "212 of 8192".to_owned())],
        busiest: Vec::new(),
        limited: Vec::new(),
        more_limited: 0,
        upstreams: Vec::new(),
        remembers: true,
        search: String::new(),
        last: Vec::new(),
    };
    let busy = TrafficPage {
        numbers: vec![
            ("connections now", "212 of 8192".to_owned()),
            ("requests under way", "3".to_owned()),
            ("from the page cache", "98 %".to_owned()),
            ("pages kept", "390, 7.3 MiB".to_owned()),
            (
                "half, and 95 % of the last answers took at most",
                "0.4 ms, 12.0 ms".to_owned(),
            ),
        ],
        busiest: vec![
            ("192.0.2.7".to_owned(), 64),
            ("2001:db8::/64".to_owned(), 8),
        ],
        limited: LimitKind::ALL.iter().map(limited).collect(),
        more_limited: 974,
        upstreams: vec![
            (
                "ha.pi.local".to_owned(),
                "http://127.0.0.1:8123/".to_owned(),
                Some(true),
            ),
            (
                "tv.pi.local".to_owned(),
                "http://10.0.0.7:8096/".to_owned(),
                Some(false),
            ),
        ],
        search: HOSTILE.to_owned(),
        last: vec![
            request(200, "/building-the-lamp-again"),
            request(404, &format!("/{}", "W".repeat(500))),
            request(503, HOSTILE),
        ],
        ..page(&hour)
    };
    let quiet = page(&[Minute::default(); 60]);
    vec![
        ("traffic", render(&busy)),
        ("traffic-empty", render(&quiet)),
    ]
}

/// The disk: one that is well, and one that is damaged and full.
fn disk_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let troubles = [
        Trouble::Damaged("page 17 is not what was written".into()),
        Trouble::NearlyFull(48_000_000),
    ];
    let texts: Vec<String> = troubles.iter().map(Trouble::text).collect();
    let bytes = [
        ("site.db-wal", 48_000_000),
        ("site.db", 9_000_000),
        ("media/", 3_500_000),
        ("site.db-sums2", 12_000),
    ];
    let day = Day {
        day: "2026-11-26".into(),
        bytes: bytes.map(|(name, count)| (name.to_owned(), count)).into(),
    };
    let check = |problems: Vec<String>, unseen: &[&str]| {
        CheckRow(Check {
            at: THEN,
            is_full: problems.is_empty(),
            is_made: true,
            took_s: 12,
            problems,
            bad_files: Vec::new(),
            unseen: unseen.iter().map(ToString::to_string).collect(),
        })
    };
    let bad = DiskPage {
        shell: Shell {
            alarms: texts.clone(),
            ..private("/admin/disk", "Disk")
        },
        space: Some(("48.0 MB".into(), "31.4 GB".into(), 31_352, 31_400)),
        troubles: texts,
        is_checking: false,
        days: vec![DayRow::of(&day), DayRow::of(&day)],
        last_full: Some(THEN),
        checks: vec![
            check(
                vec![HOSTILE.into(), "W".repeat(400)],
                &["reading site.db-wal: permission denied"],
            ),
            check(
                Vec::new(),
                &["secrets/token cannot be read: input/output error"],
            ),
            check(Vec::new(), &[]),
        ],
    };
    let new = DiskPage {
        shell: private("/admin/disk", "Disk"),
        space: Some(("27.1 GB".into(), "31.4 GB".into(), 4_300, 31_400)),
        troubles: Vec::new(),
        is_checking: true,
        days: Vec::new(),
        last_full: None,
        checks: Vec::new(),
    };
    vec![("disk", render(&new)), ("disk-damaged", render(&bad))]
}
