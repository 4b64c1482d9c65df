//! The way to a moment between two backups: a backup from before, and the log of what was written since.

use std::{path::Path, sync::atomic::AtomicBool};

use super::{
    list::{Listed, Trust},
    make::Progress,
    repository::{Kept, Repository},
    restore::SCRATCH_LOG,
    store::Stored,
    writer::Writer,
};
use crate::{
    base::{Error, Result, Timestamp, scratch::Scratch},
    db::{DataFolder, KeptChanges, LogEntry, LogKind, LogPlace, replay},
};

/// Databases of later backups that are restored for their log, at most.
const MOST_LATER: usize = 3;

/// A moment of a site.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// When.
    pub at: Timestamp,
    /// The data folder whose log may lead there. It need not be there: a later backup has the log, too.
    pub data: &'a Path,
}

/// How to get to a moment.
pub(super) struct Way {
    /// The backup where it begins.
    pub(super) base: Kept,
    /// The other backups, which may have a file that this one does not have.
    pub(super) others: Vec<Kept>,
    /// How far the log is replayed.
    pub(super) cut: Cut,
    log: KeptChanges,
    /// Where the log is, if it is that of a backup. Goes after the log.
    _scratch: Option<Scratch>,
}

/// Where in the log a moment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The last row that is replayed.
    up_to: i64,
    /// Changes until there.
    pub(super) changes: u64,
    /// When the last of them was made.
    pub(super) last: Option<Timestamp>,
    /// Whether the clock was set back, so that some of them have a later time than the moment.
    pub(super) is_clock_back: bool,
}

/// Why a log does not lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// It does not have the end of the backup.
    Apart,
    /// It begins later than the backup ends.
    Begins(Timestamp),
    /// It is damaged.
    Damaged,
    /// A change was not kept.
    Unknown(Timestamp),
    /// The site was restored as it was at the first time, at the second one.
    Restored(Timestamp, Timestamp),
}

impl Way {
    /// Finds it. The database of a later backup is put into `scratch`, if its log is needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the reason, and what can be had instead.
    pub(super) fn find(
        repository: &Repository,
        moment: Moment<'_>,
        scratch: &Path,
        (progress, stop): (Progress<'_>, &AtomicBool),
    ) -> Result<Self> {
        let Moment { at, data } = moment;
        if at > Timestamp::now() {
            return Err(Error::Invalid(format!("{} is in the future", clock(at))));
        }
        let contents = repository.contents()?;
        let (mut kept, unreadable) = (contents.kept, contents.unreadable);
        let mut search = Search {
            repository,
            at,
            scratch,
            progress,
            stop,
            site: log_of_site(data),
            obstacle: None,
        };
        let Some(base) = search.base(&kept)? else {
            return Err(search.explain(&kept, &unreadable));
        };
        let (log, scratch, cut) = base.1;
        let base = kept.remove(base.0);
        Ok(Self {
            base,
            others: kept,
            cut,
            log,
            _scratch: scratch,
        })
    }

    /// Makes of the backup's database that of the moment.
    ///
    /// # Errors
    /// As [`replay`].
    pub(super) fn go(
        &self,
        database: &Path,
        progress: Progress<'_>,
        stop: &AtomicBool,
    ) -> Result<()> {
        let progress = |done: usize, total: usize| progress("changes", done, total.max(1));
        replay(&self.log, database, self.cut.up_to, &progress, stop)
    }
}

/// The log of the site that is there. One that cannot be read is no reason not to look at those of the backups.
fn log_of_site(data: &Path) -> Option<KeptChanges> {
    let database = DataFolder::at(data).database();
    if !database.is_file() {
        return None;
    }
    KeptChanges::open(&database).unwrap_or_else(|e| {
        log::warn!(
            "the log of changes of {} cannot be read: {e}",
            data.display()
        );
        None
    })
}

type Found = (KeptChanges, Option<Scratch>, Cut);

struct Search<'a> {
    repository: &'a Repository,
    at: Timestamp,
    scratch: &'a Path,
    progress: Progress<'a>,
    stop: &'a AtomicBool,
    site: Option<KeptChanges>,
    /// What the last backup before the moment has met.
    obstacle: Option<Obstacle>,
}

