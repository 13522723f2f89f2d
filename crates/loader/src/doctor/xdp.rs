//! Which XDP modes each interface has. Nothing is attached: for some drivers that means to restart the hardware.

use super::{no, not_needed, unknown, yes};
use crate::{
    interface::{self, XdpFeatures},
    records::Feature,
    tools::pinned_programs,
};

const GROUP: &str = "xdp";

/// A line for each interface and mode, and one for a program that is there already.
pub(super) fn interfaces() -> Vec<Feature> {
    let Ok(interfaces) = nix::net::if_::if_nameindex() else {
        return vec![unknown(GROUP, "interfaces", "the kernel does not list them", "look with `ip link`")];
    };
    interfaces
        .iter()
        .flat_map(|interface| {
            let name = interface.name().to_string_lossy().into_owned();
            let features = interface::xdp_features(interface.index());
            let modes = [skb(&name), drv(&name, features), hw(&name, features)];
            modes.into_iter().chain(attached(&name, interface.index()))
        })
        .collect()
}

fn skb(iface: &str) -> Feature {
    yes(GROUP, format!("{iface} skb"), "the kernel does it for every driver")
}

fn drv(iface: &str, features: Option<XdpFeatures>) -> Feature {
    let name = format!("{iface} drv");
    match features {
        Some(XdpFeatures { native: true, .. }) => yes(GROUP, name, "the driver says so"),
        Some(_) => no(
            GROUP,
            name,
            "the driver has no XDP of its own",
            "xdp takes skb mode, which costs more for each packet",
            "another network card or driver",
        ),
        None => unknown(
            GROUP,
            name,
            "this kernel does not tell what drivers can do",
            "try it: ebpflab xdp --mode drv (some drivers restart the card)",
        ),
    }
}

fn hw(iface: &str, features: Option<XdpFeatures>) -> Feature {
    let name = format!("{iface} hw");
    match features {
        Some(XdpFeatures { offload: true, .. }) => yes(GROUP, name, "the card runs programs itself"),
        Some(_) => not_needed(GROUP, name, "the card does not run programs"),
        None => unknown(GROUP, name, "this kernel does not tell what cards can do", "ebpflab xdp --mode hw"),
    }
}

fn attached(iface: &str, index: u32) -> Option<Feature> {
    let xdp = interface::attached_xdp(index).ok()??;
    let id = xdp.program.map_or_else(String::new, |id| format!(" (id {id})"));
    let is_pinned = xdp.program.is_some_and(|id| pinned_programs().iter().any(|(ids, _)| ids.contains(&id)));
    let (what, fix) = if is_pinned {
        ("ebpflab's own program, pinned,", format!("ebpflab xdp --unpin --iface {iface}, if nobody wants it any more"))
    } else {
        ("an XDP program", format!("ip link set dev {iface} xdp off, if it is nobody's"))
    };
    let found = format!("it carries {what}{id} in {} mode", xdp.mode);
    Some(no(GROUP, format!("{iface} free"), found, "xdp cannot attach to it", fix))
}
