//! What is loaded into the kernel, of whomever: programs, maps and what is in them, links; its tracepoints and types.

mod cost;
mod entries;
pub(crate) mod holders;
mod kinds;
mod links;
mod maps;
mod programs;
mod tracepoints;
mod types;

use std::{
    ffi::{CStr, c_char},
    fs,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use crate::{
    bpf::sys,
    error::{Error, Result},
    inspect::holders::Holders,
    privilege::{self, CAP_SYS_ADMIN},
};

pub use cost::Measured;
pub use entries::entries;
pub(crate) use kinds::map as map_kind;
pub use links::links;
pub use maps::maps;
pub use programs::{Stats, programs};
pub use tracepoints::tracepoints;
pub(crate) use types::kernel as kernel_types;
pub use types::{kernel_layout, kernel_type};

/// All of a kind that are there, each open, ascending by their ids, and who holds them.
fn all(kind: sys::Kind, what: &str) -> Result<(Vec<OwnedFd>, Holders)> {
    let operation = format!("list {what}");
    privilege::require(&format!("listing the kernel's BPF {what}"), &[CAP_SYS_ADMIN])?;
    // First, for after this it is us too. Processes that may not be looked at hold nothing that is seen.
    let holders = Holders::look(|_, _| {}).map_err(Error::os("read /proc"))?;
    let ids = sys::ids(kind).map_err(Error::os(operation.as_str()))?;
    let open = |id| sys::open(kind, id).map_err(Error::os(operation.as_str())).transpose();
    Ok((ids.into_iter().filter_map(open).collect::<Result<_>>()?, holders))
}

/// A name of at most 15 bytes.
fn name(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|char| *char as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

/// Bytes of memory that it takes, as the kernel tells whoever has it open.
fn memory(fd: BorrowedFd<'_>) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}

/// What the kernel says about one of them.
fn info<T: sys::Info>(fd: &OwnedFd, about: &mut T) -> Result<usize> {
    sys::info(fd.as_fd(), about).map_err(Error::os("ask about a BPF object"))
}
