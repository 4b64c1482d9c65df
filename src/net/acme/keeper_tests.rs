//! Tests of which names a certificate is asked for.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::{super::order, *};

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
        assert_eq!(Keeper::names(&wanted, &memory), asked, "{dates:?}");
        let reports = keeper.reports().into_iter();
        let mut of_www = reports.filter(|report| report.name == www);
        assert!(of_www.all(|report| report.is_good(Timestamp::now())));
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
