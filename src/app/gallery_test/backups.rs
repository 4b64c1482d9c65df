//! The page of the backups, rendered.

use super::Rendered;
use super::samples::{HOSTILE, THEN, notice, private};
use crate::app::backups::{
    form::{Kind, PlaceForm},
    live::{Backup, Found, Seen, Trust},
    views::{BackupsPage, PlacePage, row_of},
};
use crate::app::layout::{FieldErrors, NoticeKind};

/// The page in its states.
pub(super) fn backup_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let backup = |number, trust, warnings| Backup {
        number,
        of_file: Some(number).filter(|n| *n > 0).or(Some(7)),
        made_at: THEN,
        posts: 387,
        files: 1204,
        bytes: 1_234_567_890,
        new_bytes: 48_000,
        warnings,
        trust,
    };
    let lost = vec![format!(
        "the file {} is missing on the site, so it is not in this backup",
        "W".repeat(300)
    )];
    let backups = vec![
        backup(12, Trust::Untried, Vec::new()),
        backup(11, Trust::Proven, lost),
        backup(10, Trust::Bad(HOSTILE.to_owned()), Vec::new()),
        backup(0, Trust::Bad("it is damaged".to_owned()), Vec::new()),
    ];
    let page = |seen: Seen| BackupsPage {
        shell: private("/admin/backups", "Backups"),
        rows: seen.backups.iter().map(row_of).collect(),
        more: 3,
        seen,
    };
    let usual = Seen {
        place: Some("/mnt/stick/backups".to_owned()),
        when: "Every day at 03:30".to_owned(),
        last_proven: Some(THEN),
        reach: Some(THEN),
        backups,
        ..Seen::default()
    };
    let failing = Seen {
        is_on_same_disk: true,
        doing: Some(("pictures, files".to_owned(), 400, 1204)),
        failed: Some((THEN, "the backups that were there are not there".to_owned())),
        last_proven: None,
        unlisted: Some("/mnt/stick cannot be read".to_owned()),
        ..usual.clone()
    };
    let asking = Seen {
        asks: true,
        failed: Some((THEN, "this site was restored beside another one".to_owned())),
        ..usual.clone()
    };
    let silent = Seen {
        silent: Some((75, Some(THEN))),
        ..usual.clone()
    };
    let mut failing = page(failing);
    failing.shell.notice = Some(notice(NoticeKind::Warning, false));
    vec![
        ("backups", render(&page(usual))),
        ("backups-failing", render(&failing)),
        ("backups-asking", render(&page(asking))),
        ("backups-silent", render(&page(silent))),
        ("backups-none", render(&page(Seen::default()))),
        ("backups-place", render(&place(None, None, false))),
        (
            "backups-place-folder",
            render(&place(Some(Kind::Folder), None, true)),
        ),
        (
            "backups-place-bucket",
            render(&place(Some(Kind::Bucket), Some(true), true)),
        ),
        (
            "backups-place-machine",
            render(&place(Some(Kind::Machine), Some(false), true)),
        ),
    ]
}

/// The page of the place, with everything in its fields.
fn place(kind: Option<Kind>, is_fine: Option<bool>, is_filled: bool) -> PlacePage {
    let form = PlaceForm {
        kind: kind.map_or_else(String::new, |kind| kind.id().to_owned()),
        folder: "/mnt/stick/backups".into(),
        bucket: "my-bucket/site".into(),
        endpoint: HOSTILE.into(),
        region: "eu-central-1".into(),
        key_id: "0031f0e2".into(),
        host: "nas.example".into(),
        user: "ada".into(),
        host_key: format!("SHA256:{}", "a".repeat(43)),
        ..PlaceForm::default()
    };
    let found = is_fine.map(|is_fine| Found {
        is_fine,
        texts: vec![
            format!(
                "nas.example was never met. It shows the key SHA256:{}",
                "W".repeat(43)
            ),
            HOSTILE.to_owned(),
        ],
        shown_key: None,
    });
    let errors = if is_fine == Some(false) {
        ["host", "secret", "password"]
            .map(|field| (field, "This is not right.".to_owned()))
            .to_vec()
    } else {
        Vec::new()
    };
    PlacePage {
        shell: private("/admin/backups/place", "Where backups go"),
        form,
        kinds: Kind::ALL.map(|one| (one, kind == Some(one))).into(),
        kind,
        has_secret: is_filled,
        own_key: format!("ssh-ed25519 {} webstead", "A".repeat(68)),
        is_of_file: false,
        is_kept: is_filled,
        found,
        errors: FieldErrors(errors),
    }
}
