//! The program on the disk: which one runs, whether another lies there now, and whether it is for this machine.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::base::{Error, Result, files};

/// The program that runs, which may lie on the disk no more.
const OWN: &str = "/proc/self/exe";
/// What is read of a file to know what it is for (elf(5), `Elf64_Ehdr`).
const HEAD_BYTES: usize = 64;

/// The program that runs: where it lies, and which file that was at the start.
#[derive(Clone, Debug)]
pub(in crate::server) struct Program {
    pub(in crate::server) path: PathBuf,
    file: Option<(u64, u64)>,
}

impl Program {
    /// The one of this process. `path` is known if the process before has told it: the file may have been replaced
    /// since it was started.
    pub(in crate::server) fn own(path: Option<PathBuf>) -> Result<Self> {
        let path = path.map_or_else(std::env::current_exe, Ok);
        let path = path.map_err(|e| Error::io("looking for", OWN, e))?;
        Ok(Self {
            path,
            file: file_of(Path::new(OWN)),
        })
    }

    /// Whether another file lies in its place now.
    pub(in crate::server) fn was_replaced(&self) -> bool {
        file_of(&self.path).is_some_and(|now| Some(now) != self.file)
    }
}

fn file_of(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Refuses a file that is no program for this machine, before anybody tries to run it.
///
/// # Errors
/// [`Error::Invalid`] that says what it is, [`Error::Io`] if it cannot be read.
pub fn refuse_foreign(path: &Path) -> Result<()> {
    files::refuse_irregular(path)?;
    let head = |path: &Path| -> Result<Vec<u8>> {
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head))
            .map_err(|e| Error::io("reading", path, e))?;
        Ok(head)
    };
    let (own, other) = (head(Path::new(OWN))?, head(path)?);
    if other.len() < HEAD_BYTES || other[..4] != *b"\x7fELF" {
        return Err(Error::Invalid(format!(
            "{} is no program for Linux; is it an archive, or was it not downloaded whole?",
            path.display()
        )));
    }
    // 32 or 64 bits, the order of bytes, and the processor.
    if own[4..6] != other[4..6] || own[18..20] != other[18..20] {
        return Err(Error::Invalid(format!(
            "{} is for another kind of machine ({}), and this one is {}; take the file for this one",
            path.display(),
            machine(&other),
            machine(&own),
        )));
    }
    let there = fs::metadata(path).map_err(|e| Error::io("looking at", path, e))?;
    if end_of_sections(&other).is_some_and(|end| end > there.len()) {
        return Err(Error::Invalid(format!(
            "{} ends too early: it was not downloaded or copied whole; do that once more",
            path.display()
        )));
    }
    Ok(())
}

/// Where the list of sections of a program ends, which is at its own end or shortly before; nothing if it has none.
fn end_of_sections(head: &[u8]) -> Option<u64> {
    // elf(5): e_shoff, e_shentsize and e_shnum, of 32 and of 64 bits.
    let (at, bytes, of_each) = if head[4] == 1 {
        (0x20, 4, 0x2e)
    } else {
        (0x28, 8, 0x3a)
    };
    let number = |at: usize, bytes: usize| {
        let part = &head[at..at + bytes];
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if head[5] == 2 {
            part.iter().fold(0, add)
        } else {
            part.iter().rev().fold(0, add)
        }
    };
    let begin = number(at, bytes);
    let list = number(of_each, 2) * number(of_each + 2, 2);
    (begin > 0).then(|| begin.saturating_add(list))
}

/// The processor that a program is for, in words.
fn machine(head: &[u8]) -> String {
    let code = [head[18], head[19]];
    let code = if head[5] == 2 {
        u16::from_be_bytes(code)
    } else {
        u16::from_le_bytes(code)
    };
    // elf(5), `e_machine`; the numbers of the System V ABI.
    match (code, head[4]) {
        (3, _) => "i386".into(),
        (40, _) => "arm, 32 bits: armv6 or armv7".into(),
        (62, _) => "x86_64".into(),
        (183, _) => "aarch64, which is arm with 64 bits".into(),
        (243, 1) => "riscv32".into(),
        (243, _) => "riscv64".into(),
        (other, _) => format!("number {other} of the ELF standard"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{OWN, Program, refuse_foreign};

    #[test]
    fn a_program_for_another_machine_is_named_and_refused_and_so_is_no_program() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let own = fs::read(OWN).unwrap();
        let mut other = own[..64].to_vec();
        other[18..20].copy_from_slice(&[8, 0]);
        for (bytes, word) in [
            (&b"#!/bin/sh\nexit 0 # long enough"[..], "no program"),
            (&b""[..], "no program"),
            (&own[..10], "no program"),
            (&own[..own.len() / 2], "not downloaded or copied whole"),
            (&own[..own.len() - 1000], "not downloaded or copied whole"),
            (&other, "number 8"),
        ] {
            fs::write(&path, bytes).unwrap();
            let refusal = refuse_foreign(&path).unwrap_err().to_string();
            assert!(refusal.contains(word), "{refusal}");
        }
        refuse_foreign(Path::new(OWN)).unwrap();
        // One that nobody writes to would be waited for without end.
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [&pipe, dir.path(), Path::new("/dev/zero")] {
            let refusal = refuse_foreign(path).unwrap_err().to_string();
            assert!(refusal.contains("is no file"), "{refusal}");
        }
    }

    #[test]
    fn another_file_in_its_place_is_noticed_and_none_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let own = Program::own(Some(path.clone())).unwrap();
        assert!(!own.was_replaced());
        fs::write(&path, "new").unwrap();
        assert!(own.was_replaced());
        assert!(!Program::own(None).unwrap().was_replaced());
    }
}
