//! The packet parser against frames whose protocol is known from how they were made.

mod packets;

use std::ops::ControlFlow;

use ebpflab_common::packet::{
    Network, Packet as _, Protocol, classify, ipv4_addresses, ipv6_addresses, link, network, ports,
};
use packets::known;
use proptest::prelude::*;

fn of(bytes: &[u8]) -> Protocol {
    classify(bytes)
}

/// A frame from its parts.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    [&[0x02; 12][..], &parts.concat()].concat()
}

/// An IPv4 header without options: stated length, flags and offset, protocol.
fn ipv4(total: u16, fragment: u16, protocol: u8) -> Vec<u8> {
    let mut header = vec![0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[6..8].copy_from_slice(&fragment.to_be_bytes());
    header[9] = protocol;
    header
}

/// An IPv6 header: stated payload length, next header.
fn ipv6(payload: u16, next: u8) -> Vec<u8> {
    let mut header = vec![0; 40];
    header[0] = 0x60;
    header[4..6].copy_from_slice(&payload.to_be_bytes());
    header[6] = next;
    header
}

const IP: &[u8] = &[0x08, 0x00];
const IP6: &[u8] = &[0x86, 0xdd];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_known_frame_is_what_it_was_made_as(known in known()) {
        prop_assert_eq!(of(&known.frame), known.protocol);
    }

    /// Whatever is cut off, the answer is the truth or `other`, never a third thing, and never a panic.
    #[test]
    fn a_cut_frame_is_never_taken_for_another(known in known(), cut in any::<prop::sample::Index>()) {
        let cut = of(&known.frame[..cut.index(known.frame.len() + 1)]);
        prop_assert!(cut == known.protocol || cut == Protocol::Other);
    }

    #[test]
    fn any_bytes_have_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        of(&bytes);
    }

    /// Bytes changed at random reach the odd corners that random bytes do not.
    #[test]
    fn a_damaged_frame_has_an_answer(
        known in known(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = known.frame;
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        of(&frame);
    }
}

#[test]
fn a_slice_is_read_within_its_bounds() {
    let bytes = [1, 2, 3, 4];
    assert_eq!(bytes.read::<2>(2), Some([3, 4]));
    assert_eq!(bytes.read::<2>(3), None);
    assert_eq!(bytes.read::<2>(usize::MAX), None);
    assert_eq!(bytes.size(), 4);
}

#[test]
fn a_transport_header_must_be_whole() {
    for (number, header, protocol) in [(6, 20, Protocol::Tcp), (17, 8, Protocol::Udp), (1, 8, Protocol::Icmp)] {
        let whole = frame(&[IP, &ipv4(20 + header, 0, number), &vec![0; header.into()]]);
        assert_eq!(of(&whole), protocol);
        let short = frame(&[IP, &ipv4(20 + header - 1, 0, number), &vec![0; header.into()]]);
        assert_eq!(of(&short), Protocol::Other, "the packet ends one byte before its header does");
    }
}

#[test]
fn a_length_beyond_the_frame_is_malformed() {
    assert_eq!(of(&frame(&[IP, &ipv4(29, 0, 17), &[0; 8]])), Protocol::Other);
    assert_eq!(of(&frame(&[IP6, &ipv6(9, 17), &[0; 8]])), Protocol::Other);
    assert_eq!(of(&frame(&[IP6, &ipv6(8, 17), &[0; 8]])), Protocol::Udp);
}

#[test]
fn a_length_of_zero_means_all_of_a_frame_too_large_to_state_it() {
    let segments = vec![0; 70_000];
    assert_eq!(of(&frame(&[IP, &ipv4(0, 0, 6), &segments])), Protocol::Tcp);
    assert_eq!(of(&frame(&[IP6, &ipv6(0, 6), &segments])), Protocol::Tcp);
    assert_eq!(of(&frame(&[IP, &ipv4(0, 0, 6), &segments[..100]])), Protocol::Other);
    assert_eq!(of(&frame(&[IP6, &ipv6(0, 6), &segments[..100]])), Protocol::Other);
}

#[test]
fn a_wrong_version_or_header_length_is_malformed() {
    let mut header = ipv4(28, 0, 17);
    header[0] = 0x65;
    assert_eq!(of(&frame(&[IP, &header, &[0; 8]])), Protocol::Other);
    header[0] = 0x44;
    assert_eq!(of(&frame(&[IP, &header, &[0; 8]])), Protocol::Other);
    assert_eq!(of(&frame(&[IP6, &ipv4(28, 0, 17), &[0; 40]])), Protocol::Other);
}

