//! Executed programs and processes that end, through a perf buffer for each CPU.
#![no_std]
#![no_main]

mod cgroups;
mod event;
mod execs;
mod exits;
mod filter;
mod paths;
mod sys_enter;
mod sys_exit;

use aya_ebpf::{
    EbpfContext, bindings::BPF_F_CURRENT_CPU, btf_maps::PerfEventByteArray, helpers::generated::bpf_perf_event_output,
    macros::btf_map,
};

#[btf_map]
static EVENTS: PerfEventByteArray = PerfEventByteArray::new();

/// Writes a record; false if there is no room, which aya's own `output` does not say.
#[inline(always)]
fn output(ctx: &impl EbpfContext, record: &[u8]) -> bool {
    let (events, len) = ((&raw const EVENTS).cast_mut().cast(), record.len() as u64);
    let data = record.as_ptr().cast_mut().cast();
    // SAFETY: the record is as long as it is told.
    unsafe { bpf_perf_event_output(ctx.as_ptr(), events, BPF_F_CURRENT_CPU, data, len) == 0 }
}
