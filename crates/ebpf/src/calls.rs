//! How often functions, tracepoints and instructions of binaries are come to: any that the loader attaches these to.
#![no_std]
#![no_main]

mod cgroups;
mod filter;

use aya_ebpf::{
    EbpfContext, Global,
    btf_maps::HashMap,
    helpers::generated::bpf_get_attach_cookie,
    macros::{btf_map, fentry, kprobe, raw_tracepoint, tracepoint, uprobe},
    programs::{FEntryContext, ProbeContext, RawTracePointContext, TracePointContext},
};
use ebpflab_common::{
    calls::{Key, Kind, MAX_ENTRIES, slot},
    who::Who,
};
use ebpflab_ebpf::{book, enabled, kernel::atomic_add, ledger::ledger, registers::instruction, task::Current};

use crate::filter::filter;

#[btf_map]
static COUNTS: HashMap<Key, u64, { MAX_ENTRIES as usize }> = HashMap::new();

/// What calls are told apart by, beside the target: bits of [`Who`].
#[unsafe(no_mangle)]
static BY: Global<u32> = Global::new(0);

const BPF_NOEXIST: u64 = 1;

/// A function of its own, so that each of the many programs is short.
#[inline(never)]
fn count(target: u64) -> u32 {
    let _ = try_count(target);
    0
}

#[inline(always)]
fn try_count(target: u64) -> Option<()> {
    if !enabled() {
        return None;
    }
    let ledger = ledger()?;
    book!(ledger, seen);
    if !filter().accepts(&Current) {
        book!(ledger, filtered);
        return None;
    }
    match counter(&Key { who: Who::new(BY.load(), &Current, cgroups::current), target }) {
        Some(counter) => {
            // SAFETY: a value of the map.
            unsafe { atomic_add(counter, 1) };
            book!(ledger, submitted);
        }
        None => book!(ledger, map_full),
    }
    Some(())
}

/// The counter of a key, made if it has none yet; `None` when the map is full.
#[inline(always)]
fn counter(key: &Key) -> Option<*mut u64> {
    COUNTS.get_ptr_mut(key).or_else(|| {
        let _ = COUNTS.insert(key, &0, BPF_NOEXIST);
        COUNTS.get_ptr_mut(key)
    })
}

/// What the loader calls the target that a program is attached to (5.15).
#[inline(always)]
fn cookie(ctx: &impl EbpfContext) -> u64 {
    // SAFETY: the context of a program that may ask.
    unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }
}

#[kprobe]
fn calls_kprobe(ctx: ProbeContext) -> u32 {
    count(cookie(&ctx))
}

/// Before 5.15. The address of a function tells which it is.
#[kprobe]
fn calls_kprobe_ip(ctx: ProbeContext) -> u32 {
    count(instruction(&ctx))
}

#[tracepoint]
fn calls_tp(ctx: TracePointContext) -> u32 {
    count(cookie(&ctx))
}

#[uprobe]
fn calls_uprobe(ctx: ProbeContext) -> u32 {
    count(cookie(&ctx))
}

/// Programs for one target each.
macro_rules! slots {
    ($($number:literal $fentry:ident $raw_tp:ident $tp:ident $uprobe:ident;)+) => {
        $(
            #[fentry]
            fn $fentry(_ctx: FEntryContext) -> i32 {
                count(slot(Kind::Fentry, $number)) as i32
            }

            #[raw_tracepoint]
            fn $raw_tp(_ctx: RawTracePointContext) -> i32 {
                count(slot(Kind::RawTracepoint, $number)) as i32
            }

            #[tracepoint]
            fn $tp(_ctx: TracePointContext) -> u32 {
                count(slot(Kind::Tracepoint, $number))
            }

            #[uprobe]
            fn $uprobe(_ctx: ProbeContext) -> u32 {
                count(slot(Kind::Uprobe, $number))
            }
        )+
    };
}

slots! {
     0 calls_fentry_0 calls_raw_tp_0 calls_tp_0 calls_uprobe_0;
     1 calls_fentry_1 calls_raw_tp_1 calls_tp_1 calls_uprobe_1;
     2 calls_fentry_2 calls_raw_tp_2 calls_tp_2 calls_uprobe_2;
     3 calls_fentry_3 calls_raw_tp_3 calls_tp_3 calls_uprobe_3;
     4 calls_fentry_4 calls_raw_tp_4 calls_tp_4 calls_uprobe_4;
     5 calls_fentry_5 calls_raw_tp_5 calls_tp_5 calls_uprobe_5;
     6 calls_fentry_6 calls_raw_tp_6 calls_tp_6 calls_uprobe_6;
     7 calls_fentry_7 calls_raw_tp_7 calls_tp_7 calls_uprobe_7;
     8 calls_fentry_8 calls_raw_tp_8 calls_tp_8 calls_uprobe_8;
     9 calls_fentry_9 calls_raw_tp_9 calls_tp_9 calls_uprobe_9;
    10 calls_fentry_10 calls_raw_tp_10 calls_tp_10 calls_uprobe_10;
    11 calls_fentry_11 calls_raw_tp_11 calls_tp_11 calls_uprobe_11;
    12 calls_fentry_12 calls_raw_tp_12 calls_tp_12 calls_uprobe_12;
    13 calls_fentry_13 calls_raw_tp_13 calls_tp_13 calls_uprobe_13;
    14 calls_fentry_14 calls_raw_tp_14 calls_tp_14 calls_uprobe_14;
    15 calls_fentry_15 calls_raw_tp_15 calls_tp_15 calls_uprobe_15;
}
