//! `xdp`: packets and bytes by protocol on an interface.

use std::ffi::OsStr;

use ebpflab_common::packet::{Protocol, Traffic};

use super::{Needs, kernel_release, now};
use crate::{
    bpf::{Object, Opener, Target, XdpMode},
    error::{Error, Result},
    interface, objects, privilege,
    records::{Attached, Hook, Mode, PacketCount, PacketCounts, PacketReading, Reading},
    schema::Optional,
    session::{Counter, Session, Tool},
};

const PROGRAM: &str = "xdp_count";

/// The modes by the names that `--mode` takes.
pub const MODES: [(&str, XdpMode); 4] =
    [("auto", XdpMode::Default), ("skb", XdpMode::Skb), ("drv", XdpMode::Driver), ("hw", XdpMode::Hardware)];

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
/// [`Error::InvalidArgument`] for an unknown mode, [`Error::Attach`] where there is no such interface or it carries
/// an XDP program already, [`Error::NotSupported`] for a mode that the driver lacks, [`Error::Privilege`].
pub fn attach(iface: &OsStr, mode: &str) -> Result<Session> {
    let (asked, flags) = MODES.iter().find(|(name, _)| *name == mode).ok_or_else(|| {
        let names = MODES.map(|(name, _)| name).join(", ");
        Error::InvalidArgument(format!("there is no XDP mode {mode}; it is one of {names}"))
    })?;
    let index = interface::index_of(iface)?;
    needs().check_privileges()?;
    let iface = &*iface.to_string_lossy();
    let mut object = Opener::new(objects::XDP).open()?;
    let reason = attach_program(&mut object, iface, index, asked, *flags)?;
    let got = interface::attached_xdp(index)?.map_or("unknown", |xdp| xdp.mode);
    let attached = Attached {
        command: "xdp".to_owned(),
        hooks: vec![Hook { program: PROGRAM.to_owned(), kind: "xdp".to_owned(), target: iface.to_owned(), reason }],
        blind_to: Vec::new(),
        buffer: None,
        kernel: kernel_release(),
        mode: Optional(Some(Mode { asked: (*asked).to_owned(), got: got.to_owned() })),
    };
    Session::start(object, Tool::Counter(Box::new(Packets { iface: iface.to_owned(), index })), attached)
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
}

impl Counter for Packets {
    fn read(&mut self, object: &Object) -> Result<Reading> {
        let slots = object.per_cpu_array::<Traffic>("COUNTS")?;
        let count = |protocol: Protocol| {
            let cpus = slots.get(protocol as usize).map_or(&[][..], Vec::as_slice);
            PacketCount {
                packets: cpus.iter().map(|cpu| cpu.packets).sum(),
                bytes: cpus.iter().map(|cpu| cpu.bytes).sum(),
            }
        };
        Ok(Reading::Packets(PacketReading {
            time: now(),
            iface: self.iface.clone(),
            counts: PacketCounts {
                tcp: count(Protocol::Tcp),
                udp: count(Protocol::Udp),
                icmp: count(Protocol::Icmp),
                arp: count(Protocol::Arp),
                other: count(Protocol::Other),
            },
        }))
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
