//! What is on a disk after the power went, made from the log of `shim.c`.
//!
//! Nothing is on the disk for certain but what was synced: the bytes of a file by a sync of the file, its
//! name by a sync of its folder. Of everything else, any part may be there: nothing, all, what came first,
//! some writes and not others, and of each write some sectors and not others. After a sync that failed, the
//! kernel forgets what it should have written (<https://lwn.net/Articles/752063/>), so a later sync that
//! succeeds says nothing of it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

/// A few numbers by chance, the same ones for the same seed (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// One change, as the program made it.
struct Record {
    op: u8,
    inode: u64,
    number: u64,
    text: Vec<u8>,
    /// Bytes of the log up to and with this one.
    end: u64,
}

/// All changes of one run.
pub(crate) struct Log {
    changes: Vec<Record>,
    /// Whether the disk lies: it says that it has synced, and has not.
    pub(crate) lies: bool,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Default)]
struct Content {
    on_disk: Vec<u8>,
    /// With when it was made.
    waiting: Vec<(usize, Change)>,
}

#[derive(Clone)]
enum Name {
    File(String, usize),
    Folder(String),
    Moved(String, String, Option<usize>),
    Gone(String),
}

#[derive(Clone, Copy)]
enum Node {
    File(usize),
    Folder,
}

#[derive(Default)]
struct State {
    contents: Vec<Content>,
    by_inode: HashMap<u64, usize>,
    names: BTreeMap<String, Node>,
    waiting: Vec<(usize, Name)>,
}

/// What becomes of that which was not synced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Nothing,
    Everything,
    WhatCameFirst,
    SomeWrites,
    SomeSectors,
}

impl Log {
    /// Reads what `shim.c` has written.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut records = Vec::new();
        let mut at = 0;
        while at + 32 <= bytes.len() {
            let number = |n: usize| {
                u64::from_le_bytes(bytes[at + 8 * n..at + 8 * n + 8].try_into().unwrap())
            };
            let (op, inode, number, length) = (number(0), number(1), number(2), number(3));
            let text = at + 32;
            at = text + usize::try_from(length).unwrap();
            records.push(Record {
                op: u8::try_from(op).unwrap_or(b'?'),
                inode,
                number,
                text: bytes[text..at].to_vec(),
                end: at as u64,
            });
        }
        Self {
            changes: records,
            lies: false,
        }
    }

    /// How many changes there are.
    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// How many bytes of the log the first `count` changes are.
    pub(crate) fn length_at(&self, count: usize) -> u64 {
        self.changes[..count].last().map_or(0, |record| record.end)
    }

    /// Writes into `target` what a disk has on which the power went after the first `count` changes.
    /// Says in words what became of the rest.
    pub(crate) fn crash(&self, count: usize, chance: &mut Chance, target: &Path) -> String {
        let mut state = State::default();
        for (when, record) in self.changes[..count].iter().enumerate() {
            if !(self.lies && matches!(record.op, b'S' | b'D')) {
                state.take(when, record, chance);
            }
        }
        let fates = [
            Fate::Nothing,
            Fate::Everything,
            Fate::WhatCameFirst,
            Fate::SomeWrites,
            Fate::SomeSectors,
        ];
        let mut fate = || {
            let at = usize::try_from(chance.below(fates.len() as u64)).unwrap();
            fates[at]
        };
        let (bytes, names) = (fate(), fate());
        state.end(bytes, names, count, chance);
        state.write(target, chance);
        format!("after change {count}: of bytes {bytes:?}, of names {names:?}")
    }
}

impl State {
    fn take(&mut self, when: usize, record: &Record, chance: &mut Chance) {
        let text = || String::from_utf8(record.text.clone()).unwrap();
        let number = usize::try_from(record.number).unwrap();
        let both = || {
            let text = text();
            let (from, to) = text.split_once('\0').unwrap();
            (from.to_owned(), to.to_owned())
        };
        let known = self.by_inode.get(&record.inode).copied();
        match record.op {
            b'C' => {
                self.contents.push(Content::default());
                self.by_inode.insert(record.inode, self.contents.len() - 1);
                let name = Name::File(text(), self.contents.len() - 1);
                self.waiting.push((when, name));
            }
            b'W' => self.contents[known.unwrap()]
                .waiting
                .push((when, Change::Write(number, record.text.clone()))),
            b'T' => self.contents[known.unwrap()]
                .waiting
                .push((when, Change::Length(number))),
            b'S' => {
                let content = &mut self.contents[known.unwrap()];
                for (_, change) in std::mem::take(&mut content.waiting) {
                    content.apply(&change);
                }
            }
            b'X' => {
                let content = &mut self.contents[known.unwrap()];
                for (_, change) in std::mem::take(&mut content.waiting) {
                    content.apply_some(&change, chance);
                }
            }
            b'D' => {
                let folder = text();
                let waiting = std::mem::take(&mut self.waiting);
                for (when, name) in waiting {
                    if name.folders().contains(&&*folder) {
                        self.apply_name(name);
                    } else {
                        self.waiting.push((when, name));
                    }
                }
            }
            b'R' => {
                let (from, to) = both();
                self.waiting.push((when, Name::Moved(from, to, known)));
            }
            b'L' => self
                .waiting
                .push((when, Name::File(both().1, known.unwrap()))),
            b'U' => self.waiting.push((when, Name::Gone(text()))),
            b'M' => self.waiting.push((when, Name::Folder(text()))),
            other => panic!("the log has an unknown change {other}"),
        }
    }