impl Search<'_> {
    /// The last backup from which a log leads to the moment: where it is in the list, and the log.
    fn base(&mut self, kept: &[Kept]) -> Result<Option<(usize, Found)>> {
        let all_tried = self.repository.all_tried()?;
        let bases = self.bases(kept, &all_tried)?;
        let Some((_, first)) = bases.last() else {
            return Ok(None);
        };
        if let Some(site) = self.site.take() {
            let led = self.leads_from(&bases, &site);
            if let Some((number, cut)) = self.unless_damaged(led)?.flatten() {
                return Ok(Some((number, (site, None, cut))));
            }
        }
        let at = self.at;
        let is_later = |later: &&Kept| {
            let end = later.manifest.changes.map_or(0, |end| end.number);
            later.manifest.made_at >= at && end >= first.number
        };
        // The first ones after the moment have the oldest part of the log.
        let mut looked_at = 0;
        for later in kept.iter().filter(is_later) {
            if looked_at == MOST_LATER {
                break;
            }
            if self.is_bad(&all_tried, later)? {
                self.note(Obstacle::Damaged);
                continue;
            }
            looked_at += 1;
            let log = self.log_of(later);
            let Some((log, scratch)) = self.unless_damaged(log)? else {
                continue;
            };
            let led = self.leads_from(&bases, &log);
            if let Some((number, cut)) = self.unless_damaged(led)?.flatten() {
                return Ok(Some((number, (log, Some(scratch), cut))));
            }
        }
        Ok(None)
    }

    /// Damage is in the way of one log, and of no other.
    fn unless_damaged<T>(&mut self, of_log: Result<T>) -> Result<Option<T>> {
        match of_log {
            Err(e @ (Error::Damaged(_) | Error::Database(_) | Error::Invalid(_))) => {
                log::warn!("a log of changes cannot be used: {e}");
                self.note(Obstacle::Damaged);
                Ok(None)
            }
            of_log => of_log.map(Some),
        }
    }

    /// Whether a backup is known to be bad.
    fn is_bad(&self, all_tried: &[Stored], backup: &Kept) -> Result<bool> {
        let tried = self.repository.tried_among(all_tried, &backup.name)?;
        Ok(tried.is_some_and(|tried| !tried.problems.is_empty()))
    }

    /// The backups from before that are not known to be bad, the last one first.
    fn bases(&self, kept: &[Kept], all_tried: &[Stored]) -> Result<Vec<(usize, LogPlace)>> {
        let mut bases = Vec::new();
        for (number, base) in kept.iter().enumerate().rev() {
            let Some(place) = base.manifest.changes else {
                continue;
            };
            if base.manifest.made_at <= self.at && !self.is_bad(all_tried, base)? {
                bases.push((number, place));
            }
        }
        Ok(bases)
    }

    fn leads_from(
        &mut self,
        bases: &[(usize, LogPlace)],
        log: &KeptChanges,
    ) -> Result<Option<(usize, Cut)>> {
        for (number, place) in bases {
            match look(log, *place, self.at)? {
                Ok(cut) => return Ok(Some((*number, cut))),
                Err(obstacle) => self.note(obstacle),
            }
        }
        Ok(None)
    }

    fn note(&mut self, obstacle: Obstacle) {
        // That a log is of another time says less than what is wrong with one that is not.
        if self.obstacle.is_none_or(|noted| noted == Obstacle::Apart) {
            self.obstacle = Some(obstacle);
        }
    }

    /// The log that a backup has in its database.
    fn log_of(&self, backup: &Kept) -> Result<(KeptChanges, Scratch)> {
        let scratch = Scratch::in_folder(self.scratch, SCRATCH_LOG)
            .map_err(|e| Error::io("making a folder in", self.scratch, e))?;
        let root = scratch.path().join("site");
        let mut writer = Writer::new(self.repository, &root, self.progress, self.stop)?;
        writer.database(&backup.manifest)?;
        let log = KeptChanges::open(&root.join("site.db"))?;
        let missing =
            || Error::Invalid("a backup does not have the log that it should have".into());
        Ok((log.ok_or_else(missing)?, scratch))
    }

    /// Why there is no way.
    fn explain(&self, kept: &[Kept], unreadable: &[(String, String)]) -> Error {
        let place = self.repository.place();
        let unreadable = match unreadable {
            [] => String::new(),
            [(file, _)] => format!(" ({file}, a backup that cannot be read, might have led there)"),
            [(file, _), more @ ..] => format!(
                " ({file} and {} more, backups that cannot be read, might have led there)",
                more.len()
            ),
        };
        let at = clock(self.at);
        let Some(first) = kept.iter().map(|kept| kept.manifest.made_at).min() else {
            return Error::Invalid(format!(
                "there is no backup in {place} that can be read{unreadable}"
            ));
        };
        let before = kept
            .iter()
            .rfind(|kept| kept.manifest.made_at <= self.at)
            .map(|kept| &kept.manifest);
        let Some(before) = before else {
            return Error::Invalid(format!(
                "there is no backup from before {at} in {place}: the oldest is of {}{unreadable}",
                clock(first)
            ));
        };
        let why = match self.obstacle {
            Some(Obstacle::Begins(from)) => format!(
                "the log of changes goes back to {} only (`changes_mib` under [backup] says how large it may become)",
                clock(from)
            ),
            Some(Obstacle::Damaged) => {
                "a log of changes that could lead there is damaged (`webstead backup verify --all` looks through the backups)".to_owned()
            }
            Some(Obstacle::Unknown(since)) => format!(
                "after {} something was written by a program that keeps no log of changes, such as an older Webstead",
                clock(since)
            ),
            Some(Obstacle::Restored(as_of, when)) => format!(
                "on {} the site was brought back to {}, and what it was in between is only in the folder that was set aside \
                 then (name it with --data, and a new one with --to)",
                clock(when),
                clock(as_of)
            ),
            Some(Obstacle::Apart) | None if before.changes.is_none() => {
                "the backups from before have no log of changes".to_owned()
            }
            Some(Obstacle::Apart) => {
                "no log of changes that is there leads on from the backups before".to_owned()
            }
            None => "there is no log of changes that goes as far, neither of the site nor in a later backup"
                .to_owned(),
        };
        Error::Invalid(format!(
            "the site as it was at {at} cannot be had: {why}{unreadable}. Nothing was changed. The last backup before \
             that can be read is {} of {}; \
             `webstead restore {0}` brings that one",
            before.number,
            clock(before.made_at)
        ))
    }
}

