//! What routers describe and answer, as it is read.

use proptest::prelude::*;

use super::{
    super::{firewall, igd::SERVICES},
    *,
};

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

fn place() -> Place {
    let url = Url::parse("http://192.168.77.1:5000/d/root.xml").unwrap();
    Place::of(&url, ROUTER).unwrap()
}

fn service(kind: &str, control: &str) -> String {
    format!(
        "<device><serviceList><service><serviceType>urn:schemas-upnp-org:service:{kind}</serviceType>\
         <controlURL>{control}</controlURL></service></serviceList></device>"
    )
}

fn described(inner: &str) -> Result<Vec<String>, String> {
    let text = format!("<?xml version=\"1.0\"?><root xmlns=\"urn:x\">{inner}</root>");
    let all = read_description(&text, &place(), ROUTER, &SERVICES)?;
    Ok(all
        .iter()
        .map(|service| service.control.to_string())
        .collect())
}

#[test]
fn services_that_map_ports_are_found_best_first() {
    let inner = [
        service("WANPPPConnection:1", "ppp"),
        service("Layer3Forwarding:1", "/l3f"),
        service("WANIPConnection:1", "/ctl?a=1&amp;b=2"),
        service("WANIPConnection:2", "http://192.168.77.1:81/c"),
    ]
    .concat();
    assert_eq!(
        described(&inner).unwrap(),
        [
            "http://192.168.77.1:81/c",
            "http://192.168.77.1:5000/ctl?a=1&b=2",
            "http://192.168.77.1:5000/d/ppp"
        ]
    );
    let base = format!(
        "<URLBase>http://192.168.77.1:99/x/</URLBase>{}",
        service("WANIPConnection:1", "y")
    );
    assert_eq!(described(&base).unwrap(), ["http://192.168.77.1:99/x/y"]);
    assert!(described("").unwrap().is_empty());
}

#[test]
fn a_description_that_leads_elsewhere_is_refused() {
    for inner in [
        service("WANIPConnection:1", "http://192.168.77.9/c"),
        service("WANIPConnection:1", "//example.org/c"),
        service("WANIPConnection:1", "file:///c"),
        format!(
            "<URLBase>http://127.0.0.1/</URLBase>{}",
            service("WANIPConnection:1", "c")
        ),
    ] {
        let refusal = described(&inner).unwrap_err();
        assert!(refusal.contains("elsewhere"), "{inner}: {refusal}");
    }
}

#[test]
fn a_refusal_keeps_its_code_and_the_words_of_the_router() {
    let fault = "<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><detail><UPnPError><errorCode>718</errorCode>\
                 <errorDescription>ConflictInMappingEntry</errorDescription></UPnPError></detail></s:Fault>\
                 </s:Body></s:Envelope>";
    let refused = read_answer(StatusCode::INTERNAL_SERVER_ERROR, fault).unwrap_err();
    assert!(matches!(&refused, Refusal::Code(718, _)));
    assert!(refused.to_string().contains("ConflictInMappingEntry"));
    for (status, text) in [
        (StatusCode::OK, "<a><b></a>"),
        (StatusCode::OK, "<!DOCTYPE a><a/>"),
        (StatusCode::NOT_FOUND, "<a/>"),
    ] {
        assert!(matches!(read_answer(status, text), Err(Refusal::Says(_))));
    }
}

#[test]
fn what_is_asked_is_escaped() {
    let text = envelope("urn:s", "Do", &[("A", "<&>".into())]);
    assert!(
        text.contains("<u:Do xmlns:u=\"urn:s\"><A>&lt;&amp;&gt;</A></u:Do>"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn any_description_and_answer_is_read_without_a_panic(
        at in 0usize..500, noise in "(<|>|/|&|]]>|<service>|</service>|<controlURL>|http://|\\PC){0,20}", cut in 0usize..40,
    ) {
        let both = [service("WANIPConnection:1", "/c"), service("WANIPv6FirewallControl:1", "/f")];
        let whole = format!("<root>{}</root>", both.concat());
        let at = whole.floor_char_boundary(at.min(whole.len()));
        let end = whole.floor_char_boundary((at + cut).min(whole.len()));
        let broken = format!("{}{noise}{}", &whole[..at], &whole[end..]);
        for kinds in [&SERVICES[..], &[firewall::SERVICE]] {
            if let Ok(all) = read_description(&broken, &place(), ROUTER, kinds) {
                prop_assert!(all.iter().all(|service| service.control.at.ip() == ROUTER));
                prop_assert!(all.iter().all(|service| kinds.contains(&service.kind)));
            }
        }
        let _ = read_answer(StatusCode::OK, &broken);
    }
}
