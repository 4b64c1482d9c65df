//! Front matter in YAML, as Jekyll and Hugo write it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_saphyr::{Options, Spanned};

use super::{Entry, Problem};

/// Reads what stands between the `---` lines. The first of its lines is line 2 of the file.
pub(super) fn read(settings: &str) -> Result<Vec<Entry>, Problem> {
    // Nothing but blanks and comments is a document without a node.
    let has_settings = settings
        .lines()
        .map(str::trim_start)
        .any(|line| !line.is_empty() && !line.starts_with('#'));
    if !has_settings {
        return Ok(Vec::new());
    }
    let read: Settings =
        serde_saphyr::from_str_with_options(settings, options()).map_err(|error| {
            let error = error.without_snippet();
            let line = error
                .location()
                .map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
            Problem::new(
                line.max(1) + 1,
                format!("this is not valid YAML: {}", one_line(&error.to_string())),
            )
        })?;
    Ok(read.0)
}

/// Limits far above what settings need, and far below what hurts: aliases that multiply
/// (`a: &a [*b, *b]`, the “billion laughs”) are counted as what they become.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 50_000,
            max_aliases: 100,
            max_anchors: 100,
            max_recorded_anchor_events: 50_000,
            max_recorded_anchor_bytes: 1 << 20,
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_total_scalar_bytes: 1 << 20,
            max_merge_keys: 100,
            max_inclusion_depth: 0,
        },
    }
}

/// The settings in the order of the file.
struct Settings(Vec<Entry>);

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SettingsVisitor)
    }
}

/// Reads a mapping with the lines of its keys.
struct SettingsVisitor;

impl<'de> Visitor<'de> for SettingsVisitor {
    type Value = Settings;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("settings, one to a line, written as `name: value`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let line = usize::try_from(key.referenced.line()).unwrap_or(0).max(1) + 1;
            let value = map.next_value()?;
            if entries.iter().any(|entry| entry.key == key.value) {
                return Err(A::Error::custom(format!("“{}” is there twice", key.value)));
            }
            if entries.len() >= 1_000 {
                return Err(A::Error::custom("there are more than 1000 settings"));
            }
            entries.push(Entry {
                key: key.value,
                line,
                value,
            });
        }
        Ok(Settings(entries))
    }
}

/// A message on one line, in the words of this program, without the line and column: these count
/// from the first setting, and the line of the file is given beside the message.
fn one_line(message: &str) -> String {
    if message.contains("expected mapping start") {
        return "settings are written one to a line as name: value".to_owned();
    }
    let words: Vec<&str> = message.split_whitespace().collect();
    let message = words.join(" ");
    let end = message.find(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}
