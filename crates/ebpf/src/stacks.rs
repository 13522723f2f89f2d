//! From where functions, tracepoints and instructions of binaries are come to, or where the CPUs are: the stacks of the
//! kernel and of user space, counted.
#![no_std]
#![no_main]

mod cgroups;
mod filter;

use aya_ebpf::{
    Global,
    bindings::BPF_F_USER_STACK,
    btf_maps::{HashMap, StackTrace},
    macros::{btf_map, fentry, kprobe, perf_event, raw_tracepoint, tracepoint, uprobe},
    programs::{
        FEntryContext, PerfEventContext, ProbeContext, RawTracePointContext, TracePointContext, tracing::StackIdContext,
    },
};
use ebpflab_common::{
    stacks::{Key, MAX_ENTRIES, MAX_MORE_STACKS, MAX_STACKS, MORE, NONE},
    who::Who,
};
use ebpflab_ebpf::{book, enabled, kernel::atomic_add, ledger::ledger, registers::return_address, task::Current};

use crate::filter::filter;

#[btf_map]
static COUNTS: HashMap<Key, u64, { MAX_ENTRIES as usize }> = HashMap::new();

#[btf_map]
static STACKS: StackTrace<{ MAX_STACKS as usize }> = StackTrace::new();

/// For those whose place in the other is taken.
#[btf_map]
static MORE_STACKS: StackTrace<{ MAX_MORE_STACKS as usize }> = StackTrace::new();

/// What stacks are told apart by: bits of [`Who`].
#[unsafe(no_mangle)]
static BY: Global<u32> = Global::new(0);

const BPF_NOEXIST: u64 = 1;

/// A tick of a CPU's clock.
#[perf_event]
fn stacks_clock(ctx: PerfEventContext) -> u32 {
    let _ = count(&ctx, 0);
    0
}

#[kprobe]
fn stacks_kprobe(ctx: ProbeContext) -> u32 {
    let _ = count(&ctx, 0);
    0
}

#[fentry]
fn stacks_fentry(ctx: FEntryContext) -> i32 {
    let _ = count(&ctx, 0);
    0
}

#[tracepoint]
fn stacks_tp(ctx: TracePointContext) -> u32 {
    let _ = count(&ctx, 0);
    0
}

#[raw_tracepoint]
fn stacks_raw_tp(ctx: RawTracePointContext) -> i32 {
    let _ = count(&ctx, 0);
    0
}

/// The start of a function. It has not made its frame yet: going by the frames, whoever called it is left out.
#[uprobe]
fn stacks_uprobe(ctx: ProbeContext) -> u32 {
    let _ = count(&ctx, return_address(&ctx).unwrap_or(0));
    0
}

/// Any other instruction.
#[uprobe]
fn stacks_instr(ctx: ProbeContext) -> u32 {
    let _ = count(&ctx, 0);
    0
}

#[inline(always)]
fn count(ctx: &impl StackIdContext, caller: u64) -> Option<()> {
    if !enabled() {
        return None;
    }
    let ledger = ledger()?;
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return None;
    }
    match counter(ctx, caller) {
        Some(counter) => {
            // SAFETY: a value of the map.
            unsafe { atomic_add(counter, 1) };
            book!(ledger, submitted);
        }
        None => book!(ledger, map_full),
    }
    Some(())
}

/// The counter of the stacks that there are now, made if they have none yet; `None` when there is no room for them.
#[inline(always)]
fn counter(ctx: &impl StackIdContext, caller: u64) -> Option<*mut u64> {
    let kernel = stack(ctx, 0)?;
    let user = stack(ctx, u64::from(BPF_F_USER_STACK))?;
    let key = Key { who: Who::new(BY.load(), &Current, cgroups::current), kernel, user, caller };
    COUNTS.get_ptr_mut(&key).or_else(|| {
        let _ = COUNTS.insert(&key, &0, BPF_NOEXIST);
        COUNTS.get_ptr_mut(&key)
    })
}

/// The number of a stack, `NONE` where there is none; `None` when there is no room for it.
#[inline(always)]
fn stack(ctx: &impl StackIdContext, flags: u64) -> Option<u32> {
    const ENOMEM: i32 = 12;
    const EEXIST: i32 = 17;
    let (number, bit) = match ctx.get_stackid(&STACKS, flags) {
        // Another stack has its place.
        Err(error) if error == -EEXIST => (ctx.get_stackid(&MORE_STACKS, flags), MORE),
        number => (number, 0),
    };
    match number {
        Ok(number) => Some(number as u32 | bit),
        Err(error) if error == -EEXIST || error == -ENOMEM => None,
        Err(_) => Some(NONE),
    }
}
