//! Posts and pages as visitors see them.

pub mod views;
