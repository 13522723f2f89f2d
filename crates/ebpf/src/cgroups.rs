//! The cgroups of events: which hierarchy they are from, and the new ones in it.
//!
//! A module of each object that has events.

use aya_ebpf::{
    Global,
    btf_maps::{PerCpuArray, RingBuf},
    helpers::generated::{bpf_get_current_cgroup_id, bpf_probe_read_kernel_str},
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use ebpflab_common::cgroup::{Hierarchy, NewCgroup, PATH_LEN};
use ebpflab_ebpf::{
    kernel::{self, bounded, read},
    task::{cgroup_id, v1_cgroup_id},
};

/// Set by the loader.
#[unsafe(no_mangle)]
static HIERARCHY: Global<Hierarchy> = Global::new(Hierarchy::UNIFIED);

/// New cgroups, each with its path: so that one is known that is gone when an event in it is handed on. What does not
/// fit is found by the loader as long as it is there.
#[btf_map]
static CGROUPS: RingBuf<NewCgroup, { 256 << 10 }> = RingBuf::new();

#[repr(C)]
struct Record {
    cgroup: NewCgroup,
    path: [u8; PATH_LEN],
}

/// One for each CPU: the kernel does not run a program while it is running on the same CPU already.
#[btf_map]
static CGROUP_SCRATCH: PerCpuArray<Record, 1> = PerCpuArray::new();

/// The one that cgroups are told of.
#[inline(always)]
pub(crate) fn hierarchy() -> Hierarchy {
    HIERARCHY.load()
}

/// Id of the current task's cgroup; zero where it cannot be read.
#[inline(always)]
pub(crate) fn current() -> u64 {
    let hierarchy = hierarchy();
    if hierarchy.controller == Hierarchy::V2 {
        // SAFETY: no arguments, no side effects.
        return unsafe { bpf_get_current_cgroup_id() };
    }
    v1_cgroup_id(hierarchy.controller).unwrap_or(0)
}

/// `TP_PROTO(struct cgroup *cgrp, const char *path)`, include/trace/events/cgroup.h. No process is in it yet, so that it
/// is told before any event in it. At work from its attaching on, before the loader looks for those that are there.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
fn cgroup_new(ctx: RawTracePointContext) -> i32 {
    let _ = tell(ctx.arg(0), ctx.arg(1));
    0
}

#[inline(always)]
fn tell(cgroup: *const u8, path: *const u8) -> Option<()> {
    let root: *const u8 = read(cgroup, kernel::cgroup_root())?;
    let id_of_root: u32 = read(root, kernel::cgroup_root_hierarchy_id())?;
    if id_of_root != hierarchy().id {
        return Some(());
    }
    let id = cgroup_id(cgroup)?;
    let record = CGROUP_SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of the map, and nobody else writes it meanwhile; the helper checks the address of the path.
    let len = unsafe {
        (*record).cgroup.id = id;
        bpf_probe_read_kernel_str((&raw mut (*record).path).cast(), PATH_LEN as u32, path.cast())
    };
    // The closing NUL is counted.
    let len = bounded(u32::try_from(len).ok()?.checked_sub(1)?, PATH_LEN as u32 - 1);
    // SAFETY: as many bytes were written, and the record is longer.
    let bytes = unsafe { core::slice::from_raw_parts(record.cast::<u8>(), size_of::<NewCgroup>() + len as usize) };
    let _ = CGROUPS.output_untyped::<[u8]>(bytes, 0);
    Some(())
}