/// Whether a log leads from the end of a backup to a moment.
fn look(log: &KeptChanges, base: LogPlace, at: Timestamp) -> Result<Result<Cut, Obstacle>> {
    if log.has(base)? {
        return Ok(cut(&log.after(base.number)?, base, at));
    }
    let first = log.first()?.filter(|first| first.number > base.number);
    Ok(Err(first.map_or(Obstacle::Apart, |first| {
        Obstacle::Begins(first.at)
    })))
}

/// Where a moment is in what was written after a backup: behind the last change before it.
fn cut(entries: &[LogEntry], base: LogPlace, at: Timestamp) -> Result<Cut, Obstacle> {
    let (before, after) = match entries.iter().rposition(|entry| entry.at < at) {
        Some(last) => entries.split_at(last + 1),
        None => entries.split_at(0),
    };
    let mut cut = Cut {
        up_to: base.number,
        changes: 0,
        last: None,
        is_clock_back: false,
    };
    for entry in before {
        match entry.kind {
            LogKind::Unknown => return Err(Obstacle::Unknown(entry.at)),
            LogKind::Change => {
                cut.changes += 1;
                cut.last = Some(entry.at);
            }
            LogKind::Upkeep | LogKind::Begin | LogKind::Restored(_) => {}
        }
        cut.up_to = entry.number;
        cut.is_clock_back |= entry.at >= at;
    }
    for entry in after {
        if let LogKind::Restored(as_of) = entry.kind
            && as_of < at
        {
            return Err(Obstacle::Restored(as_of, entry.at));
        }
    }
    Ok(cut)
}

