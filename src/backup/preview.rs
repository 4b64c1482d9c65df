//! What restoring a backup would change.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::atomic::AtomicBool,
};

use rusqlite::Connection;

use super::{
    destination::refuse_inside,
    folder::SCRATCH,
    gather::{self, Whence},
    list,
    make::Progress,
    manifest::Manifest,
    moment::{Moment, Way},
    repository::Repository,
    restore::Wanted,
    writer::Writer,
};
use crate::{
    base::{
        Error, Result, Timestamp,
        scratch::{self, Scratch},
    },
    db::{DataFolder, open_to_look},
};

/// What a backup has, and what would change.
#[derive(Debug)]
pub struct Preview {
    /// The number of the backup.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Posts and pages.
    pub posts: u64,
    /// Files beside the database.
    pub files: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Against the site that is there, if there is one.
    pub changes: Option<Changes>,
    /// Whether there is a site that is too damaged to be compared.
    pub is_unreadable: bool,
    /// How it comes to be, if it is a moment.
    pub replay: Option<Replay>,
}

/// Titles of posts and pages, and counts of files.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that only the backup has.
    pub back: Vec<String>,
    /// Those that were saved since.
    pub older: Vec<String>,
    /// Those that only the site has.
    pub gone: Vec<String>,
    /// Media files that only the backup has.
    pub media_back: usize,
    /// Media files that only the site has.
    pub media_gone: usize,
    /// What else differs, in words.
    pub others: Vec<String>,
}

/// What would be replayed to get from the backup to a moment.
#[derive(Debug)]
pub struct Replay {
    /// The moment.
    pub at: Timestamp,
    /// Changes.
    pub changes: u64,
    /// When the last of them was made.
    pub last: Option<Timestamp>,
    /// Whether the clock was set back meanwhile, so that what was before and what after is not certain.
    pub is_clock_back: bool,
    /// Files that cannot be had any more, in words.
    pub lost: Vec<String>,
}

/// Compares a backup or a moment with what is in `to`. The database is restored to a scratch folder for it.
///
/// # Errors
/// As restoring.
pub fn preview(
    repository: &Repository,
    wanted: Wanted<'_>,
    to: &Path,
    progress: Progress<'_>,
    stop: &AtomicBool,
) -> Result<Preview> {
    refuse_inside(to)?;
    let _reading = repository.store.lock(false)?;
    let scratch = scratch_for(repository, to)?;
    let root = scratch.path().join("site");
    let (manifest, way) = match wanted {
        Wanted::Backup(which) => (list::find(repository, which)?.manifest, None),
        Wanted::Moment(moment) => {
            let way = Way::find(repository, moment, scratch.path(), (progress, stop))?;
            (way.base.manifest.clone(), Some((way, moment)))
        }
    };
    let mut preview = Preview {
        number: manifest.number,
        made_at: manifest.made_at,
        posts: manifest.rows("posts"),
        files: manifest.file_count,
        bytes: manifest.database.bytes + manifest.file_bytes,
        changes: None,
        is_unreadable: false,
        replay: None,
    };
    let database = DataFolder::at(to).database();
    if !database.exists() && way.is_none() {
        return Ok(preview);
    }
    Writer::new(repository, &root, progress, stop)?.database(&manifest)?;
    let then = root.join("site.db");
    let mut of_backup = BTreeSet::new();
    if let Some((way, moment)) = way {
        way.go(&then, progress, stop)?;
        let then = open_to_look(&then)?;
        preview.posts = posts(&then)?.len() as u64;
        for (_, files) in repository.files(manifest.files.iter()) {
            of_backup.extend(files?.into_iter().map(|file| file.path));
        }
        preview.replay = Some(replay_of(&way, moment, repository, &then, &of_backup)?);
    }
    if database.exists() {
        let then = open_to_look(&then)?;
        match open_to_look(&database).and_then(|now| compare(&then, &now)) {
            Ok(mut changes) => {
                files(&manifest, repository, to, &mut changes)?;
                preview.changes = Some(changes);
            }
            // That is when a backup is wanted most.
            Err(Error::Damaged(_) | Error::Database(_)) => preview.is_unreadable = true,
            Err(e) => return Err(e),
        }
    }
    Ok(preview)
}

fn replay_of(
    way: &Way,
    moment: Moment<'_>,
    repository: &Repository,
    then: &Connection,
    of_backup: &BTreeSet<String>,
) -> Result<Replay> {
    let mut wanted = gather::named_by(then)?;
    wanted.retain(|hash, _| !of_backup.contains(&format!("media/{hash}")));
    let found = gather::find(wanted, moment.data, repository, &way.others)?;
    let lost = found
        .iter()
        .filter(|(_, _, whence)| matches!(whence, Whence::Nowhere))
        .map(|(hash, name, _)| gather::lost(hash, name));
    Ok(Replay {
        at: moment.at,
        changes: way.cut.changes,
        last: way.cut.last,
        is_clock_back: way.cut.is_clock_back,
        lost: lost.collect(),
    })
}

