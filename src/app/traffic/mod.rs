//! Who visits, and who is being limited: the owner's page.

pub mod live;
pub mod routes;
pub mod views;
