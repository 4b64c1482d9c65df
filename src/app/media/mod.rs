//! Media: pictures and other files of posts, and the program's own style sheets and icons.

pub mod queries;
pub mod routes;
