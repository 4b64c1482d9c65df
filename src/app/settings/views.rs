//! What the settings' page needs.

use askama::Template;

use crate::app::layout::{FieldErrors, Shell};

/// The site's settings. Posts its fields by their names to `/admin/settings`.
#[derive(Template)]
#[template(path = "settings/settings.html")]
pub struct SettingsPage {
    /// The frame.
    pub shell: Shell,
    /// The name of the site.
    pub title: String,
    /// One line under the name.
    pub tagline: String,
    /// A BCP 47 tag.
    pub language: String,
    /// A name from the time zone database: `Europe/Zurich`.
    pub time_zone: String,
    /// As it was typed.
    pub posts_per_page: String,
    /// What is wrong with it.
    pub errors: FieldErrors,
}
