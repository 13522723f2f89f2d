//! `xdp`: packets and bytes by protocol on an interface, and rules about where they may come from.

mod capture;
mod firewall;
mod pinned;

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use ebpflab_common::{
    packet::{Protocol, Traffic},
    xdp::{Source, Stage},
};

use self::{capture::Capture, firewall::Firewall};
use super::{Needs, attached, now};
use crate::{
    bpf::{Object, Opener, Target, XdpMode},
    error::{Error, Result},
    hooks::Hooked,
    interface, objects, privilege,
    records::{Attached, Hook, Mode, PacketCount, PacketCounts, PacketReading, Reading, SourceCount, Sources},
    rules::{Lists, Rules, ssh_client},
    schema::Optional,
    session::{Counter, Session, Tool},
};

pub(crate) use self::pinned::programs as pinned_programs;
pub use self::{
    capture::Options as CaptureOptions,
    pinned::{pin, pinned, unpin},
};

/// The program that packets come to first.
pub const PROGRAM: &str = "xdp_count";
/// Those that follow, and their places.
const STAGES: [(Stage, &str); 2] = [(Stage::Network, "xdp_network"), (Stage::Transport, "xdp_transport")];
/// Sources that are counted, if any.
const MOST_SOURCES: u32 = 16_384;

/// The modes by the names that `--mode` takes.
pub const MODES: [(&str, XdpMode); 4] =
    [("auto", XdpMode::Default), ("skb", XdpMode::Skb), ("drv", XdpMode::Driver), ("hw", XdpMode::Hardware)];

/// What to do beside counting by protocol.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Rules; an empty list of them may be replaced, none may not.
    pub rules: Option<Lists>,
    /// How many rules there is to be room for.
    pub max_rules: Option<u32>,
    /// How many of the busiest sources to tell.
    pub top: Option<u32>,
    /// Packets to write to a file.
    pub capture: Option<CaptureOptions>,
}

pub(super) fn needs() -> Needs {
    Needs {
        tool: "xdp",
        operation: "attaching to XDP",
        capabilities: privilege::NETWORK,
        object: objects::XDP,
        prepare: || {
            Opener::new(objects::XDP).open()?;
            // Which interface it will be is not known, and nothing is attached to one for a try.
            Opener::new(objects::PROBE).open()?.load("probe_xdp", &Target::Xdp(0, XdpMode::Default))
        },
        ways: Vec::new(),
    }
}

/// Attaches to an interface and starts counting.
///
/// # Errors
/// [`Error::InvalidArgument`] for an unknown mode and rules that are none, [`Error::Attach`] where there is no such
/// interface or it carries an XDP program already, [`Error::NotSupported`] for a mode that the driver lacks,
/// [`Error::Privilege`], [`Error::Os`] where a file cannot be read or written.
pub fn attach(iface: &OsStr, mode: &str, options: &Options) -> Result<Session> {
    let (asked, flags) = mode_of(mode)?;
    let plan = Plan::new(options)?;
    let index = interface::index_of(iface)?;
    needs().check_privileges()?;
    let iface = &*iface.to_string_lossy();
    let (mut object, firewall) = plan.open(None)?;
    let capture = options.capture.as_ref().map(|options| Capture::start(&mut object, iface, options)).transpose()?;
    if let (Some(capture), Some(firewall)) = (&capture, &firewall) {
        capture.set_rules(firewall.by_slot());
    }
    let reason = attach_program(&mut object, iface, index, asked, flags)?;
    let got = interface::attached_xdp(index)?.map_or("unknown", |xdp| xdp.mode);
    let hook = Hook { program: PROGRAM.to_owned(), kind: "xdp".to_owned(), target: iface.to_owned(), reason };
    let attached = Attached {
        buffer: capture.as_ref().map(|capture| capture.buffer),
        mode: Optional(Some(Mode { asked: asked.to_owned(), got: got.to_owned() })),
        ..attached("xdp", Hooked { hooks: vec![hook], blind_to: Vec::new() })
    };
    let packets = Packets { iface: iface.to_owned(), index, firewall, top: options.top, capture };
    Session::start(object, Tool::Counter(Box::new(packets)), attached)
}

