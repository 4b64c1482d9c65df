//! The application: one folder for each thing that a person can see or do.

pub mod archive;
pub mod editor;
pub mod errors;
pub mod help;
pub mod home;
pub mod layout;
pub mod posts;
pub mod settings;
pub mod tags;
pub mod users;

#[cfg(test)]
mod gallery_test;
