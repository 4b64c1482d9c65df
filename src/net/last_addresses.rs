//! The last addresses of something, newest first, each with a time.

use std::net::IpAddr;

use crate::base::Timestamp;

/// Puts an address in front, if it is not there; says whether anything was changed. Those of IPv4 and of IPv6 have
/// this many places each.
pub(super) fn put_in_front(
    list: &mut Vec<(IpAddr, Timestamp)>,
    address: IpAddr,
    at: Timestamp,
    places: usize,
) -> bool {
    let is_alike = |other: &IpAddr| other.is_ipv4() == address.is_ipv4();
    let mut alike = list.iter().map(|(other, _)| other);
    if alike.find(|other| is_alike(other)) == Some(&address) {
        return false;
    }
    list.retain(|(known, _)| *known != address);
    list.insert(0, (address, at));
    let mut left = places;
    list.retain(|(known, _)| {
        let has_place = !is_alike(known) || left > 0;
        left = left.saturating_sub(usize::from(is_alike(known)));
        has_place
    });
    true
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, put_in_front};

    #[test]
    fn the_last_of_either_kind_are_known_since_when_they_came() {
        let mut list = Vec::new();
        let told = [
            "8.8.8.8", "8.8.8.8", "2a00::1", "8.8.8.8", "9.9.9.9", "8.8.4.4", "9.9.9.9",
        ];
        let mut changes = Vec::new();
        for (at, address) in (1..).zip(told) {
            changes.push(put_in_front(
                &mut list,
                address.parse().unwrap(),
                Timestamp(at),
                2,
            ));
        }
        assert_eq!(changes, [true, false, true, false, true, true, true]);
        let shown: Vec<String> = list
            .iter()
            .map(|(ip, at)| format!("{ip} {}", at.0))
            .collect();
        assert_eq!(shown, ["9.9.9.9 7", "8.8.4.4 6", "2a00::1 3"]);
    }
}
