//! Tests of which names a certificate is asked for, and of what is kept.

use std::{cell::Cell, future::pending};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::{
    super::{
        Failure, FailureKind,
        attempt::{Occasion, UNSAVED},
        kept::Kept,
        order,
        tried::{Tried, digest_of},
    },
    *,
};
use crate::net::{
    certificates::{Chain, Kind},
    ports::Port,
};

fn wanted(names: &[&str]) -> Wanted {
    Wanted {
        settings: Settings {
            agree_to_terms: true,
            ..Settings::default()
        },
        names: names.iter().map(|&name| name.to_owned()).collect(),
        ..Wanted::default()
    }
}

/// A certificate that somebody signed for a name, from the first day of one year to that of another.
fn issued(name: &str, (from, until): (i32, i32)) -> order::Issued {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    order::Issued {
        chain: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn keeper(data: &TempDir, wanted: Wanted) -> Arc<Keeper> {
    let own = issued("pi.local", (2001, 2999));
    let own = Chain::parse(&own.chain, &own.key).unwrap();
    let challenges = Arc::new(Challenges::default());
    let shown = Shown::new((**own.key()).clone(), Arc::clone(&challenges));
    Keeper::new(data.path().to_path_buf(), shown, challenges, wanted)
}

#[test]
fn a_name_is_covered_by_a_certificate_that_is_there_and_by_no_wish() {
    let (www, star) = ("www.example.org", "*.example.org");
    let wanted = wanted(&["example.org", www, star]);
    for (dates, asked) in [
        (None, vec![star, "example.org", www]),
        (Some((2001, 2002)), vec![star, "example.org", www]),
        (Some((2001, 2999)), vec![star, "example.org"]),
    ] {
        let data = TempDir::new().unwrap();
        kept::save(data.path(), www, &issued(www, (2001, 2998))).unwrap();
        if let Some(dates) = dates {
            kept::save(data.path(), star, &issued(star, dates)).unwrap();
        }
        let keeper = keeper(&data, wanted.clone());
        let mut memory = Memory::default();
        keeper.refresh(&mut memory, &wanted);
        assert_eq!(memory.names(&wanted), asked, "{dates:?}");
        let reports = keeper.reports().into_iter();
        let mut of_www = reports.filter(|report| report.name == www);
        assert!(of_www.all(|report| report.is_good(Timestamp::now())));
    }
}

#[test]
fn a_name_below_a_wildcard_is_covered_by_it_and_what_failed_for_it_before_is_over() {
    let (data, www, star) = (TempDir::new().unwrap(), "www.example.org", "*.example.org");
    let wanted = wanted(&["example.org", www, star]);
    let mut kept = Kept::default();
    kept.state.failures = 2;
    kept.state.next_try = Some(Timestamp(1_800_000_000));
    kept.state.failure = Some(Failure::new(FailureKind::Validation, "no"));
    kept.save_state(data.path(), www).unwrap();
    kept::save(data.path(), star, &issued(star, (2001, 2999))).unwrap();
    kept::ask_to_renew(data.path(), www).unwrap();
    kept::ask_to_renew(data.path(), star).unwrap();
    let keeper = keeper(&data, wanted.clone());
    keeper.forget_requests();
    let is_asked = [www, star].map(|name| kept::is_asked(data.path(), name));
    assert_eq!(is_asked, [false, true], "nobody would meet it");
    let listed = crate::net::acme::overview(data.path(), &wanted).reports;
    for reports in [keeper.reports(), listed] {
        let of = |name: &str| reports.iter().find(|report| report.name == name).unwrap();
        assert_eq!(of(www).covered_by.as_deref(), Some(star));
        assert!(of(www).failure.is_none() && of(www).is_good(Timestamp::now()));
        for alone in [star, "example.org"] {
            assert_eq!(of(alone).covered_by, None, "{alone}");
        }
    }
}

#[test]
fn a_file_of_the_owners_that_has_ended_keeps_nobody_without_a_certificate() {
    let (own, name) = ("own.pem", "example.org");
    let mut wanted = wanted(&[name]);
    wanted.settings.files = toml::from_str::<Settings>(&format!(
        "files = [{{ certificate = \"{own}\", key = \"{own}\" }}]"
    ))
    .unwrap()
    .files;
    for (own_dates, obtained, is_agreed, asked, shown) in [
        ((2001, 2999), Some((2001, 2998)), true, &[][..], Some(2999)),
        ((2001, 2002), Some((2001, 2998)), true, &[name], Some(2998)),
        ((2001, 2002), None, true, &[name], None),
        ((2001, 2002), None, false, &[], Some(2002)),
    ] {
        let data = TempDir::new().unwrap();
        let written = issued(name, own_dates);
        let text = format!("{}{}", written.key, written.chain);
        std::fs::write(data.path().join(own), text).unwrap();
        if let Some(dates) = obtained {
            kept::save(data.path(), name, &issued(name, dates)).unwrap();
        }
        wanted.settings.agree_to_terms = is_agreed;
        let keeper = keeper(&data, wanted.clone());
        let mut memory = Memory::default();
        keeper.refresh(&mut memory, &wanted);
        let what = format!("{own_dates:?} {obtained:?} {is_agreed}");
        assert_eq!(memory.names(&wanted), asked, "{what}");
        let report = keeper.reports().remove(0);
        assert_eq!(report.is_own, asked.is_empty(), "{what}");
        let until = |year| Timestamp(date_time_ymd(year, 1, 1).unix_timestamp());
        let chain = report.chain.as_ref();
        assert_eq!(
            chain.map(|chain| chain.not_after()),
            shown.map(until),
            "{what}"
        );
        if let Some(chain) = chain {
            let found = keeper.shown.for_name(Some(name), Kind::ALL[0]);
            assert_eq!(found.cert[0], chain.key().cert[0], "{what}");
        }
    }
}

#[test]
fn what_failed_is_tried_at_once_when_a_secret_or_a_setting_changes_also_over_a_restart() {
    let (data, name) = (TempDir::new().unwrap(), "example.org");
    let before = wanted(&[name]);
    let mut other = before.clone();
    other.settings.profile = Some("shortlived".into());
    let later = Timestamp(Timestamp::now().0 + 10_000);
    let mut kept = Kept::default();
    kept.state.failures = 5;
    kept.state.next_try = Some(later);
    kept.state.failure = Some(Failure::new(FailureKind::Setup, "no"));
    kept.state.tried.note_with(
        digest_of(data.path(), name, &before),
        "https://ca.example/dir",
    );
    kept.save_state(data.path(), name).unwrap();
    let next = |wanted: &Wanted| keeper(&data, wanted.clone()).reports().remove(0).next;
    assert_eq!(next(&before), Some(later));
    let mut more = before.clone();
    more.names.push("b.example.org".into());
    assert_eq!(next(&more), Some(later), "another name changes nothing");
    assert!(next(&other) < Some(later), "a setting");
    crate::base::secrets::write(data.path(), "dns", "abc").unwrap();
    assert!(next(&before) < Some(later), "a secret");
}

#[test]
fn a_renewal_that_failed_shows_its_next_try_and_never_the_day_of_the_certificate_that_works() {
    let (data, name) = (TempDir::new().unwrap(), "example.org");
    let before = wanted(&[name]);
    let mut other = before.clone();
    other.settings.profile = Some("shortlived".into());
    let soon = Timestamp(Timestamp::now().0 + 300);
    kept::save(data.path(), name, &issued(name, (2001, 2999))).unwrap();
    let mut kept = Kept::default();
    kept.state.failures = 1;
    kept.state.next_try = Some(soon);
    kept.state.failure = Some(Failure::new(FailureKind::Refused, "no"));
    let tried = &mut kept.state.tried;
    tried.note_with(
        digest_of(data.path(), name, &before),
        "https://ca.example/dir",
    );
    kept.save_state(data.path(), name).unwrap();
    for (wanted, next, is_under_way) in [(&before, soon, false), (&other, Timestamp(0), true)] {
        let report = keeper(&data, wanted.clone()).reports().remove(0);
        assert!(report.chain.is_some() && report.failure.is_some());
        assert_eq!(
            report.next,
            Some(next),
            "what was put right is tried at once"
        );
        assert_eq!(report.is_under_way, is_under_way);
        let listed = crate::net::acme::overview(data.path(), wanted)
            .reports
            .remove(0);
        assert_eq!(listed.next, Some(next));
    }
}

#[test]
fn a_certificate_whose_file_is_gone_is_not_shown_any_more() {
    let data = TempDir::new().unwrap();
    let wanted = wanted(&["example.org"]);
    kept::save(
        data.path(),
        "example.org",
        &issued("example.org", (2001, 2999)),
    )
    .unwrap();
    let keeper = keeper(&data, wanted.clone());
    let mut memory = Memory::default();
    keeper.refresh(&mut memory, &wanted);
    assert!(keeper.reports()[0].chain.is_some());
    kept::remove(data.path(), "example.org").unwrap();
    keeper.refresh(&mut memory, &wanted);
    assert!(keeper.reports()[0].chain.is_none());
}

/// A folder in which nothing can be kept, also not by root.
fn closed(data: &TempDir) {
    std::fs::create_dir(data.path().join("tls")).unwrap();
    std::fs::write(data.path().join("tls/public"), "").unwrap();
}

#[tokio::test]
async fn nothing_is_asked_for_that_could_not_be_kept() {
    let data = TempDir::new().unwrap();
    closed(&data);
    let mut wanted = wanted(&["example.org"]);
    // Nobody is there: who is asked at all is not reached.
    wanted.settings.authority = Some("https://127.0.0.1:9/directory".parse().unwrap());
    let keeper = keeper(&data, wanted.clone());
    let mut memory = Memory::default();
    keeper.refresh(&mut memory, &wanted);
    let mut tried = Tried::default();
    let refused = keeper
        .obtain(
            &mut memory,
            "example.org",
            &wanted,
            Occasion::Due,
            &mut tried,
        )
        .await;
    let refused = refused.err().expect("there is no certificate");
    assert_eq!(refused.kind, FailureKind::Setup, "{refused:?}");
}

#[test]
fn a_certificate_that_the_disk_did_not_take_is_shown_and_kept_within_a_minute() {
    let (data, name) = (TempDir::new().unwrap(), "example.org");
    closed(&data);
    let wanted = wanted(&[name]);
    let keeper = keeper(&data, wanted.clone());
    let mut memory = Memory::default();
    keeper.refresh(&mut memory, &wanted);
    let new = issued(name, (2001, 2999));
    let kept = memory.kept.get_mut(name).unwrap();
    kept.chain = Some(Arc::new(Chain::parse(&new.chain, &new.key).unwrap()));
    kept.unsaved = Some(new);
    kept.state.failure = Some(Failure::new(FailureKind::Setup, UNSAVED));
    keeper.refresh(&mut memory, &wanted);
    let report = keeper.reports().remove(0);
    assert!(report.chain.is_some() && report.failure.is_some());
    let wait = report.next.unwrap().0 - Timestamp::now().0;
    assert!((0..60).contains(&wait), "{wait} s");
    std::fs::remove_file(data.path().join("tls/public")).unwrap();
    keeper.refresh(&mut memory, &wanted);
    let report = keeper.reports().remove(0);
    assert!(report.chain.is_some() && report.failure.is_none());
    assert!(kept::read_chain(data.path(), name).unwrap().is_some());
}

#[test]
fn a_request_is_met_once_and_one_that_stays_is_none() {
    let (data, name) = (TempDir::new().unwrap(), "example.org");
    kept::ask_to_renew(data.path(), name).unwrap();
    let take = || kept::take_request(data.path(), name);
    assert_eq!(take(), Some(kept::Request::Renew));
    assert_eq!(take(), None);
    kept::ask_to_try_again(data.path(), name).unwrap();
    assert_eq!(take(), Some(kept::Request::TryAgain));
    // It cannot be removed.
    std::fs::create_dir(data.path().join("tls/public/example.org.asked")).unwrap();
    assert_eq!(take(), None);
}

#[tokio::test]
async fn the_router_says_nothing_of_an_authority_of_ones_own_network() {
    let closed = Ports {
        http: Port::Closed,
        https: Port::Closed,
    };
    let all = [
        (None, closed),
        (Some("https://acme.zerossl.com/v2/DV90"), closed),
        (Some("https://ca.home.arpa/directory"), Ports::default()),
        (Some("https://10.0.0.5/directory"), Ports::default()),
    ];
    for (authority, expected) in all {
        let mut wanted = wanted(&["example.org"]);
        wanted.settings.authority = authority.map(|at| at.parse().unwrap());
        let found = ports_for(&wanted, &async || closed).await;
        assert_eq!(found, expected, "{authority:?}");
    }
}

#[tokio::test]
async fn a_request_stays_if_the_server_stops_or_the_settings_change_while_the_ports_are_looked_at()
{
    for is_changed in [false, true] {
        let (data, name) = (TempDir::new().unwrap(), "example.org");
        let mut wanted = wanted(&[name]);
        wanted.settings.authority = Some("https://ca.example.org:9/directory".parse().unwrap());
        let keeper = keeper(&data, wanted);
        kept::ask_to_renew(data.path(), name).unwrap();
        let looks = Cell::new(0);
        let ports = async || {
            looks.set(looks.get() + 1);
            if is_changed {
                keeper.replace(Wanted::default());
            } else {
                pending::<()>().await;
            }
            Ports::default()
        };
        let run = tokio::time::timeout(Duration::from_millis(300), keeper.run(ports));
        assert!(run.await.is_err(), "it runs until it is stopped");
        assert_eq!(looks.get(), 1, "{is_changed}");
        assert!(kept::is_asked(data.path(), name), "{is_changed}");
        assert!(kept::names(data.path()).is_empty(), "nothing was tried");
    }
}
