//! `flows`: packets and bytes on an interface by flow.

use std::{collections::HashMap, ffi::OsStr, net::Ipv6Addr, time::Instant};

use ebpflab_common::{
    flows::{self as layout, Direction},
    ip::Address,
    packet::{ETH_P_IP, Traffic},
};

use super::{Needs, attached, check_attached, max_entries, now};
use crate::{
    bpf::{Object, Opener, Target, Tc},
    error::Result,
    hooks::{self, Kind, Way},
    interface,
    names::{ethertype, ip_protocol},
    objects, privilege,
    records::{FlowCount, FlowReading, Reading},
    session::{Counter, Session, Tool},
};

const PROGRAMS: [(&str, Direction); 2] = [("flows_ingress", Direction::Ingress), ("flows_egress", Direction::Egress)];

/// The interface that every network namespace has (`LOOPBACK_IFINDEX`).
const LOOPBACK: (&str, u32) = ("lo", 1);

/// What to count.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this kind of hook.
    pub hook: Option<Kind>,
    /// Most flows to count; 16,384 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "flows",
        operation: "attaching to tc",
        capabilities: privilege::NETWORK,
        object: objects::FLOWS,
        prepare: || Opener::new(objects::FLOWS).open().map(drop),
        // Which interface it will be is not known.
        ways: vec![("packets", ways(LOOPBACK.0, LOOPBACK.1))],
    }
}

/// Attaches to both directions of an interface and starts counting.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `Attach` where there is no such interface, `NotSupported` where no hook
/// works, `Privilege`.
pub fn attach(iface: &OsStr, options: &Options) -> Result<Session> {
    let index = interface::index_of(iface)?;
    needs().check_privileges()?;
    let iface = &*iface.to_string_lossy();
    let is_ethernet = u32::from(interface::is_ethernet(index)?);
    let opener = Opener::new(objects::FLOWS).global("IS_ETHERNET", is_ethernet);
    let mut object = max_entries(opener, "FLOWS", options.max_entries)?.open()?;
    let hooked = hooks::attach(&mut object, "flows", &ways(iface, index), options.hook)?;
    let is_tcx = hooked.hooks.iter().any(|hook| hook.kind == "tcx");
    let targets = targets(iface, index, if is_tcx { Target::Tcx } else { Target::Clsact });
    let flows = Flows { iface: iface.to_owned(), index, targets, last: HashMap::new(), at: Instant::now() };
    Session::start(object, Tool::Counter(Box::new(flows)), attached("flows", hooked))
}

/// TCX first: the kernel itself takes links away with the process.
fn ways(iface: &str, index: u32) -> Vec<Way> {
    let way = |kind, target| Way { kind, programs: targets(iface, index, target), tails: Vec::new(), blind_to: &[] };
    vec![way(Kind::Tcx, Target::Tcx), way(Kind::Clsact, Target::Clsact)]
}

fn targets(iface: &str, index: u32, target: fn(Tc) -> Target) -> Vec<(&'static str, Target)> {
    let tc = |direction| Tc { iface: iface.to_owned(), index, direction };
    PROGRAMS.map(|(program, direction)| (program, target(tc(direction)))).into()
}

struct Flows {
    iface: String,
    index: u32,
    targets: Vec<(&'static str, Target)>,
    /// Bytes of each flow at the last reading, and when that was.
    last: HashMap<layout::Flow, u64>,
    at: Instant,
}

impl Counter for Flows {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.hash_map::<layout::Flow, Traffic>("FLOWS")?;
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        let mut counts: Vec<_> = entries
            .into_iter()
            .map(|(flow, traffic)| {
                let before = self.last.insert(flow, traffic.bytes).unwrap_or(0);
                row(&flow, traffic, (traffic.bytes - before) as f64 / seconds)
            })
            .collect();
        counts.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| key(one).cmp(&key(other))));
        Ok(Reading::Flows(FlowReading { time: now(), iface: self.iface.clone(), counts }))
    }

    fn check(&self, object: &Object) -> Result<()> {
        check_attached(object, &self.iface, self.index, &self.targets)
    }
}

/// What flows with the same bytes are ordered by.
fn key(row: &FlowCount) -> impl Ord + use<'_> {
    (&row.protocol, &row.source, row.source_port, &row.destination, row.destination_port, &row.direction, row.vlan)
}

fn row(flow: &layout::Flow, traffic: Traffic, rate: f64) -> FlowCount {
    let is_ip = flow.is_ip == 1;
    let has_ports = flow.has_ports == 1;
    FlowCount {
        direction: Direction::of(flow.direction.into()).name(),
        protocol: if is_ip { ip_protocol(flow.protocol) } else { ethertype(flow.ethertype) },
        source: is_ip.then(|| address(flow.source, flow.ethertype)),
        source_port: has_ports.then_some(flow.source_port.into()),
        destination: is_ip.then(|| address(flow.destination, flow.ethertype)),
        destination_port: has_ports.then_some(flow.destination_port.into()),
        vlan: (flow.vlan != 0).then_some(flow.vlan.into()),
        packets: traffic.packets,
        bytes: traffic.bytes,
        rate,
    }
}

fn address(address: Address, ethertype: u16) -> String {
    let address = Ipv6Addr::from(address);
    match address.to_ipv4_mapped() {
        Some(v4) if ethertype == ETH_P_IP => v4.to_string(),
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use ebpflab_common::{ip::mapped, packet::ETH_P_IPV6};

    use super::*;

    #[test]
    fn addresses_are_written_as_their_family_writes_them() {
        assert_eq!(address(mapped([192, 0, 2, 1]), ETH_P_IP), "192.0.2.1");
        assert_eq!(address(mapped([192, 0, 2, 1]), ETH_P_IPV6), "::ffff:192.0.2.1");
        assert_eq!(address([0; 16], ETH_P_IPV6), "::");
    }

    #[test]
    fn what_is_not_there_is_null() {
        let flow = layout::Flow { ethertype: 0x1234, ..layout::Flow::default() };
        let row = row(&flow, Traffic { packets: 1, bytes: 60 }, 0.0);
        assert_eq!((row.protocol.as_str(), row.source, row.source_port, row.vlan), ("0x1234", None, None, None));
    }
}
