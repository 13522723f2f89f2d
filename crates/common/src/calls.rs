//! Calls of any target: the layout of the map, and what programs call the targets.

use crate::who::Who;

/// Most counters the map `COUNTS` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 16_384;

/// How many programs there are of each kind that is attached to one target only.
pub const SLOTS: usize = 16;

/// Calls that are counted together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose they are.
    pub who: Who,
    /// Of which target: the cookie that it was attached with, the [`slot`] of the program, or the address of the
    /// instruction.
    pub target: u64,
}

const _: () = assert!(size_of::<Key>() == 40);
crate::pod!(Key);

/// What the program of a slot calls its target. Cookies are smaller, addresses in the kernel are greater.
pub const fn slot(kind: Kind, number: usize) -> u64 {
    (kind as u64 + 1) << 32 | number as u64
}

/// Programs that are attached to one target only, since the kernel does not tell them of which of several it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// On a trampoline, which belongs to one function.
    Fentry,
    /// Raw tracepoints have no cookies before 6.10.
    RawTracepoint,
    /// Tracepoints before 5.15.
    Tracepoint,
    /// Uprobes before 5.15.
    Uprobe,
}
