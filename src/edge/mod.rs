//! The edge of the program: what happens to every request before and after the application.
//!
//! In order: plain HTTP is sent to HTTPS, HEAD becomes GET, an untidy address is redirected, and the
//! page cache answers or lets the application answer and keeps what is public. Every answer leaves
//! with the security headers.

mod compression;
mod headers;
mod in_flight;
pub mod page_cache;
pub mod pipeline;
mod tidy;
