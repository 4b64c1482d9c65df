//! Footnotes: numbers, links there and back, and the list at the end.

use std::collections::HashMap;

use super::writer::{Frame, Writer, attribute};

/// One footnote.
#[derive(Default)]
struct Note {
    /// Its content; `None` until its definition is met.
    html: Option<String>,
    /// The id of its place in the list.
    id: String,
    /// Ids of the places that refer to it.
    references: Vec<String>,
}

/// The footnotes of one text, in the order in which they are first named.
#[derive(Default)]
pub(super) struct Footnotes {
    notes: Vec<Note>,
    by_label: HashMap<String, usize>,
    /// Definitions that are being written: their number, and what waits for their end.
    open: Vec<(usize, Frame)>,
}

impl Footnotes {
    /// Writes a reference: a raised number that leads to the note.
    pub(super) fn refer(&mut self, label: &str, writer: &mut Writer<'_>) {
        let index = self.index(label, writer);
        let number = index + 1;
        let note = &mut self.notes[index];
        let id = writer.ids.claim(&format!("fnref-{number}"));
        let mut link = String::new();
        attribute(&mut link, "href", &format!("#{}", note.id));
        attribute(&mut link, "id", &id);
        note.references.push(id);
        if writer.is_open("a") {
            return writer.html(&format!("<sup class=\"footnote-ref\">{number}</sup>"));
        }
        writer.html(&format!(
            "<sup class=\"footnote-ref\"><a{link} aria-label=\"Footnote {number}\">{number}</a></sup>"
        ));
    }

    /// Starts a definition: what is written now goes into it.
    pub(super) fn start(&mut self, label: &str, writer: &mut Writer<'_>) {
        let mut index = self.index(label, writer);
        if self.notes[index].html.is_some() {
            // A second definition of the same label: nothing refers to it, but it is not lost.
            index = self.index(&format!("{label} {}", self.notes.len()), writer);
        }
        let number = index;
        self.notes[number].html = Some(String::new());
        self.open.push((number, std::mem::take(&mut writer.frame)));
    }

    /// Ends the definition that was started last.
    pub(super) fn end(&mut self, writer: &mut Writer<'_>) {
        let Some((index, before)) = self.open.pop() else {
            return;
        };
        writer.close_to(0);
        let definition = std::mem::replace(&mut writer.frame, before);
        self.notes[index].html = Some(definition.out);
    }

    /// Writes the list of all of them.
    pub(super) fn write_list(&self, writer: &mut Writer<'_>) {
        if self.notes.is_empty() {
            return;
        }
        writer.html("<section class=\"footnotes\" aria-label=\"Footnotes\">\n<ol>\n");
        for note in &self.notes {
            let mut item = "<li".to_owned();
            attribute(&mut item, "id", &note.id);
            item.push('>');
            let html = note.html.as_deref().unwrap_or_default().trim_end();
            // The way back stands at the end of the last paragraph, if there is one.
            let (body, end) = html
                .strip_suffix("</p>")
                .map_or((html, ""), |body| (body, "</p>"));
            item.push_str(body);
            let many = note.references.len() > 1;
            for (i, reference) in note.references.iter().enumerate() {
                item.push_str(" <a class=\"footnote-back\"");
                attribute(&mut item, "href", &format!("#{reference}"));
                let label = if many {
                    format!("Back to place {} in the text", i + 1)
                } else {
                    "Back to the text".to_owned()
                };
                attribute(&mut item, "aria-label", &label);
                item.push_str(">↩</a>");
            }
            item.push_str(end);
            item.push_str("</li>\n");
            writer.html(&item);
        }
        writer.html("</ol>\n</section>\n");
    }

    /// The index of a label's note, which is made if it is new.
    fn index(&mut self, label: &str, writer: &mut Writer<'_>) -> usize {
        if let Some(index) = self.by_label.get(label) {
            return *index;
        }
        let index = self.notes.len();
        let id = writer.ids.claim(&format!("fn-{}", index + 1));
        self.notes.push(Note {
            id,
            ..Note::default()
        });
        self.by_label.insert(label.to_owned(), index);
        index
    }
}
