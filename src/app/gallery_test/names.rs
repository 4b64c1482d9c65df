//! The pages of the site's name, rendered.

use askama::Template as _;

use super::Rendered;
use super::samples::{HOSTILE, THEN, private};
use crate::app::layout::FieldErrors;
use crate::app::names::{
    form::NameForm,
    live::{
        CertificateState, FilesTrouble, Following, FollowingName, Granted, HttpsOnly,
        HttpsOnlyHost, Lead, OutOfTime, RouterSeen, RouterState,
    },
    providers::{PROVIDERS, Provider},
    views::{DnsField, DnsPage, HttpsOnlyPage, NamePage, ProgressPage, RouterPage},
};

/// How it stands with one certificate.
fn state(name: &str, of: Option<&str>, failure: Option<(&str, &str)>) -> CertificateState {
    CertificateState {
        name: name.to_owned(),
        of: of.map(|of| (of.to_owned(), THEN)),
        is_trusted: of.map(|_| true),
        is_out_of_time: None,
        is_own: false,
        covered_by: None,
        is_under_way: of.is_none() && failure.is_none(),
        failure: failure.map(|(why, advice)| (why.to_owned(), advice.to_owned())),
        is_waiting: false,
        record: None,
        record_until: None,
        next: Some(THEN),
        renewals: 1,
        unasked: None,
    }
}

/// How it stands with certificates: well, failed, under way, and waiting for a record.
fn states() -> Vec<CertificateState> {
    let refused = "203.0.113.7: Fetching http://www.example.org/.well-known/acme-challenge/x: Connection refused";
    let advice =
        "The name leads somewhere, but nobody opens there. Look at what the router forwards.";
    let no_record =
        "the DNS has no text for this authority at _validation-persist.cgnat.example.org";
    let make = "Make that record once, by hand, at your DNS provider: of the type TXT, with exactly this text.";
    let text = "letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/1234567890; policy=wildcard";
    vec![
        CertificateState {
            record_until: Some(THEN),
            ..state("example.org", Some("R11 of Let's Encrypt"), None)
        },
        CertificateState {
            is_trusted: Some(false),
            ..state("test.example.org", Some("Pebble Intermediate CA"), None)
        },
        CertificateState {
            is_out_of_time: Some(OutOfTime::Ended),
            is_own: true,
            next: None,
            ..state("over.example.org", Some("The office"), None)
        },
        CertificateState {
            is_out_of_time: Some(OutOfTime::Before(THEN)),
            is_own: true,
            next: None,
            ..state("soon.example.org", Some("The office"), None)
        },
        CertificateState {
            is_trusted: None,
            is_own: true,
            ..state("own.example.org", Some("The office"), None)
        },
        CertificateState {
            covered_by: Some("*.example.org".to_owned()),
            next: None,
            ..state("files.example.org", Some("R11 of Let's Encrypt"), None)
        },
        state("www.example.org", None, Some((refused, advice))),
        state("new.example.org", None, None),
        CertificateState {
            is_waiting: true,
            record: Some((
                "_validation-persist.cgnat.example.org".to_owned(),
                text.to_owned(),
            )),
            ..state("cgnat.example.org", None, Some((no_record, make)))
        },
    ]
}

/// The site's name and its certificate.
pub(super) fn name_pages() -> Vec<Rendered> {
    let render = |page: &dyn askama::DynTemplate| page.dyn_render().expect("it renders");
    let page = |form, leads: Vec<Lead>, errors| NamePage {
        shell: private("/admin/name", "Name and certificate"),
        form,
        errors: FieldErrors(errors),
        of_file: vec![("contact", "ada@example.org".to_owned())],
        outlook: leads.iter().map(|_| "What will be.".to_owned()).collect(),
        leads,
        waiting: None,
        certificates: states(),
        files_trouble: vec![files_trouble()],
        has_domain: true,
        following: Some(following()),
        is_router_asked: true,
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
                files_trouble: Vec::new(),
                has_domain: false,
                following: None,
                is_router_asked: false,
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
            render(&progress(states(), vec![files_trouble()])),
        ),
    ]
}

/// Files that cannot be used.
fn files_trouble() -> FilesTrouble {
    FilesTrouble {
        file: "/etc/certs/own.pem".to_owned(),
        words:
            "/etc/certs/own.pem with /etc/certs/key.pem: the key is not the one of the certificate"
                .to_owned(),
        advice: "Put the certificate and its key into the two files.".to_owned(),
        shown_until: Some(THEN),
    }
}

/// How it goes on.
fn progress(certificates: Vec<CertificateState>, files_trouble: Vec<FilesTrouble>) -> ProgressPage {
    ProgressPage {
        shell: private("/admin/name/progress", "How it goes on"),
        is_under_way: certificates.iter().any(|one| one.is_under_way),
        waiting: Some(("old.example".to_owned(), "example.org".to_owned())),
        certificates,
        files_trouble,
        home: Some("https://example.org/".to_owned()),
    }
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
        secret_of: Some(provider),
        is_kept: true,
        fields: fields.collect(),
        is_followed: true,
        following: Some(following()),
        errors: FieldErrors(vec![("zone", HOSTILE.to_owned())]),
    };
    page.render().expect("it renders")
}

