//! Section `[router]` of `webstead.toml`.

use serde::Deserialize;

/// What may be asked of the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether it is asked to pass visitors on to this machine: the owner's consent. Without it, nothing is asked.
    pub open_ports: bool,
}