/// A mode by its name.
fn mode_of(name: &str) -> Result<(&'static str, XdpMode)> {
    MODES.into_iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let names = MODES.map(|(name, _)| name).join(", ");
        Error::InvalidArgument(format!("there is no XDP mode {name}; it is one of {names}"))
    })
}

/// Opens the object with rules, for runs on packets that come from no interface; it counts from then on.
///
/// # Errors
/// What [`attach`] gives, but for interfaces.
pub fn open_for_test(options: &Options) -> Result<(Object, Box<dyn Counter>)> {
    let plan = Plan::new(options)?;
    privilege::require("running a program on a packet", privilege::NETWORK)?;
    let (mut object, firewall) = plan.open(None)?;
    object.set_word("ENABLED", 1)?;
    let packets = Packets { iface: String::new(), index: 0, firewall, top: options.top, capture: None };
    Ok((object, Box::new(packets)))
}

/// Options that were looked at, before anything is asked of the kernel.
struct Plan<'a> {
    rules: Option<(Rules, usize)>,
    options: &'a Options,
}

impl<'a> Plan<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let rules = options.rules.as_ref().map(|lists| -> Result<_> {
            let rules = Rules::read(lists)?;
            let room = firewall::room(&rules, options.max_rules)?;
            Ok((rules, room))
        });
        Ok(Self { rules: rules.transpose()?, options })
    }

    /// The object, with its rules and its stages in their places, and its maps in a folder if they are to be pinned.
    fn open(self, folder: Option<&Path>) -> Result<(Object, Option<Firewall>)> {
        let mut opener = Opener::new(objects::XDP);
        if let Some(folder) = folder {
            opener = opener.pins(folder)?;
        }
        if let Some((_, room)) = &self.rules {
            opener = firewall::prepare(opener, *room);
        }
        if self.options.top.is_some() {
            opener = opener.max_entries("SOURCES", MOST_SOURCES).global("BY_SOURCE", 1_u32);
        }
        if let Some(capture) = &self.options.capture {
            opener = opener.global("CAPTURE", capture.global()?);
        }
        let mut object = opener.open()?;
        let firewall = self.rules.map(|(rules, room)| Firewall::new(&mut object, rules, room)).transpose()?;
        for (stage, program) in STAGES {
            object.put("STAGES", stage as u32, program, &Target::Xdp(0, XdpMode::Default))?;
        }
        Ok((object, firewall))
    }
}

/// Returns the reason for the record. `auto` lets the kernel choose (native where the driver can, else generic),
/// and goes on to generic mode, with the reason told, where native was tried and refused.
fn attach_program(object: &mut Object, iface: &str, index: u32, asked: &str, flags: XdpMode) -> Result<String> {
    let attach = |object: &mut Object, flags| object.attach(PROGRAM, &Target::Xdp(index, flags));
    let refusal = match attach(object, flags) {
        Ok(()) if asked == "auto" => return Ok("first choice".to_owned()),
        Ok(()) => return Ok("asked for".to_owned()),
        Err(Error::Attach { reason, .. }) => reason,
        Err(error) => return Err(error),
    };
    let target = format!("interface {iface}");
    if let Some(other) = interface::attached_xdp(index)? {
        let id = other.program.map_or_else(String::new, |id| format!(" (id {id})"));
        let mode = other.mode;
        let reason = format!(
            "it already carries an XDP program{id} in {mode} mode; see `bpftool net` and `ip link set dev {iface} \
             xdp off`"
        );
        return Err(Error::Attach { target, reason });
    }
    if !interface::exists(index) {
        return Err(Error::Attach { target, reason: "it went away".to_owned() });
    }
    match asked {
        "auto" => {
            attach(object, XdpMode::Skb)?;
            Ok(format!("native: {refusal}"))
        }
        "skb" => Err(Error::Attach { target, reason: refusal }),
        _ => Err(Error::NotSupported {
            feature: format!("XDP in {asked} mode on {iface}"),
            needs: "a driver and hardware with that mode, or --mode auto".to_owned(),
            reason: refusal,
        }),
    }
}

