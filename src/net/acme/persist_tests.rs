//! Tests of records for `dns-persist-01`.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn asker() -> Asker {
    Asker {
        url: "https://ca.example/acct/123".into(),
        keys: vec!["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".into()],
    }
}

fn issuer(meta: &Value) -> Issuer {
    Issuer::of_directory(meta)
}

fn wanted(name: &str) -> Wanted {
    let issuer = issuer(&json!({ "caaIdentities": ["authority.example", "ca.example.net"] }));
    Wanted::new(name, false, &asker(), &issuer, None).unwrap()
}

#[test]
fn the_account_is_named_by_the_digest_of_the_drafts_own_example() {
    // Section 10.2.
    let meta = json!({
        "accountHashPrefix": "https://ca.example/account-hash/",
        "issuerDomainNames": ["authority.example", "ca.example.net"],
        "caaIdentities": ["other.example"],
    });
    let of =
        |asker: &Asker| Wanted::new("example.com", false, asker, &issuer(&meta), None).unwrap();
    let text = "authority.example; accounturi=https://ca.example/account-hash/sha-256/\
                5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw";
    let of_any = "ca.example.net;accounturi=https://ca.example/account-hash/sha-256/\
                  NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug";
    let wanted = of(&asker());
    assert_eq!(wanted.record.text, text);
    assert_eq!(wanted.record.at, "_validation-persist.example.com");
    for (there, standing) in [
        (text, Standing::Right(None)),
        (of_any, Standing::Right(None)),
        // A form that is taken no longer.
        (
            "authority.example; accounturi=https://ca.example/acct/123",
            Standing::OtherAccount,
        ),
    ] {
        assert_eq!(
            wanted.standing(&[there.to_owned()], NOW),
            standing,
            "{there}"
        );
    }
    // The key was changed since: what was made with the one before is good.
    let mut keys = asker().keys;
    keys.insert(0, "a".repeat(43));
    let changed = of(&Asker { keys, ..asker() });
    assert_ne!(changed.record.text, text);
    assert_eq!(
        changed.standing(&[text.to_owned()], NOW),
        Standing::Right(None)
    );
}

#[test]
fn of_two_records_that_end_the_one_that_lasts_longer_counts() {
    let until = |seconds| {
        format!("authority.example; accounturi=https://ca.example/acct/123; persistUntil={seconds}")
    };
    let (old, new) = (until(1_850_000_000), until(1_900_000_000));
    for texts in [[old.clone(), new.clone()], [new, old]] {
        assert_eq!(
            wanted("a.example").standing(&texts, NOW),
            Standing::Right(Some(Timestamp(1_900_000_000)))
        );
    }
}

#[test]
fn a_record_does_or_does_not_and_it_is_known_why() {
    let right = "authority.example; accounturi=https://ca.example/acct/123";
    let over = format!("{right}; persistUntil=1799999999");
    let of_other = right.replace("123", "124");
    assert_eq!(wanted("a.example").record.text, right);
    assert_eq!(
        wanted("*.a.example").record.text,
        format!("{right}; policy=wildcard")
    );
    assert_eq!(
        wanted("*.a.example").record.at,
        "_validation-persist.a.example"
    );
    let until = |seconds| Standing::Right(Some(Timestamp(seconds)));
    for (texts, name, all) in [
        (vec![], Standing::Missing, Standing::Missing),
        (
            vec![right.to_owned()],
            Standing::Right(None),
            Standing::NameAlone,
        ),
        (
            vec![format!("{right};policy=WildCard")],
            Standing::Right(None),
            Standing::Right(None),
        ),
        (
            vec![format!("{right};policy=other")],
            Standing::Right(None),
            Standing::NameAlone,
        ),
        (
            vec![over.clone()],
            Standing::Over(Timestamp(1_799_999_999)),
            Standing::Over(Timestamp(1_799_999_999)),
        ),
        (
            vec![format!("{right};persistUntil=1900000000")],
            until(1_900_000_000),
            Standing::NameAlone,
        ),
        (
            vec![format!("{right};persistUntil=99999999999999999999")],
            until(253_402_300_799),
            Standing::NameAlone,
        ),
        (
            vec![of_other.clone()],
            Standing::OtherAccount,
            Standing::OtherAccount,
        ),
        // What is for others, or nobody, is nothing to us.
        (
            vec!["other.example; accounturi=https://ca.example/acct/123".into()],
            Standing::Missing,
            Standing::Missing,
        ),
        (
            vec!["v=spf1 -all".into(), String::new()],
            Standing::Missing,
            Standing::Missing,
        ),
        // The best of all counts, whatever else is there.
        (
            vec![of_other, over, "authority.example".into(), right.to_owned()],
            Standing::Right(None),
            Standing::Over(Timestamp(1_799_999_999)),
        ),
        (
            vec![format!(
                "\tCA.example.net ;\taccounturi = https://ca.example/acct/123 ; new=1"
            )],
            Standing::Right(None),
            Standing::NameAlone,
        ),
    ] {
        assert_eq!(wanted("a.example").standing(&texts, NOW), name, "{texts:?}");
        assert_eq!(
            wanted("*.a.example").standing(&texts, NOW),
            all,
            "{texts:?}"
        );
    }
    for garbled in [
        "authority.example",
        "authority.example;",
        "authority.example; policy=wildcard",
        &format!("{right};"),
        &format!("{right}; persistUntil=soon"),
        &format!("{right}; persistUntil=-5"),
        &format!("{right}; persistUntil="),
        &format!("{right}; accounturi=https://ca.example/acct/123"),
        &format!("{right}; -a=b"),
        &format!("{right}; a"),
        &format!("{right}; a=b c"),
    ] {
        let standing = wanted("a.example").standing(&[garbled.to_owned()], NOW);
        assert_eq!(standing, Standing::Garbled, "{garbled}");
    }
}

