//! Bytes by process: who a socket is of, and what packets are counted by.

use crate::{
    flows::{Direction, Flow},
    ip::Address,
    packet::{ETH_P_IP, IPPROTO_TCP, IPPROTO_UDP, Traffic},
};

/// Most counters of the map `PROCESSES` unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 16_384;

/// Connections that were accepted and have had no packet since.
pub const MAX_ACCEPTED: u32 = 16_384;

/// Who a socket is of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Process id, in the initial PID namespace; 0 where nobody is known.
    pub pid: u32,
    /// Name of the thread that made or accepted it.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<Owner>() == 20);
crate::pod!(Owner);

/// The value of the socket storage `SOCKETS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Where the kernel has the socket, once a program asked.
    pub address: u64,
    /// Who it is of.
    pub owner: Owner,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Socket>() == 32);
crate::pod!(Socket);

impl Socket {
    /// One of that owner's.
    #[inline(always)]
    pub fn of(owner: Owner) -> Self {
        Self { address: 0, owner, reserved: 0 }
    }
}

/// What packets of processes are counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// As in [`Owner`].
    pub pid: u32,
    /// TCP or UDP, by its number.
    pub protocol: u32,
    /// [`Direction`]
    pub direction: u32,
}

const _: () = assert!(size_of::<Process>() == 12);
crate::pod!(Process);

/// Packets of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many, and how many bytes.
    pub traffic: Traffic,
    /// Of the owner of the socket of the first packet.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<Share>() == 32);
crate::pod!(Share);

/// Why a packet is of no process; with [`Reason::slot`] the index into the map `UNATTRIBUTED`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not IP, or malformed.
    NotIp = 0,
    /// It carries neither TCP nor UDP.
    OtherProtocol = 1,
    /// It arrives without ports: a later fragment, or one that is cut.
    NoPorts = 2,
    /// Nobody here has a socket for it.
    NoSocket = 3,
    /// There is one, and nobody knows whose: the kernel's own, or it was there before and could not be asked for.
    UnknownProcess = 4,
    /// The map of processes had no room; not in the ledger's `submitted` but in `map_full`.
    MapFull = 5,
}

/// Slots of the map `UNATTRIBUTED`.
pub const SLOTS: u32 = 2 * Reason::ALL.len() as u32;

impl Reason {
    /// All reasons with their names, by index.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::NotIp, "not_ip"),
        (Self::OtherProtocol, "other_protocol"),
        (Self::NoPorts, "no_ports"),
        (Self::NoSocket, "no_socket"),
        (Self::UnknownProcess, "unknown_process"),
        (Self::MapFull, "map_full"),
    ];

    /// As people call it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(reason, _)| *reason == self).map_or("", |(_, name)| name)
    }

    /// Where packets of a direction are counted.
    #[inline(always)]
    pub fn slot(self, direction: Direction) -> u32 {
        direction as u32 * Self::ALL.len() as u32 + self as u32
    }
}

/// Why a packet can have no socket that is of a process; `None` where there may be one. What leaves knows its socket, what
/// arrives has to be looked for by its ports.
#[inline(always)]
pub fn without_socket(flow: &Flow, direction: Direction) -> Option<Reason> {
    if flow.is_ip == 0 {
        return Some(Reason::NotIp);
    }
    if !matches!(flow.protocol, IPPROTO_TCP | IPPROTO_UDP) {
        return Some(Reason::OtherProtocol);
    }
    match direction {
        Direction::Ingress if flow.has_ports == 0 => Some(Reason::NoPorts),
        _ => None,
    }
}

/// Room for the ends of a flow, in words of 32 bits.
pub type Ends = [u32; 9];

/// Writes the two ends of a flow as the kernel looks for their socket (`struct bpf_sock_tuple`, include/uapi/linux/bpf.h):
/// addresses, then ports. Returns how many bytes these are.
#[inline(always)]
pub fn ends(flow: &Flow, ends: &mut Ends) -> u32 {
    let [s0, s1] = flow.source_port.to_be_bytes();
    let [d0, d1] = flow.destination_port.to_be_bytes();
    let ports = u32::from_ne_bytes([s0, s1, d0, d1]);
    let ([a, b, c, d], [e, f, g, h]) = (words(flow.source), words(flow.destination));
    if flow.ethertype == ETH_P_IP {
        // An IPv4 address is the end of one of IPv6.
        (ends[0], ends[1], ends[2]) = (d, h, ports);
        return 12;
    }
    *ends = [a, b, c, d, e, f, g, h, ports];
    36
}

/// An address as words, however this machine orders the bytes of words.
#[inline(always)]
fn words(address: Address) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]].map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ip::mapped, packet::ETH_P_IPV6};

    fn tcp() -> Flow {
        Flow { is_ip: 1, protocol: IPPROTO_TCP, has_ports: 1, ethertype: ETH_P_IP, ..Flow::default() }
    }

    #[test]
    fn each_reason_has_a_slot_of_its_own_in_each_direction() {
        let directions = [Direction::Ingress, Direction::Egress];
        let slots: Vec<_> =
            directions.iter().flat_map(|way| Reason::ALL.map(|(reason, _)| reason.slot(*way))).collect();
        assert_eq!(slots, (0..SLOTS).collect::<Vec<_>>());
    }

    #[test]
    fn only_tcp_and_udp_may_have_a_socket_of_a_process() {
        use Direction::{Egress, Ingress};
        for direction in [Ingress, Egress] {
            assert_eq!(without_socket(&tcp(), direction), None);
            assert_eq!(without_socket(&Flow { protocol: IPPROTO_UDP, ..tcp() }, direction), None);
            assert_eq!(without_socket(&Flow { protocol: 1, ..tcp() }, direction), Some(Reason::OtherProtocol));
            assert_eq!(without_socket(&Flow { is_ip: 0, ..tcp() }, direction), Some(Reason::NotIp));
        }
        let fragment = Flow { has_ports: 0, ..tcp() };
        assert_eq!(without_socket(&fragment, Ingress), Some(Reason::NoPorts));
        assert_eq!(without_socket(&fragment, Egress), None);
    }

    #[test]
    fn ends_are_laid_out_as_the_kernel_reads_them() {
        let v4 = Flow {
            source: mapped([192, 0, 2, 1]),
            destination: mapped([192, 0, 2, 2]),
            source_port: 0x1234,
            destination_port: 53,
            ..tcp()
        };
        let bytes = |flow: &Flow| {
            let mut room = Ends::default();
            let len = ends(flow, &mut room);
            let bytes: Vec<_> = room.iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes[..len as usize].to_vec()
        };
        assert_eq!(bytes(&v4), [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x34, 0, 53]);
        let source = *b"0123456789abcdef";
        let v6 = Flow { ethertype: ETH_P_IPV6, source, destination: [2; 16], ..v4 };
        assert_eq!(bytes(&v6), [&source[..], &[2; 16], &[0x12, 0x34, 0, 53]].concat());
    }
}