/// A folder with room for a database: on the disk of the site that is compared, where the real restore needs it too; else
/// beside the backups. The folder for temporary files comes last, for it is in memory on many machines.
fn scratch_for(repository: &Repository, to: &Path) -> Result<Scratch> {
    let own = repository.store.scratch();
    let places = [Some(to), to.parent(), own].into_iter().flatten();
    for place in places.filter(|place| place.is_dir()) {
        scratch::sweep(place, &[SCRATCH]);
        if let Ok(scratch) = Scratch::in_folder(place, SCRATCH) {
            return Ok(scratch);
        }
    }
    let temporary = std::env::temp_dir();
    Scratch::in_folder(&temporary, SCRATCH).map_err(|e| Error::io("making", temporary, e))
}

/// The files beside the database that would change.
fn files(
    manifest: &Manifest,
    repository: &Repository,
    to: &Path,
    changes: &mut Changes,
) -> Result<()> {
    for list in repository.files(manifest.files.iter()) {
        for file in list.1? {
            let is_settled = file.path.starts_with("media/") || file.path.starts_with("tls/");
            let there = std::fs::metadata(to.join(&file.path)).map(|found| found.len());
            match there {
                _ if is_settled => {}
                Ok(bytes) if bytes == file.bytes && is_same(repository, &file, to) => {}
                Ok(_) => changes
                    .others
                    .push(format!("{} would be as it was then", file.path)),
                Err(_) => changes
                    .others
                    .push(format!("{} would come back", file.path)),
            }
        }
    }
    Ok(())
}

/// Whether a file has the content that a backup has of it.
fn is_same(repository: &Repository, file: &super::manifest::FileEntry, to: &Path) -> bool {
    let Ok(there) = std::fs::read(to.join(&file.path)) else {
        return false;
    };
    let mut parts = there.chunks(super::object::MAX_BYTES).zip(&file.parts);
    parts.all(|(content, part)| {
        let digest = super::object::digest_of(content, repository.key.as_ref());
        super::object::candidates(digest).contains(part)
    })
}

fn compare(then: &Connection, now: &Connection) -> Result<Changes> {
    let (posts_then, posts_now) = (posts(then)?, posts(now)?);
    let mut changes = Changes::default();
    for (id, (title, revision)) in &posts_then {
        match posts_now.get(id) {
            None => changes.back.push(title.clone()),
            Some((_, now)) if now != revision => changes.older.push(title.clone()),
            Some(_) => {}
        }
    }
    let only_now = posts_now
        .iter()
        .filter(|(id, _)| !posts_then.contains_key(id));
    changes.gone = only_now.map(|(_, (title, _))| title.clone()).collect();
    let (media_then, media_now) = (gather::named_by(then)?, gather::named_by(now)?);
    changes.media_back = media_then
        .keys()
        .filter(|hash| !media_now.contains_key(*hash))
        .count();
    changes.media_gone = media_now
        .keys()
        .filter(|hash| !media_then.contains_key(*hash))
        .count();
    for (what, table, columns) in [
        ("setting", "settings", "name, value"),
        ("account", "users", "name, password_hash || role"),
        ("host", "hosts", "name, keys || (removed_at IS NULL)"),
    ] {
        let (then, now) = (pairs(then, table, columns)?, pairs(now, table, columns)?);
        let one = |name: &String, becomes: &str| format!("the {what} {name} would {becomes}");
        for (name, value) in &then {
            match now.get(name) {
                None => changes.others.push(one(name, "come back")),
                Some(now) if now != value => {
                    changes.others.push(one(name, "be as it was then"));
                }
                Some(_) => {}
            }
        }
        let only_now = now.keys().filter(|name| !then.contains_key(*name));
        changes
            .others
            .extend(only_now.map(|name| one(name, "be gone")));
    }
    Ok(changes)
}

fn posts(connection: &Connection) -> Result<BTreeMap<i64, (String, i64)>> {
    let mut statement = connection.prepare("SELECT id, title, revision FROM posts")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Rows of a small table that an older schema may not have.
fn pairs(connection: &Connection, table: &str, columns: &str) -> Result<BTreeMap<String, String>> {
    let is_there = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
    let tables: i64 = connection.query_row(is_there, [table], |row| row.get(0))?;
    if tables == 0 {
        return Ok(BTreeMap::new());
    }
    let sql = format!("SELECT {columns} FROM {table} ORDER BY 1, 2");
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