struct Packets {
    iface: String,
    index: u32,
    firewall: Option<Firewall>,
    top: Option<u32>,
    capture: Option<Capture>,
}

impl Counter for Packets {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let firewall = self.firewall.as_ref().map(|firewall| firewall.read(object)).transpose()?;
        let sources = self.top.map(|top| sources(object, top)).transpose()?;
        let capture = self.capture.as_ref().map(|capture| capture.read(object)).transpose()?;
        Ok(Reading::Packets(Box::new(PacketReading {
            time: now(),
            iface: self.iface.clone(),
            counts: counts(object)?,
            firewall: Optional(firewall),
            sources: Optional(sources),
            capture: Optional(capture),
        })))
    }

    fn replace(&mut self, object: &mut Object, rules: Rules) -> Result<()> {
        let Some(firewall) = &mut self.firewall else {
            return Err(Error::InvalidArgument("this session has no rules that could be replaced".to_owned()));
        };
        let name = |firewall: &Firewall| {
            if let Some(capture) = &self.capture {
                capture.set_rules(firewall.by_slot());
            }
        };
        let switched = match firewall.prepare(object, &rules) {
            Ok(()) => {
                name(firewall);
                firewall.switch(object, rules)
            }
            refused => refused,
        };
        // After a refusal too: rules may have got slots that are not in force.
        firewall.release(object)?;
        name(firewall);
        switched
    }

    fn warnings(&self) -> Vec<String> {
        let rules = self.firewall.as_ref().map(|firewall| firewall.rules().warnings(ssh_client()));
        let file = self.capture.as_ref().and_then(Capture::error);
        rules.unwrap_or_default().into_iter().chain(file).collect()
    }

    fn check(&self, object: &Object) -> Result<()> {
        let attached = interface::attached_xdp(self.index);
        // Asked last, since it may go away at any time.
        if !interface::exists(self.index) {
            return Err(Error::Gone { target: format!("interface {}", self.iface) });
        }
        let ours = object.program_id(PROGRAM)?;
        match attached? {
            Some(xdp) if xdp.program.is_none_or(|program| program == ours) => Ok(()),
            _ => Err(Error::Gone { target: format!("the XDP program on {}", self.iface) }),
        }
    }
}

fn counts(object: &Object) -> Result<PacketCounts> {
    let slots = object.per_cpu_array::<Traffic>("COUNTS")?;
    let count = |protocol: Protocol| {
        let cpus = slots.get(protocol as usize).into_iter().flatten();
        PacketCount::from(cpus.copied().sum::<Traffic>())
    };
    Ok(PacketCounts {
        tcp: count(Protocol::Tcp),
        udp: count(Protocol::Udp),
        icmp: count(Protocol::Icmp),
        arp: count(Protocol::Arp),
        other: count(Protocol::Other),
    })
}

/// The busiest sources, and what there was no room for.
fn sources(object: &Object, top: u32) -> Result<Sources> {
    let mut counted: Vec<_> = object
        .per_cpu_hash_map::<Source, Traffic>("SOURCES")?
        .into_iter()
        .map(|(source, cpus)| (source, cpus.into_iter().sum::<Traffic>()))
        .collect();
    let tracked = counted.len() as u64;
    let untracked: Traffic = object.per_cpu_array::<Traffic>("UNTRACKED")?.into_iter().flatten().sum();
    counted.sort_by_key(|(source, traffic)| (std::cmp::Reverse(traffic.packets), *source));
    counted.truncate(top as usize);
    let top = counted.into_iter().map(|(source, traffic)| SourceCount {
        address: address(source).to_string(),
        packets: traffic.packets,
        bytes: traffic.bytes,
    });
    Ok(Sources { top: top.collect(), tracked, untracked: PacketCount::from(untracked) })
}

fn address(source: Source) -> IpAddr {
    match (source.version, source.address) {
        (4, [a, b, c, d, ..]) => Ipv4Addr::new(a, b, c, d).into(),
        (_, address) => Ipv6Addr::from(address).into(),
    }
}
