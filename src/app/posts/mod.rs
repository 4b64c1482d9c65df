//! Posts and pages: what they are, how they are read and changed, and how a visitor sees one.

pub mod changes;
pub mod post;
pub mod queries;
pub mod routes;
pub mod views;
