//! How long tasks wait for a CPU, from the moment that they could run to the one that they do.
#![no_std]
#![no_main]

#[expect(dead_code, reason = "a task that waits is not the current one")]
mod cgroups;
#[expect(dead_code, reason = "a task that waits is not the current one")]
mod filter;
mod times;

use aya_ebpf::{
    Global,
    btf_maps::HashMap,
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use ebpflab_common::{cgroup::Hierarchy, filter::Groups, runqueue::MAX_WAITS};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{self, read},
    ledger::ledger,
    task::{Other, cgroup_id, v1_cgroup_id_of},
};

use crate::{
    filter::{Maps, filter},
    times::{now, took},
};

/// When tasks that wait began to, by `struct task_struct`: nanoseconds since boot.
#[btf_map]
static WAITS: HashMap<u64, u64, { MAX_WAITS as usize }> = HashMap::new();

/// The id of the cgroup of v2 to keep, where one is: what the map `CGROUP` holds can be asked about the current task
/// only.
#[unsafe(no_mangle)]
static CGROUP_ID: Global<u64> = Global::new(0);

const BPF_NOEXIST: u64 = 1;
/// include/linux/sched.h
const TASK_RUNNING: u32 = 0;
/// That of no task.
const NO_STATE: u32 = u32::MAX;
/// Cgroups that are in each other, of v2: more than anybody has.
const DEEPEST: usize = 32;

/// `TP_PROTO(struct task_struct *p)`, include/trace/events/sched.h. With the lock of its run queue held.
#[raw_tracepoint(tracepoint = "sched_wakeup")]
fn runqueue_wakeup(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = woken(&Other(ctx.arg(0)));
    }
    0
}

/// The same, of a task that has not run yet.
#[raw_tracepoint(tracepoint = "sched_wakeup_new")]
fn runqueue_new(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = woken(&Other(ctx.arg(0)));
    }
    0
}

/// `TP_PROTO(bool preempt, struct task_struct *prev, struct task_struct *next)`, from 5.18 on with one more argument.
#[raw_tracepoint(tracepoint = "sched_switch")]
fn runqueue_switch(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let preempt: u64 = ctx.arg(0);
        let _ = stops(&Other(ctx.arg(1)), preempt != 0);
        let _ = runs(&Other(ctx.arg(2)));
    }
    0
}

/// A task that is on a CPU does not wait: it was about to sleep. (That is told by an int; in 7.3 by a byte, with others
/// behind it.)
#[inline(always)]
fn woken(task: &Other) -> Option<()> {
    if read::<u8>(task.0, kernel::task_struct_on_cpu()).is_some_and(|on_cpu| on_cpu != 0) {
        return None;
    }
    waits(task)
}

/// A task leaves its CPU, because it sleeps or because another one is to run. The kernel lets one run that was preempted
/// before it slept, whatever its state is.
#[inline(always)]
fn stops(task: &Other, preempt: bool) -> Option<()> {
    if is_idle(task) {
        return None;
    }
    if WAITS.remove(task.0 as u64).is_ok() {
        // It ran, but the kernel did not tell when it began to.
        book!(ledger()?, unpaired);
    }
    // A kernel has one of the two (5.14). Both are asked for, since LLVM takes no choice between offsets that come out of
    // relocations.
    let state = read(task.0, kernel::task_struct___state()).unwrap_or(NO_STATE);
    let before = read(task.0, kernel::task_struct_state()).unwrap_or(NO_STATE);
    if preempt || state == TASK_RUNNING || before == TASK_RUNNING {
        return waits(task);
    }
    None
}

#[inline(always)]
fn is_idle(task: &Other) -> bool {
    read::<u32>(task.0, kernel::task_struct_pid()) == Some(0)
}

/// From now on; a task that waits already, and is woken from a sleep that it was kept from, goes on waiting.
#[inline(always)]
fn waits(task: &Other) -> Option<()> {
    let key = task.0 as u64;
    if WAITS.get_ptr(key).is_some() {
        return None;
    }
    let ledger = ledger()?;
    book!(ledger, seen);
    if !(*filter()).accepts(task, &GroupsOf(task)) {
        book!(ledger, filtered);
        return None;
    }
    if WAITS.insert(key, now(), BPF_NOEXIST).is_err() {
        book!(ledger, unpaired);
    }
    Some(())
}

/// A wait that began before the run did, or that the filter left out, is not there.
#[inline(always)]
fn runs(task: &Other) -> Option<()> {
    let key = task.0 as u64;
    // SAFETY: a value of the map. Nobody else touches those of a task that is about to run.
    let start = unsafe { *WAITS.get_ptr(key)? };
    let _ = WAITS.remove(key);
    took(start, task, || cgroup_of(task).unwrap_or(0))
}

/// Id of a task's cgroup, in the hierarchy that cgroups are told of.
#[inline(always)]
fn cgroup_of(task: &Other) -> Option<u64> {
    match cgroups::hierarchy().controller {
        Hierarchy::V2 => cgroup_id(v2_cgroup(task)?),
        controller => v1_cgroup_id_of(task.0, controller),
    }
}

#[inline(always)]
fn v2_cgroup(task: &Other) -> Option<*const u8> {
    read(read(task.0, kernel::task_struct_cgroups())?, kernel::css_set_dfl_cgrp())
}

/// What the filter asks of groups, of any task.
struct GroupsOf<'a>(&'a Other);

impl Groups for GroupsOf<'_> {
    #[inline(always)]
    fn in_tree(&self, pid: u32) -> bool {
        Maps.in_tree(pid)
    }

    #[inline(always)]
    fn in_cgroup(&self) -> bool {
        is_below(v2_cgroup(self.0), CGROUP_ID.load()).is_some()
    }

    #[inline(always)]
    fn in_v1_cgroup(&self, controller: u32) -> bool {
        v1_cgroup_id_of(self.0.0, controller).is_some_and(|id| Maps.has_v1_cgroup(id))
    }
}

/// Whether a cgroup is the one of an id, or below it.
#[inline(always)]
fn is_below(cgroup: Option<*const u8>, id: u64) -> Option<()> {
    let mut cgroup = cgroup?;
    for _ in 0..DEEPEST {
        if cgroup_id(cgroup)? == id {
            return Some(());
        }
        let parent: *const u8 = read(cgroup, kernel::cgroup_self_parent())?;
        if parent.is_null() {
            return None;
        }
        cgroup = read(parent, kernel::cgroup_subsys_state_cgroup())?;
    }
    None
}
