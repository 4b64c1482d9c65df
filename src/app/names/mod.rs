//! The site's name and its certificate, set in the browser.

pub mod changes;
pub mod dns;
pub mod form;
pub mod https_only;
pub mod live;
pub mod providers;
pub mod queries;
pub mod router;
pub mod routes;
pub mod views;
