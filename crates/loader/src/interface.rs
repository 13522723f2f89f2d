//! What rtnetlink says about an interface and the XDP program on it.

use std::{ffi::OsStr, io};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;

use crate::error::{Error, Result};

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
    let mut name = [0; libc::IF_NAMESIZE];
    // Not nix's: its 0.31 takes the NULL of a failure for a name.
    // SAFETY: the buffer is as long as the longest name.
    unsafe { !libc::if_indextoname(index, name.as_mut_ptr()).is_null() }
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

/// RTM_GETLINK for one interface.
fn get_link(index: u32) -> io::Result<LinkMessage> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(link));
    request.header.flags = NLM_F_REQUEST;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        other => Err(io::Error::other(format!("an answer of another kind: {other:?}"))),
    }
}