/// One name that follows, one that is tried again, one that is not.
fn following() -> Following {
    let name = |name: &str, has: &[&str]| FollowingName {
        name: name.to_owned(),
        has: has.iter().map(|&address| address.to_owned()).collect(),
        since: Some(THEN),
        is_known: true,
        ..FollowingName::default()
    };
    let failure = |words: &str| Some((words.to_owned(), "Save its token once more.".to_owned()));
    Following {
        addresses: vec![
            "IPv4: 203.0.113.7, as the router says.".to_owned(),
            HOSTILE.to_owned(),
        ],
        names: vec![
            FollowingName {
                is_right: true,
                ..name("example.org", &["203.0.113.7", "2001:db8::7"])
            },
            FollowingName {
                failure: failure(HOSTILE),
                next: Some(THEN),
                ..name(HOSTILE, &["203.0.113.6"])
            },
            FollowingName {
                failure: failure("badauth"),
                is_stopped: true,
                ..name(&"w".repeat(250), &[])
            },
            name("new.example.org", &[]),
        ],
    }
}

/// The router, as it is asked, before anybody asks, and at its strangest.
pub(super) fn router_pages() -> Vec<Rendered> {
    vec![
        ("name-router", router_page(asked_router())),
        ("name-router-first", router_page(RouterState::default())),
        ("name-router-extreme", router_page(strange_router())),
    ]
}

fn router_page(state: RouterState) -> String {
    let page = RouterPage {
        shell: private("/admin/name/router", "The router"),
        state,
        errors: FieldErrors(Vec::new()),
    };
    page.render().expect("it renders")
}

fn asked_router() -> RouterState {
    let granted = |external, internal, until| Granted {
        what: format!("Port {external} to port {internal} of this machine"),
        protocol: "UPnP".to_owned(),
        until,
    };
    RouterState {
        is_asked: true,
        granted: vec![granted(443, 8443, Some(THEN)), granted(80, 8080, None)],
        seen: Some(RouterSeen {
            at: THEN,
            gateway: Ok(
                "The router is 192.168.1.1, and this machine is 192.168.1.20 for it.".into(),
            ),
            speaks: vec!["UPnP".into(), "PCP".into(), "NAT-PMP".into()],
            silent: Vec::new(),
            external: Ok("The internet knows it as 203.0.113.7.".into()),
            ports: vec![
                (
                    true,
                    "Its port 443 leads to this machine, port 8443, for 60 min".into(),
                ),
                (
                    true,
                    "Its port 80 leads to this machine, port 8080, without an end".into(),
                ),
            ],
            ipv6: Ok(vec![
                "Over IPv6, the router is fe80::1, and visitors come to 2a00:1450::20, this machine itself.".into(),
                "Its firewall for IPv6 is on, and can be asked to let visitors in (PCP or UPnP).".into(),
            ]),
            strangers: Vec::new(),
        }),
        ..RouterState::default()
    }
}

fn strange_router() -> RouterState {
    RouterState {
        is_under_way: true,
        is_of_file: true,
        trouble: vec![HOSTILE.to_owned()],
        left_open: vec![HOSTILE.to_owned()],
        seen: Some(RouterSeen {
            at: THEN,
            gateway: Ok(HOSTILE.to_owned()),
            speaks: Vec::new(),
            silent: vec![("UPnP".into(), HOSTILE.to_owned())],
            external: Err(HOSTILE.to_owned()),
            ports: vec![(false, HOSTILE.to_owned())],
            ipv6: Err(HOSTILE.to_owned()),
            strangers: vec!["192.168.1.9".to_owned()],
        }),
        ..RouterState::default()
    }
}

#[test]
fn the_heading_says_what_has_come_of_it() {
    let failed = Some(("no", "do that"));
    let well = || state("a.example", Some("R11"), None);
    let waits = || CertificateState {
        is_waiting: true,
        ..state("b.example", None, failed)
    };
    for (certificates, files, heading) in [
        (vec![], vec![], "Done"),
        (vec![well()], vec![], "Done"),
        (vec![well(), waits()], vec![], "A record is missing"),
        (
            vec![well(), waits(), state("c.example", Some("R11"), failed)],
            vec![],
            "A certificate was not renewed",
        ),
        (
            vec![
                state("c.example", Some("R11"), failed),
                state("d.example", None, failed),
            ],
            vec![],
            "A certificate is missing",
        ),
        (
            vec![well()],
            vec![files_trouble()],
            "Your own certificate is not used",
        ),
        (
            vec![well(), state("e.example", None, None)],
            vec![],
            "Under way …",
        ),
    ] {
        let html = progress(certificates, files).render().unwrap();
        assert!(
            html.contains(&format!("<h1>{heading}</h1>")),
            "{heading}: {html}"
        );
    }
}
