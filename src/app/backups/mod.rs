//! Backups, as the owner sees them, and where they go.

pub mod changes;
pub mod form;
pub mod live;
mod place;
pub mod queries;
pub mod routes;
pub mod views;
