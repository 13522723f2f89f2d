//! Which protocol a packet carries. One parser: the XDP program reads through bounds-checked packet pointers,
//! `cargo test` runs the same lines on byte slices.

/// What a packet is counted as; the index into the map `COUNTS`.
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

/// Packets and bytes of one protocol on one CPU.
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
const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021AD: u16 = 0x88a8;

// include/uapi/linux/in.h and in6.h
const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_ICMP: u8 = 1;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AH: u8 = 51;
const IPPROTO_ICMPV6: u8 = 58;
const IPPROTO_DSTOPTS: u8 = 60;
const IPPROTO_MH: u8 = 135;

/// Extension headers followed before a packet counts as malformed; RFC 8200 has seven kinds, each once
/// (destination options twice).
const MAX_EXTENSIONS: usize = 8;

/// The protocol of a frame. Never faults: what is short or malformed is [`Protocol::Other`].
#[inline(always)]
pub fn classify<P: Packet + ?Sized>(packet: &P) -> Protocol {
    try_classify(packet).unwrap_or(Protocol::Other)
}

/// `None`: short or malformed.
#[inline(always)]
fn try_classify<P: Packet + ?Sized>(packet: &P) -> Option<Protocol> {
    let mut ethertype = u16::from_be_bytes(packet.read(12)?);
    let mut network = ETH_HLEN;
    // One tag, or an outer and an inner one; a third makes the frame `other`.
    for _ in 0..2 {
        if matches!(ethertype, ETH_P_8021Q | ETH_P_8021AD) {
            ethertype = u16::from_be_bytes(packet.read(network + 2)?);
            network += VLAN_HLEN;
        }
    }
    match ethertype {
        ETH_P_IP => ipv4(packet, network),
        ETH_P_IPV6 => ipv6(packet, network),
        ETH_P_ARP => arp(packet, network),
        _ => Some(Protocol::Other),
    }
}

/// RFC 826: the fixed part, then two hardware and two protocol addresses of the lengths it states.
#[inline(always)]
fn arp<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<Protocol> {
    let [_, _, _, _, hardware, protocol, _, _] = packet.read(network)?;
    let addresses = 2 * (usize::from(hardware) + usize::from(protocol));
    (network + 8 + addresses <= packet.size()).then_some(Protocol::Arp)
}

#[inline(always)]
fn ipv4<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<Protocol> {
    let header: [u8; 20] = packet.read(network)?;
    let header_len = usize::from(header[0] & 0xf) * 4;
    let stated = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let total_len = whole_len(stated, packet.size() - network);
    if header[0] >> 4 != 4 || header_len < 20 || total_len < header_len || network + total_len > packet.size() {
        return None;
    }
    let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
    let protocol = match header[9] {
        IPPROTO_ICMP => Protocol::Icmp,
        next => transport(next)?,
    };
    ends_right(protocol, fragment_offset == 0, total_len - header_len)
}

#[inline(always)]
fn ipv6<P: Packet + ?Sized>(packet: &P, network: usize) -> Option<Protocol> {
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
    let protocol = match next {
        IPPROTO_ICMPV6 => Protocol::Icmp,
        next => transport(next)?,
    };
    ends_right(protocol, first_fragment, end - offset)
}

/// A stated length of zero on a frame too large for 16 bits means "all of it" (BIG TCP, jumbograms).
#[inline(always)]
fn whole_len(stated: usize, available: usize) -> usize {
    if stated == 0 && available > 0xffff { available } else { stated }
}

#[inline(always)]
fn transport(next: u8) -> Option<Protocol> {
    match next {
        IPPROTO_TCP => Some(Protocol::Tcp),
        IPPROTO_UDP => Some(Protocol::Udp),
        _ => None,
    }
}

/// The transport header must be there, but for later fragments, which carry none.
#[inline(always)]
fn ends_right(protocol: Protocol, first_fragment: bool, rest: usize) -> Option<Protocol> {
    let header_len = match protocol {
        _ if !first_fragment => 0,
        Protocol::Tcp => 20,
        // ICMPv6 may state 4 bytes, but every message defined has 8.
        _ => 8,
    };
    (rest >= header_len).then_some(protocol)
}
