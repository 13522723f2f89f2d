//! What netlink says about an interface and the XDP program on it.

use std::{
    ffi::{CStr, OsStr},
    io,
};

use ebpflab_common::packet::Traffic;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkLayerType, LinkMessage, LinkXdp, XdpAttached},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;

use crate::{
    error::{Error, Result},
    netlink::{self, Generic},
};

/// The XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// `skb`, `drv`, `hw`, or `multi` for several.
    pub mode: &'static str,
    /// Its id, where the kernel gives one.
    pub program: Option<u32>,
}

/// Index of the interface of that name in this network namespace.
///
/// # Errors
/// [`Error::Attach`] where there is none, [`Error::Os`] where the kernel cannot be asked.
pub fn index_of(name: &OsStr) -> Result<u32> {
    match nix::net::if_::if_nametoindex(name) {
        Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => {
            Err(Error::os("look for the interface")(io::Error::last_os_error()))
        }
        found => found.map_err(|_| Error::Attach {
            target: format!("interface {}", name.to_string_lossy()),
            reason: "there is none of that name; see `ip link`".to_owned(),
        }),
    }
}

/// Whether an interface of that index is still in this network namespace.
pub fn exists(index: u32) -> bool {
    name_of(index).is_some()
}

/// The name of the interface of that index in this network namespace, if there is one.
pub(crate) fn name_of(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // Not nix's: its 0.31 takes the NULL of a failure for a name.
    // SAFETY: the buffer is as long as the longest name.
    if unsafe { libc::if_indextoname(index, name.as_mut_ptr()) }.is_null() {
        return None;
    }
    let bytes = name.map(|char| char as u8);
    CStr::from_bytes_until_nul(&bytes).ok().map(|name| name.to_string_lossy().into_owned())
}

/// Whether frames of an interface begin with an Ethernet header. Those of tunnels and the like begin with the network
/// header where programs of tc see them.
///
/// # Errors
/// [`Error::Os`] if rtnetlink does not answer.
pub fn is_ethernet(index: u32) -> Result<bool> {
    let link = get_link(index).map_err(Error::os("ask rtnetlink about the interface"))?;
    Ok(matches!(link.header.link_layer_type, LinkLayerType::Ether | LinkLayerType::Loopback))
}

/// Bytes of each frame that an interface leaves out of its own counters: lo its link headers (`loopback_xmit`,
/// drivers/net/loopback.c), others none.
///
/// # Errors
/// [`Error::Os`] if rtnetlink does not answer.
pub fn uncounted_bytes(index: u32) -> Result<u32> {
    const ETH_HLEN: u32 = 14;
    let link = get_link(index).map_err(Error::os("ask rtnetlink about the interface"))?;
    Ok(if link.header.link_layer_type == LinkLayerType::Loopback { ETH_HLEN } else { 0 })
}

/// The XDP program on an interface, if there is one.
///
/// # Errors
/// [`Error::Os`] if rtnetlink does not answer.
pub fn attached_xdp(index: u32) -> Result<Option<AttachedXdp>> {
    let link = get_link(index).map_err(Error::os("ask rtnetlink about the interface"))?;
    let xdp = link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp),
        _ => None,
    });
    let xdp = xdp.unwrap_or_default();
    let mode = xdp.iter().find_map(|part| match part {
        LinkXdp::Attached(XdpAttached::Driver) => Some("drv"),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some("skb"),
        LinkXdp::Attached(XdpAttached::Hardware) => Some("hw"),
        LinkXdp::Attached(XdpAttached::Multiple) => Some("multi"),
        _ => None,
    });
    let program = xdp.iter().find_map(|part| match part {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    });
    Ok(mode.map(|mode| AttachedXdp { mode, program }))
}

/// What the kernel has counted for an interface since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// What it received.
    pub received: Traffic,
    /// What it sent.
    pub sent: Traffic,
}

/// The interface's own counters (those of /sys/class/net/IFACE/statistics).
///
/// # Errors
/// [`Error::Os`] if rtnetlink does not answer.
pub fn counters(index: u32) -> Result<Counters> {
    const OPERATION: &str = "ask rtnetlink for the counters of the interface";
    let link = get_link(index).map_err(Error::os(OPERATION))?;
    let counters = link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some(Counters {
            received: Traffic { packets: stats.rx_packets, bytes: stats.rx_bytes },
            sent: Traffic { packets: stats.tx_packets, bytes: stats.tx_bytes },
        }),
        _ => None,
    });
    counters.ok_or_else(|| Error::os(OPERATION)(io::Error::other("it has none")))
}

/// RTM_GETLINK for one interface.
fn get_link(index: u32) -> io::Result<LinkMessage> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    match netlink::ask(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(link))? {
        RouteNetlinkMessage::NewLink(link) => Ok(link),
        other => Err(io::Error::other(format!("an answer of another kind: {other:?}"))),
    }
}

/// What the driver of an interface can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// It runs programs itself (mode `drv`).
    pub native: bool,
    /// The hardware runs them (mode `hw`).
    pub offload: bool,
}

/// What the driver of an interface says that it can do; `None` where the kernel does not tell (before 6.3).
pub fn xdp_features(index: u32) -> Option<XdpFeatures> {
    // include/uapi/linux/netdev.h
    const NETDEV_CMD_DEV_GET: u8 = 1;
    const NETDEV_A_DEV_IFINDEX: u16 = 1;
    const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
    const NETDEV_XDP_ACT_BASIC: u64 = 1;
    const NETDEV_XDP_ACT_HW_OFFLOAD: u64 = 1 << 4;
    let asked = vec![DefaultNla::new(NETDEV_A_DEV_IFINDEX, index.to_ne_bytes().to_vec())];
    let answer = Generic::ask("netdev", NETDEV_CMD_DEV_GET, asked).ok()?;
    let bits = u64::from_ne_bytes(*answer.attribute(NETDEV_A_DEV_XDP_FEATURES)?.first_chunk()?);
    Some(XdpFeatures { native: bits & NETDEV_XDP_ACT_BASIC != 0, offload: bits & NETDEV_XDP_ACT_HW_OFFLOAD != 0 })
}
