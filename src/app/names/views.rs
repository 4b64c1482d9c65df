//! What the pages of the site's names need.

use askama::Template;

use super::{
    form::NameForm,
    live::{
        CertificateState, FilesTrouble, Following, HttpsOnly, Lead, OfFile, OutOfTime, RouterState,
    },
    providers::{Field, Provider},
};
use crate::app::layout::{FieldErrors, Shell};

/// Where the usual authority has its terms.
pub const TERMS: &str = "https://letsencrypt.org/repository/";

/// The domain and its certificate. Posts its fields by their names to `/admin/name`.
#[derive(Template)]
#[template(path = "names/name.html")]
pub struct NamePage {
    /// The frame.
    pub shell: Shell,
    /// As it was typed.
    pub form: NameForm,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// What `webstead.toml` sets.
    pub of_file: OfFile,
    /// Where the names lead, if that was looked at.
    pub leads: Vec<Lead>,
    /// What else will happen, in sentences.
    pub outlook: Vec<String>,
    /// The domain now, and the one that there is to be once it has answered.
    pub waiting: Option<(String, String)>,
    /// How it stands with the certificates.
    pub certificates: Vec<CertificateState>,
    /// The owner's own files that cannot be used.
    pub files_trouble: Vec<FilesTrouble>,
    /// Whether the site has a domain.
    pub has_domain: bool,
    /// How it stands with the names that follow; `None` if none is to.
    pub following: Option<Following>,
    /// Whether the router is asked to pass visitors on.
    pub is_router_asked: bool,
    /// What browsers are told of HTTPS.
    pub https_only: HttpsOnly,
}

/// A field of a DNS provider, as it was typed.
pub struct DnsField {
    /// What it is.
    pub field: &'static Field,
    /// What is in it.
    pub value: String,
}

/// Where names can be changed. Posts to `/admin/name/dns`.
#[derive(Template)]
#[template(path = "names/dns.html")]
#[allow(clippy::struct_excessive_bools)] // each is something that the page says or not
pub struct DnsPage {
    /// The frame.
    pub shell: Shell,
    /// Those that can be chosen.
    pub offered: Vec<&'static Provider>,
    /// Whether `webstead.toml` says it.
    pub is_of_file: bool,
    /// Whether there is a token.
    pub has_token: bool,
    /// The one that was chosen.
    pub provider: Option<&'static Provider>,
    /// Whose secret can be given: that one, or the one of the file.
    pub secret_of: Option<&'static Provider>,
    /// Whether one is set.
    pub is_kept: bool,
    /// What it wants to know.
    pub fields: Vec<DnsField>,
    /// Whether names are to follow.
    pub is_followed: bool,
    /// How it stands with those that follow; `None` if none is to.
    pub following: Option<Following>,
    /// What is wrong with it.
    pub errors: FieldErrors,
}

impl DnsPage {
    fn is_chosen(&self, one: &Provider) -> bool {
        self.provider.is_some_and(|provider| provider.id == one.id)
    }
}

/// The router at home. Posts to `/admin/name/router`.
#[derive(Template)]
#[template(path = "names/router.html")]
pub struct RouterPage {
    /// The frame.
    pub shell: Shell,
    /// How it stands.
    pub state: RouterState,
    /// What is wrong with what was typed.
    pub errors: FieldErrors,
}

/// What browsers are told of HTTPS. Posts to `/admin/name/https-only`.
#[derive(Template)]
#[template(path = "names/https_only.html")]
pub struct HttpsOnlyPage {
    /// The frame.
    pub shell: Shell,
    /// As it is, or as it was typed.
    pub state: HttpsOnly,
    /// What is wrong with it.
    pub errors: FieldErrors,
}

impl NamePage {
    fn is_of_file(&self, field: &str) -> bool {
        self.of_file.iter().any(|(name, _)| *name == field)
    }

    /// A field that the file sets can be read and not changed.
    fn lock(&self, field: &str) -> &'static str {
        if self.is_of_file(field) {
            " readonly"
        } else {
            ""
        }
    }

    fn hint<'a>(&self, field: &str, hint: &'a str) -> &'a str {
        if self.is_of_file(field) {
            "Set in webstead.toml; change it there."
        } else {
            hint
        }
    }

    /// Whether the rarer fields are to be seen.
    fn shows_more(&self) -> bool {
        let rare = ["authority", "challenge", "profile", "more_names", "key"];
        let form = &self.form;
        let filled = [
            &form.authority,
            &form.challenge,
            &form.profile,
            &form.more_names,
            &form.key,
        ];
        filled.iter().any(|text| !text.is_empty())
            || rare.iter().any(|field| self.errors.get(field).is_some())
    }
}

/// How it goes on after something was saved or asked for.
#[derive(Template)]
#[template(path = "names/progress.html")]
pub struct ProgressPage {
    /// The frame.
    pub shell: Shell,
    /// Whether something is still under way.
    pub is_under_way: bool,
    /// The domain now, and the one that there is to be once it has answered.
    pub waiting: Option<(String, String)>,
    /// How it stands with the certificates.
    pub certificates: Vec<CertificateState>,
    /// The owner's own files that cannot be used.
    pub files_trouble: Vec<FilesTrouble>,
    /// Where the site is under its domain, if it has one that answers.
    pub home: Option<String>,
}

impl ProgressPage {
    /// What has come of it.
    fn heading(&self) -> &'static str {
        let failed = |one: &&CertificateState| one.failure.is_some() && !one.is_waiting;
        let failed: Vec<&CertificateState> = self.certificates.iter().filter(failed).collect();
        if self.is_under_way {
            "Under way …"
        } else if !self.files_trouble.is_empty() {
            "Your own certificate is not used"
        } else if failed.iter().any(|one| one.of.is_none()) {
            "A certificate is missing"
        } else if !failed.is_empty() {
            "A certificate was not renewed"
        } else if self.certificates.iter().any(|one| one.is_waiting) {
            "A record is missing"
        } else {
            "Done"
        }
    }
}
