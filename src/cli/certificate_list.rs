//! `webstead certificate list`: what there is, until when, and what is wrong.

use std::process::ExitCode;

use super::moment::in_utc;
use crate::{
    base::Timestamp,
    net::{
        acme::{FailureKind, Overview, Report, Wanted},
        certificates::{FILES_REMEDY, FilesState},
    },
};

/// Says it; fails if a certificate that the site needs is missing, has ended or is not used.
pub(super) fn list(found: &Overview, wanted: &Wanted) -> ExitCode {
    let is_asked = |report: &&Report| report.chain.is_some() || report.next.is_some();
    let reports: Vec<&Report> = found.reports.iter().filter(is_asked).collect();
    if reports.is_empty() && found.files.is_empty() {
        say!(
            "There is no certificate of a public authority. The manual says how to get one: /help/a-name-and-a-certificate"
        );
    }
    for report in &reports {
        say!("{}", line(report));
    }
    for files in &found.files {
        say!("{}", line_of_files(files));
    }
    if !found.others.is_empty() {
        say!("\nKept, and not needed:");
        for report in &found.others {
            say!(
                "{}: {}",
                line_of_other(report),
                why_not_needed(&report.name, wanted)
            );
        }
        say!(
            "Such a certificate is used again if its name comes back before it ends; `webstead certificate forget NAME` \
             removes it."
        );
    }
    let is_sound = |files: &FilesState| files.problem.is_none();
    if reports.into_iter().all(is_well) && found.files.iter().all(is_sound) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn is_well(report: &Report) -> bool {
    let now = Timestamp::now();
    let chain = report.chain.as_ref();
    chain.is_some_and(|chain| now < chain.not_after())
}

/// A certificate in a line, and what is wrong in another one.
pub(super) fn line(report: &Report) -> String {
    let name = &report.name;
    let text = match &report.chain {
        Some(chain) => format!(
            "{name}  of {} until {}",
            chain.issuer(),
            in_utc(chain.not_after())
        ),
        None => format!("{name}  none yet"),
    };
    let text = match report.record_until {
        Some(until) => format!(
            "{text}\n  the text in the DNS that proves it is good until {}",
            in_utc(until)
        ),
        None => text,
    };
    match (&report.failure, report.next) {
        (Some(failure), Some(next)) => {
            let (why, next) = (failure.words(), again(next));
            if failure.kind == FailureKind::Record {
                return format!(
                    "{text}\n  waits: {why}\n  looked for every few minutes while the site runs"
                );
            }
            format!("{text}\n  failed: {why}\n  tried again {next}")
        }
        (None, Some(next)) if report.chain.is_some() => {
            format!("{text}, renewed {}", in_utc(next))
        }
        _ if report.is_own => format!("{text}, from your own files"),
        _ => match &report.covered_by {
            Some(star) => format!("{text}, covered by {star} and renewed with it"),
            None => text,
        },
    }
}

/// When it is tried again; what is due waits for nothing but the site.
fn again(next: Timestamp) -> String {
    if next <= Timestamp::now() {
        "now, or as soon as the site runs".to_owned()
    } else {
        in_utc(next)
    }
}

fn line_of_files(files: &FilesState) -> String {
    let file = files.files.certificate.display();
    match (&files.chain, &files.problem) {
        (_, Some(why)) => format!("{file}  not used: {why}\n  {FILES_REMEDY}"),
        (Some(chain), None) => format!(
            "{file}  of {} until {}, for {}",
            chain.issuer(),
            in_utc(chain.not_after()),
            chain.names().join(", ")
        ),
        (None, None) => format!("{file}  not read"),
    }
}

fn line_of_other(report: &Report) -> String {
    let name = &report.name;
    match &report.chain {
        Some(chain) => format!("  {name}  until {}", in_utc(chain.not_after())),
        None => format!("  {name}  none"),
    }
}

fn why_not_needed(name: &str, wanted: &Wanted) -> &'static str {
    if !wanted.has(name) {
        "no longer in the settings"
    } else if wanted.settings.agree_to_terms {
        "another certificate covers it"
    } else {
        "nobody agrees to the authority's terms any more (agree_to_terms)"
    }
}
