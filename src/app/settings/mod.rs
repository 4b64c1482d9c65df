//! Settings that the owner edits in the browser.

pub mod views;
