//! Accounts: set-up, signing in and out, sessions, passwords.

mod account;
pub mod routes;
mod setup;
mod sign_in;
pub mod views;
