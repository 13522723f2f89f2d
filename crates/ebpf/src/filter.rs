//! The user's filter, set before the programs are loaded, and the groups of tasks that it may ask for.
//!
//! A module of each object that traces processes.

use core::ops::Deref;

use aya_ebpf::{
    Global,
    btf_maps::{Array, CgroupArray, HashMap},
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use ebpflab_common::filter::{self, Groups, Task};
use ebpflab_ebpf::{
    kernel::{self, atomic_add, read},
    task::v1_cgroup_id,
};

#[unsafe(no_mangle)]
static FILTER: Global<filter::Filter> =
    Global::new(filter::Filter { wanted: 0, pid: 0, tid: 0, uid: 0, not_pid: 0, comm: [0; 16], controller: 0 });

/// The processes of a tree, by their ids. The loader makes it larger where a tree is asked for.
#[btf_map]
static TREE: HashMap<u32, u8, 1> = HashMap::new();

/// How many processes there was no room for.
#[btf_map]
static TREE_LOST: Array<u64, 1> = Array::new();

/// The cgroup to keep.
#[btf_map]
static CGROUP: CgroupArray<1> = CgroupArray::new();

/// The ids of cgroups to keep, of a v1 hierarchy: `CGROUP` takes none of those. Made larger by the loader.
#[btf_map]
static V1_CGROUPS: HashMap<u64, u8, 1> = HashMap::new();

const BPF_ANY: u64 = 0;

/// What the maps say of the current task.
pub(crate) struct Maps;

impl Groups for Maps {
    #[inline(always)]
    fn in_tree(&self, pid: u32) -> bool {
        TREE.get_ptr(pid).is_some()
    }

    #[inline(always)]
    fn in_cgroup(&self) -> bool {
        CGROUP.current_task_under_cgroup(0) == Ok(true)
    }

    #[inline(always)]
    fn in_v1_cgroup(&self, controller: u32) -> bool {
        v1_cgroup_id(controller).is_some_and(|id| self.has_v1_cgroup(id))
    }
}

impl Maps {
    /// Whether the cgroup of an id is one of those to keep, of a v1 hierarchy.
    #[inline(always)]
    pub(crate) fn has_v1_cgroup(&self, id: u64) -> bool {
        V1_CGROUPS.get_ptr(id).is_some()
    }
}

/// The filter of this run, with the maps that it looks into.
pub(crate) struct Filter(filter::Filter);

impl Deref for Filter {
    type Target = filter::Filter;

    #[inline(always)]
    fn deref(&self) -> &filter::Filter {
        &self.0
    }
}

impl Filter {
    /// Whether the task meets every condition that counts.
    #[inline(always)]
    pub(crate) fn accepts(&self, task: &impl Task) -> bool {
        self.0.accepts(task, &Maps)
    }
}

/// The filter of this run.
#[inline(always)]
pub(crate) fn filter() -> Filter {
    Filter(FILTER.load())
}

/// Has a new process join the tree of its parent. The child has not run yet (kernel_clone in kernel/fork.c, before
/// wake_up_new_task), so nothing that it does is missed.
#[inline(always)]
fn join(parent: *const u8, child: *const u8) {
    let tgid = |task| read::<u32>(task, kernel::task_struct_tgid());
    if let Some((parent, child)) = tgid(parent).zip(tgid(child)) {
        // A new thread has its process's id, which is there already.
        if child != parent && Maps.in_tree(parent) && TREE.insert(child, 0, BPF_ANY).is_err() {
            if let Some(lost) = TREE_LOST.get_ptr_mut(0) {
                // SAFETY: a value of the map.
                unsafe { atomic_add(lost, 1) };
            }
        }
    }
}

/// Forgets a process that is gone: its last thread is, `live` was lowered just before (do_exit in kernel/exit.c).
#[inline(always)]
fn leave(task: *const u8) {
    let live = read::<*const u8>(task, kernel::task_struct_signal())
        .and_then(|signal| read::<u32>(signal, kernel::signal_struct_live_counter()));
    if live == Some(0) {
        if let Some(pid) = read::<u32>(task, kernel::task_struct_tgid()) {
            let _ = TREE.remove(pid);
        }
    }
}

/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)`, include/trace/events/sched.h
///
/// Like the three below it is attached only where a tree is asked for, and at work from then on: the tree is followed
/// before anything is recorded. There are two of each, since a kernel that preempts programs skips the runs of one
/// that is held up on that CPU, and a single fork that is not seen would hide all that comes of it.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
fn tree_fork(ctx: RawTracePointContext) -> i32 {
    join(ctx.arg(0), ctx.arg(1));
    0
}

#[raw_tracepoint(tracepoint = "sched_process_fork")]
fn tree_fork_again(ctx: RawTracePointContext) -> i32 {
    join(ctx.arg(0), ctx.arg(1));
    0
}

/// `TP_PROTO(struct task_struct *p)`, from 6.16 on with one more argument.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn tree_exit(ctx: RawTracePointContext) -> i32 {
    leave(ctx.arg(0));
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
fn tree_exit_again(ctx: RawTracePointContext) -> i32 {
    leave(ctx.arg(0));
    0
}
