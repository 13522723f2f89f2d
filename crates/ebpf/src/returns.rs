//! What calls of a function return: of the kernel, a program or a library.
#![no_std]
#![no_main]

mod cgroups;
mod filter;
mod frames;

use aya_ebpf::{
    Global,
    btf_maps::PerCpuHashMap,
    macros::{btf_map, fentry, fexit, kprobe, kretprobe, uprobe, uretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use ebpflab_common::{
    latency::{Key, MAX_ENTRIES},
    returns::{Value, Values, bucket},
    who::Who,
};
use ebpflab_ebpf::{
    book, enabled,
    kernel::{atomic_add, read},
    ledger::ledger,
    registers::{stack_at_entry, stack_at_return},
    task::Current,
};

use crate::frames::address_of;

/// For each CPU, so that the least and the most can be told without a race: the kernel does not run a program while it
/// is running on the same CPU already.
#[btf_map]
static BUCKETS: PerCpuHashMap<Key, Values, { MAX_ENTRIES as usize }> = PerCpuHashMap::new();

/// What calls are told apart by: bits of [`Who`].
#[unsafe(no_mangle)]
static BY: Global<u32> = Global::new(0);

/// How long buckets are; 0 for powers of two.
#[unsafe(no_mangle)]
static STEP: Global<u64> = Global::new(0);

/// How much of the register is the value.
#[unsafe(no_mangle)]
static VALUE: Global<Value> = Global::new(Value::LONG);

/// How many words of arguments a trampoline has before the value.
#[unsafe(no_mangle)]
static ARGUMENTS: Global<u32> = Global::new(0);

const BPF_NOEXIST: u64 = 1;

/// All that has to be known of a call is that it was made.
type Known = u64;

/// The same trampoline calls both programs, with what is on its stack.
#[fentry]
fn returns_fentry(ctx: FEntryContext) -> i32 {
    if enabled() {
        let _ = address_of(&ctx).and_then(enter);
    }
    0
}

#[fexit]
fn returns_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let _ = address_of(&ctx).and_then(leave_trampoline);
    }
    0
}

#[kprobe]
fn returns_kprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = enter(stack_at_entry(&ctx));
    }
    0
}

/// Where more calls are blocked than the kernel keeps room for it loses the returns of some.
#[kretprobe]
fn returns_kret(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(stack_at_return(&ctx), ctx.ret());
    }
    0
}

#[uprobe]
fn returns_uprobe(ctx: ProbeContext) -> u32 {
    if enabled() {
        let _ = enter(stack_at_entry(&ctx));
    }
    0
}

#[uretprobe]
fn returns_uret(ctx: RetProbeContext) -> u32 {
    if enabled() {
        let _ = leave(stack_at_return(&ctx), ctx.ret());
    }
    0
}

#[inline(always)]
fn enter(stack: u64) -> Option<()> {
    frames::enter(stack, || 1)
}

/// Behind the arguments, whose number the verifier would have to know for a plain read (bpf_get_func_ret is there from
/// 5.17 on).
#[inline(always)]
fn leave_trampoline(frame: u64) -> Option<()> {
    let value = read(frame as *const u8, Some(ARGUMENTS.load() as usize * size_of::<u64>()))?;
    leave(frame, value)
}

#[inline(always)]
fn leave(stack: u64, register: u64) -> Option<()> {
    frames::leave(stack)?;
    let ledger = ledger()?;
    let value = VALUE.load().of(register);
    let who = Who::new(BY.load(), &Current, cgroups::current);
    match values(&Key { who, bucket: bucket(value, STEP.load()), reserved: 0 }) {
        // SAFETY: a value of the map.
        Some(values) => unsafe {
            if (*values).count == 0 || value < (*values).min {
                (*values).min = value;
            }
            if (*values).count == 0 || value > (*values).max {
                (*values).max = value;
            }
            atomic_add(&raw mut (*values).count, 1);
            atomic_add((&raw mut (*values).sum).cast(), value as u64);
            book!(ledger, submitted);
        },
        None => book!(ledger, map_full),
    }
    Some(())
}

/// Those of a key, made if it has none yet; `None` when the map is full.
#[inline(always)]
fn values(key: &Key) -> Option<*mut Values> {
    BUCKETS.get_ptr_mut(key).or_else(|| {
        let _ = BUCKETS.insert(key, Values { count: 0, sum: 0, min: 0, max: 0 }, BPF_NOEXIST);
        BUCKETS.get_ptr_mut(key)
    })
}
