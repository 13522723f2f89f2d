//! Which flow a frame is of, against frames whose addresses and ports are known from how they were made.

mod packets;

use ebpflab_common::{
    flows::{Direction, Flow, flow},
    ip::mapped,
    packet::Protocol,
};
use packets::known;
use proptest::prelude::*;

const SOURCE: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const DESTINATION: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

fn of(frame: &[u8]) -> Flow {
    flow(frame, true, 0, 0, Direction::Ingress)
}

fn ethernet(ethertype: &[u8], body: &[u8]) -> Vec<u8> {
    [&[2; 12], ethertype, body].concat()
}

/// From 192.0.2.1 to 192.0.2.2.
fn ipv4(words: u8, fragment: u16, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let mut header = vec![0; usize::from(words) * 4];
    header[0] = 0x40 | words;
    let total_len = usize::from(words) * 4 + transport.len();
    header[2..4].copy_from_slice(&(total_len as u16).to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header[9] = protocol;
    header[12..20].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    [&header, transport].concat()
}

fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
    [&[0x60, 0, 0, 0, 0, rest.len() as u8, next, 64], &SOURCE[..], &DESTINATION, rest].concat()
}

/// Ports 1000 and 53.
const PORTS: &[u8] = &[3, 0xe8, 0, 53, 0, 0, 0, 0];

fn between(source: [u8; 16], destination: [u8; 16], ethertype: u16, protocol: u8) -> Flow {
    Flow { source, destination, ethertype, protocol, is_ip: 1, ..Flow::default() }
}

fn v4(protocol: u8) -> Flow {
    between(mapped([192, 0, 2, 1]), mapped([192, 0, 2, 2]), 0x0800, protocol)
}

fn v6(protocol: u8) -> Flow {
    between(SOURCE, DESTINATION, 0x86dd, protocol)
}

fn with_ports(flow: Flow) -> Flow {
    Flow { source_port: 1_000, destination_port: 53, has_ports: 1, ..flow }
}

#[test]
fn addresses_and_ports_of_ipv4() {
    for protocol in [6, 17] {
        for words in [5, 6, 15] {
            assert_eq!(of(&ethernet(&[8, 0], &ipv4(words, 0, protocol, PORTS))), with_ports(v4(protocol)));
        }
    }
    for protocol in [1, 2, 47, 50, 132] {
        assert_eq!(of(&ethernet(&[8, 0], &ipv4(5, 0, protocol, PORTS))), v4(protocol));
    }
}

#[test]
fn addresses_and_ports_of_ipv6_behind_extension_headers() {
    assert_eq!(of(&ethernet(&[0x86, 0xdd], &ipv6(17, PORTS))), with_ports(v6(17)));
    assert_eq!(of(&ethernet(&[0x86, 0xdd], &ipv6(58, PORTS))), v6(58));
    for (next, extension) in [
        (0, &[17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]),
        (43, &[17, 0, 0, 0, 0, 0, 0, 0]),
        (60, &[17, 0, 0, 0, 0, 0, 0, 0]),
        (51, &[17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        // The first fragment.
        (44, &[17, 0, 0, 1, 0, 0, 0, 7]),
    ] {
        let frame = ethernet(&[0x86, 0xdd], &ipv6(next, &[extension, PORTS].concat()));
        assert_eq!(of(&frame), with_ports(v6(17)), "{next}");
    }
}

#[test]
fn later_fragments_and_cut_headers_have_no_ports() {
    assert_eq!(of(&ethernet(&[8, 0], &ipv4(5, 0x2000, 17, PORTS))), with_ports(v4(17)), "the first");
    assert_eq!(of(&ethernet(&[8, 0], &ipv4(5, 0x0001, 17, PORTS))), v4(17));
    assert_eq!(of(&ethernet(&[8, 0], &ipv4(5, 0, 17, &PORTS[..3]))), v4(17));
    let later = [17, 0, 0, 8, 0, 0, 0, 7];
    assert_eq!(of(&ethernet(&[0x86, 0xdd], &ipv6(44, &[&later, PORTS].concat()))), v6(17));
}

#[test]
fn wrong_headers_have_no_addresses() {
    let ethertype = |ethertype| Flow { ethertype, ..Flow::default() };
    let mut packet = ipv4(5, 0, 17, PORTS);
    packet[0] = 0x44;
    assert_eq!(of(&ethernet(&[8, 0], &packet)), ethertype(0x0800));
    packet[0] = 0x65;
    assert_eq!(of(&ethernet(&[8, 0], &packet)), ethertype(0x0800));
    assert_eq!(of(&ethernet(&[8, 0], &packet[..19])), ethertype(0x0800));
    assert_eq!(of(&ethernet(&[0x86, 0xdd], &ipv6(0, &[17]))), ethertype(0x86dd));
    assert_eq!(of(&ethernet(&[0x86, 0xdd], &packet)), ethertype(0x86dd));
    assert_eq!(of(&ethernet(&[8, 6], &[0; 28])), ethertype(0x0806));
    // A length, not a type.
    assert_eq!(of(&ethernet(&[0, 38], &[0; 38])), ethertype(0));
    assert_eq!(of(&[2; 13]), ethertype(0));
}

#[test]
fn vlans_are_told_apart_by_the_outermost() {
    let packet = ipv4(5, 0, 17, PORTS);
    let tagged = |tags: &[u8]| of(&ethernet(&[tags, &[8, 0]].concat(), &packet));
    let inside = |vlan| Flow { vlan, ..with_ports(v4(17)) };
    assert_eq!(tagged(&[0x81, 0, 0, 42]), inside(42));
    assert_eq!(tagged(&[0x88, 0xa8, 0x20, 7, 0x81, 0, 0, 42]), inside(7), "priority and id");
    // A priority without a VLAN.
    assert_eq!(tagged(&[0x81, 0, 0xe0, 0]), inside(0));
    // What the kernel took out of the frame is outside of what is in it.
    let frame = ethernet(&[0x81, 0, 0, 42, 8, 0], &packet);
    assert_eq!(flow(frame.as_slice(), true, 0x8100, 7, Direction::Ingress), inside(7));
}

#[test]
fn without_a_link_header_the_kernel_says_what_it_is() {
    let egress = |flow| Flow { direction: Direction::Egress as u8, ..flow };
    let packet = ipv4(5, 0, 6, PORTS);
    assert_eq!(flow(packet.as_slice(), false, 0x0800, 0, Direction::Egress), egress(with_ports(v4(6))));
    let packet = ipv6(6, PORTS);
    assert_eq!(flow(packet.as_slice(), false, 0x86dd, 0, Direction::Egress), egress(with_ports(v6(6))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Both parsers agree on what is well-formed.
    #[test]
    fn a_known_frame_is_of_its_protocol(known in known()) {
        let flow = of(&known.frame);
        let expected = match (flow.ethertype, flow.is_ip, flow.protocol) {
            (0x0806, ..) => Protocol::Arp,
            (_, 1, 6) => Protocol::Tcp,
            (_, 1, 17) => Protocol::Udp,
            (0x0800, 1, 1) | (0x86dd, 1, 58) => Protocol::Icmp,
            _ => Protocol::Other,
        };
        prop_assert_eq!(expected, known.protocol);
        prop_assert!(flow.has_ports <= flow.is_ip);
    }

    #[test]
    fn any_bytes_have_a_flow(bytes in prop::collection::vec(any::<u8>(), 0..200), is_ethernet: bool, ethertype: u16) {
        let _ = flow(bytes.as_slice(), is_ethernet, ethertype, 0, Direction::Ingress);
    }
}
