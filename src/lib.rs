//! Webstead: a whole website in one file.
//!
//! The modules, in the order in which a request meets them:

pub mod cli;
pub mod server;
pub mod config;
pub mod net;
pub mod edge;
pub mod app;
pub mod jobs;
pub mod auth;
pub mod assets;
pub mod text;
pub mod db;
pub mod base;
