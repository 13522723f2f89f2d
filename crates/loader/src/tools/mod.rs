//! The tools: each opens its object, chooses its hooks and becomes a [`crate::session::Session`].

mod by;
pub mod calls;
pub mod cgroup;
pub mod count;
pub mod dashboard;
mod events;
pub mod exec;
pub mod flows;
pub mod latency;
mod only;
pub mod open;
mod pairs;
mod prototype;
pub mod returns;
mod ring;
pub mod runqueue;
pub mod stacks;
pub mod syscalls;
mod times;
pub mod trace;
pub mod traffic;
mod tree;
pub mod xdp;

use std::{
    mem::offset_of,
    time::{SystemTime, UNIX_EPOCH},
};

use ebpflab_common::event::{self, Header};
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};

use crate::{
    bpf::{Object, Opener, Target},
    error::{Error, Result},
    hooks::{Hooked, Way},
    interface,
    privilege::{self, Capability},
    records::Attached,
    schema::{Optional, Text},
};
pub use by::By;
pub use events::EventOptions;
pub use only::Only;
pub(crate) use only::{Keep, in_initial_pid_namespace};
pub use prototype::Returned;
pub use times::TimeOptions;
pub(crate) use xdp::pinned_programs;

/// What a tool needs, for whoever wants to know before it is attached.
pub(crate) struct Needs {
    /// The tool's name.
    pub(crate) tool: &'static str,
    /// What it is doing, for the error about capabilities.
    pub(crate) operation: &'static str,
    pub(crate) capabilities: &'static [Capability],
    /// Its programs.
    pub(crate) object: &'static [u8],
    /// All but the hooks: makes its maps and buffers, as large as they are unless told.
    pub(crate) prepare: fn() -> Result<()>,
    /// What it hooks, and the ways to: of each list it takes the first that works.
    pub(crate) ways: Vec<(&'static str, Vec<Way>)>,
}

impl Needs {
    /// What is checked before anything is tried.
    ///
    /// # Errors
    /// [`Error::Privilege`], [`Error::NotSupported`] before Linux 5.8.
    pub(crate) fn check_privileges(&self) -> Result<()> {
        privilege::require(self.operation, self.capabilities)
    }
}

/// What each of the tools needs.
pub(crate) fn needs() -> [Needs; 15] {
    [
        calls::needs(),
        cgroup::needs(),
        count::needs(),
        dashboard::needs(),
        exec::needs(),
        flows::needs(),
        latency::needs(),
        open::needs(),
        returns::needs(),
        runqueue::needs(),
        stacks::needs(),
        syscalls::needs(),
        trace::needs(),
        traffic::needs(),
        xdp::needs(),
    ]
}

/// Wall-clock time in nanoseconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// What is told of a tool whose hooks are attached, for one without a buffer.
fn attached(command: &str, hooked: Hooked) -> Attached {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    Attached {
        command: command.to_owned(),
        hooks: hooked.hooks,
        blind_to: hooked.blind_to,
        buffer: None,
        kernel: release.unwrap_or_else(|_| "unknown".to_owned()),
        mode: Optional(None),
    }
}

/// What to add to the boot clock, which the records have, to get nanoseconds since the epoch.
pub(crate) fn clock_offset() -> Result<u64> {
    let read = |clock| clock_gettime(clock).map_err(Error::os("clock_gettime"));
    let (boot, real) = (read(ClockId::CLOCK_BOOTTIME)?, read(ClockId::CLOCK_REALTIME)?);
    Ok(u64::try_from((real - boot).num_nanoseconds()).unwrap_or(0))
}

/// Nanoseconds since boot, as the records have them.
pub(crate) fn boot_time() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().and_then(|time| u64::try_from(time.num_nanoseconds()).ok()).unwrap_or(0)
}

/// Checks that an interface is there, and that programs still are on it.
///
/// # Errors
/// [`Error::Gone`].
fn check_attached(object: &Object, iface: &str, index: u32, targets: &[(&'static str, Target)]) -> Result<()> {
    let lacking = targets.iter().find(|(program, target)| !object.is_attached(program, target));
    // Asked last: an interface that goes away is no more to be found before its programs are taken from it
    // (`unregister_netdevice_many`, net/core/dev.c).
    if !interface::exists(index) {
        return Err(Error::Gone { target: format!("interface {iface}") });
    }
    match lacking {
        Some((program, target)) => Err(Error::Gone { target: format!("the program {program} on {target}") }),
        None => Ok(()),
    }
}

/// The name of the thread in a record.
fn comm(record: &[u8]) -> Text<'_> {
    name_at(record, offset_of!(Header, comm))
}

/// The name that stands in a record, without its padding.
fn name_at(record: &[u8], offset: usize) -> Text<'_> {
    record.get(offset..).and_then(<[u8]>::first_chunk).map_or(&[][..], event::unpadded).into()
}

/// Sets how many entries a map of counts holds, if that was asked for.
///
/// # Errors
/// [`Error::InvalidArgument`] for a number that no map has.
fn max_entries<'a>(opener: Opener<'a>, map: &'a str, asked: Option<u32>) -> Result<Opener<'a>> {
    match asked {
        // The kernel allocates all of it at once; more would not fit into the memory that it may ask for.
        Some(entries) if !(1..=1 << 24).contains(&entries) => {
            Err(Error::InvalidArgument(format!("a map has 1 to 16777216 entries, not {entries}")))
        }
        Some(entries) => Ok(opener.max_entries(map, entries)),
        None => Ok(opener),
    }
}

/// The size that the kernel takes: a power of two, at least a page, that holds the largest record.
fn buffer_size(asked: u64, largest: usize) -> Result<u32> {
    // A record in a ring or perf buffer has a header of 8 to 16 bytes, and a perf buffer is never quite full.
    const ROOM: u64 = 64;
    const PAGE: u64 = 4_096;
    let bytes = asked.max(largest as u64 + ROOM).max(PAGE);
    bytes.checked_next_power_of_two().and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(|| {
        Error::InvalidArgument(format!("a buffer of {bytes} bytes is larger than the kernel makes (2 GiB)"))
    })
}
