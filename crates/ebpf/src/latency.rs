//! How long calls of a function take, from entry to return: of the kernel, a program or a library.
#![no_std]
#![no_main]

mod cgroups;
mod filter;
mod frames;
mod times;

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe, uprobe, uretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};
use ebpflab_ebpf::{
    enabled,
    ledger::ledger,
    registers::{stack_at_entry, stack_at_return},
    task::Current,
};

use crate::{
    frames::address_of,
    times::{now, took},
};

/// When the call began.
type Known = u64;

/// The same trampoline calls both programs, with what is on its stack.
#[fentry]
fn latency_fentry(ctx: FEntryContext) -> i32 {
    if enabled() {
        let _ = address_of(&ctx).and_then(enter);
    }
    0
}

#[fexit]
fn latency_fexit(ctx: FExitContext) -> i32 {
    if enabled() {
        let _ = address_of(&ctx).and_then(leave);
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

#[inline(always)]
fn enter(stack: u64) -> Option<()> {
    frames::enter(stack, now)
}

#[inline(always)]
fn leave(stack: u64) -> Option<()> {
    let start = frames::leave(stack)?;
    took(start, &Current, cgroups::current)
}
