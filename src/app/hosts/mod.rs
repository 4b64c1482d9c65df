//! Other hosts: folders and programs that are served under names of their own.

pub mod form;
pub mod live;
pub mod queries;
pub mod routes;
pub mod views;

mod changes;
