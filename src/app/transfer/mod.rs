//! Import and export: a site as a folder of Markdown files.
//!
//! An import reads everything first ([`plan::Plan`]), touches nothing until it is told to
//! ([`plan::Plan::apply`]), and then becomes visible in one change.

mod calls;
mod compare;
mod dates;
mod entry;
pub mod export;
mod front;
mod html_links;
mod links;
mod matching;
mod names;
pub mod plan;
pub mod report;
mod resolve;
mod stage;
mod walk;

#[cfg(test)]
mod odd_tests;
#[cfg(test)]
mod round_trip_tests;
#[cfg(test)]
mod tests;
