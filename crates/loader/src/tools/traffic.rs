//! `traffic`: packets and bytes on an interface by process, and those of no process by the reason why.

use std::{collections::HashMap, ffi::OsStr, path::Path, time::Instant};

use ebpflab_common::{
    event,
    flows::Direction,
    packet::{IPPROTO_TCP, Traffic},
    traffic::{Process, Reason, Share, Socket},
};

use super::{
    Needs, attached,
    cgroup::{top, unified},
    check_attached, in_initial_pid_namespace, max_entries, now,
};
use crate::{
    bpf::{Object, Opener, Target, Tc},
    error::Result,
    hooks::{self, Kind, Way},
    interface::{self, Counters},
    objects, privilege,
    records::{PacketCount, ProcessCount, Reading, TrafficCounts, TrafficReading, UnattributedCount},
    schema::Text,
    session::{Counter, Session, Tool},
    sockets,
};

const PROGRAMS: [(&str, Direction); 2] =
    [("traffic_ingress", Direction::Ingress), ("traffic_egress", Direction::Egress)];

/// The interface that every network namespace has (`LOOPBACK_IFINDEX`).
const LOOPBACK: (&str, u32) = ("lo", 1);

/// What to count.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this kind of hook for the packets.
    pub hook: Option<Kind>,
    /// Most counters, one for each process, protocol and direction; 16,384 unless told.
    pub max_entries: Option<u32>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "traffic",
        operation: "attaching to tc and to a cgroup",
        capabilities: privilege::NETWORK,
        object: objects::TRAFFIC,
        prepare: || {
            unified("traffic")?;
            Opener::new(objects::TRAFFIC).open().map(drop)
        },
        ways: vec![
            // Which interface it will be is not known.
            ("packets", packets(LOOPBACK.0, LOOPBACK.1)),
            ("sockets", vec![sockets(&top())]),
            ("accepts", vec![accepts()]),
        ],
    }
}

/// Attaches to both directions of an interface, and to all sockets, and starts counting.
///
/// # Errors
/// [`crate::error::Error`]: `InvalidArgument`, `Attach` where there is no such interface, `NotSupported` where no hook
/// works or there is no v2 hierarchy of cgroups, `Privilege`.
pub fn attach(iface: &OsStr, options: &Options) -> Result<Session> {
    let index = interface::index_of(iface)?;
    needs().check_privileges()?;
    let cgroup = unified("traffic")?.mount;
    let iface = &*iface.to_string_lossy();
    let is_ethernet = u32::from(interface::is_ethernet(index)?);
    let opener = Opener::new(objects::TRAFFIC)
        .global("IS_ETHERNET", is_ethernet)
        .global("UNCOUNTED", interface::uncounted_bytes(index)?);
    let mut object = max_entries(opener, "PROCESSES", options.max_entries)?.open()?;
    // First the sockets that are to be, then those that there are, so that none is left out.
    let of_sockets = hooks::attach(&mut object, "traffic", &[sockets(&cgroup)], None)?;
    let of_accepts = hooks::attach(&mut object, "traffic", &[accepts()], None)?;
    let warning = name_sockets(&mut object)?;
    let of_packets = hooks::attach(&mut object, "traffic", &packets(iface, index), options.hook)?;
    let is_tcx = of_packets.hooks.iter().any(|hook| hook.kind == "tcx");
    let hooked = of_packets.and(of_sockets).and(of_accepts);
    let processes = Processes {
        iface: iface.to_owned(),
        index,
        targets: targets(iface, index, if is_tcx { Target::Tcx } else { Target::Clsact }),
        warning,
        last: HashMap::new(),
        at: Instant::now(),
        before: interface::counters(index)?,
    };
    Session::start(object, Tool::Counter(Box::new(processes)), attached("traffic", hooked))
}

/// TCX first: the kernel itself takes links away with the process.
fn packets(iface: &str, index: u32) -> Vec<Way> {
    let way = |kind, target| Way { kind, programs: targets(iface, index, target), tails: Vec::new(), blind_to: &[] };
    vec![way(Kind::Tcx, Target::Tcx), way(Kind::Clsact, Target::Clsact)]
}

