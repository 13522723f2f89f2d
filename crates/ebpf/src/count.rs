//! How many files each process opens: open, creat, openat and openat2, counted at entry, or (failed ones only) at
//! return. The loader attaches one of the hooks.
#![no_std]
#![no_main]

mod filter;
mod sys_exit;

use aya_ebpf::{
    btf_maps::HashMap,
    macros::{btf_map, fentry, fexit, kprobe, kretprobe, raw_tracepoint, tracepoint},
    programs::{FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext},
};
use ebpflab_common::{
    count::MAX_ENTRIES,
    filter::{Filter, Task as _},
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::atomic_add,
    ledger::ledger,
    registers::{number, opens},
    task::Current,
};

use crate::{filter::filter, sys_exit::tp_ret};

#[btf_map]
static COUNTS: HashMap<u32, u64, { MAX_ENTRIES as usize }> = HashMap::new();

const BPF_NOEXIST: u64 = 1;

/// One call of a process. `ret` is known at return only: negative errno or file descriptor.
#[inline(always)]
fn count(ret: Option<i64>) -> Option<()> {
    let filter = filter();
    let ledger = ledger()?;
    book!(ledger, seen);
    let succeeded = ret.is_some_and(|ret| ret >= 0);
    if filter.wants(Filter::FAILED) && succeeded || !filter.accepts(&Current) {
        book!(ledger, filtered);
        return Some(());
    }
    let (pid, _) = Current.pid_tid();
    match counter(pid) {
        Some(counter) => {
            // SAFETY: a value of the map.
            unsafe { atomic_add(counter, 1) };
            book!(ledger, submitted);
        }
        None => book!(ledger, map_full),
    }
    Some(())
}

/// The counter of a process, made if it has none yet; `None` when the map is full. Inserting zero and then adding
/// is right when two CPUs meet a new process together.
#[inline(always)]
fn counter(pid: u32) -> Option<*mut u64> {
    COUNTS.get_ptr_mut(&pid).or_else(|| {
        let _ = COUNTS.insert(&pid, &0, BPF_NOEXIST);
        COUNTS.get_ptr_mut(&pid)
    })
}

/// `do_sys_openat2(int dfd, const char __user *filename, struct open_how *how)`, fs/open.c of 5.10 to 7.3: what
/// open, creat, openat and openat2 come to.
#[fentry(function = "do_sys_openat2")]
fn count_fentry(_ctx: FEntryContext) -> i32 {
    if enabled() {
        let _ = count(None);
    }
    0
}

/// The function returns `long` up to 6.18 and `int` in 7.3, where the upper half of the slot is not defined.
#[fexit(function = "do_sys_openat2")]
fn count_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let ret: i32 = ctx.arg(3);
        let _ = count(Some(ret.into()));
    }
    0
}

#[kprobe(function = "do_sys_openat2")]
fn count_kprobe(_ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = count(None);
    }
    0
}

/// At the return, which is lost where more calls are blocked than the kernel keeps room for.
#[kretprobe(function = "do_sys_openat2")]
fn count_kretprobe(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = count(Some(ctx.ret::<i32>().into()));
    }
    0
}

/// `TP_PROTO(struct pt_regs *regs, long id)`, include/trace/events/syscalls.h
#[raw_tracepoint(tracepoint = "sys_enter")]
fn count_sys_enter(ctx: RawTracePointContext) -> i32 {
    if opens(ctx.arg(1)).is_some() && enabled() {
        let _ = count(None);
    }
    0
}

/// `TP_PROTO(struct pt_regs *regs, long ret)`
#[raw_tracepoint(tracepoint = "sys_exit")]
fn count_sys_exit(ctx: RawTracePointContext) -> i32 {
    if number(ctx.arg(0)).and_then(opens).is_some() && enabled() {
        let _ = count(Some(ctx.arg(1)));
    }
    0
}

/// Attached to `sys_enter_open` and its three kin.
#[tracepoint(category = "syscalls", name = "sys_enter_openat")]
fn count_tp_enter(_ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = count(None);
    }
    0
}

/// Attached to `sys_exit_open` and its three kin. All `sys_exit_*` have one format: `ret` at 16, after the common
/// fields and the number (kernel/trace/trace_syscalls.c, `struct syscall_trace_exit`).
#[tracepoint(category = "syscalls", name = "sys_exit_openat")]
fn count_tp_exit(ctx: TracePointContext) -> u32 {
    if enabled() {
        let _ = count(Some(tp_ret(&ctx).unwrap_or(0)));
    }
    0
}
