//! Room on a disk.

use std::path::Path;

use super::{Error, Result};

/// Room on the disk that holds a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are free for us.
    pub free: u64,
    /// All bytes that there are.
    pub total: u64,
    /// How many files more there can be; `None` where the file system does not count them.
    pub free_files: Option<u64>,
}

impl Space {
    /// The disk that holds a folder.
    ///
    /// # Errors
    /// [`Error::Io`] if the system does not say.
    pub fn of(folder: &Path) -> Result<Self> {
        let found =
            rustix::fs::statvfs(folder).map_err(|e| Error::io("looking at", folder, e.into()))?;
        Ok(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free_files: (found.f_files > 0).then_some(found.f_favail),
        })
    }

    /// Whether it is time to make room: less than a twentieth, and less than 500 MB, are free.
    pub fn is_low(self) -> bool {
        self.total > 0 && self.free < (self.total / 20).min(500_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::Space;

    #[test]
    fn a_disk_is_nearly_full_early_whether_it_is_small_or_large() {
        let mb = 1_000_000;
        for (free_mb, total_mb, is_low) in [
            (399, 8_000, true),
            (401, 8_000, false),
            (499, 1_000_000, true),
            (501, 1_000_000, false),
            (0, 0, false),
        ] {
            let space = Space {
                free: free_mb * mb,
                total: total_mb * mb,
                free_files: None,
            };
            assert_eq!(space.is_low(), is_low, "{space:?}");
        }
    }
}
