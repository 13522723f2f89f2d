//! What a packet is: its protocol, its addresses, its ports. One parser: BPF programs read through bounds-checked packet
//! pointers, `cargo test` runs the same lines on byte slices.
//!
//! It goes layer by layer, [`link`], [`network`], [`transport`], so that a program may end after each and another go on.

use core::ops::ControlFlow;

/// What a packet is counted as; the index into maps of counts.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP over IPv4 or IPv6.
    Tcp = 0,
    /// UDP over IPv4 or IPv6.
    Udp = 1,
    /// ICMP over IPv4, ICMPv6 over IPv6.
    Icmp = 2,
    /// ARP.
    Arp = 3,
    /// Anything else, and everything that is cut short or malformed.
    Other = 4,
}

impl Protocol {
    /// All protocols with their names, by index.
    pub const ALL: [(Self, &'static str); 5] =
        [(Self::Tcp, "tcp"), (Self::Udp, "udp"), (Self::Icmp, "icmp"), (Self::Arp, "arp"), (Self::Other, "other")];
}

/// Packets and bytes, mostly of one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames.
    pub packets: u64,
    /// Bytes of the frames, link header included.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Traffic>() == 16);
crate::pod!(Traffic);

impl Traffic {
    /// Adds other packets to these.
    #[inline(always)]
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl core::iter::Sum for Traffic {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }
}

/// A frame, from its link header on, read piece by piece with every read checked.
pub trait Packet {
    /// Bytes of the frame.
    fn size(&self) -> usize;
    /// The `N` bytes at `offset`, or `None` where the frame ends before.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Packet for [u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

const ETH_HLEN: usize = 14;
const VLAN_HLEN: usize = 4;
const IPV6_HLEN: usize = 40;

// include/uapi/linux/if_ether.h
/// Ethertype of IPv4.
pub const ETH_P_IP: u16 = 0x0800;
/// Ethertype of IPv6.
pub const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_ARP: u16 = 0x0806;
/// Ethertype of a VLAN tag.
pub const ETH_P_8021Q: u16 = 0x8100;
/// Ethertype of a VLAN tag around another.
pub const ETH_P_8021AD: u16 = 0x88a8;

// include/uapi/linux/in.h and in6.h
const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_ICMP: u8 = 1;
/// Number of TCP.
pub const IPPROTO_TCP: u8 = 6;
/// Number of UDP.
pub const IPPROTO_UDP: u8 = 17;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AH: u8 = 51;
const IPPROTO_ICMPV6: u8 = 58;
const IPPROTO_DSTOPTS: u8 = 60;
const IPPROTO_MH: u8 = 135;

/// Extension headers followed before a packet counts as malformed; RFC 8200 has seven kinds, each once
/// (destination options twice).
const MAX_EXTENSIONS: usize = 8;

/// What the link header says about what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Ethertype, behind the VLAN tags.
    pub ethertype: u16,
    /// Where the network header is.
    pub network: usize,
}

/// What the network headers say about what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Number of the transport protocol; it means the same over IPv4 and IPv6 for TCP and UDP, not for ICMP.
    pub next: u8,
    /// Where the transport header is.
    pub transport: usize,
    /// Bytes of the packet from there on.
    pub rest: usize,
    /// It is no fragment but the first: later ones have no transport header.
    pub first_fragment: bool,
}

/// The protocol of a frame. Never faults: what is short or malformed is [`Protocol::Other`].
#[inline(always)]
pub fn classify<P: Packet + ?Sized>(packet: &P) -> Protocol {
    let Some(link) = link(packet) else { return Protocol::Other };
    match network(packet, link) {
        ControlFlow::Break(protocol) => protocol,
        ControlFlow::Continue(network) => transport(link.ethertype, network),
    }
}

/// The link header: one tag is seen through, or an outer and an inner one. `None`: cut short.
#[inline(always)]
pub fn link<P: Packet + ?Sized>(packet: &P) -> Option<Link> {
    let mut ethertype = u16::from_be_bytes(packet.read(12)?);
    let mut network = ETH_HLEN;
    for _ in 0..2 {
        if matches!(ethertype, ETH_P_8021Q | ETH_P_8021AD) {
            ethertype = u16::from_be_bytes(packet.read(network + 2)?);
            network += VLAN_HLEN;
        }
    }
    Some(Link { ethertype, network })
}

/// The network headers; it breaks off with the protocol of what has no transport.
#[inline(always)]
pub fn network<P: Packet + ?Sized>(packet: &P, link: Link) -> ControlFlow<Protocol, Network> {
    let network = match link.ethertype {
        ETH_P_IP => ipv4(packet, link.network),
        ETH_P_IPV6 => ipv6(packet, link.network),
        ETH_P_ARP if is_arp(packet, link.network) => return ControlFlow::Break(Protocol::Arp),
        _ => None,
    };
    match network {
        Some(network) => ControlFlow::Continue(network),
        None => ControlFlow::Break(Protocol::Other),
    }
}

/// The protocol by its number, if its header is there: later fragments have none.
#[inline(always)]
pub fn transport(ethertype: u16, network: Network) -> Protocol {
    let icmp = if ethertype == ETH_P_IP { IPPROTO_ICMP } else { IPPROTO_ICMPV6 };
    let (protocol, header_len) = match network.next {
        IPPROTO_TCP => (Protocol::Tcp, 20),
        IPPROTO_UDP => (Protocol::Udp, 8),
        // ICMPv6 may state 4 bytes, but every message defined has 8.
        next if next == icmp => (Protocol::Icmp, 8),
        _ => return Protocol::Other,
    };
    if network.first_fragment && network.rest < header_len { Protocol::Other } else { protocol }
}

/// Source and destination of an IPv4 packet. They are there as soon as its header is, whatever else is wrong with it.
#[inline(always)]
pub fn ipv4_addresses<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<([u8; 4], [u8; 4])> {
    let header: [u8; 20] = packet.read(network)?;
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = header;
    if header[0] >> 4 == 4 { Some(([s0, s1, s2, s3], [d0, d1, d2, d3])) } else { None }
}

/// Source and destination of an IPv6 packet, in the same way.
#[inline(always)]
pub fn ipv6_addresses<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<([u8; 16], [u8; 16])> {
    // As a whole: of a single byte at an unknown offset the verifier would not see that it is there.
    let header: [u8; IPV6_HLEN] = packet.read(network)?;
    let [source, destination] = [8, 24].map(|at| header.get(at..)?.first_chunk().copied());
    if header[0] >> 4 == 6 { Some((source?, destination?)) } else { None }
}

/// Source and destination port of TCP and UDP; `None` for other protocols, later fragments and what is cut short.
#[inline(always)]
pub fn ports<P: Packet + ?Sized>(packet: &P, network: Network) -> Option<(u16, u16)> {
    if !matches!(network.next, IPPROTO_TCP | IPPROTO_UDP) || !network.first_fragment || network.rest < 4 {
        return None;
    }
    let [a, b, c, d] = packet.read(network.transport)?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// RFC 826: the fixed part, then two hardware and two protocol addresses of the lengths it states.
#[inline(always)]
fn is_arp<P: Packet + ?Sized>(packet: &P, network: usize) -> bool {
    let Some([_, _, _, _, hardware, protocol, _, _]) = packet.read(network) else { return false };
    let addresses = 2 * (usize::from(hardware) + usize::from(protocol));
    network + 8 + addresses <= packet.size()
}

#[inline(always)]
fn ipv4<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<Network> {
    let header: [u8; 20] = packet.read(network)?;
    let header_len = usize::from(header[0] & 0xf) * 4;
    let stated = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let total_len = whole_len(stated, packet.size() - network);
    if header[0] >> 4 != 4 || header_len < 20 || total_len < header_len || network + total_len > packet.size() {
        return None;
    }
    let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    Some(Network {
        next: header[9],
        transport: network + header_len,
        rest: total_len - header_len,
        first_fragment: fragment_offset == 0,
    })
}

#[inline(always)]
fn ipv6<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<Network> {
    let header: [u8; IPV6_HLEN] = packet.read(network)?;
    let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload_len = whole_len(stated, packet.size() - network - IPV6_HLEN);
    let end = network + IPV6_HLEN + payload_len;
    if header[0] >> 4 != 6 || end > packet.size() {
        return None;
    }
    let mut next = header[6];
    let mut offset = network + IPV6_HLEN;
    let mut first_fragment = true;
    for _ in 0..MAX_EXTENSIONS {
        let len = match next {
            IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_DSTOPTS | IPPROTO_MH => 8,
            IPPROTO_AH => 4,
            IPPROTO_FRAGMENT => 0,
            _ => break,
        };
        // What follows a later fragment's header is not a header but the middle of something.
        if !first_fragment {
            return None;
        }
        let extension: [u8; 8] = packet.read(offset)?;
        if len == 0 {
            first_fragment = u16::from_be_bytes([extension[2], extension[3]]) & 0xfff8 == 0;
        }
        next = extension[0];
        // RFC 8200: 8-byte units beyond the first; RFC 4302 (AH): 4-byte units beyond the first two.
        offset += 8 + usize::from(extension[1]) * len;
        if offset > end {
            return None;
        }
    }
    Some(Network { next, transport: offset, rest: end - offset, first_fragment })
}

/// A stated length of zero on a frame too large for 16 bits means "all of it" (BIG TCP, jumbograms).
#[inline(always)]
fn whole_len(stated: usize, available: usize) -> usize {
    if stated == 0 && available > 0xffff { available } else { stated }
}
