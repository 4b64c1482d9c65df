//! The application: one folder for each thing that a person can see or do.

pub mod archive;
pub mod backups;
pub mod disk;
pub mod doctor;
pub mod editor;
pub mod errors;
pub mod feeds;
pub mod help;
pub mod home;
pub mod hosts;
pub mod layout;
pub mod lists;
pub mod media;
pub mod names;
pub mod posts;
pub mod prose;
pub mod settings;
pub mod tags;
pub mod traffic;
pub mod transfer;
pub mod users;
pub mod visit;

#[cfg(test)]
mod gallery_test;

use actix_web::web;

/// Adds the routes of every feature.
pub fn configure(routes: &mut web::ServiceConfig) {
    home::routes::configure(routes);
    tags::routes::configure(routes);
    archive::routes::configure(routes);
    feeds::routes::configure(routes);
    media::routes::configure(routes);
    help::routes::configure(routes);
    users::routes::configure(routes);
    settings::routes::configure(routes);
    names::routes::configure(routes);
    hosts::routes::configure(routes);
    traffic::routes::configure(routes);
    backups::routes::configure(routes);
    disk::routes::configure(routes);
    doctor::routes::configure(routes);
    editor::routes::configure(routes);
    // Every other address may be a post's.
    routes.default_service(web::route().to(posts::routes::show));
}
