//! What is in the place of the backups, for the owner's page.

use std::path::Path;

use crate::{
    app::backups::live::{Backup, Trust},
    backup::{self, Keys, Listed, Target, schedule::When},
    base::{Result, Timestamp},
};

/// What is in a place, and when that was so.
#[derive(Clone)]
pub(super) struct Listing {
    pub(super) at: Timestamp,
    pub(super) backups: std::result::Result<Vec<Backup>, String>,
    /// Since when every moment can be reached.
    pub(super) reach: Option<Timestamp>,
    pub(super) is_on_same_disk: bool,
}

/// What is in a place now.
pub(super) fn listing(target: &Target, data: &Path) -> Listing {
    let (backups, reach) = match list_at(target, data) {
        Ok((listed, reach)) => (Ok(listed.into_iter().map(shown).collect()), reach),
        Err(e) => (Err(e.to_string()), None),
    };
    Listing {
        at: Timestamp::now(),
        backups,
        reach,
        is_on_same_disk: target.is_on_disk_of(data),
    }
}

/// The backups in a place, and since when every moment can be reached.
fn list_at(target: &Target, data: &Path) -> Result<(Vec<Listed>, Option<Timestamp>)> {
    let Some(repository) = target.find(&Keys::of_machine(data))? else {
        return Ok((Vec::new(), None));
    };
    let listed = backup::list(&repository)?;
    let reach = backup::reach(&listed, data).unwrap_or_else(|e| {
        log::warn!("the log of changes cannot be read: {e}");
        None
    });
    Ok((listed, reach))
}

fn shown(listed: Listed) -> Backup {
    Backup {
        number: listed.number,
        of_file: listed.of_file,
        made_at: listed.made_at,
        posts: listed.posts,
        files: listed.files,
        bytes: listed.bytes,
        new_bytes: listed.new_bytes,
        warnings: listed.warnings,
        trust: match listed.trust {
            backup::Trust::Proven(_) => Trust::Proven,
            backup::Trust::Untried => Trust::Untried,
            backup::Trust::Bad(problems) => Trust::Bad(problems.join("; ")),
        },
    }
}

/// When backups are made.
pub(super) fn in_words(when: When) -> String {
    match when {
        When::Daily(time) => format!("Every day at {}", time.strftime("%H:%M")),
        When::Every(seconds) if seconds % 86400 == 0 => format!("Every {} days", seconds / 86400),
        When::Every(seconds) if seconds % 3600 == 0 => format!("Every {} hours", seconds / 3600),
        When::Every(seconds) => format!("Every {} minutes", seconds / 60),
    }
}
