//! The edge of the program: what happens to every request before and after the application.
//!
//! In order: plain HTTP is sent to HTTPS, HEAD becomes GET, a plain file of `public/` is sent, an untidy
//! address is redirected, and the page cache answers or lets the application answer and keeps what is public. Every answer over HTTPS
//! leaves with the security headers. Forms are read before the application sees them, within limits.

mod compression;
mod compressor;
mod files;
mod headers;
mod in_flight;
pub mod incoming;
pub mod page_cache;
pub mod pipeline;
mod tidy;
