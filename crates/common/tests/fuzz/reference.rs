//! What a frame is, told a second time and in another way than the parser does: headers are cut off in front, and what is
//! cut short ends it.

use ebpflab_common::{flows::Flow, ip::mapped, packet::Protocol};

/// What there is to say about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) protocol: Protocol,
    pub(crate) flow: Flow,
}

/// The rest of an IP packet behind its headers.
struct Payload<'a> {
    source: [u8; 16],
    destination: [u8; 16],
    next: u8,
    /// Of a fragmented packet the first part, or all of one that is not.
    is_first: bool,
    bytes: &'a [u8],
}

/// Of a frame that begins with an Ethernet header; if that is cut short, what is known is what the kernel says it is.
pub(crate) fn truth(frame: &[u8], said: u16) -> Truth {
    let nothing = Truth { protocol: Protocol::Other, flow: Flow { ethertype: said, ..Flow::default() } };
    let Some((ethertype, vlan, packet)) = ethernet(frame) else { return nothing };
    // A length in place of a type.
    let shown = if ethertype < 0x0600 { 0 } else { ethertype };
    let truth = Truth { flow: Flow { ethertype: shown, vlan, ..Flow::default() }, ..nothing };
    let payload = match ethertype {
        0x0806 => return Truth { protocol: arp(packet), ..truth },
        0x0800 => ipv4(packet),
        0x86dd => ipv6(packet),
        _ => None,
    };
    payload.map_or(truth, |payload| of_ip(truth.flow, &payload))
}

fn of_ip(flow: Flow, payload: &Payload<'_>) -> Truth {
    let Payload { source, destination, next, is_first, bytes } = *payload;
    let mut flow = Flow { source, destination, protocol: next, is_ip: 1, ..flow };
    if let (6 | 17, true, [a, b, c, d, ..]) = (next, is_first, bytes) {
        flow.source_port = u16::from_be_bytes([*a, *b]);
        flow.destination_port = u16::from_be_bytes([*c, *d]);
        flow.has_ports = 1;
    }
    let (protocol, least) = match (flow.ethertype, next) {
        (_, 6) => (Protocol::Tcp, 20),
        (_, 17) => (Protocol::Udp, 8),
        (0x0800, 1) | (0x86dd, 58) => (Protocol::Icmp, 8),
        _ => (Protocol::Other, 0),
    };
    let is_whole = !is_first || bytes.len() >= least;
    Truth { protocol: if is_whole { protocol } else { Protocol::Other }, flow }
}

/// Takes so many bytes from the front, if there are so many.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(front)
}

fn take_word(bytes: &mut &[u8]) -> Option<u16> {
    take(bytes, 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// The type, the id of the outer one of at most two tags, and what follows.
fn ethernet(frame: &[u8]) -> Option<(u16, u16, &[u8])> {
    let mut rest = frame;
    take(&mut rest, 12)?;
    let mut ethertype = take_word(&mut rest)?;
    let mut ids = Vec::new();
    while ids.len() < 2 && (ethertype == 0x8100 || ethertype == 0x88a8) {
        ids.push(take_word(&mut rest)? & 0x0fff);
        ethertype = take_word(&mut rest)?;
    }
    Some((ethertype, ids.first().copied().unwrap_or(0), rest))
}

fn arp(packet: &[u8]) -> Protocol {
    match packet {
        [_, _, _, _, hardware, protocol, _, _, rest @ ..]
            if rest.len() >= 2 * usize::from(*hardware) + 2 * usize::from(*protocol) =>
        {
            Protocol::Arp
        }
        _ => Protocol::Other,
    }
}

/// As long as it says, or all of it if it is too long to say so.
fn whole(bytes: &[u8], stated: u16) -> Option<&[u8]> {
    if stated == 0 && bytes.len() >= 0x1_0000 { Some(bytes) } else { bytes.get(..stated.into()) }
}

fn ipv4(packet: &[u8]) -> Option<Payload<'_>> {
    let [0x45..=0x4f, _, length @ .., s0, s1, s2, s3, d0, d1, d2, d3] = packet.first_chunk::<20>()? else {
        return None;
    };
    let [high, low, _, _, flags, offset, _, next, ..] = length;
    let whole = whole(packet, u16::from_be_bytes([*high, *low]))?;
    Some(Payload {
        source: mapped([*s0, *s1, *s2, *s3]),
        destination: mapped([*d0, *d1, *d2, *d3]),
        next: *next,
        is_first: flags & 0x1f == 0 && *offset == 0,
        bytes: whole.get(usize::from(packet[0] % 16) * 4..)?,
    })
}

fn ipv6(packet: &[u8]) -> Option<Payload<'_>> {
    let mut rest = packet;
    let header = take(&mut rest, 40)?;
    let mut bytes = whole(rest, u16::from_be_bytes([header[4], header[5]]))?;
    if header[0] & 0xf0 != 0x60 {
        return None;
    }
    let mut next = header[6];
    let mut is_first = true;
    // Each kind once, and destination options twice.
    for _ in 0..8 {
        let is_extension = [0, 43, 44, 51, 60, 135].contains(&next);
        match (is_extension, is_first) {
            (false, _) => break,
            // It would be in the middle of one.
            (true, false) => return None,
            (true, true) => {}
        }
        let start = take(&mut bytes, 8)?;
        match next {
            44 => is_first = u16::from_be_bytes([start[2], start[3]]) >> 3 == 0,
            51 => drop(take(&mut bytes, 4 * usize::from(start[1]))?),
            _ => drop(take(&mut bytes, 8 * usize::from(start[1]))?),
        }
        next = start[0];
    }
    let address = |at: usize| header[at..at + 16].try_into().ok();
    Some(Payload { source: address(8)?, destination: address(24)?, next, is_first, bytes })
}
