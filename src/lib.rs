//! Webstead: a whole website in one file.
//!
//! The modules, in the order in which a request meets them:

pub mod app;
pub mod assets;
pub mod auth;
pub mod backup;
pub mod base;
pub mod cli;
pub mod config;
pub mod db;
pub mod edge;
pub mod install;
pub mod jobs;
pub mod net;
pub mod server;
pub mod text;
