//! Webstead: a whole website in one file.
//!
//! The modules, in the order in which a request meets them:

pub mod base;
pub mod db;
pub mod net;
pub mod text;
