//! Changing the site's names.

use crate::{
    base::Id,
    db::{Change, Value},
};

/// Guard: the names are as their owner last saw them.
pub const NAMES_UNCHANGED: &str = "names-unchanged";

/// Sets the names, where they are still `seen`; keeps what was there before for who wants it back.
pub fn update_names(seen: Option<&str>, names: &str, before: Option<&str>) -> Change {
    let mut change = unchanged(seen);
    set(&mut change, "names", names);
    match before {
        Some(before) => set(&mut change, "names_before", before),
        None => change.push("DELETE FROM settings WHERE name = 'names_before'", vec![]),
    }
    change
}

/// Sets the names, where they are still `seen`, as nobody's doing: what was before that stays.
pub fn update_names_only(seen: Option<&str>, names: &str) -> Change {
    let mut change = unchanged(seen);
    set(&mut change, "names", names);
    change
}

/// Sets what browsers are told of HTTPS.
pub fn update_https_only(wish: &str) -> Change {
    let mut change = Change::new();
    set(&mut change, "https_only", wish);
    change
}

/// Sets where names can be changed.
pub fn update_dns(keys: &str) -> Change {
    let mut change = Change::new();
    set(&mut change, "dns", keys);
    change
}

/// Names are not changed any more.
pub fn delete_dns() -> Change {
    let mut change = Change::new();
    change.push("DELETE FROM settings WHERE name = 'dns'", vec![]);
    change
}

/// Sets whether the router is asked to pass visitors on.
pub fn update_router(keys: &str) -> Change {
    let mut change = Change::new();
    set(&mut change, "router", keys);
    change
}

/// Nothing is asked of the router any more.
pub fn delete_router() -> Change {
    let mut change = Change::new();
    change.push("DELETE FROM settings WHERE name = 'router'", vec![]);
    change
}

fn unchanged(seen: Option<&str>) -> Change {
    let mut change = Change::new();
    change.guard(
        NAMES_UNCHANGED,
        "UPDATE guard SET ok = ((SELECT value FROM settings WHERE name = 'names') IS ?1)",
        vec![seen.map_or(Value::Null, Value::from)],
    );
    change
}

fn set(change: &mut Change, name: &str, value: &str) {
    change.push(
        "INSERT INTO settings (id, name, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        vec![Id::new().into(), name.into(), value.into()],
    );
}
