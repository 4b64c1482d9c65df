//! Sockets for multicast DNS: for each network one for each kind of address.
//!
//! 1. They are bound to the group itself, so that they get what is sent to the group and nothing else: nothing from
//!    beyond the network, and nothing that is sent to another responder of this machine alone.
//! 2. They share the port with other responders (RFC 6762 section 15).
//! 3. They take part only in their own network's group.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{PORT, link::Family, networks::Network};

/// RFC 6762 section 3.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// What waits to be read; what comes in a flood is dropped by the system.
const RECEIVE_BYTES: usize = 128 * 1024;
/// RFC 6762 section 11.
const HOPS: u32 = 255;

/// The address of everybody on a network.
pub(super) fn group(family: Family, network: &Network) -> SocketAddr {
    match family {
        Family::V4 => (GROUP_V4, PORT).into(),
        Family::V6 => SocketAddrV6::new(GROUP_V6, PORT, 0, network.index).into(),
    }
}

/// Opens a socket; `None` if the network has no addresses of this kind.
pub(super) fn open(family: Family, network: &Network) -> io::Result<Option<UdpSocket>> {
    let socket = match family {
        Family::V4 => {
            let Some(own) = network.first_v4() else {
                return Ok(None);
            };
            let socket = shared(Domain::IPV4)?;
            // Otherwise it would get what sockets of other networks have joined for.
            socket.set_multicast_all_v4(false)?;
            socket.bind(&group(family, network).into())?;
            let interface = InterfaceIndexOrAddress::Index(network.index);
            socket.join_multicast_v4_n(&GROUP_V4, &interface)?;
            socket.set_multicast_if_v4(&own)?;
            socket.set_multicast_ttl_v4(HOPS)?;
            socket.set_ttl_v4(HOPS)?;
            socket
        }
        Family::V6 => {
            if !network.has_v6() {
                return Ok(None);
            }
            let socket = shared(Domain::IPV6)?;
            socket.set_only_v6(true)?;
            socket.bind(&group(family, network).into())?;
            socket.join_multicast_v6(&GROUP_V6, network.index)?;
            socket.set_multicast_if_v6(network.index)?;
            socket.set_multicast_hops_v6(HOPS)?;
            socket.set_unicast_hops_v6(HOPS)?;
            socket
        }
    };
    UdpSocket::from_std(socket.into()).map(Some)
}

fn shared(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    Ok(socket)
}
