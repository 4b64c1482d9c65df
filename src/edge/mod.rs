//! The edge of the program: what happens to every request before and after the application.
//!
//! In order: plain HTTP is sent to HTTPS; the request gets its id and its visitor's real address; its host is
//! found. A host of files or of another program answers by itself. The site sends a plain file of `public/`,
//! redirects an untidy address, and lets the page cache answer, or the application, of which it keeps what is
//! public; all that leaves with the security headers. Forms are read before the application sees them,
//! within limits.

pub mod at_home;
mod compression;
mod compressor;
mod files;
mod headers;
mod health;
pub mod hosts;
mod in_flight;
pub mod incoming;
pub mod observe;
mod other_names;
pub mod page_cache;
pub mod pipeline;
mod plain_page;
mod proxy;
pub mod render_limit;
mod request_context;
mod site;
pub mod strict_transport;
mod tidy;
mod trust_page;
