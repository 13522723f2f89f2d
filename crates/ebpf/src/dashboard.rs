//! Opened files, executed programs and processes that end, as one stream through one ring buffer.
#![no_std]
#![no_main]

mod cgroups;
mod event;
mod execs;
mod exits;
mod filter;
mod opens;
mod paths;
mod sys_enter;
mod sys_exit;
mod wakeup;

use aya_ebpf::{EbpfContext, btf_maps::RingBuf, macros::btf_map};
use ebpflab_common::event::Header;

/// The size is set by the loader. What follows a header depends on its kind.
#[btf_map]
static EVENTS: RingBuf<Header, 4096> = RingBuf::new();

/// Writes a record; false if there is no room.
#[inline(always)]
fn output(_ctx: &impl EbpfContext, record: &[u8]) -> bool {
    EVENTS.output_untyped::<[u8]>(record, wakeup::flags((&raw const EVENTS).cast_mut().cast())).is_ok()
}
