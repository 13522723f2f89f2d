//! How long something took: the buckets of whoever it was, and what took long, one by one.
//!
//! A module of each object that measures times.

use aya_ebpf::{
    Global,
    bindings::BPF_RB_NO_WAKEUP,
    btf_maps::{Array, PerCpuHashMap, RingBuf},
    helpers::generated::bpf_ktime_get_boot_ns,
    macros::btf_map,
};
use ebpflab_common::{
    filter::Task,
    latency::{Key, MAX_ENTRIES, Slow, bucket},
    syscalls::Times,
    who::Who,
};
use ebpflab_ebpf::{book, kernel::atomic_add, ledger::ledger};

/// For each CPU, so that the longest can be told without a race: the kernel does not run a program while it is running
/// on the same CPU already.
#[btf_map]
static BUCKETS: PerCpuHashMap<Key, Times, { MAX_ENTRIES as usize }> = PerCpuHashMap::new();

/// What took long, and how many there was no room for.
#[btf_map]
static SLOW: RingBuf<Slow, { 256 << 10 }> = RingBuf::new();
#[btf_map]
static SLOW_LOST: Array<u64, 1> = Array::new();

/// What is told apart: bits of [`Who`].
#[unsafe(no_mangle)]
static BY: Global<u32> = Global::new(0);

/// How long buckets are, in nanoseconds; 0 for those that grow.
#[unsafe(no_mangle)]
static STEP: Global<u64> = Global::new(0);

/// What takes longer, in nanoseconds, is told one by one; 0 for none.
#[unsafe(no_mangle)]
static SLOWER: Global<u64> = Global::new(0);

const BPF_NOEXIST: u64 = 1;

/// Nanoseconds since boot.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: no arguments, no side effects.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Something of a task that began at `start` has ended.
#[inline(always)]
pub(crate) fn took(start: u64, task: &impl Task, cgroup: impl FnOnce() -> u64) -> Option<()> {
    let end = now();
    let elapsed = end.saturating_sub(start);
    let ledger = ledger()?;
    let who = Who::new(BY.load(), task, cgroup);
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
        tell(end, elapsed, task);
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
fn tell(time: u64, latency_ns: u64, task: &impl Task) {
    let (pid, tid) = task.pid_tid();
    let slow = Slow { time, latency_ns, pid, tid, comm: task.comm() };
    if SLOW.output(slow, BPF_RB_NO_WAKEUP.into()).is_err() {
        if let Some(lost) = SLOW_LOST.get_ptr_mut(0) {
            // SAFETY: a value of the map.
            unsafe { atomic_add(lost, 1) };
        }
    }
}
