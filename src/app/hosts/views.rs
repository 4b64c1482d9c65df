//! What the pages of the hosts need.

use askama::Template;

use super::form::{HostForm, Kind};
use crate::app::layout::{FieldErrors, Shell};

/// A host in the list.
pub struct HostRow {
    /// The name that visitors ask for.
    pub name: String,
    /// Where it is; empty if it is not served.
    pub href: String,
    /// Its form; `None` if it is set in `webstead.toml`.
    pub edit: Option<String>,
    /// What kind it is, in a word.
    pub kind: &'static str,
    /// The folder, or where the programs listen.
    pub serves: Vec<String>,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// A host that was removed.
pub struct RemovedRow {
    /// Its id.
    pub id: String,
    /// The name that visitors asked for.
    pub name: String,
}

/// What else is served.
#[derive(Template)]
#[template(path = "hosts/list.html")]
pub struct HostsPage {
    /// The frame.
    pub shell: Shell,
    /// By name.
    pub hosts: Vec<HostRow>,
    /// Those that can come back.
    pub removed: Vec<RemovedRow>,
}

/// The form of one. Posts its fields by their names to `action`.
#[derive(Template)]
#[template(path = "hosts/edit.html")]
pub struct HostPage {
    /// The frame.
    pub shell: Shell,
    /// What is served.
    pub kind: Kind,
    /// Where the form is posted.
    pub action: String,
    /// Whether it is served already.
    pub is_there: bool,
    /// As it was typed.
    pub form: HostForm,
    /// What is wrong with it.
    pub errors: FieldErrors,
}

impl HostPage {
    fn is_files(&self) -> bool {
        self.kind == Kind::Files
    }

    /// Whether the rarer fields are to be seen.
    fn shows_more(&self) -> bool {
        let rare = [
            &self.form.cache,
            &self.form.health,
            &self.form.answer_timeout_s,
            &self.form.keep_host,
            &self.form.certificate,
        ];
        rare.iter().any(|text| !text.is_empty())
    }
}
