//! Every state that the doctor can tell is made to happen in a network of its own, with real servers, by one of its tests.

use std::{collections::BTreeSet, fs, path::Path};

/// The tests that make states happen, each of them in network namespaces.
const TESTS: [&str; 6] = [
    "doctor.rs",
    "doctor_certificate.rs",
    "doctor_home.rs",
    "doctor_inside.rs",
    "doctor_router.rs",
    "router_ipv6.rs",
];

/// States that no test can make happen, each with the reason.
const NOT_MADE: [(&str, &str); 1] = [(
    "certificate-untold",
    "the thread that reads the certificates would have to panic",
)];

/// The words in quotation marks in a text that may be the name of a state: `port-closed`.
fn quoted_names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let pieces: Vec<&str> = text.split('"').collect();
    let inner = pieces.get(1..pieces.len().max(2) - 1).unwrap_or_default();
    let names = inner
        .iter()
        .filter(|piece| piece.contains('-') && piece.chars().all(is_part));
    names.map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_state_that_the_doctor_tells_is_made_to_happen_by_a_test_with_real_servers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut told = BTreeSet::new();
    for entry in fs::read_dir(root.join("src/net/doctor/judge")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        told.extend(quoted_names(text.split("#[cfg(test)]").next().unwrap()));
    }
    assert!(told.len() > 70 && told.contains("port-closed"), "{told:?}");
    let mut made = BTreeSet::new();
    for file in TESTS {
        let text = fs::read_to_string(root.join("tests").join(file)).unwrap();
        made.extend(quoted_names(&text));
    }
    for (state, why) in NOT_MADE {
        assert!(!why.is_empty() && told.remove(state), "{state} is no state");
        assert!(!made.contains(state), "{state} is made to happen after all");
    }
    let missing: Vec<_> = told.difference(&made).collect();
    assert!(
        missing.is_empty(),
        "no test makes these happen: {missing:?}"
    );
}
