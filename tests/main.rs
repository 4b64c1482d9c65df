//! The one integration test binary: a real site, over real HTTPS, on a temporary data folder.

#![allow(clippy::unwrap_used)] // in a test, a panic is the message

mod accounts;
mod answers;
mod architecture;
mod attacks;
mod backup;
mod bind;
mod browser;
mod cache_judge;
mod certificates;
mod command_line;
mod database;
mod dependencies;
mod disk;
mod durability;
mod guards;
mod hostile;
mod hosts;
mod hosts_in_browser;
mod http;
mod http_edge;
mod https_only;
mod install;
mod lifecycle;
mod lists_and_links;
mod load_judge;
mod names_dns;
mod names_in_browser;
mod observed;
mod pages;
mod pebble;
mod plain_files;
mod posts;
mod proxy;
mod round_trip;
mod saving;
mod service;
mod site;
mod tls_judge;
mod tools;
mod traffic;
mod trust;
mod upgrade;
mod upgrade_load;
mod upstream;
