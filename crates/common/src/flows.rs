//! Packets by flow: the layouts of the map, and which flow a frame is of.

use crate::{
    ip::{Address, headers},
    packet::{ETH_P_8021AD, ETH_P_8021Q, Link, Packet, link},
};

/// Smaller ethertypes are lengths: an 802.3 frame.
const ETH_P_802_3_MIN: u16 = 0x0600;

const VLAN_VID_MASK: u16 = 0x0fff;

/// Most flows the map `FLOWS` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 16_384;

/// Which way a packet goes.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It arrived.
    Ingress = 0,
    /// It leaves.
    Egress = 1,
}

impl Direction {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// From its number in a map.
    pub fn of(number: u32) -> Self {
        if number == Self::Egress as u32 { Self::Egress } else { Self::Ingress }
    }
}

/// All packets that have the same of all this are a flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow {
    /// All zero for what is not IP.
    pub source: Address,
    /// As the source.
    pub destination: Address,
    /// Zero where there are none.
    pub source_port: u16,
    /// As that of the source.
    pub destination_port: u16,
    /// What the frame carries; zero for an 802.3 frame.
    pub ethertype: u16,
    /// Id of the outermost VLAN, zero for none.
    pub vlan: u16,
    /// What an IP packet carries.
    pub protocol: u8,
    /// Whether addresses and protocol are known: 1 or 0.
    pub is_ip: u8,
    /// Whether there are ports.
    pub has_ports: u8,
    /// [`Direction`]
    pub direction: u8,
}

const _: () = assert!(size_of::<Flow>() == 44);
crate::pod!(Flow);

/// The flow of a frame that begins with an Ethernet header (`is_ethernet`), or else with a network header, which is
/// what `ethertype` says. `vlan` is the one of the tag that the kernel keeps beside the frame, zero for none.
#[inline(always)]
pub fn flow<P: Packet + ?Sized>(frame: &P, is_ethernet: bool, ethertype: u16, vlan: u16, direction: Direction) -> Flow {
    let mut flow = Flow { ethertype, vlan, direction: direction as u8, ..Flow::default() };
    let mut at = Link { ethertype, network: 0 };
    if is_ethernet {
        match link(frame) {
            Some(found) => at = found,
            None => return flow,
        }
        if vlan == 0 {
            flow.vlan = tag(frame);
        }
        flow.ethertype = if at.ethertype < ETH_P_802_3_MIN { 0 } else { at.ethertype };
    }
    if let Some(headers) = headers(frame, at) {
        flow.source = headers.source;
        flow.destination = headers.destination;
        flow.protocol = headers.protocol;
        flow.is_ip = 1;
        if let Some((source, destination)) = headers.ports {
            flow.source_port = source;
            flow.destination_port = destination;
            flow.has_ports = 1;
        }
    }
    flow
}

/// Id of the VLAN in the first tag of a frame, zero for none.
#[inline(always)]
fn tag<P: Packet + ?Sized>(frame: &P) -> u16 {
    let Some([high, low, tci_high, tci_low]) = frame.read(12) else { return 0 };
    match u16::from_be_bytes([high, low]) {
        ETH_P_8021Q | ETH_P_8021AD => u16::from_be_bytes([tci_high, tci_low]) & VLAN_VID_MASK,
        _ => 0,
    }
}
