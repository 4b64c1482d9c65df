//! What set-up, signing in and the account's page need.

use askama::Template;

use crate::app::layout::{FieldErrors, Shell};
use crate::base::Timestamp;

/// Signing in. Posts `name`, `password`, `return_to` and `kept_form` to `/sign-in`.
#[derive(Template)]
#[template(path = "users/sign_in.html")]
pub struct SignInPage {
    /// The frame.
    pub shell: Shell,
    /// The name that was typed before.
    pub name: String,
    /// Why it did not work.
    pub error: Option<String>,
    /// What somebody was writing when their session ended, URL-encoded; it comes back with the form.
    pub kept_form: Option<String>,
    /// Where to go afterwards.
    pub return_to: String,
}

/// Making the owner's account. Posts `token`, `site_title`, `display_name`, `name` and `password` to `/setup`.
#[derive(Template)]
#[template(path = "users/setup.html")]
pub struct SetupPage {
    /// The frame.
    pub shell: Shell,
    /// The secret of the one-time link.
    pub token: String,
    /// What was typed before.
    pub site_title: String,
    /// What was typed before.
    pub display_name: String,
    /// What was typed before.
    pub name: String,
    /// What is wrong with it.
    pub errors: FieldErrors,
}

/// The account of the person who is signed in.
#[derive(Template)]
#[template(path = "users/account.html")]
pub struct AccountPage {
    /// The frame.
    pub shell: Shell,
    /// Where they are signed in, this session first.
    pub sessions: Vec<SessionRow>,
    /// What is wrong with the password form: fields `current` and `new`.
    pub errors: FieldErrors,
}

/// A place where somebody is signed in.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The session's id.
    pub id: String,
    /// The browser and system, in words.
    pub device: String,
    /// When they signed in there.
    pub since: Timestamp,
    /// When it was last used, if that is known.
    pub last_seen: Option<Timestamp>,
    /// Whether it is the one that asks.
    pub is_this: bool,
}
