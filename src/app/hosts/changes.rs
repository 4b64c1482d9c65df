//! Changing the hosts.

use crate::{
    base::{Id, Timestamp},
    db::Change,
};

/// Guard: no other host has the name.
pub(super) const NAME_FREE: &str = "host-name-free";
/// Guard: the host is as its owner last saw it.
pub(super) const HOST_UNCHANGED: &str = "host-unchanged";

/// Makes a host. One of this name that was removed makes room.
pub(super) fn insert_host(id: Id, name: &str, keys: &str, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.push(
        "DELETE FROM hosts WHERE name = ?1 AND removed_at IS NOT NULL",
        vec![name.into()],
    );
    guard_name(&mut change, id, name);
    change.push(
        "INSERT INTO hosts (id, name, keys, revision, updated_at, removed_at) \
         VALUES (?1, ?2, ?3, 1, ?4, NULL)",
        vec![id.into(), name.into(), keys.into(), now.into()],
    );
    change
}

/// Saves a host that its owner saw at `revision`.
pub(super) fn update_host(id: Id, revision: i64, name: &str, keys: &str, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.guard(
        HOST_UNCHANGED,
        "UPDATE guard SET ok = EXISTS (SELECT 1 FROM hosts WHERE id = ?1 AND revision = ?2 \
         AND removed_at IS NULL)",
        vec![id.into(), revision.into()],
    );
    change.push(
        "DELETE FROM hosts WHERE name = ?1 AND id <> ?2 AND removed_at IS NOT NULL",
        vec![name.into(), id.into()],
    );
    guard_name(&mut change, id, name);
    change.push(
        "UPDATE hosts SET name = ?2, keys = ?3, updated_at = ?4, revision = revision + 1 WHERE id = ?1",
        vec![id.into(), name.into(), keys.into(), now.into()],
    );
    change
}

/// Serves a host no more; it can come back.
pub(super) fn remove_host(id: Id, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.push(
        "UPDATE hosts SET removed_at = ?2, revision = revision + 1 WHERE id = ?1 AND removed_at IS NULL",
        vec![id.into(), now.into()],
    );
    change
}

/// Serves a host again that was removed.
pub(super) fn restore_host(id: Id) -> Change {
    let mut change = Change::new();
    change.push(
        "UPDATE hosts SET removed_at = NULL, revision = revision + 1 \
         WHERE id = ?1 AND removed_at IS NOT NULL",
        vec![id.into()],
    );
    change
}

fn guard_name(change: &mut Change, id: Id, name: &str) {
    change.guard(
        NAME_FREE,
        "UPDATE guard SET ok = NOT EXISTS (SELECT 1 FROM hosts WHERE name = ?2 AND id <> ?1)",
        vec![id.into(), name.into()],
    );
}
