//! Changing where backups go.

use crate::{
    base::Id,
    db::{Change, Value},
};

/// Guard: the place is as its owner last saw it.
pub const PLACE_UNCHANGED: &str = "backup-place-unchanged";

/// Sets the place, or sets none, where it is still `seen`; keeps what was there before for who wants it back.
pub fn update_place(seen: Option<&str>, keys: Option<&str>, before: Option<&str>) -> Change {
    let mut change = Change::new();
    change.guard(
        PLACE_UNCHANGED,
        "UPDATE guard SET ok = ((SELECT value FROM settings WHERE name = 'backup') IS ?1)",
        vec![seen.map_or(Value::Null, Value::from)],
    );
    set(&mut change, "backup", keys);
    set(&mut change, "backup_before", before);
    change
}

fn set(change: &mut Change, name: &str, value: Option<&str>) {
    let Some(value) = value else {
        change.push("DELETE FROM settings WHERE name = ?1", vec![name.into()]);
        return;
    };
    change.push(
        "INSERT INTO settings (id, name, value) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        vec![Id::new().into(), name.into(), value.into()],
    );
}
