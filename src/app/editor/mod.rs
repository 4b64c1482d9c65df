//! Writing: the list of everything, the editor, the trash.

mod conflict;
mod form;
pub mod kept;
mod list;
mod pages;
pub mod queries;
pub mod routes;
mod save;
mod trash;
pub mod views;
