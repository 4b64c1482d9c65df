//! What routers answer, as it is read.

use hyper::StatusCode;
use proptest::prelude::*;

use super::{super::soap::read_answer, *};

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 20);

fn mapping(client: &str, port: &str, enabled: &str) -> Result<Option<Mapping>, Refusal> {
    let text = format!(
        "<s:Envelope xmlns:s=\"x\"><s:Body><u:R xmlns:u=\"y\"><NewInternalPort>{port}</NewInternalPort>\
         <NewInternalClient>{client}</NewInternalClient><NewEnabled>{enabled}</NewEnabled>\
         <NewPortMappingDescription>by\u{1b}[31m hand</NewPortMappingDescription>\
         <NewLeaseDuration>600</NewLeaseDuration></u:R></s:Body></s:Envelope>"
    );
    Ok(read_mapping(&read_answer(StatusCode::OK, &text)?, OWN))
}

#[test]
fn a_mapping_says_to_whom_it_leads() {
    let here = Mapping::Here {
        port: 8443,
        lease_s: Some(600),
        description: "by[31m hand".into(),
    };
    assert_eq!(mapping("192.168.77.20", "8443", "1").unwrap(), Some(here));
    let other = Mapping::OtherMachine {
        address: Ipv4Addr::new(192, 168, 77, 7),
        port: 443,
        description: "by[31m hand".into(),
    };
    assert_eq!(mapping("192.168.77.7", "443", "1").unwrap(), Some(other));
    let off = mapping("192.168.77.7", "443", "0").unwrap();
    assert!(matches!(off, Some(Mapping::Off { .. })));
    for (client, port) in [("printer", "443"), ("", "443"), ("192.168.77.20", "99999")] {
        assert_eq!(mapping(client, port, "1").unwrap(), None, "{client} {port}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_without_a_panic(
        at in 0usize..400, noise in "(<|>|/|&|]]>|<New|NewInternalPort>|\\PC){0,20}", cut in 0usize..40,
    ) {
        let whole = "<R><NewInternalPort>443</NewInternalPort><NewInternalClient>192.168.77.20</NewInternalClient>\
                     <NewEnabled>1</NewEnabled><NewLeaseDuration>600</NewLeaseDuration></R>";
        let at = whole.floor_char_boundary(at.min(whole.len()));
        let end = (at + cut).min(whole.len());
        let broken = format!("{}{noise}{}", &whole[..at], &whole[end..]);
        let _ = read_answer(StatusCode::OK, &broken).map(|said| read_mapping(&said, OWN));
    }
}
