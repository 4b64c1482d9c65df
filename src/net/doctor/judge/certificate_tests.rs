//! What the station of the certificate says.

use super::super::tests::{Change, NOW, failure, hold, shown};
use crate::{
    base::{Place, Timestamp},
    net::acme::{Failure, FailureKind},
};

const DAY: i64 = 24 * 3600;

#[test]
#[allow(clippy::too_many_lines)] // a table
fn each_state_has_its_name_and_says_what_it_is_about() {
    let table: &[(Place, &str, &[&str], Change)] = &[
        (
            Place::Certificate,
            "certificate-rate-limit",
            &["2027-01-15 09:30 UTC", "“too many"],
            |facts| {
                facts.certificates.of_names[0].shown = None;
                facts.certificates.of_names[0].failure = Some(failure(
                    FailureKind::RateLimited,
                    "too many certificates (5) already issued, retry after 2027-01-15 09:30:00 UTC: see https://x",
                ));
            },
        ),
        (
            Place::Certificate,
            "certificate-rate-limit",
            &["2027-01-15 09:00 UTC"],
            |facts| {
                facts.certificates.of_names[0].shown = None;
                let said = failure(FailureKind::RateLimited, "slow down");
                let retry_at = Some(Timestamp(NOW + 3600));
                facts.certificates.of_names[0].failure = Some(Failure { retry_at, ..said });
            },
        ),
        (
            Place::Certificate,
            "certificate-ended",
            &["2 days ago"],
            |facts| {
                shown(facts).until = Timestamp(NOW - 2 * DAY);
            },
        ),
        (
            Place::Certificate,
            "certificate-ends",
            &["5 days", "renew a.example.org"],
            |facts| {
                shown(facts).until = Timestamp(NOW + 5 * DAY);
            },
        ),
        (
            Place::Certificate,
            "certificate-ends",
            &["5 days", "no account"],
            |facts| {
                shown(facts).until = Timestamp(NOW + 5 * DAY);
                facts.certificates.of_names[0].failure =
                    Some(failure(FailureKind::Refused, "no account"));
            },
        ),
        // Six days are the whole life of this one.
        (
            Place::Certificate,
            "certificate-well",
            &["5 days"],
            |facts| {
                shown(facts).from = Timestamp(NOW - DAY);
                shown(facts).until = Timestamp(NOW + 5 * DAY);
            },
        ),
        // Files of the owner's, well and not.
        (
            Place::Certificate,
            "certificate-well",
            &["70 days", "your own files"],
            |facts| facts.certificates.of_names[0].is_own = true,
        ),
        (
            Place::Certificate,
            "certificate-files",
            &[
                "own.pem: there is no file",
                "shown instead",
                "70 days",
                "every few seconds",
            ],
            |facts| {
                facts.certificates.of_names[0].files = Some("own.pem: there is no file".into());
            },
        ),
        (
            Place::Certificate,
            "certificate-not-asked",
            &["browsers warn", "Agree to the terms"],
            |facts| {
                facts.certificates.is_agreed = false;
                facts.certificates.of_names[0].shown = None;
            },
        ),
        // The DNS leads it out into the internet, and no authority certifies it, agreed or not.
        (
            Place::Certificate,
            "certificate-not-asked",
            &["browsers warn", "end with .org"],
            |facts| {
                facts.certificates.of_names[0].is_askable = false;
                facts.certificates.of_names[0].shown = None;
            },
        ),
        // A renewal that was refused is told at once.
        (
            Place::Certificate,
            "certificate-not-renewed",
            &["70 days", "“no account”", "renew"],
            |facts| {
                facts.certificates.of_names[0].failure =
                    Some(failure(FailureKind::Refused, "no account"));
            },
        ),
        (
            Place::Certificate,
            "certificate-renewal-waits",
            &["70 days", "2027-01-15 09:00 UTC", "“slow down”"],
            |facts| {
                let said = failure(FailureKind::RateLimited, "slow down");
                let retry_at = Some(Timestamp(NOW + 3600));
                facts.certificates.of_names[0].failure = Some(Failure { retry_at, ..said });
            },
        ),
        (
            Place::Certificate,
            "certificate-not-renewed",
            &["for a while"],
            |facts| {
                facts.certificates.of_names[0].failure =
                    Some(failure(FailureKind::RateLimited, "slow down"));
            },
        ),
        (
            Place::Certificate,
            "certificate-well",
            &["70 days", "not reached"],
            |facts| {
                facts.certificates.of_names[0].failure =
                    Some(failure(FailureKind::Unreachable, "no answer"));
            },
        ),
        // What is left of earlier, where the owner's own files are used.
        (Place::Certificate, "certificate-well", &[], |facts| {
            facts.certificates.of_names[0].is_own = true;
            facts.certificates.of_names[0].failure =
                Some(failure(FailureKind::Refused, "no account"));
        }),
        (
            Place::Certificate,
            "certificate-not-yet",
            &["clock"],
            |facts| {
                shown(facts).from = Timestamp(NOW + DAY);
            },
        ),
        (
            Place::Certificate,
            "certificate-other-name",
            &["b.example.org"],
            |facts| {
                shown(facts).is_for_name = false;
                shown(facts).names = vec!["b.example.org".into()];
            },
        ),
        (
            Place::Certificate,
            "certificate-not-asked",
            &["agree_to_terms"],
            |facts| {
                facts.certificates.is_agreed = false;
                shown(facts).is_local = true;
            },
        ),
        (
            Place::Certificate,
            "certificate-coming",
            &["two minutes"],
            |facts| {
                shown(facts).is_local = true;
            },
        ),
    ];
    hold(table);
}
