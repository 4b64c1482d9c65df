//! Front matter in YAML, as Jekyll and Hugo write it.
//!
//! The library reads the text as events; here they become settings. Limits are far above what settings need
//! and far below what hurts: aliases that multiply (`a: &a [*b, *b]`, the “billion laughs”) are counted as
//! what they become.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};

use super::{Entry, Problem, yaml_scalar};

/// Values at most, with what aliases stand for.
const MAX_NODES: usize = 50_000;
const MAX_ALIASES: usize = 100;
const MAX_DEPTH: usize = 32;
const MAX_SETTINGS: usize = 1_000;
/// What brings in the settings of another mapping (YAML 1.1, <https://yaml.org/type/merge.html>).
const MERGE: &str = "<<";

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
    let mut reader = Reader {
        parser: Parser::new_from_str(settings),
        anchors: HashMap::new(),
        nodes: 0,
        aliases: 0,
    };
    let (first, span) = reader.next()?;
    let Event::MappingStart(..) = first else {
        return Err(problem(
            span,
            "settings are written one to a line as name: value",
        ));
    };
    let entries = reader.mapping(0)?;
    match reader.next()? {
        (Event::StreamEnd, _) => Ok(entries),
        (_, span) => Err(problem(span, "the settings end before this line")),
    }
}

struct Reader<'input> {
    parser: Parser<'input, StrInput<'input>>,
    anchors: HashMap<usize, Value>,
    nodes: usize,
    aliases: usize,
}

impl<'input> Reader<'input> {
    /// The next event that is about a value, or the end.
    fn next(&mut self) -> Result<(Event<'input>, Span), Problem> {
        loop {
            let event = match self.parser.next_event() {
                Some(Ok(event)) => event,
                Some(Err(error)) => {
                    let line = error.marker().line().max(1) + 1;
                    let words: Vec<_> =
                        error.info().split_whitespace().map(str::to_owned).collect();
                    return Err(Problem::new(
                        line,
                        format!("this is not valid YAML: {}", words.join(" ")),
                    ));
                }
                None => return Err(Problem::new(2, "this is not valid YAML: it ends too soon")),
            };
            match event.0 {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ => return Ok(event),
            }
        }
    }

    /// The settings of a mapping that has begun, in the order of the file, those that are merged in last.
    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let (key, is_merge) = key_of(event, span)?;
            let (event, at) = self.next()?;
            let value = self.value(event, at, depth + 1)?;
            if is_merge {
                merged.push((value, span));
                continue;
            }
            if entries.iter().any(|entry| entry.key == key) {
                return Err(problem(
                    span,
                    &format!("“{key}” is there twice; remove one"),
                ));
            }
            entries.push(Entry {
                key,
                line: line_of(span),
                value,
            });
            if entries.len() > MAX_SETTINGS {
                return Err(problem(span, "there are more than 1000 settings"));
            }
        }
        for (value, span) in merged {
            merge(&mut entries, value, span)?;
        }
        Ok(entries)
    }

    fn value(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<Value, Problem> {
        self.count(1, span)?;
        if depth > MAX_DEPTH {
            return Err(problem(span, "this is nested too deep"));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let value =
                    yaml_scalar::resolve(&text, style, tag).map_err(|why| problem(span, &why))?;
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut values = Vec::new();
                loop {
                    let (event, at) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    values.push(self.value(event, at, depth + 1)?);
                }
                (Value::Array(values), anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = self.mapping(depth)?.into_iter();
                let map: Map<_, _> = entries.map(|entry| (entry.key, entry.value)).collect();
                (Value::Object(map), anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => return Err(problem(span, "a value is missing here")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value, Problem> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(problem(span, "there are too many aliases"));
        }
        let Some(value) = self.anchors.get(&anchor).cloned() else {
            return Err(problem(
                span,
                "this alias stands for nothing that is complete",
            ));
        };
        self.count(size(&value), span)?;
        Ok(value)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(problem(span, "this is too much for settings"));
        }
        Ok(())
    }
}

/// The name of a setting, and whether it is the one that merges.
fn key_of(event: Event<'_>, span: Span) -> Result<(String, bool), Problem> {
    match event {
        Event::Scalar(text, style, _, _)
            if style != ScalarStyle::Plain || !matches!(&*text, "" | "~") =>
        {
            let is_merge = style == ScalarStyle::Plain && text == MERGE;
            Ok((text.into_owned(), is_merge))
        }
        _ => Err(problem(
            span,
            "the name of a setting is a word, not a list or another setting",
        )),
    }
}

/// Adds what is not there yet.
fn merge(entries: &mut Vec<Entry>, from: Value, span: Span) -> Result<(), Problem> {
    match from {
        Value::Object(map) => {
            for (key, value) in map {
                if entries.iter().all(|entry| entry.key != key) {
                    let line = line_of(span);
                    entries.push(Entry { key, line, value });
                }
            }
            Ok(())
        }
        Value::Array(values) => values
            .into_iter()
            .try_for_each(|value| merge(entries, value, span)),
        _ => Err(problem(span, "what is merged with << has to be settings")),
    }
}

/// How many values a value is.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn line_of(span: Span) -> usize {
    span.start.line().max(1) + 1
}

fn problem(span: Span, message: &str) -> Problem {
    Problem::new(line_of(span), format!("this is not valid YAML: {message}"))
}
