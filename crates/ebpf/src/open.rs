//! Opened files, through a ring buffer.
#![no_std]
#![no_main]

mod cgroups;
mod event;
mod filter;
mod opens;
mod paths;
mod sys_enter;
mod sys_exit;
mod wakeup;

use aya_ebpf::{EbpfContext, btf_maps::RingBuf, macros::btf_map};
use ebpflab_common::open::Open;

/// The size is set by the loader.
#[btf_map]
static EVENTS: RingBuf<Open, 4096> = RingBuf::new();

/// Writes a record; false if there is no room.
#[inline(always)]
fn output(_ctx: &impl EbpfContext, record: &[u8]) -> bool {
    EVENTS.output_untyped::<[u8]>(record, wakeup::flags((&raw const EVENTS).cast_mut().cast())).is_ok()
}