/// Since when every moment can be reached with the log of the site in a data folder, if any can.
///
/// # Errors
/// If the log cannot be read.
pub fn reach(backups: &[Listed], data: &Path) -> Result<Option<Timestamp>> {
    let database = DataFolder::at(data).database();
    if !database.is_file() {
        return Ok(None);
    }
    let Some(log) = KeptChanges::open(&database)? else {
        return Ok(None);
    };
    let (mut unknown, mut restored) = (0, None);
    for mark in log.marks()? {
        match mark.kind {
            LogKind::Unknown => unknown = mark.number,
            LogKind::Restored(_) => restored = Some(mark.at),
            LogKind::Change | LogKind::Upkeep | LogKind::Begin => {}
        }
    }
    let mut since = None;
    for backup in backups {
        let Some(place) = backup.changes else {
            continue;
        };
        let is_good = !matches!(backup.trust, Trust::Bad(_));
        if is_good && place.number >= unknown && log.has(place)? {
            since = Some(since.map_or(backup.made_at, |at: Timestamp| at.min(backup.made_at)));
        }
    }
    Ok(since.map(|since| since.max(restored.unwrap_or(since))))
}

/// A moment on the clock of this machine.
pub(super) fn clock(moment: Timestamp) -> String {
    let here = moment.to_jiff().to_zoned(jiff::tz::TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: LogPlace = LogPlace {
        number: 7,
        change: 70,
    };

    /// What is in the log, a moment, and where it is.
    type Case<'a> = (&'a [(i64, LogKind)], i64, Result<Cut, Obstacle>);

    /// Rows after number 7, at these times.
    fn rows(all: &[(i64, LogKind)]) -> Vec<LogEntry> {
        let row = |(n, (at, kind)): (usize, &(i64, LogKind))| LogEntry {
            number: 8 + n as i64,
            change: 80 + n as i64,
            at: Timestamp(*at),
            kind: *kind,
            schema: 4,
        };
        all.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_moment_is_behind_the_last_change_before_it() {
        use LogKind::{Begin, Change, Restored, Unknown, Upkeep};
        let then = |up_to, changes, last: Option<i64>| {
            Ok(Cut {
                up_to,
                changes,
                last: last.map(Timestamp),
                is_clock_back: false,
            })
        };
        let back = |up_to, changes, last| {
            then(up_to, changes, last).map(|cut| Cut {
                is_clock_back: true,
                ..cut
            })
        };
        let usual = [(100, Change), (100, Upkeep), (110, Change), (120, Change)];
        let restored = [
            (100, Change),
            (300, Restored(Timestamp(150))),
            (310, Change),
        ];
        let unknown = [(100, Change), (100, Unknown), (200, Change)];
        let jumped = [(100, Change), (9000, Change), (120, Change), (130, Change)];
        let table: [Case; 17] = [
            (&[], 100, then(7, 0, None)),
            (&[(100, Begin)], 200, then(8, 0, None)),
            (&usual, 99, then(7, 0, None)),
            // What was done in the very second came after it began.
            (&usual, 100, then(7, 0, None)),
            (&usual, 101, then(9, 1, Some(100))),
            (&usual, 115, then(10, 2, Some(110))),
            (&usual, 9999, then(11, 3, Some(120))),
            (&restored, 120, then(8, 1, Some(100))),
            (&restored, 150, then(8, 1, Some(100))),
            (
                &restored,
                151,
                Err(Obstacle::Restored(Timestamp(150), Timestamp(300))),
            ),
            (
                &restored,
                300,
                Err(Obstacle::Restored(Timestamp(150), Timestamp(300))),
            ),
            (&restored, 301, then(9, 1, Some(100))),
            (&restored, 400, then(10, 2, Some(310))),
            (&unknown, 100, then(7, 0, None)),
            (&unknown, 150, Err(Obstacle::Unknown(Timestamp(100)))),
            (&jumped, 110, then(8, 1, Some(100))),
            (&jumped, 125, back(10, 3, Some(120))),
        ];
        for (entries, at, wanted) in table {
            assert_eq!(
                cut(&rows(entries), BASE, Timestamp(at)),
                wanted,
                "{entries:?} at {at}"
            );
        }
    }
}