fn targets(iface: &str, index: u32, target: fn(Tc) -> Target) -> Vec<(&'static str, Target)> {
    let tc = |direction| Tc { iface: iface.to_owned(), index, direction };
    PROGRAMS.map(|(program, direction)| (program, target(tc(direction)))).into()
}

/// The sockets of all processes below a cgroup.
fn sockets(cgroup: &Path) -> Way {
    let program = |name| (name, Target::CgroupSock(cgroup.to_owned()));
    let programs = vec![program("sockets_made"), program("sockets_closed")];
    Way { kind: Kind::CgroupSock, programs, tails: Vec::new(), blind_to: &[] }
}

/// Connections that are accepted, but by io_uring.
fn accepts() -> Way {
    let programs = vec![("accepts_exit", Target::RawTracepoint("sys_exit".into()))];
    Way { kind: Kind::RawTracepoint, programs, tails: Vec::new(), blind_to: &["io_uring"] }
}

/// Stores with the sockets that there are already whose they are; what to tell about those where that is not possible.
fn name_sockets(object: &mut Object) -> Result<Option<String>> {
    const SO: &str = "packets of sockets from before are counted as unknown_process";
    if !in_initial_pid_namespace() {
        return Ok(Some(format!("processes have other ids outside of this PID namespace: {SO}")));
    }
    let (refused, reason) =
        sockets::held(|owner, socket| object.store("SOCKETS", socket, Socket::of(owner)).map(drop))?;
    Ok(reason.map(|reason| format!("{refused} processes do not let their sockets be looked at ({reason}): {SO}")))
}

struct Processes {
    iface: String,
    index: u32,
    targets: Vec<(&'static str, Target)>,
    warning: Option<String>,
    /// Bytes of each at the last reading, and when that was.
    last: HashMap<Process, u64>,
    at: Instant,
    /// The interface's own counters at the start.
    before: Counters,
}

impl Counter for Processes {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let entries = object.hash_map::<Process, Share>("PROCESSES")?;
        let unattributed = object.array::<Traffic>("UNATTRIBUTED")?;
        // Of an interface that has gone there is nothing to be told.
        let after = interface::counters(self.index).unwrap_or(self.before);
        let seconds = self.at.elapsed().as_secs_f64();
        self.at = Instant::now();
        let mut processes: Vec<_> = entries
            .into_iter()
            .map(|(process, share)| {
                let bytes = share.traffic.bytes;
                let before = self.last.insert(process, bytes).unwrap_or(0);
                row(process, share, (bytes - before) as f64 / seconds)
            })
            .collect();
        let key = |row: &ProcessCount| (row.pid, row.protocol, row.direction);
        processes.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| key(one).cmp(&key(other))));
        Ok(Reading::Traffic(TrafficReading {
            time: now(),
            iface: self.iface.clone(),
            counts: TrafficCounts {
                processes,
                unattributed: of_none(&unattributed),
                received: since(self.before.received, after.received),
                sent: since(self.before.sent, after.sent),
            },
        }))
    }

    fn warnings(&self) -> Vec<String> {
        self.warning.clone().into_iter().collect()
    }

    fn check(&self, object: &Object) -> Result<()> {
        check_attached(object, &self.iface, self.index, &self.targets)
    }
}

fn row(process: Process, share: Share, rate: f64) -> ProcessCount {
    ProcessCount {
        pid: process.pid,
        comm: Text::from(event::unpadded(&share.comm).to_vec()),
        direction: Direction::of(process.direction).name(),
        protocol: if process.protocol == u32::from(IPPROTO_TCP) { "tcp" } else { "udp" },
        packets: share.traffic.packets,
        bytes: share.traffic.bytes,
        rate,
    }
}

/// By reason, those that were met.
fn of_none(slots: &[Traffic]) -> Vec<UnattributedCount> {
    let rows = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
        Reason::ALL.into_iter().filter_map(move |(reason, name)| {
            let Traffic { packets, bytes } = *slots.get(reason.slot(direction) as usize)?;
            (packets > 0).then_some(UnattributedCount { direction: direction.name(), reason: name, packets, bytes })
        })
    });
    rows.collect()
}

fn since(before: Traffic, after: Traffic) -> PacketCount {
    PacketCount { packets: after.packets - before.packets, bytes: after.bytes - before.bytes }
}
