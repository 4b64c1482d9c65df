//! Webstead: a whole website in one file.
//!
//! The modules, in the order in which a request meets them:

pub mod net;
pub mod edge;
pub mod auth;
pub mod jobs;
pub mod text;
pub mod db;
pub mod base;
