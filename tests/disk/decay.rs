//! Files that decay: a bit is another one, and nobody has written to the file.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Flips one bit; the file's time of change stays.
pub(crate) fn flip(path: &Path, at: u64, bit: u8) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let changed = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
    file.set_modified(changed).unwrap();
}

/// The same of a file of a site that was checked. No program can set when a file was last changed (`ctime`), so that
/// it is remembered as having been written at this moment instead.
pub(super) fn decay(data: &Path, path: &Path, at: u64, bit: u8) {
    flip(path, at, bit);
    let ledger = data.join("disk.json");
    if path == ledger {
        return;
    }
    let text = fs::read_to_string(&ledger).unwrap();
    let mut remembered: serde_json::Value =
        serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let name = path.strip_prefix(data).unwrap().to_str().unwrap();
    if let Some(file) = remembered["small"].get_mut(name) {
        let now = fs::metadata(path).unwrap();
        file[0] = (now.ctime() * 1_000_000_000 + now.ctime_nsec()).into();
        let json = remembered.to_string();
        let sum = HEXLOWER.encode(&Sha256::digest(json.as_bytes()));
        fs::write(&ledger, format!("{json}\n{sum}\n")).unwrap();
    }
}
