//! For programs: the Atom feed, the sitemap, robots.txt.

mod atom;
pub mod routes;
mod sitemap;
