//! All system calls, counted and timed when they return: by number, by result, and by who made them.
#![no_std]
#![no_main]

mod cgroups;
mod filter;

use aya_ebpf::{
    Global,
    btf_maps::{HashMap, PerCpuHashMap},
    helpers::generated::bpf_ktime_get_boot_ns,
    macros::{btf_map, raw_tracepoint},
    programs::RawTracePointContext,
};
use ebpflab_common::{
    filter::Filter,
    ledger::Ledger,
    syscalls::{BY_SYSCALL, Call, Key, MAX_CALLS, MAX_ENTRIES, Times, errno},
    who::Who,
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::atomic_add,
    ledger::ledger,
    registers::{is_compat, never_returns},
    task::{Current, task},
};

use crate::filter::filter;

/// Calls that have not returned, by `struct task_struct`: a thread that executes a program takes the id of the first
/// one meanwhile.
#[btf_map]
static CALLS: HashMap<u64, Call, { MAX_CALLS as usize }> = HashMap::new();

/// For each CPU, so that the longest can be told without a race: the kernel does not run a program while it is running
/// on the same CPU already.
#[btf_map]
static TIMES: PerCpuHashMap<Key, Times, { MAX_ENTRIES as usize }> = PerCpuHashMap::new();

/// What calls are told apart by: bits of [`Who`], and [`BY_SYSCALL`].
#[unsafe(no_mangle)]
static BY: Global<u32> = Global::new(0);

const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;

/// `TP_PROTO(struct pt_regs *regs, long id)`, include/trace/events/syscalls.h
#[raw_tracepoint(tracepoint = "sys_enter")]
fn syscalls_enter(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = enter(ctx.arg(1));
    }
    0
}

/// `TP_PROTO(struct pt_regs *regs, long ret)`
#[raw_tracepoint(tracepoint = "sys_exit")]
fn syscalls_exit(ctx: RawTracePointContext) -> i32 {
    if enabled() {
        let _ = exit(ctx.arg(1));
    }
    0
}

#[inline(always)]
fn enter(nr: u64) -> Option<()> {
    let ledger = ledger()?;
    book!(ledger, seen);
    let filter = filter();
    if !filter.accepts(&Current) {
        book!(ledger, filtered);
        return Some(());
    }
    let compat = is_compat() == Some(true);
    let call = Call { start: now(), number: nr as u32, compat: compat.into() };
    if never_returns(nr, compat) {
        // It did not fail either.
        if filter.wants(Filter::FAILED) {
            book!(ledger, filtered);
        } else {
            add(ledger, &call, 0, 0);
        }
        return Some(());
    }
    let task = task() as u64;
    if let Some(earlier) = CALLS.get_ptr_mut(task) {
        // The return of the earlier one was skipped by the kernel.
        book!(ledger, unpaired);
        // SAFETY: a value of the map, which only this task's calls touch.
        unsafe { *earlier = call };
    } else if CALLS.insert(task, call, BPF_ANY).is_err() {
        book!(ledger, unpaired);
    }
    Some(())
}

/// A call that was made before the run began, or that the filter left out, is not there.
#[inline(always)]
fn exit(ret: i64) -> Option<()> {
    let task = task() as u64;
    // SAFETY: a value of the map, which only this task's calls touch.
    let call = unsafe { *CALLS.get_ptr(task)? };
    let elapsed = now().saturating_sub(call.start);
    let _ = CALLS.remove(task);
    let ledger = ledger()?;
    let errno = errno(ret);
    if errno == 0 && filter().wants(Filter::FAILED) {
        book!(ledger, filtered);
    } else {
        add(ledger, &call, errno, elapsed);
    }
    Some(())
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_ktime_get_boot_ns() }
}

#[inline(always)]
fn add(ledger: *mut Ledger, call: &Call, errno: u32, elapsed: u64) {
    let by = BY.load();
    let (number, compat) = if by & BY_SYSCALL != 0 { (call.number, call.compat) } else { (0, 0) };
    let key = Key { who: Who::new(by, &Current, cgroups::current), number, compat, errno, reserved: 0 };
    let Some(times) = times(&key) else {
        book!(ledger, map_full);
        return;
    };
    // SAFETY: a value of the map. Only the return of a call makes it longer.
    unsafe {
        atomic_add(&raw mut (*times).count, 1);
        // Of an addition of nothing LLVM makes an instruction that kernels before 5.12 do not have.
        if elapsed != 0 {
            atomic_add(&raw mut (*times).total_ns, elapsed);
        }
        if elapsed > (*times).max_ns {
            (*times).max_ns = elapsed;
        }
    }
    book!(ledger, submitted);
}

/// Those of a key, made if it has none yet; `None` when the map is full.
#[inline(always)]
fn times(key: &Key) -> Option<*mut Times> {
    TIMES.get_ptr_mut(key).or_else(|| {
        let _ = TIMES.insert(key, Times { count: 0, total_ns: 0, max_ns: 0 }, BPF_NOEXIST);
        TIMES.get_ptr_mut(key)
    })
}
