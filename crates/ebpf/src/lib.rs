//! What all objects share: the maps that each has, the ledger, and safe ways to memory. For any target but BPF this
//! library is empty.
//!
//! A map or global of a library is in every object that links it. So what only some objects have (`cgroups`, `event`,
//! `filter`, `syscall`, `opens`, `execs`) are modules of theirs.
#![no_std]
#![cfg(target_arch = "bpf")]

pub mod kernel;
pub mod ledger;
pub mod registers;
pub mod skb;
pub mod task;

use aya_ebpf::{btf_maps::Array, macros::btf_map};

/// Off (0) at load; the loader switches it on when every hook is attached and off before it reads the ledger.
#[btf_map]
static ENABLED: Array<u32, 1> = Array::new();

/// Whether the run is on. A program that is not enabled touches nothing.
#[inline(always)]
pub fn enabled() -> bool {
    // SAFETY: a word that user space writes and programs only read.
    ENABLED.get_ptr(0).is_some_and(|word| unsafe { word.read_volatile() } != 0)
}

/// Tracing helpers are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