#[test]
fn what_an_authority_says_of_itself_counts_only_if_it_is_in_order() {
    let many: Vec<String> = (0..11).map(|n| format!("{n}.example")).collect();
    for (names, taken) in [
        (json!(["ca.example"]), 1),
        (json!([]), 0),
        (json!(many), 0),
        (json!(["CA.example"]), 0),
        (json!(["ca.example; accounturi=x"]), 0),
        (json!(["ca.example", 7]), 0),
        (json!("ca.example"), 0),
        (json!(["a".repeat(254)]), 0),
    ] {
        let said = issuer(&json!({ "issuerDomainNames": names }));
        assert_eq!(said.names.len(), taken, "{names}");
        for field in ["issuerDomainNames", "issuer-domain-names"] {
            let challenge = json!({ "type": "dns-persist-01", field: names, "accounturi": "https://ca.example/7" });
            let offer = Offer::of_authorization(
                &json!({ "challenges": [{ "type": "dns-01" }, challenge] }),
            );
            assert_eq!(offer.unwrap().issuers.len(), taken, "{names}");
        }
    }
    assert_eq!(
        Offer::of_authorization(&json!({ "challenges": [{ "type": "dns-01" }] })),
        None
    );
    assert_eq!(Offer::of_authorization(&json!({})), None);
    // How the authority calls the account in its offer counts first (01).
    let offer = Offer {
        issuers: vec!["ca.example".into()],
        account: Some("https://ca.example/7".into()),
    };
    let wanted = Wanted::new(
        "a.example",
        true,
        &asker(),
        &Issuer::default(),
        Some(&offer),
    )
    .unwrap();
    assert_eq!(
        wanted.record.text,
        "ca.example; accounturi=https://ca.example/7; policy=wildcard"
    );
    assert!(Wanted::new("a.example", true, &asker(), &Issuer::default(), None).is_none());
}

proptest! {
    #[test]
    fn what_is_told_will_do_and_no_text_is_too_strange(
        text in "(authority\\.example)?[ ;=a-zA-Z0-9\\-\\t\\PC]{0,60}", star in any::<bool>(), id in "[a-z0-9/]{1,20}",
    ) {
        let asker = Asker { url: format!("https://ca.example/{id}"), ..asker() };
        for prefix in [json!(null), json!("https://ca.example/h/")] {
            let issuer = issuer(&json!({ "issuerDomainNames": ["authority.example"], "accountHashPrefix": prefix }));
            let name = if star { "*.a.example" } else { "a.example" };
            let wanted = Wanted::new(name, false, &asker, &issuer, None).unwrap();
            let texts = [text.clone(), wanted.record.text.clone()];
            prop_assert_eq!(wanted.standing(&texts, NOW), Standing::Right(None));
            let _ = wanted.standing(&texts[..1], NOW);
        }
    }
}
