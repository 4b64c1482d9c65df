//! The site that is backed up.

use std::path::PathBuf;

use crate::{
    base::Result,
    db::{DataFolder, Database, Snapshot, end_of_log, open_to_look},
};

/// What of a site is backed up.
pub struct Source {
    /// Its data folder.
    pub folder: DataFolder,
    /// The settings of the machine, wherever they are.
    pub settings: PathBuf,
    /// Whether the folder `secrets` comes along.
    pub with_secrets: bool,
    /// Its database, if this process has it open.
    pub database: Option<Database>,
    /// Whether changes are kept from its first backup on.
    pub keeps_changes: bool,
}

impl Source {
    /// Whether nothing can be written to its data folder: no backup of it is remembered there.
    pub fn is_read_only(&self) -> bool {
        self.folder.is_on_read_only_disk()
    }

    /// Its database as it is now.
    pub(super) fn snapshot(&self) -> Result<Snapshot> {
        match &self.database {
            Some(database) => Snapshot::of(database),
            None => Snapshot::take(&self.folder.database()),
        }
    }

    /// Does something with the database. One of an older program is left as it is.
    pub(super) fn with_database(&self, work: impl Fn(&Database) -> Result<()>) -> Result<()> {
        if let Some(database) = &self.database {
            return work(database);
        }
        let Some(database) = Database::open_unmigrated(&self.folder.database())? else {
            return Ok(());
        };
        let outcome = work(&database);
        database.close();
        outcome
    }

    /// From now on changes are kept, if they are to be.
    pub(super) fn begin_log(&self) {
        let is_begun = || -> Result<bool> {
            Ok(end_of_log(&open_to_look(&self.folder.database())?)?.is_some())
        };
        if !self.keeps_changes || self.is_read_only() || is_begun().unwrap_or(false) {
            return;
        }
        // A backup of a site whose disk is full is worth more than this.
        if let Err(e) = self.with_database(Database::begin_log) {
            log::warn!(
                "changes are not kept, so there is no way back to a moment between two backups: {e}"
            );
        }
    }
}
