//! What a visitor sees when something went wrong, and what the log gets.

pub mod middleware;
pub mod views;
