//! The page of the backups, rendered.

use super::Rendered;
use super::samples::{HOSTILE, THEN, notice, private};
use crate::app::backups::{
    live::{Backup, Seen, Trust},
    views::{BackupsPage, row_of},
};
use crate::app::layout::NoticeKind;

/// The page in its states.
pub(super) fn backup_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let backup = |number, trust, warnings| Backup {
        number,
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
    let mut failing = page(failing);
    failing.shell.notice = Some(notice(NoticeKind::Warning, false));
    vec![
        ("backups", render(&page(usual))),
        ("backups-failing", render(&failing)),
        ("backups-none", render(&page(Seen::default()))),
    ]
}
