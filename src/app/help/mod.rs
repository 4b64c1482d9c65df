//! The manual, at /help.

pub mod views;
