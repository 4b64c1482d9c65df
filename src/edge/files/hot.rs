//! Small files that are asked for again and again: in memory for a second.
//!
//! Opening, looking at, reading and closing a file costs a small board as much as all the rest of an answer,
//! and so does looking for a file that is not there before each page of the site. What changes is seen after a
//! second at the latest.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::{DefaultHashBuilder, Equivalent, Weighter, sync::Cache, sync::DefaultLifecycle};

use super::{find::Selected, path::Wanted};
use crate::edge::compression::Accepted;

/// How long a file is believed to be as it was.
const FRESH: Duration = Duration::from_secs(1);
/// The largest file that is kept, in bytes.
pub(super) const MOST_FILE_BYTES: u64 = 32 * 1024;
/// Memory for the files of one folder, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;
/// What a file takes beside its content.
const OVERHEAD_BYTES: u64 = 512;
/// Files of which a folder usually has one page's.
const EXPECTED: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    wanted: Wanted,
    accepted: Accepted,
}

#[derive(Hash)]
struct KeyRef<'a> {
    wanted: &'a Wanted,
    accepted: Accepted,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.wanted == key.wanted && self.accepted == key.accepted
    }
}

#[derive(Clone)]
struct Kept {
    /// `None`: there was none.
    file: Option<Arc<Selected>>,
    since: Instant,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Kept> for ByBytes {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let content = kept.file.as_ref().map_or(0, |file| file.length);
        OVERHEAD_BYTES + key.wanted.length() + content
    }
}

/// What is known of an address.
pub(super) enum Known {
    /// This file is there.
    File(Box<Selected>),
    /// No file is.
    Nothing,
}

/// The small files of a folder that were asked for last.
pub(super) struct Hot(Cache<Key, Kept, ByBytes>);

impl Hot {
    pub(super) fn new() -> Self {
        Self(Cache::with(
            EXPECTED,
            MOST_BYTES,
            ByBytes,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ))
    }

    /// What was known a second ago at most; `None` if nothing was.
    pub(super) fn get(&self, wanted: &Wanted, accepted: Accepted) -> Option<Known> {
        let kept = self.0.get(&KeyRef { wanted, accepted })?;
        let is_fresh = kept.since.elapsed() < FRESH;
        is_fresh.then(|| match kept.file {
            Some(file) => Known::File(Box::new(Selected::clone(&file))),
            None => Known::Nothing,
        })
    }

    /// Remembers that there was no file just now.
    pub(super) fn keep_none(&self, wanted: &Wanted, accepted: Accepted) {
        self.insert(wanted, accepted, None);
    }

    /// Keeps a file that was found just now, if it is small and the system has it in memory.
    pub(super) fn keep(&self, wanted: &Wanted, accepted: Accepted, file: &mut Selected) {
        if file.length > MOST_FILE_BYTES || !file.take_into_memory() {
            return;
        }
        self.insert(wanted, accepted, Some(Arc::new(file.clone())));
    }

    fn insert(&self, wanted: &Wanted, accepted: Accepted, file: Option<Arc<Selected>>) {
        let key = Key {
            wanted: wanted.clone(),
            accepted,
        };
        let kept = Kept {
            file,
            since: Instant::now(),
        };
        self.0.insert(key, kept);
    }
}

impl std::fmt::Debug for Hot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hot").field("files", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use actix_web::http::header::HeaderMap;

    use super::{FRESH, Hot, Known, MOST_BYTES, MOST_FILE_BYTES};
    use crate::edge::{
        compression::Accepted,
        files::{
            Folder,
            beneath::Patience,
            body::Content,
            find::{Found, Selected, find},
            path::Wanted,
        },
    };

    fn found(folder: &Folder, path: &str) -> Option<(Wanted, Box<Selected>)> {
        let wanted = Wanted::parse(path)?;
        match find(folder, &wanted, accepted(), Patience::Any).ok()?? {
            Found::File(file) => Some((wanted, file)),
            _ => None,
        }
    }

    fn accepted() -> Accepted {
        Accepted::of(&HeaderMap::new())
    }

    #[test]
    fn a_small_file_is_kept_for_a_second_and_a_large_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::beside_the_site(dir.path().to_owned());
        let hot = Hot::new();
        for (name, bytes, is_kept) in [("small", 100, true), ("large", MOST_FILE_BYTES + 1, false)]
        {
            let content = vec![b'x'; usize::try_from(bytes).unwrap()];
            fs::write(dir.path().join(name), &content).unwrap();
            let (wanted, mut file) = found(&folder, &format!("/{name}")).unwrap();
            hot.keep(&wanted, accepted(), &mut file);
            let kept = hot.get(&wanted, accepted());
            assert_eq!(kept.is_some(), is_kept, "{name}");
            if let Some(Known::File(kept)) = kept {
                assert!(matches!(kept.content, Content::Memory(bytes) if bytes == content));
                thread::sleep(FRESH);
                assert!(
                    hot.get(&wanted, accepted()).is_none(),
                    "it may have changed"
                );
            }
        }
    }

    #[test]
    fn a_file_that_was_not_there_is_looked_for_again_after_a_second() {
        let hot = Hot::new();
        let wanted = Wanted::parse("/none").unwrap();
        assert!(hot.get(&wanted, accepted()).is_none());
        hot.keep_none(&wanted, accepted());
        assert!(matches!(hot.get(&wanted, accepted()), Some(Known::Nothing)));
        thread::sleep(FRESH);
        assert!(hot.get(&wanted, accepted()).is_none());
    }

    #[test]
    fn many_files_take_a_bounded_amount_of_memory() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::beside_the_site(dir.path().to_owned());
        let hot = Hot::new();
        fs::write(dir.path().join("file"), vec![b'x'; 30_000]).unwrap();
        let (_, file) = found(&folder, "/file").unwrap();
        for n in 0..1000 {
            let wanted = Wanted::parse(&format!("/{n}")).unwrap();
            hot.keep(&wanted, accepted(), &mut file.clone());
        }
        assert!(hot.0.weight() <= MOST_BYTES && hot.0.weight() > MOST_BYTES / 4);
    }

    #[test]
    fn long_addresses_of_nothing_take_no_more_memory_than_files() {
        let hot = Hot::new();
        let long = format!("/{}", "a".repeat(250)).repeat(16);
        let mut kept = 0;
        for n in 0..3000 {
            let wanted = Wanted::parse(&format!("{long}/{n}")).unwrap();
            hot.keep_none(&wanted, accepted());
        }
        for n in 0..3000 {
            let wanted = Wanted::parse(&format!("{long}/{n}")).unwrap();
            if hot.get(&wanted, accepted()).is_some() {
                kept += wanted.length();
            }
        }
        assert!(kept > 0 && kept <= MOST_BYTES, "{kept} bytes");
    }
}
