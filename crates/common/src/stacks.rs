//! From where a target is come to: the layout of the map, and what the numbers of stacks mean.

use crate::who::Who;

/// Most counters the map `COUNTS` holds unless the user asks for another number.
pub const MAX_ENTRIES: u32 = 16_384;

/// Most stacks the map `STACKS` holds. The kernel finds a place for one by a hash, and takes no second one for that
/// place: such a stack goes to the map `MORE_STACKS`.
pub const MAX_STACKS: u32 = 16_384;

/// Most stacks the map `MORE_STACKS` holds.
pub const MAX_MORE_STACKS: u32 = 4_096;

/// Most frames of a stack: the kernel takes no more unless sysctl kernel.perf_event_max_stack is raised.
pub const DEPTH: usize = 127;

/// There is no such stack: a kernel thread has none in user space, a process that runs none in the kernel.
pub const NONE: u32 = u32::MAX;

/// A stack of the map `MORE_STACKS` has this bit in its number.
pub const MORE: u32 = 1 << 31;

/// Stacks that are counted together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose they are; the process always.
    pub who: Who,
    /// Number of the stack in the kernel, or [`NONE`].
    pub kernel: u32,
    /// Number of the stack in user space, or [`NONE`].
    pub user: u32,
    /// Where a function that has just been entered will return to, which is on no stack of frames yet; else 0.
    pub caller: u64,
}

const _: () = assert!(size_of::<Key>() == 48);
crate::pod!(Key);