    fn apply_name(&mut self, name: Name) {
        match name {
            Name::File(path, content) => {
                self.names.insert(path, Node::File(content));
            }
            Name::Folder(path) => {
                self.names.insert(path, Node::Folder);
            }
            Name::Gone(path) => {
                self.names.remove(&path);
            }
            Name::Moved(from, to, content) => {
                let moved: Vec<String> = self
                    .names
                    .keys()
                    .filter(|path| path.starts_with(&format!("{from}/")))
                    .cloned()
                    .collect();
                for path in moved {
                    let node = self.names.remove(&path).unwrap();
                    self.names.insert(path.replacen(&from, &to, 1), node);
                }
                let node = self.names.remove(&from);
                if let Some(node) = node.or(content.map(Node::File)) {
                    self.names.insert(to, node);
                }
            }
        }
    }

    /// The power goes.
    fn end(&mut self, bytes: Fate, names: Fate, count: usize, chance: &mut Chance) {
        // The last few are what is open; what waited longer has a chance too.
        let until = count - usize::try_from(chance.below(1 + count.min(60) as u64)).unwrap();
        for content in &mut self.contents {
            for (when, change) in std::mem::take(&mut content.waiting) {
                match bytes {
                    Fate::Everything => content.apply(&change),
                    Fate::WhatCameFirst if when < until => content.apply(&change),
                    Fate::WhatCameFirst | Fate::Nothing => {}
                    Fate::SomeWrites => {
                        if chance.coin() {
                            content.apply(&change);
                        }
                    }
                    Fate::SomeSectors => content.apply_some(&change, chance),
                }
            }
        }
        for (when, name) in std::mem::take(&mut self.waiting) {
            let is_there = match names {
                Fate::Nothing => false,
                Fate::Everything => true,
                Fate::WhatCameFirst => when < until,
                Fate::SomeWrites | Fate::SomeSectors => chance.coin(),
            };
            if is_there {
                self.apply_name(name);
            }
        }
    }

    fn write(&self, target: &Path, chance: &mut Chance) {
        fs::create_dir_all(target).unwrap();
        for (path, node) in &self.names {
            let path = target.join(path);
            // A name in a folder that is not there is not there either.
            if !path.parent().unwrap().is_dir() {
                continue;
            }
            match node {
                Node::Folder => fs::create_dir(&path).unwrap(),
                Node::File(content) => {
                    fs::write(&path, &self.contents[*content].on_disk).unwrap();
                    if path.ends_with("site.db") && chance.coin() {
                        let rubbish: Vec<u8> = (0..32768)
                            .map(|_| u8::try_from(chance.below(256)).unwrap())
                            .collect();
                        fs::write(path.with_extension("db-shm"), rubbish).unwrap();
                    }
                }
            }
        }
    }
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Length(length) => self.on_disk.resize(*length, 0),
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                if self.on_disk.len() < end {
                    self.on_disk.resize(end, 0);
                }
                self.on_disk[*at..end].copy_from_slice(bytes);
            }
        }
    }

    /// Some sectors of a write, or none.
    fn apply_some(&mut self, what: &Change, chance: &mut Chance) {
        let Change::Write(at, bytes) = what else {
            if chance.coin() {
                self.apply(what);
            }
            return;
        };
        let mut from = 0;
        while from < bytes.len() {
            let to = (from + SECTOR - (at + from) % SECTOR).min(bytes.len());
            if chance.coin() {
                self.apply(&Change::Write(at + from, bytes[from..to].to_vec()));
            }
            from = to;
        }
    }
}

impl Name {
    /// The folders whose sync makes this last.
    fn folders(&self) -> Vec<&str> {
        let folder = |path: &'_ str| path.rsplit_once('/').map_or(0, |(folder, _)| folder.len());
        match self {
            Self::File(path, _) | Self::Folder(path) | Self::Gone(path) => {
                vec![&path[..folder(path)]]
            }
            Self::Moved(from, to, _) => vec![&from[..folder(from)], &to[..folder(to)]],
        }
    }
}
