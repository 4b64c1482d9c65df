//! Backups, as the owner sees them.

pub mod live;
pub mod routes;
pub mod views;
