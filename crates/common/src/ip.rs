//! Who talks to whom: addresses, protocol and ports of IP packets.

use core::ops::ControlFlow;

use crate::packet::{ETH_P_IP, Link, Packet, ipv4_addresses, ipv6_addresses, network, ports};

/// An address; one of IPv4 as `::ffff:a.b.c.d` (RFC 4291).
pub type Address = [u8; 16];

/// What the headers of an IP packet say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Who sent it.
    pub source: Address,
    /// To whom.
    pub destination: Address,
    /// What is carried, by its number.
    pub protocol: u8,
    /// Source and destination of TCP and UDP; none for all fragments but the first.
    pub ports: Option<(u16, u16)>,
}

/// The headers of an IP packet; `None` for what is none, or malformed.
#[inline(always)]
pub fn headers<P: Packet + ?Sized>(packet: &P, link: Link) -> Option<Headers> {
    let ControlFlow::Continue(network) = network(packet, link) else { return None };
    let (source, destination) = if link.ethertype == ETH_P_IP {
        let (source, destination) = ipv4_addresses(packet, link.network)?;
        (mapped(source), mapped(destination))
    } else {
        ipv6_addresses(packet, link.network)?
    };
    Some(Headers { source, destination, protocol: network.next, ports: ports(packet, network) })
}

/// An IPv4 address as one of IPv6.
#[inline(always)]
pub fn mapped([a, b, c, d]: [u8; 4]) -> Address {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}
