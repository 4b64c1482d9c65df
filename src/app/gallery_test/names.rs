//! The pages of the site's name, rendered.

use askama::Template as _;

use super::Rendered;
use super::samples::{HOSTILE, THEN, private};
use crate::app::layout::FieldErrors;
use crate::app::names::{
    form::NameForm,
    live::{CertificateState, HttpsOnly, HttpsOnlyHost, Lead},
    providers::{PROVIDERS, Provider},
    views::{DnsField, DnsPage, HttpsOnlyPage, NamePage, ProgressPage},
};

/// The site's name and its certificate.
pub(super) fn name_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let state = |name: &str, of: Option<&str>, failure: Option<(&str, &str)>| CertificateState {
        name: name.to_owned(),
        of: of.map(|of| (of.to_owned(), THEN)),
        is_own: false,
        is_under_way: of.is_none() && failure.is_none(),
        failure: failure.map(|(why, advice)| (why.to_owned(), advice.to_owned())),
        next: Some(THEN),
        renewals: 1,
        unasked: None,
    };
    let refused = "203.0.113.7: Fetching http://www.example.org/.well-known/acme-challenge/x: Connection refused";
    let advice =
        "The name leads somewhere, but nobody opens there. Look at what the router forwards.";
    let states = || {
        vec![
            state("example.org", Some("R11 of Let's Encrypt"), None),
            state("www.example.org", None, Some((refused, advice))),
            state("new.example.org", None, None),
        ]
    };
    let page = |form, leads: Vec<Lead>, errors| NamePage {
        shell: private("/admin/name", "Name and certificate"),
        form,
        errors: FieldErrors(errors),
        of_file: vec![("contact", "ada@example.org".to_owned())],
        outlook: leads.iter().map(|_| "What will be.".to_owned()).collect(),
        leads,
        waiting: None,
        certificates: states(),
        has_domain: true,
        https_only: HttpsOnly::default(),
    };
    let lead = |name: &str, is_fine, text: &str| Lead {
        name: name.to_owned(),
        is_fine,
        text: text.to_owned(),
    };
    let missing = "There is no such name yet. Make an A record for it at your DNS provider.";
    let bad = |field, text: &str| (field, text.to_owned());
    vec![
        ("name", render(&page(form(), Vec::new(), Vec::new()))),
        (
            "name-first",
            render(&NamePage {
                of_file: Vec::new(),
                certificates: Vec::new(),
                has_domain: false,
                ..page(NameForm::default(), Vec::new(), Vec::new())
            }),
        ),
        (
            "name-looked-at",
            render(&page(
                form(),
                vec![
                    lead("example.org", true, "It leads here, to 203.0.113.7."),
                    lead("www.example.org", false, missing),
                ],
                Vec::new(),
            )),
        ),
        (
            "name-extreme",
            render(&NamePage {
                waiting: Some(("w".repeat(250), HOSTILE.to_owned())),
                certificates: vec![state(
                    &"w".repeat(250),
                    Some(HOSTILE),
                    Some((HOSTILE, HOSTILE)),
                )],
                ..page(
                    NameForm {
                        domain: HOSTILE.to_owned(),
                        also: HOSTILE.to_owned(),
                        profile: HOSTILE.to_owned(),
                        ..form()
                    },
                    vec![lead(HOSTILE, false, HOSTILE)],
                    vec![bad("domain", HOSTILE), bad("profile", HOSTILE)],
                )
            }),
        ),
        ("name-https-only", https_only_page()),
        ("name-dns", dns_page()),
        (
            "name-progress",
            render(&ProgressPage {
                shell: private("/admin/name/progress", "How it goes on"),
                is_under_way: true,
                waiting: Some(("old.example".to_owned(), "example.org".to_owned())),
                certificates: states(),
                home: Some("https://example.org/".to_owned()),
            }),
        ),
    ]
}

/// What somebody typed.
fn form() -> NameForm {
    NameForm {
        domain: "example.org".to_owned(),
        www: "bare".to_owned(),
        agree: "on".to_owned(),
        contact: "ada@example.org".to_owned(),
        ..NameForm::default()
    }
}

/// What browsers are told of HTTPS.
fn https_only_page() -> String {
    let page = HttpsOnlyPage {
        shell: private("/admin/name/https-only", "HTTPS only"),
        state: HttpsOnly {
            max_age_s: 86_400,
            is_set: true,
            reasons: vec!["The certificate of www.example.org has not been renewed yet.".into()],
            hosts: vec![HttpsOnlyHost {
                name: "files.example.org".to_owned(),
                is_on: true,
                was_on: true,
                reason: Some(HOSTILE.to_owned()),
            }],
            sent: vec![("example.org".to_owned(), "To forget it.".to_owned())],
            ..HttpsOnly::default()
        },
        errors: FieldErrors(vec![
            ("age", "Choose one of the list.".to_owned()),
            ("host", HOSTILE.to_owned()),
        ]),
    };
    page.render().expect("it renders")
}

/// Where names can be changed.
fn dns_page() -> String {
    let provider = Provider::find("rfc2136").expect("it is one");
    let fields = provider.fields.iter().map(|field| DnsField {
        field,
        value: HOSTILE.to_owned(),
    });
    let page = DnsPage {
        shell: private("/admin/name/dns", "DNS provider"),
        offered: PROVIDERS.iter().collect(),
        is_of_file: false,
        has_token: true,
        provider: Some(provider),
        is_kept: true,
        fields: fields.collect(),
        errors: FieldErrors(vec![("zone", HOSTILE.to_owned())]),
    };
    page.render().expect("it renders")
}
