//! Writing: the list of everything, the editor, the trash.

pub mod views;
