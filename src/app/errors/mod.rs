//! Pages for when something went wrong.

pub mod views;
