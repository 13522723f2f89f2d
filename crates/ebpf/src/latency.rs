//! How long calls of a function take, from entry to return: of the kernel, a program or a library.
#![no_std]
#![no_main]

mod cgroups;
mod filter;

use aya_ebpf::{
    EbpfContext, Global,
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{Array, HashMap, PerCpuArray, PerCpuHashMap, RingBuf},
    helpers::generated::bpf_ktime_get_boot_ns,
    macros::{btf_map, fentry, fexit, kprobe, kretprobe, uprobe, uretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use ebpflab_common::{
    filter::Task as _,
    latency::{Frame, Key, MAX_CALLS, MAX_ENTRIES, Slow, bucket},
    syscalls::Times,
    who::Who,
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::atomic_add,
    ledger::ledger,
    registers::{stack_at_entry, stack_at_return},
    task::{Current, task},
};

use crate::filter::filter;

/// When calls began that have not returned: nanoseconds since boot.
#[btf_map]
static CALLS: HashMap<Frame, u64, { MAX_CALLS as usize }> = HashMap::new();

/// For each CPU, so that the longest can be told without a race: the kernel does not run a program while it is running
/// on the same CPU already.
#[btf_map]
static BUCKETS: PerCpuHashMap<Key, Times, { MAX_ENTRIES as usize }> = PerCpuHashMap::new();

/// Calls that took long, and how many there was no room for.
#[btf_map]
static SLOW: RingBuf<Slow, { 256 << 10 }> = RingBuf::new();
#[btf_map]
static SLOW_LOST: Array<u64, 1> = Array::new();

/// The address of a trampoline's frame, on its way to become a number.
#[btf_map]
static POINTER: PerCpuArray<u64, 1> = PerCpuArray::new();

/// What calls are told apart by: bits of [`Who`].
#[unsafe(no_mangle)]
static BY: Global<u32> = Global::new(0);

/// How long buckets are, in nanoseconds; 0 for those that grow.
#[unsafe(no_mangle)]
static STEP: Global<u64> = Global::new(0);

/// Calls that take longer, in nanoseconds, are told one by one; 0 for none.
#[unsafe(no_mangle)]
static SLOWER: Global<u64> = Global::new(0);

const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;

/// The same trampoline calls both programs, with what is on its stack.
#[fentry]
fn latency_fentry(ctx: FEntryContext) -> i32 {
    if enabled() {
        let _ = number(&ctx).and_then(enter);
    }
    0
}

#[fexit]
fn latency_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let _ = number(&ctx).and_then(leave);
    }
    0
}

#[kprobe]
fn latency_kprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = enter(stack_at_entry(&ctx));
    }
    0
}

/// Where more calls are blocked than the kernel keeps room for it loses the returns of some.
#[kretprobe]
fn latency_kret(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(stack_at_return(&ctx));
    }
    0
}

#[uprobe]
fn latency_uprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = enter(stack_at_entry(&ctx));
    }
    0
}

#[uretprobe]
fn latency_uret(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(stack_at_return(&ctx));
    }
    0
}

/// A pointer as a number that a key may have: kernels before 5.16 do not take pointers in keys.
#[inline(always)]
fn number(ctx: &impl EbpfContext) -> Option<u64> {
    let through = POINTER.get_ptr_mut(0)?;
    // SAFETY: a value of the map, of this CPU; nobody else needs what is in it.
    unsafe {
        through.write_volatile(ctx.as_ptr() as u64);
        Some(through.read_volatile())
    }
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_ktime_get_boot_ns() }
}

#[inline(always)]
fn enter(stack: u64) -> Option<()> {
    let ledger = ledger()?;
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return None;
    }
    let frame = Frame { task: task() as u64, stack };
    if let Some(earlier) = CALLS.get_ptr_mut(frame) {
        // A call from the same place that did not return: its return was missed, or it was left by a jump.
        book!(ledger, unpaired);
        // SAFETY: a value of the map, which only this task's calls touch.
        unsafe { *earlier = now() };
    } else if CALLS.insert(frame, now(), BPF_ANY).is_err() {
        book!(ledger, unpaired);
    }
    Some(())
}

/// A call that was made before the run began, or that the filter left out, is not there.
#[inline(always)]
fn leave(stack: u64) -> Option<()> {
    let frame = Frame { task: task() as u64, stack };
    // SAFETY: a value of the map, which only this task's calls touch.
    let start = unsafe { *CALLS.get_ptr(frame)? };
    let end = now();
    let elapsed = end.saturating_sub(start);
    let _ = CALLS.remove(frame);
    let ledger = ledger()?;
    let who = Who::new(BY.load(), &Current, cgroups::current);
    match times(&Key { who, bucket: bucket(elapsed, STEP.load()), reserved: 0 }) {
        // SAFETY: a value of the map.
        Some(times) => unsafe {
            atomic_add(&raw mut (*times).count, 1);
            atomic_add(&raw mut (*times).total_ns, elapsed);
            if elapsed > (*times).max_ns {
                (*times).max_ns = elapsed;
            }
            book!(ledger, submitted);
        },
        None => book!(ledger, map_full),
    }
    let slower = SLOWER.load();
    if slower != 0 && elapsed > slower {
        tell(end, elapsed);
    }
    Some(())
}

/// Those of a key, made if it has none yet; `None` when the map is full.
#[inline(always)]
fn times(key: &Key) -> Option<*mut Times> {
    BUCKETS.get_ptr_mut(key).or_else(|| {
        let _ = BUCKETS.insert(key, Times { count: 0, total_ns: 0, max_ns: 0 }, BPF_NOEXIST);
        BUCKETS.get_ptr_mut(key)
    })
}

#[inline(always)]
fn tell(time: u64, latency_ns: u64) {
    let (pid, tid) = Current.pid_tid();
    let slow = Slow { time, latency_ns, pid, tid, comm: Current.comm() };
    if SLOW.output(slow, BPF_RB_NO_WAKEUP.into()).is_err() {
        if let Some(lost) = SLOW_LOST.get_ptr_mut(0) {
            // SAFETY: a value of the map.
            unsafe { atomic_add(lost, 1) };
        }
    }
}
