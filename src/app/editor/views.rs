//! What the list of everything, the editor and the trash need.

use askama::Template;

use crate::app::layout::{FieldErrors, Shell};
use crate::base::Timestamp;

/// Everything there is, by last change. `GET /admin?q=&show=`.
#[derive(Template)]
#[template(path = "editor/list.html")]
pub struct ListPage {
    /// The frame.
    pub shell: Shell,
    /// One page of entries.
    pub entries: Vec<EntryRow>,
    /// What was searched for; may be empty.
    pub query: String,
    /// `all`, `posts`, `pages` or `drafts`.
    pub filter: String,
    /// Where those changed later are.
    pub newer: Option<String>,
    /// Where those changed earlier are.
    pub older: Option<String>,
    /// How many are in the trash.
    pub trash_count: usize,
    /// Whether the site has no domain yet, and the person could give it one.
    pub lacks_domain: bool,
}

/// A post or page in the list of everything.
#[derive(Clone, Debug)]
pub struct EntryRow {
    /// Its id.
    pub id: String,
    /// Its title; may be empty.
    pub title: String,
    /// `post` or `page`.
    pub kind: &'static str,
    /// `draft` or `published`.
    pub state: &'static str,
    /// Where it is edited.
    pub edit_href: String,
    /// Where it is seen; a draft by editors only.
    pub view_href: String,
    /// When it was last changed.
    pub updated: Timestamp,
    /// When it was published.
    pub published: Option<Timestamp>,
}

/// The editor. Posts to `/admin/posts` (new) or `/admin/posts/{id}`.
#[derive(Template)]
#[template(path = "editor/edit.html")]
pub struct EditPage {
    /// The frame.
    pub shell: Shell,
    /// What is in the fields.
    pub form: EditForm,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// Somebody saved in between.
    pub conflict: Option<Conflict>,
    /// The text as visitors will see it, sanitised already.
    pub preview_html: Option<String>,
    /// `new`, `draft` or `published`.
    pub state: &'static str,
    /// Where it is seen.
    pub view_href: Option<String>,
    /// Addresses that redirect here.
    pub old_addresses: Vec<String>,
    /// Tags that exist already.
    pub tag_suggestions: Vec<String>,
    /// The person had to sign in again and got back what they were writing.
    pub kept: bool,
    /// Pictures and files that can be put in.
    pub media: Vec<MediaRow>,
}

impl EditPage {
    /// What the page is called: `New post`, `Edit page`.
    pub fn heading(&self) -> &'static str {
        match (self.form.id.is_some(), self.form.kind == "page") {
            (false, false) => "New post",
            (false, true) => "New page",
            (true, false) => "Edit post",
            (true, true) => "Edit page",
        }
    }

    /// Where the form is posted.
    pub fn action(&self) -> String {
        match &self.form.id {
            Some(id) => format!("/admin/posts/{id}"),
            None => "/admin/posts".to_owned(),
        }
    }

    /// What the browser keeps unsaved text under.
    pub fn storage_key(&self) -> String {
        match &self.form.id {
            Some(id) => id.clone(),
            None if self.form.kind == "page" => "new-page".to_owned(),
            None => "new-post".to_owned(),
        }
    }

    /// Whether what is in the fields differs from what is saved already.
    pub fn is_unsaved(&self) -> bool {
        self.kept || self.conflict.is_some() || !self.errors.is_empty()
    }
}

/// The fields of the editor, by their names.
#[derive(Clone, Debug, Default)]
pub struct EditForm {
    /// `None` before the first save.
    pub id: Option<String>,
    /// The id that a new post will have; only used while `id` is `None`.
    pub new_id: String,
    /// What the save is checked against; 0 before the first save.
    pub revision: i64,
    /// `post` or `page`.
    pub kind: String,
    /// The title.
    pub title: String,
    /// The address; empty to have it made from the title.
    pub address: String,
    /// For lists and link previews; empty to use the first words.
    pub description: String,
    /// Separated by commas.
    pub tags: String,
    /// Separated by semicolons.
    pub authors: String,
    /// `2014-12-12 09:30` in the site's zone, or empty.
    pub published: String,
    /// The text.
    pub markdown: String,
}

/// What somebody else saved while this person was writing.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// When they saved.
    pub saved: Timestamp,
    /// The fields that differ, but for the text.
    pub fields: Vec<FieldDifference>,
    /// Their text against this person's text.
    pub diff: Vec<DiffLine>,
    /// The revision that is saved now.
    pub their_revision: i64,
}

/// A field in which two people's versions differ, as the form shows it.
#[derive(Clone, Debug)]
pub struct FieldDifference {
    /// What the form calls it.
    pub name: &'static str,
    /// What is saved; may be empty.
    pub theirs: String,
    /// What this person wrote; may be empty.
    pub yours: String,
}

/// A line of the comparison.
#[derive(Clone, Debug)]
pub struct DiffLine {
    /// `same`, `yours` or `theirs`.
    pub kind: &'static str,
    /// The line, without its end.
    pub text: String,
}

/// A file that can be put into the text.
#[derive(Clone, Debug)]
pub struct MediaRow {
    /// The file's name.
    pub name: String,
    /// Its address.
    pub href: String,
    /// What to write to have it in the text.
    pub markdown: String,
}

/// What was thrown away and can be had back.
#[derive(Template)]
#[template(path = "editor/trash.html")]
pub struct TrashPage {
    /// The frame.
    pub shell: Shell,
    /// What was thrown away last comes first.
    pub entries: Vec<TrashRow>,
}

/// A post or page in the trash.
#[derive(Clone, Debug)]
pub struct TrashRow {
    /// Its id.
    pub id: String,
    /// Its title; may be empty.
    pub title: String,
    /// `post` or `page`.
    pub kind: &'static str,
    /// When it was thrown away.
    pub trashed: Timestamp,
}