#[test]
fn a_third_vlan_tag_is_other() {
    let tag = [0x81, 0x00, 0x00, 0x2a];
    let packet = [&ipv4(28, 0, 17)[..], &[0; 8]].concat();
    assert_eq!(of(&frame(&[&tag, &tag, IP, &packet])), Protocol::Udp);
    assert_eq!(of(&frame(&[&tag, &tag, &tag, IP, &packet])), Protocol::Other);
}

#[test]
fn a_ninth_extension_header_is_other() {
    let chain = |count: usize| {
        let mut rest = vec![0; 8 * count + 8];
        for header in 0..count {
            rest[8 * header] = if header + 1 == count { 17 } else { 60 };
        }
        frame(&[IP6, &ipv6(rest.len() as u16, 60), &rest])
    };
    assert_eq!(of(&chain(8)), Protocol::Udp);
    assert_eq!(of(&chain(9)), Protocol::Other);
}

#[test]
fn an_extension_that_reaches_past_the_packet_is_malformed() {
    let rest = [17, 1, 0, 0, 0, 0, 0, 0, /* the packet ends here */ 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(of(&frame(&[IP6, &ipv6(8, 60), &rest])), Protocol::Other);
}

#[test]
fn the_middle_of_an_extension_header_says_nothing_about_the_transport() {
    // A later fragment whose first header would be destination options: those are in an earlier fragment.
    let rest = [60, 0, 0x00, 0x08, 0, 0, 0, 7, 17, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(of(&frame(&[IP6, &ipv6(16, 44), &rest])), Protocol::Other);
}

/// The network headers of a frame that has them.
fn headers(bytes: &[u8]) -> Network {
    match network(bytes, link(bytes).expect("a link header")) {
        ControlFlow::Continue(network) => network,
        ControlFlow::Break(protocol) => panic!("it is {protocol:?}"),
    }
}

#[test]
fn addresses_are_where_the_header_has_them() {
    let mut header = ipv4(28, 0, 17);
    header[12..20].copy_from_slice(&[192, 0, 2, 1, 198, 51, 100, 2]);
    let tag = [0x81, 0x00, 0x00, 0x2a];
    for tags in [&[][..], &[&tag[..]], &[&tag[..], &tag[..]]] {
        let packet = frame(&[&tags.concat(), IP, &header]);
        let at = link(packet.as_slice()).expect("a link header").network;
        assert_eq!(ipv4_addresses(packet.as_slice(), at), Some(([192, 0, 2, 1], [198, 51, 100, 2])));
        assert_eq!(ipv4_addresses(&packet[..packet.len() - 1], at), None, "the header is cut short");
        assert_eq!(ipv6_addresses(packet.as_slice(), at), None);
    }
    let mut header = ipv6(0, 59);
    header[8..40].copy_from_slice(&[[7; 16], [9; 16]].concat());
    let packet = frame(&[IP6, &header]);
    assert_eq!(ipv6_addresses(packet.as_slice(), 14), Some(([7; 16], [9; 16])));
    assert_eq!(ipv6_addresses(&packet[..packet.len() - 1], 14), None);
    assert_eq!(ipv4_addresses(packet.as_slice(), 14), None);
}

#[test]
fn ports_are_of_tcp_and_udp_and_first_fragments() {
    let header = [0x04, 0xd2, 0x00, 0x35, 0, 8, 0, 0];
    let whole = frame(&[IP, &ipv4(28, 0, 17), &header]);
    assert_eq!(ports(whole.as_slice(), headers(&whole)), Some((1234, 53)));
    let later = frame(&[IP, &ipv4(28, 1, 17), &header]);
    assert_eq!(ports(later.as_slice(), headers(&later)), None);
    let icmp = frame(&[IP, &ipv4(28, 0, 1), &header]);
    assert_eq!(ports(icmp.as_slice(), headers(&icmp)), None);
    let short = frame(&[IP, &ipv4(23, 0, 17), &header]);
    assert_eq!(ports(short.as_slice(), headers(&short)), None, "the packet ends before its ports do");
    let behind = frame(&[IP6, &ipv6(16, 60), &[17, 0, 0, 0, 0, 0, 0, 0], &header]);
    assert_eq!(ports(behind.as_slice(), headers(&behind)), Some((1234, 53)));
}
