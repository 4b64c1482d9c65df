//! Front matter in TOML, as Zola and Hugo write it.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use super::{Entry, Problem, line_at};

/// Reads what stands between the `+++` lines. The first of its lines is line 2 of the file.
pub(super) fn read(settings: &str) -> Result<Vec<Entry>, Problem> {
    let line_of = |byte: usize| line_at(settings, byte) + 1;
    let table = DeTable::parse(settings).map_err(|error| {
        let line = error.span().map_or(2, |span| line_of(span.start));
        Problem::new(line, format!("this is not valid TOML: {}", error.message()))
    })?;
    let mut entries: Vec<(usize, Entry)> = Vec::new();
    for (key, value) in table.get_ref() {
        let at = key.span().start;
        let line = line_of(at);
        let value = to_json(value.get_ref())
            .map_err(|message| Problem::new(line, format!("“{}”: {message}", key.get_ref())))?;
        entries.push((
            at,
            Entry {
                key: key.get_ref().to_string(),
                line,
                value,
            },
        ));
    }
    entries.sort_by_key(|(at, _)| *at);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// A TOML value as JSON; dates become strings. The parser bounds how deep it can be.
fn to_json(value: &DeValue) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|n| Value::Number(n.into()))
            .map_err(|_| format!("{} is too large a number", number.as_str()))?,
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(Value::Number)
            .ok_or_else(|| format!("{} is not a number that can be stored", number.as_str()))?,
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| to_json(item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => {
            let mut map = Map::new();
            for (key, value) in table {
                map.insert(key.get_ref().to_string(), to_json(value.get_ref())?);
            }
            Value::Object(map)
        }
    })
}
