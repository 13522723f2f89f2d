//! Frames whose protocol is known because of how they were made: the truth that the parser is held against, in
//! user space (`tests/packet.rs`) and in the kernel (crates/loader/tests/test_run.rs).

use ebpflab_common::packet::Protocol;
use proptest::{collection::vec, option, prelude::*};

/// A frame and what it has to be counted as.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) frame: Vec<u8>,
    pub(crate) protocol: Protocol,
}

/// Well-formed frames of every kind that the parser claims to know.
pub(crate) fn known() -> impl Strategy<Value = Known> {
    let network = prop_oneof![ipv4(), ipv6(), arp(), stranger()];
    (vec(prop_oneof![Just(0x8100u16), Just(0x88a8)], 0..=2), vec(any::<u8>(), 0..4), network).prop_map(
        |(tags, trailer, (ethertype, body, protocol))| {
            let mut frame = vec![0x02; 12];
            for tag in tags {
                frame.extend(tag.to_be_bytes());
                frame.extend([0x00, 0x2a]);
            }
            frame.extend(ethertype.to_be_bytes());
            frame.extend(body);
            // Ethernet pads short frames: bytes after the packet mean nothing.
            frame.extend(trailer);
            Known { frame, protocol }
        },
    )
}

type Network = (u16, Vec<u8>, Protocol);

/// A transport: its number over IPv4 and IPv6, its bytes, its name.
#[derive(Clone, Debug)]
struct Transport {
    number: u8,
    bytes: Vec<u8>,
    protocol: Protocol,
}

fn transport(icmp: u8, foreign: impl Strategy<Value = u8>) -> impl Strategy<Value = Transport> {
    let of = |number, protocol, header: usize| {
        vec(any::<u8>(), header..header + 40).prop_map(move |bytes| Transport { number, bytes, protocol })
    };
    let foreign = (foreign, vec(any::<u8>(), 0..40)).prop_map(|(number, bytes)| Transport {
        number,
        bytes,
        protocol: Protocol::Other,
    });
    prop_oneof![of(6, Protocol::Tcp, 20), of(17, Protocol::Udp, 8), of(icmp, Protocol::Icmp, 8), foreign]
}

/// With up to 40 bytes of options; a later fragment has the middle of something where its transport would be.
fn ipv4() -> impl Strategy<Value = Network> {
    // 58 is ICMPv6, which means nothing over IPv4.
    let foreign = prop_oneof![Just(0u8), Just(2), Just(50), Just(58), Just(132), Just(255)];
    (transport(1, foreign), 0usize..=10, option::of((1u16..0x1fff, vec(any::<u8>(), 0..64)))).prop_map(
        |(transport, options, later)| {
            let (offset, payload) = match later {
                Some((offset, middle)) => (offset, middle),
                None => (0, transport.bytes),
            };
            let header_len = 20 + options * 4;
            let mut body = vec![0; header_len];
            body[0] = 0x40 | (header_len / 4) as u8;
            body[2..4].copy_from_slice(&((header_len + payload.len()) as u16).to_be_bytes());
            body[6..8].copy_from_slice(&(offset | 0x2000).to_be_bytes());
            body[9] = transport.number;
            body.extend(payload);
            (0x0800, body, transport.protocol)
        },
    )
}

#[derive(Clone, Debug)]
enum Extension {
    /// Hop-by-hop, routing, destination options, mobility: 8-byte units.
    Units(u8, u8),
    /// Authentication: 4-byte units.
    Authentication(u8),
    /// A first fragment.
    FirstFragment,
}

impl Extension {
    fn number(&self) -> u8 {
        match self {
            Self::Units(number, _) => *number,
            Self::Authentication(_) => 51,
            Self::FirstFragment => 44,
        }
    }

    fn bytes(&self, next: u8) -> Vec<u8> {
        match self {
            Self::Units(_, units) => [&[next, *units][..], &vec![0; 6 + usize::from(*units) * 8]].concat(),
            Self::Authentication(units) => [&[next, *units][..], &vec![0; 6 + usize::from(*units) * 4]].concat(),
            Self::FirstFragment => vec![next, 0, 0, 1, 0, 0, 0, 7],
        }
    }
}

/// With up to eight extension headers; a later fragment's header is the last of them.
fn ipv6() -> impl Strategy<Value = Network> {
    // 1 is ICMP, which means nothing over IPv6; 50 hides what follows; 59 says that nothing does.
    let foreign = prop_oneof![Just(1u8), Just(50), Just(59), Just(132), Just(255)];
    let extension = prop_oneof![
        (prop_oneof![Just(0u8), Just(43), Just(60), Just(135)], 0u8..6)
            .prop_map(|(n, units)| Extension::Units(n, units)),
        (1u8..10).prop_map(Extension::Authentication),
        Just(Extension::FirstFragment),
    ];
    let later = option::of((1u16..0x1fff, vec(any::<u8>(), 0..64)));
    (transport(58, foreign), vec(extension, 0..=7), later).prop_map(|(transport, extensions, later)| {
        let (fragment, payload) = match later {
            Some((offset, middle)) => {
                let [high, low] = (offset << 3).to_be_bytes();
                (Some(vec![transport.number, 0, high, low, 0, 0, 0, 7]), middle)
            }
            None => (None, transport.bytes),
        };
        let mut next = if fragment.is_some() { 44 } else { transport.number };
        let mut headers = Vec::new();
        for extension in extensions.iter().rev() {
            headers.insert(0, extension.bytes(next));
            next = extension.number();
        }
        headers.extend(fragment);
        let rest = [headers.concat(), payload].concat();
        let mut body = vec![0; 40];
        body[0] = 0x60;
        body[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
        body[6] = next;
        body.extend(rest);
        (0x86dd, body, transport.protocol)
    })
}

fn arp() -> impl Strategy<Value = Network> {
    vec(any::<u8>(), 20)
        .prop_map(|addresses| (0x0806, [&[0, 1, 8, 0, 6, 4, 0, 1][..], &addresses].concat(), Protocol::Arp))
}

/// Frames of protocols that nobody asked about, a third VLAN tag among them.
fn stranger() -> impl Strategy<Value = Network> {
    (prop_oneof![Just(0x88ccu16), Just(0x0000), Just(0x8847)], vec(any::<u8>(), 0..60))
        .prop_map(|(ethertype, body)| (ethertype, body, Protocol::Other))
}
