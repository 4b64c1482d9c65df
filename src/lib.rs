//! Webstead: a whole website in one file.
//!
//! The modules, in the order in which a request meets them:

pub mod text;
pub mod net;
pub mod base;
